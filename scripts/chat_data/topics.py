"""What poems and stories are about, and the pools of names and things the topics come from."""

from __future__ import annotations

import random
from dataclasses import dataclass

from . import facts
from .grammar import capitalised, words
from .vocabulary import ADJECTIVES, MASS, NOUNS, RARE_NAMES, plural

# Ways to ask for another of the same.
ANOTHER = (
    "another[ one][ please]|one more[ please]|again|tell me another[ one]|next one|more[ "
    "please]|do you have another[ one]?|a different one|can i have another?|give me another "
    "one|(lovely|nice|great|good), another[ one]|do it again|and another[ one]|got (another|more)?|"
    "i want (another|one more)|(once|one time) more"
)

# Pools of names; the evaluation names none of its people from them.
GIRLS: tuple[str, ...] = words(
    "Anna Bella Clara Daisy Ella Freya Grace Hannah Iris Julia Kate Lily Mia Nora Olive Poppy "
    "Rose Sara Tess Una Vera Wendy Zoe Alice Emma Ruby Lucy Eva Nina Leah Molly Amy Ivy Elsa "
    "Ida Luna Maya Sofia Greta Holly Jane Lola Maria Nelly Paula Stella Tina Violet"
)
BOYS: tuple[str, ...] = words(
    "Adam Ben Carl David Eli Felix George Harry Ian Jack Kurt Leo Max Noah Oscar Paul Quentin "
    "Ryan Sam Tom Victor Will Zack Alex Bruno Daniel Erik Finn Henry Jacob Liam Luke Martin "
    "Nick Oliver Peter Robin Simon Theo Toby Mark Hugo Arthur Otto Emil Jonas Milo Ned"
)

THINGS: tuple[str, ...] = words(
    "the sea, the moon, the stars, the sun, the rain, the wind, snow, the snow, spring, "
    "summer, autumn, winter, the night, the forest, a river, a flower, flowers, a tree, "
    "trees, a rose, friendship, love, music, dreams, home, a garden, a castle, a ship, a "
    "train, trains, a bridge, a mountain, mountains, an island, a cloud, clouds, a rainbow, "
    "books, a book, a song, a star, a feather, a kite, a balloon, a lighthouse, the city, the "
    "beach, a lamp, a candle, tea, coffee, bread, cake, apples, a key, a door, a window, my "
    "garden, my cat, my dog, my mother, my friend, my sister, my brother, my house, my bike, "
    "my school, school, happiness, hope, peace, time, light, the colour blue, the colour red, "
    "sleep, a computer, computers, a clock, an old clock, Christmas, birthdays, a birthday, a "
    "puddle, fire, water, a leaf, leaves, a hat, shoes, chocolate, ice cream, football, "
    "Monday, Sunday, the morning, a boat, a lake, the desert, a map, a bell, bells, a toy, a "
    "letter, words, soup, a spoon, a storm, thunder, the dark, a shadow, honey, a picture, "
    "silence, a wish, the north wind, my grandmother, my grandfather, gold"
)

CREATURES: tuple[str, ...] = words(
    "fox, mouse, bear, owl, cat, dog, rabbit, frog, duck, dragon, robot, hedgehog, squirrel, "
    "turtle, penguin, bee, lion, elephant, horse, wolf, goose, snail, whale, fish, bird, pig, "
    "sheep, goat, deer, monkey, tiger, dolphin, butterfly, ant, spider, bat, donkey, hen, "
    "kitten, puppy, wizard, witch, knight, princess, king, queen, pirate, farmer, baker, "
    "girl, boy, giant, fairy, ghost, sailor, snowman, unicorn, mermaid, gardener"
)
_MORE_HEROES: tuple[str, ...] = words(
    "panda lamb raccoon otter badger beaver seal eagle raven crow parrot pigeon swan camel pony zebra giraffe "
    "crab lizard mole rat calf chick crocodile kangaroo koala hippo rhino llama peacock turkey rooster stork heron "
    "teacher doctor nurse butcher fisherman captain pilot soldier prince ninja painter writer poet singer dancer "
    "clown juggler magician detective inventor explorer shepherd cowboy hunter blacksmith tailor "
    "astronaut troll elf chef "
    "cook "
    "librarian student pupil judge lawyer banker merchant postman driver dentist surgeon vet coach goalkeeper runner "
    "boxer wrestler gymnast waiter waitress hairdresser journalist photographer florist neighbour cousin "
    "barber scientist chemist engineer musician drummer pianist violinist conductor acrobat actor actress composer "
    "mechanic plumber electrician carpenter policeman fireman child twin dwarf woman man baby monster goblin vampire "
    "zombie alien scarecrow professor swimmer toad octopus lobster squid worm beetle moth wasp ladybird cub gorilla"
)
HEROES: frozenset[str] = frozenset(
    (*CREATURES, *_MORE_HEROES, *words("mother father friend sister brother grandmother grandfather uncle aunt"))
)
_PAIRS = (
    "a girl and her dog, a boy and his dog, a girl and her cat, a boy and his kite, a fox and a crow, a cat and a "
    "mouse, a king and a queen, a mother and her son, a farmer and his goat, two brothers, two sisters, two friends, "
    "a witch and her cat, a pirate and his parrot, a knight and a dragon, a girl and a robot, a boy and a bear"
)
_TWOSOMES = words(_PAIRS)
_LOVELY: tuple[str, ...] = words(
    "the sea, the moon, the stars, the sun, the rain, the wind, the snow, spring, summer, autumn, the night, "
    "the river, roses, the garden, friendship, the morning, a little bird, the rainbow, an old tree, the forest, "
    "a small boat, dreams, hope, home"
)
_EVERYDAY_ADJECTIVES = words(
    "little brave lazy happy old tiny red blue green golden silver lonely funny clever hungry sleepy purple lost "
    "friendly shy flying magic"
)
_PEOPLE_OF_MINE = words("mother father friend sister brother grandmother grandfather uncle aunt son daughter")


@dataclass(frozen=True)
class Topic:
    """A noun phrase as the user writes it."""

    text: str

    @property
    def spoken(self) -> str:
        """The topic as the model speaks of it: what is the user's "my" is "your" to the model."""
        return "your" + self.text[2:] if self.text.startswith("my ") else self.text

    @property
    def definite(self) -> str:
        """The topic once it has been named: "a red umbrella" is "the red umbrella" from then on."""
        article, _, rest = self.spoken.partition(" ")
        return f"the {rest}" if article in ("a", "an") else self.spoken

    @property
    def is_twosome(self) -> bool:
        """Whether it is two heroes."""
        return " and " in self.text or self.text.startswith("two ")

    @property
    def is_name(self) -> bool:
        """Whether it is a person's name."""
        last = self.text.rsplit(" ", 1)[-1]
        return last[0].isupper() and self.text not in _NOT_NAMES

    @property
    def is_hero(self) -> bool:
        """Whether it is one creature or person, which can live somewhere and want something."""
        return self.text.startswith(("a ", "an ", "my ", "the ")) and self.text.rsplit(" ", 1)[-1] in HEROES

    @property
    def is_thing(self) -> bool:
        """Whether it is one thing, which can be looked for and found."""
        return self.text.startswith(("a ", "an "))


_NOT_NAMES = frozenset(MASS) | frozenset(
    words("Christmas Monday Tuesday Wednesday Thursday Friday Saturday Sunday Easter Halloween")
)


def with_article(phrase: str) -> str:
    """The phrase with "a" or "an" before it, as it sounds."""
    if phrase.startswith(("uni", "uku", "ute", "use")):
        return f"a {phrase}"
    return f"an {phrase}" if phrase.startswith(("hour", "honest")) else facts.with_article(phrase)


def synthetic_name(rng: random.Random) -> str:
    """A name nobody has, of two or three syllables, so that repeating it means copying it."""
    onsets = words("b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh sl st t th tr v w y z")
    vowels = words("a e i o u a e i o ai ee ia io oo ou")
    codas = ["", "", "", "n", "r", "l", "s", "m", "k", "x", "nd", "th", "ck", "sh", "rt"]
    syllables = rng.choice((1, 2, 2, 2, 3))
    name = "".join(
        rng.choice(onsets) + rng.choice(vowels) + (rng.choice(codas) if rng.random() < 0.5 else "")
        for _ in range(syllables)
    )
    if rng.random() < 0.3:
        name = rng.choice(vowels) + rng.choice(codas[3:]) + name
    if len(name) < 3:
        name += rng.choice(("ra", "lo", "ni", "ma"))
    return capitalised(name)


def lovely_topic(rng: random.Random) -> Topic:
    """A topic for somebody who asks for none."""
    return Topic(rng.choice(_LOVELY))


def hero_topic(rng: random.Random) -> Topic:
    """A hero for somebody who asks for none."""
    creature = rng.choice(CREATURES)
    return Topic(with_article(f"{rng.choice(_EVERYDAY_ADJECTIVES)} {creature}" if rng.random() < 0.7 else creature))


def draw_topic(rng: random.Random) -> Topic:
    """A topic: one of a short list, one of the wide vocabulary, or one with a made-up word."""
    kind = rng.random()
    if kind < 0.3:
        return Topic(_everyday(rng))
    if kind < 0.84:
        return Topic(_from_vocabulary(rng))
    return Topic(_made_up(rng))


def _everyday(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(THINGS)
    if kind < 0.85:
        return hero_topic(rng).text
    return rng.choice(GIRLS + BOYS)


def _described(noun: str, rng: random.Random) -> str:
    """The noun, more often than not with an adjective before it."""
    return f"{rng.choice(ADJECTIVES)} {noun}" if rng.random() < 0.55 else noun


def _from_vocabulary(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.38:
        phrase = _described(rng.choice(NOUNS), rng)
        return rng.choice((with_article(phrase), with_article(phrase), f"the {phrase}", f"my {phrase}"))
    if kind < 0.53:
        return _described(plural(rng.choice(NOUNS)), rng)
    if kind < 0.68:
        return " ".join(rng.choice(MASS).split())  # an item of the list may be broken over two of its lines
    if kind < 0.84:
        name = rng.choice(rng.choice((GIRLS, BOYS, RARE_NAMES, RARE_NAMES)))
        return f"my {rng.choice(_PEOPLE_OF_MINE)} {name}" if rng.random() < 0.15 else name
    if kind < 0.92:
        return rng.choice(_TWOSOMES)
    first, second = rng.sample(CREATURES, 2)
    return f"{with_article(first)} and {with_article(second)}"


def _made_up(rng: random.Random) -> str:
    """A topic with a word nobody has heard, which can only be copied."""
    name = synthetic_name(rng)
    kind = rng.random()
    if kind < 0.4:
        return name
    word = name.lower()
    if kind < 0.75:
        phrase = _described(word, rng)
        return rng.choice((with_article(phrase), f"the {phrase}", f"my {phrase}"))
    if kind < 0.85:
        return f"{word}s" if word[-1] not in "sxh" else word
    return word
