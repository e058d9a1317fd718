"""Text from tokens: pieces joined equal the whole, whatever the cuts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgpt.text_stream import WHITE_SPACE, TextStream, TrimStream
from microgpt.tokenizers import BpeTokenizer, CharTokenizer, Tokenizer, train_bpe

TOKENIZER: BpeTokenizer = train_bpe(["héllo wörld 🙂 日本語"], 270, chat=True)
CHARS = CharTokenizer([chr(ord(" ") + i) for i in range(TOKENIZER.vocab_size - 4)], chat=True)  # as many ids
BOTH = pytest.mark.parametrize("tokenizer", [TOKENIZER, CHARS])
IDS = st.lists(st.integers(0, TOKENIZER.vocab_size - 1), max_size=60)


def cut(items: list[int] | str, cuts: list[int]) -> list:
    places = [0, *sorted(c % (len(items) + 1) for c in cuts), len(items)]
    return [items[a:b] for a, b in pairwise(places)]


@BOTH
@given(IDS, st.lists(st.integers(0, 100), max_size=20))
def test_pieces_joined_equal_the_decoding_of_all_tokens(tokenizer: Tokenizer, ids: list[int], cuts: list[int]) -> None:
    stream = TextStream(tokenizer)
    pieces = [stream.push(part) for part in cut(ids, cuts)]
    assert "".join(pieces) + stream.flush() == tokenizer.decode(ids)


@BOTH
@given(IDS, st.lists(st.integers(0, 100), max_size=20))
def test_pieces_are_what_pushing_token_by_token_gives(tokenizer: Tokenizer, ids: list[int], cuts: list[int]) -> None:
    one_by_one, stream = TextStream(tokenizer), TextStream(tokenizer)
    expected = [one_by_one.push([token]) for token in ids]
    assert [piece for part in cut(ids, cuts) for piece in stream.pieces(part)] == expected
    assert stream.flush() == one_by_one.flush()


@BOTH
@given(IDS, st.lists(IDS, max_size=5))
def test_sequences_that_end_one_after_another_have_the_texts_of_each(
    tokenizer: Tokenizer, begun: list[int], rest: list[list[int]]
) -> None:
    stream = TextStream(tokenizer)
    first = stream.push(begun)
    ends = [sum(map(len, rest[: i + 1])) for i in range(len(rest))]
    texts = stream.push_whole([token for ids in rest for token in ids], ends)
    whole = [tokenizer.decode(ids) for ids in [begun + rest[0], *rest[1:]]] if rest else []
    assert [first + text if i == 0 else text for i, text in enumerate(texts)] == whole


@given(st.text(max_size=30))
def test_characters_are_never_split(text: str) -> None:
    stream = TextStream(TOKENIZER)
    pieces = [stream.push([token]) for token in TOKENIZER.encode(text)]
    assert "".join(pieces) == text
    assert stream.flush() == ""


@BOTH
def test_special_tokens_show_only_as_asked(tokenizer: Tokenizer) -> None:
    assert tokenizer.chat is not None
    ids = [tokenizer.bos, *tokenizer.encode("hello"), tokenizer.chat.end_turn, *tokenizer.encode("world")]
    assert TextStream(tokenizer).push(ids) == "helloworld"
    assert TextStream(tokenizer, {tokenizer.chat.end_turn: "\n"}).push(ids) == "hello\nworld"


WHITE = st.sampled_from(WHITE_SPACE)
TEXT = st.lists(st.one_of(WHITE, st.sampled_from("ab\x1c\u200b\ufeff🙂")), max_size=40).map("".join)


@given(TEXT, st.lists(st.integers(0, 100), max_size=20))
def test_trimmed_pieces_joined_equal_the_stripped_text(text: str, cuts: list[int]) -> None:
    stream = TrimStream()
    pieces = [stream.push(piece) for piece in cut(text, cuts)]
    assert "".join(pieces) == text.strip(WHITE_SPACE)
    assert all(not piece or piece[-1] not in WHITE_SPACE for piece in pieces)


def test_white_space_is_unicode_white_space_and_not_str_strip() -> None:
    # The White_Space property of the Unicode Character Database has 25 members.
    assert len(set(WHITE_SPACE)) == 25
    assert "\x1c" not in WHITE_SPACE
    assert all(char.isspace() for char in WHITE_SPACE)
