"""Whole conversations: topics mixed over one to eight turns, with follow-ups, double questions and memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from . import creative, fact_talk, memory, small_talk
from .exchange import Exchange
from .grammar import say
from .holdout import HeldOut
from .unknown import unknown

Build = Callable[[random.Random], Exchange]

MAX_TURNS = 8
_TURNS_WEIGHTS = (30, 20, 16, 12, 9, 6, 4, 3)  # how often a conversation has 1, 2, ... turns


def _small(topic: str) -> Build:
    return lambda rng: small_talk.build(topic, rng)


BUILDERS: dict[str, tuple[float, Build]] = {  # topic -> its weight per turn and its builder
    "sums": (11, fact_talk.sums),
    "capitals": (9, fact_talk.capitals),
    "opposites": (10, fact_talk.opposites),
    "colours": (9, fact_talk.colours),
    "animals": (9, fact_talk.animals),
    "days and months": (11, fact_talk.days_months),
    small_talk.GREETING: (6, _small(small_talk.GREETING)),
    small_talk.FAREWELL: (5, _small(small_talk.FAREWELL)),
    small_talk.SELF: (9, _small(small_talk.SELF)),
    small_talk.LIKES: (9, _small(small_talk.LIKES)),
    small_talk.CHAT: (7, _small(small_talk.CHAT)),
    "jokes": (3, creative.jokes),
    "poems": (3, creative.poems),
    "stories": (3, creative.stories),
    "suggesting names": (5, creative.names),
    memory.TOPIC: (10, memory.echo),
    "don't know": (17, unknown),
}
_TOPICS = list(BUILDERS)
_WEIGHTS = [weight for weight, _ in BUILDERS.values()]
_FACT_TOPICS = ("sums", "capitals", "opposites", "colours", "animals", "days and months")
FOLLOW_UPS: dict[str, Build] = {
    "sums": fact_talk.sums_follow,
    "capitals": fact_talk.capitals_follow,
    "opposites": fact_talk.opposites_follow,
    "colours": fact_talk.colours_follow,
    "jokes": creative.jokes_follow,
    "poems": creative.poems_follow,
    "stories": creative.stories_follow,
}
_QUIZ: tuple[tuple[str, str, str], ...] = (  # what the model's question contains, the answer, the fact
    ("opposite of hot", "cold", "The opposite of hot is cold."),
    ("does a cow say", "moo", "A cow says moo!"),
    ("what is 3 + 4", "7", "3 + 4 = 7."),
)


class Writer:
    """Writes conversations from one random stream, leaving out every held-out wording.

    memory_share: of the conversations, those in which something is told and asked back. long_share: those that go on
    for most of a context of 512 tokens, with things told and asked back all along.
    """

    def __init__(
        self, rng: random.Random, held_out: HeldOut, memory_share: float = 0.3, long_share: float = 0.0
    ) -> None:
        self._rng = rng
        self._long_share = long_share
        self._memory_share = memory_share
        self._held_out = held_out
        self.skipped = 0

    def conversations(self, count: int) -> Iterator[list[Exchange]]:
        """Yields `count` conversations, one after the other."""
        for _ in range(count):
            kind = self._rng.random()
            if kind < self._memory_share:
                yield self._memory_talk()
            else:
                yield self._long_talk() if kind < self._memory_share + self._long_share else self._mixed_talk()

    def _allowed(self, build: Callable[[], Exchange]) -> Exchange:
        """The first exchange built whose message is not held out."""
        for _ in range(1000):
            exchange = build()
            if not self._held_out.contains(exchange.user):
                return exchange
            self.skipped += 1
        raise RuntimeError("a builder makes held-out wordings only: change the held-out prompt or the templates")

    def _turn(self, topic: str | None = None) -> Exchange:
        topic = topic or self._rng.choices(_TOPICS, _WEIGHTS)[0]
        build = BUILDERS[topic][1]
        return self._allowed(lambda: build(self._rng))

    def _mixed_talk(self) -> list[Exchange]:
        """Turns of any topic; nothing about the user is known, so memory questions are answered with that."""
        rng = self._rng
        length = rng.choices(range(1, MAX_TURNS + 1), _TURNS_WEIGHTS)[0]
        turns: list[Exchange] = []
        if length > 1 and rng.random() < 0.2:
            turns.append(self._turn(small_talk.GREETING))
        while len(turns) < length:
            turns.extend(self._segment(memory.Told()))
        if length > 2 and rng.random() < 0.15:
            turns.append(self._turn(small_talk.FAREWELL))
        return turns[: MAX_TURNS + 1]

    def _memory_talk(self) -> list[Exchange]:
        """Something is told, up to four turns pass, it is asked back; perhaps corrected and asked again."""
        rng = self._rng
        told = memory.Told()
        turns = [self._turn() for _ in range(rng.choices((0, 1, 2), (6, 3, 1))[0])]
        for _ in range(rng.choices((1, 2), (7, 3))[0]):
            before = dict(told.values)
            if rng.random() < 0.15:
                turns.append(self._told(told, lambda: memory.tell_two(rng, told)))
            else:
                turns.append(self._told(told, lambda: memory.tell(rng, told)))
            new = [kind for kind, value in told.values.items() if before.get(kind) != value]
            for _ in range(rng.choices((0, 1, 2, 3, 4), (40, 25, 17, 11, 7))[0]):
                turns.append(self._turn())
            kind = rng.choice(new) if new and rng.random() < 0.85 else rng.choice(memory.KINDS[:3])
            turns.append(self._allowed(lambda kind=kind: memory.ask(rng, told, kind)))
        return turns[: MAX_TURNS + 2]

    def _long_talk(self) -> list[Exchange]:
        """Eight to seventeen turns of any topic; what was told stays told to the end."""
        rng = self._rng
        told = memory.Told()
        turns: list[Exchange] = []
        length = rng.randint(8, 17)
        while len(turns) < length:
            kind = rng.random()
            if kind < 0.12:
                turns.append(self._told(told, lambda: memory.tell(rng, told)))
            elif kind < 0.24:
                known = rng.choice([*told.values, *memory.KINDS[:2]])
                turns.append(self._allowed(lambda known=known: memory.ask(rng, told, known)))
            else:
                turns.extend(self._segment(told))
        return turns

    def _told(self, told: memory.Told, build: Callable[[], Exchange]) -> Exchange:
        """A telling whose message is not held out; a skipped one leaves no trace in `told`."""
        before = dict(told.values)

        def rebuild() -> Exchange:
            told.values = dict(before)
            return build()

        return self._allowed(rebuild)

    def _segment(self, told: memory.Told) -> list[Exchange]:
        """One exchange with what may hang on it: a follow-up, a second question, a quiz answer, a knock-knock joke."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.06:
            return [self._double()]
        if kind < 0.09:
            return [self._allowed(lambda: memory.ask(rng, told, rng.choices(memory.KINDS, (8, 6, 1, 1, 1, 1))[0]))]
        if kind < 0.095:
            return [turn for turn in creative.knock_knock(rng) if not self._held_out.contains(turn.user)]
        if kind < 0.11:
            first = self._allowed(lambda: fact_talk.sound_question(rng))
            return [first, self._allowed(lambda: fact_talk.animals_follow(rng))]
        first = self._turn()
        quiz = next((q for q in _QUIZ if q[0] in first.reply), None) if first.topic == small_talk.CHAT else None
        if quiz:
            return [first, self._allowed(lambda: self._quiz_answer(*quiz[1:]))]
        if first.topic == "suggesting names" and rng.random() < 0.2:
            bearer = first.reply.split(",")[0].split(" ", 2)[2]  # "For a dragon, ..."
            return [first, self._allowed(lambda: creative.names_follow(rng, bearer))]
        follow = FOLLOW_UPS.get(first.topic)
        if follow and rng.random() < 0.15:
            return [first, self._allowed(lambda: follow(rng))]
        return [first]

    def _double(self) -> Exchange:
        """Two questions in one message, answered one after the other."""
        rng = self._rng
        a, b = (self._turn(topic) for topic in rng.choices(_FACT_TOPICS, k=2))
        if rng.random() < 0.25:
            a = self._turn(small_talk.GREETING)
        if a.user[-1] in "?.!":
            joint = rng.choice((" ", " ", " And ", " and "))
        else:
            joint = rng.choice((" and ", ", ", ". ", "? ", ", and "))
        second = b.user if joint.strip() in ("", "?", ".") else b.user[0].lower() + b.user[1:]
        both = Exchange(b.topic, f"{a.user}{joint}{second}", f"{a.reply} {b.reply}")
        return b if self._held_out.contains(both.user) else both

    def _quiz_answer(self, answer: str, fact: str) -> Exchange:
        rng = self._rng
        right = rng.random() < 0.6
        wrong = rng.choice([w for w in ("warm", "woof", "6", "8", "blue", "dog", "no", "baa") if w != answer])
        user = say(rng, "{x}[!]|it is {x}|{x}, i think|i think {x}|i say {x}", wrap=False, x=answer if right else wrong)
        return Exchange(small_talk.CHAT, user, f"That is right! {fact}" if right else f"Not quite. {fact}")
