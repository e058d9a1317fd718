"""A light HTTP client for many connections at once: raw bytes, and the times at which they came."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Answer:
    """One answer; times are of time.perf_counter.

    came_at: when each piece came that the socket gave. whole: whether the end came before the connection broke.
    """

    sent_at: float
    data: bytearray = field(default_factory=bytearray)
    came_at: list[float] = field(default_factory=list)
    whole: bool = False

    @property
    def status(self) -> int:
        """0: nothing came."""
        return int(self.data[9:12] or b"0")

    @property
    def head(self) -> bytes:
        return bytes(self.data[: self.data.find(b"\r\n\r\n") + 2])

    @property
    def body(self) -> bytes:
        """Without the marks of chunks."""
        start = self.data.find(b"\r\n\r\n") + 4
        if b"\r\ntransfer-encoding: chunked" not in self.head:
            return bytes(self.data[start:])
        body = bytearray()
        while start < len(self.data):
            end = self.data.find(b"\r\n", start)
            size = int(self.data[start:end], 16)
            body += self.data[end + 2 : end + 2 + size]
            start = end + 4 + size
        return bytes(body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The payloads of a stream without its [DONE], which must be there."""
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == ""
        assert blocks.pop() == "data: [DONE]"
        return [json.loads(block.removeprefix("data: ")) for block in blocks]

    @property
    def took_s(self) -> float:
        return self.came_at[-1] - self.sent_at


class RawClient(asyncio.Protocol):
    """One connection, on which a request follows the answer to the one before."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._answer = Answer(0)
        self._done: asyncio.Future[None] | None = None
        self._head_bytes = 0  # once it is there
        self._size: int | None = None  # of the whole answer; None for chunks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        answer.came_at.append(time.perf_counter())
        answer.data += data
        if not self._head_bytes and (end := answer.data.find(b"\r\n\r\n")) >= 0:
            self._head_bytes = end + 4
            length = _LENGTH.search(answer.head)
            self._size = None if length is None else self._head_bytes + int(length[1])
        if self._size is None:
            answer.whole = self._head_bytes > 0 and answer.data.endswith(b"\r\n0\r\n\r\n")
        else:
            answer.whole = len(answer.data) >= self._size
        if answer.whole:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def send(self, request: bytes) -> Answer:
        """The answer, which fills while it comes."""
        self._answer, self._head_bytes, self._size = Answer(time.perf_counter()), 0, None
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        if self._transport.is_closing():
            self._end()
        return self._answer

    async def ask(self, request: bytes) -> Answer:
        """The answer when it is whole, or when the connection has broken."""
        answer = self.send(request)
        await self.ended()
        return answer

    async def ended(self) -> None:
        """Returns when the answer to what was sent last is whole, or the connection has broken."""
        assert self._done is not None
        await self._done

    def leave(self) -> None:
        """Break the connection off."""
        self._transport.abort()


async def connect(url: str) -> RawClient:
    """A connection to a server at http://HOST:PORT."""
    host, port = url.removeprefix("http://").split(":")
    return (await asyncio.get_running_loop().create_connection(RawClient, host, int(port)))[1]


async def connect_many(url: str, count: int) -> list[RawClient]:
    """In groups: a thousand handshakes at once would overflow the listener's queue."""
    clients: list[RawClient] = []
    while len(clients) < count:
        clients += await asyncio.gather(*(connect(url) for _ in range(min(250, count - len(clients)))))
    return clients


def post(path: str, **body: Any) -> bytes:
    """The bytes of a request."""
    data = json.dumps(body).encode()
    return (
        b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % (path.encode(), len(data))
        + data
    )


def get(path: str) -> bytes:
    """The bytes of a request."""
    return b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % path.encode()
