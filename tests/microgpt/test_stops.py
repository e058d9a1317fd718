"""Stops found in pieces against an oracle that searches the whole text after every token."""

from itertools import pairwise

import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgpt.errors import InvalidRequest
from microgpt.stops import HELD_FOR_PATTERNS, StopMatch, StopMatcher, compile_stops
from microgpt.text_stream import TextStream
from microgpt.tokenizers import BpeTokenizer, train_bpe

# Few characters and short stops, so that most texts hold a stop, and many a part of one.
PIECES = st.lists(st.text("abé", max_size=3), max_size=20)
STRINGS = st.lists(st.text("abé", min_size=2, max_size=5), max_size=2).map(tuple)
MATCH_FOR_GOOD = ["bab", "aéb", "é|ba", "[^a]a", "(?i)AB", "b{2,3}é", "a.*b", "(a)(?P<x>b)?é", "(?:)", "(a|b)*é"]
MATCH_AT_THE_END = [r"\bbab\b", "ab$", "(?m)b$", r"ba\B", r"ab\z", "^$"]
PATTERNS = st.one_of(
    st.just(()), st.lists(st.sampled_from([*MATCH_FOR_GOOD, *MATCH_AT_THE_END, "^ab"]), max_size=2).map(tuple)
)
CUTS = st.lists(st.integers(0, 100), max_size=12)


def cut(items: list, cuts: list[int]) -> list[list]:
    places = [0, *sorted(c % (len(items) + 1) for c in cuts), len(items)]
    return [items[a:b] for a, b in pairwise(places)]


def first_match(
    strings: tuple[str, ...], patterns: tuple[str, ...], pieces: list[str]
) -> tuple[int, int, int, str] | None:
    """(token, start, end, stop): search everything after every token."""
    for token in range(len(pieces)):
        text = "".join(pieces[: token + 1])
        found = [(text.find(s), text.find(s) + len(s), s) for s in strings if s in text]
        found += [(*match.span(), p) for p in patterns if (match := re2.search(p, text))]
        if found:
            start, end, _ = min(found, key=lambda item: item[:2])  # the first of equal ones
            return token, start, end, next(stop for *span, stop in found if tuple(span) == (start, end))
    return None


def text_that_remains(
    strings: tuple[str, ...], patterns: tuple[str, ...], pieces: list[str], trim: bool
) -> tuple[str, tuple | None]:
    text, match = "".join(pieces), first_match(strings, patterns, pieces)
    if match is None:
        return text, None
    token, start, end, stop = match
    if trim and stop in patterns and stop not in strings:
        held = max(HELD_FOR_PATTERNS if set(p) & set("*+{") else len(p) - 1 for p in patterns)
        start = max(start, len("".join(pieces[:token])) - held)
    return text[: start if trim else end], match


def run(matcher: StopMatcher, bursts: list[list[str]]) -> tuple[str, tuple | None]:
    """What came out, and the match with its token counted from the first."""
    out, num_tokens = "", 0
    for burst in bursts:
        out += matcher.push(burst)
        if matcher.match is not None:
            match = matcher.match
            return out, (num_tokens + match.token, match.start, match.end, match.stop)
        num_tokens += len(burst)
    return out + matcher.finish(), None


@settings(max_examples=400, deadline=None)
@given(PIECES, STRINGS, PATTERNS, CUTS, st.booleans())
@example(["b"], (), ("(?i)AB", "^ab"), [], True)
@example(["a", "b"], ("ab",), (), [1], False)
@example(["b", "a", "b"], (), ("bab",), [1, 2], True)
@example(["xaa", "", "b"], ("ab",), (), [1], True)
@example(["abé"], ("b", "abé"), (), [], True)
@example(["", "a"], (), ("(?:)",), [], True)
def test_the_stop_and_the_text_are_those_of_the_whole_text_however_it_is_cut(
    pieces: list[str], strings: tuple[str, ...], patterns: tuple[str, ...], cuts: list[int], trim: bool
) -> None:
    matcher = StopMatcher(compile_stops(strings, patterns), trim)
    assert run(matcher, cut(pieces, cuts)) == text_that_remains(strings, patterns, pieces, trim)


@given(st.lists(st.text("ab", max_size=40), max_size=30), CUTS)
def test_a_match_that_begins_before_what_is_held_is_cut_where_that_begins(pieces: list[str], cuts: list[int]) -> None:
    pieces = ["x", *pieces, "y"]
    matcher = StopMatcher(compile_stops((), ("x.*y",)))
    assert run(matcher, cut(pieces, cuts)) == text_that_remains((), ("x.*y",), pieces, True)


@given(PIECES, STRINGS)
def test_all_leaves_at_once_that_cannot_be_the_beginning_of_a_stop_string(
    pieces: list[str], strings: tuple[str, ...]
) -> None:
    matcher, text, out = StopMatcher(compile_stops(strings, ())), "", ""
    for piece in pieces:
        text += piece
        out += matcher.push([piece])
        if matcher.match is not None:
            return
        beginnings = [k for s in strings for k in range(1, len(s)) if text.endswith(s[:k])]
        assert out == text[: len(text) - max(beginnings, default=0)]


@given(PIECES, STRINGS, PATTERNS)
def test_nothing_is_held_back_where_the_stop_is_kept(
    pieces: list[str], strings: tuple[str, ...], patterns: tuple[str, ...]
) -> None:
    matcher = StopMatcher(compile_stops(strings, patterns), trim=False)
    for piece in pieces:
        out = matcher.push([piece])
        if matcher.match is not None:
            return
        assert out == piece


TOKENIZER: BpeTokenizer = train_bpe(["héllo wörld 🙂 日本語"], 270, chat=False)


@given(st.lists(st.integers(0, TOKENIZER.vocab_size - 1), max_size=60), CUTS)
@example(TOKENIZER.encode("hé🙂"), [1, 2, 3])
def test_characters_that_tokens_share_are_matched_when_they_are_whole(ids: list[int], cuts: list[int]) -> None:
    strings, patterns = ("é", "🙂", "\ufffd\ufffd"), ("[日本]語",)
    stream, whole = TextStream(TOKENIZER), TextStream(TOKENIZER)
    bursts = [stream.pieces(part) for part in cut(ids, cuts)]
    expected = text_that_remains(strings, patterns, [whole.push([token]) for token in ids], True)
    assert run(StopMatcher(compile_stops(strings, patterns)), bursts) == expected


@pytest.mark.parametrize("pattern", ["ab$", r"ab\z", r"ab\b", "(?m)ab$", r"ab\B|ab$"])
def test_a_pattern_that_matches_the_end_of_the_text_so_far_matches_within_a_burst(pattern: str) -> None:
    matcher = StopMatcher(compile_stops((), (pattern,)))
    assert matcher.push(["x", "ab", "b"]) == "x"
    assert matcher.match == StopMatch(pattern, 1, 1, 3)


@pytest.mark.parametrize("trim", [True, False])
def test_anchors_mean_the_beginning_of_the_whole_text(trim: bool) -> None:
    matcher = StopMatcher(compile_stops(("no",), ("^ab", r"\Aab")), trim)
    assert run(matcher, [["x"] * 200, *([piece] for piece in "ab" * 20)]) == ("x" * 200 + "ab" * 20, None)


def test_a_stop_string_split_across_tokens_is_not_emitted() -> None:
    matcher = StopMatcher(compile_stops(("STOP",), ()))
    assert [matcher.push([piece]) for piece in ("go S", "T", "ART S", "TO", "P on")] == ["go ", "", "START ", "", ""]
    assert matcher.match == StopMatch("STOP", 0, 9, 13)


def test_what_was_held_back_and_the_rest_come_at_the_end() -> None:
    matcher = StopMatcher(compile_stops(("STOP",), ()))
    assert matcher.push(["a ST"]) == "a "
    assert matcher.finish("\ufffd") == "ST\ufffd"


def test_of_stops_after_one_token_the_one_that_begins_first_counts_then_the_one_that_ends_first() -> None:
    matcher = StopMatcher(compile_stops(("cd", "b", "abcd", "ab"), ("ab",)))
    assert matcher.push(["x", "yabcd"]) == "xy"
    assert matcher.match == StopMatch("ab", 1, 2, 4)


def test_a_long_text_without_patterns_is_not_kept() -> None:
    matcher = StopMatcher(compile_stops(("STOP",), ()))
    out = "".join(matcher.push(["S", "TO ", "x" * 10]) for _ in range(1000))
    assert len(matcher._text) <= 3
    assert out == ("STO " + "x" * 10) * 1000
    assert matcher.push(["STOP"]) == ""
    assert matcher.match == StopMatch("STOP", 0, 14_000, 14_004)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"stop_regex\[0\] must be a pattern that RE2 takes: missing \): \("),
        ("(a)\\1", r"stop_regex\[0\] must be a pattern that RE2 takes: invalid escape sequence: \\1"),
        ("(?=a)", r"stop_regex\[0\] must be a pattern that RE2 takes: invalid perl operator: \(\?="),
        ("a{1001}", r"stop_regex\[0\] must be a pattern that RE2 takes: invalid repetition size: \{1001\}"),
        ("\\pL{200}", r"stop_regex\[0\] must be a pattern that RE2 takes: pattern too large"),
        ("((a{0,30}){0,30})b", r"stop_regex must compile to at most 512 instructions, got 18"),
        ("\ud800", r"stop_regex\[0\] must be Unicode text, got a lone surrogate"),
    ],
)
def test_patterns_that_cannot_be_used_are_named(pattern: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        compile_stops((), (pattern,))


def test_patterns_share_one_budget() -> None:
    assert len(compile_stops((), tuple(f"{i:02}[0-9]+x" for i in range(32))).patterns) == 32
    with pytest.raises(InvalidRequest, match="at most 512 instructions, got 595"):
        compile_stops((), tuple(f"{i}.{{10}}" for i in range(7)))


def test_a_pattern_that_takes_backtracking_engines_forever_takes_no_time() -> None:
    matcher = StopMatcher(compile_stops((), ("(a*)*b", "(a|a)*c", "(a|aa)+$d")))
    for _ in range(100):
        matcher.push(["a" * 50])
    assert matcher.match is None
