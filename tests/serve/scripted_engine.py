"""An engine whose every step is in the test's hands, for the real EngineThread and everything above it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from microgpt import (
    Checkpoint,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    MicrogptError,
    TokenEvent,
    Usage,
)
from microgpt.engine import Stats
from microgpt.logprobs import TokenLogprobs
from microgpt.request import Failed, PromptScored
from tests.serve.asgi_driver import Served, served


@dataclass
class _Live:
    request: GenerationRequest
    sampled: int = 0


class ScriptedEngine:
    """Emits `pieces` in turn, a token each, to every live request, one step every `step_s`.

    Token i of a sample has the id i and, where that is asked for, the log probability -i; so have those of a prompt.
    A prompt's tokens but the last come from the prefix cache.
    hold: while cleared, nothing is sampled. broken: raised by the next step. failing: requests whose number of
    tokens reaches 2 end with this error. A request ends at its max_tokens.
    """

    def __init__(self, checkpoint: Checkpoint, pieces: tuple[str, ...] = ("ab ",), step_s: float = 0.001):
        self.tokenizer, self.config = checkpoint.tokenizer, checkpoint.config
        self.backend = SimpleNamespace(device="cpu", dtype="float32", num_slots=8)
        self.pieces, self.step_s = pieces, step_s
        self.hold = threading.Event()
        self.hold.set()
        self.broken: BaseException | None = None
        self.failing: MicrogptError | None = None
        self.live: dict[str, _Live] = {}
        self.seen: list[GenerationRequest] = []
        self.cancelled: list[str] = []
        self.num_prompt_tokens = 0
        self._events: deque[Event] = deque()

    @property
    def has_work(self) -> bool:
        return bool(self.live or self._events)

    @property
    def stats(self) -> Stats:
        """8 slots, all that live have one; 10 pages, 4 of them cached."""
        running = sum(live.request.num_samples for live in tuple(self.live.values()))
        return Stats(running, 0, 8 - running, 8, 6, 4, 0, 10, self.num_prompt_tokens, 0, 0)

    def check(self, request: GenerationRequest) -> None:
        pass

    def add(self, request: GenerationRequest, is_checked: bool = False, num_before: int = 0) -> None:
        self.seen.append(request)
        self.num_prompt_tokens += len(request.prompt_ids) * request.num_samples
        self.live[request.id] = _Live(request)

    def cancel(self, request_id: str) -> None:
        if live := self.live.pop(request_id, None):
            self.cancelled.append(request_id)
            self._events += [
                Finished(request_id, FinishReason.CANCELLED, Usage(1, live.sampled), index, queue_s=0.0)
                for index in range(live.request.num_samples)
            ]

    def step(self) -> list[Event]:
        time.sleep(self.step_s)
        events, self._events = list(self._events), deque()
        if self.broken is not None:
            raise self.broken
        if self.hold.is_set():
            for request_id, live in list(self.live.items()):
                events += self._sample(request_id, live)
        return events

    def _sample(self, request_id: str, live: _Live) -> list[Event]:
        """A token for every sample of a request: they go in step."""
        samples = range(live.request.num_samples)
        if self.failing is not None and live.sampled == 2:
            del self.live[request_id]
            return [Failed(request_id, self.failing, index) for index in samples]
        params, num_prompt = live.request.params, len(live.request.prompt_ids)
        limit = self.config.block_size if params.max_tokens is None else params.max_tokens
        events: list[Event] = []
        if not live.sampled and params.prompt_logprobs_start is not None:
            scores = tuple(TokenLogprobs(-float(p)) for p in range(params.prompt_logprobs_start, num_prompt))
            events += [PromptScored(request_id, scores, index) for index in samples]
        if live.sampled < limit:
            piece, token = self.pieces[live.sampled % len(self.pieces)], live.sampled
            logprobs = (TokenLogprobs(-float(token)),) if params.logprobs else ()
            events += [TokenEvent(request_id, (token,), piece, i, logprobs, num_prompt - 1) for i in samples]
            live.sampled += 1
        if live.sampled >= limit:
            del self.live[request_id]
            usage = Usage(num_prompt, live.sampled, num_prompt - 1)
            events += [Finished(request_id, FinishReason.LENGTH, usage, index) for index in samples]
        return events


def as_engine(engine: ScriptedEngine) -> Any:
    """The same object, for where a real Engine is asked for."""
    return engine


Scenario = Callable[[Served, ScriptedEngine], Coroutine[Any, Any, None]]


def run(
    checkpoint: Checkpoint,
    scenario: Scenario,
    pieces: tuple[str, ...] = ("ab ",),
    step_s: float = 0.001,
    **environ: str,
) -> None:
    """`scenario` on a whole application, settings from `environ`, whose engine is scripted."""

    async def main() -> None:
        engine = ScriptedEngine(checkpoint, pieces, step_s)
        async with served(checkpoint, lambda: as_engine(engine), environ=environ) as service:
            await scenario(service, engine)

    asyncio.run(main())
