"""Drives the ASGI app by hand: every message visible, the client able to leave or to stop reading at any moment."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from microgpt import Checkpoint, Engine
from serve.access import App
from serve.app import build_app
from serve.engine_client import EngineClient, EngineState
from serve.limits import RateLimiter
from serve.service import Service
from serve.settings import Settings, load_settings

JSON = [(b"content-type", b"application/json")]
GENERATE, CHAT = "/microgpt/v1/generate", "/microgpt/v1/chat"


class Exchange:
    """One HTTP request and what came back."""

    def __init__(
        self,
        app: App,
        method: str,
        path: str,
        chunks: list[bytes],
        headers: list[tuple[bytes, bytes]],
        more: bool = False,
    ):
        self.messages: list[Any] = []
        self.reading = asyncio.Event()  # cleared: the client does not read, `send` blocks
        self.reading.set()
        self.body_messages_taken = 0
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        for i, chunk in enumerate(chunks):
            self._inbox.put_nowait({"type": "http.request", "body": chunk, "more_body": more or i + 1 < len(chunks)})
        self._changed = asyncio.Condition()
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("192.0.2.7", 1234),
            "server": ("testserver", 80),
        }
        self.task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Any:
        message = await self._inbox.get()
        self.body_messages_taken += message["type"] == "http.request"
        return message

    async def _send(self, message: Any) -> None:
        await self.reading.wait()
        async with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def send_piece(self, piece: bytes) -> None:
        """The end of a body of which there was more to come."""
        self._inbox.put_nowait({"type": "http.request", "body": piece, "more_body": False})

    def disconnect(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def until(self, condition: Callable[["Exchange"], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def done(self) -> "Exchange":
        async with asyncio.timeout(20):
            await self.task
        return self

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def complete(self) -> bool:
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert set(self.json) == {"error"}
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        return parse_events(self.body)


def parse_events(body: bytes) -> list[Any]:
    """The payloads of an event stream, which must end with [DONE]."""
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    assert blocks.pop() == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


class Served:
    """A service and its app, inside a running event loop."""

    def __init__(self, settings: Settings, checkpoint: Checkpoint, build: Callable[[], Engine]):
        self.client = EngineClient(build, max_queue=settings.max_queue)
        self.service = Service(
            checkpoint,
            self.client,
            max_bodies_bytes=settings.max_bodies_bytes,
            parse_special=settings.parse_special,
            incremental_streams=settings.incremental_streaming_output,
        )
        info_rate = settings.rate_limit_info
        self.app = build_app(
            settings,
            self.service,
            RateLimiter(settings.rate_limit, settings.rate_burst),
            RateLimiter(info_rate, info_rate[0] if info_rate else 1, name="info"),
        )

    def send(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: list[tuple[bytes, bytes]] = JSON,
        chunks: list[bytes] | None = None,
        more: bool = False,
    ) -> Exchange:
        """Start a request; `body` is JSON, or bytes as they are. more: of the body, by `send_piece`."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return Exchange(self.app, method, path, chunks or [data], headers, more)

    async def ask(self, path: str, body: Any = None, **how: Any) -> Exchange:
        """The finished exchange."""
        return await self.send(path, body, **how).done()


@asynccontextmanager
async def served(
    checkpoint: Checkpoint, build: Callable[[], Engine], *, wait: bool = True, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """A running service; the rate limit is off unless set."""
    settings = load_settings([], {"RATE_LIMIT": "off", **(environ or {})})
    running = Served(settings, checkpoint, build)
    running.client.start()
    try:
        if wait:
            await running.client.built()
            assert running.client.state is EngineState.READY
        yield running
    finally:
        await running.client.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns once `condition` holds; fails after 5 s."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)
