"""Job: a request that is being worked on. Sequence: what one slot makes of it."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field

from microgpt.engine.guide import Guide
from microgpt.logprobs import TokenLogprobs
from microgpt.request import Event, Finished, FinishReason, GenerationRequest, PromptScored, TokenEvent, Usage
from microgpt.stops import StopMatcher, StopRules
from microgpt.text_stream import TextStream

_new = tuple.__new__


@dataclass(slots=True, eq=False)
class Job:
    """A request in the engine.

    caller: its number. num_before: samples that the same caller added before it. limit: most tokens of a sample.
    num_pages: for every position that a sample may reach. most_shared: of how many of these the prefix cache may have
    K and V already. stop_rules: of stops in the text, None without. added_at: when it came, on the engine's clock.
    next_sample: the first one that no sequence has taken. prompt_logprobs: as PromptScored has them, None until they
    are known. num_left: samples that have not ended.
    """

    request: GenerationRequest
    caller: int
    num_before: int
    limit: int
    num_pages: int
    most_shared: int
    stop_rules: StopRules | None = None
    added_at: float = 0.0
    next_sample: int = 0
    prompt_logprobs: tuple[TokenLogprobs | None, ...] | None = None
    num_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_left = self.request.num_samples

    @property
    def num_waiting(self) -> int:
        """Samples that no sequence has taken."""
        return self.request.num_samples - self.next_sample

    @property
    def can_repeat(self) -> bool:
        """Whether one slot may make several samples: nothing happens but sampling."""
        request = self.request
        plain = self.stop_rules is None and request.constraint is None
        return self.limit > 0 and plain and request.params.prompt_logprobs_start is None

    @property
    def can_split(self) -> bool:
        """Whether one slot may make several samples side by side: so far they have nothing in common but one token."""
        params = self.request.params
        is_plain = not (params.logprobs or params.has_penalties or params.logit_bias)
        return len(self.request.prompt_ids) == 1 and is_plain

    def is_end(self, token_ids: SequenceOf[int], start: int) -> bool:
        """Whether token_ids[start:] are a whole sample, where nothing but sampling happens."""
        return len(token_ids) - start >= self.limit or (
            len(token_ids) > start and token_ids[-1] in self.request.params.end_token_ids
        )

    @property
    def wants_scores(self) -> bool:
        """Whether log probabilities of the prompt are asked for and not known yet."""
        return self.request.params.prompt_logprobs_start is not None and self.prompt_logprobs is None

    @property
    def is_first(self) -> bool:
        """Whether its caller has no sample in the engine yet that came before the next one."""
        return not self.num_before and not self.next_sample

    @property
    def turn(self) -> int:
        """Its place among the waiting: a further sample steps back for as many later callers as samples went before it.
        So many samples never keep later callers waiting for long, nor many later callers the samples."""
        return self.caller + self.num_before + self.next_sample


@dataclass(slots=True, eq=False)
class Sequence:
    """Samples of a job that one slot makes, one after another on the same pages.

    samples: which ones are left, the one being made included. num_computed: how many of its tokens are in KV memory, or
    more where a burst sampled past the end. pages: its page table. num_cached: how many tokens the prefix cache had
    when it was admitted. kept_pages: the pages of the prefix cache that it holds; they have its first tokens.
    is_scoring: whether it finds the log probabilities of the prompt, for all samples of the job; scores: of those of
    its tokens that are known. output_ids, text_stream: of the sample being made. stops: looks for stops in its text,
    None without; then there is one sample, as another one that the slot had begun could not be taken back. guide: its
    constraint, None without; then there is one sample, too. queue_s: how long its first slot took to come. num_resumed:
    how many of output_ids it had when it got its slot; they are prefilled like the prompt. is_flushed: what it
    computes must not enter the prefix cache, as that was emptied since then, or its samples are made side by side.
    """

    job: Job
    samples: range
    slot: int
    pages: SequenceOf[int]
    kept_pages: SequenceOf[int]
    num_cached: int
    text_stream: TextStream
    stops: StopMatcher | None = None
    queue_s: float = 0.0
    is_scoring: bool = False
    scores: list[TokenLogprobs | None] = field(default_factory=list)
    guide: Guide | None = None
    num_computed: int = field(init=False)
    num_reused: int = field(init=False)  # prompt tokens that the sample being made did not have to compute
    output_ids: list[int] = field(default_factory=list)
    num_resumed: int = 0
    num_retractions: int = 0
    is_flushed: bool = False
    # Of the job, which a burst pushes out of the core's caches: what lies elsewhere takes 0.1 us to read.
    request_id: str = field(init=False)
    limit: int = field(init=False)
    end_token_ids: tuple[int, ...] = field(init=False)
    index: int = field(init=False)  # of the sample being made

    def __post_init__(self) -> None:
        self.num_computed = self.num_reused = self.num_cached
        job = self.job
        self.request_id, self.limit, self.end_token_ids = job.request.id, job.limit, job.request.params.end_token_ids
        self.index = self.samples.start

    @property
    def request(self) -> GenerationRequest:
        return self.job.request

    @property
    def num_prompt(self) -> int:
        return len(self.job.request.prompt_ids)

    @property
    def is_prefilling(self) -> bool:
        """Whether some of the prompt, or of what is prefilled with it, is not in KV memory yet, so that nothing was
        sampled in this slot."""
        return len(self.output_ids) == self.num_resumed

    @property
    def is_decoding(self) -> bool:
        """Whether what comes next is one token, and no constraint has a say in it."""
        return len(self.output_ids) > self.num_resumed and self.guide is None

    @property
    def num_prefill(self) -> int:
        """How many of its first tokens are fed before anything is sampled."""
        return self.num_prompt + self.num_resumed

    @property
    def prefill_end(self) -> int:
        """How many of these come before the step that samples: all of them where a burst can sample."""
        return self.num_prefill - (self.guide is not None)

    @property
    def awaits_mask(self) -> bool:
        """Whether what comes next is a token under a constraint."""
        return self.guide is not None and self.num_computed >= self.num_prefill - 1

    @property
    def num_tokens(self) -> int:
        return self.num_prompt + len(self.output_ids)

    def first_tokens(self, count: int) -> SequenceOf[int]:
        """Its first `count` tokens, of prompt and output."""
        prompt_ids = self.request.prompt_ids[:count]
        return [*prompt_ids, *self.output_ids[: count - len(prompt_ids)]]

    def next_tokens(self, most: int) -> SequenceOf[int]:
        """The tokens to feed next, at positions num_computed..: a prefill chunk of at most `most`, or the last
        sampled token."""
        if self.is_prefilling:
            end = self.num_computed + most
            if self.guide is not None and not self.awaits_mask:
                end = min(end, self.prefill_end)
            tokens = self.first_tokens(end) if self.num_resumed else self.request.prompt_ids
            return tokens[self.num_computed : end]
        return self.output_ids[-1:]

    def next_scored(self, num_fed: int) -> tuple[int, SequenceOf[int]]:
        """Which of the prompt's tokens are to be scored when its next num_fed are fed: after which of these comes the
        first one, and they."""
        asked = self.request.params.prompt_logprobs_start or 0
        start, end = self.num_computed, self.num_computed + num_fed
        first = max(asked - 1, start)
        return first - start, self.request.prompt_ids[first + 1 : end + 1]

    def scored(self) -> PromptScored:
        """What is told of the prompt's log probabilities, which are known."""
        job = self.job
        if self.is_scoring:
            start = job.request.params.prompt_logprobs_start
            job.prompt_logprobs = (None, *self.scores) if start == 0 else tuple(self.scores)
            self.is_scoring = False
        assert job.prompt_logprobs is not None
        return PromptScored(job.request.id, job.prompt_logprobs, self.index)

    def append(
        self, token_ids: tuple[int, ...], logprobs: tuple[TokenLogprobs, ...] = (), is_complete: bool = False
    ) -> tuple[TokenEvent, Finished | None]:
        """Take sampled tokens, as many as count: what happened, and the end of the sample if they end it.

        With a stop in the text, tokens after the one that completes it do not count. is_complete: whether a constraint
        lets nothing follow.
        """
        stops = self.stops
        reason = matched = None
        text = ""
        if stops is not None:
            text = stops.push(self.text_stream.pieces(token_ids))
            if stops.match is not None:
                token_ids = token_ids[: stops.match.token + 1]
                reason, matched = FinishReason.STOP, stops.match.stop
        self.output_ids += token_ids
        if reason is None:
            if token_ids[-1] in self.end_token_ids:
                reason, matched = FinishReason.STOP, token_ids[-1]
            elif len(self.output_ids) >= self.limit:
                reason = FinishReason.LENGTH
            elif is_complete:
                reason, matched = FinishReason.STOP, token_ids[-1]
            if stops is None:
                text = self.text_stream.push(token_ids) if reason is None else self.text_stream.push_last(token_ids)
            elif reason is not None:
                text += stops.finish(self.text_stream.flush())
        told = logprobs[: len(token_ids)] if logprobs else ()
        event = _new(TokenEvent, (self.request_id, token_ids, text, self.index, told, self.num_reused))
        if reason is None:
            return event, None
        return event, self.finished(reason, matched)

    def finished(self, reason: FinishReason, matched: int | str | None = None) -> Finished:
        """The end of the sample being made."""
        request = self.job.request
        usage = Usage(len(request.prompt_ids), len(self.output_ids), self.num_reused)
        return Finished(request.id, reason, usage, self.index, matched, self.queue_s, self.num_retractions)

    def append_samples(
        self, token_ids: tuple[int, ...], logprobs: tuple[TokenLogprobs, ...], ends: SequenceOf[int]
    ) -> list[Event]:
        """Take sampled tokens that end samples, at `ends`, each of which but the sequence's last is followed by another
        one: what happened. Of the next sample, all of the prompt but its last token is there already.

        One tight loop, as many samples of the smallest models end in each burst: nothing but stop tokens and the limit
        ends these (Job.can_repeat), and tuples that are made by their type take half as long as by their class.
        """
        num_prompt, index = self.num_prompt, self.index
        request_id, end_token_ids = self.request_id, self.end_token_ids
        num_before, num_reused, start = len(self.output_ids), self.num_reused, 0
        queue_s, num_retractions = self.queue_s, self.num_retractions
        reason, matched, usage = FinishReason.LENGTH, None, Usage(num_prompt, 0, num_reused)
        events: list[Event] = []
        for end, text in zip(ends, self.text_stream.push_whole(token_ids, ends), strict=True):
            if end_token_ids:
                last = token_ids[end - 1]
                is_stop = last in end_token_ids
                reason, matched = (FinishReason.STOP, last) if is_stop else (FinishReason.LENGTH, None)
            num_tokens = num_before + end - start
            if num_tokens != usage.completion_tokens or num_reused != usage.num_cached:  # most often it is as before
                usage = Usage(num_prompt, num_tokens, num_reused)
            told = logprobs[start:end] if logprobs else ()
            events.append(_new(TokenEvent, (request_id, token_ids[start:end], text, index, told, num_reused)))
            events.append(_new(Finished, (request_id, reason, usage, index, matched, queue_s, num_retractions)))
            index, start, num_before, num_reused = index + 1, end, 0, num_prompt - 1
        self.samples, self.index = range(index, self.samples.stop), index
        if self.samples:
            self.num_computed, self.output_ids = num_reused, []
        else:
            self.output_ids = list(token_ids[ends[-2] :])
            self.num_computed = self.num_tokens - 1
        self.num_reused = num_reused
        self.num_resumed = 0
        return events

    def retract(self) -> None:
        """Its slot and pages are gone; it keeps what it has sampled."""
        self.slot, self.pages, self.kept_pages = -1, (), ()
        self.num_retractions += 1

    def resume(self, slot: int, pages: SequenceOf[int], kept_pages: SequenceOf[int], num_cached: int) -> None:
        """Begin again in another slot, with `num_cached` tokens of prompt and output computed."""
        self.slot, self.pages, self.kept_pages = slot, pages, kept_pages
        self.num_computed = self.num_cached = num_cached
        self.num_resumed = len(self.output_ids)
        self.is_flushed = False
        self.is_scoring = self.job.wants_scores and not self.output_ids
        self.scores.clear()
