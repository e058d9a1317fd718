"""HTTP/1.1 on the wire: uvicorn's httptools protocol with bounded heads and bounded patience, and refusals in JSON.

These refusals never become ASGI requests; the access layer is told of them, for its log and its metrics. A body that
comes too slowly is the exception: its request runs already, is told so (`serve.body.LATE_KEY`), and answers by itself.
"""

import asyncio
import logging
import math
import select
from collections.abc import Callable, Collection
from http import HTTPStatus
from operator import itemgetter
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serve.access import AccessLayer, new_request_id
from serve.body import LATE_KEY, WATCH_KEY
from serve.direct import DirectWay
from serve.endpoint import Endpoint
from serve.errors import error_body

_logger = logging.getLogger("uvicorn.error")

MAX_HEAD_BYTES = 64 * 1024  # request line and headers; a head is kept in memory before any other limit applies
MAX_HEADERS = 128
SWEEP_S = 0.5
MAX_UNREAD_BYTES = 128 * 2**20  # of answers that clients have not read, all together
FLUSH_S = 10.0  # most that a client may take to read the rest of an answer whose connection is to be closed


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    Requests are not pipelined: what a client sends behind an unanswered request is dropped, and the connection is
    closed after that answer. uvicorn would stop reading instead, and never see that the client has left.

    Time is counted in sweeps by the `Sweeper`, which costs a request two assignments where timers cost microseconds.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._in_body = False
        self._had_body = False  # some of it was in the data being parsed
        self._head_bytes = 0  # or what has come since the last piece of a body and is none: marks of chunks, trailers
        self._deaf = False
        self._closing = False  # the sweeper has seen it closing
        self._age = 0  # sweeps since a request or an idle time began
        self._on_leave: Callable[[], None] | None = None
        self._upgrade_offered = False
        self._refusal = (400, "malformed HTTP request")
        self._direct_way: DirectWay | None = self.app.direct_way if isinstance(self.app, AccessLayer) else None
        self._endpoint: Endpoint | None = None  # of the request that has just come, if it can take the direct way

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self.parser.feed_data(data)  # pyright: ignore[reportOptionalMemberAccess]
        except httptools.HttpParserUpgrade as offer:
            if self._upgrade_offered:
                self._decline_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
            if self.parser.get_method() == b"PRI":  # pyright: ignore[reportOptionalMemberAccess] - how HTTP/2 begins
                self._refusal = (505, "HTTP/2 is not spoken here, only HTTP/1.1")
            self._refuse(*self._refusal)
        if self._endpoint is not None:
            self._go_on(self._endpoint)
        if (self._in_head or self._in_body) and not self.transport.is_closing():
            if self._had_body:
                self._had_body, self._head_bytes = False, 0
                return
            self._head_bytes += len(data)
            if self._head_bytes <= MAX_HEAD_BYTES:
                return
            if self._in_head:
                self._refuse(431, f"request line and headers must be at most {MAX_HEAD_BYTES} bytes")
            else:  # the parser keeps a trailer until it has all of it
                self.transport.abort()

    def on_message_begin(self) -> None:
        """As uvicorn's, but for the scope, which is made when the head is known."""
        if self._is_answering():
            raise ValueError("pipelined")  # stops the parser
        self._in_head, self._in_body, self._had_body, self._head_bytes, self._age = True, False, False, 0, 0
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer
        if len(self.headers) >= MAX_HEADERS:
            self._refusal = (431, f"a request must have at most {MAX_HEADERS} headers")
            raise ValueError(self._refusal[1])
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body, self._had_body = False, True, True
        parser = cast(httptools.HttpRequestParser, self.parser)
        if parser.should_upgrade() and parser.get_method() != b"CONNECT":
            self._upgrade_offered = True  # the parser ends the message here, body or not
            return
        self._begin(parser)

    def _begin(self, parser: httptools.HttpRequestParser) -> None:
        """The head of a request is known; its body may follow in the same data."""
        method, version, endpoint = parser.get_method(), parser.get_http_version(), None
        if self._direct_way is not None and not self.expect_100_continue:
            endpoint = self._direct_way.endpoint(method, self.url)
        if endpoint is None:
            url = httptools.parse_url(self.url)  # raises, and stops the parser, for what is none
            raw_path, query = url.path, url.query or b""
            path = raw_path.decode("ascii")
            if "%" in path:
                path = unquote(path)
        else:
            path, raw_path, query = endpoint.path, self.url, b""
        scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": method.decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            WATCH_KEY: self.watch,
        }
        self.scope = cast(Any, scope)
        self.cycle = cycle = _Cycle(self.scope, self.transport, self.flow, self.server_state.default_headers)
        cycle.keep_alive = version != "1.0" and parser.should_keep_alive()
        cycle.waiting_for_100_continue = self.expect_100_continue
        if endpoint is None:
            self._start()
        else:
            self._endpoint = endpoint  # until it is seen whether the body has come with the head

    def _go_on(self, endpoint: Endpoint) -> None:
        """Hand a request to its endpoint, if it has come whole, else to the application."""
        assert self._direct_way is not None
        self._endpoint, cycle, scope = None, self.cycle, cast(dict[str, Any], self.scope)
        if cycle.more_body or self.flow.write_paused or not self._direct_way.take(endpoint, scope, cycle.body, self):
            self._start()

    def _start(self) -> None:
        """Start the application's task."""
        cycle = self.cycle
        cycle.on_response = self.on_response_complete
        cycle.message_event = asyncio.Event()
        if cycle.body or not cycle.more_body:
            cycle.message_event.set()
        self.loop.create_task(self._run(cycle))

    def respond(self, status: int, lines: bytes, body: bytes, is_last: bool) -> None:
        """Answer the request that went the direct way: the whole answer in one write.

        lines: of its headers, each with its end. is_last: whether they say that the connection is closed after it.
        """
        cycle = self.cycle
        if is_last:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            lines += b"connection: close\r\n"
        first = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
        self.transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[status], first, lines, body))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    async def _run(self, cycle: RequestResponseCycle) -> None:
        """A task that does its own accounting: add_done_callback would take a round of the event loop more."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await cycle.run_asgi(cast(Any, self.app))
        finally:
            self.tasks.discard(task)

    def watch(self, on_leave: Callable[[], None] | None) -> None:
        """What WATCH_KEY promises."""
        self._on_leave = on_leave
        if on_leave is not None and self.cycle.disconnected:
            on_leave()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.scope is not None:
            # Else connection and scope keep each other until garbage is collected.
            cast(dict[str, Any], self.scope).pop(WATCH_KEY, None)
        if self._on_leave is not None:
            self._on_leave()

    def on_body(self, body: bytes) -> None:
        """As uvicorn's, but for offers to upgrade."""
        self._had_body = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """As uvicorn's, but for offers to upgrade."""
        self._in_body = False
        if self._upgrade_offered or self.cycle.response_complete:
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """As uvicorn's, without its keep-alive timer, and without the requests behind this one: there are none."""
        self._age = 0
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def grow_older(self, sweeper: "Sweeper") -> None:
        """One more sweep has passed: end what has kept the server waiting for too long."""
        self._age += 1
        if self._age <= sweeper.shortest:
            return
        if self.transport.is_closing():
            if not self._closing:
                self._closing, self._age = True, 0
            elif self._age > sweeper.max_flush:
                self.transport.abort()
            return
        if self._is_answering() and not self.cycle.more_body:
            return
        if self._in_head:
            if self._age > sweeper.max_receive:
                self._refuse(408, f"receiving the request took longer than {sweeper.receive_timeout_s:g} s")
        elif self._is_answering():
            if self._age > sweeper.max_receive + sweeper.max_flush:
                self.transport.abort()  # whoever should have answered did not
            elif self._age > sweeper.max_receive:
                cast(dict[str, Any], self.scope)[LATE_KEY] = sweeper.receive_timeout_s
                self.cycle.message_event.set()
        elif self._age > (sweeper.max_receive if self.cycle is None else sweeper.max_idle):
            self.transport.close()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Take the request once more, as if it had not offered another protocol; `rest` came behind its head."""
        self._upgrade_offered = False
        parser = cast(httptools.HttpRequestParser, self.parser)
        lines = [parser.get_method() + b" " + self.url + b" HTTP/" + parser.get_http_version().encode()]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close; if an earlier request of this connection is being answered, only close after it."""
        if self._is_answering():
            self.cycle.keep_alive = False
            self._deaf = True
            return
        request_id = new_request_id()
        if isinstance(self.app, AccessLayer):
            self.app.refused(request_id, status)
        body = error_body(message)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        lines += [
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"connection: close",
            b"x-request-id: " + request_id.encode(),
        ]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.transport.close()


class _Unheard:
    """An event that nobody waits for."""

    def set(self) -> None:
        pass


class _Cycle(RequestResponseCycle):
    """uvicorn's, but for heads: they leave with the first piece of a body, as each write is a system call of 10 us or
    more, and are checked as a whole for line breaks, where uvicorn searches each name and value.
    """

    # What is the same for most requests. uvicorn's __init__ would take 1 us more.
    access_log = False
    disconnected = response_started = response_complete = False
    more_body = True
    chunked_encoding = None
    expected_content_length = 0
    message_event = cast(asyncio.Event, _Unheard())  # until there is a task to hear it
    _head = b""  # not yet sent

    def __init__(
        self, scope: Any, transport: asyncio.Transport, flow: FlowControl, default_headers: list[tuple[bytes, bytes]]
    ):
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.default_headers = default_headers
        self.logger = _logger
        self.body = bytearray()

    async def send(self, message: Any) -> None:
        if self._head and message["type"] == "http.response.body":
            head, self._head = self._head, b""
            if self.chunked_encoding or self.scope["method"] == "HEAD":
                self.transport.write(head)
            else:
                self.expected_content_length += len(head)
                message = {**message, "body": head + message.get("body", b"")}
        if self.response_started or self.disconnected or self.flow.write_paused:
            await super().send(message)
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        status, headers = message["status"], [*self.default_headers, *message["headers"]]
        head = b"".join([b"%b: %b\r\n" % header for header in headers])
        if head.count(b"\r") != len(headers) or head.count(b"\n") != len(headers):
            raise RuntimeError("a header has a line break in it")
        is_closing, has_body = False, self.scope["method"] != "HEAD" and status not in (204, 304)
        for name, value in headers:
            if name == b"content-length":
                self.chunked_encoding, self.expected_content_length = False, int(value)
            elif name == b"connection":
                is_closing = value.lower() == b"close"
        if is_closing:
            self.keep_alive = False
        elif not self.keep_alive:
            head += b"connection: close\r\n"
        if self.chunked_encoding is None and has_body:
            self.chunked_encoding = True
            head += b"transfer-encoding: chunked\r\n"
        self._head = STATUS_LINE[status] + head + b"\r\n"


class Sweeper:
    """Looks at every connection now and then, for those that keep the server waiting, and for answers that nobody
    reads: while they are more than MAX_UNREAD_BYTES, the largest is cut off.

    receive_timeout_s: for a whole request from its first byte on, and for the first byte of a connection.
    keep_alive_timeout_s: for the next request of a connection.

    One timer for all of them. As sweeps are counted, and not seconds, a time in which this process was held up is not
    held against its clients.
    """

    def __init__(self, connections: Collection[Any], receive_timeout_s: float, keep_alive_timeout_s: float):
        self._connections = connections
        self._interval_s = min(SWEEP_S, receive_timeout_s / 4, keep_alive_timeout_s / 4)
        self._timer: asyncio.TimerHandle | None = None
        self.receive_timeout_s = receive_timeout_s
        self.max_receive = math.ceil(receive_timeout_s / self._interval_s)  # in sweeps, like those below
        self.max_idle = math.ceil(keep_alive_timeout_s / self._interval_s)
        self.max_flush = math.ceil(FLUSH_S / self._interval_s)
        self.shortest = min(self.max_receive, self.max_idle, self.max_flush)

    def start(self) -> None:
        """Sweep from now on; called on the event loop."""
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._sweep)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self.start()  # first, so that no error below makes this the last sweep
        unread: list[tuple[int, HttpProtocol]] = []
        for connection in tuple(self._connections):
            connection.grow_older(self)
            if size := connection.transport.get_write_buffer_size():
                unread.append((size, connection))
        excess = sum([size for size, _ in unread]) - MAX_UNREAD_BYTES
        if excess > 0:
            for size, connection in sorted(unread, key=itemgetter(0), reverse=True):
                connection.transport.abort()
                excess -= size
                if excess <= 0:
                    return


def has_unread_data(connection: Any) -> bool:
    """Whether a connection's client has sent something, or has gone, and the event loop has not yet seen it."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
