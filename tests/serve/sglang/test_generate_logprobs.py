"""Log probabilities of /generate: form, values against the torch module, rescoring, and company."""

import math
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from microgpt import Checkpoint
from microgpt.models.gpt import GPT
from tests.serve.sglang.generating import check, generate, stream

PROMPT = "<user>what is 2 + 3?<end_turn><assistant>"


@pytest.fixture(scope="module")
def model_logprobs(chat_checkpoint: Checkpoint) -> Any:
    """(ids, temperature) -> (T, vocab): the torch module's, in float64, of what follows each position."""
    model = GPT(chat_checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in chat_checkpoint.tensors.items()})

    def logprobs(ids: Sequence[int], temperature: float = 1.0) -> np.ndarray:
        with torch.no_grad():
            logits = model(torch.tensor([list(ids)]))[0]
        return torch.log_softmax(logits / temperature, -1).numpy()

    return logprobs


def numbers(entries: Sequence[Any]) -> list[float]:
    """Of [logprob, id, text] entries."""
    return [entry[0] for entry in entries]


def ids_of(entries: Sequence[Any]) -> list[int]:
    return [entry[1] for entry in entries]


@pytest.mark.parametrize("temperature", [0, 1.0, 0.6, 1.7])
def test_values_are_the_models(
    server: httpx.Client, chat_checkpoint: Checkpoint, model_logprobs: Any, temperature: float
) -> None:
    """The prompt's at temperature 1, the output's at the one it was sampled at; greedy counts as 1."""
    tokenizer = chat_checkpoint.tokenizer
    sampling = {"max_new_tokens": 30, "temperature": temperature, "sampling_seed": 5, "ignore_eos": True, "top_k": 40}
    answer = generate(
        server, text=PROMPT, sampling_params=sampling, return_logprob=True, logprob_start_len=0, top_logprobs_num=3,
        token_ids_logprob=[7, 0, 1023], return_prompt_token_ids=True,
    )  # fmt: skip
    check(tokenizer, answer, **sampling)
    meta, prompt, output = answer["meta_info"], answer["prompt_token_ids"], answer["output_ids"]
    plain = model_logprobs([*prompt, *output])
    tempered = model_logprobs([*prompt, *output], temperature or 1.0)[len(prompt) - 1 : -1]
    for side, rows, tokens, skipped in (
        ("input", plain[: len(prompt) - 1], prompt[1:], 1),
        ("output", tempered, output, 0),
    ):
        chosen, top, given = (
            meta[f"{side}_{name}"][skipped:] for name in ("token_logprobs", "top_logprobs", "token_ids_logprobs")
        )
        assert ids_of(chosen) == tokens
        np.testing.assert_allclose(numbers(chosen), rows[range(len(tokens)), tokens], atol=1e-4)
        for row, best, asked in zip(rows, top, given, strict=True):
            assert numbers(best) == sorted(numbers(best), reverse=True)
            np.testing.assert_allclose(numbers(best), np.sort(row)[::-1][:3], atol=1e-4)
            np.testing.assert_allclose(numbers(best), row[ids_of(best)], atol=1e-4)
            assert ids_of(asked) == [7, 0, 1023]
            np.testing.assert_allclose(numbers(asked), row[[7, 0, 1023]], atol=1e-4)
    if temperature == 0:
        assert [best[0] for best in meta["output_top_logprobs"]] == meta["output_token_logprobs"]  # bit for bit


def test_the_output_side_is_of_what_was_sampled_from(server: httpx.Client, model_logprobs: Any) -> None:
    """Behind bias and penalties, before top_p."""
    sampling = {"max_new_tokens": 1, "logit_bias": {"9": 5}, "presence_penalty": 1, "top_p": 0.1, "sampling_seed": 1}
    answer = generate(server, input_ids=[0, 5, 9], sampling_params=sampling, return_logprob=True,
                      token_ids_logprob=[9, 4])  # fmt: skip
    row = np.exp(model_logprobs([0, 5, 9])[-1])
    row[9] *= math.exp(5)
    [entries] = answer["meta_info"]["output_token_ids_logprobs"]
    np.testing.assert_allclose(numbers(entries), np.log(row / row.sum())[[9, 4]], atol=1e-4)


@pytest.mark.parametrize("start", [-1, 0, 1, 5, 7, 8])
def test_where_the_prompts_begin(server: httpx.Client, start: int) -> None:
    """From the start on, the first one without a number; -1 and the prompt's length give none."""
    prompt = [0, 5, 9, 300, 2, 2, 77, 1000]
    whole, part = (
        generate(
            server, input_ids=prompt, sampling_params={"max_new_tokens": 2, "temperature": 0}, return_logprob=True,
            logprob_start_len=first, top_logprobs_num=2, token_ids_logprob=3,
        )["meta_info"]
        for first in (0, start)
    )  # fmt: skip
    count = 0 if start == -1 else len(prompt) - start
    assert ids_of(part["input_token_logprobs"]) == prompt[len(prompt) - count :]
    for name in ("input_token_logprobs", "input_top_logprobs", "input_token_ids_logprobs"):
        assert len(part[name]) == count
        assert part[name][1:] == whole[name][len(prompt) - count + 1 :]
    if count:
        assert part["input_token_logprobs"][0] == [None, prompt[start], None]
        assert part["input_top_logprobs"][0] is part["input_token_ids_logprobs"][0] is None
    assert part["output_token_logprobs"] == whole["output_token_logprobs"]
    assert part["output_token_logprobs_length"] == len(part["output_token_logprobs"]) == 2
    assert part["cached_tokens"] <= (len(prompt) - 1 if start == -1 else start)


def test_what_was_not_asked_for_is_not_there(server: httpx.Client) -> None:
    names = {
        "input_token_logprobs", "output_token_logprobs", "output_token_logprobs_length", "input_top_logprobs",
        "output_top_logprobs", "input_token_ids_logprobs", "output_token_ids_logprobs",
    }  # fmt: skip
    plain = generate(server, text="a", logprob_start_len=0, top_logprobs_num=2, return_text_in_logprobs=True)
    assert not names & set(plain["meta_info"])
    some = generate(server, text="a", return_logprob=True, token_ids_logprob=[], return_text_in_logprobs=None)
    assert names & set(some["meta_info"]) == {
        "input_token_logprobs", "output_token_logprobs", "output_token_logprobs_length",
    }  # fmt: skip


def test_texts_of_tokens(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    tokenizer = chat_checkpoint.tokenizer
    broken = next(i for i in range(tokenizer.vocab_size) if tokenizer.token_bytes(i) == "ü".encode()[:1])
    meta = generate(
        server, input_ids=[0, broken, 200], return_logprob=True, return_text_in_logprobs=True, logprob_start_len=0,
        top_logprobs_num=2, token_ids_logprob=[0, 200], sampling_params={"max_new_tokens": 3},
    )["meta_info"]  # fmt: skip
    entries = [*meta["input_token_logprobs"], *meta["output_token_logprobs"]]
    for name in ("input_top_logprobs", "output_top_logprobs", "input_token_ids_logprobs", "output_token_ids_logprobs"):
        entries += [entry for found in meta[name] for entry in found or ()]
    assert len(entries) == 3 + 3 + 4 * 5
    for _, token, text in entries:
        special = ("<bos>", "<user>", "<assistant>", "<end_turn>")
        assert text == (special[token] if token < 4 else tokenizer.token_bytes(token).decode("utf-8", "replace"))
    assert meta["input_token_logprobs"][1][2] == "\ufffd"


@pytest.mark.parametrize("greedy", [False, True])
def test_rescoring_gives_what_sampling_gave(server: httpx.Client, greedy: bool) -> None:
    sampling = {"max_new_tokens": 100, "sampling_seed": 8} | ({"temperature": 0} if greedy else {})
    first = generate(server, text=PROMPT, sampling_params=sampling, return_logprob=True, return_prompt_token_ids=True)
    prompt, output = first["prompt_token_ids"], first["output_ids"]
    again = generate(
        server, input_ids=prompt + output, sampling_params={"max_new_tokens": 0}, return_logprob=True,
        logprob_start_len=len(prompt) - 1,
    )  # fmt: skip
    assert (again["text"], again["output_ids"]) == ("", [])
    assert again["meta_info"]["finish_reason"] == {"type": "length", "length": 0}
    assert again["meta_info"]["output_token_logprobs"] == []
    found, wanted = again["meta_info"]["input_token_logprobs"][1:], first["meta_info"]["output_token_logprobs"]
    assert ids_of(found) == ids_of(wanted) == output
    np.testing.assert_allclose(numbers(found), numbers(wanted), atol=1e-4)


def test_choices_are_scored_in_a_batch_as_clients_do(server: httpx.Client, model_logprobs: Any) -> None:
    """As the frontend language's `select` asks."""
    prefix = "what is 2 + 3? The answer is"
    before = generate(server, text=prefix, sampling_params={"max_new_tokens": 0})["meta_info"]["prompt_tokens"]
    choices = [" yes", " no", " five", " 5."]
    found = generate(
        server, text=[prefix + choice for choice in choices], sampling_params={"max_new_tokens": 0, "temperature": 0},
        return_logprob=True, return_text_in_logprobs=True, logprob_start_len=before - 2,
        return_prompt_token_ids=True,
    )  # fmt: skip
    for each, choice in zip(found, choices, strict=True):
        prompt = each["prompt_token_ids"]
        entries = each["meta_info"]["input_token_logprobs"]
        rows = model_logprobs(prompt)
        want = [rows[at - 1, prompt[at]] for at in range(before - 1, len(prompt))]
        np.testing.assert_allclose(numbers(entries[1:]), want, atol=1e-4)
        assert "".join(entry[2] for entry in entries).endswith(choice)


def test_a_prompts_values_do_not_depend_on_the_cache(server: httpx.Client) -> None:
    prompt = list(range(400, 500))
    body = {"input_ids": prompt, "return_logprob": True, "sampling_params": {"max_new_tokens": 1}}
    first = generate(server, **body, logprob_start_len=0)["meta_info"]
    assert first["cached_tokens"] == 0
    later = generate(server, **body, logprob_start_len=70)["meta_info"]
    assert 0 < later["cached_tokens"] <= 70
    assert later["input_token_logprobs"][1:] == first["input_token_logprobs"][71:]


def test_impossible_tokens_have_a_finite_number(server: httpx.Client) -> None:
    """JSON has no infinity."""
    eos = 3
    sampling = {"max_new_tokens": 1, "min_new_tokens": 1}
    answer = generate(server, text="a", return_logprob=True, token_ids_logprob=[eos], sampling_params=sampling)
    [[[value, token, _]]] = answer["meta_info"]["output_token_ids_logprobs"]
    assert token == eos
    assert value < -1e30
    assert math.isfinite(value)


def test_streams_of_batches_have_their_own(server: httpx.Client) -> None:
    body: dict[str, Any] = {
        "text": ["one", "what is"], "return_logprob": [True, False], "logprob_start_len": 0, "top_logprobs_num": [1, 0],
        "sampling_params": {"max_new_tokens": 60, "sampling_seed": 3, "ignore_eos": True},
    }  # fmt: skip
    first, second = generate(server, **body)
    for event in stream(server, **body):
        whole = (first, second)[event["index"]]
        for name in (name for name in event["meta_info"] if "logprobs" in name and not name.endswith("length")):
            part = event["meta_info"][name]
            assert whole["meta_info"][name][: len(part)] == part
    assert not any("logprob" in name for name in second["meta_info"])
