"""A compiled constraint, and one sequence under it: which tokens may come next."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from microgpt.constraints.constraint import Constraint
from microgpt.constraints.grammar import mask_words, matcher_error, start_error
from microgpt.errors import ConstraintError

if TYPE_CHECKING:
    from llguidance import LLMatcher

Mask = npt.NDArray[np.uint32]


class CompiledConstraint:
    """A grammar ready for any number of sequences, made by ConstraintCompiler.

    vocab_size: ids that its masks speak of. eos_ids: those that may follow a complete text. Its matchers share what
    they learn about the grammar; when that grows beyond its limits under one sequence, all of them fail, and later
    ones too.
    """

    def __init__(self, constraint: Constraint, vocab_size: int, eos_ids: tuple[int, ...], start: "LLMatcher"):
        self.constraint = constraint
        self.vocab_size = vocab_size
        self.eos_ids = eos_ids
        self._start = start

    def matcher(self) -> "Matcher":
        """A matcher before its first token; takes microseconds."""
        return Matcher(self._start.deep_copy(), self.vocab_size)

    def usable(self) -> bool:
        """False once a sequence has driven the grammar beyond its limits."""
        return start_error(self._start, self.vocab_size) is None


class Matcher:
    """Follows the tokens of one sequence. Not for several threads at once; matchers of one grammar may run side by
    side. After a ConstraintError it raises the same again."""

    def __init__(self, matcher: "LLMatcher", vocab_size: int):
        self._matcher = matcher
        self._mask_bytes = 4 * mask_words(vocab_size)

    def mask(self, out: Mask) -> None:
        """Writes the ids allowed next: bit i % 32 of word i // 32. out: (mask_words(vocab_size),) uint32, contiguous.

        Never empty: once the text is complete and cannot grow, the EOS ids alone are allowed. Raises ConstraintError
        at a dead end, or where the grammar is too complex to go on; `out` is then undefined.
        """
        assert out.dtype == np.uint32
        assert out.flags.c_contiguous
        assert out.nbytes == self._mask_bytes
        self._mask_at(out.ctypes.data)

    def advance(self, token_id: int) -> None:
        """Takes the next token. Raises ConstraintError if it is not allowed, or the grammar too complex to go on."""
        if not self._matcher.consume_token(token_id):
            raise ConstraintError(f"the constraint cannot take token {token_id}: {matcher_error(self._matcher)}")

    def may_end(self) -> bool:
        """Whether the text so far matches the whole constraint."""
        return self._matcher.is_accepting()

    def is_stopped(self) -> bool:
        """Whether nothing but an EOS id can follow, or an error has ended the matcher."""
        return self._matcher.is_stopped()

    def _mask_at(self, address: int) -> None:
        self._matcher.unsafe_compute_mask_ptr(address, self._mask_bytes)
        if self._matcher.is_error():
            raise ConstraintError(f"the constraint cannot be followed: {matcher_error(self._matcher)}")


def fill_masks(
    matchers: Sequence[Matcher], masks: Mask, deadline: float = math.inf
) -> tuple[int, dict[int, ConstraintError]]:
    """Row i of `masks` (B, words) becomes the mask of matchers[i].

    Returns how many rows were looked at, at least one and no more once time.monotonic() has passed the deadline, and
    the errors of those that failed, by row.
    """
    assert masks.dtype == np.uint32
    assert masks.flags.c_contiguous
    assert len(matchers) <= len(masks)
    address, stride = masks.ctypes.data, masks.strides[0]
    errors = {}
    for i, matcher in enumerate(matchers):
        if i and time.monotonic() > deadline:
            return i, errors
        assert stride == matcher._mask_bytes
        try:
            matcher._mask_at(address + i * stride)
        except ConstraintError as error:
            errors[i] = error
    return len(matchers), errors


def mask_of(ids: Iterable[int], vocab_size: int) -> Mask:
    """The mask of these ids."""
    mask = np.zeros(mask_words(vocab_size), np.uint32)
    for i in ids:
        mask[i // 32] |= np.uint32(1 << i % 32)
    return mask
