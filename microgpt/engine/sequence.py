"""Job: a request that is being worked on. Sequence: what one slot makes of it."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field

from microgpt.logprobs import TokenLogprobs
from microgpt.request import Finished, FinishReason, GenerationRequest, TokenEvent, Usage
from microgpt.stops import StopMatcher, StopRules
from microgpt.text_stream import TextStream


@dataclass(slots=True, eq=False)
class Job:
    """A request in the engine.

    caller: its number. num_before: samples that the same caller added before it. limit: most tokens of a sample.
    num_pages: for every position that a sample may reach. most_shared: of how many of these the prefix cache may have
    K and V already. stop_rules: of stops in the text, None without. next_sample: the first one that no sequence has
    taken. num_left: samples that have not ended.
    """

    request: GenerationRequest
    caller: int
    num_before: int
    limit: int
    num_pages: int
    most_shared: int
    stop_rules: StopRules | None = None
    next_sample: int = 0
    num_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_left = self.request.num_samples

    @property
    def num_waiting(self) -> int:
        """Samples that no sequence has taken."""
        return self.request.num_samples - self.next_sample

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
    output_ids, text_stream: of the sample being made. stops: looks for stops in its text, None without; then there is
    one sample, as another one that the slot had begun could not be taken back.
    """

    job: Job
    samples: range
    slot: int
    pages: SequenceOf[int]
    kept_pages: SequenceOf[int]
    num_cached: int
    text_stream: TextStream
    stops: StopMatcher | None = None
    num_computed: int = field(init=False)
    num_reused: int = field(init=False)  # prompt tokens that the sample being made did not have to compute
    output_ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.num_computed = self.num_reused = self.num_cached

    @property
    def request(self) -> GenerationRequest:
        return self.job.request

    @property
    def num_prompt(self) -> int:
        return len(self.job.request.prompt_ids)

    @property
    def is_prefilling(self) -> bool:
        """Whether some of the prompt is not in KV memory yet, so that nothing was sampled."""
        return not self.output_ids

    @property
    def usage(self) -> Usage:
        """Of the sample being made."""
        return Usage(self.num_prompt, len(self.output_ids), self.num_reused)

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
            return self.request.prompt_ids[self.num_computed : self.num_computed + most]
        return self.output_ids[-1:]

    def append(
        self, token_ids: tuple[int, ...], logprobs: tuple[TokenLogprobs, ...] = ()
    ) -> tuple[TokenEvent, Finished | None]:
        """Take sampled tokens, as many as count: what happened, and the end of the sample if they end it.

        With a stop in the text, tokens after the one that completes it do not count.
        """
        params, stops = self.request.params, self.stops
        reason = matched = None
        text = ""
        if stops is not None:
            text = stops.push(self.text_stream.pieces(token_ids))
            if stops.match is not None:
                token_ids = token_ids[: stops.match.token + 1]
                reason, matched = FinishReason.STOP, stops.match.stop
        self.output_ids += token_ids
        if reason is None:
            if token_ids[-1] in params.end_token_ids:
                reason, matched = FinishReason.STOP, token_ids[-1]
            elif len(self.output_ids) >= self.job.limit:
                reason = FinishReason.LENGTH
            if stops is None:
                text = self.text_stream.push(token_ids) if reason is None else self.text_stream.push_last(token_ids)
            elif reason is not None:
                text += stops.finish(self.text_stream.flush())
        index = self.samples.start
        event = TokenEvent(self.request.id, token_ids, text, index, logprobs[: len(token_ids)])
        if reason is None:
            return event, None
        return event, Finished(self.request.id, reason, self.usage, index, matched)

    def begin_next(self, text_stream: TextStream) -> None:
        """Go on to the next sample: all of the prompt but its last token is there already."""
        self.samples = self.samples[1:]
        self.num_computed = self.num_reused = self.num_prompt - 1
        self.output_ids = []
        self.text_stream = text_stream
