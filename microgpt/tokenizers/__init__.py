"""Tokenizer formats: a character table in meta.json, or byte-level BPE in tokenizer.json; one file each.

FORMATS is the table: the first format whose `claims` says yes to a model directory loads its tokenizer.
"""

from microgpt.tokenizers.base import ChatTokens, Tokenizer, TokenizerFormat
from microgpt.tokenizers.bpe import BpeFormat, BpeTokenizer, train_bpe
from microgpt.tokenizers.chars import CharFormat, CharTokenizer, train_chars

FORMATS: tuple[TokenizerFormat, ...] = (CharFormat(), BpeFormat())

__all__ = [
    "FORMATS",
    "BpeTokenizer",
    "CharTokenizer",
    "ChatTokens",
    "Tokenizer",
    "TokenizerFormat",
    "train_bpe",
    "train_chars",
]
