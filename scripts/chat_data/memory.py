"""What the user tells about themselves and asks back: name, likes, age, colour, pet, city.

Values come from large pools and from made-up words, so that the only way to answer is to copy them from the
conversation. Replies repeat a value exactly as it was typed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from . import facts
from .creative import BOYS, GIRLS, PETS, THINGS, synthetic_name
from .exchange import Exchange
from .grammar import capitalised, say, words
from .unknown import OTHER_CITIES, OTHER_COUNTRIES

TOPIC = "memory"

_MORE_NAMES: tuple[str, ...] = words(
    "Abby Adele Agnes Ahmed Aisha Akira Alan Albert Alina Amelia Amir Andrea Andy Angela "
    "Anton Aria Astrid Audrey Aurora Ava Axel Ayla Barbara Bea Beth Bill Bob Boris Brian "
    "Bridget Camila Carla Carmen Caspar Cathy Cecil Celine Charles Chen Chloe Chris Claire "
    "Claude Colin Connor Cora Cyrus Dan Dana Dario Dave Deb Dennis Diego Dina Dora Doris "
    "Dylan Edgar Edith Edward Elena Elias Elinor Elisa Eliza Elliot Emilia Enzo Erin Esther "
    "Ethan Eugene Eve Fatima Fiona Flora Florian Frank Frederick Gabriel Gary Gina Giulia "
    "Gloria Gordon Graham Hana Hans Hassan Helen Helga Hiro Hope Howard Ibrahim Igor Ines "
    "Ingrid Irene Isaac Isabel Ivan Jan Janet Jason Jean Jenny Jeremy Jim Joan Joe John "
    "Jordan Josh Joy Juan Judy Julian June Kamal Karen Karl Kathy Keith Ken Kenji Kevin Kim "
    "Klara Lara Larry Laura Lea Lena Lewis Li Linda Lionel Lisa Lorenzo Louis Louise Lucas "
    "Lukas Lydia Mabel Magda Marco Marcus Margaret Marie Marta Mary Mateo Matt Maud Megan Mei "
    "Michael Mika Mike Mina Miriam Mohammed Mona Nadia Nancy Naomi Natalie Nathan Neil Nico "
    "Nigel Nora Norman Olga Oliver Omar Pablo Patrick Pedro Penny Petra Phil Philip Priya "
    "Rachel Rafael Ravi Rebecca Rita Robert Roger Rosa Ross Roy Rupert Ruth Sally Samir "
    "Sandra Sasha Scott Sean Selma Shirley Sid Silvia Sonja Sophie Stan Steve Sue Susan Sven "
    "Sylvia Tamara Tanya Tariq Tara Ted Thomas Tim Tobias Tony Tracy Ulla Ursula Valerie "
    "Vanessa Vincent Viola Walter Wanda Wei Wolfgang Xavier Yara Yasmin Yuki Yusuf Yvonne "
    "Zahra Zara"
)
NAMES: tuple[str, ...] = tuple(sorted({*GIRLS, *BOYS, *_MORE_NAMES}))

_LIKED = """dogs, cats, horses, rabbits, birds, frogs, owls, bees, ducks, lions, tigers, bears, whales, sharks, snakes,
spiders, butterflies, penguins, pandas, foxes, mice, hamsters, fish, dinosaurs, dragons, unicorns, robots,
trains, cars, planes, boats, bikes, rockets, computers, books, comics, stories, poems, jokes, songs, films,
movies, music, jazz, rock music, football, tennis, basketball, hockey, golf, chess, puzzles, card games, board
games, video games, swimming, running, walking, hiking, cycling, dancing, singing, reading, writing, drawing,
painting, cooking, baking, gardening, fishing, camping, skiing, sailing, climbing, sewing, knitting,
photography, travelling, sleeping, the sea, the beach, the moon, the stars, the sun, the rain, snow, summer,
winter, autumn, mountains, rivers, forests, flowers, roses, trees, gardens, pizza, pasta, soup, cheese, bread,
cake, chocolate, ice cream, cookies, apples, bananas, cherries, strawberries, oranges, grapes, honey, tea,
coffee, milk, lemonade, juice, rice, noodles, potatoes, carrots, salad, eggs, toast, popcorn, maths, science,
history, art, school, numbers, colours, languages, maps, castles, pirates, magic, puppets, dolls, teddy bears,
balloons, kites, candles, clocks, stamps, coins, stones, shells, hats, shoes, the colour blue, the night, old
houses, big cities, long walks, quiet evenings, loud music, warm socks, fresh air, thunder, fireworks,
birthdays, parties, weekends, holidays, my family, my friends, my garden"""
LIKED: tuple[str, ...] = tuple(x.strip() for x in _LIKED.replace("\n", " ").split(","))
_LIKED_WORDS: tuple[str, ...] = tuple(w for w in LIKED if " " not in w)
_ADJECTIVES = words(
    "red blue green yellow old new big small tiny funny loud quiet warm cold sweet wild "
    "strange shiny fast slow soft fluffy wooden paper golden silver sour spicy fresh dark "
    "bright round"
)
_NOUNS = words(
    "cats dogs hats trains boats books songs maps stones shells cakes pies apples plums "
    "clocks bells drums flutes kites toys cars bikes lamps doors birds bugs leaves clouds "
    "stars games films shoes socks beans nuts"
)
CITIES: tuple[str, ...] = (
    *facts.COUNTRY_OF_CAPITAL,
    *words(
        "Bristol Leeds York Hamburg Munich Milan Naples Lyon Porto Seville Chicago Boston Denver "
        "Dallas Seattle Toronto Mumbai Osaka Perth Sydney Glasgow Cardiff Ghent Basel Graz Turin "
        "Nice Oxford Bath Kyoto Lima Quito Dubai Doha Lagos Accra"
    ),
)

KINDS: tuple[str, ...] = ("name", "like", "age", "colour", "pet", "city")


@dataclass
class Told:
    """What the user has said so far in this conversation; the builders below write to it."""

    values: dict[str, str] = field(default_factory=dict)


def blend(rng: random.Random, pool: tuple[str, ...]) -> str:
    """The beginning of one word and the end of another: spelled as words are, but new."""
    first, second = rng.choice(pool), rng.choice(pool)
    return first[: rng.randint(2, max(2, len(first) - 1))] + second[min(len(second) - 2, rng.randint(1, 4)) :].lower()


_LETTERS_OF: tuple[str, ...] = tuple(
    word.lower()
    for text in (*NAMES, *LIKED, *THINGS, *OTHER_COUNTRIES, *OTHER_CITIES, *facts.OPPOSITES, *facts.COLOUR_OF)
    for word in text.split()
    if len(word) >= 4 and word.isalpha()
)


def scramble(rng: random.Random) -> str:
    """A word of two or three pieces from the middle of other words.

    Any two pieces may meet, so that nothing but copying it from the conversation can spell it.
    """
    pieces: list[str] = []
    for _ in range(rng.choice((2, 2, 3))):
        word = rng.choice(_LETTERS_OF)
        length = rng.randint(2, 4)
        start = rng.randint(0, len(word) - length)
        pieces.append(word[start : start + length])
    return "".join(pieces)


def random_name(rng: random.Random) -> str:
    """A real or made-up name, now and then typed in lower or upper case."""
    kind = rng.random()
    if kind < 0.5:
        name = rng.choice(NAMES) if kind < 0.3 else synthetic_name(rng)
    else:
        name = blend(rng, NAMES) if kind < 0.75 else capitalised(scramble(rng))
    case = rng.random()
    return name.lower() if case < 0.15 else name.upper() if case < 0.17 else name


def _random_like(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(LIKED)
    if kind < 0.6:
        noun = rng.choice(_NOUNS) if rng.random() < 0.5 else blend(rng, _LIKED_WORDS)
        return f"{rng.choice(_ADJECTIVES)} {noun}"
    word = blend(rng, _LIKED_WORDS) if rng.random() < 0.4 else scramble(rng)
    return word if rng.random() < 0.5 else word + rng.choice(("s", "ing", " music", " games", " cakes", "ball"))


def _value(kind: str, rng: random.Random) -> str:
    if kind == "name":
        return random_name(rng)
    if kind == "like":
        return _random_like(rng)
    if kind == "age":
        return str(rng.randint(4, 90))
    if kind == "colour":
        return rng.choice(
            (*facts.COLOURS, "turquoise", "violet", "gold", "silver", "beige", "dark green", "light blue", "lilac")
        )
    if kind == "pet":
        return rng.choice(rng.choice(list(PETS.values()))) if rng.random() < 0.5 else synthetic_name(rng)
    return rng.choice(CITIES) if rng.random() < 0.7 else synthetic_name(rng)


_TELL: dict[str, str] = {
    "name": "{v} is my name|the name i go by is {v}|everyone here calls me {v}|my mother (calls|"
    "named) me {v}|"
    "i was given the name {v}|i have the name {v}|they named me {v}|you are talking to "
    "{v}|my nickname is {v}|"
    "(folks|people|friends) know me as {v}|my name is {v}, by the way|"
    "my name is {v}|my name's {v}|i am {v}|i'm {v}|i am called {v}|call me {v}|you can "
    "call me {v}|(hi|hello|hey), (i'm|i am|my name is) {v}|this is {v}|(people|they|"
    "friends|everyone) call[s] me {v}"
    "|the name is {v}|name's {v}|my first name is {v}|it's {v}|please call me {v}|(hi|"
    "hello), {v} here|just call me {v}|i go by {v}|i'm named {v}|my friends call me {v}|"
    "(hello|hi), it's {v}|allow me to introduce myself: {v}"
    "|let me introduce myself, i'm {v}|remember my name: {v}|my name is {v}, what is "
    "yours?|i'm {v}, and you?|by the way, i'm {v}|good morning, i am {v}|remember that (i "
    "am|my name is) {v}|name: {v}|i was named {v}",
    "like": "i am (interested in|mad about|keen on) {v}|i (do|quite|simply|just|always) (like|"
    "love|enjoy) {v}|"
    "{v} (is|are) (what|something|a thing) i (really |)(like|love|enjoy)|my favourite "
    "thing is {v}|i like {v} more than the rest|"
    "what i (love|enjoy) (most|best) is {v}|(on weekends|in summer|at home|after work|in "
    "the evening) i (like|enjoy|love) {v}|"
    "i like {v}|i love {v}|i really like {v}|i like {v} a lot|i like {v} very much|i "
    "enjoy {v}|i am (a fan of|into|fond of|crazy about) {v}|what i like is {v}|i adore "
    "{v}|i'm a big fan of {v}|{v} (are|is) my favourite thing|i like {v} most|i like {v} "
    "best"
    "|you know, i like {v}|remember that i like {v}|my hobby is {v}|i like {v}, and you?|"
    "i like {v}, do you?|the thing i like (most|best) is {v}|i absolutely love {v}|i've "
    "always liked {v}|one thing i like is {v}|nothing beats {v}|{v} make[s] me happy",
    "age": "i am {v}[ years old]|i'm {v}[ years old]|my age is {v}|i just turned {v}|i am {v} "
    "years old|i turned {v} today|i'm {v} now|i am a {v} year old",
    "colour": "my <favourite> <colour> is {v}|i like the <colour> {v}[ best]|{v} is my <favourite> "
    "<colour>|the <colour> i like (most|best) is {v}|my <favourite> is {v}, the <colour>|"
    "for me the best <colour> is {v}",
    "pet": "my (dog|cat|pet|hamster|rabbit) is (called|named) {v}|i have a (dog|cat|pet|rabbit|"
    "parrot) (called|named) {v}|my (dog|cat|pet|hamster|fish)'s name is {v}|my pet is {v}|"
    "the name of my (dog|cat|pet) is {v}",
    "city": "i live in {v}|i'm from {v}|i am from {v}|my home is {v}|i come from {v}|my city is "
    "{v}|my town is {v}|i am living in {v}|i was born in {v}|greetings from {v}",
}

_ASK: dict[str, str] = {
    "name": "what('s| is) my name?|what is my name?|do you (remember|know) my name?|who am i?|"
    "what('s| is) my name again?|my name is?|tell me my name|can you tell me my name?|"
    "what (am i called|did i say my name was|do you call me|was my name)?|do you know who "
    "i am?|so, what is my name?"
    "|what name did i (tell|give) you?|remember my name?|say my name|what did i tell you "
    "my name (was|is)?|you remember my name, right?|how am i called?|and my name?|what "
    "was my name again?|have you forgotten my name?|which name do i have?|what do people "
    "call me?|who is talking to you?|i forgot my name, what is it?|what should you call "
    "me?",
    "like": "what (was|is) my favourite thing?|what do i like (doing|to do)?|what was the thing i "
    "(like|liked)?|which thing did i say i (like|love|enjoy)?|what do i like?|what do i "
    "(love|enjoy|like)?|do you (remember|know) what i like?|"
    "what did i say i like[d]?|tell me what i like|what (was it|is it) (that |)i like?|"
    "what is it i like?|what did i tell you[ that] i like?|so what do i like?|what thing "
    "do i like?|can you tell me what i like?|what do i like[ best| most| again]?|which "
    "thing do i like?|and what do i like?|remember what i like?"
    "|what am i (into|fond of|a fan of)?|name something i like|what did i say i love?|do "
    "you recall what i like?|what are my likes?|say what i like|what kind of thing do i "
    "like?",
    "age": "how old am i?|what('s| is) my age?|do you (remember|know) (my age|how old i am)?|"
    "tell me my age|how old did i say i am?|my age?",
    "colour": "what('s| is) my <favourite> <colour>?|which <colour> do i like[ best]?|do you "
    "(remember|know) my <favourite> <colour>?|my <favourite> <colour>?|what <colour> do i "
    "like?",
    "pet": "what('s| is) my (pet|dog|cat|pet)('s name| called)?|what is the name of my (pet|dog|"
    "cat)?|do you (remember|know) my (pet|dog|cat)'s name?|what did i call my (pet|dog|"
    "cat)?",
    "city": "where do i live?|where am i from?|what is my (city|home|town)?|do you (remember|"
    "know) where i live?|which (city|town) do i live in?|in which (city|town) do i live?",
}

_NOTED: dict[str, tuple[str, ...]] = {
    "name": ("Nice to meet you, {v}!", "Hello {v}, nice to meet you!"),
    "like": ("How nice that you like {v}!", "I will remember that you like {v}."),
    "age": ("So you are {v} years old. I will remember that.",),
    "colour": ("A fine choice! I will remember that you like {v} best.",),
    "pet": ("{v} is a lovely name for a pet!",),
    "city": ("I have heard that {v} is nice!",),
}

RECALLED: dict[str, str] = {
    "name": "Your name is {v}.",
    "like": "You like {v}.",
    "age": "You are {v} years old.",
    "colour": "Your favourite is {v}.",
    "pet": "Your pet is called {v}.",
    "city": "You live in {v}.",
}

NOT_TOLD: dict[str, tuple[str, ...]] = {
    "name": ("You have not told me your name yet. What is it?", "You have not told me your name yet."),
    "like": ("You have not told me yet what you like. Tell me!", "You have not told me yet what you like."),
    "age": ("You have not told me your age yet.",),
    "colour": ("You have not told me your favourite yet.",),
    "pet": ("You have not told me about your pet yet.",),
    "city": ("You have not told me yet where you live.",),
}


def _pick_kind(rng: random.Random) -> str:
    return rng.choices(KINDS, (42, 34, 7, 7, 6, 6))[0]


def tell(rng: random.Random, told: Told, kind: str | None = None) -> Exchange:
    """The user tells something, or corrects it; `told` keeps the value."""
    kind = kind or _pick_kind(rng)
    value = _value(kind, rng)
    template = _TELL[kind]
    reply = rng.choice(_NOTED[kind])
    if kind in told.values and rng.random() < 0.8:
        value_now = {
            "name": "my name is {v}|call me {v}|i am {v}",
            "like": "i like {v}",
            "age": "i am {v}",
            "colour": "my <favourite> <colour> is {v}",
            "pet": "my pet is called {v}",
            "city": "i live in {v}",
        }[kind]
        template = (
            f"(actually|no|sorry|wait|correction|no wait|oh, sorry|i lied|i was joking), "
            f"({value_now})|(actually|in fact|really) ({value_now}), not {{old}}|i mean, "
            f"({value_now})|now ({value_now})"
        )
        reply = {"name": "Oh, then hello {v}!", "like": "All right, so you like {v}."}.get(
            kind, "All right, I will remember {v}."
        )
    user = say(rng, template, wrap=False, verbatim=True, v=value, old=told.values.get(kind, ""))
    shown = capitalised(value) if kind == "pet" and reply.startswith("{v}") else value
    told.values[kind] = value
    if kind == "name" and "yours" in user.lower():
        reply = "Nice to meet you, {v}! My name is microgpt."
    return Exchange(TOPIC, user, reply.replace("{v}", _yours(shown)))


def _yours(value: str) -> str:
    """A value as the model repeats it: the user's "my garden" is "your garden" to the model."""
    return "your" + value[2:] if value.startswith("my ") else value


def tell_two(rng: random.Random, told: Told) -> Exchange:
    """Name and like in one message."""
    name, like = random_name(rng), _random_like(rng)
    told.values["name"], told.values["like"] = name, like
    template = (
        "(my name is|i am|i'm|hi, i'm|hello, my name is|call me) {n}( and|, and|.|,) i (like|"
        "love|really like|enjoy) {v}|i (like|love) {v} and (my name is|i am) {n}"
    )
    user = say(rng, template, wrap=False, verbatim=True, n=name, v=like)
    return Exchange(TOPIC, user, f"Nice to meet you, {name}! How nice that you like {_yours(like)}.")


def ask(rng: random.Random, told: Told, kind: str | None = None) -> Exchange:
    """The user asks something back; the reply is the value told last, or that none was told."""
    kind = kind or _pick_kind(rng)
    if rng.random() < 0.06:
        return _ask_both(rng, told)
    return Exchange(TOPIC, say(rng, _ASK[kind]), _recall(rng, told, kind))


def _recall(rng: random.Random, told: Told, kind: str) -> str:
    value = told.values.get(kind)
    return rng.choice(NOT_TOLD[kind]) if value is None else RECALLED[kind].replace("{v}", _yours(value))


def _ask_both(rng: random.Random, told: Told) -> Exchange:
    template = (
        "what is my name and what do i like?|do you (remember|know) my name and what i like?|"
        "who am i and what do i like?|tell me my name and what i like|what do you (know|"
        "remember) about me?|what have i told you[ about me]?"
    )
    reply = f"{_recall(rng, told, 'name')} {_recall(rng, told, 'like')}"
    return Exchange(TOPIC, say(rng, template), reply)
