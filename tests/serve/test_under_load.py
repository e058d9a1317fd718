"""More work than the server has room for, clients that crawl or leave, and faults: on a real server.

`pytest -m slow -s` shows the figures of docs/reliability.md; with LOAD_SECONDS=60 the overload lasts a minute, as
there.
"""

import asyncio
import os
import random
import re
import socket
import statistics
import string
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from microgpt import ModelConfig, save_checkpoint
from microgpt.tokenizers import CharTokenizer
from tests.conftest import random_arrays
from tests.serve.raw_client import Answer, connect, connect_many, get, post
from tests.serve.server_process import ROOT, ServerProcess, server_process
from tests.serve.test_many_connections import many_files, percentile, resident_kib

MODEL_DIR = ROOT / "output"
GENERATE, CHAT = "/microgpt/v1/generate", "/microgpt/v1/chat"
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "8"))
__all__ = ["many_files"]  # a fixture for all tests here

_VALUE = re.compile(rb"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+]+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def server():
    with server_process(MODEL_DIR) as server:
        yield server


def within(seconds: float, scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, seconds))


def ms(*times: float) -> str:
    return ", ".join(f"{1e3 * seconds:.1f}" for seconds in times) + " ms"


async def metrics(server: ServerProcess) -> dict[str, float]:
    """What /metrics says, by series; asked on a connection of its own."""
    client = await connect(server.url)
    answer = await client.ask(get("/metrics"))
    client.leave()
    return {name.decode(): float(value) for name, value in _VALUE.findall(answer.body)}


async def settled(server: ServerProcess, **wanted: float) -> float:
    """Seconds until nothing runs or waits any more, and no page is held by a running sequence."""
    started_at = time.perf_counter()
    while True:
        now = await metrics(server)
        busy = (
            now["microgpt_running_sequences"],
            now["microgpt_queued_sequences"],
            now['microgpt_kv_pages{state="running"}'],
        )
        if not any(busy):
            return time.perf_counter() - started_at
        await asyncio.sleep(0.01)


async def ask_all(server: ServerProcess, requests: Sequence[bytes]) -> list[Answer]:
    """Each on a connection of its own, all at once."""
    clients = await connect_many(server.url, len(requests))
    answers = await asyncio.gather(*(client.ask(request) for client, request in zip(clients, requests, strict=True)))
    for client in clients:
        client.leave()
    return answers


# Fairness


def talkative_model(path: Path, n_embd: int, n_layer: int) -> Path:
    """A random chat model that talks to the end of its context, several times as long as what a step takes of a
    prompt."""
    tokenizer = CharTokenizer(string.ascii_letters + " ", chat=True)
    config = ModelConfig(tokenizer.vocab_size, n_embd, n_head=4, n_layer=n_layer, block_size=4096)
    arrays = random_arrays(config, scale=0.1)
    arrays["lm_head"][sorted(tokenizer.special_ids)] = 0  # the largest of 53 other logits is above 0
    save_checkpoint(path, config, arrays, tokenizer)
    return path


def test_a_long_prompt_does_not_stall_running_streams(tmp_path: Path):
    async def scenario(server: ServerProcess) -> None:
        await settled(server)
        streams = await connect_many(server.url, 8)
        answers = [
            stream.send(post(GENERATE, max_tokens=4096, stream=True, seed=seed, temperature=0.01))
            for seed, stream in enumerate(streams)
        ]
        while not all(answer.came_at for answer in answers):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        long = await connect(server.url)
        prompt = "".join(random.Random(0).choices(string.ascii_letters, k=4096))
        sent_at = time.perf_counter()
        first = await long.ask(post(CHAT, messages=[{"role": "user", "content": prompt}], max_tokens=1))
        assert first.status == 200
        before = [gap for answer in answers for gap in gaps_between(answer, 0, sent_at)]
        beside = [gap for answer in answers for gap in gaps_between(answer, sent_at, first.came_at[0])]
        print(
            f"\na prompt of 3072 tokens took {ms(first.took_s)}; 8 streams' waits for a piece, p50, max: "
            f"before it {ms(statistics.median(before), max(before))}, meanwhile "
            f"{ms(statistics.median(beside), max(beside))}"
        )
        assert len(beside) >= 8 * 4  # it is six steps
        assert max(beside) < first.took_s / 2
        for client in (*streams, long):
            client.leave()

    with server_process(talkative_model(tmp_path, n_embd=128, n_layer=4)) as server:
        within(60, scenario(server))


def gaps_between(answer: Answer, start: float, end: float) -> list[float]:
    """What a stream's reader waited for the pieces that came in [start, end)."""
    times = answer.came_at
    return [later - earlier for earlier, later in zip(times, times[1:], strict=False) if start <= later < end]


def test_the_samples_of_others_keep_nobody_waiting(server: ServerProcess):
    async def scenario() -> None:
        clients = await connect_many(server.url, 6)
        await clients[5].ask(post(GENERATE, max_tokens=2))
        many = [
            asyncio.create_task(client.ask(post(GENERATE, num_samples=50, max_tokens=256, temperature=2, seed=seed)))
            for seed, client in enumerate(clients[:5])
        ]
        await asyncio.sleep(0.1)
        took = []
        while not any(task.done() for task in many):
            took.append((await clients[5].ask(post(GENERATE, max_tokens=8))).took_s)
        answers = await asyncio.gather(*many)
        assert {answer.status for answer in answers} == {200}
        slowest = max(answer.took_s for answer in answers)
        print(
            f"\n5 clients with 50 samples of up to 256 tokens each took {ms(slowest)}; a sixth with 8 tokens "
            f"waited {ms(*took[:3])}"
        )
        assert took[0] < slowest / 2
        for client in clients:
            client.leave()

    within(60, scenario())


def test_no_request_waits_while_later_ones_finish(server: ServerProcess):
    """The first piece of each comes before the end of any that was sent well after it."""

    async def scenario() -> None:
        rng = random.Random(1)
        clients = await connect_many(server.url, 200)
        answers = []
        for seed, client in enumerate(clients):
            words = " ".join(rng.choices(["fox", "dog", "the", "runs", "and"], k=rng.choice([1, 10, 200])))
            request = {"messages": [{"role": "user", "content": words}], "max_tokens": rng.choice([1, 20, 200])}
            answers.append(client.send(post(CHAT, stream=True, seed=seed, **request)))
            await asyncio.sleep(0.001)
        await asyncio.gather(*(client.ended() for client in clients))
        assert {answer.status for answer in answers} == {200}
        sent = sorted(answers, key=lambda answer: answer.sent_at)
        late = [
            (i, j)
            for i, earlier in enumerate(sent)
            for j, later in enumerate(sent[i + 1 :], i + 1)
            # What came in the same 20 ms may have been read in any order, by the server or here.
            if later.sent_at > earlier.sent_at + 0.02 and later.came_at[-1] < earlier.came_at[0] - 0.02
        ]
        assert late == []
        for client in clients:
            client.leave()

    within(60, scenario())


# Clients that crawl or leave


def crawl(server: ServerProcess, request: bytes) -> socket.socket:
    """The connection of a client that has sent its request and reads nothing, with as little room for what comes as
    the system allows."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    host, port = server.url.removeprefix("http://").split(":")
    connection.connect((host, int(port)))
    connection.sendall(request)
    return connection


@pytest.mark.slow
def test_readers_that_do_not_read_slow_nobody_and_get_merged_pieces(tmp_path: Path):
    count = 3
    request = {"num_samples": 50, "max_tokens": 1200, "stream": True, "temperature": 0.01}

    async def regular(server: ServerProcess, seconds: float) -> list[float]:
        """How long short answers take, one after the other."""
        client = await connect(server.url)
        took, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            took.append((await client.ask(post(GENERATE, max_tokens=8))).took_s)
        client.leave()
        return took

    async def scenario(server: ServerProcess) -> None:
        reading, *_ = await ask_all(server, [post(GENERATE, seed=0, **request)] * count)
        await settled(server)
        memory = resident_kib(server)
        alone = await regular(server, 1)
        crawling = [crawl(server, post(GENERATE, seed=0, **request)) for _ in range(count)]
        beside = await regular(server, 1)
        took = await settled(server)  # nobody has read a byte yet
        after = await regular(server, 1)
        grown = resident_kib(server) - memory
        sizes = []
        for connection in crawling:
            answer = Answer(0, await asyncio.to_thread(read_stream, connection))
            assert answer.events[-1] == reading.events[-1]
            assert joined(answer) == joined(reading)
            sizes.append(len(answer.events))
        print(
            f"\n{count} clients that did not read their {len(reading.data) / 2**20:.1f} MiB: "
            f"{statistics.median(sizes):.0f} pieces instead of {len(reading.events)}, "
            f"{grown / count:.0f} KiB of memory each; another's p50, p99: {ms(percentile(alone, 50), percentile(alone, 99))} "
            f"alone, {ms(percentile(beside, 50), percentile(beside, 99))} while the engine worked for them ({took:.1f} s), "
            f"{ms(percentile(after, 50), percentile(after, 99))} after that"
        )
        assert statistics.median(sizes) < len(reading.events) / 2
        assert grown / count < 2048

    with server_process(talkative_model(tmp_path, n_embd=16, n_layer=1)) as server:
        within(60, scenario(server))


def joined(answer: Answer) -> dict[int, str]:
    """The deltas of a stream, by sample."""
    texts: dict[int, str] = {}
    for event in answer.events[:-1]:
        texts[event["index"]] = texts.get(event["index"], "") + event["delta"]
    return texts


def read_stream(connection: socket.socket) -> bytes:
    """All of an answer in chunks."""
    with connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)  # else it takes a minute
        data = bytearray()
        while not data.endswith(b"\r\n0\r\n\r\n"):
            data += connection.recv(2**20)
    return bytes(data)
