"""Byte-level BPE in Hugging Face's tokenizer.json, with `<bos>` and, for chat, the three turn tokens in <>."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tokenizers as hf

from microgpt.tokenizers.base import SPECIAL_TOKENS, ChatTokens, Tokenizer, is_chat, special_token_problems

FILE = "tokenizer.json"
BOS = "<bos>"


class BpeTokenizer:
    """A byte-level BPE tokenizer; any text can be encoded, and content never becomes a special token."""

    def __init__(self, tokenizer: hf.Tokenizer, chat: bool):
        # Every load must set this again: it is not stored in tokenizer.json. With it, "<user>" typed by a user is
        # six ordinary characters.
        tokenizer.encode_special_tokens = True
        # Settings of the file that would cut a message, pad it with special tokens, or encode it differently each time.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.model.dropout = None
        self._hf = tokenizer
        self.vocab_size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        added = tokenizer.get_added_tokens_decoder()
        special = {token.content: i for i, token in added.items() if token.special}
        self.bos = special[BOS]
        self.chat = ChatTokens(*(special[f"<{name}>"] for name in SPECIAL_TOKENS)) if chat else None
        self.special_ids = frozenset(special.values())
        self._names = {i: token.content for i, token in added.items()}
        found = _bytes_of_ids(tokenizer.get_vocab(with_added_tokens=True), self._names, self.special_ids)
        self.all_bytes = tuple(found.get(i, b"") for i in range(self.vocab_size))
        self.all_texts = None

    def encode(self, text: str) -> list[int]:
        # Not `encode`, which holds the GIL: a message of megabytes would stop every other thread for seconds.
        return self._hf.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def token_bytes(self, token_id: int) -> bytes:
        return self.all_bytes[token_id]

    def token_name(self, token_id: int) -> str:
        return self._names.get(token_id) or self.token_bytes(token_id).decode("utf-8", "replace")

    def decode(self, token_ids: list[int] | tuple[int, ...]) -> str:
        return b"".join([self.all_bytes[i] for i in token_ids]).decode("utf-8", "replace")

    def meta(self) -> dict[str, Any]:
        return {"special_tokens": list(SPECIAL_TOKENS)} if self.chat else {}

    def save(self, directory: Path) -> None:
        (directory / FILE).write_text(self._hf.to_str(pretty=False), "utf-8")


class BpeFormat:
    """A tokenizer.json beside meta.json."""

    def claims(self, directory: Path, meta: Mapping[str, Any]) -> bool:
        return (directory / FILE).is_file()

    def load(self, directory: Path, meta: Mapping[str, Any]) -> tuple[Tokenizer | None, list[str]]:
        problems = special_token_problems(meta)
        try:
            text = (directory / FILE).read_text("utf-8")
            parsed = json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            return None, [*problems, f"{FILE}: not readable as JSON: {error}"]
        problems += _format_problems(parsed)
        if problems:
            return None, problems
        try:
            tokenizer = hf.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception for every kind of damage
            return None, [f"{FILE}: not a tokenizer: {error}"]
        problems = _vocabulary_problems(tokenizer, is_chat(meta))
        return (None, problems) if problems else (BpeTokenizer(tokenizer, is_chat(meta)), [])


def _format_problems(parsed: Any) -> list[str]:
    """What this project cannot serve: another model than byte-level BPE. Looked for before the library sees the file,
    since some of it makes the library abort the process."""
    if not isinstance(parsed, dict) or not isinstance(parsed.get("model"), dict):
        return [f"{FILE}: not a tokenizer: must be an object with a `model` object"]
    problems = []
    model = parsed["model"]
    if model.get("type", "BPE") != "BPE":
        problems.append(f"{FILE}: model.type must be BPE, got {model['type']!r:.60}")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            problems.append(f"{FILE}: model.{name} must be null for byte-level BPE, got {model[name]!r:.60}")
    if parsed.get("normalizer") is not None:
        problems.append(f"{FILE}: normalizer must be null for byte-level BPE, got {_type_of(parsed['normalizer'])}")
    if not _is_byte_level(parsed.get("pre_tokenizer")):
        found = _type_of(parsed.get("pre_tokenizer"))
        problems.append(f"{FILE}: pre_tokenizer must be or contain ByteLevel, got {found}")
    return problems


def _vocabulary_problems(tokenizer: hf.Tokenizer, chat: bool) -> list[str]:
    """Missing special tokens, and holes in the ids."""
    problems = []
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    for name in (BOS, *(f"<{name}>" for name in SPECIAL_TOKENS if chat)):
        if name not in special:
            problems.append(f"{FILE}: special token {name} is missing from added_tokens")
    ids = sorted(set(tokenizer.get_vocab(with_added_tokens=True).values()))
    if ids != list(range(len(ids))):
        problems.append(f"{FILE}: token ids must be 0 to {len(ids) - 1} without gaps, got a highest id of {ids[-1]}")
    return problems


def _is_byte_level(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    children = node.get("pretokenizers")
    return node.get("type") == "ByteLevel" or (isinstance(children, list) and any(map(_is_byte_level, children)))


def _type_of(node: Any) -> str:
    return f"{node.get('type')!r:.60}" if isinstance(node, dict) else "none"


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in character for each byte, reversed: character -> byte."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {chr(byte): byte for byte in visible}
    hidden = (byte for byte in range(256) if byte not in set(visible))
    alphabet.update({chr(256 + i): byte for i, byte in enumerate(hidden)})
    return alphabet


def _bytes_of_ids(vocab: Mapping[str, int], added: Mapping[int, str], special: frozenset[int]) -> dict[int, bytes]:
    """Id -> UTF-8 bytes; special tokens are left out, other added tokens stand for their literal text."""
    alphabet = _byte_alphabet()
    table = {}
    for piece, i in vocab.items():
        if i in special:
            continue
        if i in added:
            table[i] = piece.encode()
        else:
            table[i] = bytes(alphabet[char] for char in piece if char in alphabet)
    return table


def train_bpe(texts: Iterable[str], vocab_size: int, chat: bool) -> BpeTokenizer:
    """A byte-level BPE tokenizer of at most `vocab_size` ids learned from `texts`; special tokens come first.

    Fewer ids come out when the texts have fewer distinct merges to offer. Deterministic for the same texts.
    """
    special = [BOS, *(f"<{name}>" for name in SPECIAL_TOKENS if chat)]
    tokenizer = hf.Tokenizer(hf.models.BPE())
    tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return BpeTokenizer(tokenizer, chat)
