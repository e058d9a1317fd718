"""The direct way: what it answers, logs and counts is what the application does, to the byte; and how it ends early."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import serve.access
from microgpt import Checkpoint, NumericalError
from serve.access import configure_logging
from serve.protocol import HttpProtocol
from serve.service import OFF_LOOP_BYTES
from tests.serve.asgi_driver import CHAT, GENERATE, Served, eventually, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine
from tests.serve.test_receiving import Connect, listening

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

HELLO = {"messages": [{"role": "user", "content": "abc"}], "max_tokens": 3}
ID = b"x-request-id: the-id\r\n"
LIMITED = {"RATE_LIMIT": "1/minute", "RATE_BURST": "2"}
KEYS = {"API_KEY": "secret"}
ORIGIN = b"origin: http://localhost:9\r\n"


def post(path: str, body: Any, more: bytes = ID, kind: bytes = b"application/json", version: bytes = b"1.1") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = b"POST %b HTTP/%b\r\nhost: localhost\r\ncontent-type: %b\r\n%b" % (path.encode(), version, kind, more)
    return head + b"content-length: %d\r\n\r\n%b" % (len(data), data)


CHUNKED = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n" % (
    GENERATE.encode()
)


@pytest.fixture
def task_starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests for which the application got a task."""
    paths: list[str] = []
    start = HttpProtocol._start

    def noted(self: HttpProtocol) -> None:
        paths.append(self.scope["path"])
        start(self)

    monkeypatch.setattr(HttpProtocol, "_start", noted)
    return paths


@asynccontextmanager
async def serving(
    checkpoint: Checkpoint, is_direct: bool = True, **environ: str
) -> AsyncIterator[tuple[Connect, Served, ScriptedEngine]]:
    """A server in this process, its protocol on real sockets; not is_direct: all goes ASGI's way."""
    engine = ScriptedEngine(checkpoint)
    async with served(checkpoint, lambda: as_engine(engine), environ=environ) as service:
        if not is_direct:
            service.app.direct_way = None
        async with listening(service.app) as (connect, _):
            yield connect, service, engine


async def answer_to(connect: Connect, *requests: bytes) -> list[bytes]:
    """What comes back to each of `requests` on one connection, at the end whatever is left before it closes."""
    reader, writer = await connect()
    answers = []
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head)
        if size is None:
            answers.append(head + await reader.readuntil(b"0\r\n\r\n"))
        else:
            answers.append(head + await reader.readexactly(int(size[1])))
    if b"connection: close" in answers[-1]:
        assert await reader.read() == b""
    writer.close()
    return answers


def counted(metrics: bytes) -> list[str]:
    """All that does not depend on how long things took."""
    return [line for line in metrics.decode().splitlines() if not re.search(r"seconds|throughput|batch|info", line)]


@pytest.mark.parametrize(
    ("requests", "environ", "num_tasks"),
    [
        ([post(GENERATE, {"max_tokens": 3})], {}, 0),
        ([post(GENERATE, {"max_tokens": 3, "num_samples": 3, "stop": ["b"]})] * 3, {}, 0),
        ([post(GENERATE, b"{}", ID + b"connection: close\r\n")], {}, 0),
        ([post(GENERATE, b"{}", version=b"1.0")], {}, 0),
        ([post(CHAT, HELLO)] * 2, {}, 0),
        ([CHUNKED + ID + b"\r\n2\r\n{}\r\n0\r\n\r\n"], {}, 0),
        ([post("/tokenize", {"prompt": "abc"})], {}, 0),
        # refused
        ([post(GENERATE, {"temperature": -1})] * 2, {}, 0),
        ([post(GENERATE, {"temperature": "hot"}), post(GENERATE, b"{")], {}, 0),
        ([post(GENERATE, {}, kind=b"text/plain")], {}, 0),
        ([post(GENERATE, {"max_tokens": 1})] * 3, LIMITED, 0),
        ([post(GENERATE, {"num_samples": 9}), post(GENERATE, {"num_samples": 7})], {"MAX_QUEUE": "8"}, 0),
        ([post("/generate", {"text": 5})], {}, 0),
        ([post(GENERATE, {"x": "a" * 100})], {"MAX_BODY_BYTES": "99"}, 1),
        # not plain
        ([post(GENERATE, {"max_tokens": 3, "stream": True})] * 2, LIMITED, 2),
        ([post(GENERATE, {"max_tokens": 3, "logprobs": True})], LIMITED, 1),
        ([post("/generate", {"text": "abc", "stream": True, "sampling_params": {"temperature": -1}})], LIMITED, 1),
        ([post(GENERATE, {"x": "a" * OFF_LOOP_BYTES, "max_tokens": 3})], LIMITED, 1),
        ([post(GENERATE, {"max_tokens": 3})], {"LOG_PROMPTS": "on"}, 1),
        ([post(GENERATE + "?x=1", {"max_tokens": 3})], {}, 1),
        # guarded
        ([post(GENERATE, {"max_tokens": 3}).replace(b"localhost", b"example.org")], {}, 1),
        ([post(GENERATE, {"max_tokens": 3}, ID + ORIGIN)], {}, 0),
        ([post(GENERATE, {"max_tokens": 3}, ID + b"origin: http://example.org\r\n")], {}, 1),
        ([post(GENERATE, {"max_tokens": 3}, ID + ORIGIN)], {"CORS_ORIGINS": "http://localhost:9"}, 1),
        ([post(GENERATE, {"max_tokens": 3}, ID)], {"CORS_ORIGINS": "http://localhost:9"}, 1),
        ([post(GENERATE, {"max_tokens": 3}, ID + b"authorization: Bearer secret\r\n")] * 3, KEYS | LIMITED, 0),
        ([post(GENERATE, {"max_tokens": 3}, ID)], KEYS, 1),
    ],
)
def test_answers_log_and_metrics_are_the_applications(
    tiny_checkpoint: Checkpoint,
    requests: list[bytes],
    environ: dict[str, str],
    num_tasks: int,
    task_starts: list[str],
    capsys: pytest.CaptureFixture[str],
):
    async def outcome(is_direct: bool) -> tuple[list[bytes], list[str]]:
        async with serving(tiny_checkpoint, is_direct, **environ) as (connect, service, _):
            answers = await answer_to(connect, *requests)
            await service.service.idle()
            await eventually(lambda: service.app._metrics.num_active == 0)
            return answers, counted(service.app._metrics.render())

    configure_logging("text")
    direct, direct_counts = asyncio.run(outcome(True))
    assert len(task_starts) == num_tasks
    direct_log = capsys.readouterr().err
    whole, whole_counts = asyncio.run(outcome(False))
    assert len(task_starts) == num_tasks + len(requests)
    whole_log = capsys.readouterr().err
    assert direct == whole
    assert direct_counts == whole_counts
    times = re.compile(r"^\S+ \S+|(?<=_ms=)[0-9.]+", re.MULTILINE)
    assert times.sub("", direct_log) == times.sub("", whole_log)
    assert direct_log.count(" INFO serve.access: request id=") == len(requests)


def test_a_body_in_pieces_goes_the_applications_way(tiny_checkpoint: Checkpoint, task_starts: list[str]):
    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, _, engine):
            request = post(GENERATE, {"max_tokens": 3})
            for cut in (10, request.index(b"\r\n\r\n") + 4, len(request) - 1):
                reader, writer = await connect()
                writer.write(request[:cut])
                await asyncio.sleep(0.02)
                writer.write(request[cut:])
                assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
                writer.close()
            assert len(engine.seen) == 3
            assert task_starts == [GENERATE] * 2  # the first one's head came in pieces, its body whole

    asyncio.run(scenario())


def test_a_client_that_leaves_cancels_its_request(
    tiny_checkpoint: Checkpoint, task_starts: list[str], capsys: pytest.CaptureFixture[str]
):
    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, service, engine):
            engine.hold.clear()
            _, writer = await connect()
            writer.write(post(GENERATE, {"num_samples": 3}))
            await eventually(lambda: len(engine.seen) == 1)
            assert (service.client.in_flight, service.service.accepted.idle.is_set()) == (3, False)
            writer.close()
            await eventually(lambda: service.client.in_flight == 0)
            assert len(engine.cancelled) == 1
            await asyncio.wait_for(service.service.idle(), 5)
            assert service.app._metrics._cancelled == {"disconnected": 1, "timeout": 0}

    configure_logging("text")
    asyncio.run(scenario())
    assert not task_starts
    [line] = capsys.readouterr().err.splitlines()
    assert f"route={GENERATE} prompt_tokens=3 tokens=0 duration_ms=" in line
    assert 'note="client disconnected"' in line


def test_time_that_is_up_is_a_504_and_cancels(tiny_checkpoint: Checkpoint, task_starts: list[str]):
    async def scenario() -> None:
        async with serving(tiny_checkpoint, REQUEST_TIMEOUT_S="0.2") as (connect, service, engine):
            engine.hold.clear()
            [answer] = await answer_to(connect, post(GENERATE, {}))
            assert answer.startswith(b"HTTP/1.1 504 ")
            assert answer.endswith(b'{"error":"the request took longer than 0.2 s"}')
            await eventually(lambda: service.client.in_flight == 0)
            assert len(engine.cancelled) == 1
            assert service.app._metrics._cancelled == {"disconnected": 0, "timeout": 1}
            engine.hold.set()
            [answer] = await answer_to(connect, post(GENERATE, {"max_tokens": 2}))  # in time
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert not task_starts

    asyncio.run(scenario())


def test_while_draining_the_connection_is_closed_after_the_answer(tiny_checkpoint: Checkpoint, task_starts: list[str]):
    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, service, engine):
            engine.hold.clear()
            asked = asyncio.create_task(answer_to(connect, post(GENERATE, {"max_tokens": 2})))
            await eventually(lambda: len(engine.seen) == 1)
            service.service.draining = True
            [late] = await answer_to(connect, post(GENERATE, {}))
            assert late.startswith(b"HTTP/1.1 503 ")
            assert b"connection: close" in late
            assert not service.service.accepted.idle.is_set()
            engine.hold.set()
            [answer] = await asked
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer
            await asyncio.wait_for(service.service.idle(), 5)
            assert not task_starts

    asyncio.run(scenario())


@pytest.mark.parametrize("num_samples", [1, 3])
def test_a_failing_sample_is_the_answer_and_ends_the_others(
    tiny_checkpoint: Checkpoint, num_samples: int, task_starts: list[str], capsys: pytest.CaptureFixture[str]
):
    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, service, engine):
            engine.failing = NumericalError("logits are not finite")
            [answer] = await answer_to(connect, post(GENERATE, {"num_samples": num_samples, "max_tokens": 5}))
            assert answer.startswith(b"HTTP/1.1 500 ")
            assert answer.endswith(b'{"error":"numerical_error: logits are not finite"}')
            await eventually(lambda: service.client.in_flight == 0)
            assert not service.client._generations
            assert not task_starts

    configure_logging("text")
    asyncio.run(scenario())
    assert 'note="logits are not finite"' in capsys.readouterr().err


def test_an_engine_fault_is_a_503(tiny_checkpoint: Checkpoint, task_starts: list[str]):
    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, service, engine):
            engine.hold.clear()
            asked = [asyncio.create_task(answer_to(connect, post(GENERATE, {}))) for _ in range(3)]
            await eventually(lambda: len(engine.seen) == 3)
            engine.broken = RuntimeError("planted")
            for [answer] in await asyncio.gather(*asked):
                assert answer.startswith(b"HTTP/1.1 503 ")
            assert (await answer_to(connect, post(GENERATE, {})))[0].startswith(b"HTTP/1.1 503 ")
            await asyncio.wait_for(service.service.idle(), 5)
            assert not task_starts

    asyncio.run(scenario())


@pytest.mark.parametrize("where", ["prepare", "body"])
def test_an_unexpected_error_is_a_500_with_a_traceback_and_harms_no_one_else(
    tiny_checkpoint: Checkpoint,
    where: str,
    task_starts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    import serve.dialects.microgpt_v1 as module

    def fail(*arguments: Any) -> Any:
        raise ZeroDivisionError("planted")

    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, service, engine):
            engine.hold.clear()
            chat = asyncio.create_task(answer_to(connect, post(CHAT, HELLO)))
            await eventually(lambda: len(engine.seen) == 1)
            if where == "prepare":
                monkeypatch.setattr(module, "_out_of_bounds", fail)
            else:
                monkeypatch.setattr(module.GenerateRenderer, "body", fail)
            generate = asyncio.create_task(answer_to(connect, post(GENERATE, {"max_tokens": 1})))
            await asyncio.sleep(0.02)
            engine.hold.set()
            assert (await generate)[0].startswith(b"HTTP/1.1 500 ")
            assert (await generate)[0].endswith(b'{"error":"internal error"}')
            assert (await chat)[0].startswith(b"HTTP/1.1 200 ")
            await asyncio.wait_for(service.service.idle(), 5)
            assert not task_starts

    configure_logging("text")
    asyncio.run(scenario())
    errors = capsys.readouterr().err
    assert "ERROR serve.endpoint: unexpected error in request the-id" in errors
    assert "ZeroDivisionError: planted" in errors


def test_what_is_behind_a_request_is_dropped_and_the_connection_closed(
    tiny_checkpoint: Checkpoint, task_starts: list[str]
):
    async def scenario() -> None:
        async with serving(tiny_checkpoint) as (connect, _, engine):
            for behind in (post(GENERATE, {}), b"garbage\r\n\r\n"):
                reader, writer = await connect()
                writer.write(post(GENERATE, {"max_tokens": 2}) + behind)
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 200 ")
                assert answer.count(b"HTTP/1.1") == 1
                assert b"connection: close" in answer
                writer.close()
            assert len(engine.seen) == 2
            assert not task_starts

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_sent_no_more(tiny_checkpoint: Checkpoint, task_starts: list[str]):
    async def scenario() -> None:
        engine = ScriptedEngine(tiny_checkpoint)
        async with (
            served(tiny_checkpoint, lambda: as_engine(engine)) as service,
            listening(service.app) as (connect, connections),
        ):
            reader, writer = await connect()
            await eventually(lambda: len(connections) == 1)
            [connection] = connections
            connection.pause_writing()  # as the transport does when 64 KiB wait
            writer.write(post(GENERATE, {"max_tokens": 2}))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            assert task_starts == [GENERATE]
            connection.resume_writing()
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()

    asyncio.run(scenario())


def test_log_lines_of_a_round_of_the_loop_leave_in_one_write(
    tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    written: list[str] = []

    class Log:
        def write(self, text: str) -> None:
            written.append(text)

    async def scenario() -> None:
        log = serve.access.AccessLog("text")
        for i in range(3):
            log.write(serve.access.Access(str(i), "POST", 0.0), 1.0)
        assert not written
        await asyncio.sleep(0)
        assert [line.split("id=")[1][0] for line in written[0].splitlines()] == ["0", "1", "2"]
        log.write(serve.access.Access("3", "POST", 0.0), 1.0)
        log.flush()  # as before an end that leaves the loop no time
        assert len(written) == 2

    configure_logging("text")
    monkeypatch.setattr(serve.access.sys, "stderr", Log())
    asyncio.run(scenario())
    assert "".join(written).count("\n") == 4
