"""Streams of /generate: cumulative and incremental, alone and interleaved, and what goes wrong in them."""

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from microgpt import Checkpoint, NumericalError
from tests.serve.asgi_driver import Served, eventually
from tests.serve.scripted_engine import ScriptedEngine, run
from tests.serve.server_process import server_process
from tests.serve.sglang.generating import check, generate, stream

OUTPUT_LISTS = ("output_token_logprobs", "output_top_logprobs", "output_token_ids_logprobs")
TIMES = (
    "e2e_latency", "queue_time", "first_token_latency", "request_received_ts", "request_finished_ts",
    "response_sent_to_client_ts",
)  # fmt: skip
LOGPROBS: dict[str, Any] = {
    "return_logprob": True, "logprob_start_len": 2, "top_logprobs_num": 2, "token_ids_logprob": [9],
    "return_text_in_logprobs": True,
}  # fmt: skip


def timeless(answer: Any) -> Any:
    """Without what differs when the same is asked again."""
    meta = {name: value for name, value in answer["meta_info"].items() if name not in (*TIMES, "id", "cached_tokens")}
    return {**answer, "meta_info": meta}


def by_index(events: list[Any]) -> dict[int, list[Any]]:
    found = defaultdict(list)
    for event in events:
        found[event.pop("index")].append(event)
    return found


def check_cumulative(events: list[Any], interval: int = 1) -> None:
    """What comes first is the beginning of what comes later, and only the last event ends."""
    first = events[0]["meta_info"]
    for earlier, later in pairwise(events):
        assert earlier["meta_info"]["finish_reason"] is None
        assert not set(earlier["meta_info"]) & set(TIMES)
        assert later["meta_info"]["id"] == first["id"]
        assert later["meta_info"]["prompt_tokens"] == first["prompt_tokens"]
        assert later["text"].startswith(earlier["text"])
        lists = ["output_ids", *(name for name in OUTPUT_LISTS if name in first)]
        for name in lists:
            early, late = (event.get(name, event["meta_info"].get(name)) for event in (earlier, later))
            assert late[: len(early)] == early
            assert len(early) == earlier["meta_info"]["completion_tokens"]
        for name in (name for name in first if name.startswith("input_")):
            assert later["meta_info"][name] == first[name]
    counts = [0, *(event["meta_info"]["completion_tokens"] for event in events)]
    steps = [after - before for before, after in pairwise(counts)]
    assert all(step >= interval for step in steps[:-1])
    assert events[-1]["meta_info"]["finish_reason"] is not None


def joined(events: list[Any]) -> Any:
    """The whole answer that incremental events tell of."""
    whole = json.loads(json.dumps(events[-1]))
    whole["text"] = "".join(event["text"] for event in events)
    whole["output_ids"] = [i for event in events for i in event["output_ids"]]
    for name in OUTPUT_LISTS:
        if name in whole["meta_info"]:
            whole["meta_info"][name] = [entry for event in events for entry in event["meta_info"][name]]
    return whole


@pytest.fixture(scope="module")
def incremental(chat_golden_dir: Path) -> Iterator[httpx.Client]:
    with (
        server_process(chat_golden_dir, "--incremental-streaming-output") as process,
        httpx.Client(base_url=process.url, timeout=60) as client,
    ):
        yield client


CASES: list[dict[str, Any]] = [
    {},
    {"max_new_tokens": 0},
    {"max_new_tokens": 1},
    {"temperature": 2, "max_new_tokens": 240},  # of random bytes: characters come in pieces
    {"temperature": 2, "max_new_tokens": 240, "stream_interval": 7},
    {"stop": ["e", "the "], "temperature": 1.5},
    {"stop_regex": ["[aeiou]{2}"], "temperature": 1.5},
    {"stop": ["a"], "no_stop_trim": True, "skip_special_tokens": False},
    {"stop_token_ids": list(range(100, 200)), "temperature": 2, "min_new_tokens": 20},
    {"logit_bias": {"0": 6, "1": 6}, "skip_special_tokens": False, "temperature": 2},
]


@pytest.mark.parametrize("sampling", CASES, ids=str)
@pytest.mark.parametrize("more", [{}, LOGPROBS], ids=["plain", "logprobs"])
def test_a_stream_ends_with_the_buffered_answer(
    server: httpx.Client, incremental: httpx.Client, chat_checkpoint: Checkpoint, sampling: dict[str, Any], more: Any
) -> None:
    body = {"text": "what is 2 + 3?", "sampling_params": {"sampling_seed": 11, "ignore_eos": False, **sampling}, **more}
    whole = check(chat_checkpoint.tokenizer, generate(server, **body), **sampling)
    events = stream(server, **body)
    check_cumulative(events, sampling.get("stream_interval", 1))
    assert timeless(check(chat_checkpoint.tokenizer, events[-1], **sampling)) == timeless(whole)
    assert timeless(joined(stream(incremental, **body))) == timeless(whole)


def test_streams_of_several_interleave_by_index(
    server: httpx.Client, incremental: httpx.Client, chat_checkpoint: Checkpoint
) -> None:
    sampling = {"sampling_seed": 1, "max_new_tokens": 200, "ignore_eos": True, "temperature": 1.5, "n": 3}
    body = {"text": ["one", "what"], "sampling_params": sampling}
    whole = [timeless(each) for each in generate(server, **body)]
    found = by_index(stream(server, **body))
    assert sorted(found) == list(range(6))
    for events in found.values():
        check_cumulative(events)
    assert [timeless(found[index][-1]) for index in range(6)] == whole
    pieces = by_index(stream(incremental, **body))
    assert [timeless(joined(pieces[index])) for index in range(6)] == whole


def test_a_list_of_one_has_an_index_and_one_alone_has_none(server: httpx.Client) -> None:
    assert all(event["index"] == 0 for event in stream(server, text=["a"]))
    assert not any("index" in event for event in stream(server, text="a"))


PIECES = ("ab", "", 'ü"')  # of the tokens 0, 1, 2, 0, ...


def text_of(num_tokens: int) -> str:
    return "".join(PIECES[i % len(PIECES)] for i in range(num_tokens))


def events_of(checkpoint: Checkpoint, *samplings: dict[str, Any], **environ: str) -> list[list[Any]]:
    """The streams of an engine that makes one token a step: an event has one token, or more if the machine is busy."""
    found = []

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for sampling in samplings:
            body = {"text": "a", "sampling_params": sampling, "stream": True}
            found.append((await service.ask("/generate", body)).events)

    run(checkpoint, scenario, PIECES, 0.005, **environ)
    return found


def test_every_event_has_all_so_far(tiny_checkpoint: Checkpoint) -> None:
    [events] = events_of(tiny_checkpoint, {"max_new_tokens": 20})
    check_cumulative(events)
    assert len(events) > 2
    for event in events:
        num_tokens = event["meta_info"]["completion_tokens"]
        assert event["text"] == text_of(num_tokens)
        assert event["output_ids"] == list(range(num_tokens))


def test_events_with_what_is_new_alone(tiny_checkpoint: Checkpoint) -> None:
    [events] = events_of(tiny_checkpoint, {"max_new_tokens": 20}, INCREMENTAL_STREAMING_OUTPUT="on")
    assert len(events) > 2
    before = 0
    for event in events:
        num_tokens = event["meta_info"]["completion_tokens"]
        assert event["text"] == text_of(num_tokens).removeprefix(text_of(before))
        assert event["output_ids"] == list(range(before, num_tokens))
        before = num_tokens
    assert before == 20


def test_the_interval_of_a_stream(tiny_checkpoint: Checkpoint) -> None:
    by_4, by_100 = events_of(
        tiny_checkpoint, *({"max_new_tokens": 18, "stream_interval": interval} for interval in (4, 100))
    )
    check_cumulative(by_4, 4)
    assert 2 <= len(by_4) <= 5
    assert [event["text"] for event in by_100] == [text_of(18)]


def test_a_sample_that_fails_ends_its_part_of_a_stream_alone(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.failing = NumericalError("not finite")  # the second token of whoever wants more
        body = {"text": ["a", "b"], "sampling_params": [{"max_new_tokens": 2}, {"max_new_tokens": 9}]}
        found = by_index((await service.ask("/generate", body | {"stream": True})).events)
        assert found[0][-1]["meta_info"]["finish_reason"] == {"type": "length", "length": 2}
        last = found[1][-1]
        assert last["text"] == "ab ab "
        assert last["meta_info"]["finish_reason"] == {
            "type": "abort", "message": "numerical_error: not finite", "status_code": 500,
            "err_type": "InternalServerError",
        }  # fmt: skip
        buffered = await service.ask("/generate", body)
        assert buffered.status == 500
        assert buffered.json == {
            "object": "error", "message": "numerical_error: not finite", "type": "500", "param": None, "code": 500,
        }  # fmt: skip

    run(tiny_checkpoint, scenario)


@pytest.mark.parametrize("in_stream", [False, True])
def test_an_aborted_request_is_answered_with_what_it_has(tiny_checkpoint: Checkpoint, in_stream: bool) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        body = {"text": ["a", "b"], "rid": ["long", "short"], "stream": in_stream,
                "sampling_params": [{"max_new_tokens": 25}, {"max_new_tokens": 3}]}  # fmt: skip
        engine.hold.clear()
        exchange = service.send("/generate", body)
        await eventually(lambda: len(engine.live) == 2)
        engine.hold.set()
        await eventually(lambda: "long" not in engine.live or engine.live["long"].sampled > 2)
        engine.hold.clear()
        aborted = await service.ask("/abort_request", {"rid": "long"})
        assert (aborted.status, aborted.body) == (200, b"")
        answers = by_index((await exchange.done()).events) if in_stream else None
        first, second = [answers[0][-1], answers[1][-1]] if answers is not None else (await exchange.done()).json
        assert exchange.status == 200
        reason = first["meta_info"]["finish_reason"]
        assert reason == {"type": "abort", "message": "Aborted", "status_code": None, "err_type": None}
        assert second["meta_info"]["finish_reason"] == {"type": "length", "length": 3}
        assert second["text"] == "ab ab ab "

    run(tiny_checkpoint, scenario, step_s=0.005)


def test_a_request_that_is_aborted_before_it_runs_says_so(server: httpx.Client) -> None:
    """A paused engine gives nobody a slot."""
    server.post("/pause_generation", json={"mode": "in_place"}).raise_for_status()
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.post, "/generate", json={"text": "a", "rid": "waiting"})
            while not waiting.done():
                server.post("/abort_request", json={"rid": "waiting"}).raise_for_status()
                time.sleep(0.01)
    finally:
        server.post("/continue_generation", json={}).raise_for_status()
    meta = waiting.result().json()["meta_info"]
    assert set(meta) == {"id", "finish_reason", "weight_version", "e2e_latency", "completion_tokens"}
    assert meta["finish_reason"] == {"type": "abort", "message": "Abort in waiting queue"}


def test_a_client_that_leaves_ends_its_requests(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send("/generate", {"text": ["a", "b"], "rid": "gone", "stream": True})
        await exchange.until(lambda exchange: len(exchange.messages) > 2)
        exchange.disconnect()
        await exchange.done()
        await eventually(lambda: not engine.live)
        assert set(engine.cancelled) == {"gone_0", "gone_1"}

    run(tiny_checkpoint, scenario, step_s=0.002)


def test_a_full_queue_is_a_503_before_any_event(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        first = service.send("/generate", {"text": ["a", "b", "c"], "sampling_params": {"max_new_tokens": 1}})
        await eventually(lambda: len(engine.live) == 3)
        for in_stream in (False, True):
            second = await service.ask("/generate", {"text": ["a", "b"], "stream": in_stream})
            assert (second.status, second.headers["retry-after"]) == (503, "1")
            assert set(second.json) == {"object", "message", "type", "param", "code"}
            assert (second.json["type"], second.json["code"]) == ("503", 503)
        engine.hold.set()
        assert (await first.done()).status == 200

    run(tiny_checkpoint, scenario, MAX_QUEUE="4")


def test_a_timeout_in_a_stream_is_an_event(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send("/generate", {"text": "a", "stream": True})
        await exchange.until(lambda exchange: len(exchange.messages) > 1)
        engine.hold.clear()
        error = (await exchange.done()).events[-1]["error"]
        assert (error["code"], error["retryable"]) == (504, False)
        late = await service.ask("/generate", {"text": "a"})
        assert (late.status, late.json["type"]) == (504, "504")

    run(tiny_checkpoint, scenario, REQUEST_TIMEOUT_S="0.3")


def test_a_slow_reader_gets_fewer_events_with_everything(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send("/generate", {"text": "a", "stream": True, "sampling_params": {"max_new_tokens": 30}})
        await exchange.until(lambda exchange: len(exchange.messages) > 2)
        exchange.reading.clear()
        await eventually(lambda: not engine.live)
        exchange.reading.set()
        events = (await exchange.done()).events
        check_cumulative(events)
        assert len(events) < 30
        assert events[-1]["text"] == "ab " * 30

    run(tiny_checkpoint, scenario, step_s=0.005)


@pytest.mark.parametrize("seed", range(4))
def test_no_event_ends_within_a_character(server: httpx.Client, chat_checkpoint: Checkpoint, seed: int) -> None:
    """Of a model made to say emoji: each is four tokens, one a byte."""
    tokenizer = chat_checkpoint.tokenizer
    by_byte = {tokenizer.token_bytes(i): i for i in range(tokenizer.vocab_size)}
    emoji = [by_byte[bytes([byte])] for byte in "\U0001f600".encode()]
    rng = random.Random(seed)
    bias = {str(token): 60 + rng.random() for token in emoji}
    body = {
        "text": "a",
        "sampling_params": {"max_new_tokens": 200, "ignore_eos": True, "logit_bias": bias, "temperature": 30.0},
    }
    for events in (stream(server, **body), stream(server, **body)):
        check_cumulative(events)  # a half of a character would be U+FFFD, and then another one in its place
