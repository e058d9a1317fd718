"""Questions about facts: colours, animals, opposites, the calendar, capitals and sums.

A reply starts with the fact and has few variants, so that sampling at temperature 0.5 cannot wander off it.
"""

from __future__ import annotations

import random
from typing import Any

from . import facts
from .exchange import Exchange
from .grammar import capitalised, join_words, say, words

_Q = "[?]"


def sums(rng: random.Random) -> Exchange:
    """A sum of two operands up to 10, in digits or words; the reply restates it before its result."""
    a, b = rng.randint(0, facts.MAX_OPERAND), rng.randint(0, facts.MAX_OPERAND)
    kind = rng.random()
    if kind < 0.04:
        return _doubled(rng, a)
    if kind < 0.10:
        return _sum_check(rng, a, b)
    if kind < 0.17:
        return _sum_story(rng, a, b)
    return _plain_sum(rng, a, b)


_SUM_TEMPLATES = (
    "<what is> {a} + {b}?",
    "<what is> {a} + {b}?",
    "{a} + {b}",
    "{a} + {b} =",
    "{a} + {b} = ?",
    "{a}+{b}",
    "{a}+{b}=?",
    "{a}+{b}?",
    "{a} plus {b}?",
    "{a} plus {b}",
    "<what is> {a} plus {b}?",
    "<what is> {a} and {b}[ together]?",
    "{a} and {b} (is|makes|make|equals)?",
    "add {a} and {b}",
    "add {a} (to|and) {b}[ for me]",
    "[can you |please ]add [up ]{a} and {b}?",
    "how much is {a} (plus|+|and) {b}?",
    "how much (are|do) {a} and {b}[ make]?",
    "what (do|does) {a} (plus|and|+) {b} (make|equal|give|add up to|come to)?",
    "<what is> the sum of {a} and {b}?",
    "the sum of {a} and {b}?",
    "sum {a} and {b}",
    "calculate {a} + {b}",
    "compute {a} (plus|+) {b}",
    "work out {a} (plus|+) {b}",
    "what (is|do) you get (if|when) you add {a} (and|to) {b}?",
    "if i add {a} (and|to) {b}, what do i get?",
    "{a} added to {b}(?| is?| makes?)",
    "<tell> (what {a} + {b} is|{a} plus {b}|how much {a} plus {b} is|the sum of {a} and {b})",
    "can you (do|solve|work out|calculate) {a} (+|plus) {b}?",
    "(solve|do) {a} (+|plus) {b}",
    "{a} plus {b} (is|equals|makes)?",
    "what does {a} + {b} equal?",
    "{a} + {b} (is|makes|equals) what?",
    "{a} plus {b} is (how much|what)?",
    "let's add {a} and {b}",
    "put {a} and {b} together",
    "how many is {a} (and|plus|+) {b}?",
    "<what is> the (answer|result) (of|to|for) {a} (+|plus) {b}?",
    "what's the total of {a} and {b}?",
    "(my homework says|my teacher asked me for|maths:|math:|sum:) {a} (+|plus) {b}",
    "i need to know {a} (+|plus) {b}",
    "what number is {a} (+|plus) {b}?",
    "(do you know|can you tell me) what {a} (+|plus|and) {b} (is|makes)?",
    "count {a} and {b} together",
    "{a} and {b} more?",
    "increase {a} by {b}",
    "what is {b} more than {a}?",
    "{a} & {b}?",
    "total of {a} and {b}",
)


def _operands(rng: random.Random, a: int, b: int) -> tuple[str, str]:
    if rng.random() < 0.3:
        return facts.NUMBER_WORDS[a], facts.NUMBER_WORDS[b]
    return str(a), str(b)


def sum_reply(a: int, b: int) -> str:
    """The sum restated with its result: "3 + 4 = 7"."""
    return f"{a} + {b} = {a + b}"


def _plain_sum(rng: random.Random, a: int, b: int, templates: tuple[str, ...] = _SUM_TEMPLATES) -> Exchange:
    template = rng.choice(templates)
    x, y = _operands(rng, a, b)
    user = say(rng, template, a=x, b=y)
    if template.startswith("what is {b} more"):
        a, b = b, a  # restated in the order of reading, which a small model copies more surely
    return Exchange("sums", user, f"{sum_reply(a, b)}.")


def _doubled(rng: random.Random, a: int) -> Exchange:
    x = rng.choice((str(a), facts.NUMBER_WORDS[a]))
    user = say(rng, "(<what is> double {a}?|double {a}|<what is> twice {a}?|<what is> {a} plus itself?)", a=x)
    return Exchange("sums", user, f"{sum_reply(a, a)}.")


def _sum_check(rng: random.Random, a: int, b: int) -> Exchange:
    claimed = a + b if rng.random() < 0.5 else max(0, a + b + rng.choice((-3, -2, -1, 1, 2, 3)))
    template = (
        "(is|does) {a} (+|plus) {b} (equal to|equal|=|really) {c}?|{a} + {b} = {c}, (right|"
        "correct|is that right|true or false|yes or no)?"
    )
    user = say(rng, template, a=a, b=b, c=claimed)
    verdict = "so that is right" if claimed == a + b else "so that is not right"
    return Exchange("sums", user, f"{sum_reply(a, b)}, {verdict}.")


def _sum_story(rng: random.Random, a: int, b: int) -> Exchange:
    things = rng.choice(words("apples sweets pens books marbles coins cookies eggs stickers balls flowers cards"))
    template = (
        "(i have|i've got|there are|tom has|anna has|we have) {a} {things} and (get|find|"
        "buy|add|we add|i am given) {b} more[ {things}]. "
        "(how many|how many {things}) (is that|are there now|altogether|in all|do i have|"
        "in total|now)?|"
        "{a} {things} (plus|and|+) {b} {things}(, how many in all?| makes how many?|?| is "
        "how many {things}?)|"
        "if (you|i) have {a} {things} and (i give you|get|you get|buy) {b} more, how many "
        "(do you have|is that|are there)?"
    )
    x, y = _operands(rng, a, b)
    return Exchange("sums", say(rng, template, a=x, b=y, things=things), f"{sum_reply(a, b)}, so {a + b} {things}.")


def sums_follow(rng: random.Random) -> Exchange:
    """A second sum asked in short form."""
    a, b = rng.randint(0, facts.MAX_OPERAND), rng.randint(0, facts.MAX_OPERAND)
    templates = (
        "and {a} (+|plus|and) {b}?",
        "what about {a} (+|plus|and) {b}?",
        "how about {a} (+|plus) {b}?",
        "now {a} (+|plus) {b}",
        "then {a} + {b}?",
        "ok, {a} + {b}?",
    )
    return _plain_sum(rng, a, b, templates)


_CAPITAL_TEMPLATES = (
    "<what is> the capital (of|city of) {x}?",
    "<what is> {x}'s capital[ city]?",
    "<tell> the capital of {x}",
    "capital of {x}?",
    "the capital of {x}?",
    "{x} capital?",
    "what city is the capital of {x}?",
    "which city is the capital of {x}?",
    "<tell> (what|which city) the capital of {x} is",
    "name the capital of {x}",
    "do you know the capital (of|city of) {x}?",
    "<give> the capital of {x}",
    "what's the name of the capital of {x}?",
    "i forgot the capital of {x}",
    "{x}: capital?",
    "which city is {x}'s capital?",
    "what is the main city of {x}, the capital?",
    "what do you call the capital of {x}?",
    "what capital does {x} have?",
    "i need the capital of {x}",
    "what city is capital of {x}?",
    "for {x}, what is the capital?",
    "can you name {x}'s capital?",
    "where is the capital of {x}?",
    "is there a capital of {x}?",
    "the capital city of {x} is?",
    "{x} has which capital?",
    "help me with the capital of {x}",
    "in {x}, what is the capital city?",
    "{x}'s capital is?",
)
_COUNTRY_TEMPLATES = (
    "what country is {x} the capital of?",
    "{x} is the capital of (what|which country|what country)?",
    "which country has {x} as its capital?",
    "{x} is the capital of?",
    "what country has [the capital ]{x}[ as its capital]?",
    "of (which|what) country is {x} the capital?",
    "which country's capital is {x}?",
    "<tell> what country {x} is the capital of",
    "what is {x} the capital of?",
    "which country is {x} the capital of?",
    "whose capital is {x}?",
    "(what|which) country is {x} in?",
    "where is {x}?",
    "in (what|which) country is {x}?",
    "{x} is in (which|what) country?",
    "{x} is the capital city of which country?",
    "to which country does {x} belong?",
    "where can i find {x}?",
)


def capital_reply(country: str) -> str:
    """The sentence that states a country's capital."""
    return f"The capital of {country} is {facts.CAPITALS[country]}."


def _spoken_country(rng: random.Random) -> tuple[str, str]:
    country = rng.choice(list(facts.CAPITALS))
    names = (country, country, *facts.COUNTRY_ALIASES.get(country, ()))
    return country, rng.choice(names)


def _named_capital(country: str, spoken: str) -> str:
    return f"The capital of {spoken} is {facts.CAPITALS[country]}."


def capitals(rng: random.Random) -> Exchange:
    """A capital asked by country, a country asked by capital, or a claim to check."""
    country, spoken = _spoken_country(rng)
    kind = rng.random()
    if kind < 0.6:
        return Exchange("capitals", say(rng, rng.choice(_CAPITAL_TEMPLATES), x=spoken), _named_capital(country, spoken))
    city = facts.CAPITALS[country]
    if kind < 0.9:
        return Exchange(
            "capitals", say(rng, rng.choice(_COUNTRY_TEMPLATES), x=city), f"{city} is the capital of {country}."
        )
    claimed = city if rng.random() < 0.5 else rng.choice(list(facts.COUNTRY_OF_CAPITAL))
    template = (
        "(is|isn't) {c} the capital of {x}?|{c} is the capital of {x}, (right|correct|isn't "
        "it)?|is the capital of {x} {c}?"
    )
    user = say(rng, template, c=claimed, x=country)
    # The fact comes before the verdict: a small model computes left to right.
    return Exchange("capitals", user, f"{capital_reply(country)[:-1]}, so {'yes' if claimed == city else 'no'}.")


def capitals_follow(rng: random.Random) -> Exchange:
    """The next country asked by name alone."""
    country, spoken = _spoken_country(rng)
    user = say(rng, "(and|what about|how about|and for|and of|and what about|now) {x}?", wrap=False, x=spoken)
    return Exchange("capitals", user, _named_capital(country, spoken))


_OPPOSITE_TEMPLATES = (
    "<what is> the opposite of {x}?",
    "<what is> the opposite of {x}?",
    "opposite of {x}?",
    "the opposite of {x}",
    "{x} opposite",
    "<tell> the opposite of {x}",
    "<give> the opposite of {x}",
    "what's the (opposite|contrary|reverse) of {x}?",
    "what is {x}'s opposite?",
    "what word is the opposite of {x}?",
    "which word is the opposite of {x}?",
    "what is the opposite word (of|for|to) {x}?",
    "name the opposite of {x}",
    "what word means the opposite of {x}?",
    "{x} is the opposite of (what|which word)?",
    "do you know the opposite of {x}?",
    "the opposite of {x} is?",
    "i need the opposite of {x}",
    "what would be the opposite of {x}?",
    "what (do you call|is) the opposite of {x}?",
    "antonym of {x}?",
    "<what is> (an|the) antonym (of|for) {x}?",
    "if it is not {x}, it is?",
    "not {x} but?",
    "what's the other end of {x}, the opposite?",
    "<tell> what the opposite of {x} is",
    "find the opposite of {x}",
    "can you name the opposite of {x}?",
    "what is opposite to {x}?",
    "give an opposite for {x}",
    "opposites: {x}",
    "{x} and its opposite?",
    "which word is opposite to {x}?",
    "opposite word: {x}",
    "how do you say the opposite of {x}?",
    "what's the reverse of {x}?",
    "i am looking for the opposite of {x}",
)


def opposite_reply(word: str) -> str:
    """The sentence that states a word's opposite."""
    return f"The opposite of {word} is {facts.OPPOSITES[word]}."


def opposites(rng: random.Random) -> Exchange:
    """The opposite of a word, the word sometimes in quotes."""
    word = rng.choice(list(facts.OPPOSITES))
    quote = rng.choice(("", "", "", "", '"', "'"))
    return Exchange(
        "opposites", say(rng, rng.choice(_OPPOSITE_TEMPLATES), x=f"{quote}{word}{quote}"), opposite_reply(word)
    )


def opposites_follow(rng: random.Random) -> Exchange:
    """The next word asked alone."""
    word = rng.choice(list(facts.OPPOSITES))
    user = say(rng, "(and|what about|how about|and of|and for|and the opposite of) {x}?", wrap=False, x=word)
    return Exchange("opposites", user, opposite_reply(word))


_MANY_THINGS = {
    "grass",
    "butter",
    "mustard",
    "sweetcorn",
    "broccoli",
    "spinach",
    "lettuce",
    "moss",
    "blood",
    "ketchup",
    "snow",
    "milk",
    "salt",
    "rice",
    "flour",
    "paper",
    "coal",
    "tar",
    "ink",
    "liquorice",
    "chocolate",
    "coffee",
    "wood",
    "mud",
    "soil",
    "toast",
    "bubblegum",
    "cotton candy",
    "lavender",
    "ash",
    "stone",
    "concrete",
}


def _spoken_thing(rng: random.Random, thing: str) -> tuple[str, str, str]:
    """The thing as a user may put it, with the verb form that fits and the reply's subject."""
    if thing in _MANY_THINGS or thing.startswith("the "):
        return thing, "is", capitalised(thing)
    noun = thing.split(" ", 1)[1]
    special = {
        "cherry": "cherries",
        "strawberry": "strawberries",
        "raspberry": "raspberries",
        "ladybird": "ladybirds",
        "leaf": "leaves",
        "blueberry": "blueberries",
        "canary": "canaries",
        "mouse": "mice",
        "tooth": "teeth",
        "ruby": "rubies",
        "fox": "foxes",
        "cactus": "cactuses",
        "tomato": "tomatoes",
        "potato": "potatoes",
    }
    if rng.random() < 0.4:
        plural = special.get(noun, noun + "s")
        return plural, "are", capitalised(plural)
    return thing, "is", capitalised(thing)


def colour_reply(subject: str, verb: str, thing: str) -> str:
    """The sentence that states a thing's colour."""
    return f"{subject} {verb} {facts.COLOUR_OF[thing]}."


def colours(rng: random.Random) -> Exchange:
    """The colour of a thing, a thing of a colour, a mixture, the rainbow."""
    kind = rng.random()
    if kind < 0.55:
        thing = rng.choice(list(facts.COLOUR_OF))
        spoken, verb, subject = _spoken_thing(rng, thing)
        template = (
            f"what <colour> {verb} {{x}}?|which <colour> {verb} {{x}}?|what is the "
            f"<colour> of {{x}}?|<colour> of {{x}}?|<tell> the <colour> of {{x}}"
            f"|<tell> what <colour> {{x}} {verb}|what <colour> does {{x}} have?|{{x}} "
            f"{verb} what <colour>?|what <colour> {verb} {{x}} usually?"
            f"|do you know what <colour> {{x}} {verb}?|what <colour> would you paint "
            f"{{x}}?|if i draw {{x}}, what <colour> should i use?"
            f"|which <colour> do you think {{x}} {verb}?|name the <colour> of {{x}}|what's "
            f"the usual <colour> of {{x}}?|{{x}}, what <colour>?"
        )
        article, _, noun = spoken.partition(" ")
        if article in ("a", "an") and rng.random() < 0.2:
            kind = rng.choice(words("ripe big small normal typical real little fresh young wild nice"))
            spoken = f"a {kind} {noun}"
        return Exchange("colours", say(rng, template, x=spoken), colour_reply(subject, verb, thing))
    if kind < 0.8:
        return _mix(rng)
    if kind < 0.92:
        return _thing_of_colour(rng)
    return _rainbow(rng)


def mix_reply(first: str, second: str) -> str:
    """The sentence that states what two colours make."""
    return f"{capitalised(first)} and {second} make {facts.MIXES[frozenset({first, second})]}."


def _mix(rng: random.Random) -> Exchange:
    pair = sorted(rng.choice(sorted(sorted(p) for p in facts.MIXES)))
    rng.shuffle(pair)
    a, b = pair
    made = facts.MIXES[frozenset(pair)]
    if rng.random() < 0.3:
        template = (
            "how (do|can) (i|you|we|one) (make|get|mix) {x}?|what makes {x}?|which <colour>s "
            "make {x}?|what <colour>s (do i|should i|to) mix (for|to get|to make) {x}?"
        )
        return Exchange("colours", say(rng, template, x=made), f"Mix {a} and {b} and you get {made}.")
    template = (
        "what (do|does) {a} and {b} make?|what <colour> (do you get|is it|comes out) (if|"
        "when) you mix {a} and {b}?|mix {a} and {b}|{a} and {b} make?"
        "|{a} (plus|and|+|mixed with) {b}?|what happens (if|when) (i|you) mix {a} (and|"
        "with) {b}?|if i mix {a} (and|with) {b}, what [<colour> ]do i get?"
        "|{a} mixed with {b} (is|makes|gives)[ what]?|what do i get from {a} and {b}?|"
        "<tell> what {a} and {b} make|mixing {a} (and|with) {b} gives what?"
        "|what [<colour> ]is {a} mixed with {b}?|combine {a} and {b}|which <colour> (do|"
        "does) {a} and {b} make[ together]?|blend {a} (and|with) {b}"
    )
    return Exchange("colours", say(rng, template, a=a, b=b), mix_reply(a, b))


def _thing_of_colour(rng: random.Random) -> Exchange:
    colour = rng.choice(
        ("yellow", "blue", "green", "red", "orange", "white", "black", "brown", "pink", "purple", "grey")
    )
    things = rng.sample([t for t, c in facts.COLOUR_OF.items() if c == colour], 2)
    template = (
        "(name|<tell>|<give>) (something|a thing|things that are|a thing that is) {x}|what "
        "(is|things are|else is) {x}?|what can be {x}?|what is something {x}?|can you think "
        "of something {x}?"
    )
    return Exchange(
        "colours", say(rng, template, x=colour), f"{capitalised(things[0])} is {colour}, and so is {things[1]}."
    )


def _rainbow(rng: random.Random) -> Exchange:
    if rng.random() < 0.5:
        template = (
            "(what|which) (are the )<colour>s (are in|of|are there in|does) (the|a) rainbow[ "
            "have]?|<tell> the <colour>s of the rainbow|what <colour> is (the|a) rainbow?|"
            "name the rainbow <colour>s|what are the <colour>s of (a|the) rainbow?|list the "
            "<colour>s of the rainbow|rainbow <colour>s?"
        )
        return Exchange("colours", say(rng, template), f"The rainbow is {join_words(list(facts.RAINBOW))}.")
    if rng.random() < 0.5:
        template = (
            "how many <colour>s (are in|does) (the|a) rainbow[ have]?|how many <colour>s are there in (a|the) rainbow?"
        )
        return Exchange(
            "colours", say(rng, template), f"A rainbow has {facts.NUMBER_WORDS[len(facts.RAINBOW)]} of them."
        )
    template = (
        "(name|<tell>|<give>|list) (some|a few|three) <colour>s|what <colour>s do you know?|"
        "what <colour>s are there?|name a <colour>|do you know any <colour>s?"
    )
    return Exchange("colours", say(rng, template), f"I know {join_words(rng.sample(facts.COLOURS, 3))}.")


def colours_follow(rng: random.Random) -> Exchange:
    """The next thing asked by name alone."""
    thing = rng.choice(list(facts.COLOUR_OF))
    spoken, verb, subject = _spoken_thing(rng, thing)
    return Exchange(
        "colours", say(rng, "(and|what about|how about) {x}?", wrap=False, x=spoken), colour_reply(subject, verb, thing)
    )


_PLURALS = {
    "mouse": "mice",
    "sheep": "sheep",
    "wolf": "wolves",
    "goose": "geese",
    "fish": "fish",
    "deer": "deer",
    "fox": "foxes",
    "pony": "ponies",
    "canary": "canaries",
    "butterfly": "butterflies",
    "donkey": "donkeys",
    "monkey": "monkeys",
    "turkey": "turkeys",
    "ostrich": "ostriches",
}


def plural(noun: str) -> str:
    """The plural of an animal's name."""
    return _PLURALS.get(noun, noun + "s")


def _animal_slots(animal: str) -> dict[str, Any]:
    return {"a": facts.with_article(animal), "x": animal, "xs": plural(animal)}


def animals(rng: random.Random) -> Exchange:
    """A sound, a baby, legs, a home, food or flying."""
    build = rng.choices(
        (_sound, _animal_of_sound, _baby, _parent, _legs, _home, _food, _fly, _list_animals),
        (26, 13, 18, 6, 10, 9, 9, 7, 2),
    )[0]
    return build(rng)


def sound_reply(animal: str) -> str:
    """The sentence that states an animal's sound."""
    return f"{capitalised(facts.with_article(animal))} says {facts.SOUNDS[animal]}!"


def _sound(rng: random.Random) -> Exchange:
    animal = rng.choice(list(facts.SOUNDS))
    template = (
        "what (does|do) {a} say?|what (sound|noise) does (a|the) {x} make?|what (sound|"
        "noise) do {xs} make?|what do {xs} say?|what does the {x} say?"
        "|how (does {a}|do {xs}) (sound|talk|go)?|{x} (sound|noise)|(which|what) sound "
        "does {a} make?|make (a|the) {x} (sound|noise)"
        "|<tell> (what sound {a} makes|what {a} says|the sound of {a})|<what is> the "
        "sound of {a}?|can you (make|do) (the|a) {x} (noise|sound)?"
        "|what noise comes from {a}?|how does {a} go?|speak like {a}|what would {a} say?|"
        "{a} says?|say something like {a}|the {x} goes?"
        "|what is the (noise|sound|call|cry) of {a}?|what does {a} sound like?|what do "
        "{xs} sound like?|imitate {a}|if you were {a}, what would you say?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), sound_reply(animal))


def _animal_of_sound(rng: random.Random) -> Exchange:
    if rng.random() < 0.5:
        verb = rng.choice(list(facts.ANIMAL_OF_VERB))
        template = (
            "(which|what) animal {v}?|what {v}?|who {v}?|name an animal that {v}|<tell> (an|"
            "which) animal[ that] {v}|what kind of animal {v}?|what animal is it that {v}?"
        )
        return Exchange(
            "animals",
            say(rng, template, v=verb),
            f"{capitalised(facts.with_article(facts.ANIMAL_OF_VERB[verb]))} {verb}.",
        )
    sound = rng.choice(list(facts.ANIMAL_OF_SOUND))
    template = (
        "(which|what) animal (says|goes|makes) {s}?|who (says|goes) {s}?|what (says|goes) "
        "{s}?|name an animal that (says|goes) {s}|{s}! (who|which animal|what animal) (is "
        "that|says that)?|<tell> (which|what) animal (says|goes) {s}|what animal makes the "
        "sound {s}?|what kind of animal (says|goes) {s}?"
    )
    return Exchange("animals", say(rng, template, s=sound), sound_reply(facts.ANIMAL_OF_SOUND[sound]))


def baby_reply(animal: str) -> str:
    """The sentence that names an animal's young."""
    return f"A baby {animal} is called {facts.with_article(facts.BABIES[animal])}."


def _baby(rng: random.Random) -> Exchange:
    animal = rng.choice(list(facts.BABIES))
    template = (
        "what is a baby {x} called?|what do you call a baby {x}?|<what is> (a|the name of "
        "a|the name for a|the word for a) baby {x}?|baby {x}?|what's a young {x} called?"
        "|what are baby {xs} called?|what do you call (young|baby|little) {xs}?|<tell> "
        "(what a baby {x} is called|the name of a baby {x})|a baby {x} is called?"
        "|the young of {a} is called?|what do we call the (baby|young|child) of {a}?|how "
        "do you call a baby {x}?|name for a (baby|young|little) {x}?"
        "|what is the baby of {a}[ called]?|a baby {x} is what?|do you know what a baby "
        "{x} is called?|what name does a baby {x} have?|what do people call a baby {x}?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), baby_reply(animal))


def _parent(rng: random.Random) -> Exchange:
    baby = rng.choice(list(facts.PARENT_OF_BABY))
    template = (
        "<what is> {b}?|what animal is {b}?|{b} is (a|the) baby what?|{b} grows up to be "
        "(what|a what)?|what does {b} grow into?|what (will|does) {b} become?|what is {b} a "
        "baby of?"
    )
    reply = f"{capitalised(facts.with_article(baby))} is a baby {facts.PARENT_OF_BABY[baby]}."
    return Exchange("animals", say(rng, template, b=facts.with_article(baby)), reply)


def legs_reply(animal: str) -> str:
    """The sentence that counts an animal's legs."""
    count = facts.LEGS[animal]
    return f"{capitalised(facts.with_article(animal))} has {'no' if count == 0 else facts.NUMBER_WORDS[count]} legs."


def _legs(rng: random.Random) -> Exchange:
    animal = rng.choice(list(facts.LEGS))
    template = (
        "how many legs (does {a}|do {xs}|has {a}) (have|got)?|how many legs does the {x} "
        "have?|number of legs of {a}?|<tell> how many legs {a} has|{x} legs?|how many "
        "legs on {a}?"
        "|{a} has how many legs?|count the legs of {a}|how many legs are there on {a}?|do "
        "you know how many legs {a} has?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), legs_reply(animal))


def home_reply(animal: str) -> str:
    """The sentence that says where an animal lives."""
    return f"{capitalised(facts.with_article(animal))} lives {facts.HOMES[animal]}."


def _home(rng: random.Random) -> Exchange:
    animal = rng.choice(list(facts.HOMES))
    template = (
        "where (does {a}|do {xs}) live?|where does the {x} live?|where is the home of "
        "{a}?|where is {a}'s home?|<tell> where {a} lives|what is the home of {a}?|what "
        "do {xs} live in?"
        "|where do you find {xs}?|where can i find {a}?|where do {xs} (sleep|stay|live)?|"
        "{a} lives where?|in what place do {xs} live?|do you know where {xs} live?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), home_reply(animal))


def food_reply(animal: str) -> str:
    """The sentence that says what an animal eats."""
    return f"{capitalised(facts.with_article(animal))} eats {facts.FOODS[animal]}."


def _food(rng: random.Random) -> Exchange:
    animal = rng.choice(list(facts.FOODS))
    template = (
        "what (does {a}|do {xs}) eat?|what food (does {a}|do {xs}) (eat|like)?|what (does "
        "{a}|do {xs}) like to eat?|<tell> what {a} eats|what should i feed {a}?|what does "
        "the {x} eat?"
        "|{a} eats what?|food for {a}?|what do {xs} feed on?|what is the food of {a}?|do "
        "you know what {xs} eat?|what do you feed {a}?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), food_reply(animal))


def fly_reply(animal: str) -> str:
    """The sentence that says whether an animal can fly."""
    return (
        f"{'Yes' if facts.CAN_FLY[animal] else 'No'}, {facts.with_article(animal)} "
        f"{'can' if facts.CAN_FLY[animal] else 'cannot'} fly."
    )


def _fly(rng: random.Random) -> Exchange:
    animal = rng.choice(list(facts.CAN_FLY))
    template = (
        "can (a|the) {x} fly?|can {xs} fly?|do {xs} fly?|does {a} fly?|is {a} able to fly?|"
        "are {xs} able to fly?|<tell> if {a} can fly|can {a} fly in the sky?|do you think "
        "{xs} can fly?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), fly_reply(animal))


def _list_animals(rng: random.Random) -> Exchange:
    template = (
        "(name|<tell>|list|<give>) (some|a few|three) animals|what animals do you know?|name "
        "an animal|do you know any animals?|which animals do you know?"
    )
    return Exchange(
        "animals",
        say(rng, template),
        f"I know {join_words([facts.with_article(a) for a in rng.sample(list(facts.SOUNDS), 3)])}.",
    )


def animals_follow(rng: random.Random) -> Exchange:
    """After a sound: the next animal by name alone."""
    animal = rng.choice(list(facts.SOUNDS))
    user = say(rng, "(and|what about|how about) {a}?|and the {x}?", wrap=False, **_animal_slots(animal))
    return Exchange("animals", user, sound_reply(animal))


def sound_question(rng: random.Random) -> Exchange:
    """A question about a sound, the only animal question with a short follow-up."""
    return _sound(rng)


def days_months(rng: random.Random) -> Exchange:
    """The order of days and months, how many there are, seasons."""
    build = rng.choices(
        (_neighbour, _count, _nth, _month_length, _season, _listing, _weekend), (42, 14, 12, 9, 14, 7, 3)
    )[0]
    return build(rng)


def neighbour_reply(name: str, step: int) -> str:
    """The sentence that states the day or month one step after (+1) or before (-1); what was asked comes first."""
    ring = facts.DAYS if name in facts.DAYS else facts.MONTHS
    other = ring[(ring.index(name) + step) % len(ring)]
    return f"{'After' if step > 0 else 'Before'} {name} comes {other}."


def _neighbour(rng: random.Random) -> Exchange:
    ring, unit = rng.choice(((facts.DAYS, "day"), (facts.DAYS, "day"), (facts.MONTHS, "month")))
    name, step = rng.choice(ring), rng.choice((1, 1, -1))
    if unit == "day" and rng.random() < 0.15:
        template = (
            (
                "if (today is|it is|it's|today's) {x}[ today], (what|which day) is tomorrow?|"
                "today is {x}, (what|which) day is (it )tomorrow?"
            )
            if step > 0
            else (
                "if (today is|it is|it's|today's) {x}[ today], (what|which day) was "
                "yesterday?|today is {x}, (what|which) day was (it )yesterday?"
            )
        )
    elif step > 0:
        template = (
            "(what|which) {u} (comes|is|follows|do we have|will it be|starts) after {x}?|what (comes|"
            "is) after {x}?|"
            "(what|which) {u} follows {x}?|<what is> the {u} after {x}?|<what is> the "
            "next {u} after {x}?"
            "|after {x} comes[ which {u}| what]?|<tell> the {u} after {x}|which {u} comes "
            "(next|right|just) after {x}?|what {u} is next after {x}?|{u} after {x}?|and "
            "after {x}?|what follows {x}?"
            "|it is {x}, what[ {u}] is next?|name the {u} after {x}|<tell> (what|which "
            "{u}) comes after {x}|when {x} is over, what {u} is it?|{x} is followed by "
            "(what|which {u})?|{x} (comes|is) before (what|which {u})?|(what|which) {u} does {x} come "
            "before?|the {u} (following|right after|just after|after) {x}?|(what|which) {u} (starts|begins) "
            "when {x} ends?|yesterday was {x}, what is today?|the {u} that comes after {x} is?"
        )
    else:
        template = (
            "(what|which) {u} (comes|is|was) before {x}?|what (comes|is) before {x}?|"
            "<what is> the {u} before {x}?|before {x} comes[ which {u}| what]?|<tell> the "
            "{u} before {x}"
            "|which {u} comes (right|just) before {x}?|{u} before {x}?|<what is> the "
            "previous {u} before {x}?|name the {u} before {x}|<tell> (what|which {u}) "
            "comes before {x}|(what|which) {u} (do we have|will it be|comes right) before {x}?|"
            "(what|which {u}) precedes {x}?|{x} (comes|is|follows) after (what|which {u})?|{x} follows "
            "(what|which {u})?|the {u} (preceding|right before|just before|before) {x}?|the {u} that comes "
            "before {x} is?|tomorrow is {x}, what is today?"
        )
    return Exchange("days and months", say(rng, template, x=name, u=unit), neighbour_reply(name, step))


_COUNTS: tuple[tuple[str, str], ...] = (
    ("days (are in|are there in|does) a week", "There are seven days in a week."),
    ("months (are in|are there in|does) a year", "There are twelve months in a year."),
    ("days (are in|are there in|does) a year", "There are 365 days in a year, and 366 in a leap year."),
    ("weeks (are in|are there in|does) a year", "There are 52 weeks in a year."),
    ("seasons (are in|are there in|does) a year", "There are four seasons in a year."),
    ("hours (are in|are there in|does) a day", "There are 24 hours in a day."),
    ("minutes (are in|are there in|does) an hour", "There are 60 minutes in an hour."),
    ("seconds (are in|are there in|does) a minute", "There are 60 seconds in a minute."),
)


def _count(rng: random.Random) -> Exchange:
    question, reply = rng.choice(_COUNTS)
    unit, rest = question.split(" ", 1)
    whole = rest.split(")")[-1].strip()
    article, noun = whole.split(" ")
    whole = f"({whole}|{article} {noun}|one {noun}|each {noun}|every {noun}|a whole {noun})"
    template = (
        f"how many {question}[ have]?|<tell> how many {unit} (are in|there are in|make) "
        f"{whole}|{unit} in {whole}?|do you know how many {unit} are in {whole}?|number of "
        f"{unit} in {whole}?|how many {unit} make {whole}?|how many {unit} has {whole}?|"
        f"{whole} has how many {unit}?|how many {unit} (does|would|will) {whole} (have|contain)?|"
        f"(how many|what number of) {unit} are there in {whole}?|in {whole}, how many {unit} are there?"
    )
    return Exchange("days and months", say(rng, template), reply)


def nth_reply(name: str) -> str:
    """The sentence that states the place of a day in the week or a month in the year."""
    ring, whole = (facts.DAYS, "day of the week") if name in facts.DAYS else (facts.MONTHS, "month of the year")
    return f"The {facts.ORDINALS[ring.index(name)]} {whole} is {name}."


def _nth(rng: random.Random) -> Exchange:
    ring, whole, unit = rng.choice(
        ((facts.DAYS, "week", "day"), (facts.MONTHS, "year", "month"), (facts.MONTHS, "year", "month"))
    )
    name = rng.choice(ring)
    ordinal = facts.ORDINALS[ring.index(name)]
    if name == ring[-1] and rng.random() < 0.5:
        ordinal = "last"
    if rng.random() < 0.6:
        template = (
            "(what|which) is the {n} {u} (of|in) (the|a) {w}?|(what|which) {u} is the {n}[ "
            "one| of the {w}]?|<tell> the {n} {u} of the {w}|the {n} {u} of the {w}?|name the "
            "{n} {u} of the {w}|what's the [very ]{n} {u}?|which {u} comes {n}?|which {u} is in {n} "
            "place?|(what|which) "
            "one is the {n} {u} of the {w}?|the {n} of (all the |the ){u}s is?"
        )
        reply = nth_reply(name) if ordinal != "last" else f"The last {unit} of the {whole} is {name}."
        return Exchange("days and months", say(rng, template, n=ordinal, u=unit, w=whole), reply)
    template = (
        "what number (is|month is) {x}?|which number is {x}?|what number of {u} is {x}?|(what|"
        "which) {u} of the {w} is {x}?|is {x} the first or the second {u}?|{x} is which {u} "
        "of the {w}?"
    )
    template = template.replace("|is {x} the first or the second {u}?", "").replace("month is", "{u} is")
    reply = f"{name} is the {facts.ORDINALS[ring.index(name)]} {unit} of the {whole}."
    return Exchange("days and months", say(rng, template, x=name, u=unit, w=whole), reply)


def _month_length(rng: random.Random) -> Exchange:
    at = rng.randrange(12)
    month = facts.MONTHS[at]
    template = (
        "how many days (does {x} have|are in {x}|are there in {x}|has {x})?|days in {x}?|how "
        "long is {x}?|<tell> how many days {x} has|{x} has how many days?|how many days long "
        "is {x}?"
    )
    tail = ", or 29 in a leap year" if month == "February" else ""
    return Exchange(
        "days and months", say(rng, template, x=month), f"{month} has {facts.MONTH_LENGTHS[at]} days{tail}."
    )


def _season(rng: random.Random) -> Exchange:
    kind = rng.random()
    if kind < 0.45:
        month = rng.choice(facts.MONTHS)
        template = (
            "(what|which) season is {x}[ in]?|(what|which) season is it in {x}?|in (what|"
            "which) season is {x}?|{x} is in (what|which) season?|<tell> the season of {x}|"
            "what season does {x} belong to?|what season do we have in {x}?|is {x} in summer "
            "or winter?"
        )
        template = template.replace("|is {x} in summer or winter?", "")
        return Exchange(
            "days and months", say(rng, template, x=month), f"{month} is in {facts.SEASON_OF_MONTH[month]}."
        )
    season = rng.choice(facts.SEASONS)
    spoken = rng.choice((season, "fall")) if season == "autumn" else season
    if kind < 0.65:
        months = join_words(list(facts.SEASON_MONTHS[season]))
        template = (
            "(what|which) months are (in |)(the )(|season )?{x}?|when is {x}?|<tell> the "
            "months of {x}|what are the months of {x}?|months of {x}?|which months belong to "
            "{x}?|in which months is {x}?"
        )
        template = template.replace("(in |)(the )(|season )?{x}", "in {x}")
        return Exchange("days and months", say(rng, template, x=spoken), f"{capitalised(season)} is {months}.")
    step = rng.choice((1, -1))
    other = facts.SEASONS[(facts.SEASONS.index(season) + step) % 4]
    where = "after" if step > 0 else "before"
    template = (
        f"(what|which) season (comes|is) {where} {{x}}?|what comes {where} {{x}}?|<what is> "
        f"the season {where} {{x}}?|(what|which) season do we have {where} {{x}}?|"
        f"{where} {{x}} comes[ what| which season]?"
    )
    return Exchange("days and months", say(rng, template, x=spoken), f"{capitalised(where)} {season} comes {other}.")


def _listing(rng: random.Random) -> Exchange:
    name, words = rng.choice(
        (("days of the week", facts.DAYS), ("months of the year", facts.MONTHS), ("seasons", facts.SEASONS))
    )
    short = name.split(" ")[0]
    template = (
        f"(what are|name|list|say|<tell>|can you name|can you list|do you know|<give>|recite|"
        f"name all) the [names of the ]{name}|all the {name}|which {short} are there?|tell me "
        f"all the {short}"
    )
    return Exchange("days and months", say(rng, template), f"{capitalised(join_words(list(words)))}.")


def _weekend(rng: random.Random) -> Exchange:
    if rng.random() < 0.4:
        template = (
            "(what|which) days are (the|on the|in the) weekend?|when is the weekend?|<tell> "
            "the days of the weekend|what is the weekend?"
        )
        return Exchange("days and months", say(rng, template), "The weekend is Saturday and Sunday.")
    day = rng.choice(facts.DAYS)
    yes = day in ("Saturday", "Sunday")
    template = (
        "is {x} (a weekend day|in the weekend|on the weekend|part of the weekend|at the "
        "weekend|the weekend)?|does {x} belong to the weekend?"
    )
    reply = f"{day} is {'a weekend day' if yes else 'not a weekend day'}."
    return Exchange("days and months", say(rng, template, x=day), reply)
