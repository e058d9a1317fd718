"""What every tokenizer offers, and what a tokenizer format must know to find and load one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SPECIAL_TOKENS = ("user", "assistant", "end_turn")  # the only legal `special_tokens` in meta.json


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """The ids that frame a turn of a chat model."""

    user: int
    assistant: int
    end_turn: int

    def role(self, name: str) -> int:
        """The id that opens a turn of role "user" or "assistant"."""
        return self.user if name == "user" else self.assistant


class Tokenizer(Protocol):
    """Text <-> token ids. Immutable; safe to use from several threads.

    vocab_size: ids are 0 .. vocab_size - 1. bos: begins and ends a document. chat: None for a plain model.
    special_ids: ids that are not text (BOS and the chat tokens among them). all_bytes: `token_bytes` of every id.
    all_texts: the same as text; None where a token may be part of a character.
    """

    @property
    def vocab_size(self) -> int: ...
    @property
    def bos(self) -> int: ...
    @property
    def chat(self) -> ChatTokens | None: ...
    @property
    def special_ids(self) -> frozenset[int]: ...
    @property
    def all_bytes(self) -> Sequence[bytes]: ...
    @property
    def all_texts(self) -> Sequence[str] | None: ...

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; text that looks like a special token stays text."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that an id stands for, possibly part of a character; b"" for special tokens."""
        ...

    def token_name(self, token_id: int) -> str:
        """A printable name of any id: `<bos>`, `<user>`, or its text."""
        ...

    def decode(self, token_ids: list[int] | tuple[int, ...]) -> str:
        """Text of all ids, special ones skipped; broken UTF-8 becomes U+FFFD."""
        ...

    def meta(self) -> dict[str, Any]:
        """What this tokenizer adds to meta.json."""
        ...

    def save(self, directory: Path) -> None:
        """Write the files beside meta.json that this tokenizer needs."""
        ...


class TokenizerFormat(Protocol):
    """One way of storing a tokenizer in a model directory."""

    def claims(self, directory: Path, meta: Mapping[str, Any]) -> bool:
        """Whether this directory holds a tokenizer of this format."""
        ...

    def load(self, directory: Path, meta: Mapping[str, Any]) -> tuple[Tokenizer | None, list[str]]:
        """(tokenizer, []) or (None, problems), each problem beginning with its file's name."""
        ...


def special_token_problems(meta: Mapping[str, Any]) -> list[str]:
    """Problems with meta.json's `special_tokens`: absent, null or [] for a plain model, else exactly SPECIAL_TOKENS."""
    names = meta.get("special_tokens") or []
    if names == [] or names == list(SPECIAL_TOKENS):
        return []
    return [f"meta.json: special_tokens must be {list(SPECIAL_TOKENS)} or absent, got {names!r}"]


def is_chat(meta: Mapping[str, Any]) -> bool:
    """Whether meta.json declares the chat tokens."""
    return bool(meta.get("special_tokens"))
