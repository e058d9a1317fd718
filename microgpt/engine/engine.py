"""Engine: requests in, events out. Synchronous, single-threaded, and the only owner of its state."""

import heapq
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter

from microgpt.backends import PAGE_TOKENS, Backend, Burst, Feed, pages_for
from microgpt.checkpoint import Checkpoint
from microgpt.engine import scheduler
from microgpt.engine.guide import Guide, MaskRoom, merged
from microgpt.engine.kv_memory import KVMemory
from microgpt.engine.prefix_cache import PrefixCache
from microgpt.engine.scheduler import (
    BURST_TIME_S,
    RESERVED_PART,
    guided,
    guided_time,
    plan,
    samples_for_slot,
    samples_for_tracks,
)
from microgpt.engine.sequence import Job, Sequence
from microgpt.errors import ConstraintError, InvalidRequest, NumericalError
from microgpt.logprobs import TokenLogprobs
from microgpt.request import Event, Failed, Finished, FinishReason, GenerationRequest, Usage
from microgpt.stops import StopMatcher, compile_stops
from microgpt.text_stream import TextStream
from microgpt.tokenizers import Tokenizer

_turn = attrgetter("turn")


@dataclass(frozen=True, slots=True)
class Stats:
    """A look at the engine. free_slots + running == num_slots, and free_pages + cached_pages + running_pages ==
    num_pages, always.

    waiting: samples that have no slot. cached_pages: kept by the prefix cache and used by no running sequence.
    prompt_tokens, cached_tokens: totals since the start, of the prompts that were admitted and of what the prefix cache
    had of them. waiting_tokens: of the prompts that wait.
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
    waiting_tokens: int


class Engine:
    """Continuous batching: add and cancel requests at any time, call `step` while `has_work`.

    Requests get slots and KV memory first come, first served; further samples step back, see `Job.turn`. Each sample
    ends in exactly one Finished or Failed event.
    prefix_cache: whether K and V of finished prompts and answers are kept for requests that begin alike. clock: in
    seconds, for queue_s.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: Tokenizer,
        prefix_cache: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.backend = backend
        self.tokenizer = tokenizer
        self.config = backend.config
        self._num_parameters = backend.config.num_parameters  # which takes long to count
        self._waiting: list[Job] = []  # with samples that have no slot yet, in the order of their turns
        self._held: list[Job] = []  # what came while `_is_holding`; goes to _waiting
        self._retracted: deque[Sequence] = deque()  # goes before _waiting
        self._is_paused = self._is_holding = False
        self._clock = clock
        self._num_callers = 0
        self._running: dict[int, Sequence] = {}  # by slot, in order of admission
        self._num_guided = 0  # of them, those under a constraint
        # All of them, where the last burst was theirs, and the next one is each one's next tokens and nothing else.
        self._going: list[Sequence] = []
        self._masks = MaskRoom(backend.num_slots, self.config.vocab_size)
        self._cancelled: list[Event] = []
        self._live: dict[str, Job] = {}
        self._free_slots = list(range(backend.num_slots))  # a heap: low slots first keeps them together in memory
        self._num_reserved = backend.num_slots // RESERVED_PART
        self._memory = KVMemory(backend.num_pages)
        self._prefixes = PrefixCache(self._memory)
        # Most pages of a sequence that are worth keeping: no prompt can share a page with the context's last position.
        self._most_kept = (self.config.block_size - 1) // PAGE_TOKENS if prefix_cache else 0
        self._prompt_tokens = self._cached_tokens = 0

    @property
    def has_work(self) -> bool:
        """Whether `step` has anything to do or to report. Not while paused, nor where all that is left is held."""
        return bool(self._cancelled) or (not self._is_paused and len(self._live) > len(self._held))

    @property
    def stats(self) -> Stats:
        memory = self._memory
        return Stats(
            running=len(self._running),
            # Copies: other threads may look.
            waiting=sum(job.num_waiting for job in (*tuple(self._waiting), *tuple(self._held)))
            + sum(len(sequence.samples) for sequence in tuple(self._retracted)),
            free_slots=len(self._free_slots),
            num_slots=self.backend.num_slots,
            free_pages=memory.free_pages,
            cached_pages=memory.cached_pages,
            running_pages=memory.running_pages,
            num_pages=memory.num_pages,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            waiting_tokens=sum(job.num_waiting * len(job.request.prompt_ids) for job in tuple(self._waiting)),
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
        num_prompt, scored = len(request.prompt_ids), params.prompt_logprobs_start
        if scored is not None and scored > num_prompt:
            raise InvalidRequest(f"prompt_logprobs_start must be in [0, {num_prompt}], got {scored}")
        for name, ids in (
            ("prompt_ids", request.prompt_ids),
            ("logit_bias ids", [token for token, _ in params.logit_bias] if params.logit_bias else ()),
            ("stop_token_ids", params.stop_token_ids),
            ("suppress_token_ids", params.suppress_token_ids),
            ("logprob_token_ids", params.logprob_token_ids),
        ):
            if ids and not 0 <= min(ids) <= max(ids) < config.vocab_size:
                wrong = next(i for i in ids if not 0 <= i < config.vocab_size)
                raise InvalidRequest(f"{name} must be in [0, {config.vocab_size}), got {wrong}")
        never = {*params.suppress_token_ids, *params.end_token_ids} if params.min_tokens else params.suppress_token_ids
        if len(never) >= config.vocab_size and len(set(never)) == config.vocab_size:
            raise InvalidRequest("no token is left to sample: all are suppressed or stop tokens")
        if params.stop or params.stop_regex:
            compile_stops(params.stop, params.stop_regex)
        if request.constraint is not None and request.constraint.vocab_size != config.vocab_size:
            vocab_size = request.constraint.vocab_size
            raise InvalidRequest(f"constraint must be for {config.vocab_size} tokens, got one for {vocab_size}")

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
        limit = room if params.max_tokens is None else min(room, params.max_tokens)
        self._num_callers += not num_before
        job = Job(
            request,
            self._num_callers,
            num_before,
            limit,
            num_pages=pages_for(num_prompt + max(limit, 1) - 1),  # the last token sampled needs no position
            most_shared=self._most_shared(request),
            stop_rules=compile_stops(params.stop, params.stop_regex) if params.stop or params.stop_regex else None,
            added_at=self._clock(),
        )
        self._live[request.id] = job
        insort(self._held if self._is_holding else self._waiting, job, key=_turn)

    def _most_shared(self, request: GenerationRequest, is_scored: bool = False) -> int:
        """How many pages of a prompt can come from the prefix cache; is_scored: its log probabilities are known. The
        token before the first one that logits are needed for must be fed."""
        start = request.params.prompt_logprobs_start
        first = len(request.prompt_ids) if start is None or is_scored else max(start, 1)
        return min(self._most_kept, (first - 1) // PAGE_TOKENS)

    def cancel(self, request_id: str) -> None:
        """End what is left of a request now; Finished events come from the next `step`. An id that is not live is
        ignored."""
        job = self._live.get(request_id)
        if job is None:
            return
        if job.num_waiting:
            (self._held if job in self._held else self._waiting).remove(job)
        nothing = Usage(len(job.request.prompt_ids), 0, 0)
        reason = FinishReason.CANCELLED
        ended = [
            Finished(request_id, reason, nothing, index) for index in range(job.next_sample, job.request.num_samples)
        ]
        for sequence in [each for each in (*self._running.values(), *self._retracted) if each.job is job]:
            end = sequence.finished(reason)
            ended += [end, *(end._replace(index=index, usage=nothing) for index in sequence.samples[1:])]
            if sequence.slot < 0:
                self._retracted.remove(sequence)
            else:
                self._release(sequence)
        del self._live[request_id]
        self._cancelled += sorted(ended, key=lambda end: end.index)

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def pause(self) -> None:
        """From now on a step reports what was cancelled and does nothing else. Requests can be added and cancelled."""
        self._is_paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        self._is_paused = False

    def hold(self) -> None:
        """Requests that are added from now on get no slot before `release`; those that were there go on."""
        self._is_holding = True

    def release(self) -> None:
        """Let requests that came since `hold` have slots."""
        self._is_holding = False
        for job in self._held:
            insort(self._waiting, job, key=_turn)
        self._held.clear()

    @property
    def is_idle(self) -> bool:
        """Whether no request is running or waiting."""
        return not self._live

    def retract(self) -> int:
        """Take slot and pages from every running sequence; how many there were. They come back first, in order, their
        prompts and what they have sampled is computed again, and the answer is as if nothing had happened."""
        sequences = list(self._running.values())
        for sequence in sequences:
            self._release(sequence)
            sequence.retract()
        self._retracted.extendleft(reversed(sequences))
        return len(sequences)

    def flush_cache(self) -> None:
        """Empty the prefix cache: no request is served K and V from before. Pages of running sequences stay theirs."""
        self._prefixes.clear()
        for sequence in self._running.values():
            sequence.is_flushed = True

    def check_weights(self, checkpoint: Checkpoint) -> None:
        """Raise InvalidRequest unless the weights of `checkpoint` can replace those that serve. Callable from any
        thread."""
        mine, its = self.tokenizer, checkpoint.tokenizer
        for name, served, offered in (
            ("sizes", self.config, checkpoint.config),
            ("chat tokens", mine.chat, its.chat),
            ("bos", mine.bos, its.bos),
        ):
            if served != offered:
                raise InvalidRequest(f"{name} of the new weights must be {served}, got {offered}")
        if (mine.all_bytes, mine.special_ids) != (its.all_bytes, its.special_ids):
            raise InvalidRequest("the tokenizer of the new weights must have the same tokens")

    def update_weights(self, swap: Callable[[], None]) -> int:
        """Serve new weights from the next step on; `swap` is what Backend.pack has made of them.

        The prefix cache is emptied. Sequences in the middle of their work are retracted, and go on with K and V of the
        new weights; how many there are.
        """
        self.retract()
        self.flush_cache()
        for job in self._live.values():  # what was found of prompts was the old weights'
            job.prompt_logprobs, job.most_shared = None, self._most_shared(job.request)
        swap()
        return len(self._retracted)

    def step(self) -> list[Event]:
        """Admit, run one burst, then steps of what is under a constraint, and return what happened; in order for each
        request."""
        events, self._cancelled = self._cancelled, []
        if self._is_paused:
            return events
        prefix_awaited = self._admit()
        if self._going:
            bursts = self.backend.go_on(scheduler.BURST_STEPS, BURST_TIME_S)
            self._digest(self._going, repeat(1, len(bursts)), bursts, events)
            return events
        sequences, feeds, max_steps = plan(self._running.values())
        started = time.monotonic()
        if feeds:
            bursts = self.backend.burst(feeds, 1 if prefix_awaited else max_steps, BURST_TIME_S)
            self._digest(sequences, [len(feed.token_ids) for feed in feeds], bursts, events)
        if self._num_guided and (group := guided(self._running.values())):
            time_s = guided_time(time.monotonic() - started, len(feeds), len(group))
            events += self._step_guided(group, 1 if prefix_awaited else scheduler.BURST_STEPS, time_s)
        return events

    def _step_guided(self, group: list[tuple[Sequence, Guide]], max_steps: int, time_limit_s: float) -> list[Event]:
        """Up to max_steps tokens, at least one, for the sequences that await a mask: each token needs a new mask. Where
        masks take long, only some sequences step, and the others at the next opportunity."""
        events: list[Event] = []
        deadline = time.monotonic() + time_limit_s
        for _ in range(max_steps):
            masks, errors = self._masks.fill(
                [(guide, len(sequence.output_ids)) for sequence, guide in group], time.monotonic() + BURST_TIME_S
            )
            sequences: list[Sequence] = []
            feeds: list[Feed] = []
            for i, (mask, (sequence, _)) in enumerate(zip(masks, group, strict=False)):
                if i in errors:
                    self._fail(sequence, errors[i], events)
                    continue
                sequences.append(sequence)
                feeds.append(Feed(sequence.slot, sequence.next_tokens(1), sequence.num_computed, True, allowed=mask))
            if feeds:
                self._digest(sequences, repeat(1, len(feeds)), self.backend.burst(feeds, 1, 0), events)
            if time.monotonic() >= deadline or not (group := guided(self._running.values())):
                break
        return merged(events)

    def _digest(
        self, sequences: list[Sequence], nums_fed: Iterable[int], bursts: list[Burst], events: list[Event]
    ) -> None:
        """Take what a burst made of each sequence, of which it was fed so many tokens; adds the events of that."""
        go_on = len(sequences) == len(self._running) and not self._num_guided  # the next ones need masks
        are_decoding = sequences is self._going
        for sequence, num_fed, burst in zip(sequences, nums_fed, bursts, strict=True):
            sequence.num_computed += num_fed
            if not burst.goes_on:
                go_on = False
            elif are_decoding or sequence.is_decoding:  # most of them, most of the time
                self._extend(sequence, burst.token_ids, burst.logprobs, events)
                continue
            if burst.prompt_logprobs:
                sequence.scores += burst.prompt_logprobs
            if burst.error is not None:
                if not self._stopped_before(sequence, burst, events):
                    self._fail(sequence, burst.error, events)
            elif burst.token_ids:
                self._take(sequence, burst, events)
            elif not sequence.job.limit and sequence.num_computed == sequence.num_prompt:
                self._end_prompt(sequence, events)
        self._going = sequences if go_on and len(sequences) == len(self._running) else []

    def _admit(self) -> bool:
        """Give slots and pages to waiting sequences, until the first that cannot have them.

        Returns whether that one waits for a prefix which is being computed: samples of one prompt that come together
        then compute it once.
        """
        while self._retracted and self._free_slots:
            if not self._reopen(self._retracted[0]):
                return False
            self._retracted.popleft()
        while (at := self._next_waiting()) is not None:
            job = self._waiting[at]
            if job.wants_scores and any(other.is_scoring and other.job is job for other in self._running.values()):
                return True  # for the first sample's, which are those of all
            shared: list[int] = []
            if job.most_shared:
                shared = self._prefixes.match(job.request.prompt_ids, job.most_shared, job.request.cache_key)
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
            other.is_prefilling
            and not other.is_flushed
            and other.request.prompt_ids[:end] == beginning
            and other.request.cache_key == job.request.cache_key
            for other in self._running.values()
        )

    def _open(self, job: Job, shared: list[int], count: int) -> None:
        """Start a sequence on `shared` pages from the prefix cache and `count` pages of its own."""
        self._memory.hold(shared)
        request, first, rules = job.request, job.next_sample, job.stop_rules
        slot = heapq.heappop(self._free_slots)
        num_samples, num_tracks = self._share(job, slot)
        count *= num_tracks
        self._prefixes.make_room(count)
        job.next_sample += num_samples
        sequence = Sequence(
            job,
            samples=range(first, job.next_sample),
            slot=slot,
            pages=shared + self._memory.take(count),
            kept_pages=shared,
            num_cached=len(shared) * PAGE_TOKENS,
            text_stream=TextStream(self.tokenizer, request.special_text),
            stops=None if rules is None else StopMatcher(rules, trim=not request.params.no_stop_trim),
            queue_s=self._clock() - job.added_at,
            is_scoring=job.wants_scores,
            guide=Guide(request.constraint, request.params) if request.constraint is not None and job.limit else None,
            is_flushed=num_tracks > 1,  # which page holds what of which sample is the backend's affair
        )
        self._num_guided += sequence.guide is not None
        self._running[slot] = sequence
        self._going = []
        self._count_prompt(sequence)
        self.backend.open(
            slot,
            request.params,
            job.limit,
            sequence.pages,
            request.prompt_ids,
            sequence.samples,
            num_tracks=num_tracks,
        )

    def _share(self, job: Job, slot: int) -> tuple[int, int]:
        """How many of a job's waiting samples a slot makes, and how many of them side by side."""
        sample_slots, num_free = self.backend.sample_slots, len(self._free_slots)
        if not sample_slots or job.num_waiting == 1 or not job.can_repeat:
            return 1, 1
        if job.can_split:
            # A sequence in each free slot must find its pages, whatever happens here.
            spare = self._memory.available_beside(()) - num_free * pages_for(self.config.block_size)
            most_tracks = min(self.backend.num_tracks(slot), spare // job.num_pages)
            if most_tracks > 1:
                return samples_for_tracks(job, most_tracks, self._num_parameters)
        free_slots = max(1, num_free + 1 - self._num_reserved)
        return samples_for_slot(job, free_slots, sample_slots, self._num_parameters), 1

    def _reopen(self, sequence: Sequence) -> bool:
        """Give a retracted sequence slot and pages again; False where there are too few."""
        job, request = sequence.job, sequence.request
        tokens = sequence.first_tokens(sequence.num_tokens)
        most = job.most_shared
        if sequence.output_ids and len(sequence.samples) == 1:  # a further sample would write over shared pages
            most = min(self._most_kept, (len(tokens) - 1) // PAGE_TOKENS)
        shared = self._prefixes.match(tokens, most, request.cache_key)
        count = job.num_pages - len(shared)
        if count > self._memory.available_beside(shared):
            return False
        self._memory.hold(shared)
        self._prefixes.make_room(count)
        slot = heapq.heappop(self._free_slots)
        sequence.resume(slot, shared + self._memory.take(count), shared, len(shared) * PAGE_TOKENS)
        self._running[slot] = sequence
        self._going = []
        self._num_guided += sequence.guide is not None
        self.backend.open(
            slot, request.params, job.limit, sequence.pages, request.prompt_ids, sequence.samples, sequence.output_ids
        )
        return True

    def _count_prompt(self, sequence: Sequence, num_samples: int = 1) -> None:
        """Count the prompts of samples that a sequence begins, alike in what they reuse."""
        self._prompt_tokens += num_samples * sequence.num_prompt
        self._cached_tokens += num_samples * sequence.num_reused

    def _keep(self, sequence: Sequence) -> None:
        """Keep the pages that a sequence has filled, without what was sampled past its end, nor what a further sample
        will replace."""
        num_kept = len(sequence.kept_pages)
        if num_kept == self._most_kept or sequence.is_flushed:
            return
        num_tokens = sequence.num_prompt if len(sequence.samples) > 1 else sequence.num_tokens
        num_full = min(self._most_kept, min(sequence.num_computed, num_tokens) // PAGE_TOKENS)
        if num_full > num_kept:
            tokens = sequence.first_tokens(num_full * PAGE_TOKENS)
            kept_pages = self._prefixes.insert(tokens, sequence.pages[:num_full], sequence.request.cache_key)
            self._memory.hold(kept_pages)
            self._memory.release(sequence.kept_pages)
            sequence.kept_pages = kept_pages

    def _take(self, sequence: Sequence, burst: Burst, events: list[Event]) -> None:
        """Append what a burst sampled to a sequence; adds the events of that."""
        job, token_ids, logprobs, ends = sequence.job, burst.token_ids, burst.logprobs, burst.ends
        if ends:
            if sequence.is_prefilling:  # other samples of the same prompt need not wait for the end of these
                self._keep(sequence)
            num_begun = len(ends)
            is_over = num_begun + 1 == len(sequence.samples) and job.is_end(token_ids, ends[-1])
            if is_over:
                ends = (*ends, len(token_ids))
            events += sequence.append_samples(token_ids, logprobs, ends)
            self._count_prompt(sequence, num_begun)
            if is_over:
                self._release(sequence)
            self._end(job, len(ends))
            token_ids, logprobs = token_ids[ends[-1] :], logprobs[ends[-1] :]
            sequence.num_computed += bool(token_ids)  # the prompt's last token was fed once more
        if not token_ids:
            return
        is_complete = False
        if sequence.guide is not None:
            try:
                is_complete = sequence.guide.take(token_ids[-1])
            except ConstraintError as error:
                self._fail(sequence, error, events)
                return
        completes_prompt = sequence.is_prefilling
        if not sequence.output_ids:
            self._tell_scores(sequence, events)
        goes_on = self._extend(sequence, token_ids, logprobs, events, is_complete)
        if goes_on and completes_prompt:
            self._keep(sequence)

    def _extend(
        self,
        sequence: Sequence,
        token_ids: tuple[int, ...],
        logprobs: tuple[TokenLogprobs, ...],
        events: list[Event],
        is_complete: bool = False,
    ) -> bool:
        """Append sampled tokens to a sequence, all but the last of which were fed, too; whether it goes on."""
        sequence.num_computed += len(token_ids) - 1
        event, end_event = sequence.append(token_ids, logprobs, is_complete)
        events.append(event)
        if end_event is None:
            return True
        self._release(sequence)
        events.append(end_event)
        self._end(sequence.job, 1)
        return False

    def _tell_scores(self, sequence: Sequence, events: list[Event]) -> None:
        """Add the event of the prompt's log probabilities, where they were asked for. The prompt is complete."""
        if sequence.request.params.prompt_logprobs_start is None:
            return
        events.append(sequence.scored())
        sequence.job.most_shared = self._most_shared(sequence.request, is_scored=True)

    def _end_prompt(self, sequence: Sequence, events: list[Event]) -> None:
        """End a sample of no tokens, whose prompt is complete."""
        self._tell_scores(sequence, events)
        self._release(sequence)
        events.append(sequence.finished(FinishReason.LENGTH))
        self._end(sequence.job, 1)

    def _stopped_before(self, sequence: Sequence, burst: Burst, events: list[Event]) -> bool:
        """Whether a sequence that failed in a burst was to stop before that, by its text; then it has ended."""
        if sequence.stops is None or not burst.token_ids:
            return False
        if not sequence.output_ids:
            self._tell_scores(sequence, events)
        event, end_event = sequence.append(burst.token_ids, burst.logprobs)
        events.append(event)
        if end_event is None:
            return False
        self._release(sequence, is_sound=False)
        events.append(end_event)
        self._end(sequence.job, 1)
        return True

    def _fail(self, sequence: Sequence, error: NumericalError | ConstraintError, events: list[Event]) -> None:
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
        self._going = []
        self._num_guided -= sequence.guide is not None
        heapq.heappush(self._free_slots, sequence.slot)
        if is_sound:
            self._keep(sequence)
        self._memory.release(sequence.pages[sequence.num_cached // PAGE_TOKENS :])
        self._memory.release(sequence.kept_pages)
