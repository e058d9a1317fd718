"""What the user tells about themselves and asks back (name, likes, age, colour, pet, city) or wants repeated.

Values come from large pools and from made-up words, so that the only way to answer is to copy them from the
conversation. Replies repeat a value exactly as it was typed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from . import facts
from .creative import BOYS, GIRLS, PETS, THINGS, synthetic_name
from .exchange import Exchange
from .grammar import capitalised, say, words
from .unknown import OTHER_CITIES, OTHER_COUNTRIES
from .vocabulary import ADJECTIVES, MASS, NOUNS, RARE_NAMES, plural

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
    """A real or made-up name, seldom with a second part, now and then typed in lower or upper case."""
    name = _one_name(rng)
    parts = rng.random()
    if parts < 0.06:
        name = f"{name}{'-' if parts < 0.015 else ' '}{_one_name(rng)}"
    case = rng.random()
    return name.lower() if case < 0.15 else name.upper() if case < 0.17 else name


def _one_name(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(NAMES if kind < 0.25 else RARE_NAMES)
    if kind < 0.6:
        return synthetic_name(rng)
    return blend(rng, NAMES) if kind < 0.8 else capitalised(scramble(rng))


def _random_like(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(LIKED)
    if kind < 0.6:
        return _vocabulary_like(rng)
    if kind < 0.75:
        noun = rng.choice(_NOUNS) if rng.random() < 0.5 else blend(rng, _LIKED_WORDS)
        return f"{rng.choice(_ADJECTIVES)} {noun}"
    word = blend(rng, _LIKED_WORDS) if rng.random() < 0.4 else scramble(rng)
    return word if rng.random() < 0.5 else word + rng.choice(("s", "ing", " music", " games", " cakes", "ball"))


def _vocabulary_like(rng: random.Random) -> str:
    """Something one may like in ordinary words: "violins", "folk music", "oak tables", "drawing ferries"."""
    things = plural(rng.choice(NOUNS))
    kind = rng.random()
    if kind < 0.25:
        return things
    if kind < 0.5:
        return rng.choice(MASS)
    if kind < 0.75:
        return f"{rng.choice(ADJECTIVES)} {things}"
    if kind < 0.9:
        return f"{rng.choice(NOUNS)} {things}"
    return f"{rng.choice(('collecting', 'drawing', 'painting', 'watching', 'making', 'looking at'))} {things}"


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
        return rng.choice(rng.choice(list(PETS.values()))) if rng.random() < 0.4 else _pet_name(rng)
    return rng.choice(CITIES) if rng.random() < 0.6 else _one_name(rng)


def _pet_name(rng: random.Random) -> str:
    return capitalised(rng.choice(NOUNS)) if rng.random() < 0.4 else _one_name(rng)


# What may stand before and after a plain telling (those of _TELL_WHOLE have their own beginning and end).
_OPENERS = (
    "(well, |so, |okay, |ok, |oh, |by the way, |btw, |just so you know, |just so you know: |in case you wonder, |in "
    "case you wondered, |in case you want to know, |if you want to know, |if you must know, |as it happens, |listen, "
    "|you should know that |you must know that |i want you to know that |i would like you to know that |let me tell "
    "you that |let me say that |i have to say that |i must (say|admit|confess) that |for your information, |fyi, "
    "|(please |)(note|remember|keep in mind|do not forget|don't forget) that |a little about me: |about me: |here is "
    "a fact about me: |to be honest, |honestly, |believe it or not, |i think i should (say|mention) that |did i "
    "mention that |did you know that |have i told you that |i told you already, |as i said, |first of all, |hello! "
    "|hi! |good evening, |good morning, |microgpt, )"
)
_CLOSERS = (
    "(, you know|, you see|, by the way|, btw|, in case you wonder|, just so you know|, if you want to know|, okay?|, "
    "ok?|, all right?|, got it?|, right?|, you know?|, will you remember that?|, can you remember that?|. remember "
    "that|, remember that|. please remember it|, do not forget|, don't forget it|. keep that in mind|, believe it or "
    "not|, as you may know|, that is all|, actually|, if that helps|, for the record|, my friend|, microgpt|, as i "
    "said)"
)

# {are}, {s} and {it} agree with {v}; {old} is the value told before or, when none was, some other one.
_TELL: dict[str, str] = {
    "name": "{v} is my name|the name i go by is {v}|everyone here calls me {v}|my (mother|father|family|mum|mom|"
    "teacher) (calls|named|called) me {v}|i was given the name {v}|i have the name {v}|they named me {v}|you are "
    "talking (to|with) {v}|my nickname is {v}|(folks|people|friends) know me as {v}|my name is {v}|my name's {v}|i "
    "am {v}|i'm {v}|i am called {v}|(call|you can call|you may call) me {v}|this is {v}|(people|they|friends|"
    "everyone) call[s] me {v}|the name is {v}|name's {v}|my first name is {v}|it's {v}|please call me {v}|just call "
    "me {v}|i go by {v}|i'm named {v}|my friends call me {v}|i was named {v}|my name is {v}|i am {v}|"
    "my name happens to be {v}|i happen to be called {v}|my full name is {v}|the full name is {v}|my given name is "
    "{v}|my real name is {v}|my second name is {v}|my name would be {v}|my name will always be {v}|my parents (chose|"
    "picked|gave me) the name {v}|the name my parents (chose|picked) (is|was) {v}|the name on my (passport|door|"
    "birth certificate|badge|school book) is {v}|the person (typing|writing|talking to you|in front of you) is "
    "[called ]{v}|the one (who is typing|talking to you) is {v}|you are (chatting|speaking) (to|with) {v}|"
    "i (would|'d) like to be called {v}|i (want|prefer|like) to be called {v}|i prefer the name {v}|i prefer {v}|you "
    "should call me {v}|feel free to call me {v}|everybody says {v} to me|i answer to {v}|i answer to the name [of ]"
    "{v}|i am known as {v}|i am better known as {v}|most people know me as {v}|at (home|school|work) they call me "
    "{v}|at (home|school|work) i am {v}|my (colleagues|classmates|neighbours|neighbors|kids) call me {v}|i sign as "
    "{v}|i was (baptised|baptized|christened) {v}|i was born {v}|they call me {v} for short|{v} is what (people|they|"
    "my friends) call me|{v} is what i am called|{v} is the name|{v} is my first name|{v} is my nickname|{v} is how "
    "people know me|{v} is who i am|it is {v} you are talking to|it is me, {v}|it's me, {v}|me, i am {v}|me {v}|"
    "i am not {old} but {v}|my name is not {old} but {v}|i am not {old}, i am {v}|my name is not {old}, it is {v}|"
    "it is not {old}, it is {v}|my name is {v}, not {old}|i am {v}, not {old}|not {old} but {v} is my name|call me "
    "{v}, not {old}|call me {v} instead of {old}|people think i am {old}, but i am {v}|i used to be {old}, but now "
    "i am {v}|my name was {old}, now it is {v}|i have a name, (and |)it is {v}|i have a (strange|rare|long|nice|"
    "short|simple|beautiful) name: {v}|my name is (simple|easy|hard|long|rare|unusual): {v}|the letters of my name "
    "are {v}|my name reads {v}|my name is spelled {v}|my name is written {v}|i do not say this to everyone, but my "
    "name is {v}|i have not told you yet, but i am {v}|i forgot to say that i am {v}|i forgot to introduce myself, "
    "i am {v}|i never told you my name, it is {v}|you do not know me yet, i am {v}|you asked for my name, it is {v}|"
    "my username is {v}|my pen name is {v}|my stage name is {v}|my name, it is {v}|my name = {v}|my name: {v}|save "
    "my name as {v}|write down my name: {v}|learn my name: {v}|note my name, {v}|remember me as {v}|think of me as "
    "{v}",
    "like": "i am (interested in|mad about|keen on) {v}|i (do|quite|simply|just|always|truly|also|even|still) (like|"
    "love|enjoy) {v}|{v} {are} (what|something|a thing) i (really |)(like|love|enjoy)|my favourite thing is {v}|i "
    "like {v} more than the rest|what i (love|enjoy) (most|best) is {v}|(on weekends|in summer|at home|after work|in "
    "the evening) i (like|enjoy|love) {v}|i like {v}|i love {v}|i really like {v}|i like {v} a lot|i like {v} very "
    "much|i enjoy {v}|i am (a fan of|into|fond of|crazy about) {v}|what i like is {v}|i adore {v}|i'm a big fan of "
    "{v}|{v} {are} my <favourite> thing|i like {v} most|i like {v} best|i like {v}|i love {v}|my hobby is {v}|the "
    "thing i like (most|best) is {v}|i absolutely love {v}|i've always (liked|loved) {v}|one thing i like is {v}|"
    "nothing beats {v}|{v} make{s} me happy|"
    "i have a (weakness|soft spot|thing|passion|love|liking|taste|great love) for {v}|i (can't|cannot|can not|can "
    "never|could never) get enough of {v}|i am (big on|partial to|hooked on|wild about|nuts about|obsessed with|"
    "addicted to|passionate about|devoted to|enthusiastic about|in love with|very much into|all about|a lover of|a "
    "friend of|a great fan of|an admirer of|a huge fan of|taken with|happy with|fascinated by|charmed by|really into|"
    "totally into|quite taken by) {v}|i'm (big on|partial to|hooked on|wild about|nuts about|obsessed with|addicted "
    "to|passionate about|all about|really into|so into|mad about|fond of|keen on) {v}|my (big |great |only |true |"
    "secret |)passion is {v}|my (great love|one true love|guilty pleasure|weakness|interest|main interest|main hobby|"
    "<favourite> hobby|<favourite> pastime|pastime|joy|thing|cup of tea) is {v}|{v} {are} my (passion|thing|hobby|"
    "weakness|great love|cup of tea|interest|joy|guilty pleasure)|{v} {are} (great|the best|wonderful|lovely|so nice|"
    "amazing), i love {it}|{v} {are} the best thing (there is|in the world|ever)|{v} {are} what i (live for|"
    "love|enjoy|like)|{v} bring{s} me joy|{v} give{s} me joy|{v} always make{s} me smile|{v} cheer{s} me up|{v} "
    "really please{s} me|i could (talk about|think about|enjoy|dream of) {v} all day|i could spend (hours|days|all "
    "day|my life) with {v}|i spend my (days|free time|evenings|weekends) with {v}|i (live for|dream of|care about|"
    "delight in|treasure|cherish|appreciate|worship|fancy|dig|prefer) {v}|i take (pleasure|delight) in {v}|i find "
    "{v} (great|wonderful|fascinating|delightful|lovely|awesome)|i think {v} {are} (great|wonderful|lovely|awesome|"
    "the best)|i (grew up with|fell in love with|have fallen for|got into|recently discovered|discovered) {v} and i "
    "love (it|them)|i have (liked|loved|enjoyed|adored) {v} (for years|since i was a child|all my life|for a long "
    "time)|as a child i (liked|loved) {v} and i still do|i used to (like|love) {old}, but now i (like|love) {v}|i "
    "(once|first) liked {old}, now i like {v}|i do not like much, but i (like|love) {v}|i do not love many things, "
    "but i love {v}|there is not much i like, except {v}|i like nothing (more|better) than {v}|there is nothing i "
    "like (more|better) than {v}|there is nothing better than {v}|nothing is better than {v}|nothing makes me happier "
    "than {v}|i do not like {old}, i like {v}|i don't like {old} but i (like|love|enjoy) {v}|not {old} but {v} {are} "
    "what i like|i like {v}, not {old}|i like {v} more than {old}|i prefer {v} to {old}|i hate {old}, but i love {v}|"
    "of all things, i like {v} (best|most)|most of all i (like|love|enjoy) {v}|above all i (like|love|enjoy) {v}|the "
    "best thing in (life|the world) is {v}|the thing i (love|enjoy|cannot live without) is {v}|something i (like|"
    "love|enjoy|really like) is {v}|one of the things i (like|love|enjoy) is {v}|a thing i really (like|love|enjoy) "
    "is {v}|if i like one thing, it is {v}|if there is one thing i (like|love), it is {v}|what makes me happy is {v}|"
    "what i cannot live without is {v}|i (cannot|can't|could not) live without {v}|i would not want to live without "
    "{v}|my heart belongs to {v}|my heart beats for {v}|i am happiest with {v}|all i (need|want) is {v}|give me {v} "
    "and i am happy|i happen to (like|love|enjoy) {v}|i (must|have to) (admit|confess) i like {v}|i am the kind of "
    "person who (likes|loves|enjoys) {v}|i am someone who (likes|loves|enjoys) {v}|what i like (doing |to see |)is "
    "{v}|i get excited about {v}|i never get tired of {v}|i never tire of {v}|i never say no to {v}|i can't resist "
    "{v}|i cannot say no to {v}|(everyone knows|my friends know|my family knows) that i (like|love) {v}|i like: {v}|"
    "my likes: {v}|likes: {v}|love {v}|i really really (like|love) {v}|i like {v} so much|i enjoy {v} a "
    "great deal|i love {v} to bits|i love {v} with all my heart|put {v} down as something i like|remember i like {v}",
    "age": "i am {v}[ years old]|i'm {v}[ years old]|my age is {v}|i just turned {v}|i am {v} years old|i turned {v} "
    "today|i'm {v} now|i am a {v} year old|i am aged {v}|i have turned {v}|i turned {v} (last week|yesterday|this "
    "year|last month)|i am already {v}|i am only {v}|i am {v} years of age|i'm {v} yrs old|my age: {v}|age: {v}|i "
    "celebrated my birthday, i am {v} now|it is my birthday, i am {v}|i happen to be {v} years old|i have lived for "
    "{v} years|{v} is my age|{v} years old, that is me|i am not {old}, i am {v}|i am {v}, not {old}|people think i am "
    "{old}, but i am {v}|i am {v} but i feel like {old}",
    "colour": "my <favourite> <colour> is {v}|i like the <colour> {v}[ best]|{v} is my <favourite> <colour>|the "
    "<colour> i like (most|best) is {v}|my <favourite> is {v}, the <colour>|for me the best <colour> is {v}|i (love|"
    "adore|prefer) the <colour> {v}|no <colour> is (nicer|better|prettier) than {v}|of all <colour>s i like {v} (best|"
    "most)|the <colour> {v} is my <favourite>|my <favourite> <colour> happens to be {v}|the (best|nicest|prettiest) "
    "<colour> is {v}|my <colour> is {v}|my <favourite> <colour> has always been {v}|{v} is the <colour> i (like|love|"
    "prefer)|if i had to pick a <colour>, it is {v}|my <favourite> <colour> is not {old} but {v}|my <favourite> "
    "<colour> was {old}, now it is {v}|<favourite> <colour>: {v}|the <colour> of my heart is {v}",
    "pet": "my (dog|cat|pet|hamster|rabbit|parrot|horse) is (called|named) {v}|i have a (dog|cat|pet|rabbit|parrot|"
    "pony|hamster) (called|named) {v}|my (dog|cat|pet|hamster|fish)'s name is {v}|my pet is {v}|the name of my (dog|"
    "cat|pet) is {v}|i (own|keep|live with) a (dog|cat|rabbit|parrot|turtle) (called|named) {v}|i named my (dog|cat|"
    "pet|hamster) {v}|we (call|named) our (dog|cat|pet) {v}|we have a (dog|cat|rabbit|pony) (called|named) {v}|we got "
    "a (puppy|kitten|dog|cat) and named (it|him|her) {v}|{v} is my (dog|cat|pet|hamster|rabbit)|{v} is the name of my "
    "(dog|cat|pet)|my (dog|cat|pet) answers to {v}|my (little|old|new) (dog|cat|rabbit) is {v}|my (dog|cat|pet), its "
    "name is {v}|i have a (dog|cat|pet), and (its|his|her) name is {v}|my (dog|cat|pet) is not called {old} but {v}|"
    "my (best friend|companion) is my (dog|cat), {v}|my pet happens to be called {v}|my pet: {v}",
    "city": "i live in {v}|i'm from {v}|i am from {v}|my home is {v}|i come from {v}|my city is {v}|my town is {v}|i "
    "am living in {v}|i was born in {v}|greetings from {v}|i (reside|dwell) in {v}|my home (town|city) is {v}|"
    "my hometown is {v}|i grew up in {v}|i have lived in {v} (for years|all my life)|i moved to {v}|my (house|flat|"
    "apartment) is in {v}|i am at home in {v}|{v} is my home|{v} is where i live|{v} is my (city|town|hometown)|the "
    "(city|town|place) i live in is {v}|the place where i live is [called ]{v}|i am based in {v}|we live in {v}|my "
    "family lives in {v} and so do i|i am writing (to you |)from {v}|i do not live in {old} but in {v}|i left {old} "
    "and live in {v} now|i live in {v}, not in {old}|i happen to live in {v}|you can find me in {v}",
}
_TELL_WHOLE: dict[str, str] = {
    "name": "(hi|hello|hey|good morning|good evening|good day|hi there|hey there|hello there)[,] (i'm|i am|my name is|"
    "it's|this is|it is|they call me|my name's|the name is) {v}|(hi|hello|hey)[,] {v} here|{v} here|{v}, that is my "
    "name|{v}, that's me|{v} is my name, what is yours?|allow me to introduce myself: {v}|may i introduce myself? i "
    "am {v}|let me introduce myself, i'm {v}|let me introduce myself: my name is {v}|i should introduce myself, i am "
    "{v}|remember my name: {v}|my name is {v}, (what is|what's|and) yours?|i'm {v}, and you?|my name is {v}, nice to "
    "meet you|i'm {v}, (nice|pleased|glad|happy) to meet you|nice to meet you, i am {v}|nice to meet you too, my name "
    "is {v}|pleased to meet you, i'm {v}|remember that (i am|my name is) {v}|name: {v}|i bet you forgot that my name "
    "is {v}|what do you think of my name? it is {v}|do you like my name? it is {v}|guess my name! it is {v}|want to "
    "know my name? it is {v}|you want to know who i am? i am {v}|who am i? i am {v}|do you know who i am? i am {v}|"
    "can you remember my name? it is {v}|can you call me {v}?|could you call me {v}?|would you call me {v}?|will you "
    "call me {v}?|is {v} a nice name? it is mine|my name is {v}. say hello|say hello to {v}, that is me|(greetings|"
    "howdy|hiya|yo), i am {v}|i am {v}, isn't that a nice name?|my name is {v}, isn't it nice?|the name's {v}, "
    "remember it|how do you do, i am {v}",
    "like": "i like {v}, and you?|i like {v}, do you?|i (like|love|enjoy) {v}, don't you?|i (like|love) {v}, how about "
    "you?|i (like|love|enjoy) {v}, what about you?|do you like {v}? i do|do you like {v}? i love {it}|you know "
    "what i like? {v}|you know what i love? {v}|guess what i like: {v}|want to know what i like? {v}|what do i like? "
    "{v}|{are}n't {v} great? i love {it}|who does not like {v}? i do|{v}! i love {it}|{v}, that is what i "
    "like|{v}, that is my thing|ah, {v}, i love {it}|oh how i love {v}|how i love {v}|yes, i like {v}|can you "
    "remember that i (like|love) {v}?|i (like|love|enjoy) {v}, doesn't everyone?|ask me what i like and i say {v}",
}

# How one asks for what was told before; "what my name is" and the like follow.
_TELL_ME = (
    "(can you tell me|could you tell me|would you tell me|will you tell me|please tell me|tell me|tell me again|do "
    "you know|do you still know|do you remember|do you still remember|do you recall|can you remember|can you recall|"
    "can you still say|i wonder if you know|i wonder|i am wondering|i was wondering|remind me|please remind me|can you "
    "remind me|i would like to know|i'd like to know|i want to know|i forgot|i have forgotten|let me know|any idea|"
    "are you able to say|have you forgotten|did you forget|did you notice|would you know|let me hear|try to remember|"
    "let us see if you know|i hope you remember|you do remember, i hope,|say)"
)

_ASK: dict[str, str] = {
    "name": "what('s| is) my name?|what is my name?|do you (remember|know) my name?|who am i?|what('s| is) my name "
    "again?|my name is?|tell me my name|can you tell me my name?|what (am i called|did i say my name was|do you call "
    "me|was my name)?|do you know who i am?|so, what is my name?|what name did i (tell|give) you?|remember my name?|"
    "say my name|what did i tell you my name (was|is)?|you remember my name, right?|how am i called?|and my name?|"
    "what was my name again?|have you forgotten my name?|which name do i have?|what do people call me?|who is talking "
    "to you?|i forgot my name, what is it?|what should you call me?|"
    f"{_TELL_ME} (what my name is|what my name was|my name|who i am|what i am called|how i am called|what name i gave "
    "you|what i said my name was|which name i told you|what people call me|what you should call me)?|"
    f"{_TELL_ME} (what my name is|my name|who i am)?|"
    "(by the way|now|so|okay|btw), what('s| is|was) my name?|what name did i (mention|use|say|write|introduce myself "
    "with)?|which name did i (give|tell you|mention|say|use)?|i (told|gave) you my name, (what is|what was) it?|i "
    "mentioned my name (before|earlier), what was it?|i said my name (before|earlier), what was it?|did i tell you my "
    "name?|have i told you my name?|did i mention my name?|i bet you (forgot|have forgotten|do not know|don't "
    "remember) my name|you (forgot|have forgotten) my name, (right|haven't you|didn't you)?|you know my name, (right|"
    "don't you)?|you know who i am, (right|don't you)?|you (must|should) know my name|surely you know my name|i hope "
    "you remember my name|name?|my name?|my name|my name, please|my name again?|who i am?|who am i again?|who am i, "
    "then?|who is this?|who are you talking to?|who are you (speaking|chatting) (to|with)?|with whom are you (talking|"
    "speaking)?|to whom are you talking?|who is (writing|typing|speaking) (to you|here)?|what is the name of the "
    "person (you are talking to|talking to you|in front of you)?|what is the name i (gave|told) you?|what was the name "
    "i (gave|told|mentioned to) you?|the name i told you was?|how do (people|you|my friends) call me?|what do my "
    "friends call me?|what would you call me?|what can you call me?|how should you call me?|how would you greet me by "
    "name?|greet me by [my ]name|call me by my name|use my name|repeat my name|can you repeat my name?|can you say my "
    "name?|could you say my name[ again]?|please say my name|spell out my name|what name do i go by?|by which name do "
    "you know me?|under what name do you know me?|what is my first name?|what is my nickname?|what is my full name?|"
    "what's the name i go by?|test: what is my name?|memory test: what is my name?|let us test your memory: what is my "
    "name?|what name am i known by?|is my name still in your memory?|you still know my name?|still know my name?|still "
    "remember my name?|still remember me? what is my name?|do you remember who i am?|did you "
    "forget my name?|did you forget who i am?|what did i say i am called?|what did i say my name is?|how did i "
    "introduce myself?|as who did i introduce myself?|i said who i am, who am i?|guess who i am|what name have i got?|"
    "what name do i have?|you called me what?|my name was what?|my name is what?|so my name is?|and i am?|i am called "
    "what?",
    "like": "what (was|is) my <favourite> thing?|what do i like (doing|to do)?|what was the thing i (like|liked)?|"
    "which thing did i say i (like|love|enjoy)?|what do i like?|what do i (love|enjoy|like)?|do you (remember|know) "
    "what i like?|what did i say i like[d]?|tell me what i like|what (was it|is it) (that |)i like?|what is it i like?|"
    "what did i tell you[ that] i like?|so what do i like?|what thing do i like?|can you tell me what i like?|what do "
    "i like[ best| most| again]?|which thing do i like?|and what do i like?|remember what i like?|what am i (into|fond "
    "of|a fan of)?|name something i like|what did i say i love?|do you recall what i like?|what are my likes?|say what "
    "i like|what kind of thing do i like?|"
    f"{_TELL_ME} what (i like|i love|i enjoy|i am into|i am fond of|i like most|i like best|my hobby is|my passion is|"
    "makes me happy|i said i like|i said i love|i told you i like|i mentioned that i like|i am a fan of|my <favourite> "
    "thing is|things i like|i care about)?|"
    f"{_TELL_ME} what (i like|i love|i enjoy)?|"
    "(by the way|now|so|okay|btw), what (do|did) i (like|love|enjoy)?|what am i (keen on|mad about|crazy about|"
    "interested in|passionate about|hooked on|big on|partial to|obsessed with)?|what is my (hobby|passion|weakness|"
    "interest|great love|guilty pleasure|pastime)?|what was my (hobby|passion|interest)[ again]?|what are my (hobbies|"
    "interests|preferences)?|what makes me happy?|what (brings|gives) me joy?|what can i not get enough of?|what do i "
    "have a (weakness|soft spot) for?|what do i (adore|prefer|fancy|care about|appreciate|cherish|live for)?|what did "
    "i (mention|say|tell you) (that |)i (like|love|enjoy)?|i told you what i (like|love), what (was|is) it?|i "
    "mentioned something i (like|love), what (was|is) it?|i said i like something, what was it?|i like something, what "
    "is it?|there is something i like, what is it?|what was it that i (like|liked|love|enjoy)[ again]?|what was the "
    "thing i (love|enjoy|mentioned liking)?|which thing do i (love|enjoy|prefer|like best|like most)?|which thing "
    "makes "
    "me happy?|did i tell you what i like?|have i told you what i like?|did i mention what i like?|i bet you (forgot|"
    "do not know|don't remember) what i (like|love)|you (forgot|have forgotten) what i like, (right|didn't you|haven't "
    "you)?|you know what i like, (right|don't you)?|you remember what i like, (right|don't you)?|you should know "
    "what i "
    "like|i hope you remember what i like|what i like?|what i like|my likes?|my hobby?|my hobby|my passion?|i like "
    "what?|i like...|i love what?|so i like?|and i like?|and what i like?|complete this: i like|what do i like, then?|"
    "what do i like so much?|what do i like a lot?|what do i really like?|what do i enjoy (most|best|doing)?|what do i "
    "love (most|best|doing)?|what sort of thing do i (like|love|enjoy)?|what kind of things do i (like|love|enjoy)?|"
    "name one thing i (like|love|enjoy)|name a thing i like|name my hobby|give me one thing i like|mention something i "
    "like|is there anything i like?|what would i like?|what would make me happy?|what could make me happy?|what is "
    "dear to me?|what is my thing?|what is the thing i like?|what is the thing i (love|enjoy|said i like)?|what is it "
    "that i (love|enjoy|like)?|what is something i (like|love|enjoy)?|test: what do i like?|memory test: what do i "
    "like?|let us test your memory: what do i like?|have you forgotten what i like?|did you forget what i (like|love)?|"
    "still know what i like?|still remember what i (like|love)?|what have i told you i like?|what have i said i (like|"
    "love|enjoy)?|what did you note that i like?|did you remember what i like?|repeat what i like",
    "age": "how old am i?|what('s| is) my age?|do you (remember|know) (my age|how old i am)?|tell me my age|how old "
    "did i say i am?|my age?|"
    f"{_TELL_ME} (how old i am|my age|what my age is|what age i am)?|how old am i (again|now)?|what age am i?|how many "
    "years old am i?|what was my age[ again]?|what age did i (tell you|mention|say)?|how old did i (say i was|tell you "
    "i am)?|i told you my age, what (is|was) it?|i bet you forgot (my age|how old i am)|you know how old i am, right?|"
    "my age|guess my age|how old is the person talking to you?|how old would you say i am?",
    "colour": "what('s| is) my <favourite> <colour>?|which <colour> do i like[ best]?|do you (remember|know) my "
    "<favourite> <colour>?|my <favourite> <colour>?|what <colour> do i like?|"
    f"{_TELL_ME} (my <favourite> <colour>|what my <favourite> <colour> is|which <colour> i like|what <colour> i like "
    "best)?|what was my <favourite> <colour>[ again]?|which <colour> is my <favourite>?|which <colour> do i (love|"
    "prefer|adore)?|what <colour> did i (mention|say i like|tell you)?|which <colour> did i say i like?|i told you my "
    "<favourite> <colour>, what (is|was) it?|i bet you forgot my <favourite> <colour>|what is the <colour> i like "
    "(best|most)?|my <colour>?|of all <colour>s, which do i like best?|what <colour> would i choose?",
    "pet": "what('s| is) my (pet|dog|cat|pet)('s name| called)?|what is the name of my (pet|dog|cat)?|do you "
    "(remember|know) my (pet|dog|cat)'s name?|what did i call my (pet|dog|cat)?|"
    f"{_TELL_ME} (the name of my (pet|dog|cat)|what my (pet|dog|cat) is called|my (pet|dog|cat)'s name)?|what was my "
    "(pet|dog|cat) called[ again]?|what was the name of my (pet|dog|cat)?|how is my (pet|dog|cat) called?|what do i "
    "call my (pet|dog|cat)?|what name did i give my (pet|dog|cat)?|which name does my (pet|dog|cat) have?|what did i "
    "name my (pet|dog|cat)?|i told you about my pet, what is its name?|i bet you forgot my (pet|dog|cat)'s name|my "
    "(pet|dog|cat)'s name?|my pet is called what?|what did i say my (pet|dog|cat) is called?|who is my pet?",
    "city": "where do i live?|where am i from?|what is my (city|home|town)?|do you (remember|know) where i live?|which "
    "(city|town) do i live in?|in which (city|town) do i live?|"
    f"{_TELL_ME} (where i live|where i am from|which (city|town) i live in|where my home is|what my city is)?|where do "
    "i live (again|now)?|where did i say i live?|where did i tell you i live?|what (city|town) did i mention?|what "
    "(city|town) (do i come from|am i from|do i live in)?|where do i come from?|where is my (home|house)?|what is my "
    "home (town|city)?|what is my hometown?|i told you where i live, where (is|was) it?|i bet you forgot where i live|"
    "you know where i live, right?|my (city|town|hometown)?|what is the (name of my (city|town)|place i live in)?|in "
    "what place do i live?|where was i from[ again]?",
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


_NOW: dict[str, str] = {
    "name": "my name is {v}|call me {v}|i am {v}|it is {v}|my real name is {v}|i go by {v}|you should call me {v}|{v} "
    "is my name",
    "like": "i like {v}|i love {v}|i prefer {v}|it is {v} that i like|i am into {v}|i enjoy {v}|what i like is {v}",
    "age": "i am {v}|i am {v} years old|my age is {v}",
    "colour": "my <favourite> <colour> is {v}|i like the <colour> {v}",
    "pet": "my pet is called {v}|the name of my pet is {v}",
    "city": "i live in {v}|my home is {v}|i moved to {v}",
}
# The same with the value told before in it.
_NOT_OLD: dict[str, str] = {
    "name": "my name is not {old}, it is {v}|my name is not {old} but {v}|i am not {old}, i am {v}|it is not {old}, it "
    "is {v}|not {old}, {v}|call me {v} instead of {old}|i am no longer {old}, i am {v} now|forget {old}, call me {v}",
    "like": "i do not like {old}, i like {v}|i don't like {old} any more, i like {v}|not {old} but {v}|not {old}, "
    "{v}|i "
    "like {v} more than {old}|i am tired of {old}, now i like {v}|forget {old}, i like {v}|i prefer {v} to {old}",
    "age": "i am not {old}, i am {v}|i am not {old} but {v}|not {old}, {v}",
    "colour": "my <favourite> <colour> is not {old} but {v}|not {old}, {v}|it is not {old}, it is {v}",
    "pet": "my pet is not called {old} but {v}|it is not {old}, it is {v}|my pet's name is not {old}, it is {v}",
    "city": "i do not live in {old} but in {v}|i moved from {old} to {v}|i no longer live in {old}, i live in {v}",
}


def tell(rng: random.Random, told: Told, kind: str | None = None) -> Exchange:
    """The user tells something, or corrects it; `told` keeps the value."""
    kind = kind or _pick_kind(rng)
    value = _value(kind, rng)
    old = told.values.get(kind) or _value(kind, rng)
    while value.lower() == old.lower():
        value = _value(kind, rng)
    if kind in told.values and rng.random() < 0.8:
        template = _correction(kind)
        reply = {"name": "Oh, then hello {v}!", "like": "All right, so you like {v}."}.get(
            kind, "All right, I will remember {v}."
        )
    else:
        template = _telling(kind, rng)
        reply = rng.choice(_NOTED[kind])
    user = _typed(rng, template, v=value, old=old)
    shown = capitalised(value) if kind == "pet" and reply.startswith("{v}") else value
    told.values[kind] = value
    if kind == "name" and "yours" in user.lower():
        reply = "Nice to meet you, {v}! My name is microgpt."
    return Exchange(TOPIC, user, reply.replace("{v}", _yours(shown)))


def _telling(kind: str, rng: random.Random) -> str:
    """A template that tells a value, sometimes with a filler before or after it."""
    if kind in _TELL_WHOLE and rng.random() < 0.2:
        return _TELL_WHOLE[kind]
    opener = _OPENERS if rng.random() < 0.15 else ""
    closer = _CLOSERS if rng.random() < 0.1 else ""
    return f"{opener}({_TELL[kind]}){closer}"


def _correction(kind: str) -> str:
    return (
        "(actually|no|sorry|wait|correction|no wait|oh, sorry|i lied|i was joking|i made a mistake|that was wrong|i "
        f"changed my mind|oops|my mistake), ({_NOW[kind]})|(actually|in fact|really) ({_NOW[kind]}), not {{old}}|i "
        f"mean, "
        f"({_NOW[kind]})|now ({_NOW[kind]})|({_NOW[kind]}) now|from now on, ({_NOW[kind]})|[no, |sorry, |wait, "
        f"|actually, ]"
        f"({_NOT_OLD[kind]})|({_NOW[kind]}), not {{old}}"
    )


_SINGULAR_IN_S = frozenset(
    words(
        "tennis maths physics chess gymnastics athletics aerobics pilates darts billiards politics economics "
        "mathematics asparagus hummus news"
    )
)


def _is_plural(value: str) -> bool:
    """Whether the verb after the value is plural; a made-up word goes by its last letters."""
    first, last = value.split(" ")[0], value.split(" ")[-1].lower()
    if first.endswith("ing") and " " in value:
        return False
    if last in ("mice", "geese", "men", "women", "children", "sheep", "cacti", "people"):
        return True
    return last.endswith("s") and not last.endswith(("ss", "us", "is")) and last not in _SINGULAR_IN_S


def _typed(rng: random.Random, template: str, **slots: Any) -> str:
    """A message that holds the values exactly as given; {are}, {s} and {it} agree with {v}."""
    many = _is_plural(slots["v"])
    agreeing: dict[str, Any] = {"are": "are", "s": "", "it": "them"} if many else {"are": "is", "s": "s", "it": "it"}
    return say(rng, template, wrap=False, verbatim=True, **agreeing, **slots)


def _yours(value: str) -> str:
    """A value as the model repeats it: the user's "my garden" is "your garden" to the model."""
    return "your" + value[2:] if value.startswith("my ") else value


def tell_two(rng: random.Random, told: Told) -> Exchange:
    """Name and like in one message."""
    name, like = random_name(rng), _random_like(rng)
    told.values["name"], told.values["like"] = name, like
    is_called = (
        "(my name is|i am|i'm|hi, i'm|hello, my name is|call me|people call me|they call me|i am called|this is|hello, "
        "i am|my name's|the name is|you can call me|hey, it's|i go by)"
    )
    likes = (
        "(like|love|really like|enjoy|adore|cannot get enough of|am into|am fond of|am a fan of|am keen on|have a "
        "weakness for|live for|am crazy about|am big on|am passionate about)"
    )
    template = (
        f"{is_called} {{n}}( and|, and|.|,) i {likes} {{v}}|{is_called} {{n}}( and|,) (my hobby|my passion|my "
        f"<favourite> thing) is {{v}}|i {likes} {{v}} and (my name is|i am|people call me) {{n}}|{is_called} {{n}}, "
        f"someone who (likes|loves|enjoys) {{v}}|i am {{n}} who (likes|loves) {{v}}|two things about me: my name is "
        f"{{n}} and i {likes} {{v}}|{{n}} is my name and {{v}} {{are}} my (passion|thing|hobby)|name: {{n}}, likes: "
        f"{{v}}"
    )
    user = _typed(rng, template, n=name, v=like)
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
        "remember) about me?|what have i told you[ about me]?|"
        f"{_TELL_ME} (who i am and what i like|my name and what i like|what i told you about me)?|what did i tell you "
        "about (me|myself)?|what did i say about (me|myself)?|tell me what you know about me|tell me about me"
    )
    reply = f"{_recall(rng, told, 'name')} {_recall(rng, told, 'like')}"
    return Exchange(TOPIC, say(rng, template), reply)


_ECHO = (
    "repeat after me: {v}|repeat after me, {v}|repeat after me {v}|repeat: {v}|repeat {v}|repeat this: {v}|(please |)"
    "repeat the (words|following|text): {v}|repeat what i say: {v}|repeat exactly: {v}|say {v}|say: {v}|say this: {v}|"
    "(just|simply|now|please|only) say {v}|please say: {v}|say exactly: {v}|say after me: {v}|can you say {v}?|can you "
    "say: {v}?|could you say {v}?|would you say '{v}'?|i want you to say {v}|i'd like you to say: {v}|let me hear you "
    "say {v}|echo {v}|echo: {v}|echo this: {v}|please echo {v}|can you echo '{v}'?|can you repeat '{v}'?|can you "
    "repeat "
    "{v}?|could you repeat {v}?|could you please repeat: {v}|will you repeat this for me: {v}|can you repeat after me: "
    "{v}|type {v}|type: {v}|type this: {v}|please type {v}|can you type '{v}'?|copy {v}|copy this: {v}|copy: {v}|copy "
    "these words: {v}|please copy the following: {v}|copy what i write: {v}|write exactly this: {v}|write these words: "
    "{v}|print {v}|print: {v}|output: {v}|answer with: {v}|answer with exactly these words: {v}|reply with: {v}|reply "
    "with '{v}'|reply only with {v}|respond with: {v}|give me back these words: {v}|send back: {v}|send this back to "
    "me: "
    "{v}|parrot this: {v}|be my parrot: {v}|be a parrot and say {v}|play parrot: {v}|tell me this: {v}|say it with me: "
    "{v}|say the (word|words) {v}|repeat the (word|words) {v}|i say, you repeat: {v}|say back to me: {v}|say that "
    "again: "
    "{v}|quote me: {v}|say '{v}'|repeat '{v}'|please repeat '{v}'|try to say {v}|now you say it: {v}"
)


def echo(rng: random.Random) -> Exchange:
    """The user asks for some words to be repeated; the reply is exactly these words."""
    count = rng.choices(range(1, 7), (30, 24, 18, 12, 9, 7))[0]
    text = " ".join(_echo_word(rng) for _ in range(count))
    opener = "(please|hey,|now,|ok,|okay,|hi,|well,) " if rng.random() < 0.06 else ""
    return Exchange(TOPIC, say(rng, f"{opener}({_ECHO})", wrap=False, verbatim=True, v=text), text)


def _echo_word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(NOUNS)
    if kind < 0.45:
        return rng.choice(ADJECTIVES)
    if kind < 0.6:
        return _one_name(rng)
    if kind < 0.8:
        return scramble(rng)
    if kind < 0.95:
        return blend(rng, _LIKED_WORDS)
    return str(rng.randint(2, 999))
