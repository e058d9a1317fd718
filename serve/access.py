"""The outermost ASGI layer: request ids, access log, metrics, and the last catch-all. Also how the log looks.

A plain wrapper around `send`: Starlette's BaseHTTPMiddleware would put a task and a queue into every stream.
"""

import asyncio
import json
import logging
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from serve.errors import error_body
from serve.metrics import UNMATCHED, Metrics

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)

SCOPE_KEY = "microgpt.access"  # the request's Access, in the scope; there already if the request came by the short way
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
TEXT_TIME, JSON_TIME = "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"
# What a client may put into the log and the labels of metrics as its method; everything else is "other".
_METHODS = {method: method for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")}
_NO_METHOD = "other"


@dataclass(slots=True)
class Access:
    """What log and metrics will say about one HTTP request; the route that serves it fills in what it knows."""

    request_id: str
    method: str
    started_at: float  # of time.monotonic, as all moments here
    route: str = UNMATCHED
    status: int | None = None  # None: no answer was begun
    prompt_tokens: int | None = None  # over all its sequences
    num_tokens: int | None = None  # sampled for it
    first_token_at: float | None = None
    cancelled: str = ""  # why it was given up, one of metrics.CANCEL_REASONS
    note: str = ""  # how it ended, if not well
    prompts: list[str] | None = None  # of its sequences, equal ones once; None unless they are to be logged
    replies: list[str] | None = None


class AccessLayer:
    """Gives every request an id, a log line and its place in the metrics, and an unexpected exception a JSON 500."""

    def __init__(self, app: App, metrics: Metrics, log_format: str):
        self.app = app
        self.direct_way: Any = None  # serve.direct.DirectWay, for a protocol that takes it
        self._metrics = metrics
        self._log = AccessLog(log_format)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        access = scope.get(SCOPE_KEY) or self.begin(scope)
        if scope["method"] == "HEAD":  # answered like GET; the HTTP server leaves the body out
            scope = {**scope, "method": "GET"}
        scope[SCOPE_KEY] = access
        id_header = (b"x-request-id", access.request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                access.status = message["status"]
                message["headers"] = [*message.get("headers", ()), id_header]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception("unexpected error in request %s", access.request_id)
            if access.status is None:
                await send_json(send_with_id, 500, error_body("internal error"))
        finally:
            if access.route == UNMATCHED and (route := scope.get("route")) is not None:
                access.route = route.path
            self.end(access)

    def refused(self, request_id: str, status: int) -> None:
        """Log and count what was answered with `status` before it could become a request."""
        self._metrics.num_active += 1
        self.end(Access(request_id, _NO_METHOD, time.monotonic(), status=status))

    def begin(self, scope: Scope) -> Access:
        """Of a request that has come; `end` must follow."""
        self._metrics.num_active += 1
        return Access(_request_id(scope), _METHODS.get(scope["method"], _NO_METHOD), time.monotonic())

    def end(self, access: Access) -> None:
        """Log and count what has ended."""
        self._metrics.num_active -= 1
        duration_s = time.monotonic() - access.started_at
        first_token_s = None if access.first_token_at is None else access.first_token_at - access.started_at
        self._metrics.add_request(
            access.route,
            access.method,
            access.status,
            duration_s,
            first_token_s,
            access.cancelled,
            access.prompt_tokens,
            access.num_tokens,
        )
        self._log.write(access, duration_s)

    def flush_log(self) -> None:
        """Write what of the log has not been written: before an end that leaves the event loop no time."""
        self._log.flush()


class AccessLog:
    """A line for each request on standard error, in the form of all other lines.

    Written past logging, whose records and formatters take 13 us a line where this takes 1, a fifth of what a small
    request costs; only whether logging wants such lines is asked. All lines of a round of the event loop leave in one
    write, a system call, at the beginning of the next.
    """

    def __init__(self, log_format: str):
        self._format = _json_line if log_format == "json" else _text_line
        self._time_format = JSON_TIME if log_format == "json" else TEXT_TIME
        self._second, self._time, self._is_wanted = -1, "", False
        self._lines: list[str] = []
        self._is_waiting = False

    def write(self, access: Access, duration_s: float) -> None:
        now = int(time.time())
        if now != self._second:
            self._second, self._time = now, time.strftime(self._time_format, time.localtime(now))
            self._is_wanted = logger.isEnabledFor(logging.INFO)
        if not self._is_wanted:
            return
        self._lines.append(self._format(self._time, access, duration_s))
        if not self._is_waiting:
            self._is_waiting = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what has not been written."""
        lines, self._lines, self._is_waiting = self._lines, [], False
        try:
            sys.stderr.write("".join(lines))
        except (OSError, ValueError):  # nobody reads, or it is closed: no reason to stop serving
            return


def _text_line(when: str, access: Access, duration_s: float) -> str:
    """`name=value` pairs. Texts that others may have written are quoted as in JSON: they cannot pass for fields."""
    line = f"{when} INFO {__name__}: request id={access.request_id} method={access.method} route={access.route}"
    if access.status is not None:
        line += f" status={access.status}"
    if access.prompt_tokens is not None:
        line += f" prompt_tokens={access.prompt_tokens}"
    if access.num_tokens is not None:
        line += f" tokens={access.num_tokens}"
    if access.first_token_at is not None:
        line += f" first_token_ms={(access.first_token_at - access.started_at) * 1000:.2f}"
    line += f" duration_ms={duration_s * 1000:.2f}"
    if access.note:
        line += f" note={json.dumps(access.note)}"
    if access.prompts is not None:
        line += f" prompts={json.dumps(access.prompts)}"
    if access.replies is not None:
        line += f" replies={json.dumps(access.replies)}"
    return line + "\n"


def _json_line(when: str, access: Access, duration_s: float) -> str:
    first_token_ms = None
    if access.first_token_at is not None:
        first_token_ms = round((access.first_token_at - access.started_at) * 1000, 2)
    fields = {
        "id": access.request_id,
        "method": access.method,
        "route": access.route,
        "status": access.status,
        "prompt_tokens": access.prompt_tokens,
        "tokens": access.num_tokens,
        "first_token_ms": first_token_ms,
        "duration_ms": round(duration_s * 1000, 2),
        "note": access.note or None,
        "prompts": access.prompts,
        "replies": access.replies,
    }
    line = {"time": when, "level": "INFO", "logger": __name__, "message": "request"}
    return json.dumps(line | {name: value for name, value in fields.items() if value is not None}) + "\n"


async def send_json(send: Send, status: int, body: bytes, headers: MutableMapping[str, str] | None = None) -> None:
    """A whole JSON answer in two messages."""
    await send_whole(send, status, body, "application/json", headers)


async def send_whole(
    send: Send, status: int, body: bytes, media_type: str, headers: MutableMapping[str, str] | None = None
) -> None:
    """A whole answer in two messages."""
    lines = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    lines += encode_headers(headers or {})
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def encode_headers(headers: MutableMapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [_encode_header(name, value) for name, value in headers.items()]


@lru_cache(256)  # most are the same in all answers
def _encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), value.encode("latin-1")


def _request_id(scope: Scope) -> str:
    """The client's x-request-id if it is sane, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return new_request_id()


def new_request_id() -> str:
    """32 random hexadecimal digits; a UUID's would come from the system, six times as slowly, for no use here."""
    return random.getrandbits(128).to_bytes(16).hex()


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", TEXT_TIME)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")  # one record, one line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, JSON_TIME),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(log_format: str) -> None:
    """Log to standard error, a line per record: `text`, or `json` with one object per line."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # its warnings are for whoever sends odd requests
