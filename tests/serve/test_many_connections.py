"""Hundreds of clients that stall and thousands that only sit there, on a real server: the rest does not notice.

`pytest -s` shows the figures of docs/reliability.md.
"""

import asyncio
import contextlib
import resource
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.serve.server_process import ServerProcess, server_process

GOLDEN_DIR = Path(__file__).parents[1] / "golden"
HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
BODY = b'{"max_tokens": 8}'
HEAD = (
    b"POST /microgpt/v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY)
)
STALLED = {"half of a head": HEAD[:60], "half of a body": HEAD + BODY[:9], "nothing": b""}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def many_files():
    """As many open files as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connect(server: ServerProcess) -> Streams:
    host, port = server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def connect_many(server: ServerProcess, count: int) -> list[Streams]:
    """In groups: a thousand handshakes at once would overflow the listener's queue."""
    connections: list[Streams] = []
    while len(connections) < count:
        group = min(250, count - len(connections))
        connections += await asyncio.gather(*(connect(server) for _ in range(group)))
    return connections


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes = HEAD + BODY) -> float:
    """Seconds until the answer to a request was there; it must be a 200."""
    started_at = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return time.perf_counter() - started_at


@asynccontextmanager
async def regular_client(server: ServerProcess) -> AsyncIterator[list[float]]:
    """A client that asks all the while, and the times that its requests took."""
    took: list[float] = []

    async def go_on() -> None:
        reader, writer = await connect(server)
        while True:
            took.append(await ask(reader, writer))
            await asyncio.sleep(0.01)

    asking = asyncio.create_task(go_on())
    try:
        yield took
        assert not asking.done(), asking.exception()
    finally:
        asking.cancel()


def percentile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100)[percent - 1]


def resident_kib(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def cpu_seconds(server: ServerProcess) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.slow
def test_500_stalled_sockets_are_gone_within_12_s_and_nobody_else_notices():
    async def stall(server: ServerProcess, sent: bytes) -> tuple[bytes, float]:
        """What came until the server closed the connection, and after how many seconds it did."""
        reader, writer = await connect(server)
        started_at = time.perf_counter()
        writer.write(sent)
        answer = await reader.read()
        writer.close()
        return answer, time.perf_counter() - started_at

    async def scenario(server: ServerProcess) -> None:
        async with regular_client(server) as alone:
            await asyncio.sleep(3)
        async with regular_client(server) as beside, asyncio.timeout(60):
            kinds = list(STALLED) * 167
            stalled = await asyncio.gather(*(stall(server, STALLED[kind]) for kind in kinds[:500]))
        seen = Counter((kind, answer[9:12]) for kind, (answer, _) in zip(kinds, stalled, strict=False))
        assert seen == {("half of a head", b"408"): 167, ("half of a body", b"408"): 167, ("nothing", b""): 166}
        times = [seconds for _, seconds in stalled]
        print(
            f"\n500 stalled sockets: closed after {min(times):.1f} to {max(times):.1f} s; "
            f"a regular client's p50, p99, max: "
            + " | ".join(
                f"{name} {1e3 * percentile(t, 50):.1f}, {1e3 * percentile(t, 99):.1f}, {1e3 * max(t):.1f} ms"
                for name, t in (("alone", alone), ("beside them", beside))
            )
        )
        assert min(times) > 9.5  # they were accepted before the clock here started
        assert max(times) <= 12
        assert len(beside) > 200
        assert percentile(beside, 99) < 2 * percentile(alone, 99) + 0.1

    with server_process(GOLDEN_DIR / "chat_bpe") as server:
        asyncio.run(scenario(server))


@pytest.mark.slow
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "kept alive"])
def test_10_000_idle_connections_cost_little_and_a_new_request_is_answered_at_once(many_files: int, used: bool):
    count = min(10_000, many_files - 100)

    async def scenario(server: ServerProcess) -> None:
        await asyncio.gather(*(ask(*connection) for connection in await connect_many(server, 20)))  # warm
        before = resident_kib(server)
        idle = await connect_many(server, count)
        if used:
            for start in range(0, count, 100):
                await asyncio.gather(*(ask(*connection, HEALTH) for connection in idle[start : start + 100]))
        cost = (resident_kib(server) - before) / count
        cpu = cpu_seconds(server)
        await asyncio.sleep(5)
        cpu = (cpu_seconds(server) - cpu) / 5
        started_at = time.perf_counter()
        reader, writer = await connect(server)
        first = await ask(reader, writer)
        new = time.perf_counter() - started_at
        more = [await ask(reader, writer) for _ in range(200)]
        print(
            f"\n{count} idle connections ({'kept alive' if used else 'fresh'}): {cost:.1f} KiB each, "
            f"{100 * cpu:.1f} % of a core; a new connection's first request took {1e3 * new:.1f} ms "
            f"({1e3 * first:.1f} ms once connected), the next 200 p50 {1e3 * percentile(more, 50):.1f}, "
            f"p99 {1e3 * percentile(more, 99):.1f} ms"
        )
        assert not any(reader.at_eof() for reader, _ in idle)
        assert cost < 32
        assert cpu < 0.1
        assert new < 1
        for _, writer in idle:
            writer.transport.abort()

    with server_process(GOLDEN_DIR / "chat_bpe", "--receive-timeout-s=60") as server:
        asyncio.run(scenario(server))


def test_150_stalled_sockets_are_gone_in_time_and_idle_ones_stay():
    async def stall(server: ServerProcess, sent: bytes) -> bytes:
        reader, writer = await connect(server)
        writer.write(sent)
        return await reader.read()

    async def scenario(server: ServerProcess) -> None:
        idle = await connect_many(server, 100)
        for connection in idle:
            await ask(*connection)
        async with regular_client(server) as beside, asyncio.timeout(20):
            answers = await asyncio.gather(*(stall(server, sent) for sent in list(STALLED.values()) * 50))
        assert Counter(answer[9:12] for answer in answers) == {b"408": 100, b"": 50}
        assert beside
        for connection in idle:
            await ask(*connection)

    with server_process(GOLDEN_DIR / "chat_bpe", "--receive-timeout-s=1") as server:
        asyncio.run(scenario(server))


def test_bodies_in_flight_share_their_room_and_the_rest_is_refused_at_once():
    size, room, count = 4 * 2**20, 16 * 2**20, 40
    head = HEAD.replace(b": %d" % len(BODY), b": %d" % size)

    async def send_all_but_the_end(server: ServerProcess) -> tuple[Streams, bytes]:
        """The connection, and what came back at once."""
        reader, writer = await connect(server)
        writer.write(head + b" " * (size - len(BODY)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                return (reader, writer), await reader.readuntil(b"\r\n\r\n")
        return (reader, writer), b""

    async def scenario(server: ServerProcess) -> None:
        await asyncio.gather(*(ask(*connection) for connection in await connect_many(server, 20)))  # warm
        before = resident_kib(server)
        sent = await asyncio.gather(*(send_all_but_the_end(server) for _ in range(count)))
        grown = (resident_kib(server) - before) / 1024
        await ask(*await connect(server))  # small requests do not need the room
        refused = [answer for _, answer in sent if answer]
        held = [connection for connection, answer in sent if not answer]
        print(f"\n{count} bodies of 4 MiB in a room of 16: {len(held)} held, {grown:.0f} MiB more memory")
        assert all(answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1\r\n" in answer for answer in refused)
        assert 1 <= len(held) <= room // (size - len(BODY))
        assert grown < 64
        for reader, writer in held:
            writer.write(BODY)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await ask(*await connect(server), head + b" " * (size - len(BODY)) + BODY)  # and there is room again

    with server_process(GOLDEN_DIR / "chat_bpe", f"--max-bodies-bytes={room}") as server:
        asyncio.run(scenario(server))


def chat_body(text: str) -> bytes:
    return b'{"messages": [{"role": "user", "content": "%s"}], "max_tokens": 1}' % text.encode()


@pytest.mark.parametrize(
    ("route", "body"),
    [
        (b"chat", chat_body("a" * (4 * 2**20 - 100))),
        (b"chat", chat_body("hello world, " * 320_000)),
        (b"generate", b'{"max_tokens": 1, "ignored": [%s]}' % b",".join([b"[]"] * 1_390_000)),
    ],
    ids=["letters", "words", "a million arrays"],
)
def test_health_is_answered_while_a_body_of_4_mib_is_prepared(route: bytes, body: bytes):
    assert 3.9 * 2**20 < len(body) <= 4 * 2**20

    async def scenario(server: ServerProcess) -> None:
        reader, writer = await connect(server)
        asking = await connect(server)
        await ask(*asking, HEALTH)
        head = HEAD.replace(b"generate", route).replace(b": %d" % len(BODY), b": %d" % len(body))
        started_at = time.perf_counter()
        huge = asyncio.create_task(ask(reader, writer, head + body))
        took = []
        while not huge.done():
            took.append(await ask(*asking, HEALTH))
            await asyncio.sleep(0.005)
        await huge
        print(
            f"\n4 MiB in a body: {time.perf_counter() - started_at:.2f} s; {len(took)} x /health meanwhile: "
            f"p50 {1e3 * percentile(took, 50):.1f}, max {1e3 * max(took):.1f} ms"
        )
        assert len(took) > 1
        assert max(took) < 1

    with server_process(GOLDEN_DIR / "chat_bpe") as server:
        asyncio.run(scenario(server))
