"""A small phrase grammar and the noise that makes its sentences look typed by a person.

A template is text with `(a|b|c)` for one of several, `[x]` for "maybe x", `<rule>` for a shared rule of RULES and
`{slot}` for a value. Slots stay placeholders until the noise is over, so that no typo ever reaches a name, a
number or the word a question is about.
"""

from __future__ import annotations

import random
import re
from functools import cache

# A template parses to a sequence; its parts are literal text, a slot, a rule or alternatives.
Part = tuple[str, object]

RULES: dict[str, str] = {
    "what is": "(what is|what's|whats|what is|what's)",
    "tell": "(tell me|please tell me|can you tell me|could you tell me|do you know|say|i want to "
    "know|i'd like to know"
    "|let me know|i wonder|would you tell me|any idea|you know)",
    "give": "(give me|tell me|can you give me|could you give me|i want|i'd like|i would like|let "
    "me have|may i have"
    "|can i have|can i get|please give me|let's have|got|do you have|how about|hit me "
    "with|i need|share)",
    "make": "(write|write me|make|make me|make up|compose|create|can you write|could you write|"
    "please write"
    "|can you make|can you make up|i want|i'd like|give me|tell me|would you write|let me "
    "hear|let's hear|i would love)",
    "colour": "(colour|color)",
    "very": "(|||so |very |really |a bit |rather |quite |a little |pretty |kind of )",
    "lately": "(||| today| now| right now| this morning| after work| again| at the moment| tonight| after "
    "school| lately"
    "| about tomorrow| all day| this week| these days)",
    "favourite": "(favourite|favorite|fav|favourite|favorite)",
    "you are": "(you are|you're|ur|youre|u are)",
    "i am": "(I am|I'm|Im|i'm|im|i am)",
}

_TOKEN = re.compile(r"[(\[\])|]|<[a-z ]+>|\{[a-z_0-9]+\}|[^()\[\]|<{]+")


@cache
def _parse(template: str) -> tuple[Part, ...]:
    """The template as nested parts; raises ValueError where brackets do not match."""
    tokens = _TOKEN.findall(template)
    if "".join(tokens) != template:
        raise ValueError(f"template has a stray bracket: {template!r}")
    parts, position = _parse_alternatives(tokens, 0, template)
    if position != len(tokens):
        raise ValueError(f"template has an unmatched closing bracket: {template!r}")
    return parts[0] if len(parts) == 1 else (("choice", tuple(parts)),)


def _parse_alternatives(tokens: list[str], position: int, template: str) -> tuple[list[tuple[Part, ...]], int]:
    """The alternatives from `position` up to a closing bracket or the end, and the index reached."""
    alternatives: list[tuple[Part, ...]] = []
    current: list[Part] = []
    while position < len(tokens) and tokens[position] not in ")]":
        token = tokens[position]
        position += 1
        if token == "|":
            alternatives.append(tuple(current))
            current = []
        elif token in "([":
            inner, position = _parse_alternatives(tokens, position, template)
            if position >= len(tokens) or tokens[position] != {"(": ")", "[": "]"}[token]:
                raise ValueError(f"template has an unmatched {token}: {template!r}")
            position += 1
            current.append(("choice", tuple(inner) + (((),) if token == "[" else ())))
        elif token[0] == "<":
            current.append(("rule", token[1:-1]))
        elif token[0] == "{":
            current.append(("slot", token[1:-1]))
        else:
            current.append(("text", token))
    alternatives.append(tuple(current))
    return alternatives, position


def _emit(parts: tuple[Part, ...], rng: random.Random, out: list[str]) -> None:
    for kind, value in parts:
        if kind == "choice":
            _emit(rng.choice(value), rng, out)  # type: ignore[arg-type]
        elif kind == "rule":
            _emit(_parse(RULES[str(value)]), rng, out)
        elif kind == "slot":
            out.append("{" + str(value) + "}")
        else:
            out.append(str(value))


def expand(template: str, rng: random.Random, **slots: object) -> str:
    """One random sentence of the template with its slots filled; nothing else is changed."""
    return _fill(_skeleton(template, rng), slots)


def _skeleton(template: str, rng: random.Random) -> str:
    """One random sentence with {slot} placeholders left in, single-spaced."""
    out: list[str] = []
    _emit(_parse(template), rng, out)
    return re.sub(r" +([?.!,])", r"\1", re.sub(r"  +", " ", "".join(out))).strip()


def _fill(text: str, slots: dict[str, object]) -> str:
    return re.sub(r"\{([a-z_0-9]+)\}", lambda m: str(slots[m.group(1)]), text)


_PREFIXES = (
    "hey, ",
    "hey ",
    "hi, ",
    "um, ",
    "um ",
    "so, ",
    "so ",
    "ok, ",
    "ok so ",
    "well, ",
    "quick question: ",
    "another question: ",
    "please ",
    "now ",
    "and ",
    "i have a question. ",
    "question: ",
    "one more thing: ",
    "oh, ",
    "alright, ",
    "okay, ",
    "hmm, ",
    "hello, ",
    "microgpt, ",
    "sorry, ",
    "excuse me, ",
    "say, ",
    "next: ",
    "and now: ",
    "by the way, ",
    "btw ",
    "just curious, ",
    "let me ask: ",
    "tell me, ",
    "dear microgpt, ",
    "great, ",
    "cool. ",
    "thanks! ",
    "nice. ",
    "right, ",
    "hi microgpt, ",
    "also, ",
    "one question, ",
    "wait, ",
    "be honest, ",
)
_SUFFIXES = (
    ", please",
    " please",
    " pls",
    " plz",
    ", thanks",
    " thanks",
    ", thank you",
    " if you know",
    ", do you know",
    " my friend",
    ", microgpt",
    ", buddy",
    " again",
    ", i forgot",
    " now",
    ", can you tell me",
    ", any idea",
    " then",
    ", quick",
    " for me",
    " if you can",
    ", little one",
    ", little bot",
    ", little model",
    ", mate",
    ", dear",
    " today",
    ", my dear",
    " please",
)


_LEAD_INS = (
    "could you tell me ", "can you tell me ", "please tell me ", "do you know ", "do you happen to know ", "tell me, ",
    "i would like to know ", "i wonder ", "would you know ", "remind me, ", "can you say ", "i forgot, ", "say, ",
    "let me know ", "any idea ", "i was wondering ", "who knows ", "my son asks ", "for school: ",
)  # fmt: skip


def _typo(word: str, rng: random.Random) -> str:
    """The word with two letters swapped, one dropped or one doubled; its first letter stays."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


def _wrap(text: str, rng: random.Random) -> str:
    """The sentence with, now and then, a filler before it and a politeness after it."""
    if text.lower().startswith(("what", "which", "who", "how", "where")) and rng.random() < 0.1:
        text = rng.choice(_LEAD_INS) + text[0].lower() + text[1:]
    if rng.random() < 0.2:
        head = text if text[:2] in ("I ", "I'") or text[0] == "{" else text[0].lower() + text[1:]
        text = rng.choice(_PREFIXES) + head
    if rng.random() < 0.1:
        end = text[-1] if text[-1] in "?.!" else ""
        text = text.rstrip("?.!") + rng.choice(_SUFFIXES) + end
    return text


def _noise(text: str, rng: random.Random, typo_rate: float) -> str:
    """The sentence as somebody in a hurry types it; placeholders come through untouched."""
    if rng.random() < typo_rate:
        words = text.split(" ")
        places = [i for i, w in enumerate(words) if len(w) >= 4 and w.isalpha()]
        if places:
            at = rng.choice(places)
            words[at] = _typo(words[at], rng)
            text = " ".join(words)
    if rng.random() < 0.25:
        text = text.replace("'", "")
    ending = rng.random()
    if ending < 0.35:
        text = text.rstrip("?.!")
    elif ending < 0.38:
        text += text[-1] if text[-1] in "?!" else ""
    if rng.random() < 0.08:
        text = text.replace(",", "")
    return text


def _sentence_case(text: str) -> str:
    text = re.sub(r"\bi\b(?=['m ]|$)", "I", text)
    return text if text[:1] == "{" else text[:1].upper() + text[1:]


def say(
    rng: random.Random,
    template: str,
    *,
    wrap: bool = True,
    verbatim: bool = False,
    typo_rate: float = 0.07,
    **slots: object,
) -> str:
    """One message of a user: an expanded template with fillers, typos, case and punctuation varied.

    With `verbatim` the slot values keep their case whatever becomes of the sentence (values that are repeated
    back later must not change in between).
    """
    text = _skeleton(template, rng)
    if wrap:
        text = _wrap(text, rng)
    text = _noise(text, rng, typo_rate)
    style = rng.random()
    if style < 0.5:
        return _fill(_sentence_case(text), slots)
    change = str.upper if style > 0.98 else str.lower
    text = re.sub(r"[^{}]+(?![^{]*\})", lambda m: change(m.group(0)), text)
    return _fill(text, slots if verbatim else {k: change(str(v)) for k, v in slots.items()})


def join_words(words: list[str], last: str = "and") -> str:
    """The words as a spoken list: "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def capitalised(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def words(text: str) -> tuple[str, ...]:
    """The items of a list written as one text: between commas where it has any, else between spaces."""
    return tuple(" ".join(item.split()) for item in text.split("," if "," in text else None))
