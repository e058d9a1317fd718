"""POST and PUT /generate: prompts in, their continuations out; single, in batches, several of each, as streams."""

import random
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from microgpt import GenerationRequest, InvalidRequest
from microgpt.constraints.compiler import eos_ids
from microgpt.constraints.constraint import Constraint
from microgpt.params import BOUNDS, MAX_GIVEN_LOGPROBS
from serve.dialects.base import Route, Work
from serve.dialects.sglang.errors import native_error
from serve.dialects.sglang.render import Arrival, GenerateRenderer, LogprobForm, Sample
from serve.dialects.sglang.sampling import Sampling, read_sampling
from serve.dialects.sglang.schema import GenerateFields, parse_generate
from serve.errors import HttpError, shown
from serve.service import Service

MAX_LOGPROBS = 2**20  # in one answer: some 25 MB of JSON, and 100 MB before it is that
MAX_RID_CHARS = 1024  # it comes back in every event
NOT_ENABLED = "The server is not configured to {0}. Please set `--enable-{1}` to enable this feature."
# Fields that would change what an answer is, and that this server cannot heed.
REFUSED = {
    "input_embeds": "input_embeds is not supported: this server takes text or input_ids.",
    "session_params": "session_params is not supported: this server has no sessions.",
    "lora_path": "lora_path must be null: LoRA is not enabled.",
    "lora_id": "lora_id must be null: LoRA is not enabled.",
    "custom_logit_processor": NOT_ENABLED.format("enable custom logit processor", "custom-logit-processor"),
    "return_hidden_states": NOT_ENABLED.format("return hidden states", "return-hidden-states"),
    "image_data": "image_data is not supported: the model takes text alone.",
    "video_data": "video_data is not supported: the model takes text alone.",
    "audio_data": "audio_data is not supported: the model takes text alone.",
}


class Generated(BaseModel):
    """The continuation of one prompt. A list of these for several."""

    text: str
    output_ids: list[int]
    meta_info: dict[str, Any]


def prepare_generate(service: Service, body: bytes) -> Work:
    """The work that a body asks for. What is wrong with a value is answered in a stream to those who want one."""
    arrival = Arrival()
    asked = parse_generate(body)
    try:
        return _work(service, asked, arrival)
    except (HttpError, InvalidRequest) as error:
        refusal = native_error(str(error)) if isinstance(error, InvalidRequest) else error
        refusal.in_stream = asked.get("stream") is True
        raise refusal from None


def _work(service: Service, asked: GenerateFields, arrival: Arrival) -> Work:
    if not _REFUSED.isdisjoint(asked):
        _check_supported(asked)
    given, field = _prompts_given(asked)
    is_batch = isinstance(given, list) and (field == "text" or isinstance(given[0], list))
    num_prompts = len(given) if is_batch else 1
    tokenizer, config = service.tokenizer, service.config
    samplings = _samplings(asked, num_prompts, config.vocab_size, eos_ids(tokenizer))
    n = samplings[0].n
    if num_prompts * n > service.max_queue:
        limit = f"<= {service.max_queue} (this server's MAX_QUEUE)"
        raise native_error(f"prompts times n must be {limit}, got {num_prompts} * {n!s:.60}")
    prompts = [_encode(service, asked, prompt, field) for prompt in (given if is_batch else [given])]
    rids = _rids(asked, num_prompts, is_batch)
    _each(asked, "custom_logit_processor", None, num_prompts, n)  # nulls, but they have to be the right number of them
    salts = _each(asked, "cache_salt", "", num_prompts, n)
    keys = _each(asked, "extra_key", "", num_prompts, n)
    forms = _logprob_forms(asked, prompts, n, config.vocab_size)
    requests: list[GenerationRequest] = []
    samples: list[Sample] = []
    constraints: list[Constraint | None] = []
    num_logprobs = 0
    for i, (prompt_ids, sampling, form) in enumerate(zip(prompts, samplings, forms, strict=True)):
        limit = sampling.limit(len(prompt_ids), config.block_size)
        if form is not None:
            num_logprobs += n * (len(prompt_ids) - form.start + limit) * (1 + form.num_top + len(form.given))
            if num_logprobs > MAX_LOGPROBS:
                raise native_error(
                    f"The log probabilities asked for may be {MAX_LOGPROBS} at most, over all prompts, samples and "
                    "tokens. Please use a smaller top_logprobs_num, or fewer prompts."
                )
        special_text = {} if sampling.skip_special_tokens else _special_text(service)
        for sample in range(n):
            rid = _fresh_rid() if n > 1 or rids is None else rids[i]
            params = sampling.params(limit, sample, **_logprob_knobs(form, len(prompt_ids)))
            cache_key = f"{len(salts[i])}:{salts[i]}{keys[i]}" if salts[i] or keys[i] else ""
            requests.append(GenerationRequest(rid, prompt_ids, params, special_text, 1, cache_key))
            constraints.append(sampling.constraint)
            samples.append(
                Sample(
                    rid, prompt_ids, limit, tokenizer, arrival, special_text, form,
                    trims_stop_ids=sampling.trims_stop_ids,
                    shows_prompt=asked.get("return_prompt_token_ids") is True,
                    interval=sampling.stream_interval,
                    incremental=service.incremental_streams,
                )
            )  # fmt: skip
    stream = asked.get("stream") is True
    renderer = GenerateRenderer(samples, stream=stream, as_list=is_batch or n > 1)
    return Work(
        requests, renderer, stream, wants_tokens=True, survives_failures=stream, refuses_in_stream=stream,
        constraints=constraints if any(constraints) else (),
    )  # fmt: skip


_REFUSED = frozenset(REFUSED)


def _check_supported(asked: GenerateFields) -> None:
    for name, message in REFUSED.items():
        value = asked.get(name)
        if value is None or value is False or (isinstance(value, list) and all(item is None for item in value)):
            continue
        raise native_error(message)


def _prompts_given(asked: GenerateFields) -> tuple[Any, str]:
    """(what the body has as its prompts, in which field); ids win over text."""
    for field in ("input_ids", "input_tokens"):
        if (ids := asked.get(field)) is not None:
            if not ids or [] in ids:
                raise native_error("input_ids cannot be empty.")
            return ids, field
    text = asked.get("text")
    if text is None:
        raise native_error("Either text, input_ids or input_embeds should be provided.")
    if text == []:
        raise native_error("text cannot be an empty list.")
    return text, "text"


def _encode(service: Service, asked: GenerateFields, prompt: Any, field: str) -> tuple[int, ...]:
    """The ids of one prompt, which leave room for at least one position."""
    config = service.config
    if field == "text":
        ids = tuple(service.encode_prompt(prompt, add_bos=asked.get("add_special_tokens") is not False))
        if not ids:
            raise native_error("input_ids cannot be empty.")
    else:
        ids = tuple(prompt)
        for wrong in (min(ids), max(ids)):
            if not 0 <= wrong < config.vocab_size:
                raise native_error(f"{field} must be in [0, {config.vocab_size}), got {wrong!s:.60}")
    if len(ids) >= config.block_size:
        raise native_error(
            f"The input ({len(ids)} tokens) is longer than the model's context length ({config.block_size} tokens)."
        )
    return ids


def _samplings(asked: GenerateFields, num_prompts: int, vocab_size: int, eos: tuple[int, ...]) -> Sequence[Sampling]:
    """One for each prompt, of one n."""
    given = asked.get("sampling_params")
    if not isinstance(given, list):
        return [read_sampling(given or {}, vocab_size, eos)] * num_prompts
    _check_length("sampling_params", given, num_prompts)
    samplings = [read_sampling(each, vocab_size, eos) for each in given]
    if any(sampling.n != samplings[0].n for sampling in samplings):
        raise native_error("The parallel_sample_num should be the same for all samples in sample params.")
    return samplings


def _rids(asked: GenerateFields, num_prompts: int, is_batch: bool) -> Sequence[str] | None:
    """The ids that the client gives to its prompts, if it does."""
    rid = asked.get("rid")
    if rid is None:
        return None
    if isinstance(rid, str):
        rids = [f"{rid}_{i}" for i in range(num_prompts)] if is_batch else [rid]
    else:
        _check_length("rid", rid, num_prompts)
        rids = rid
        if len(set(rids)) < len(rids):
            twice = next(each for each in rids if rids.count(each) > 1)
            raise native_error(f"rid must be unique, got {shown(twice)} twice")
    for each in rids:
        if len(each) > MAX_RID_CHARS or each.startswith("\0"):  # the service's own ids begin so
            raise native_error(
                f"rid must have at most {MAX_RID_CHARS} characters, the first not \\0, got {shown(each)}"
            )
    return rids


def _fresh_rid() -> str:
    return f"{random.getrandbits(128):032x}"


def _logprob_forms(
    asked: GenerateFields, prompts: Sequence[tuple[int, ...]], n: int, vocab_size: int
) -> Sequence[LogprobForm | None]:
    """What each prompt's answers say about log probabilities; None: nothing."""
    num_prompts = len(prompts)
    given = _given_ids(asked.get("token_ids_logprob"), num_prompts, n)
    for ids in given:
        if len(ids) > MAX_GIVEN_LOGPROBS:
            raise native_error(f"token_ids_logprob must have at most {MAX_GIVEN_LOGPROBS} ids, got {len(ids)}")
        for token in ids:
            if not 0 <= token < vocab_size:
                raise native_error(f"token_ids_logprob must be in [0, {vocab_size}), got {token!s:.60}")
    if not (wanted := asked.get("return_logprob")):
        return [None] * num_prompts
    forms: list[LogprobForm | None] = []
    with_text = asked.get("return_text_in_logprobs") is True
    starts = _each(asked, "logprob_start_len", -1, num_prompts, n)
    tops = _each(asked, "top_logprobs_num", 0, num_prompts, n)
    is_wanted = _each(asked, "return_logprob", False, num_prompts, n)
    for prompt_ids, start, num_top, ids, wanted in zip(prompts, starts, tops, given, is_wanted, strict=True):
        num_prompt = len(prompt_ids)
        if start < -1:
            raise native_error(f"logprob_start_len must be at least -1, got {start!s:.60}.")
        if start > num_prompt:
            raise native_error(
                f"logprob_start_len={start!s:.60} is higher than the number of input tokens {num_prompt}. "
                "Please use a smaller logprob_start_len."
            )
        bounds = BOUNDS["top_logprobs"]
        if not bounds.admits(num_top):
            raise native_error(f"top_logprobs_num must be {bounds}, got {num_top!s:.60}.")
        forms.append(LogprobForm(num_prompt if start < 0 else start, num_top, ids, with_text) if wanted else None)
    return forms


def _given_ids(given: Any, num_prompts: int, n: int) -> Sequence[tuple[int, ...]]:
    """token_ids_logprob of each prompt: a flat list is everyone's."""
    if given is None or given == []:
        return [()] * num_prompts
    if isinstance(given, int):
        return [(given,)] * num_prompts
    if all(isinstance(item, int) for item in given):
        return [tuple(given)] * num_prompts
    _check_list("token_ids_logprob", given, num_prompts, n)
    return [(item,) if isinstance(item, int) else tuple(item or ()) for item in given]


def _logprob_knobs(form: LogprobForm | None, num_prompt: int) -> dict[str, Any]:
    if form is None:
        return {}
    start = form.start if form.start < num_prompt else None
    return {
        "logprobs": True,
        "prompt_logprobs_start": start,
        "top_logprobs": form.num_top,
        "logprob_token_ids": form.given,
    }


def _each(asked: GenerateFields, name: str, default: Any, num_prompts: int, n: int) -> Sequence[Any]:
    """A field's value for each prompt."""
    value = asked.get(name)
    if not isinstance(value, list):
        return [default if value is None else value] * num_prompts
    _check_list(name, value, num_prompts, n)
    return value


def _check_list(name: str, value: Sequence[Any], num_prompts: int, n: int) -> None:
    if n > 1:
        raise native_error(f"Cannot use list {name} with parallel_sample_num > 1")
    _check_length(name, value, num_prompts)


def _check_length(name: str, value: Sequence[Any], num_prompts: int) -> None:
    if len(value) != num_prompts:
        raise native_error(f"The length of {name} should be equal to the batch size {num_prompts}, got {len(value)}.")


def _special_text(service: Service) -> dict[int, str]:
    tokenizer = service.tokenizer
    return {i: tokenizer.token_name(i) for i in tokenizer.special_ids}


ROUTE = Route(
    path="/generate",
    summary="Continue prompts, as SGLang does",
    prepare=prepare_generate,
    request_model=GenerateFields,
    answer_model=Generated,
    stream_meaning=(
        "events like the answer, each with all so far, and `index` where there are several; finish_reason is null but "
        "in the last one; [DONE]"
    ),
    methods=("POST", "PUT"),
    check_headers=lambda headers: None,
)
