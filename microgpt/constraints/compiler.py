"""Constraints -> compiled grammars, for one tokenizer: checked, bounded, cached."""

import threading
from collections import OrderedDict
from importlib.util import find_spec
from typing import TYPE_CHECKING

from microgpt.constraints.constraint import Constraint
from microgpt.constraints.grammar import Vocabulary, build_trie, compile_grammar, lark_grammar, mask_words
from microgpt.constraints.matcher import CompiledConstraint
from microgpt.constraints.rehearsal import Rehearsal
from microgpt.errors import InvalidRequest, MicrogptError
from microgpt.tokenizers import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLTokenizer

MAX_CACHED = 64  # grammars and refusals
MAX_CACHED_BYTES = 256 * 2**20  # of what compiling them took, an upper bound of what they hold


class ConstraintCompiler:
    """Compiles constraints for one tokenizer. Safe to use from several threads; never on the engine's.

    vocab_size: the model's, at least the tokenizer's; ids beyond the tokenizer's are never allowed.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int):
        if vocab_size < tokenizer.vocab_size:
            raise ValueError(f"vocab_size must be >= {tokenizer.vocab_size}, got {vocab_size}")
        self.vocab_size = vocab_size
        self.mask_words = mask_words(vocab_size)
        self.eos_ids = eos_ids(tokenizer)
        tokens = [tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)]
        for i in tokenizer.special_ids:
            tokens[i] = b""
        tokens += [b""] * (vocab_size - len(tokens))
        self._vocabulary = Vocabulary(tuple(tokens), self.eos_ids)
        self._rehearsal = Rehearsal(self._vocabulary)
        self._trie: LLTokenizer | None = None
        self._lock = threading.Lock()
        self._cache: OrderedDict[Constraint, tuple[int, CompiledConstraint | str]] = OrderedDict()
        self._cached_bytes = 0

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """The grammar of a constraint, from the cache or compiled now: about two seconds of CPU at most.

        Raises InvalidRequest, naming the field, for what cannot be compiled or has no text that the vocabulary can
        begin; Overloaded when too much is being compiled.
        """
        known = self.cached(constraint)
        if known is not None:
            return known
        try:
            size, outcome = self._compile(constraint)
        except InvalidRequest as error:
            size, outcome = 0, str(error)
        self._remember(constraint, size + len(constraint.source.encode()), outcome)
        if isinstance(outcome, str):
            raise InvalidRequest(outcome)
        return outcome

    def cached(self, constraint: Constraint) -> CompiledConstraint | None:
        """What `compile` gives, where that needs no compiling; else None. Raises InvalidRequest for a known refusal."""
        outcome = self._cached(constraint)
        if isinstance(outcome, str):
            raise InvalidRequest(outcome)
        return outcome if outcome is not None and outcome.usable() else None

    def close(self) -> None:
        """Ends the process in which grammars are tried. A later `compile` starts another."""
        self._rehearsal.close()

    def _compile(self, constraint: Constraint) -> tuple[int, CompiledConstraint]:
        if find_spec("llguidance") is None:
            raise MicrogptError("constraints need the package llguidance, which is not installed")
        grammar = lark_grammar(constraint)
        try:
            size = self._rehearsal.run(grammar)
        except InvalidRequest as error:
            raise InvalidRequest(f"{constraint.kind}: {error}") from None
        with self._lock:
            if self._trie is None:
                self._trie = build_trie(self._vocabulary)
        outcome = compile_grammar(self._trie, grammar)
        if isinstance(outcome, str):
            raise InvalidRequest(f"{constraint.kind}: {outcome}")
        return size, CompiledConstraint(constraint, self.vocab_size, self.eos_ids, outcome)

    def _cached(self, constraint: Constraint) -> CompiledConstraint | str | None:
        with self._lock:
            if constraint not in self._cache:
                return None
            self._cache.move_to_end(constraint)
            return self._cache[constraint][1]

    def _remember(self, constraint: Constraint, size: int, outcome: CompiledConstraint | str) -> None:
        with self._lock:
            self._cached_bytes -= self._cache.pop(constraint, (0, None))[0]
            self._cache[constraint] = size, outcome
            self._cached_bytes += size
            while len(self._cache) > MAX_CACHED or self._cached_bytes > MAX_CACHED_BYTES:
                self._cached_bytes -= self._cache.popitem(last=False)[1][0]


def eos_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that end a text: BOS, which ends a document, and `end_turn` before it where there is one."""
    return (tokenizer.bos,) if tokenizer.chat is None else (tokenizer.chat.end_turn, tokenizer.bos)
