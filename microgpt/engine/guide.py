"""Guide: what a constraint lets one sequence sample next, and where it ends the sequence."""

from collections.abc import Iterable, Sequence

import numpy as np

from microgpt.constraints.grammar import mask_words
from microgpt.constraints.matcher import CompiledConstraint, Mask, fill_masks, mask_of
from microgpt.errors import ConstraintError
from microgpt.params import SamplingParams
from microgpt.request import Event, TokenEvent


class Guide:
    """One sample under its constraint. turn: when a mask was last made for it, to be fair where they take long."""

    def __init__(self, constraint: CompiledConstraint, params: SamplingParams):
        self.matcher = constraint.matcher()
        self.turn = 0
        self._eos_ids = frozenset(constraint.eos_ids)
        suppressed, ends = frozenset(params.suppress_token_ids), frozenset(params.end_token_ids)
        self._ends_by_eos = not self._eos_ids.isdisjoint(ends - suppressed)
        self._min_tokens = params.min_tokens
        self._ruled_out = mask_of(suppressed, constraint.vocab_size) if suppressed else None
        self._ruled_out_first = mask_of(suppressed | ends, constraint.vocab_size) if self._min_tokens else None

    def leaves_any(self, mask: Mask, num_sampled: int) -> bool:
        """Whether an id of `mask` is left beside those that the sampling parameters rule out."""
        ruled_out = self._ruled_out_first if num_sampled < self._min_tokens else self._ruled_out
        return ruled_out is None or bool(np.any(mask & ~ruled_out))

    def take(self, token_id: int) -> bool:
        """Follow the sampled token; whether the text is complete with it and cannot go on.

        A complete text waits for the EOS id that ends the sequence, where one does. Raises ConstraintError where the
        constraint is too complex to go on.
        """
        self.matcher.advance(token_id)
        return self.matcher.is_stopped() and (token_id in self._eos_ids or not self._ends_by_eos)


class MaskRoom:
    """Memory for the masks of one step."""

    def __init__(self, num_slots: int, vocab_size: int):
        self._masks = np.zeros((num_slots, mask_words(vocab_size)), np.uint32)
        self._turn = 0

    def fill(
        self, guides: Sequence[tuple[Guide, int]], deadline: float
    ) -> tuple[list[Mask], dict[int, ConstraintError]]:
        """Masks for guides and how many tokens each has sampled, in order, until time.monotonic() is past the deadline.

        Returns the masks, views valid until the next call, at least one; and what went wrong with some of them, by
        index.
        """
        self._turn += 1
        count, errors = fill_masks([guide.matcher for guide, _ in guides], self._masks, deadline)
        for i, (guide, num_sampled) in enumerate(guides[:count]):
            guide.turn = self._turn
            if i not in errors and not guide.leaves_any(self._masks[i], num_sampled):
                errors[i] = ConstraintError(
                    "no token is left: all that the constraint allows are suppressed, or end tokens before min_tokens"
                )
        return list(self._masks[:count]), errors


def merged(events: Iterable[Event]) -> list[Event]:
    """The same events with all tokens of a sample in one."""
    found: list[Event] = []
    first: dict[tuple[str, int], int] = {}
    for event in events:
        if isinstance(event, TokenEvent):
            at = first.setdefault((event.request_id, event.index), len(found))
            if at < len(found):
                before = found[at]
                assert isinstance(before, TokenEvent)
                found[at] = before._replace(
                    token_ids=before.token_ids + event.token_ids,
                    text=before.text + event.text,
                    logprobs=before.logprobs + event.logprobs,
                )
                continue
        found.append(event)
    return found
