"""Whole prompts as clients have rendered them: text in which special tokens may be written out."""

import re

from microgpt.tokenizers import Tokenizer


class PromptEncoder:
    """Text -> ids, where a special token's name, such as `<bos>`, is that token. Immutable.

    parse_special: false leaves all text plain. The contents of chat messages are none of its business.
    """

    def __init__(self, tokenizer: Tokenizer, *, parse_special: bool = True):
        self._tokenizer = tokenizer
        self._ids = {tokenizer.token_name(i): i for i in tokenizer.special_ids} if parse_special else {}
        # Of names that begin alike the longest is meant, as in Hugging Face's tokenizers.
        names = sorted(self._ids, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, names)) + ")") if names else None

    def encode(self, text: str, *, add_bos: bool = True) -> list[int]:
        """Ids of `text`; add_bos puts one BOS in front, unless the text begins with it."""
        tokenizer = self._tokenizer
        ids: list[int] = []
        parts = self._special.split(text) if self._special else [text]
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(self._ids[part])
            elif part:
                ids += tokenizer.encode(part)
        if add_bos and ids[:1] != [tokenizer.bos]:
            ids.insert(0, tokenizer.bos)
        return ids
