"""The project's own dialect: POST /microgpt/v1/generate and POST /microgpt/v1/chat.

Bodies, checks, their order and their texts follow the original service wherever its clients could tell.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema
from pydantic_core import PydanticCustomError, to_json

from microgpt import FinishReason, GenerationRequest, SamplingParams, Usage
from microgpt.chat import Message, chat_params
from microgpt.params import BOUNDS, MAX_SEED, RANGES, Biases, Bounds
from microgpt.text_stream import WHITE_SPACE, TrimStream
from microgpt.tokenizers import Tokenizer
from serve import sse
from serve.body import parse_json, plain_parser, validate
from serve.dialects.base import Dialect, Route, Work
from serve.errors import HttpError, error_body, shown
from serve.messages import MessageBody, check_messages, check_number
from serve.service import Progress, Service

MAX_SAMPLES = 50
# The original took a body that is an array for its fields in order, four of them; what followed was bad JSON (400)
# while fewer were a bad value (422). Arrays are refused here, with those statuses.
ORIGINAL_FIELDS = 4
NO_CHAT = "model was not trained with chat tokens"

Fields = Mapping[str, Any]  # of a body, by name
_ID = re.compile("0|[1-9][0-9]{0,9}")
Unsigned = Annotated[int, Field(ge=0, le=MAX_SEED)]
# In the order in which they are checked.
BOUNDED = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
MORE_KNOBS = frozenset((*BOUNDED[1:], "stop", "logprobs", "top_logprobs"))  # beside those that all requests have
TOP_LOGPROBS = Bounds(0, 20)
_BOUNDED = frozenset(BOUNDED)
_NO_USAGE = Usage(0, 0)
MAX_BIASES = cast(Biases, RANGES["logit_bias"]).most


def _as_strings(value: Any) -> Any:
    """A list for what may be one string alone."""
    if not isinstance(value, str | list):
        raise PydanticCustomError("strings", "a string or an array of strings")
    return [value] if isinstance(value, str) else value


Strings = Annotated[
    list[str],
    FailFast(),
    BeforeValidator(_as_strings),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class _Sampling(BaseModel):
    """The fields that both bodies share. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    temperature: float = Field(0.5, description="divides the logits, >= 0; 0 is greedy")
    seed: Unsigned = Field(42, description="start of the random generator")
    max_tokens: Unsigned | None = Field(None, description="most tokens to sample, >= 1; capped at the context")
    top_k: int = Field(0, description="keep only the k likeliest tokens, >= 0; 0: all")
    top_p: float = Field(1.0, description="keep the likeliest tokens that reach this probability, in (0, 1]")
    min_p: float = Field(
        0.0, description="keep tokens with at least this share of the likeliest one's probability, in [0, 1]"
    )
    repetition_penalty: float = Field(
        1.0, description="divides positive logits and multiplies others of tokens that were there, in (0, 2]"
    )
    frequency_penalty: float = Field(
        0.0, description="subtracted from a token's logit for each time it is in the answer, in [-2, 2]"
    )
    presence_penalty: float = Field(
        0.0, description="subtracted from the logits of tokens that are in the answer, in [-2, 2]"
    )
    stop: Strings = Field(
        default_factory=list,  # a list here would be copied deeply for each request
        description="text that ends the answer and is cut off; at most 32, of 1 to 256 characters",
    )
    logit_bias: dict[str, float] = Field(
        default_factory=dict, description="added to the logits of tokens, by id; at most 1024, each in [-100, 100]"
    )
    logprobs: bool = Field(False, description="report the log probability of each token")
    top_logprobs: int = Field(
        0, description="report so many of the likeliest tokens beside each, in [0, 20]; 0 without logprobs"
    )
    stream: bool = Field(False, description="answer with Server-Sent Events")


class GenerateBody(_Sampling):
    """Samples from nothing but the beginning of a document. Sample i uses seed + i (mod 2^64)."""

    num_samples: Unsigned = Field(1, description="how many samples, >= 1; more than 50 gives 50")


class ChatBody(_Sampling):
    """A conversation to reply to."""

    # FailFast: of a million wrong messages the first is enough.
    messages: Annotated[list[MessageBody], FailFast()] = Field(
        description="at least one turn", json_schema_extra={"minItems": 1}
    )


class LikelyToken(BaseModel):
    """One of the likeliest tokens."""

    token_id: int
    token: str
    logprob: float


class SampledLogprobs(BaseModel):
    """Of each token that was sampled, the last one and those of a stop included, in order."""

    token_ids: list[int]
    tokens: list[str] = Field(description="their texts; special tokens by their names")
    logprobs: list[float] = Field(description="natural, after the temperature and before top_k, top_p and min_p")
    top: list[list[LikelyToken]] = Field([], description="likeliest first; only with top_logprobs")


class GenerateAnswer(BaseModel):
    """The samples, stripped of outer white space."""

    samples: list[str]
    logprobs: list[SampledLogprobs] = Field([], description="one for each sample, only with logprobs")


class ChatAnswer(BaseModel):
    """The reply, stripped of outer white space; tokens_dropped: of the conversation, to fit the context."""

    role: Literal["assistant"] = "assistant"
    content: str
    tokens_dropped: int
    logprobs: SampledLogprobs | None = Field(None, description="only with logprobs")


def prepare_generate(service: Service, body: bytes) -> Work:
    """The work that a generate body asks for."""
    given = _parse_plain(body) or _parse(GenerateBody, body)
    asked = _GENERATE_DEFAULTS | given
    wrong = _out_of_bounds(given)
    if wrong:
        _refuse_first(asked, wrong, "temperature")
    if asked["num_samples"] < 1:
        raise HttpError(400, "num_samples must be >= 1")
    num_samples = min(asked["num_samples"], MAX_SAMPLES)
    if num_samples > service.max_queue:
        limit = f"<= {service.max_queue} (this server's MAX_QUEUE)"
        raise HttpError(400, f"num_samples must be {limit}, got {shown(asked['num_samples'])}")
    _check_max_tokens(asked)
    if wrong:
        _refuse_first(asked, wrong, *BOUNDED)
    _check_top_logprobs(asked)
    tokenizer, block_size, is_stream = service.tokenizer, service.config.block_size, asked["stream"]
    knobs = _knobs(service, given, asked)
    knobs["max_tokens"] = min(asked["max_tokens"] or block_size, block_size)
    knobs["seed"] = asked["seed"]
    knobs["stop_token_ids"] = (tokenizer.bos,)
    # Bounds are checked; only knobs of several values are left to check.
    is_checked = "stop" not in given and "logit_bias" not in given
    params = SamplingParams.of_checked(knobs) if is_checked else SamplingParams(**knobs)
    special_text = {tokenizer.chat.end_turn: "\n"} if tokenizer.chat else {}
    request = GenerationRequest(service.new_id(), (tokenizer.bos,), params, special_text, num_samples)
    columns: Sequence[SampledColumns] = ()
    if asked["logprobs"]:
        columns = [SampledColumns(tokenizer, asked["top_logprobs"]) for _ in range(num_samples)]
    return Work([request], GenerateRenderer(num_samples, is_stream, columns), is_stream, asked["logprobs"])


def prepare_chat(service: Service, body: bytes) -> Work:
    """The work that a chat body asks for."""
    given = _parse(ChatBody, body)
    asked = _CHAT_DEFAULTS | given
    if service.tokenizer.chat is None:  # before any look at the values, as the original does
        raise HttpError(400, NO_CHAT)
    wrong = _out_of_bounds(given)
    _refuse_first(asked, wrong, "temperature")
    _check_max_tokens(asked)
    check_messages(asked["messages"])
    _refuse_first(asked, wrong, *BOUNDED)
    _check_top_logprobs(asked)
    messages = [Message(cast(Any, message.role), message.content) for message in asked["messages"]]
    prompt = service.chat_prompt(messages)
    params = chat_params(
        service.tokenizer,
        len(prompt.ids),
        service.config.block_size,
        max_tokens=asked["max_tokens"],
        seed=asked["seed"],
        **_knobs(service, given, asked),
    )
    request = GenerationRequest(service.new_id(), prompt.ids, params)
    columns = SampledColumns(service.tokenizer, asked["top_logprobs"]) if asked["logprobs"] else None
    renderer = ChatRenderer(prompt.tokens_dropped, asked["stream"], columns)
    return Work([request], renderer, asked["stream"], asked["logprobs"])


class _Text:
    """The text of one sequence in the making, outer white space trimmed."""

    __slots__ = ("_pieces", "_trim", "end_reason", "usage")

    def __init__(self, stream: bool) -> None:
        self._trim = TrimStream() if stream else None
        self._pieces: list[str] = []
        self.end_reason = FinishReason.CANCELLED
        self.usage = _NO_USAGE

    @property
    def text(self) -> str:
        text = "".join(self._pieces)
        return text.strip(WHITE_SPACE) if self._trim is None else text

    def push(self, progress: Progress) -> str:
        """What `progress` adds to the visible text of a stream."""
        delta = progress.text if self._trim is None else self._trim.push(progress.text)
        self._pieces.append(delta)
        if progress.end is not None:
            self.end_reason, self.usage = progress.end.reason, progress.end.usage
        return delta


class SampledColumns:
    """SampledLogprobs in the making, as JSON, so that no more than what is new is looked at."""

    __slots__ = ("_columns", "_token_name")

    def __init__(self, tokenizer: Tokenizer, num_top: int):
        self._token_name = tokenizer.token_name
        names = ("token_ids", "tokens", "logprobs", "top") if num_top else ("token_ids", "tokens", "logprobs")
        self._columns: dict[str, list[bytes]] = {name: [] for name in names}

    def push(self, progress: Progress) -> None:
        if not progress.token_ids:
            return
        name, reports = self._token_name, progress.logprobs
        self._add("token_ids", progress.token_ids)
        self._add("tokens", list(map(name, progress.token_ids)))
        self._add("logprobs", [report.chosen for report in reports])
        if "top" in self._columns:
            self._add(
                "top",
                [[{"token_id": i, "token": name(i), "logprob": p} for i, p in report.top] for report in reports],
            )

    def _add(self, name: str, values: list[Any]) -> None:
        self._columns[name].append(to_json(values)[1:-1])

    def json(self) -> bytes:
        columns = [b'"%s":[%s]' % (name.encode(), b",".join(parts)) for name, parts in self._columns.items()]
        return b"{%s}" % b",".join(columns)


def _with_logprobs(answer: dict[str, Any], logprobs: bytes) -> bytes:
    """`answer` as JSON, with the member `logprobs`, which is JSON already, at its end."""
    return b'%s,"logprobs":%s}' % (to_json(answer)[:-1], logprobs)


class GenerateRenderer:
    """Samples side by side. logprobs: a SampledColumns for each, or none."""

    def __init__(self, num_samples: int, stream: bool, logprobs: Sequence[SampledColumns] = ()):
        self._samples = [_Text(stream) for _ in range(num_samples)]
        self._stream = stream
        self._logprobs = logprobs

    def push(self, progress: Progress) -> bytes:
        if self._logprobs:
            self._logprobs[progress.index].push(progress)
        delta = self._samples[progress.index].push(progress)
        if not delta or not self._stream:
            return b""
        return sse.event(to_json({"index": progress.index, "delta": delta}))

    def end_stream(self) -> bytes:
        answer = {
            "samples": [sample.text for sample in self._samples],
            "finish_reasons": [sample.end_reason for sample in self._samples],
            "usage": {
                "prompt_tokens": self._samples[0].usage.prompt_tokens,
                "completion_tokens": sum(sample.usage.completion_tokens for sample in self._samples),
            },
        }
        return sse.event(self._json(answer)) + sse.DONE

    def body(self) -> bytes:
        return self._json({"samples": [sample.text for sample in self._samples]})

    def _json(self, answer: dict[str, Any]) -> bytes:
        if not self._logprobs:
            return to_json(answer)
        return _with_logprobs(answer, b"[%s]" % b",".join([columns.json() for columns in self._logprobs]))


class ChatRenderer:
    """One reply. logprobs: where its tokens are reported, too."""

    def __init__(self, tokens_dropped: int, stream: bool, logprobs: SampledColumns | None = None):
        self._tokens_dropped = tokens_dropped
        self._stream = stream
        self._logprobs = logprobs
        self._reply = _Text(stream)

    def push(self, progress: Progress) -> bytes:
        if self._logprobs is not None:
            self._logprobs.push(progress)
        delta = self._reply.push(progress)
        return sse.event(to_json({"delta": delta})) if delta and self._stream else b""

    def end_stream(self) -> bytes:
        usage = self._reply.usage
        ending = {
            "finish_reason": self._reply.end_reason,
            "usage": {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
        }
        return sse.event(self._json(self._answer() | ending)) + sse.DONE

    def body(self) -> bytes:
        return self._json(self._answer())

    def _json(self, answer: dict[str, Any]) -> bytes:
        return to_json(answer) if self._logprobs is None else _with_logprobs(answer, self._logprobs.json())

    def _answer(self) -> dict[str, Any]:
        return {"role": "assistant", "content": self._reply.text, "tokens_dropped": self._tokens_dropped}


def _parse(model: type[_Sampling], body: bytes) -> dict[str, Any]:
    """The fields of a body that are given."""
    value = parse_json(body)
    if isinstance(value, list) and len(value) > ORIGINAL_FIELDS:
        raise HttpError(400, "body must be an object, got an array")
    if isinstance(value, dict):
        check_number(value.get("messages"))
        biases = value.get("logit_bias")
        if isinstance(biases, dict) and len(biases) > MAX_BIASES:
            raise HttpError(400, f"logit_bias must have at most {MAX_BIASES} ids, got {len(biases)}")
    found = validate(model, value)
    return {name: found.__dict__[name] for name in found.model_fields_set}


def _defaults(model: type[_Sampling]) -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required()
    }


_parse_plain = plain_parser(GenerateBody)
_GENERATE_DEFAULTS, _CHAT_DEFAULTS = _defaults(GenerateBody), _defaults(ChatBody)


def _out_of_bounds(given: Fields) -> list[str]:
    """The fields whose values are not what BOUNDS says."""
    return [name for name in given if name in _BOUNDED and not BOUNDS[name].admits(given[name])]


def _refuse_first(asked: Fields, wrong: Sequence[str], *names: str) -> None:
    """Raise 400 for the first of `names` that is `wrong`."""
    for name in names:
        if name in wrong:
            raise HttpError(400, f"{name} must be {BOUNDS[name]}, got {shown(asked[name])}")


def _check_max_tokens(asked: Fields) -> None:
    if asked["max_tokens"] == 0:
        raise HttpError(400, "max_tokens must be >= 1 when specified")


def _check_top_logprobs(asked: Fields) -> None:
    if not (num_top := asked["top_logprobs"]):
        return
    if not TOP_LOGPROBS.admits(num_top):
        raise HttpError(400, f"top_logprobs must be {TOP_LOGPROBS}, got {shown(num_top)}")
    if not asked["logprobs"]:
        raise HttpError(400, f"top_logprobs must be 0 without logprobs, got {num_top}")


def _biases(biases: Mapping[str, float]) -> dict[int, float]:
    """logit_bias by id. JSON's names are strings; `01` would name an id twice."""
    for name in biases:
        if not _ID.fullmatch(name):
            raise HttpError(400, f"logit_bias must be biases by token id, got {shown(name)}")
    return {int(name): bias for name, bias in biases.items()}


def _knobs(service: Service, given: Fields, asked: Fields) -> dict[str, Any]:
    """What shapes the distribution, and the stops. A top_k above the vocabulary keeps everything, like 0."""
    knobs: dict[str, Any] = {"temperature": asked["temperature"]}
    for name in given:
        if name in MORE_KNOBS:
            knobs[name] = given[name]
    if asked["top_k"] >= service.config.vocab_size:
        knobs["top_k"] = 0
    if asked["logit_bias"]:
        knobs["logit_bias"] = _biases(asked["logit_bias"])
    return knobs


def _error_body(error: HttpError) -> bytes:
    return error_body(error.message)


def _end_stream(error: HttpError) -> bytes:
    return sse.event(error_body(error.message)) + sse.DONE


DIALECT = Dialect(
    name="microgpt_v1",
    routes=(
        Route(
            path="/microgpt/v1/generate",
            summary="Sample documents",
            prepare=prepare_generate,
            request_model=GenerateBody,
            answer_model=GenerateAnswer,
            stream_meaning=(
                'events {"index", "delta"}, samples interleaved; then {"samples", "finish_reasons", "usage"}; [DONE]'
            ),
        ),
        Route(
            path="/microgpt/v1/chat",
            summary="Reply to a conversation",
            prepare=prepare_chat,
            request_model=ChatBody,
            answer_model=ChatAnswer,
            stream_meaning=(
                'events {"delta"}; then {"role", "content", "tokens_dropped", "finish_reason", "usage"}; [DONE]'
            ),
        ),
    ),
    error_body=_error_body,
    end_stream=_end_stream,
)
