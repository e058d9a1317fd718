"""Closed-loop load on a server, from a process of its own: python -m bench.load_client TASK.

TASK: {"host", "port", "pid" of the server, "path", "body" (all fields but the seed), "connections", "warm_up_s",
"seconds"}. Each connection sends a request, reads the answer, sends the next. The window lasts `seconds`, and until
each has ended two requests on average; what ends within it is measured. The result is printed as one line of JSON,
see `Window.result`.

The client shares its cores with the server, so it does as little as it can: raw bytes on kept connections, no HTTP
library, an answer's end found by its last bytes.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

_FIRST_SEED = 10**9  # all seeds are as long as each other, so that the head of a request never changes
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_COMPLETION_TOKENS = re.compile(rb'"completion_tokens":([0-9]+)')
_END_OF_STREAM = b"\r\n0\r\n\r\n"
_LOOK_S = 0.05
_TAIL_BYTES = 256  # the end of a stream that holds its usage
_TOKENS = re.compile(rb"^microgpt_generated_tokens_total ([0-9.e+]+)", re.MULTILINE)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Window:
    """What is measured, while it is open."""

    def __init__(self) -> None:
        self.is_open = False
        self.totals_s: list[float] = []
        self.firsts_s: list[float] = []
        self.gaps_s: list[float] = []  # between pieces of a stream
        self.token_s: list[float] = []  # of each stream: from its first piece to its last, by tokens but the first
        self.errors: dict[str, int] = {}

    @property
    def num_ended(self) -> int:
        return len(self.totals_s) + sum(self.errors.values())

    def result(self, before: "Mark", after: "Mark") -> dict[str, Any]:
        """Counts, seconds, CPU seconds, and percentiles (50, 95, 99) in seconds; tokens as the server counted them."""
        tokens = None
        if before.tokens is not None and after.tokens is not None:
            tokens = after.tokens - before.tokens
        return {
            "elapsed_s": after.at - before.at,
            "requests": len(self.totals_s),
            "tokens": tokens,
            "errors": self.errors,
            "server_cpu_s": after.server_cpu_s - before.server_cpu_s,
            "client_cpu_s": after.client_cpu_s - before.client_cpu_s,
            "total_s": percentiles(self.totals_s),
            "first_token_s": percentiles(self.firsts_s),
            "gap_s": percentiles(self.gaps_s),
            "per_token_s": percentiles(self.token_s),
        }


class Mark:
    """A moment: the clock, both processes' CPU seconds, the server's count of tokens."""

    def __init__(self, pid: int, tokens: float | None):
        self.at = time.perf_counter()
        self.client_cpu_s = time.process_time()
        self.server_cpu_s = cpu_seconds(pid)
        self.tokens = tokens


class Connection(asyncio.Protocol):
    """One client: a request after the other on one connection."""

    def __init__(self, load: "Load"):
        self._load = load
        self._transport: Any = None
        self._received = b""
        self._sent_at = self._first_at = self._last_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.stopping:
            self._load.fail(f"the server closed a connection: {exc}")

    def close(self) -> None:
        self._transport.abort()

    def _send(self) -> None:
        self._received, self._first_at = b"", 0.0
        self._transport.write(self._load.next_request())
        self._sent_at = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._first_at:
            self._stream_received(data, now)
            return
        self._received += data
        if self._load.stream and b"\ndata: " in self._received:
            self._stream_received(b"", now)
            return
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end + 2)
        if length is None or len(self._received) < head_end + 4 + int(length[1]):
            return
        window, status = self._load.window, self._received[9:12]
        if window.is_open:
            if status == b"200":
                window.totals_s.append(now - self._sent_at)
            else:
                window.errors[status.decode()] = window.errors.get(status.decode(), 0) + 1
        self._send()

    def _stream_received(self, data: bytes, now: float) -> None:
        window = self._load.window
        if not self._first_at:
            self._first_at = now
        elif window.is_open:
            window.gaps_s.append(now - self._last_at)
        self._last_at = now
        self._received = (self._received + data)[-_TAIL_BYTES:]
        if not self._received.endswith(_END_OF_STREAM):
            return
        if window.is_open:
            window.totals_s.append(now - self._sent_at)
            window.firsts_s.append(self._first_at - self._sent_at)
            tokens = _COMPLETION_TOKENS.search(self._received)
            if tokens is None:
                window.errors["in stream"] = window.errors.get("in stream", 0) + 1
            elif int(tokens[1]) > 1 and now > self._first_at:
                window.token_s.append((now - self._first_at) / (int(tokens[1]) - 1))
        self._send()


class Load:
    """All clients of a task."""

    def __init__(self, task: dict[str, Any]):
        self._task = task
        self._seed = _FIRST_SEED
        self._failure: asyncio.Future[None] | None = None
        self.stream = bool(task["body"].get("stream"))
        self.window = Window()
        self.stopping = False
        fields = json.dumps(task["body"])[:-1]
        self._body = fields + (", " if task["body"] else "") + '"seed": '
        length = len(self._body) + len(str(_FIRST_SEED)) + 1
        self._head = (
            f"POST {task['path']} HTTP/1.1\r\nhost: {task['host']}:{task['port']}\r\n"
            f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n{self._body}"
        ).encode()

    def next_request(self) -> bytes:
        """The bytes of a request with a seed that no other had."""
        self._seed += 1
        return b"%b%d}" % (self._head, self._seed)

    def fail(self, reason: str) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(ConnectionError(reason))

    async def run(self) -> dict[str, Any]:
        """Warm up, measure, and stop; the result."""
        loop = asyncio.get_running_loop()
        self._failure = loop.create_future()
        address, pid = (self._task["host"], self._task["port"]), self._task["pid"]
        clients = []
        for _ in range(self._task["connections"]):
            clients.append((await loop.create_connection(lambda: Connection(self), *address))[1])
        await self._pass(self._task["warm_up_s"])
        before = Mark(pid, await server_tokens(*address))
        self.window.is_open = True
        await self._pass(self._task["seconds"])
        while self.window.num_ended < 2 * self._task["connections"]:
            await self._pass(_LOOK_S)
        self.window.is_open = False
        after = Mark(pid, await server_tokens(*address))
        self.stopping = True
        for client in clients:
            client.close()
        return self.window.result(before, after)

    async def _pass(self, seconds: float) -> None:
        """Wait. Raises ConnectionError as soon as a client cannot go on."""
        assert self._failure is not None
        await asyncio.wait((self._failure,), timeout=seconds)
        if self._failure.done():
            await self._failure


async def server_tokens(host: str, port: int) -> float | None:
    """How many tokens the server has generated, by its metrics; None if it has none."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /metrics HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
    found = _TOKENS.search(await reader.read(-1))
    writer.close()
    return float(found[1]) if found else None


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def percentiles(values: Sequence[float]) -> list[float]:
    """The 50th, 95th and 99th, by the nearest rank; empty for no values."""
    ordered = sorted(values)
    return [ordered[max(0, -(-len(ordered) * p // 100) - 1)] for p in (50, 95, 99)] if ordered else []


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Load(json.loads(sys.argv[-1])).run())))
