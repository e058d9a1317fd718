"""Files -> token ids. Plain text has one document a line; chat files have one JSON conversation a line."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microgpt.errors import DataError
from microgpt.tokenizers import ChatTokens, Tokenizer, train_bpe, train_chars

Turn = tuple[str, str]  # role, content
Conversation = tuple[Turn, ...]
Example = str | Conversation
# Share of what is not an assistant's that counts in the loss. With "all", the guesswork of what a user may ask next
# fills two thirds of the loss of a chat model; with "assistant" it cannot write a conversation by itself.
LOSS_SHARES = {"all": 1.0, "mixed": 0.2, "assistant": 0.0}
MAX_HELD_OUT = 500  # more tells little more and costs time at every evaluation


@dataclass(frozen=True, slots=True)
class Documents:
    """Token ids of many documents, end to end.

    ids: (N,) int32. counted: (N,) bool, False where predicting this token is not part of the loss.
    starts: (D + 1,) int64, document d is ids[starts[d]:starts[d + 1]]. bos_optional: (D,) bool, True where the
    document may also be fed without its leading BOS, as served chat prompts are.
    """

    ids: np.ndarray
    counted: np.ndarray
    starts: np.ndarray
    bos_optional: np.ndarray

    def __len__(self) -> int:
        return len(self.bos_optional)

    @property
    def num_tokens(self) -> int:
        return len(self.ids)

    @property
    def longest(self) -> int:
        return int(np.diff(self.starts).max(initial=0))


@dataclass(frozen=True, slots=True)
class Piece:
    """One document to be: its ids, which of them count in the loss, and whether its BOS may be left out."""

    ids: list[int]
    counted: list[bool]
    bos_optional: bool


def read_texts(paths: Iterable[Path], counts: Counter[str]) -> list[str]:
    """The non-empty lines of the files, outer white space removed. Raises DataError naming file and line."""
    texts = []
    for _, _, line in _lines(paths):
        text = line.strip()
        counts["documents" if text else "blank lines skipped"] += 1
        if text:
            texts.append(text)
    return texts


def read_conversations(paths: Iterable[Path], counts: Counter[str]) -> list[Conversation]:
    """The conversations of JSONL files, trailing user turns trimmed, those without an assistant turn left out.

    Adds to `counts` what was read, trimmed and skipped. Raises DataError naming file, line and fault.
    """
    kept = []
    for path, number, line in _lines(paths):
        if not line.strip():
            counts["blank lines skipped"] += 1
            continue
        conversation = _parse_conversation(line, f"{path}, line {number}")
        end = len(conversation)
        while end and conversation[end - 1][0] == "user":
            end -= 1
        counts["conversations"] += 1
        if end == 0:
            counts["conversations without an assistant turn skipped"] += 1
            continue
        counts["trailing user turns trimmed"] += len(conversation) - end
        kept.append(conversation[:end])
    return kept


def _lines(paths: Iterable[Path]) -> Iterator[tuple[Path, int, str]]:
    """(path, line number from 1, line without its newline) of UTF-8 files."""
    for path in paths:
        try:
            with path.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    try:
                        yield (
                            path,
                            number,
                            raw.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8"),
                        )
                    except UnicodeDecodeError as error:
                        raise DataError(f"{path}, line {number}: not UTF-8 text: {error.reason}") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _parse_conversation(line: str, where: str) -> Conversation:
    try:
        turns = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{where}: must be a non-empty list of turns, got {line[:60]!r}")
    return tuple(_parse_turn(turn, f"{where}, turn {i}") for i, turn in enumerate(turns, 1))


def _parse_turn(turn: Any, where: str) -> Turn:
    if not isinstance(turn, dict):
        raise DataError(f'{where}: must be an object like {{"role": "user", "content": "Hi"}}, got {turn!r:.60}')
    role, content = turn.get("role"), turn.get("content")
    if role not in ("user", "assistant"):
        raise DataError(f"{where}: role must be user or assistant, got {role!r:.60}")
    if not isinstance(content, str):
        raise DataError(f"{where}: content must be a string, got {content!r:.60}")
    if any("\ud800" <= char <= "\udfff" for char in content):
        raise DataError(f"{where}: content must be text, got a lone surrogate")
    return role, content


def split_held_out(examples: Sequence[Example], fraction: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(training, held-out) examples, both in file order.

    An example's side depends on its text and the seed alone, so copies of one text never stand on both sides.
    About `fraction` of the examples, at most MAX_HELD_OUT or so, are held out.
    """
    share = min(fraction, MAX_HELD_OUT / max(1, len(examples)))
    sides: tuple[list[Example], list[Example]] = ([], [])
    key = seed.to_bytes(8, "little")
    for example in examples:
        digest = hashlib.blake2b(repr(example).encode(), digest_size=8, key=key).digest()
        sides[int.from_bytes(digest, "little") < share * 2**64].append(example)
    return sides


def learn_tokenizer(examples: Sequence[Example], kind: str, vocab_size: int | None, chat: bool) -> Tokenizer:
    """A tokenizer of the given kind ("char" or "bpe") for the contents of all examples."""
    contents = (text for example in examples for text in _contents(example))
    if kind == "char":
        return train_chars(contents, chat)
    assert vocab_size is not None
    return train_bpe(contents, vocab_size, chat)


def _contents(example: Example) -> Iterator[str]:
    if isinstance(example, str):
        yield example
    else:
        yield from (content for _, content in example)


def encode_examples(
    examples: Iterable[Example],
    tokenizer: Tokenizer,
    block_size: int | None,
    skip_long: bool,
    loss_on: str,
    counts: Counter[str],
) -> Documents:
    """The documents of all examples: BOS, tokens or turns, BOS.

    A document of more than block_size + 1 tokens becomes several windows, or is left out with skip_long; None has
    no limit. loss_on is a key of LOSS_SHARES: how many of a user's tokens and of the role tokens count; what an
    assistant says, the end of its turn and the end of the document always do.
    """
    rows: list[_Row] = []
    limit = None if block_size is None else block_size + 1
    for number, example in enumerate(examples):
        if isinstance(example, str):
            whole = Piece([tokenizer.bos, *tokenizer.encode(example), tokenizer.bos], [], False)
            whole.counted.extend([True] * len(whole.ids))
            exchanges = []
        else:
            exchanges = _exchanges(example, tokenizer, LOSS_SHARES[loss_on], number)
            whole = _join(exchanges, tokenizer.bos, first=True, last=True)
        if limit is None or len(whole.ids) <= limit:
            rows += _rows([whole])
        elif skip_long:
            counts["long documents skipped"] += 1
        else:
            windows = _chat_windows(exchanges, tokenizer.bos, limit) if exchanges else _text_windows(whole, limit)
            counts["long documents cut into windows"] += 1
            counts["windows"] += len(windows)
            rows += _rows(windows)
    return _concatenate(rows)


def _exchanges(conversation: Conversation, tokenizer: Tokenizer, share: float, number: int) -> list[Piece]:
    """The turns as ids, grouped so that each group runs from a user's turn to the last reply to it.

    share: of the tokens that are given to the model when it is served (role tokens, what users say), how many count.
    Which ones follows a golden-ratio sequence that begins elsewhere in each conversation (`number`).
    """
    chat = tokenizer.chat
    assert isinstance(chat, ChatTokens)
    groups: list[Piece] = []
    previous = "assistant"
    chosen = ((number + k) * 0.6180339887498949 % 1 < share for k in itertools.count())
    for role, content in conversation:
        if not groups or (role == "user" and previous == "assistant"):
            groups.append(Piece([], [], False))
        ids = [chat.role(role), *tokenizer.encode(content), chat.end_turn]
        groups[-1].ids.extend(ids)
        groups[-1].counted.extend(next(chosen) if k == 0 or role == "user" else True for k in range(len(ids)))
        previous = role
    return groups


def _join(exchanges: Sequence[Piece], bos: int, first: bool, last: bool) -> Piece:
    """BOS + exchanges (+ BOS where the conversation ends here), as one piece.

    Only the conversation's beginning may go without BOS: a served prompt that lost its beginning has one.
    """
    ids, counted = [bos], [False]
    for exchange in exchanges:
        ids += exchange.ids
        counted += exchange.counted
    if last:
        ids.append(bos)
        counted.append(True)
    return Piece(ids, counted, first)


def _chat_windows(exchanges: Sequence[Piece], bos: int, limit: int) -> list[Piece]:
    """Windows of whole exchanges, each as many as fit in `limit` ids; an exchange that fits in none is cut short."""
    windows, start = [], 0
    while start < len(exchanges):
        end = start + 1
        while end < len(exchanges) and 1 + sum(len(e.ids) for e in exchanges[start : end + 1]) <= limit:
            end += 1
        window = _join(exchanges[start:end], bos, first=start == 0, last=end == len(exchanges))
        windows.append(Piece(window.ids[:limit], window.counted[:limit], window.bos_optional))
        start = end
    return windows


def _text_windows(whole: Piece, limit: int) -> list[Piece]:
    """Windows of `limit` ids that share one id, so that every id but the first is predicted exactly once."""
    starts = range(0, len(whole.ids) - 1, limit - 1)
    return [Piece(whole.ids[i : i + limit], whole.counted[i : i + limit], False) for i in starts]


_Row = tuple[np.ndarray, np.ndarray, bool]  # a Piece with its ids as int32 and its counts as bool


def _rows(pieces: Iterable[Piece]) -> Iterator[_Row]:
    """The pieces in which anything counts, as arrays: a tenth of the memory of lists, for corpora of many millions."""
    for piece in pieces:
        if any(piece.counted[1:]):
            yield np.array(piece.ids, np.int32), np.array(piece.counted, np.bool_), piece.bos_optional


def _concatenate(rows: Sequence[_Row]) -> Documents:
    return Documents(
        ids=np.concatenate([np.empty(0, np.int32), *(ids for ids, _, _ in rows)]),
        counted=np.concatenate([np.empty(0, np.bool_), *(counted for _, counted, _ in rows)]),
        starts=np.cumsum([0, *(len(ids) for ids, _, _ in rows)], dtype=np.int64),
        bos_optional=np.array([bos_optional for _, _, bos_optional in rows], np.bool_),
    )


def fingerprint(*parts: Documents) -> str:
    """A digest of everything the model will see, to notice that data or tokenizer changed between two runs."""
    digest = hashlib.blake2b(digest_size=16)
    for documents in parts:
        for array in (documents.ids, documents.counted, documents.starts, documents.bos_optional):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
