"""Stop strings and stop patterns, found in a text while it is made.

After every token the whole text so far is what is looked at: the sequence ends with the first token after which a stop
string occurs in it, or a pattern (RE2's search) matches somewhere. Of several, the one that begins first is reported,
of these the one that ends first, then strings before patterns and in the order given. `$` and `\\b` therefore see the
end of the text so far as the end.

What leaves is never taken back. The part that could be the beginning of a stop string is held until it is certain.
Where a match of a pattern might begin cannot be known: without `*`, `+` and `{` a match is no longer than the pattern,
so that many characters are held, else HELD_FOR_PATTERNS. A match that begins before them is cut where they begin.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import re2

from microgpt.errors import InvalidRequest

HELD_FOR_PATTERNS = 128
# RE2's time is linear in the text, but in the program too where its automaton outgrows its memory: with these bounds a
# search of 4096 characters takes 10 ms at worst ((?:a?){250}b in a's) and 7 us usually. It holds no GIL meanwhile.
MAX_PROGRAM = 512  # instructions of all patterns of a request
_MEMORY = 1 << 20  # bytes, for all patterns of a request
_MOST_MEMORY = 1 << 18  # bytes a pattern
_ASSERTIONS = ("$", "\\b", "\\B", "\\z")  # what can hold at the end of a text and no more when it goes on


@dataclass(frozen=True, slots=True)
class StopRules:
    """The stops of a request, compiled; shared by its samples.

    prefixes: every proper beginning of a stop string; longest: of them. held: characters kept back for patterns.
    """

    strings: tuple[str, ...]
    patterns: tuple[Any, ...]  # re2's compiled ones
    prefixes: frozenset[str]
    longest: int
    held: int


@dataclass(frozen=True, slots=True)
class StopMatch:
    """stop: the string or pattern. token: index, in the last push, of the token that completed it. start, end: in
    characters of the whole text."""

    stop: str
    token: int
    start: int
    end: int


@lru_cache(maxsize=32)
def compile_stops(strings: tuple[str, ...], patterns: tuple[str, ...]) -> StopRules:
    """The rules for SamplingParams.stop and stop_regex. Takes up to some milliseconds; callable from any thread.

    Raises InvalidRequest, with RE2's message, for a pattern that RE2 does not take, or for patterns that are too large.
    """
    compiled = tuple(_compile(f"stop_regex[{i}]", pattern, len(patterns)) for i, pattern in enumerate(patterns))
    size = sum(pattern.programsize for pattern in compiled)
    if size > MAX_PROGRAM:
        raise InvalidRequest(f"stop_regex must compile to at most {MAX_PROGRAM} instructions, got {size}")
    return StopRules(
        strings,
        compiled,
        frozenset(string[:k] for string in strings for k in range(1, len(string))),
        longest=max((len(string) - 1 for string in strings), default=0),
        held=max(map(_longest_beginning, patterns), default=0),
    )


def _compile(name: str, pattern: str, count: int) -> Any:
    options = re2.Options()
    options.max_mem = min(_MOST_MEMORY, _MEMORY // count)
    options.never_capture = True
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except UnicodeEncodeError:
        raise InvalidRequest(f"{name} must be Unicode text, got a lone surrogate") from None
    except re2.error as error:
        message = error.args[0].decode("utf-8", "replace")
        raise InvalidRequest(f"{name} must be a pattern that RE2 takes: {message}") from None


def _longest_beginning(pattern: str) -> int:
    """How many characters a match may have before its last one: every character of a match takes one of the pattern,
    unless something repeats."""
    return HELD_FOR_PATTERNS if any(c in pattern for c in "*+{") else len(pattern) - 1


class StopMatcher:
    """Looks for the stops of one sequence in its text, token by token.

    trim: whether the text of the stop is cut off; nothing is held back otherwise. match: what ended the sequence, None
    so far.
    """

    def __init__(self, rules: StopRules, trim: bool = True):
        self.match: StopMatch | None = None
        self._rules = rules
        self._trim = trim
        # The text without its first `_dropped` characters: patterns see it all, strings need what could be a beginning.
        self._text = ""
        self._dropped = 0
        self._left = 0  # how many characters of _text have left

    def push(self, pieces: Sequence[str]) -> str:
        """What may leave of the text; all that ever will, if `match` is set now.

        pieces: what each new token adds to the text. Nothing is pushed after a match.
        """
        assert self.match is None
        rules, before = self._rules, len(self._text)
        self._text += "".join(pieces)
        ends = list(accumulate(map(len, pieces), initial=before))  # ends[i]: of the text before pieces[i]
        found = self._find(ends)
        if found is None:
            out = self._leave(len(self._text) - self._held())
            if not rules.patterns:
                self._drop(min(self._left, len(self._text) - rules.longest))
            return out
        index, token, start, end = found
        of_pattern = index - len(rules.strings)  # its index among patterns, negative if it is a string
        stop = rules.strings[index] if of_pattern < 0 else rules.patterns[of_pattern].pattern
        self.match = StopMatch(stop, token, start + self._dropped, end + self._dropped)
        if not self._trim:
            return self._leave(end)
        return self._leave(start if of_pattern < 0 else max(start, ends[token] - rules.held))

    def finish(self, rest: str = "") -> str:
        """What was held back, and the `rest` of the text: the sequence ended without a stop."""
        self._text += rest
        return self._leave(len(self._text))

    def _find(self, ends: list[int]) -> tuple[int, int, int, int] | None:
        """(index of the stop, token, start, end) of the match that counts, in `_text`."""
        rules, text = self._rules, self._text
        last = len(ends) - 2  # the last token that can be the first with a match
        found: list[tuple[int, int, int, int]] = []  # (token, start, end, index)
        for index, string in enumerate(rules.strings):
            start = text.find(string, max(0, ends[0] - len(string) + 1))
            if start >= 0:
                end = start + len(string)
                found.append((bisect_left(ends, end) - 1, start, end, index))
                last = min(last, found[-1][0])
        for index, pattern in enumerate(rules.patterns, len(rules.strings)):
            token = self._first_token(pattern, ends, last)
            if token is not None:
                start, end = pattern.search(text[: ends[token + 1]]).span()
                found.append((token, start, end, index))
                last = token
        if not found:
            return None
        token, start, end, index = min(found)
        return index, token, start, end

    def _first_token(self, pattern: Any, ends: list[int], last: int) -> int | None:
        """The first of the tokens up to `last` after which the pattern matches."""

        def matches(token: int) -> bool:
            return pattern.search(self._text[: ends[token + 1]]) is not None

        if any(assertion in pattern.pattern for assertion in _ASSERTIONS):
            return next(filter(matches, range(last + 1)), None)
        # What matches once matches for good.
        if last < 0 or not matches(last):
            return None
        return bisect_left(range(last), True, key=matches)

    def _held(self) -> int:
        """How many of the last characters must not leave yet."""
        if not self._trim:
            return 0
        rules, text = self._rules, self._text
        for count in range(min(rules.longest, len(text)), rules.held, -1):
            if text[-count:] in rules.prefixes:
                return count
        return rules.held

    def _leave(self, end: int) -> str:
        start, self._left = self._left, max(self._left, end)
        return self._text[start : self._left]

    def _drop(self, count: int) -> None:
        if count > 0:
            self._text = self._text[count:]
            self._dropped += count
            self._left -= count
