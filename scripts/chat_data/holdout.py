"""Keeps the wordings of the evaluation out of the training data.

Two messages have the same wording when they differ only in case, punctuation and the values a question is about
(numbers, countries, animals, words of the tables). A held-out prompt may also name `slots`: values of its own,
such as a person's name or a story's topic, in whose place any one to four words count as the same wording.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import facts
from .unknown import OTHER_CITIES, OTHER_COUNTRIES

_SCRIPTS = Path(__file__).resolve().parents[1]
# Two sets. The first has everyday wordings: most were written along with the data, whose author saw what a trial model
# made of them; those whose ids begin with "blind" are by an author who never saw the data. The hard set, by a third
# author, has wordings that are each built differently, as in word problems.
PROMPTS_PATH = _SCRIPTS / "eval_prompts.json"
HARD_PROMPTS_PATH = _SCRIPTS / "eval_hard_prompts.json"
_VALUE = "X"
_WILDCARD = r"\S+(?: \S+){0,3}"


def _plain(text: str) -> str:
    """The text in lower case without punctuation, single-spaced; "+" stays, for it is a word of sums."""
    text = text.lower().replace("'", "").replace("’", "")
    return " ".join(re.sub(r"[^\w+\x00]+", " ", text.replace("+", " + ")).split())


@lru_cache(maxsize=1)
def _table_values() -> frozenset[str]:
    """Every value of the fact tables as plain text, articles left away, with simple plurals."""
    values: set[str] = {*facts.NUMBER_WORDS, *facts.ORDINALS, *facts.DAYS, *facts.MONTHS, *facts.SEASONS, "fall"}
    values.update((*facts.CAPITALS, *facts.COUNTRY_OF_CAPITAL, *OTHER_COUNTRIES, *OTHER_CITIES, *facts.COLOURS))
    values.update(alias for aliases in facts.COUNTRY_ALIASES.values() for alias in aliases)
    values.update(re.sub(r"^(an?|the) ", "", thing) for thing in facts.COLOUR_OF)
    for table in (facts.SOUNDS, facts.BABIES, facts.LEGS, facts.HOMES, facts.FOODS, facts.CAN_FLY, facts.OPPOSITES):
        values.update(table)
    values.update((*facts.ANIMAL_OF_SOUND, *facts.ANIMAL_OF_VERB, *facts.PARENT_OF_BABY))
    return frozenset(_plain(form) for value in values for form in (value, value + "s"))


def wording(text: str) -> str:
    """The message's wording: plain text in which every number and every table value became one sign."""
    words = _plain(text).split()
    values = _table_values()
    out: list[str] = []
    at = 0
    while at < len(words):
        width = next((n for n in (3, 2, 1) if " ".join(words[at : at + n]) in values), 0)
        if width or words[at].isdigit():
            if out[-1:] in (["a"], ["an"], ["the"]):
                out.pop()  # "a banana" and "bananas" are the same value
            out.append(_VALUE)
        else:
            out.append(words[at])
        at += max(width, 1)
    return " ".join(out)


def load_prompts(path: Path = PROMPTS_PATH) -> list[dict[str, Any]]:
    """The held-out prompts: dicts of id, topic, turns, check and optionally slots."""
    return json.loads(path.read_text(encoding="utf-8"))


class HeldOut:
    """The wordings of a list of held-out prompts, to be asked of each training message."""

    def __init__(self, prompts: list[dict[str, Any]]) -> None:
        self._exact: set[str] = set()
        patterns: set[str] = set()
        for prompt in prompts:
            for turn in prompt["turns"]:
                slots = [s for s in prompt.get("slots", ()) if s.lower() in turn.lower()]
                if not slots:
                    self._exact.add(wording(turn))
                    continue
                for slot in slots:
                    turn = re.sub(re.escape(slot), "\x00", turn, flags=re.IGNORECASE)
                patterns.add(re.escape(wording(turn)).replace(re.escape("\x00"), _WILDCARD).replace("\x00", _WILDCARD))
        self._pattern = re.compile("|".join(f"(?:{p})" for p in sorted(patterns)) or r"(?!)")

    def contains(self, message: str) -> bool:
        """Whether the message has the wording of a held-out one."""
        text = wording(message)
        return (
            text in self._exact
            or self._pattern.fullmatch(text) is not None
            or self._pattern.fullmatch(_plain(message)) is not None
        )
