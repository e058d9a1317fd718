"""Character tokenizer: id i is chars[i]; then user, assistant, end_turn of a chat model; BOS is the last id."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from microgpt.tokenizers.base import SPECIAL_TOKENS, ChatTokens, Tokenizer, is_chat, special_token_problems


class CharTokenizer:
    """One id per character of a table. Characters outside the table are skipped when encoding."""

    def __init__(self, chars: Sequence[str], chat: bool):
        self.chars = tuple(chars)
        n = len(self.chars)
        self.chat = ChatTokens(n, n + 1, n + 2) if chat else None
        self.bos = n + (3 if chat else 0)
        self.vocab_size = self.bos + 1
        self.special_ids = frozenset(range(n, self.vocab_size))
        self._ids = {char: i for i, char in enumerate(self.chars)}
        self.all_texts = (*self.chars, *("" for _ in self.special_ids))
        self.all_bytes = tuple(text.encode() for text in self.all_texts)

    def encode(self, text: str) -> list[int]:
        ids = self._ids
        return [ids[char] for char in text if char in ids]

    def token_bytes(self, token_id: int) -> bytes:
        return self.all_bytes[token_id]

    def token_name(self, token_id: int) -> str:
        if token_id < len(self.chars):
            return self.chars[token_id]
        if token_id == self.bos:
            return "<bos>"
        return f"<{SPECIAL_TOKENS[token_id - len(self.chars)]}>"

    def decode(self, token_ids: list[int] | tuple[int, ...]) -> str:
        return "".join(self.chars[i] for i in token_ids if i < len(self.chars))

    def meta(self) -> dict[str, Any]:
        special = {"special_tokens": list(SPECIAL_TOKENS)} if self.chat else {}
        return {"chars": list(self.chars), **special}

    def save(self, directory: Path) -> None:
        """Nothing to write: the table lives in meta.json."""


class CharFormat:
    """`chars` in meta.json."""

    def claims(self, directory: Path, meta: Mapping[str, Any]) -> bool:
        return meta.get("chars") is not None

    def load(self, directory: Path, meta: Mapping[str, Any]) -> tuple[Tokenizer | None, list[str]]:
        problems = char_table_problems(meta["chars"]) + special_token_problems(meta)
        return (None, problems) if problems else (CharTokenizer(meta["chars"], is_chat(meta)), [])


def char_table_problems(chars: Any) -> list[str]:
    """What keeps a JSON value from being a character table; at most a handful of sentences."""
    if not isinstance(chars, list):
        return [f"meta.json: chars must be a list of one-character strings, got {type(chars).__name__}"]
    problems: list[str] = []
    seen: dict[str, int] = {}
    for i, char in enumerate(chars):
        if not isinstance(char, str) or len(char) != 1:
            problems.append(f"meta.json: chars[{i}] must be a one-character string, got {char!r:.60}")
        elif "\ud800" <= char <= "\udfff":
            problems.append(f"meta.json: chars[{i}] must be a character, got the lone surrogate {char!r}")
        elif char in seen:
            problems.append(f"meta.json: chars[{i}] repeats chars[{seen[char]}], {char!r}")
        else:
            seen[char] = i
    if len(problems) > 5:
        problems[5:] = [f"meta.json: chars has {len(problems) - 5} more such problems"]
    return problems


def train_chars(texts: Iterable[str], chat: bool) -> CharTokenizer:
    """The tokenizer whose table is every character of `texts`, in code point order."""
    chars: set[str] = set()
    for text in texts:
        chars.update(text)
    return CharTokenizer(sorted(chars), chat)
