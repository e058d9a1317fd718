"""Token ids -> text, piece by piece: characters are never split, and the pieces joined are the whole text."""

from codecs import utf_8_decode
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from microgpt.tokenizers import Tokenizer

# Unicode's White_Space property. Not str.strip()'s idea of it, which adds U+001C to U+001F.
WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)

_Piece = TypeVar("_Piece", str, bytes)


class TextStream:
    """Decodes the tokens of one sequence as they come.

    Bytes that are not UTF-8 become U+FFFD; an incomplete character is held back until it is complete or flushed.
    special_text: what special tokens look like (id -> text); absent ones are invisible.
    """

    __slots__ = ("_bytes", "_held", "_special", "_texts")

    def __init__(self, tokenizer: Tokenizer, special_text: Mapping[int, str] | None = None):
        self._texts, self._bytes = tokenizer.all_texts, tokenizer.all_bytes
        self._special: Mapping[int, Any] | None = special_text
        if self._texts is None and special_text:
            self._special = {i: text.encode() for i, text in special_text.items()}
        self._held = b""  # the beginning of a character

    def push(self, token_ids: Sequence[int]) -> str:
        """The characters that these tokens complete."""
        if self._texts is not None:
            if len(token_ids) == 1 and not self._special:  # all that a burst makes of a large model's sequences
                return self._texts[token_ids[0]]
            return "".join(_pieces(self._texts, self._special, token_ids))
        data = self._held + b"".join(_pieces(self._bytes, self._special, token_ids))
        text, num_decoded = utf_8_decode(data, "replace")
        self._held = data[num_decoded:]
        return text

    def push_last(self, token_ids: Sequence[int]) -> str:
        """As `push` and then `flush`; the stream is as new then, for another sequence."""
        if self._texts is not None:
            return self.push(token_ids)
        return self._last(b"".join(_pieces(self._bytes, self._special, token_ids)))

    def push_whole(self, token_ids: Sequence[int], ends: Sequence[int]) -> list[str]:
        """As `push_last` for each of several sequences, which token_ids hold one after another; they end at `ends`."""
        starts = (0, *ends)
        if self._texts is not None:
            texts = _pieces(self._texts, self._special, token_ids)
            return ["".join(texts[start:end]) for start, end in zip(starts, ends, strict=False)]
        pieces = _pieces(self._bytes, self._special, token_ids)
        return [self._last(b"".join(pieces[start:end])) for start, end in zip(starts, ends, strict=False)]

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """As `push`, token by token: the characters that each of them completes."""
        return [self.push((i,)) for i in token_ids]

    def flush(self) -> str:
        """What was held back, as U+FFFD; the stream has ended."""
        return self._last(b"") if self._held else ""

    def _last(self, data: bytes) -> str:
        """The end of a text."""
        data, self._held = self._held + data, b""
        return data.decode("utf-8", "replace")


def _pieces(
    table: Sequence[_Piece], special: Mapping[int, _Piece] | None, token_ids: Sequence[int]
) -> Sequence[_Piece]:
    """What each token stands for."""
    if special:
        return [special.get(i) or table[i] for i in token_ids]
    return itemgetter(*token_ids, 0, 0)(table)[:-2]  # of one id alone it would make no tuple


class TrimStream:
    """Trims outer white space from a text that comes in pieces.

    The pieces that come out, joined, equal the whole text stripped of WHITE_SPACE: what leads is dropped; a later
    run is held until a visible character follows.
    """

    def __init__(self) -> None:
        self._started = False
        self._held = ""

    def push(self, piece: str) -> str:
        """The part of the text that is now certain."""
        if not self._started:
            piece = piece.lstrip(WHITE_SPACE)
            self._started = bool(piece)
        visible = piece.rstrip(WHITE_SPACE)
        if not visible:
            self._held += piece
            return ""
        out = self._held + visible
        self._held = piece[len(visible) :]
        return out
