"""The outermost ASGI layer: request ids, access log, metrics, and the last catch-all. Also how the log looks.

A plain wrapper around `send`: Starlette's BaseHTTPMiddleware would put a task and a queue into every stream.
"""

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
_QUOTED = frozenset(("note", "prompts", "replies"))
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

    def fields(self, duration_s: float) -> dict[str, Any]:
        """The log line's values, absent ones left out."""
        found: dict[str, Any] = {"id": self.request_id, "method": self.method, "route": self.route}
        if self.status is not None:
            found["status"] = self.status
        if self.prompt_tokens is not None:
            found["prompt_tokens"] = self.prompt_tokens
        if self.num_tokens is not None:
            found["tokens"] = self.num_tokens
        if self.first_token_at is not None:
            found["first_token_ms"] = round((self.first_token_at - self.started_at) * 1000, 2)
        found["duration_ms"] = round(duration_s * 1000, 2)
        if self.note:
            found["note"] = self.note
        if self.prompts is not None:
            found["prompts"] = self.prompts
        if self.replies is not None:
            found["replies"] = self.replies
        return found


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


class AccessLog:
    """A line for each request on standard error, in the form of all other lines.

    Written past logging, whose records and formatters take 13 us a line where this takes 4, a tenth of what a small
    request costs; only whether logging wants such lines is asked.
    """

    def __init__(self, log_format: str):
        self._format = _json_line if log_format == "json" else _text_line
        self._time_format = JSON_TIME if log_format == "json" else TEXT_TIME
        self._second, self._time = -1, ""

    def write(self, access: Access, duration_s: float) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        now = int(time.time())
        if now != self._second:
            self._second, self._time = now, time.strftime(self._time_format, time.localtime(now))
        line = self._format(self._time, access.fields(duration_s))
        try:
            sys.stderr.write(line)
        except (OSError, ValueError):  # nobody reads, or it is closed: no reason to stop serving
            return


def _text_line(when: str, fields: dict[str, Any]) -> str:
    """`name=value` pairs. Texts that others may have written are quoted as in JSON: they cannot pass for fields."""
    pairs = [f"{name}={json.dumps(value) if name in _QUOTED else value}" for name, value in fields.items()]
    return f"{when} INFO {__name__}: request {' '.join(pairs)}\n"


def _json_line(when: str, fields: dict[str, Any]) -> str:
    return json.dumps({"time": when, "level": "INFO", "logger": __name__, "message": "request", **fields}) + "\n"


async def send_json(send: Send, status: int, body: bytes, headers: MutableMapping[str, str] | None = None) -> None:
    """A whole JSON answer in two messages."""
    await send_whole(send, status, body, "application/json", headers)


async def send_whole(
    send: Send, status: int, body: bytes, media_type: str, headers: MutableMapping[str, str] | None = None
) -> None:
    """A whole answer in two messages."""
    await send({"type": "http.response.start", "status": status, "headers": whole_headers(body, media_type, headers)})
    await send({"type": "http.response.body", "body": body})


def whole_headers(
    body: bytes, media_type: str, headers: MutableMapping[str, str] | None = None
) -> list[tuple[bytes, bytes]]:
    """The headers of a whole answer, as ASGI wants them."""
    lines = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return lines + encode_headers(headers) if headers else lines


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
    return f"{random.getrandbits(128):032x}"


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
