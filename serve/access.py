"""The outermost ASGI layer: request ids, the access log, and the last catch-all. Also how the log looks.

A plain wrapper around `send`: Starlette's BaseHTTPMiddleware would put a task and a queue into every stream.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from serve.errors import error_body

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)

SCOPE_KEY = "microgpt.access"
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass(slots=True)
class Access:
    """What the log will say about one HTTP request; the route that serves it fills in what it knows."""

    request_id: str
    method: str
    started_at: float
    route: str = "-"
    status: int | None = None  # None: no answer was begun
    num_tokens: int | None = None  # sampled for it
    note: str = ""  # how it ended, if not well

    def fields(self) -> dict[str, Any]:
        """The log line's values, absent ones left out."""
        found = {
            "id": self.request_id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "tokens": self.num_tokens,
            "duration_ms": round((time.monotonic() - self.started_at) * 1000, 1),
            "note": self.note or None,
        }
        return {name: value for name, value in found.items() if value is not None}


class AccessLayer:
    """Gives every request an id and a log line, and an unexpected exception a JSON 500."""

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        access = Access(_request_id(scope), scope["method"], time.monotonic())
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
            if access.route == "-" and (route := scope.get("route")) is not None:
                access.route = route.path
            logger.info("request", extra={"fields": access.fields()})


async def send_json(send: Send, status: int, body: bytes, headers: MutableMapping[str, str] | None = None) -> None:
    """A whole JSON answer in two messages."""
    lines = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    lines += encode_headers(headers or {})
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def encode_headers(headers: MutableMapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _request_id(scope: Scope) -> str:
    """The client's x-request-id if it is sane, else a fresh uuid4 hex."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _SANE_ID.fullmatch(value) else uuid.uuid4().hex
    return uuid.uuid4().hex


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        fields = getattr(record, "fields", {})
        return " ".join([line, *(f"{name}={value}" for name, value in fields.items())])


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
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
