"""HTTP/1.1 on the wire: uvicorn's httptools protocol with bounded heads, and refusals in JSON like all others.

These requests never become ASGI requests; the access layer is told of them, for its log and its metrics.
"""

import select
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.access import AccessLayer, new_request_id
from serve.errors import error_body

MAX_HEAD_BYTES = 64 * 1024  # request line and headers; a head is kept in memory before any other limit applies
MAX_HEADERS = 128


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    Requests are not pipelined: what a client sends behind an unanswered request is dropped, and the connection is
    closed after that answer. uvicorn would stop reading instead, and never see that the client has left.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head_bytes = 0
        self._deaf = False
        self._refusal = (400, "malformed HTTP request")

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"request line and headers must be at most {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        if self._is_answering():
            raise ValueError("pipelined")  # stops the parser, which calls send_400_response
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_HEADERS:
            self._refusal = (431, f"a request must have at most {MAX_HEADERS} headers")
            raise ValueError(self._refusal[1])
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(*self._refusal)

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


def has_unread_data(connection: Any) -> bool:
    """Whether a connection's client has sent something, or has gone, and the event loop has not yet seen it."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
