"""Engine: requests in, events out. Synchronous, single-threaded, and the only owner of its state."""

import heapq
from collections import deque
from dataclasses import dataclass

from microgpt.backends import Backend
from microgpt.engine.scheduler import BURST_TIME_S, plan
from microgpt.engine.sequence import Sequence
from microgpt.errors import InvalidRequest
from microgpt.request import Event, Failed, Finished, FinishReason, GenerationRequest, TokenEvent
from microgpt.text_stream import TextStream
from microgpt.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Stats:
    """A look at the engine. Slots: free_slots + running == num_slots, always."""

    running: int
    waiting: int
    free_slots: int
    num_slots: int


class Engine:
    """Continuous batching: add and cancel requests at any time, call `step` while `has_work`.

    Requests get slots first come, first served. Each ends in exactly one Finished or Failed event.
    """

    def __init__(self, backend: Backend, tokenizer: Tokenizer):
        self.backend = backend
        self.tokenizer = tokenizer
        self.config = backend.config
        self._waiting: deque[Sequence] = deque()
        self._running: dict[str, Sequence] = {}  # in order of admission
        self._cancelled: list[Event] = []
        self._live: dict[str, Sequence] = {}
        self._free_slots = list(range(backend.num_slots))  # a heap: low slots first keeps them together in memory

    @property
    def has_work(self) -> bool:
        """Whether `step` has anything to do or to report."""
        return bool(self._live or self._cancelled)

    @property
    def stats(self) -> Stats:
        return Stats(len(self._running), len(self._waiting), len(self._free_slots), self.backend.num_slots)

    def room(self, num_prompt: int) -> int:
        """How many tokens can be sampled after a prompt: the last one needs no position of its own."""
        return self.config.block_size - num_prompt + 1

    def check(self, request: GenerationRequest) -> None:
        """Raise InvalidRequest if `request` can never run. Reads nothing that changes: callable from any thread."""
        config, params = self.config, request.params
        if not 1 <= len(request.prompt_ids) <= config.block_size:
            raise InvalidRequest(f"prompt length must be in [1, {config.block_size}], got {len(request.prompt_ids)}")
        for name, ids in (
            ("prompt_ids", request.prompt_ids),
            ("stop_token_ids", params.stop_token_ids),
            ("suppress_token_ids", params.suppress_token_ids),
        ):
            wrong = [i for i in ids if not 0 <= i < config.vocab_size]
            if wrong:
                raise InvalidRequest(f"{name} must be in [0, {config.vocab_size}), got {wrong[0]}")
        never = set(params.suppress_token_ids) | set(params.stop_token_ids if params.min_tokens else ())
        if len(never) == config.vocab_size:
            raise InvalidRequest("no token is left to sample: all are suppressed or stop tokens")

    def add(self, request: GenerationRequest) -> None:
        """Take a request. Raises InvalidRequest if it can never run or its id is live; then nothing has changed."""
        self.check(request)
        if request.id in self._live:
            raise InvalidRequest(f"id must be unique among live requests, got {request.id!r} again")
        room = self.room(len(request.prompt_ids))
        limit = min(room, request.params.max_tokens or room)
        sequence = Sequence(request, limit, TextStream(self.tokenizer, request.special_text))
        self._live[request.id] = sequence
        self._waiting.append(sequence)

    def cancel(self, request_id: str) -> None:
        """End a request now; its Finished event comes from the next `step`. An id that is not live is ignored."""
        sequence = self._live.get(request_id)
        if sequence is None:
            return
        if sequence.slot is None:
            self._waiting.remove(sequence)
        self._release(sequence)
        self._cancelled.append(Finished(request_id, FinishReason.CANCELLED, sequence.usage))

    def step(self) -> list[Event]:
        """Admit, run one burst, and return what happened; in order for each request."""
        events, self._cancelled = self._cancelled, []
        self._admit()
        sequences, feeds, max_steps = plan(self._running.values())
        if not feeds:
            return events
        bursts = self.backend.burst(feeds, max_steps, BURST_TIME_S)
        for sequence, feed, burst in zip(sequences, feeds, bursts, strict=True):
            sequence.num_computed += len(feed.token_ids) + max(0, len(burst.token_ids) - 1)
            if burst.error is not None:
                self._release(sequence)
                events.append(Failed(sequence.request.id, burst.error))
            elif burst.token_ids:
                events += self._take(sequence, burst.token_ids)
        return events

    def _admit(self) -> None:
        while self._waiting and self._free_slots:
            sequence = self._waiting.popleft()
            sequence.slot = heapq.heappop(self._free_slots)
            self._running[sequence.request.id] = sequence
            self.backend.open(sequence.slot, sequence.request.params, sequence.limit)

    def _take(self, sequence: Sequence, token_ids: tuple[int, ...]) -> list[Event]:
        """Append sampled tokens to a sequence; the events of that."""
        request_id = sequence.request.id
        reason = sequence.append(token_ids)
        text = sequence.text_stream.push(token_ids)
        if reason is None:
            return [TokenEvent(request_id, token_ids, text)]
        self._release(sequence)
        text += sequence.text_stream.flush()
        return [TokenEvent(request_id, token_ids, text), Finished(request_id, reason, sequence.usage)]

    def _release(self, sequence: Sequence) -> None:
        """Forget a sequence and free its slot."""
        del self._live[sequence.request.id]
        if sequence.slot is not None:
            del self._running[sequence.request.id]
            heapq.heappush(self._free_slots, sequence.slot)
            sequence.slot = None
