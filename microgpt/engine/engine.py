"""Engine: requests in, events out. Synchronous, single-threaded, and the only owner of its state."""

import heapq
from bisect import insort
from dataclasses import dataclass
from operator import attrgetter

from microgpt.backends import OPTIONAL_KNOBS, PAGE_TOKENS, Backend, Burst, pages_for
from microgpt.engine.kv_memory import KVMemory
from microgpt.engine.prefix_cache import PrefixCache
from microgpt.engine.scheduler import BURST_TIME_S, RESERVED_PART, plan, samples_for_slot
from microgpt.engine.sequence import Job, Sequence
from microgpt.errors import InvalidRequest, NumericalError
from microgpt.params import SamplingParams
from microgpt.request import Event, Failed, Finished, FinishReason, GenerationRequest, Usage
from microgpt.stops import StopMatcher, compile_stops
from microgpt.text_stream import TextStream
from microgpt.tokenizers import Tokenizer

_turn = attrgetter("turn")


@dataclass(frozen=True, slots=True)
class Stats:
    """A look at the engine. free_slots + running == num_slots, and free_pages + cached_pages + running_pages ==
    num_pages, always.

    cached_pages: kept by the prefix cache and used by no running sequence. prompt_tokens, cached_tokens: totals since
    the start, of the prompts that were admitted and of what the prefix cache had of them.
    """

    running: int
    waiting: int
    free_slots: int
    num_slots: int
    free_pages: int
    cached_pages: int
    running_pages: int
    num_pages: int
    prompt_tokens: int
    cached_tokens: int


class Engine:
    """Continuous batching: add and cancel requests at any time, call `step` while `has_work`.

    Requests get slots and KV memory first come, first served; further samples step back, see `Job.turn`. Each sample
    ends in exactly one Finished or Failed event.
    prefix_cache: whether K and V of finished prompts and answers are kept for requests that begin alike.
    """

    def __init__(self, backend: Backend, tokenizer: Tokenizer, prefix_cache: bool = True):
        self.backend = backend
        self.tokenizer = tokenizer
        self.config = backend.config
        self._waiting: list[Job] = []  # with samples that have no slot yet, in the order of their turns
        self._num_callers = 0
        self._running: dict[int, Sequence] = {}  # by slot, in order of admission
        self._cancelled: list[Event] = []
        self._live: dict[str, Job] = {}
        self._free_slots = list(range(backend.num_slots))  # a heap: low slots first keeps them together in memory
        self._num_reserved = backend.num_slots // RESERVED_PART
        self._memory = KVMemory(backend.num_pages)
        self._prefixes = PrefixCache(self._memory)
        # Most pages of a sequence that are worth keeping: no prompt can share a page with the context's last position.
        self._most_kept = (self.config.block_size - 1) // PAGE_TOKENS if prefix_cache else 0
        self._prompt_tokens = self._cached_tokens = 0
        # Knobs that the backend lacks, with the value that does nothing.
        self._lacking = {name: getattr(SamplingParams, name) for name in OPTIONAL_KNOBS if name not in backend.supports}

    @property
    def has_work(self) -> bool:
        """Whether `step` has anything to do or to report."""
        return bool(self._live or self._cancelled)

    @property
    def stats(self) -> Stats:
        memory = self._memory
        return Stats(
            running=len(self._running),
            waiting=sum(job.num_waiting for job in tuple(self._waiting)),  # a copy: other threads may look
            free_slots=len(self._free_slots),
            num_slots=self.backend.num_slots,
            free_pages=memory.free_pages,
            cached_pages=memory.cached_pages,
            running_pages=memory.running_pages,
            num_pages=memory.num_pages,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
        )

    def room(self, num_prompt: int) -> int:
        """How many tokens can be sampled after a prompt: the last one needs no position of its own."""
        return self.config.block_size - num_prompt + 1

    def check(self, request: GenerationRequest) -> None:
        """Raise InvalidRequest if `request` can never run. Reads nothing that changes: callable from any thread."""
        config, params = self.config, request.params
        if not 1 <= len(request.prompt_ids) <= config.block_size:
            raise InvalidRequest(f"prompt length must be in [1, {config.block_size}], got {len(request.prompt_ids)}")
        if request.num_samples < 1:
            raise InvalidRequest(f"num_samples must be >= 1, got {request.num_samples}")
        for name, neutral in self._lacking.items():
            if (value := getattr(params, name)) != neutral:
                raise InvalidRequest(f"{name} must be left out with this backend, got {value!r:.80}")
        for name, ids in (
            ("prompt_ids", request.prompt_ids),
            ("logit_bias ids", [token for token, _ in params.logit_bias]),
            ("stop_token_ids", params.stop_token_ids),
            ("suppress_token_ids", params.suppress_token_ids),
            ("logprob_token_ids", params.logprob_token_ids),
        ):
            wrong = [i for i in ids if not 0 <= i < config.vocab_size]
            if wrong:
                raise InvalidRequest(f"{name} must be in [0, {config.vocab_size}), got {wrong[0]}")
        never = set(params.suppress_token_ids) | set(params.end_token_ids if params.min_tokens else ())
        if len(never) == config.vocab_size:
            raise InvalidRequest("no token is left to sample: all are suppressed or stop tokens")
        compile_stops(params.stop, params.stop_regex)

    def add(self, request: GenerationRequest, is_checked: bool = False, num_before: int = 0) -> None:
        """Take a request. Raises InvalidRequest if it can never run or its id is live; then nothing has changed.

        is_checked: whether `check` has passed it already. num_before: samples that the caller has just added in other
        requests; those of this one are then further samples, see `Job.turn`.
        """
        if not is_checked:
            self.check(request)
        if request.id in self._live:
            raise InvalidRequest(f"id must be unique among live requests, got {request.id!r} again")
        num_prompt = len(request.prompt_ids)
        room = self.room(num_prompt)
        params = request.params
        limit = min(room, params.max_tokens or room)
        self._num_callers += not num_before
        job = Job(
            request,
            self._num_callers,
            num_before,
            limit,
            num_pages=pages_for(num_prompt + limit - 1),  # the last token sampled needs no position
            most_shared=min(self._most_kept, (num_prompt - 1) // PAGE_TOKENS),  # the last one fed gives logits
            stop_rules=compile_stops(params.stop, params.stop_regex) if params.stop or params.stop_regex else None,
        )
        self._live[request.id] = job
        insort(self._waiting, job, key=_turn)

    def cancel(self, request_id: str) -> None:
        """End what is left of a request now; Finished events come from the next `step`. An id that is not live is
        ignored."""
        job = self._live.get(request_id)
        if job is None:
            return
        if job.num_waiting:
            self._waiting.remove(job)
        nothing = Usage(len(job.request.prompt_ids), 0, 0)
        ended = dict.fromkeys(range(job.next_sample, job.request.num_samples), nothing)
        for sequence in [sequence for sequence in self._running.values() if sequence.job is job]:
            ended |= dict.fromkeys(sequence.samples[1:], nothing)
            ended[sequence.samples.start] = sequence.usage
            self._release(sequence)
        del self._live[request_id]
        self._cancelled += [
            Finished(request_id, FinishReason.CANCELLED, usage, index) for index, usage in sorted(ended.items())
        ]

    def step(self) -> list[Event]:
        """Admit, run one burst, and return what happened; in order for each request."""
        events, self._cancelled = self._cancelled, []
        prefix_awaited = self._admit()
        sequences, feeds, max_steps = plan(self._running.values())
        if not feeds:
            return events
        if prefix_awaited:
            max_steps = 1
        bursts = self.backend.burst(feeds, max_steps, BURST_TIME_S)
        for sequence, feed, burst in zip(sequences, feeds, bursts, strict=True):
            sequence.num_computed += len(feed.token_ids)
            if burst.error is not None:
                if not self._stopped_before(sequence, burst, events):
                    self._fail(sequence, burst.error, events)
            elif burst.token_ids:
                self._take(sequence, burst, events)
        return events

    def _admit(self) -> bool:
        """Give slots and pages to waiting sequences, until the first that cannot have them.

        Returns whether that one waits for a prefix which is being computed: samples of one prompt that come together
        then compute it once.
        """
        while (at := self._next_waiting()) is not None:
            job = self._waiting[at]
            shared: list[int] = []
            if job.most_shared:
                shared = self._prefixes.match(job.request.prompt_ids, job.most_shared)
                if len(shared) < job.most_shared and self._is_being_computed(job, len(shared) + 1):
                    return True
            count = job.num_pages - len(shared)
            if count > self._memory.available_beside(shared):
                return False
            self._open(job, shared, count)
            del self._waiting[at]
            if job.num_waiting:
                insort(self._waiting, job, key=_turn)
        return False

    def _next_waiting(self) -> int | None:
        """The place of the waiting job that gets the next slot; None if there is none. The last free slots are for
        first samples, so that nobody waits for the many samples of others to end."""
        if len(self._free_slots) > self._num_reserved:
            return 0 if self._waiting else None
        if self._free_slots:
            return next((at for at, job in enumerate(self._waiting) if job.is_first), None)
        return None

    def _is_being_computed(self, job: Job, num_pages: int) -> bool:
        """Whether a running prompt will soon let a waiting job share its first `num_pages` pages. A prompt that
        is being computed waits for nothing, so waiting for it ends."""
        end = num_pages * PAGE_TOKENS
        beginning = job.request.prompt_ids[:end]
        return any(
            other.is_prefilling and other.request.prompt_ids[:end] == beginning for other in self._running.values()
        )

    def _open(self, job: Job, shared: list[int], count: int) -> None:
        """Start a sequence on `shared` pages from the prefix cache and `count` pages of its own."""
        self._memory.hold(shared)
        self._prefixes.make_room(count)
        request, first, rules = job.request, job.next_sample, job.stop_rules
        num_samples = 1
        if self.backend.repeats and request.num_samples > 1 and rules is None:
            num_samples = samples_for_slot(job, len(self._free_slots), self.config.num_parameters)
        job.next_sample += num_samples
        sequence = Sequence(
            job,
            samples=range(first, job.next_sample),
            slot=heapq.heappop(self._free_slots),
            pages=shared + self._memory.take(count),
            kept_pages=shared,
            num_cached=len(shared) * PAGE_TOKENS,
            text_stream=TextStream(self.tokenizer, request.special_text),
            stops=None if rules is None else StopMatcher(rules, trim=not request.params.no_stop_trim),
        )
        self._running[sequence.slot] = sequence
        self._count_prompt(sequence)
        self.backend.open(
            sequence.slot, request.params, job.limit, sequence.pages, request.prompt_ids, sequence.samples
        )

    def _count_prompt(self, sequence: Sequence) -> None:
        self._prompt_tokens += sequence.num_prompt
        self._cached_tokens += sequence.num_reused

    def _keep(self, sequence: Sequence) -> None:
        """Keep the pages that a sequence has filled, without what was sampled past its end, nor what a further sample
        will replace."""
        num_kept = len(sequence.kept_pages)
        if num_kept == self._most_kept:
            return
        num_tokens = sequence.num_prompt if len(sequence.samples) > 1 else sequence.num_tokens
        num_full = min(self._most_kept, min(sequence.num_computed, num_tokens) // PAGE_TOKENS)
        if num_full > num_kept:
            tokens = sequence.first_tokens(num_full * PAGE_TOKENS)
            kept_pages = self._prefixes.insert(tokens, sequence.pages[:num_full])
            self._memory.hold(kept_pages)
            self._memory.release(sequence.kept_pages)
            sequence.kept_pages = kept_pages

    def _take(self, sequence: Sequence, burst: Burst, events: list[Event]) -> None:
        """Append what a burst sampled to a sequence; adds the events of that."""
        job = sequence.job
        token_ids, logprobs, start = burst.token_ids, burst.logprobs, 0
        for end in burst.ends:
            if sequence.is_prefilling:  # other samples of the same prompt need not wait for the end of these
                self._keep(sequence)
            event, end_event = sequence.append(token_ids[start:end], logprobs[start:end])
            assert end_event is not None
            events += (event, end_event)
            sequence.begin_next(TextStream(self.tokenizer, job.request.special_text))
            self._count_prompt(sequence)
            start = end
        if burst.ends:
            token_ids, logprobs = token_ids[start:], logprobs[start:]
            sequence.num_computed += bool(token_ids)  # the prompt's last token was fed once more
            self._end(job, len(burst.ends))
        if not token_ids:
            return
        completes_prompt = sequence.is_prefilling
        sequence.num_computed += len(token_ids) - 1
        event, end_event = sequence.append(token_ids, logprobs)
        events.append(event)
        if end_event is not None:
            self._release(sequence)
            events.append(end_event)
            self._end(job, 1)
        elif completes_prompt:
            self._keep(sequence)

    def _stopped_before(self, sequence: Sequence, burst: Burst, events: list[Event]) -> bool:
        """Whether a sequence that failed in a burst was to stop before that, by its text; then it has ended."""
        if sequence.stops is None or not burst.token_ids:
            return False
        event, end_event = sequence.append(burst.token_ids, burst.logprobs)
        events.append(event)
        if end_event is None:
            return False
        self._release(sequence, is_sound=False)
        events.append(end_event)
        self._end(sequence.job, 1)
        return True

    def _fail(self, sequence: Sequence, error: NumericalError, events: list[Event]) -> None:
        """End all samples that a sequence was to make."""
        self._release(sequence, is_sound=False)
        events += [Failed(sequence.request.id, error, index) for index in sequence.samples]
        self._end(sequence.job, len(sequence.samples))

    def _end(self, job: Job, num_samples: int) -> None:
        """Note that samples of a job have ended."""
        job.num_left -= num_samples
        if not job.num_left:
            del self._live[job.request.id]

    def _release(self, sequence: Sequence, is_sound: bool = True) -> None:
        """Free a sequence's slot, and its pages but for what is worth keeping."""
        del self._running[sequence.slot]
        heapq.heappush(self._free_slots, sequence.slot)
        if is_sound:
            self._keep(sequence)
        self._memory.release(sequence.pages[sequence.num_cached // PAGE_TOKENS :])
        self._memory.release(sequence.kept_pages)
