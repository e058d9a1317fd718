"""EngineClient: the engine thread as the event loop sees it. Requests go in, batches of progress come out.

The engine never waits for a reader. What happened since a reader last looked is merged per sequence, so that a slow
one gets fewer, larger pieces and memory is bounded by the texts themselves. One wake-up of the loop carries all
events of an engine step.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, TypeVar

from microgpt import (
    Engine,
    EngineFault,
    EngineThread,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    InvalidRequest,
    MicrogptError,
    TokenEvent,
)
from microgpt.logprobs import TokenLogprobs
from microgpt.request import Terminal
from serve.histogram import Histogram, RecentRate

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Bounds of what is counted: sequences in a step, and seconds between tokens, of which a burst has many a millisecond.
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKEN_GAPS_S = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 10,
)  # fmt: skip

QUEUE_TIMES_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)


class EngineState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True)
class Progress:
    """What has come of sample `index` of a generation since the last look; `end` with its last piece.

    weight_version: of the weights that made the last of it. first_token_at: when the sample's first tokens came, on
    time.monotonic, if they are among these.

    The others are filled only for generations that want tokens: the ids of the tokens and their log probabilities, as
    TokenEvent has them, those of the prompt's, as PromptScored has them, and num_cached, as in Usage, as far as known.
    failure: what ended the sample in place of `end`, only for generations that survive failures.
    """

    index: int
    text: str = ""
    end: Finished | None = None
    weight_version: str = ""
    first_token_at: float | None = None
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    prompt_logprobs: tuple[TokenLogprobs | None, ...] | None = None
    num_cached: int = 0
    failure: MicrogptError | None = None


class Generation:
    """The samples of one HTTP request in work, numbered through all its engine requests. A context manager: leaving it
    cancels what still runs.

    wants_tokens: whether its progress tells of tokens, beside their text. survives_failures: whether a sample that
    fails is progress, and the others go on.
    """

    __slots__ = (
        "_call_back", "_client", "_error", "_first", "_fresh", "_last_at", "_left", "_num_live", "_survives_failures",
        "_waiter", "_wants_tokens", "_whole", "first_token_at", "is_closed", "num_tokens",
    )  # fmt: skip

    def __init__(
        self,
        client: "EngineClient",
        requests: Sequence[GenerationRequest],
        wants_tokens: bool = False,
        survives_failures: bool = False,
    ):
        self._client = client
        self._wants_tokens = wants_tokens
        self._survives_failures = survives_failures
        self._left = {request.id: request.num_samples for request in requests}  # samples whose end has not come
        self.is_closed = False
        self._num_live = 0
        self._first: dict[str, int] = {}  # number of each request's first sample
        for request in requests:
            self._first[request.id] = self._num_live
            self._num_live += request.num_samples
        self._fresh: dict[int, Progress] = {}
        self._error: MicrogptError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._call_back: Callable[[], None] | None = None
        self._whole = False
        self._last_at: dict[int, float] = {}  # when each sample's latest tokens came
        self.num_tokens = 0  # sampled so far, over all samples
        self.first_token_at: float | None = None  # of time.monotonic

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return not self._num_live and not self._fresh

    def when_ended(self, call_back: Callable[[], None]) -> None:
        """Have it called when every sample has ended or one has failed; `take` then has everything. For readers without
        a task, which must not raise."""
        self._whole = True
        self._call_back = call_back

    def take(self) -> list[Progress]:
        """Progress since the last call. Raises the error of a sample that failed."""
        if self._error is not None:
            raise self._error
        fresh, self._fresh = self._fresh, {}
        return list(fresh.values())

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
        return self.take()

    def _put(self, event: Event, now: float) -> None:
        """Take an event of one of the samples, which has come `now`."""
        if isinstance(event, Failed) and not self._survives_failures:
            self._error = event.error
            self._num_live -= 1
        else:
            index = self._first[event.request_id] + event.index
            progress = self._fresh.get(index)
            if progress is None:
                progress = self._fresh[index] = Progress(index)
            progress.weight_version = self._client.weight_version
            if isinstance(event, TokenEvent):
                progress.text += event.text
                self._count(progress, len(event.token_ids), now)
                if self._wants_tokens:
                    progress.token_ids += event.token_ids
                    progress.logprobs += event.logprobs
                    progress.num_cached = event.num_cached
            elif isinstance(event, Failed):
                progress.failure = event.error
                self._num_live -= 1
            elif isinstance(event, Finished):
                progress.end = event
                progress.num_cached = event.usage.num_cached
                self._num_live -= 1
            elif self._wants_tokens:
                progress.prompt_logprobs = event.logprobs
        if self._error is not None or not self._num_live or not self._whole:
            if self._call_back is not None:
                self._call_back()
            elif self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _count(self, progress: Progress, num_tokens: int, now: float) -> None:
        self.num_tokens += num_tokens
        last_at = self._last_at.get(progress.index)
        if last_at is not None:
            self._client.token_gaps.observe((now - last_at) / num_tokens, num_tokens)
        else:
            progress.first_token_at = now
            if self.first_token_at is None:
                self.first_token_at = now
        self._last_at[progress.index] = now

    def _end_one(self, request_id: str) -> bool:
        """Note the end of a sample; whether it was its request's last."""
        self._left[request_id] -= 1
        return not self._left[request_id]

    def close(self) -> None:
        """Cancel what still runs; its KV memory is free a step later."""
        self.is_closed = True
        self._call_back = None
        if self._num_live:
            self._client.abort([request_id for request_id, left in self._left.items() if left])
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
    tokens, by step. token_gaps: seconds between the tokens of a sample, its first piece's left out. recent_tokens: like
    num_tokens, by the second of time.monotonic. num_ended: samples, num_aborted of them before their time. queue_times:
    seconds that they had waited for a slot. weight_version, is_paused: as of the events that have come so far.
    """

    def __init__(self, build: Callable[[], Engine], *, max_queue: int):
        self.max_queue = max_queue
        self.state = EngineState.LOADING
        self.num_tokens = 0
        self.batch_sizes = Histogram(BATCH_SIZES)
        self.token_gaps = Histogram(TOKEN_GAPS_S)
        self.recent_tokens = RecentRate()
        self.num_ended = self.num_aborted = 0
        self.queue_times = Histogram(QUEUE_TIMES_S)
        self.weight_version = "default"
        self.is_paused = False
        self._thread = EngineThread(
            build,
            max_queue=max_queue,
            on_ready=lambda: self._on_loop(self._ready),
            on_events=lambda events: self._on_loop(self._deliver, events),
            on_fault=lambda error: self._on_loop(self._fault, error),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._built: asyncio.Future[None] | None = None
        self._generations: dict[str, Generation] = {}  # by request, until its last event has come
        self._is_waking = False

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

    def submit(
        self, requests: Sequence[GenerationRequest], *, wants_tokens: bool = False, survives_failures: bool = False
    ) -> Generation:
        """All of `requests` accepted. Raises InvalidRequest, Overloaded or EngineFault; then none is."""
        if self.state is EngineState.FAILED:
            raise EngineFault("the engine has failed")
        # For the engine a request has ended before its last events are here.
        for request in requests:
            if request.id in self._generations:
                raise InvalidRequest(f"id must be unique among live requests, got {request.id!r:.80} again")
        generation = Generation(self, requests, wants_tokens, survives_failures)
        self._thread.submit(requests, wake=False)
        if not self._is_waking:  # once for all requests of this round of the loop: it costs two changes of threads
            assert self._loop is not None
            self._is_waking = True
            self._loop.call_soon(self._wake)
        # No event can come before this: they are delivered by the loop, which is here now.
        for request in requests:
            self._generations[request.id] = generation
        return generation

    def _wake(self) -> None:
        self._is_waking = False
        self._thread.wake()

    @property
    def live_ids(self) -> list[str]:
        """Of requests that somebody waits for."""
        return list(self._generations)

    def abort(self, ids: Sequence[str]) -> None:
        """End requests now; whoever waits for them gets what they have so far. Unknown ids are ignored."""
        self._thread.cancel(ids)

    async def flush_cache(self) -> bool:
        """Empty the prefix cache, unless requests are running or waiting; whether it was done. Raises EngineFault."""

        def flush(engine: Engine) -> bool:
            if engine.is_idle:
                engine.flush_cache()
            return engine.is_idle

        return await self._call(flush)

    async def pause(self, *, retract: bool = False) -> None:
        """Stop after the step that is running; requests are still accepted, and wait. retract: whether running ones
        give back their slots and pages. Raises EngineFault."""

        def pause(engine: Engine) -> None:
            if retract:
                engine.retract()
            engine.pause()
            self._on_loop(self._set_paused, True)

        await self._call(pause)

    async def resume(self) -> None:
        """Go on after `pause`. Raises EngineFault."""

        def resume(engine: Engine) -> None:
            engine.resume()
            self._on_loop(self._set_paused, False)

        await self._call(resume)

    async def update_weights(self, swap: Callable[[], None] | None, version: str | None) -> int:
        """Serve new weights, as Backend.pack has them (None: those that serve), under a new version (None: the same).

        Waits until all requests of now have ended, unless generation is paused: then frozen ones go on with the new
        weights. How many those are. Requests that come meanwhile wait. Raises EngineFault.
        """

        def update(engine: Engine) -> int:
            num_frozen = engine.update_weights(swap) if swap is not None else 0
            if version is not None:
                self._on_loop(self._set_version, version)  # behind the events of all that the old ones made
            return num_frozen

        return await self._call(update, when_settled=True)

    async def _call(self, function: Callable[[Engine], T], *, when_settled: bool = False) -> T:
        return await asyncio.wrap_future(self._thread.call(function, when_settled=when_settled))

    def _set_paused(self, is_paused: bool) -> None:
        self.is_paused = is_paused

    def _set_version(self, version: str) -> None:
        self.weight_version = version

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
        now, batch_size, num_before = time.monotonic(), 0, self.num_tokens
        for event in events:
            generation = self._generations[event.request_id]
            if isinstance(event, Terminal):
                self._count_end(event)
                if generation._end_one(event.request_id):
                    del self._generations[event.request_id]
            if generation.is_closed:
                continue  # its reader has gone
            if isinstance(event, TokenEvent):
                batch_size += 1
                self.num_tokens += len(event.token_ids)
            generation._put(event, now)
        if batch_size:
            self.batch_sizes.observe(batch_size)
            self.recent_tokens.add(self.num_tokens - num_before, now)

    def _count_end(self, end: Terminal) -> None:
        self.num_ended += 1
        if isinstance(end, Finished):
            self.num_aborted += end.reason is FinishReason.CANCELLED
            if end.queue_s is not None:
                self.queue_times.observe(end.queue_s)

    def _fault(self, error: BaseException) -> None:
        assert self._built is not None
        loading, self.state = self.state is EngineState.LOADING, EngineState.FAILED
        if loading:
            self._built.set_exception(error)
        else:
            logger.error("the engine failed; nothing more is answered", exc_info=error)
