"""Service: what the dialects share. Encodes messages, hands sequences to the engine, knows whether to accept work."""

import asyncio
import gc
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from microgpt import Checkpoint, GenerationRequest, Overloaded
from microgpt.chat import ChatPrompt, Message, chat_prompt
from serve.body import BodyRoom
from serve.engine_client import EngineClient, EngineState, Generation, Progress
from serve.errors import HttpError, as_http_error

__all__ = ["Generation", "Progress", "Service"]

T = TypeVar("T")

# Parsing and tokenising run at some MB/s: a longer body would hold up every other connection for milliseconds.
OFF_LOOP_BYTES = 16 * 1024
MAX_PREPARING = 32  # large bodies that wait for the one thread that prepares them
MAX_BODIES_BYTES = 64 * 2**20


class _Accepted:
    """A context that counts the requests in it: those in work until they are answered. idle: there are none."""

    def __init__(self) -> None:
        self._count = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self.idle.clear()

    def __exit__(self, *error: object) -> None:
        self._count -= 1
        if not self._count:
            self.idle.set()


class Service:
    """One model behind one engine."""

    def __init__(self, checkpoint: Checkpoint, client: EngineClient, *, max_bodies_bytes: int = MAX_BODIES_BYTES):
        self.checkpoint = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self.config = checkpoint.config
        self.client = client
        self.draining = False
        self.body_room = BodyRoom(max_bodies_bytes)
        self._numbers = itertools.count()
        self._started_at = time.monotonic()
        self.accepted = _Accepted()
        self._preparer = ThreadPoolExecutor(1, "prepare")
        self._preparing: set[Future[Any]] = set()

    @property
    def max_queue(self) -> int:
        """Most sequences accepted at once; a request for more can never succeed."""
        return self.client.max_queue

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._started_at

    @property
    def status(self) -> str:
        """ok, loading, draining or failed; work is accepted only when ok."""
        if self.client.state is EngineState.FAILED:
            return "failed"
        if self.draining:
            return "draining"
        return "ok" if self.client.state is EngineState.READY else "loading"

    def check_accepting(self) -> None:
        """Raise 503 unless new work is accepted. A full queue is told before anything is read: what is refused is to
        cost as little as it can."""
        if self.client.state is EngineState.READY and not self.draining:
            try:
                self.client.check_room()
            except Overloaded as error:
                raise as_http_error(error) from None
            return
        match self.status:
            case "loading":
                raise HttpError(503, "model is loading", {"Retry-After": "2"})
            case "draining":
                raise HttpError(503, "server is shutting down", {"Connection": "close"})
            case "failed":
                raise HttpError(503, "the engine has failed")

    async def idle(self) -> None:
        """Returns when no accepted request is unanswered."""
        await self.accepted.idle.wait()

    async def prepare(self, prepare: Callable[["Service", bytes], T], body: bytes) -> T:
        """`prepare(self, body)`: what a dialect makes of a body, large ones off the event loop.

        Raises 503 when too many large ones wait already, or too many bytes of them.
        """
        size = len(body)
        if size <= OFF_LOOP_BYTES:
            return prepare(self, body)
        if len(self._preparing) >= MAX_PREPARING:
            raise Overloaded("too many large requests are waiting to be read")
        self.body_room.take(size)
        try:
            future = self._preparer.submit(_without_gc, prepare, self, body)
            self._preparing.add(future)
            future.add_done_callback(self._preparing.discard)
            return await asyncio.wrap_future(future)
        finally:
            self.body_room.give_back(size)

    def close(self) -> bool:
        """Drop what waits to be prepared; False if a body is being prepared at this moment, which cannot be stopped."""
        self._preparer.shutdown(wait=False, cancel_futures=True)
        return not self._preparing

    def chat_prompt(self, messages: Sequence[Message]) -> ChatPrompt:
        """The prompt for `messages`. Raises InvalidRequest."""
        return chat_prompt(self.tokenizer, self.config.block_size, messages)

    def new_id(self) -> str:
        """An id that no other sequence of this server has."""
        return f"s{next(self._numbers)}"

    def start(self, requests: Sequence[GenerationRequest]) -> Generation:
        """Hand sequences to the engine, all or none. Raises InvalidRequest, Overloaded, EngineFault."""
        return self.client.submit(requests)


def _without_gc(prepare: Callable[[Service, bytes], T], service: Service, body: bytes) -> T:
    """`prepare(service, body)` while no garbage is collected.

    A million little arrays in a body make the collector look at them all again and again, while the event loop waits
    for the interpreter's lock: for 0.46 s of a body of 4 MiB instead of 0.06.
    """
    gc.disable()
    try:
        return prepare(service, body)
    finally:
        gc.enable()
