"""Connections whose clients keep the server waiting, on a server in this process with little patience."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

import serve.protocol
from serve.access import send_json
from serve.body import WATCH_KEY, BodyRoom, ClientDisconnected, read_body
from serve.errors import HttpError, error_body
from serve.protocol import HttpProtocol, Sweeper

RECEIVE_S, KEEP_ALIVE_S = 0.3, 0.6
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
HALF_A_HEAD = b"POST / HTTP/1.1\r\nhost: loc"
HALF_A_BODY = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345"
LATE = {"error": "receiving the request took longer than 0.3 s"}


class App:
    """Reads bodies as the endpoints do and answers with their length; notes what came of each request."""

    def __init__(self, answer: bytes = b""):
        self.outcomes: list[Any] = []
        self.answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/deaf":  # waits for a body without ever looking at what it is told
            while (await receive())["type"] != "http.disconnect":
                pass
            self.outcomes.append("gone")
            return
        if scope["path"] == "/refuse":  # does not read the body at all
            await send_json(send, 429, b"{}")
            return
        try:
            body = await read_body(scope, receive, 1000, BodyRoom(1000))
        except HttpError as error:
            self.outcomes.append(error.status)
            await send_json(send, error.status, error_body(error.message), error.headers)
        except ClientDisconnected:
            self.outcomes.append("gone")
        else:
            self.outcomes.append(len(body))
            await send_json(send, 200, self.answer or json.dumps(len(body)).encode())


Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def listening(app: Any, protocol: type[HttpToolsProtocol] = HttpProtocol):
    """How to connect to a server of `app`, and its open connections."""
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    state = ServerState()
    sweeper = Sweeper(state.connections, RECEIVE_S, KEEP_ALIVE_S)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1")
    if protocol is HttpProtocol:
        sweeper.start()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*server.sockets[0].getsockname())

    try:
        async with asyncio.timeout(20):
            yield connect, state.connections
    finally:
        sweeper.stop()
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()  # pyright: ignore


def parse(answer: bytes) -> tuple[int, Any]:
    """Status and JSON of one whole answer that closes its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert re.search(rb"content-length: (\d+)", head)[1] == b"%d" % len(body)  # pyright: ignore
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("sent", [HALF_A_HEAD, HALF_A_BODY, HALF_A_BODY[:-5]])
@pytest.mark.parametrize("before", [b"", GET])
def test_request_that_does_not_arrive_in_time_is_a_408_and_the_connection_closes(sent: bytes, before: bytes):
    async def scenario() -> None:
        app = App()
        async with listening(app) as (connect, connections):
            reader, writer = await connect()
            if before:
                writer.write(before)
                await reader.readuntil(b"\r\n\r\n0")
            started_at = asyncio.get_running_loop().time()
            writer.write(sent)
            assert parse(await reader.read()) == (408, LATE)
            assert asyncio.get_running_loop().time() - started_at >= RECEIVE_S
            await asyncio.sleep(0.05)
            assert not connections
            assert app.outcomes == [0] * bool(before) + [408] * (sent is not HALF_A_HEAD)

    asyncio.run(scenario())


@pytest.mark.parametrize("request_", [HALF_A_HEAD, HALF_A_BODY])
def test_dribbling_does_not_extend_the_time(request_: bytes):
    async def scenario() -> None:
        async with listening(App()) as (connect, _):
            reader, writer = await connect()
            writer.write(request_[: len(request_) // 2])

            async def dribble() -> None:
                for byte in request_[len(request_) // 2 :] + HALF_A_BODY * 100:
                    await asyncio.sleep(0.1)
                    writer.write(bytes([byte]))

            dribbling = asyncio.create_task(dribble())
            try:
                status, error = parse(await asyncio.wait_for(reader.read(), 5))
            finally:
                dribbling.cancel()
            assert (status, error) == (408, LATE)

    asyncio.run(scenario())


def test_slow_but_timely_request_is_served():
    async def scenario() -> None:
        async with listening(App()) as (connect, _):
            reader, writer = await connect()
            for _ in range(4):  # each request has its own time
                for piece in (HALF_A_BODY[:20], HALF_A_BODY[20:-5], b"12345", b"67890"):
                    writer.write(piece)
                    await asyncio.sleep(RECEIVE_S / 8)
                assert (await reader.readuntil(b"\r\n\r\n10")).startswith(b"HTTP/1.1 200")

    asyncio.run(scenario())


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n"])
def test_connection_on_which_nothing_comes_is_closed_in_silence(before: bytes):
    async def scenario() -> None:
        async with listening(App()) as (connect, connections):
            reader, writer = await connect()
            writer.write(before)
            assert await reader.read() == b""
            assert not connections

    asyncio.run(scenario())


def test_idle_connection_is_closed_in_silence_after_the_keep_alive_time():
    async def scenario() -> None:
        async with listening(App()) as (connect, connections):
            reader, writer = await connect()
            for _ in range(3):
                writer.write(GET)
                await reader.readuntil(b"\r\n\r\n0")
                await asyncio.sleep(KEEP_ALIVE_S * 2 / 3)
            idle_since = asyncio.get_running_loop().time()
            assert await reader.read() == b""
            assert asyncio.get_running_loop().time() - idle_since >= KEEP_ALIVE_S / 3 - 0.1
            assert not connections

    asyncio.run(scenario())


def test_rest_of_a_refused_body_does_not_keep_a_connection_forever():
    async def scenario() -> None:
        async with listening(App()) as (connect, connections):
            reader, writer = await connect()
            writer.write(HALF_A_BODY.replace(b"POST /", b"POST /refuse"))
            await reader.readuntil(b"{}")
            await asyncio.sleep(0.1)
            assert len(connections) == 1
            writer.write(b"678")  # and not the last two bytes
            assert await reader.read() == b""

    asyncio.run(scenario())


def test_request_under_way_is_not_hurried():
    async def scenario() -> None:
        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await asyncio.sleep(3 * max(RECEIVE_S, KEEP_ALIVE_S))
            await send_json(send, 200, b"done")

        async with listening(slow) as (connect, _):
            reader, writer = await connect()
            writer.write(HALF_A_BODY + b"67890")
            assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")

    asyncio.run(scenario())


def test_app_that_does_not_answer_a_late_body_loses_its_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve.protocol, "FLUSH_S", 0.3)

    async def scenario() -> None:
        app = App()
        async with listening(app) as (connect, connections):
            reader, writer = await connect()
            writer.write(HALF_A_BODY.replace(b"POST /", b"POST /deaf"))
            assert await reader.read() == b""
            await asyncio.sleep(0.05)
            assert (app.outcomes, len(connections)) == (["gone"], 0)

    asyncio.run(scenario())


def test_client_that_never_reads_its_answer_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve.protocol, "FLUSH_S", 0.3)

    async def scenario() -> None:
        async with listening(App(b"x" * 2**24)) as (connect, connections):
            _, writer = await connect()
            writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
            writer.write(GET)
            while not connections:
                await asyncio.sleep(0.01)
            while connections:
                await asyncio.sleep(0.05)

    asyncio.run(scenario())


def test_answers_that_nobody_reads_are_bounded_in_sum_and_the_largest_go_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve.protocol, "MAX_UNREAD_BYTES", 76 * 2**20)  # the system takes some MiB more
    large, small = App(b"x" * 2**25), App(b"y" * 2**24)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (large if scope["path"] == "/large" else small)(scope, receive, send)

    async def scenario() -> None:
        async with listening(app) as (connect, connections):
            readers = []
            for path in (b"/large", b"/", b"/large", b"/"):  # 96 MiB
                reader, writer = await connect()
                writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
                writer.write(GET.replace(b"/", path, 1))
                readers.append((reader, writer))
            while len(connections) != 3 or len(large.outcomes + small.outcomes) < 4:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert len(connections) == 3  # and no more than need be
            for reader, writer in readers[1::2]:
                writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(2**24) == small.answer

    asyncio.run(scenario())


def test_time_in_which_the_server_itself_stood_still_is_not_held_against_clients():
    async def scenario() -> None:
        async with listening(App()) as (connect, _):
            reader, writer = await connect()
            writer.write(HALF_A_BODY)
            await asyncio.sleep(0.05)
            time.sleep(3 * RECEIVE_S)
            await asyncio.sleep(0)
            writer.write(b"67890")
            assert (await reader.readuntil(b"\r\n\r\n10")).startswith(b"HTTP/1.1 200")

    asyncio.run(scenario())


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
@pytest.mark.parametrize("status", [200, 204, 304, 418, 503])
@pytest.mark.parametrize("more", [b"", b"connection: close\r\n", b"connection: keep-alive\r\n"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"4"), (b"x-a", b"b")],
        [(b"connection", b"close"), (b"content-length", b"4")],
        [(b"connection", b"Close")],
    ],
)
def test_answers_are_those_of_uvicorn(version: bytes, method: bytes, status: int, more: bytes, headers: Any):
    body = b"" if status in (204, 304) else b"done"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append({**scope, WATCH_KEY: None, "client": None, "server": None})
        lines = [(name, b"%d" % len(body) if name == b"content-length" else value) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await send({"type": "http.response.body", "body": body[1:]})

    async def answer(protocol: type[HttpToolsProtocol]) -> bytes:
        async with listening(app, protocol) as (connect, _):
            reader, writer = await connect()
            writer.write(b"%b /a%%20b?c=d HTTP/%b\r\nhost: localhost\r\n%b\r\n" % (method, version, more))
            writer.write_eof()
            return await reader.read()

    seen: list[Any] = []
    assert asyncio.run(answer(HttpProtocol)) == asyncio.run(answer(HttpToolsProtocol))
    assert seen[0] == {**seen[1], WATCH_KEY: None}


@pytest.mark.parametrize(
    "header", [(b"x-a", b"b\r\nx-c: d"), (b"x-a", b"b\nx-c: d"), (b"x-a\r\n", b"b"), (b"x", b"\r")]
)
def test_header_with_a_line_break_is_never_sent(header: tuple[bytes, bytes]):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [header]})

    async def scenario() -> None:
        async with listening(app) as (connect, _):
            reader, writer = await connect()
            writer.write(GET)
            assert await reader.read() == b""

    asyncio.run(scenario())


@pytest.mark.parametrize("late", [False, True])
def test_leaving_client_is_told_of_at_once_or_as_soon_as_somebody_asks(late: bool):
    left = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        watch = scope[WATCH_KEY]
        if late:
            while (await receive())["type"] != "http.disconnect":
                pass
        watch(left.set)
        await left.wait()

    async def scenario() -> None:
        async with listening(app) as (connect, connections):
            _, writer = await connect()
            writer.write(GET)
            while not connections:
                await asyncio.sleep(0.01)
            assert not left.is_set()
            writer.close()
            await asyncio.wait_for(left.wait(), 5)

    asyncio.run(scenario())
