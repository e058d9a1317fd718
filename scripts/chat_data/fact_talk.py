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
    if a == b and rng.random() < 0.35:  # drawn after the pair, so that all pairs stay equally frequent
        return _doubled(rng, a)
    kind = rng.random()
    if kind < 0.06:
        return _sum_check(rng, a, b)
    if kind < 0.28:
        return _sum_story(rng, a, b)
    if kind < 0.46:
        return _hurried_sum(rng, a, b)
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
    "{a} plus {b} makes[ what]?",
    "{a} plus {b} (gives|gives me|comes to|totals|adds up to)[ what]?",
    "{a} (and|with) {b} (gives|comes to|adds up to)[ what]?",
    "add {a} (to|onto) {b}[ and tell me]",
    "add the numbers {a} and {b}",
    "add {a} and {b} together[ for me]",
    "adding {a} (and|to) {b} (gives|makes|is)?",
    "{a} and {b} added[ up| together][ is| gives]?",
    "how much (do|does|would) {a} and {b} (make|give|come to|add up to)[ together]?",
    "how much would {a} (plus|and) {b} be?",
    "how (much|many) do you get (if|when) you add {a} (to|and) {b}?",
    "whats {a} n {b}?",
    "{a} n {b}?",
    "what {a} + {b}",
    "wot is {a} + {b}?",
    "count {a} and then {b} more",
    "count (from {a} |on from {a} ){b} more, where do (you|i) (end|land|stop)?",
    "start (at|from|with) {a} and (go|count) {b} (up|more|further), (where|what number) (am i|do i land|is that)?",
    "i (start|begin) (at|with) {a} and add {b}. (what|how much) (is it|is that|do i get|do i have)?",
    "(take|think of|start with) {a}[,] (and|then) (add|put) {b}[ to it][. what now?| what is it?| what do you get?]",
    "sum of {a} and {b}?",
    "the sum of the numbers {a} and {b}",
    "what's the sum if i (take|have) {a} and {b}?",
    "what sum do {a} and {b} make?",
    "total of {a} (+|plus|and) {b}?",
    "what (total|number) do {a} and {b} (make|give)[ together]?",
    "the total of {a} and {b} (is|=|equals)[ what]?",
    "(together|altogether), {a} and {b} (are|make|is)[ how much| how many| what]?",
    "{a} and {b} together[ is| are| make][ how much]?",
    "{a} (and|plus) another {b}[ is| makes]?",
    "{a} (with|and) {b} on top?",
    "{a} with {b} added[ to it][ is]?",
    "{a} increased by {b}[ is]?",
    "raise {a} by {b}",
    "(what comes out|what is the outcome|what's the result) (if|when) {a} and {b} are added?",
    "(what comes out|what results) of {a} (+|plus) {b}?",
    "which number (do you get from|is|equals|do i get for) {a} (+|plus) {b}?",
    "(my|the) numbers are {a} and {b}. (add them|what is their sum|what do they make|what is the total)[?]",
    "here are two numbers: {a} and {b}. (add them|what is the sum|what's their total|what do they make together)?",
    "i have the numbers {a} and {b}, what do they make (together|in total|in all)?",
    "(i don't know|i never know|i can't remember|i forget) (what {a} (+|plus) {b} (is|makes)|{a} (+|plus) {b})",
    "help me (add|sum up|with adding) {a} and {b}",
    "help me with {a} (+|plus) {b}",
    "(my (son|daughter|brother|sister|kid)|my teacher|a friend) (asks|wants to know) (what {a} + {b} is|{a} plus {b})",
    "(what's|what is) the answer to this: {a} (+|plus) {b}?",
    "the answer (of|to) {a} (+|plus) {b} is[ what]?",
    "fill in the gap: {a} + {b} = (...|_|?)",
    "complete: {a} (+|plus) {b} (=|is)",
    "finish this sum: {a} + {b} =",
    "if (you|we|one) (put|take|join|combine) {a} and {b}[ together][,] (what|how much|how many) (is it|is "
    "that|comes out)?",
    "combine {a} and {b}",
    "{a} (+|plus) {b}, how much (is that|is it|does that make)?",
    "{a} (+|plus) {b}, what (is it|do i get|does it make|is the answer)?",
    "{a} (+|plus) {b} equals[ what]?",
    "can you (add|sum|total|add up) {a} and {b}[ for me]?",
    "could you (tell me the sum of|add|count up) {a} and {b}?",
    "would you (add|work out) {a} (and|plus) {b}[ for me]?",
    "i want to (add|sum) {a} and {b}",
    "i'm (adding|counting) {a} and {b}, what (is it|do i get|should i get)?",
    "the question is {a} (+|plus) {b}",
    "{a} and {b} make how much?",
    "do {a} (+|plus) {b}[ for me]",
    "find {a} (+|plus) {b}",
    "find the (sum|total) of {a} and {b}",
    "what must be {a} (+|plus) {b}?",
    "what should {a} (+|plus) {b} (be|give|make)?",
)
_HURRIED_TEMPLATE = (
    "(ok next|ok next one|next|next one|next up|and|and now|and then|erm|um|er|uh|hm|well|so|now|right|alright|ok|okay|"
    "yo|hey|hi|hello|hi there|hey there|hey quick|hey bot|hiya|morning|good morning|good evening|good afternoon|"
    "good day|greetings|sup|heya|"
    "quick|quick one|quick sum|quick maths|quick math|quickly|fast|fast one|real quick|just quickly|"
    "calculator time|calculator|calculator mode|calc|maths|math|maths time|math time|sum time|sums|sum|arithmetic|"
    "homework|homework help|easy one|easy|simple one|another one|another|one more|one more sum|last one|last sum|again|"
    "test|testing|try this|try|try this one|go|here goes|your turn|solve|solve this|answer|answer this|adding|addition|"
    "pls|please|sorry|sorry quick one|hurry|i'm in a hurry|no time|in a rush|help|thanks, next|cool, now|great, next|"
    "nice, and|good, now|hmm let me see|let me see|let's see|let me think|what about|how about|just|only|then|"
    "tell me|gimme|give me|say|do|work out|exercise|exercise one|number one|brain work|a sum|a sum for you)"
    "(:|,| -|...|.|!|||||) {a}( + |+| + |+| plus | and | +|+ ){b}(||||?|?| =| = ?|=|=?| is?| equals?| makes?| pls|"
    " please|!| quick| quickly|, go|, thanks|, now|, hurry)"
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


def _hurried_sum(rng: random.Random, a: int, b: int) -> Exchange:
    """A bare sum after a filler, as somebody in a hurry types it."""
    x, y = _operands(rng, a, b)
    return Exchange("sums", say(rng, _HURRIED_TEMPLATE, wrap=False, a=x, b=y), f"{sum_reply(a, b)}.")


def _doubled(rng: random.Random, a: int) -> Exchange:
    x = rng.choice((str(a), facts.NUMBER_WORDS[a]))
    user = say(
        rng,
        "<what is> double {a}?|double {a}[?]|<what is> twice {a}?|<what is> {a} plus itself?|the double of {a}?|"
        "what do you get (if|when) you double {a}?|{a} doubled[ is]?|twice {a}?|add {a} to itself|what is {a} doubled?",
        a=x,
    )
    return Exchange("sums", user, f"{sum_reply(a, a)}.")


def _sum_check(rng: random.Random, a: int, b: int) -> Exchange:
    claimed = a + b if rng.random() < 0.5 else max(0, a + b + rng.choice((-3, -2, -1, 1, 2, 3)))
    template = (
        "is {a} (+|plus|and) {b} (equal to|=|really|) {c}?|does {a} (+|plus|and) {b} (equal|make|give|really "
        "make) {c}?|"
        "{a} + {b} = {c}, (right|correct|is that right|true or false|yes or no|is it true)?|"
        "{a} (+|plus|and) {b} (is|makes|equals) {c}, (right|correct|is that right|isn't it|true or false|yes or no)?|"
        "(is it true|is it right|am i right|is it correct) that {a} (+|plus|and) {b} (is|makes|equals) {c}?|"
        "(i think|i say|my friend says|my son says|they say) {a} (+|plus) {b} (is|=) {c}. (right|is that right|correct|"
        "is that true)?|true or false: {a} + {b} = {c}?"
    )
    user = say(rng, template, a=a, b=b, c=claimed)
    verdict = "so that is right" if claimed == a + b else "so that is not right"
    return Exchange("sums", user, f"{sum_reply(a, b)}, {verdict}.")


_STORY_THINGS = words(
    "apples sweets pens books marbles coins cookies eggs stickers balls flowers cards pencils stamps shells "
    "stones toys "
    "balloons cups cakes oranges pears bananas candles dolls buttons nuts lemons hats plates chairs carrots spoons"
)
# What is where, and how more of it came.
_STORY_PLACES = (
    ("birds", "(on|in) (a|the) tree|on (a|the) (roof|wire|fence|branch)", "came|flew over|landed|joined them|flew in"),
    ("ducks", "(on|in) (a|the) pond|on the lake", "came|swam up|joined them|flew in|arrived"),
    ("cars", "in the (car park|street|garage)|on the road", "came|arrived|parked there|drove in"),
    ("frogs", "on a (log|stone|leaf)|(in|at) the pond", "came|jumped on|joined them|hopped over"),
    ("cows", "in (a|the) (field|barn)|on the farm", "came|walked in|joined them|arrived"),
    ("cats", "on (a|the) (wall|sofa|roof)|in the garden", "came|jumped up|joined them"),
    ("girls", "in the (room|park|playground)|at the party", "came|came in|arrived|joined them"),
    ("boys", "in the (room|park|playground)|on the field", "came|came in|arrived|joined them"),
    ("guests", "at the (party|table|wedding)|in the (room|house)", "came|arrived|turned up|joined them"),
    ("ships", "in the (harbour|port)|on the sea", "came|arrived|sailed in"),
    ("bees", "on (a|the) flower|in the hive", "came|flew over|arrived"),
    ("dogs", "in the (park|garden)|on the beach", "came|ran over|joined them"),
    ("lambs", "in the field|on the hill", "came|walked over"),
    ("friends", "at (my|the) (house|party)|in the garden", "came|arrived|joined them"),
)
# Two sorts of one thing: the whole and its two sorts.
_STORY_SORTS = words(
    "animals cats dogs, animals cows horses, animals hens ducks, pets rabbits hamsters, kids boys girls, "
    "flowers roses tulips, balls red+balls blue+balls, pens black+pens green+pens, cars red+cars white+cars, "
    "fruits apples pears, fruits bananas oranges, drinks teas coffees, cups big+cups small+cups, toys dolls cars, "
    "marbles blue+marbles yellow+marbles, birds crows owls, books old+books new+books, eggs brown+eggs white+eggs"
)
_STORY_UNITS = (
    (
        "pages",
        "(i|we|{n}) read {a} {ta} (yesterday|in the morning|on monday) and {b} {tb} (today|in the evening|later)",
    ),
    ("steps", "(i|we|{n}) (took|walked|climbed|went) {a} {ta} and then {b} (more|more {tb}|{tb})"),
    ("points", "(i|we|{n}|my team) (got|scored|won|made) {a} {ta}[ first] and then {b} (more|more {tb})"),
    ("goals", "(we|my team|{n}) scored {a} {ta} (yesterday|in the first half) and {b} (today|in the second half)"),
    ("coins", "(i|{n}) (put|saved|dropped) {a} {ta} (in the jar|in a box) and (later|then) {b} more"),
    ("euros", "(i have|{n} has|there are) {a} {ta} and (i get|mum gives|grandma gives) {b} more"),
    ("dollars", "(a pen|a cake|a toy|the tea) costs {a} {ta} and (a book|a ball|the juice) costs {b} {tb}"),
    ("euros", "(i|{n}|we) (paid|spent) {a} {ta} for bread and {b} {tb} for (milk|cheese|eggs)"),
    ("minutes", "(i|we|{n}) (waited|ran|walked|read) {a} {ta} and then {b} {tb} more"),
    ("hours", "(i|we|{n}) (slept|worked|played) {a} {ta} (yesterday|on monday) and {b} {tb} (today|on tuesday)"),
    ("miles", "(i|we|{n}) (drove|walked|ran|rode) {a} {ta} and then {b} (more|more {tb})"),
    ("cups", "(i|we|{n}) drank {a} {ta} of tea and {b} {tb} of water"),
    ("songs", "(i|we|{n}) (sang|heard) {a} {ta} (before|after) lunch and {b} (later|at night)"),
    ("stars", "(i|we|{n}) (counted|saw|drew) {a} {ta} and then {b} more"),
)


def _one(noun: str, count: int) -> str:
    """The plural noun as it stands after a number."""
    return noun[:-1] if count == 1 and noun.endswith("s") else noun


_STORY_QUESTIONS = (
    "(how many|how many {things}) (is that|are there|are there now|are there in all|altogether|in all|in total|now|"
    "does that make|is that in all|is it[ now]|together)?|how many {things}?|what is the total?|how many in total?"
)
_STORY_OWNERS = (
    "(i have|i've got|we have|you have) {a} {ta} and (get|find|buy|pick up|receive) {b} more[ {tb}]. "
    "(how many|how many {things}) (is that|do i have[ now]|altogether|in all|in total|now|do we have|do you have)?",
    "(i|we|you|{n}) had {a} {ta} and (got|found|bought|received|picked up|made|won) {b} more[ {tb}]. <q>",
    "{n} has {a} {ta} and (gets|finds|buys|receives|wins|picks up) {b} more[ {tb}]. (how many {things} does {n} have|"
    "how many does {n} have|how many {things} has {n})[ now| altogether| in all| in total]?",
    "{n} has {a} {ta}. {m} gives (her|him|them) {b} more[ {tb}]. (how many|how many {things}) does {n} have[ now]?",
    "{n} has {a} {ta}. {m} has {b}[ {tb}]. (how many|how many {things}) (do they have|have they|have both)[ together| "
    "altogether| in all| in total]?",
    "{n} has {a} {ta} and {m} has {b}[ {tb}]. <q>",
    "(i have|i've got|i got|i found|i bought|i baked|i picked) {a} {ta} and {m} (has|gave "
    "me|found|brings|brought) {b}[ "
    "more]. <q>",
    "(mum|dad|grandma|my aunt|my friend) (gave|gives) me {a} {ta} and (then|later|{m} gave me) {b} more[ {tb}]. <q>",
    "(i|we|{n}) (bought|found|ate|picked|made|sold|saw|counted|collected|got) {a} {ta} (yesterday|on monday|in the "
    "morning|first) and {b} (today|on tuesday|in the evening|later|more). <q>",
    "(i|we|{n}) (ate|bought|found|picked|made|sold) {a} {ta} and then {b} more. <q>",
    "{a} {ta} (in (one|the first|a) (box|bag|basket)|"
    "on one (plate|side|shelf)) and {b}[ {tb}] (in another|in the other|beside). <q>",
    "there {isa} {a} {ta} (in (one|a) (box|bag|basket|bowl)|on (the|a) (table|shelf|plate)) and {b} (in another|on "
    "another|more beside it). <q>",
    "there {isa} {a} {ta} (in a (box|bag|basket)|on the (table|shelf)). (i put|we put|{n} puts|someone puts) {b} more "
    "(there|in|with them). <q>",
    "(put|lay|place) {a} {ta} (and|next to|with|beside) {b} (more|{tb})[ together]. <q>",
    "(there are|we have|we add|i add) {a} {ta} and (we add|i add|add) {b} more[ {tb}]. <q>",
    "{a} {ta} (plus|and|+) {b} {tb}(, how many in all?| makes how many?|?| is how many {things}?|, how many {things}?| "
    "together?| in total?| altogether?)",
    "{a} {ta} and {b} more[ {tb}](?| is how many[ {things}]?| makes?|, how many is that?|, what is the total?)",
    "add {a} {ta} (to|and) {b} {tb}[. how many?| how many is that?]",
    "if (you|i|we) have {a} {ta} and (get|buy|find|add) {b} more, how many (is that|are there|do i have|do you have)[ "
    "now]?",
    "if {n} has {a} {ta} and (gets|buys|finds|{m} gives) {b} more, how many (is that|does {n} have)[ in all]?",
    "if (you|i) have {a} {ta} and (i give you|you get|{n} gives you|{n} gives me) {b} more, how many (do you have|is "
    "that|are there)?",
    "how many {things} (are|is|make) {a} {ta} and {b} (more|{tb})?",
    "how many {things} do i have (if|when) i have {a} and (get|buy|find) {b}[ more]?",
    "how many {things} (does {n} have|has {n}) (if|when) {n} has {a} and (gets|buys|finds) {b} more?",
    "(i need|i want|we need) {a} {ta} for {n} and {b} for {m}. (how many|how many {things}) (do i need|is "
    "that|in all)?",
    "{n} brings {a} {ta}, {m} brings {b}. <q>",
    "first {a} {ta}, then {b} more. <q>",
)
_STORY_NAMES = words("tom anna ben lisa mia sam max emma leo eva jack lucy paul nina")


def _sum_story(rng: random.Random, a: int, b: int) -> Exchange:
    kind = rng.random()
    n, m = rng.sample(_STORY_NAMES, 2)
    slots: dict[str, Any] = {"n": n.capitalize(), "m": m.capitalize()}
    if kind < 0.55:
        things = rng.choice(_STORY_THINGS)
        template = rng.choice(_STORY_OWNERS).replace("<q>", f"({_STORY_QUESTIONS})")
    elif kind < 0.7:
        things, where, came = rng.choice(_STORY_PLACES)
        asked = f"({_STORY_QUESTIONS}|how many {{things}} are ({where})[ now]?)"
        template = (
            f"(there {{isa}}|i see|i saw) {{a}} {{ta}} ({where})[,] (and|then) {{b}} more ({came}). {asked}|"
            f"({where}) there {{isa}} {{a}} {{ta}}. {{b}} more[ {{tb}}] ({came}). {asked}|"
            f"{{a}} {{ta}} (sat|were|waited) ({where}). (then |){{b}} more[ {{tb}}] ({came}). {asked}|"
            f"{{a}} {{ta}} ({where}) and {{b}} more ({came})[,] how many[ {{things}}][ now| in all| altogether]?|"
            f"if there {{isa}} {{a}} {{ta}} ({where}) and {{b}} more come, how many (are there|is that)[ now| in all]?"
        )
    elif kind < 0.82:
        things, first, second = (name.replace("+", " ") for name in rng.choice(_STORY_SORTS).split())
        slots |= {"f": _one(first, a), "s": _one(second, b)}
        template = (
            "(i have|there are|we have|i see|i saw|{n} has|the shop has|on the farm are) {a} {f} and {b} {s}. "
            "(how many|how many {things}) (is that|are there|in all|altogether|in total|are there together)?|"
            "{a} {f} and {b} {s}[,|:] (how many {things}|how many {things} is that|how many {things} in all)?|"
            "how many {things} are {a} {f} and {b} {s}?|{a} {f} plus {b} {s} (is|makes|are) how many {things}?"
        )
    elif kind < 0.92:
        things, told = rng.choice(_STORY_UNITS)
        template = f"{told}. ({_STORY_QUESTIONS}|how many {{things}} altogether?|how much is that?)"
    else:
        things = "years"
        template = (
            "({n}|my (brother|sister|dog|cat|son|daughter)) is {a}[ {ta} old][ now| today]. how old "
            "(in|after|will that "
            "be in) {b} {tb}?|{n} is {a}[ now]. how old (is|will) {n} (be |)in {b} {tb}?|how old (is|will be) "
            "(someone|{n}|a "
            "child) of {a} {ta} (in|after) {b} (more |){tb}?|{n} is {a}, {m} is {b} {tb} older. how old is {m}?|"
            "my (brother|sister|cousin) is {a} and my friend is {b} {tb} older. how old is (he|she|my friend)?|"
            "{a} {ta} and {b} more {tb}, how old is that?"
        )
    slots |= {"things": things, "ta": _one(things, a), "tb": _one(things, b), "isa": "is" if a == 1 else "are"}
    x, y = _operands(rng, a, b)
    user = say(rng, template, a=x, b=y, **slots)
    return Exchange("sums", user, f"{sum_reply(a, b)}, so {a + b} {_one(things, a + b)}.")


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
        "(ok next|next|next one|and now|and then|another one)[:|,] {a} (+|plus|and) {b}[?]",
        "(and|now|ok|then) {a}+{b}(|?|=)",
        "(what|and what) (if it is|if it's|about) {a} (+|plus|and) {b}?",
        "and (if i|when i) add {a} (and|to) {b}?",
        "(cool|great|thanks|nice|good)[,] (and|now) {a} (+|plus|and) {b}?",
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
    "{x}'s capital[ city][?]",
    "what city (is|serves as|acts as|counts as) {x}'s capital?",
    "which city (is|serves as|is named as) the capital[ city] (of|in|for) {x}?",
    "{x} - capital?",
    "{x}, capital?",
    "capital: {x}",
    "capital city: {x}?",
    "capital for {x}?",
    "(the |)capital city of {x}[?]",
    "{x} has (what|which city) as its capital?",
    "{x} has what capital city?",
    "(what|which) city does {x} have (as|for) (its|a) capital?",
    "what (would|might|could) be the capital of {x}?",
    "what does {x} call its capital?",
    "how is the capital of {x} called?",
    "what is the capital of {x} called?",
    "the capital of {x}, what is it[ called]?",
    "the capital of {x} is (called|named|which city|what)?",
    "the (capital|capital city) of {x}: (what|which) (is it|city is it)?",
    "(i am|i'm|we are|we're) (going|travelling|flying|off) to {x}[ soon| next week| in summer]. "
    "(what is|what's|which city is) (the|its) capital[ there| of {x}]?",
    "my (aunt|uncle|friend|cousin|teacher|boss) (lives in|is from|comes from|loves) {x}. (what|which city) is (the "
    "capital|its capital|the capital there|the capital of {x})?",
    "(i love|i like|i am reading about|we learn about|i want to see|i dream of) {x}[!|.] (what is|what's|name) "
    "(its|the) "
    "capital[ city]?",
    "(think of|take|look at) {x}. (what is|what's|which city is) (its|the) capital?",
    "(geography|homework|quiz|test|school) question: (what is |)the capital of {x}?",
    "(geography|quiz|capitals): {x}?",
    "on (a|the) map of {x}, (which city|what) is the capital?",
    "(if i|when i) (go|travel|fly) to the capital of {x}, (which city|where) (am i|do i land|is that)?",
    "the government of {x} sits in (which|what) capital?",
    "(my homework asks for|i need|i have to know|i must learn|help me find|look up|find|spell) the capital of {x}",
    "(i don't know|i can't remember|i always forget|remind me of|i'd like) the capital[ city] of {x}",
    "(remind me|say|quick)[:|,] (what is|what's) {x}'s capital?",
    "what (city|place|town) is the capital of {x}?",
    "which (place|town) is {x}'s capital?",
    "what capital (belongs to|goes with|is in) {x}?",
    "which capital (belongs to|goes with|does) {x}[ have]?",
    "{x}: what is (its|the) capital?",
    "{x}: which city is (its|the) capital?",
    "and in {x}, (what|which city) is the capital?",
    "(people in|someone from|those who live in) {x} (call|calls|have) (which|what) city (their|the) capital?",
    "the capital (belonging to|there is in) {x}?",
    "do you (happen to |)know (what |)(the capital of {x}|{x}'s capital)[ is]?",
    "can you (say|tell|give) (me |)(the capital of {x}|{x}'s capital[ city])?",
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
    "{x} is (whose capital|the capital of whom|the capital of which land)?",
    "(what|which) country (calls|names|made|chose) {x} its capital?",
    "(what|which) country does {x} (belong to|lie in|serve as capital)?",
    "{x} (belongs to|lies in|can be found in) (what|which) country?",
    "the capital {x} (belongs to|is in) (what|which) country?",
    "name the country (whose capital is|with the capital|that has the capital|of) {x}",
    "(what|which) country's capital (city |)is {x}?",
    "{x}: capital of (what|which country)?",
    "{x} - which country?",
    "if {x} is the capital, (what|which) country (is it|is that|am i in)?",
    "(i am|i'm|we are) (flying|going|travelling) to {x}. (what|which) country is (that|it)[ in]?",
    "my (aunt|uncle|friend|cousin) (lives in|is in|moved to) {x}. (what|which) country is (that|it|{x}) in?",
    "(what|which) (land|nation|country) has {x} (for|as) (a|its) capital[ city]?",
    "{x} is a capital, but of (what|which) country?",
    "{x} is the capital city of what?",
    "the country (with|of) the capital {x}?",
    "capital {x}, (what|which) country?",
    "<tell> (what|which) country {x} is in",
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
        "(is|isn't) {c} the capital[ city] of {x}?|{c} is the capital of {x}, (right|correct|isn't it|true or "
        "false|yes or "
        "no)?|is the capital of {x} {c}?|is {c} {x}'s capital?|is {x}'s capital {c}?|does {x} have {c} as its capital?|"
        "(is it true|am i right|is it right) that {c} is the capital of {x}?|(i think|my friend says) the "
        "capital of {x} is "
        "{c}. (right|is that right|is that true|correct)?|the capital of {x} is {c}, (right|isn't "
        "it|correct|yes or no)?"
    )
    user = say(rng, template, c=claimed, x=country)
    # The fact comes before the verdict: a small model computes left to right.
    return Exchange("capitals", user, f"{capital_reply(country)[:-1]}, so {'yes' if claimed == city else 'no'}.")


def capitals_follow(rng: random.Random) -> Exchange:
    """The next country asked by name alone."""
    country, spoken = _spoken_country(rng)
    user = say(
        rng,
        "(and|what about|how about|and for|and of|and what about|now|and in|ok and|then|same for|next:) "
        "{x}?|and {x}'s[ capital]?|and the capital of {x}?",
        wrap=False,
        x=spoken,
    )
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
    "{x}'s opposite[?]",
    "{x}'s (antonym|contrary|reverse|counterpart)[?]",
    "what is {x}'s (antonym|contrary|reverse|opposite word)?",
    "(the |)(reverse|contrary|antonym) of {x}[?]",
    "<what is> the (reverse|contrary|inverse|flip side|other side|counterpart) of {x}?",
    "the flip side of {x}[ is]?",
    "what is at the other end of {x}?",
    "the other end of {x} is?",
    "what is the (complete|exact|total|very|direct) (opposite|contrary) of {x}?",
    "the exact opposite of {x}[ is]?",
    "if (something|a thing|it) (is not|isn't) {x}, (what is it|it is|then it is|it must be)?",
    "if (something|it) is (not {x}|the opposite of {x}), (what|which word) (is it|would you say|do you use)?",
    "(something|a thing) that (is not|isn't) {x} is?",
    "what is something that is not {x}?",
    "what (word |)means the (opposite|contrary|reverse) of {x}?",
    "which word means the (opposite|contrary|reverse) of {x}?",
    "what word (is|would be|makes) the (contrary|reverse|antonym) of {x}?",
    "not {x} but (what|rather|...)?",
    "it is not {x} but[ what]?",
    "it's not {x}, it's (what|...)?",
    "{x} (versus|vs|against)[ what]?",
    "{x} or (what|its opposite)?",
    "{x} and (what|...) are opposites?",
    "{x} and what is its opposite?",
    "{x} and the opposite[?]",
    "i (need|want|look for|search) (the|an) (opposite|antonym) (of|for|to) {x}",
    "i need (a word that is|the word that is|a word for) the opposite of {x}",
    "opposite: {x}",
    "opposite for {x}?",
    "opposite to {x}?",
    "antonym: {x}",
    "{x}: opposite[?]",
    "{x} - opposite[?]",
    "{x}, opposite?",
    "{x} = opposite?",
    "{x}, (what is|what's) the opposite?",
    "{x}: (what is|what's|which is) (its|the) (opposite|contrary|antonym)?",
    "what stands opposite (to |){x}?",
    "which word stands (opposite|against) {x}?",
    "(turn|flip|switch) {x} (around|round|over)[ and you get| and what do you get?| what is it?]",
    "(reverse|invert|flip) the word {x}, what is its opposite?",
    "(reverse|flip) {x}[ for me]",
    "the word is {x}. (what is|what's|name|give me) (its|the) opposite[?]",
    "my word is {x}, (what is|what's|name) (its|the) (opposite|antonym)?",
    "(i read|i see|i have|i wrote|take) the word {x}. (what is|what's) (its|the) opposite?",
    "(the card|my book|the sign|the page) says {x}. what (is|would be) the opposite[ word]?",
    "(think of|take) {x}. (now |)(say|name|give me|tell me) the opposite",
    "(i say|if i say|when i say) {x}, (you say|what do you say)[ the opposite]?",
    "i say {x}, you say the opposite",
    "the teacher says {x}, what is the opposite?",
    "(my homework|the quiz|the test|my teacher) (asks for|wants) the opposite of {x}",
    "(homework|quiz|school|english|quick): (the |)opposite of {x}?",
    "(quick one|next one|next|another one|easy one|ok next|erm|and): (the |)opposite of {x}?",
    "what (does one|do you|do people|would you|can you) (say|call it) for the opposite of {x}?",
    "what (does one|do you) call (something|it) that is the opposite of {x}?",
    "how (do|would|can) (you|i) (say|call|put) the (contrary|reverse|opposite) of {x}?",
    "(say|write|spell|find|pick|choose) (the |a word that is the )opposite of {x}",
    "what (pairs|goes) with {x} as its opposite?",
    "{x} is opposite to (what|which word)?",
    "{x} is the (contrary|reverse|antonym) of (what|which word)?",
    "{x} has (what|which) opposite?",
    "(what|which) opposite does {x} have?",
    "does {x} have an opposite?",
    "is there (an opposite|an antonym|a word for the opposite) (of|for|to) {x}?",
    "what's (an|the) (opposite|antonym) (to|for) {x}?",
    "(what|which word) (contrasts with|is contrary to|is the other extreme from) {x}?",
    "the contrary to {x}?",
    "can you (give|tell) me (the|an) (antonym|contrary|opposite) (of|for) {x}?",
    "(could|would|can) you (say|tell me|find) what is opposite to {x}?",
    "the opposite of {x} (is called|would be|must be|=|is what|is which word)?",
    "the opposite of the word {x}[ is]?",
    "<what is> the opposite of the word {x}?",
    "what is the word for not {x}?",
    "what is the word opposite {x}?",
    "(i don't know|i forgot|i can't think of|i can't find|help me with|remind me of) the opposite of {x}",
    "complete: {x} and (...|its opposite)[?]",
    "complete the pair: {x} and (...|what)?",
    "fill in: the opposite of {x} is (...|_)",
    "(if|when) {x} is (one side|one end), what is the other[ side| end]?",
    "(one side|one end) is {x}, the other is?",
    "(one|mine) is {x}, the other is the opposite. (what is it|which word is it)?",
    "(tom|anna|my brother|my sister|my friend) says {x}, i want to say the opposite. (what is it|what do i say)?",
    "what is the (opposite|reverse) if i (say|have|take) {x}?",
    "instead of {x}, the opposite[ is| please]?",
    "from {x} to its opposite[?]",
)
_ADJECTIVES = frozenset(
    words(
        """hot cold big small large little happy sad fast slow old young new good bad hard soft wet dry full empty tall
        short long light dark rich poor early late loud quiet clean dirty strong weak thick thin wide narrow deep
        shallow heavy sweet sour smooth rough sharp blunt awake asleep alive dead brave cowardly kind unkind polite
        rude easy difficult cheap expensive safe dangerous ugly beautiful lazy wild tame noisy tight loose modern
        ancient lucky unlucky healthy sick boring interesting warm cool huge tiny fresh stale clever stupid nice"""
    )
)
_ADJECTIVE_TEMPLATES = (
    "my (soup|room|dog|bag|friend|day|book|house|cat|uncle|tea|shirt|car) is {x}. (what is|what's|name) the "
    "opposite[ of "
    "{x}]?",
    "(this|it|everything here) is (so |very |too |){x}. (what is|what's|name) the opposite[ of {x}]?",
    "if my (soup|room|dog|bag|friend|house|car|street) (is not|isn't) {x}, (it is|what is it|then it is)?",
    "a (thing|person|day|place|dog|house) that (is not|isn't) {x} is?",
    "someone (who|that) (is not|isn't) {x} is?",
    "(he|she|it) (is not|isn't) {x}, (he|she|it) is the opposite: (what|which word)?",
    "(i am|i'm) {x}, my (brother|sister|friend) is the opposite. what is (he|she|my friend)?",
    "(i am|i'm) the opposite of {x}. what am i?",
    "one (box|dog|room|house|road) is {x}, the other is the opposite. what is (it|the other)?",
    "(the first|one) is {x} and the (second|other) is the opposite, so it is?",
    "if (one|this) is {x}, the opposite is?",
    "something (is|was) {x} and becomes the opposite. what is it now?",
    "not {x} at all, but?",
    "the opposite of a {x} (thing|one|day|place) is a (what|...) one?",
)


def opposite_reply(word: str) -> str:
    """The sentence that states a word's opposite."""
    return f"The opposite of {word} is {facts.OPPOSITES[word]}."


def opposites(rng: random.Random) -> Exchange:
    """The opposite of a word, the word sometimes in quotes."""
    word = _opposite_word(rng)
    quote = rng.choice(("", "", "", "", '"', "'"))
    templates = _OPPOSITE_TEMPLATES
    if word in _ADJECTIVES and rng.random() < 0.2:
        templates = _ADJECTIVE_TEMPLATES
    return Exchange("opposites", say(rng, rng.choice(templates), x=f"{quote}{word}{quote}"), opposite_reply(word))


def _opposite_word(rng: random.Random) -> str:
    """A word that has an opposite, the common ones more often."""
    return rng.choice(facts.COMMON_OPPOSITES if rng.random() < 0.45 else tuple(facts.OPPOSITES))


def opposites_follow(rng: random.Random) -> Exchange:
    """The next word asked alone."""
    word = _opposite_word(rng)
    user = say(
        rng,
        "(and|what about|how about|and of|and for|and the opposite of|next:|then|ok and|now|same for) {x}?",
        wrap=False,
        x=word,
    )
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
    *words("corn cheese parsley lava sugar chalk cream bread"),
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
        "school bus": "school buses",
        "radish": "radishes",
        "poppy": "poppies",
        "deer": "deer",
        "wedding dress": "wedding dresses",
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
    if kind < 0.54:
        thing = rng.choice(list(facts.COLOUR_OF))
        spoken, verb, subject = _spoken_thing(rng, thing)
        template = (
            f"what <colour> {verb} {{x}}?|which <colour> {verb} {{x}}?|what is the "
            f"<colour> of {{x}}?|<colour> of {{x}}?|<tell> the <colour> of {{x}}"
            f"|<tell> what <colour> {{x}} {verb}|what <colour> does {{x}} have?|{{x}} "
            f"{verb} (what|which) <colour>?|what <colour> {verb} {{x}} usually?"
            f"|do you know what <colour> {{x}} {verb}?|what <colour> would you paint "
            f"{{x}}?|if i draw {{x}}, what <colour> should i use?"
            f"|which <colour> do you think {{x}} {verb}?|name the <colour> of {{x}}|what's "
            f"the usual <colour> of {{x}}?|{{x}}, what <colour>?"
            f"|{{x}} - (what|which) <colour>?|{{x}}: <colour>?|<colour> (for|of) {{x}} in my "
            f"(drawing|picture|painting)?"
            f"|(what|which) <colour> (would|should|might|must|will|could) {{x}} (be|have)?|(what|which) "
            f"<colour> {verb} "
            f"(typically|normally|usually|mostly|really) {{x}}?|(what|which) <colour> {verb} {{x}} "
            f"(typically|normally|mostly)?"
            f"|(i am|i'm) (drawing|painting|colouring) {{x}}. (what|which) <colour> (should i use|do i need|do "
            f"i take|is "
            f"right|pencil do i need)?|(which|what) (crayon|pencil|paint) (for|do i need for|should i take for) {{x}}?"
            f"|(i see|i have|here {verb}|think of|take|look at) {{x}}. (what|which) <colour> {verb} (that|it|{{x}})?"
            f"|{{x}} (come in|have|has|shows) (what|which) <colour>?|{{x}}'s <colour>[?]|the <colour> of {{x}} "
            f"is[ what]?"
            f"|how would you (colour|paint|describe the colour of) {{x}}?|{{x}} usually {verb} (what|which) <colour>?"
            f"|(in|of) (what|which) <colour> {verb} {{x}}?|(say|give me|i need|i forgot) the <colour> of {{x}}"
            f"|what <colour> comes to mind for {{x}}?|(guess|name|say) (what|which) <colour> {{x}} {verb}"
        )
        article, _, noun = spoken.partition(" ")
        if article in ("a", "an") and rng.random() < 0.2:
            kind = rng.choice(words("ripe big small normal typical real little fresh young wild nice"))
            spoken = f"a {kind} {noun}"
        return Exchange("colours", say(rng, template, x=spoken), colour_reply(subject, verb, thing))
    if kind < 0.8:
        return _mix(rng)
    if kind < 0.89:
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
            "make {x}?|what <colour>s (do i|should i|to) mix (for|to get|to make) {x}?|"
            "(i need|i want) {x}[ paint], (what|which <colour>s) (do i mix|should i mix)?|{x} is (made of|made "
            "from|a mix "
            "of) (what|which <colour>s)?|<tell> how to (make|mix|get) {x}|(which|what) two <colour>s "
            "(give|make|become) {x}?"
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
        "does) {a} and {b} make[ together]?|(mix|stir|blend|combine|join|pour|put) {a} (and|with) {b}[ "
        "together][?]|(mixing|"
        "blending|combining|stirring) {a} (and|with|into) {b}[ gives| makes| is][?]|(what|which <colour>) "
        "(appears|comes "
        "out|is made|results|will i see|do i get|do you get) (when|if) (i|you|we) (mix|blend|stir|combine|put) "
        "{a} and {b}"
        "[ together]?|(what|which <colour>) (appears|comes out|is made|is it) when {a} (meets|is mixed "
        "with|is stirred into|"
        "is added to|touches) {b}?|when {a} meets {b}, (what|which <colour>) (comes out|appears|do we see)?|(i|we) "
        "(mixed|stirred|blended|put|poured) {a} (and|with) {b}[ paint| together]. (what|which <colour>) (is "
        "it|is that|do i "
        "get|comes out)?|{a} paint (and|plus|with|in) {b} paint[ is| makes| gives]?|add {a} to {b}[ paint]|{a} "
        "(and|with) "
        "{b} (together|mixed|combined|blended)[ is| make| give]?|the mix of {a} and {b}[ is]?|<what is> the mixture of "
        "{a} and {b}?|{a} and {b}, (mixed|what <colour> is that|what do they make)?|if {a} and {b} (are mixed|are put "
        "together|meet|mix|run together), (what|which <colour>) (is it|comes out|do you see)?"
    )
    return Exchange("colours", say(rng, template, a=a, b=b), mix_reply(a, b))


def _thing_of_colour(rng: random.Random) -> Exchange:
    colour = rng.choice(
        ("yellow", "blue", "green", "red", "orange", "white", "black", "brown", "pink", "purple", "grey")
    )
    things = rng.sample([t for t, c in facts.COLOUR_OF.items() if c == colour], 2)
    template = (
        "(name|<tell>|<give>|think of) (something|a thing|things that are|a thing that is|anything|something "
        "that is) {x}|"
        "(what|which) (things|thing|objects) (is|are|can be) {x}?|what comes in {x}?|give an example of something {x}|"
        "i need something {x}, an example?|(do you know|can you name) (something|anything|a thing) (that is "
        "|){x}?|what "
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
            "<colour>s of the rainbow|rainbow <colour>s?|(which|what) <colour>s can (i|you) see in a "
            "rainbow?|<colour>s of (a|the) rainbow"
            "[?]|(say|name|tell me|give me|recite) all the <colour>s of (a|the) rainbow|(what|which) <colour>s "
            "make up a "
            "rainbow?|i draw a rainbow, (what|which) <colour>s do i need?|the rainbow has (what|which) <colour>s?"
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
        "colours",
        say(rng, "(and|what about|how about|next:|ok and|now|then) {x}?", wrap=False, x=spoken),
        colour_reply(subject, verb, thing),
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
        (25, 12, 16, 8, 10, 9, 9, 8, 3),
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
        "{xs} sound like?|imitate {a}|if you were {a}, what would you say?|(what|which) (noise|sound|call) "
        "(is|comes from|"
        "belongs to|do you hear from) {a}?|{a} makes (what|which) (noise|sound)?|{a} (goes|says|calls) (what|how|...)?|"
        "(noise|sound|call) (of|for|from) {a}?|{x}: (sound|noise|what does it say)?|what does {a} call?|how "
        "does {a} call?|"
        "(i see|i hear|i met|here is|think of) {a}. what (does it say|sound does it make|noise does it "
        "make)?|on a farm, what "
        "does {a} say?|{a}'s (sound|noise|call)[?]|what is {a}'s (sound|noise|call)?|my (son|daughter) asks "
        "what {a} says|"
        "(make|do|give me) the (noise|sound) of {a}|the (sound|noise) {a} makes[ is]?|when {a} (talks|opens its "
        "mouth), what "
        "(do you|do i) hear?|what (sound|noise) would {a} make?|what do you hear from {a}?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), sound_reply(animal))


def _animal_of_sound(rng: random.Random) -> Exchange:
    if rng.random() < 0.5:
        verb = rng.choice(list(facts.ANIMAL_OF_VERB))
        template = (
            "(which|what) animal {v}?|what {v}?|who {v}?|name an animal that {v}|<tell> (an|"
            "which) animal[ that] {v}|what kind of animal {v}?|what animal is it that {v}?|something {v}, "
            "(which|what) animal "
            "is it?|it {v}. (what|who|which animal) is it?|i hear an animal that {v}, what is it?|the animal "
            "that {v} is?|"
            "(guess|tell me) the animal: it {v}|{v}: which animal?"
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
        "sound {s}?|what kind of animal (says|goes) {s}?|i hear {s}. (what|which animal) is (it|that)?|{s}: "
        "(which|what) "
        "animal?|(whose|which animal's) (sound|noise|call) is {s}?|{s} is the (sound|noise|call) of (what|which "
        "animal)?|(an|"
        "the) animal that (says|goes) {s}[ is]?|something (says|goes) {s}, (what|which animal) is it?|it "
        "(says|goes) {s}. "
        "what is it?"
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
        "{x} is called?|what name does a baby {x} have?|what do people call a baby {x}?|{x} baby[ name]?|{a}'s "
        "(baby|young|child|little one) is (called|"
        "what)?|what is {a}'s (baby|young) called?|(our|the) {x} had a baby. what (is it|do you call it|is it "
        "called)?|{a} has "
        "a (baby|little one), what is it called?|(the word|the name|a word) for a (baby|young) {x}[?]|{a} when "
        "it is (young|a "
        "baby|little) is called?|how is a (baby|young|little) {x} called?|(little|young) {xs} are called[ what]?"
    )
    return Exchange("animals", say(rng, template, **_animal_slots(animal)), baby_reply(animal))


def _parent(rng: random.Random) -> Exchange:
    baby = rng.choice(list(facts.PARENT_OF_BABY))
    template = (
        "<what is> {b}?|what animal is {b}?|{b} is (a|the) baby what?|{b} grows up to be "
        "(what|a what)?|what does {b} grow into?|what (will|does) {b} become?|what is {b} a "
        "baby of?|(which|what) animal has {b} as its (baby|young)?|{b} is the (baby|young|child) of (what|which "
        "animal)?|what "
        "will {b} be when it (grows up|is big)?|whose (baby|child) is {b}?|the (mother|parent) of {b} is?"
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
        "you know how many legs {a} has?|on how many legs does {a} (walk|stand|run)?|(i see|i draw|here "
        "is|think of) {a}. how "
        "many legs (does it have|has it)?|{a}'s legs, how many?|{x}: how many legs?|what is the number of legs "
        "of {a}?|legs of "
        "{a}?|how many legs do i draw for {a}?|does {a} have legs, and how many?|how many feet (does {a} have|has {a})?"
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
        "{a} lives where?|in what place do {xs} live?|do you know where {xs} live?|(what|which) (place|home) "
        "(is home to|does) {a}[ have]?|{a}'s home[ "
        "is]?|home of {a}?|what is the home of {xs} called?|where would {a} (live|sleep|be at home)?|where (is "
        "{a}|are {xs}) at "
        "home?|in what (home|place) does {a} live?|{xs} live (where|in what)?|where should i look for {a}?"
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
        "you know what {xs} eat?|what do you feed {a}?|(a|the) {x} is hungry, what does it eat?|{a} likes to "
        "eat what?|{xs} eat "
        "(what|which food)?|what (is|are) {a}'s (food|meals)?|what (food|meal) is (good|right) for {a}?|what "
        "(would|might) {a} "
        "eat?|what goes on {a}'s plate?|what (does {a}|do {xs}) (live on|have for lunch|like best to eat)?"
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
        "{xs} can fly?|{a} can fly, (right|yes or no|true or false)?|{xs} can fly, (right|true|yes or no)?|is "
        "{a} a flyer?|could {a} "
        "fly (over|to) (my house|the tree|the roof)?|(will|would) {a} fly (away|off)?|{x}: can it fly?|flying: "
        "can {a} do it?"
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
    user = say(
        rng,
        "(and|what about|how about|ok and|next:|then) {a}?|and the {x}?|and {xs}?",
        wrap=False,
        **_animal_slots(animal),
    )
    return Exchange("animals", user, sound_reply(animal))


def sound_question(rng: random.Random) -> Exchange:
    """A question about a sound, the only animal question with a short follow-up."""
    return _sound(rng)


def days_months(rng: random.Random) -> Exchange:
    """The order of days and months, how many there are, seasons."""
    build = rng.choices(
        (_neighbour, _count, _nth, _month_length, _season, _listing, _weekend), (37, 12, 11, 9, 12, 15, 4)
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
            "when {x} ends?|yesterday was {x}, what is today?|the {u} that comes after {x} is?|(what|which) {u} "
            "(succeeds|is next to come after|begins right "
            "after|comes once) {x}[ is over| ends]?|{x} (ends|is over|is done), (what|which {u}) "
            "(comes|follows|is next)?|{x} then "
            "(what|which {u})?|first {x}, then[ what| which {u}]?|(we have|it is) {x}[ now]. (what|which {u}) "
            "(comes|follows|is) "
            "next?|{x}'s next {u}[ is]?|{u} following {x}?|next {u} after {x}?|one {u} (after|later than) {x} "
            "is?|(say|give me) "
            "the {u} that (follows|comes after) {x}|{x} is (just |right |)before (what|which {u})?|what's after {x}?"
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
            "before {x} is?|tomorrow is {x}, what is today?|"
            "{x} is preceded by (what|which {u})?|(what|which) {u} (ends|is over|finishes) (when|as) {x} "
            "(starts|begins)?|the "
            "{u} just (ahead of|before) {x}?|(we have|it is) {x}[ now]. (what|which {u}) (came|was|is) before[ "
            "it| that]?|one {u} "
            "(before|earlier than) {x} is?|(say|give me) the {u} that (comes before|precedes|leads to) "
            "{x}|(what|which {u}) leads "
            "(up |)to {x}?|{x} (comes|is) right after (what|which {u})?|what's before {x}?|(what|which {u}) do "
            "we have just "
            "before {x}?|previous {u} before {x}?"
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
        "(what is|what's) the (length|number of days) of {x}?|{x}: how many days?|{x} (is|lasts) how (long|many "
        "days)?|for how "
        "many days does {x} last?|when {x} starts, how many days does it have?|in {x}, how many days are "
        "there?|number of days in {x}?|"
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
            "what season does {x} belong to?|what season do we have in {x}?|{x}: (which|what) season?|{x} "
            "(falls|lies) in (what|which) season?|"
            "the season of {x} is?|{x}'s season[?]|(my birthday|the party) is in {x}. (what|which) season is "
            "that?|(what|which) "
            "season (has|includes|contains|holds) {x}?"
        )
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
    name, ring, whole = rng.choice(
        (
            ("days of the week", facts.DAYS, "week"),
            ("months of the year", facts.MONTHS, "year"),
            (rng.choice(("seasons", "seasons of the year", "four seasons")), facts.SEASONS, "year"),
        )
    )
    name = name.replace("four ", "")
    short = name.split(" ")[0]
    one = short[:-1]
    called = f"({name}|{name}|{short})" if short != name else name
    template = (
        f"(what are|name|list|say|<tell>|can you name|can you list|do you know|<give>|recite|name all|list "
        f"all|tell me all|"
        f"write down|write|enumerate|spell out|count up|say all|could you list|please list|please name|i need|i "
        f"want|show me|"
        f"what are all|which are|go through) the [names of the |complete |whole |full ]{called}[ in order| "
        f"please| for me]|"
        f"all [the |{facts.NUMBER_WORDS[len(ring)]} ]{called}[ please]|(which|what) {short} are there[ in a {whole}]?|"
        f"(tell me|list|name|say|give me|recite|write) all (the |{facts.NUMBER_WORDS[len(ring)]} |){called}|list of "
        f"(the |all |all the ){called}|(a|the) [full |whole |complete ]list of (the |all |all the ){called}|{name}[?]|"
        f"(what|how) are the {called} called?|what are the names of (the |all |all the ){called}?|every {one} "
        f"of the {whole}"
        f"[, please]|(list|name|say|tell me) every {one} (of|in) the {whole}|(which|what) {short} does a {whole} have?|"
        f"a {whole} has (which|what) {short}?|(can|could|would) you (list|name|recite|say|tell me) (the|all "
        f"the|all) {called}"
        f"[ for me]?|(my son|my daughter|my child) (is learning|learns) the {called}. (what are they|list "
        f"them|name them)|"
        f"(what are|name|list) the {short} (in|of) a {whole}[ in order]?|i (forgot|don't know|want to learn) "
        f"the {called}[, "
        f"what are they?|, list them]|the {called} are[ what]?|(how many|what) {short} are there, name them "
        f"all|one {one} "
        f"after the other, all the {called}"
    )
    return Exchange("days and months", say(rng, template), f"{capitalised(join_words(list(ring)))}.")


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
