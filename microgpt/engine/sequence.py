"""Sequence: a request that is being worked on."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field

from microgpt.request import FinishReason, GenerationRequest, Usage
from microgpt.text_stream import TextStream


@dataclass(slots=True)
class Sequence:
    """The state of one request in the engine.

    limit: most tokens to sample. num_pages: for every position that it may reach. most_shared: of how many of these the
    prefix cache may have K and V already. slot: None while it waits. num_computed: how many of its tokens are in KV
    memory, or more where a burst sampled past the end. pages: its page table. num_cached: how many tokens the prefix
    cache had when it was admitted. kept_pages: the pages of the prefix cache that it holds; they have its first tokens.
    """

    request: GenerationRequest
    limit: int
    text_stream: TextStream
    num_pages: int
    most_shared: int
    slot: int | None = None
    num_computed: int = 0
    pages: SequenceOf[int] = ()
    num_cached: int = 0
    kept_pages: SequenceOf[int] = ()
    output_ids: list[int] = field(default_factory=list)

    @property
    def num_prompt(self) -> int:
        return len(self.request.prompt_ids)

    @property
    def is_prefilling(self) -> bool:
        """Whether some of the prompt is not in KV memory yet, so that nothing was sampled."""
        return not self.output_ids

    @property
    def usage(self) -> Usage:
        return Usage(self.num_prompt, len(self.output_ids), self.num_cached)

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

    def append(self, token_ids: SequenceOf[int]) -> FinishReason | None:
        """Take sampled tokens; why the sequence is finished by them, or None."""
        self.output_ids += token_ids
        if token_ids and token_ids[-1] in self.request.params.stop_token_ids:
            return FinishReason.STOP
        return FinishReason.LENGTH if len(self.output_ids) >= self.limit else None
