"""EngineClient: the engine thread as the event loop sees it. Requests go in, batches of progress come out.

The engine never waits for a reader. What happened since a reader last looked is merged per sequence, so that a slow
one gets fewer, larger pieces and memory is bounded by the texts themselves. One wake-up of the loop carries all
events of an engine step.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any

from microgpt import (
    Engine,
    EngineFault,
    EngineThread,
    Event,
    Failed,
    Finished,
    GenerationRequest,
    MicrogptError,
    TokenEvent,
)
from serve.histogram import Histogram

logger = logging.getLogger(__name__)

# Bounds of what is counted: sequences in a step, and seconds between tokens, of which a burst has many a millisecond.
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKEN_GAPS_S = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 10,
)  # fmt: skip


class EngineState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True)
class Progress:
    """What has come of sample `index` of a generation since the last look; `end` with its last piece."""

    index: int
    text: str = ""
    end: Finished | None = None


class Generation:
    """The samples of one HTTP request in work, numbered through all its engine requests. A context manager: leaving it
    cancels what still runs."""

    __slots__ = (
        "_client", "_error", "_first", "_fresh", "_ids", "_last_at", "_num_live", "_waiter", "_whole",
        "first_token_at", "num_tokens",
    )  # fmt: skip

    def __init__(self, client: "EngineClient", requests: Sequence[GenerationRequest]):
        self._client = client
        self._ids = [request.id for request in requests]
        self._num_live = 0
        self._first: dict[str, int] = {}  # number of each request's first sample
        for request in requests:
            self._first[request.id] = self._num_live
            self._num_live += request.num_samples
        self._fresh: dict[int, Progress] = {}
        self._error: MicrogptError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._whole = False
        self._last_at: dict[int, float] = {}  # when each sample's latest tokens came
        self.num_tokens = 0  # sampled so far, over all samples
        self.first_token_at: float | None = None  # of time.monotonic

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return not self._num_live and not self._fresh

    async def news(self, *, whole: bool = False) -> list[Progress]:
        """Progress since the last call, once there is any; with `whole`, once every sample has ended.

        Raises the error of a sample that failed.
        """
        while self._error is None and self._num_live and (whole or not self._fresh):
            self._whole = whole
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        fresh, self._fresh = self._fresh, {}
        return list(fresh.values())

    def _put(self, event: Event, now: float) -> None:
        """Take an event of one of the samples, which has come `now`."""
        if isinstance(event, Failed):
            self._error = event.error
            self._num_live -= 1
        else:
            index = self._first[event.request_id] + event.index
            progress = self._fresh.get(index)
            if progress is None:
                progress = self._fresh[index] = Progress(index)
            if isinstance(event, TokenEvent):
                progress.text += event.text
                self._count(index, len(event.token_ids), now)
            else:
                progress.end = event
                self._num_live -= 1
        ready = self._error is not None or not self._num_live or not self._whole
        if ready and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _count(self, index: int, num_tokens: int, now: float) -> None:
        self.num_tokens += num_tokens
        last_at = self._last_at.get(index)
        if last_at is not None:
            self._client.token_gaps.observe((now - last_at) / num_tokens, num_tokens)
        elif self.first_token_at is None:
            self.first_token_at = now
        self._last_at[index] = now

    def close(self) -> None:
        """Cancel what still runs; its KV memory is free a step later."""
        self._client._forget(self._ids, cancel=self._num_live > 0)
        self._num_live = 0

    def __enter__(self) -> "Generation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EngineClient:
    """One engine thread, used from one event loop.

    build: makes the engine, on the engine thread. max_queue: most samples accepted and not finished.
    num_tokens: sampled for generations that were still wanted, since the start. batch_sizes: how many samples got
    tokens, by step. token_gaps: seconds between the tokens of a sample, its first piece's left out.
    """

    def __init__(self, build: Callable[[], Engine], *, max_queue: int):
        self.max_queue = max_queue
        self.state = EngineState.LOADING
        self.num_tokens = 0
        self.batch_sizes = Histogram(BATCH_SIZES)
        self.token_gaps = Histogram(TOKEN_GAPS_S)
        self._thread = EngineThread(
            build,
            max_queue=max_queue,
            on_ready=lambda: self._on_loop(self._ready),
            on_events=lambda events: self._on_loop(self._deliver, events),
            on_fault=lambda error: self._on_loop(self._fault, error),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._built: asyncio.Future[None] | None = None
        self._generations: dict[str, Generation] = {}  # by id of each of its requests

    @property
    def engine(self) -> Engine | None:
        """The engine once it is built, for what never changes in it."""
        return self._thread.engine

    @property
    def in_flight(self) -> int:
        """Samples accepted and not finished."""
        return self._thread.in_flight

    def start(self) -> None:
        """Begin to build the engine; `self` belongs to the running event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._built = self._loop.create_future()
        self._thread.start()

    async def built(self) -> None:
        """Returns when the engine is ready; raises what its building raised."""
        assert self._built is not None, "start() comes first"
        await asyncio.shield(self._built)

    async def stop(self) -> None:
        """End the thread; live requests fail with EngineFault. While it still builds, it is left to itself (daemon)."""
        if self.state is not EngineState.LOADING:
            await asyncio.to_thread(self._thread.stop)

    def check_room(self) -> None:
        """Raise Overloaded when not even one sample would be accepted now."""
        self._thread.check_room()

    def submit(self, requests: Sequence[GenerationRequest]) -> Generation:
        """All of `requests` accepted. Raises InvalidRequest, Overloaded or EngineFault; then none is."""
        if self.state is EngineState.FAILED:
            raise EngineFault("the engine has failed")
        generation = Generation(self, requests)
        self._thread.submit(requests)  # late: the engine wakes here, and waits for the interpreter's lock until we wait
        # No event can come before this: they are delivered by the loop, which is here now.
        for request in requests:
            self._generations[request.id] = generation
        return generation

    def _forget(self, ids: Sequence[str], cancel: bool) -> None:
        for request_id in ids:
            self._generations.pop(request_id, None)
        if cancel:
            self._thread.cancel(ids)

    def _on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        """Run `callback` on the event loop; called on the engine thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: the server has gone, and so has everyone who listened
            logger.debug("an engine event came after the event loop had closed")

    def _ready(self) -> None:
        self.state = EngineState.READY
        assert self._built is not None
        self._built.set_result(None)

    def _deliver(self, events: list[Event]) -> None:
        now, batch_size = time.monotonic(), 0
        for event in events:
            generation = self._generations.get(event.request_id)
            if generation is None:
                continue  # cancelled: its reader has gone
            if isinstance(event, TokenEvent):
                batch_size += 1
                self.num_tokens += len(event.token_ids)
            generation._put(event, now)
        if batch_size:
            self.batch_sizes.observe(batch_size)

    def _fault(self, error: BaseException) -> None:
        assert self._built is not None
        loading, self.state = self.state is EngineState.LOADING, EngineState.FAILED
        if loading:
            self._built.set_exception(error)
        else:
            logger.error("the engine failed; nothing more is answered", exc_info=error)
