"""One sequence under a constraint: which tokens may come next."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from microgpt.constraints.grammar import mask_words, matcher_error
from microgpt.errors import ConstraintError

if TYPE_CHECKING:
    from llguidance import LLMatcher

Mask = npt.NDArray[np.uint32]


class Matcher:
    """Follows the tokens of one sequence. Not for several threads at once; matchers of one grammar may run side by
    side. After a ConstraintError it raises the same again."""

    def __init__(self, matcher: "LLMatcher", vocab_size: int):
        self._matcher = matcher
        self._num_bytes = 4 * mask_words(vocab_size)

    def mask(self, out: Mask) -> None:
        """Writes the ids allowed next into a row of mask_words(vocab_size) contiguous uint32: bit i % 32 of word i // 32.

        Never empty: once the text is complete and cannot grow, the EOS ids alone are allowed. Raises ConstraintError
        at a dead end, or where the grammar is too complex to go on; `out` is then undefined.
        """
        assert out.dtype == np.uint32
        assert out.flags.c_contiguous
        assert out.nbytes == self._num_bytes
        self._matcher.unsafe_compute_mask_ptr(out.ctypes.data, self._num_bytes)
        self._check()

    def advance(self, token_id: int) -> None:
        """Takes the next token. Raises ConstraintError if it is not allowed."""
        if not self._matcher.consume_token(token_id):
            raise ConstraintError(f"token {token_id} does not satisfy the constraint")

    def may_end(self) -> bool:
        """Whether the text so far matches the whole constraint."""
        return self._matcher.is_accepting()

    def is_stopped(self) -> bool:
        """Whether nothing but an EOS id can follow, or an error has ended the matcher."""
        return self._matcher.is_stopped()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(f"the constraint cannot be followed: {matcher_error(self._matcher)}")


def fill_masks(matchers: Sequence[Matcher], masks: Mask) -> dict[int, ConstraintError]:
    """Row i of `masks` (B, words) becomes the mask of matchers[i]; returns the errors of those that failed, by row."""
    errors = {}
    for i, matcher in enumerate(matchers):
        try:
            matcher.mask(masks[i])
        except ConstraintError as error:
            errors[i] = error
    return errors
