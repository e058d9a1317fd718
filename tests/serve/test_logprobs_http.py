"""Stops, biases and log probabilities over HTTP: a real server, its answers against the torch module."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from microgpt import Checkpoint, ModelConfig, SamplingParams, load_checkpoint, save_checkpoint
from microgpt.chat import Message, chat_params, chat_prompt
from microgpt.logprobs import TokenLogprobs
from microgpt.models.gpt import GPT
from microgpt.sampling import adjusted, token_logprobs
from microgpt.tokenizers import CharTokenizer
from serve.engine_client import EngineClient, Progress
from serve.service import Service
from tests.conftest import random_arrays
from tests.serve.scripted_engine import ScriptedEngine, as_engine
from tests.serve.server_process import server_process

CHAT, GENERATE = "/microgpt/v1/chat", "/microgpt/v1/generate"
HELLO = [{"role": "user", "content": "abc"}]
BODIES = {CHAT: {"messages": HELLO}, GENERATE: {"num_samples": 3}}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A random chat model with a long context, so that answers are long."""
    directory: Path = tmp_path_factory.mktemp("models") / "model"
    tokenizer = CharTokenizer("abcdefgh \n", chat=True)
    config = ModelConfig(tokenizer.vocab_size, 16, 2, 2, 256)
    save_checkpoint(directory, config, random_arrays(config), tokenizer)
    return load_checkpoint(directory)


@pytest.fixture(scope="module")
def client(checkpoint: Checkpoint) -> Iterator[httpx.Client]:
    with (
        server_process(Path(checkpoint.path)) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        yield http


def ask(client: httpx.Client, path: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(path, json=BODIES[path] | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stream(client: httpx.Client, path: str, **fields: Any) -> list[dict[str, Any]]:
    """The events of a stream; the last one has the whole answer."""
    answer = client.post(path, json=BODIES[path] | {"stream": True} | fields)
    assert answer.status_code == 200, answer.text
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def texts(path: str, answer: dict[str, Any]) -> list[str]:
    return answer["samples"] if path == GENERATE else [answer["content"]]


def reports(path: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    return answer["logprobs"] if path == GENERATE else [answer["logprobs"]]


def joined(path: str, events: list[dict[str, Any]]) -> list[str]:
    """The texts that the deltas of a stream make."""
    found = [""] * len(texts(path, events[-1]))
    for event in events[:-1]:
        found[event.get("index", 0)] += event["delta"]
    return found


def oracle(
    checkpoint: Checkpoint, prompt_ids: tuple[int, ...], sampled: list[int], params: SamplingParams
) -> list[Any]:
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt_ids, *sampled[:-1]]]))[0, len(prompt_ids) - 1 :].numpy()
    return [
        token_logprobs(adjusted(row, params, i, prompt_ids, sampled[:i]), params, sampled[i])
        for i, row in enumerate(logits)
    ]


def prompt_of(checkpoint: Checkpoint, path: str, knobs: dict[str, Any]) -> tuple[tuple[int, ...], SamplingParams]:
    tokenizer, block_size = checkpoint.tokenizer, checkpoint.config.block_size
    if path == GENERATE:
        return (tokenizer.bos,), SamplingParams(stop_token_ids=(tokenizer.bos,), **knobs)
    prompt_ids = chat_prompt(tokenizer, block_size, [Message("user", "abc")]).ids
    return prompt_ids, chat_params(tokenizer, len(prompt_ids), block_size, **knobs)


@pytest.mark.parametrize("path", [CHAT, GENERATE])
@pytest.mark.parametrize("num_top", [0, 3])
def test_log_probabilities_are_those_of_the_torch_module(
    client: httpx.Client, checkpoint: Checkpoint, path: str, num_top: int
) -> None:
    knobs = {"temperature": 0.8, "top_k": 5, "frequency_penalty": 0.3, "presence_penalty": 0.2}
    # No end comes, so that many tokens do: more than the event loop writes at a time.
    bias = {str(i): -100.0 for i in (checkpoint.tokenizer.bos, 12)}
    answer = ask(client, path, logprobs=True, top_logprobs=num_top, seed=3, logit_bias=bias, **knobs)
    knobs |= {"logit_bias": {int(i): b for i, b in bias.items()}, "top_logprobs": num_top}
    prompt_ids, params = prompt_of(checkpoint, path, knobs)
    assert len(reports(path, answer)) == len(texts(path, answer))
    for report in reports(path, answer):
        assert set(report) == {"token_ids", "tokens", "logprobs"} | ({"top"} if num_top else set())
        assert len(report["token_ids"]) > 200
        assert report["tokens"] == [checkpoint.tokenizer.token_name(i) for i in report["token_ids"]]
        right = oracle(checkpoint, prompt_ids, report["token_ids"], params)
        np.testing.assert_allclose(report["logprobs"], [each.chosen for each in right], atol=1e-4)
        for found, each in zip(report.get("top", []), right, strict=bool(num_top)):
            assert [entry["logprob"] for entry in found] == pytest.approx([p for _, p in each.top], abs=1e-4)
            assert [entry["token"] for entry in found] == [
                checkpoint.tokenizer.token_name(entry["token_id"]) for entry in found
            ]


@pytest.mark.parametrize("path", [CHAT, GENERATE])
def test_an_answer_with_log_probabilities_is_the_answer_and_they_and_its_stream_ends_with_it(
    client: httpx.Client, path: str
) -> None:
    plain = ask(client, path, seed=8)
    asked = {"seed": 8, "logprobs": True, "top_logprobs": 2}
    answer, events = ask(client, path, **asked), stream(client, path, **asked)
    assert {name: value for name, value in answer.items() if name != "logprobs"} == plain
    assert "logprobs" not in plain
    assert events[-1]["logprobs"] == answer["logprobs"]
    assert all("logprobs" not in event for event in events[:-1])
    assert joined(path, events) == texts(path, events[-1]) == texts(path, answer)
    assert "logprobs" not in stream(client, path, seed=8)[-1]
    num_tokens = sum(len(report["token_ids"]) for report in reports(path, answer))
    assert events[-1]["usage"]["completion_tokens"] == num_tokens


@pytest.mark.parametrize("path", [CHAT, GENERATE])
def test_a_stop_that_spans_tokens_ends_an_answer_where_it_begins(
    client: httpx.Client, checkpoint: Checkpoint, path: str
) -> None:
    bias = {str(i): -100.0 for i in range(8, 14)}  # letters alone: nothing is stripped
    asked = {"temperature": 1.5, "seed": 5, "max_tokens": 40, "logit_bias": bias}
    whole = texts(path, ask(client, path, **asked))
    assert all(len(text) == 40 for text in whole)
    for length in (1, 2, 3, 4):
        stop = whole[0][20 : 20 + length]  # a token is a character here
        answer, events = ask(client, path, stop=stop, **asked), stream(client, path, stop=["zz", stop], **asked)
        assert texts(path, answer) == [text.split(stop)[0] for text in whole]
        assert joined(path, events) == texts(path, events[-1]) == texts(path, answer)
        found = [text.find(stop) for text in whole]
        counts = [40 if at < 0 else at + length for at in found]
        assert events[-1]["usage"]["completion_tokens"] == sum(counts)
        reasons = events[-1]["finish_reasons"] if path == GENERATE else [events[-1]["finish_reason"]]
        assert reasons == ["length" if at < 0 else "stop" for at in found]
        told = reports(path, ask(client, path, stop=stop, logprobs=True, **asked))
        assert [len(report["token_ids"]) for report in told] == counts


@pytest.mark.parametrize("path", [CHAT, GENERATE])
def test_a_bias_makes_a_token_come_or_not(client: httpx.Client, checkpoint: Checkpoint, path: str) -> None:
    forced = ask(client, path, logit_bias={"2": 100}, max_tokens=9, temperature=0)
    assert set(texts(path, forced)) == {"c" * 9}
    forbidden = ask(client, path, logit_bias={"2": -100}, temperature=2)
    assert all("c" not in text for text in texts(path, forbidden))
    refused = client.post(path, json=BODIES[path] | {"logit_bias": {"14": 1}})
    assert (refused.status_code, refused.json()) == (400, {"error": "logit_bias ids must be in [0, 14), got 14"})


@pytest.mark.parametrize("num_tokens", [128, 129])
def test_many_log_probabilities_are_written_off_the_event_loop(num_tokens: int, tiny_checkpoint: Checkpoint) -> None:
    news = [Progress(i, logprobs=[TokenLogprobs(-1.0)] * n) for i, n in enumerate([100, num_tokens - 100])]
    threads = []

    def push(progress: Progress) -> bytes:
        threads.append(threading.get_ident())
        return b"%d" % len(progress.logprobs)

    service = Service(tiny_checkpoint, EngineClient(lambda: as_engine(ScriptedEngine(tiny_checkpoint)), max_queue=1))
    assert asyncio.run(service.render(push, news)) == b"100%d" % (num_tokens - 100)
    assert service.close()
    assert (threading.get_ident() in threads) == (num_tokens == 128)
