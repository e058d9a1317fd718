"""Every fact of the default model's world, each written down once.

The generator words its replies from these tables and the evaluation's checkers compare against them, so a fact
cannot be taught one way and marked another.
"""

from __future__ import annotations

from .grammar import words

MAX_OPERAND = 10  # sums go up to 10 + 10; everything beyond is outside the model's world

NUMBER_WORDS: tuple[str, ...] = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)  # type: ignore[assignment]
ORDINALS: tuple[str, ...] = words("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")

DAYS: tuple[str, ...] = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: tuple[str, ...] = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
MONTH_LENGTHS: tuple[str, ...] = ("31", "28", "31", "30", "31", "30", "31", "31", "30", "31", "30", "31")
SEASONS: tuple[str, ...] = ("spring", "summer", "autumn", "winter")
SEASON_MONTHS: dict[str, tuple[str, str, str]] = {  # the northern half of the world
    "spring": ("March", "April", "May"),
    "summer": ("June", "July", "August"),
    "autumn": ("September", "October", "November"),
    "winter": ("December", "January", "February"),
}
SEASON_OF_MONTH: dict[str, str] = {m: season for season, months in SEASON_MONTHS.items() for m in months}

CAPITALS: dict[str, str] = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "England": "London",
    "Ireland": "Dublin",
    "Scotland": "Edinburgh",
    "Belgium": "Brussels",
    "Austria": "Vienna",
    "Switzerland": "Bern",
    "Greece": "Athens",
    "Poland": "Warsaw",
    "Sweden": "Stockholm",
    "Norway": "Oslo",
    "Denmark": "Copenhagen",
    "Finland": "Helsinki",
    "Russia": "Moscow",
    "Egypt": "Cairo",
    "Japan": "Tokyo",
    "China": "Beijing",
    "India": "New Delhi",
    "Canada": "Ottawa",
    "Australia": "Canberra",
}
COUNTRY_OF_CAPITAL: dict[str, str] = {city: country for country, city in CAPITALS.items()}
COUNTRY_ALIASES: dict[str, tuple[str, ...]] = {"England": ("the UK", "Britain", "Great Britain")}

COLOURS: tuple[str, ...] = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
)
RAINBOW: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "indigo", "violet")
# Nouns in the form the reply uses them; "the" marks one-of-a-kind things, "s" at the end plurals.
_COLOUR_GROUPS: dict[str, str] = {
    "yellow": "a banana, a lemon, the sun, a sunflower, a canary, butter, mustard, a chick, sweetcorn, a daffodil, "
    "corn, a duckling, a school bus, cheese",
    "blue": "the sky, the sea, the ocean, a blueberry, a sapphire, a blue whale, a bluebell",
    "green": "grass, a leaf, a frog, a lime, a cucumber, a pea, an emerald, broccoli, spinach, "
    "lettuce, a pickle,"
    " a crocodile, a cactus, a kiwi, moss, a tree, a lawn, an avocado, a turtle, parsley, a pine tree",
    "red": "a strawberry, a cherry, a tomato, a fire engine, a ladybird, blood, a stop sign, a "
    "rose, a ruby,"
    " a raspberry, ketchup, a brick, a lobster, a heart, a fire truck, a poppy, a radish, lava",
    "orange": "an orange, a carrot, a pumpkin, a tangerine, an apricot, a goldfish, a fox, a mandarin, a "
    "basketball, a traffic cone",
    "white": "snow, milk, a cloud, a swan, a polar bear, salt, rice, flour, a snowman, a ghost, paper, a tooth, "
    "sugar, a snowflake, chalk, cream, a wedding dress",
    "black": "coal, a raven, a crow, the night sky, tar, ink, a tyre, a black cat, a bat, liquorice, a "
    "gorilla, a panther, a blackbird",
    "brown": "chocolate, coffee, wood, a tree trunk, a bear, mud, soil, a potato, a chestnut, a beaver, toast, "
    "bread, a deer, a monkey, a log",
    "pink": "a flamingo, a pig, bubblegum, cotton candy, a piglet",
    "purple": "a plum, lavender, an aubergine, a grape, an amethyst, an eggplant",
    "grey": "an elephant, a mouse, a rain cloud, a rhino, ash, stone, a dolphin, a koala, concrete, a hippo, "
    "a shark, a seal",
    "black and white": "a zebra, a panda, a penguin, a skunk",
    "yellow and black": "a bee, a bumblebee, a wasp",
}
COLOUR_OF: dict[str, str] = {
    thing.strip(): colour for colour, things in _COLOUR_GROUPS.items() for thing in things.split(",")
}
MIXES: dict[frozenset[str], str] = {
    frozenset({"red", "yellow"}): "orange",
    frozenset({"blue", "yellow"}): "green",
    frozenset({"red", "blue"}): "purple",
    frozenset({"red", "white"}): "pink",
    frozenset({"black", "white"}): "grey",
    frozenset({"red", "green"}): "brown",
}

SOUNDS: dict[str, str] = {
    "dog": "woof",
    "cat": "meow",
    "cow": "moo",
    "sheep": "baa",
    "pig": "oink",
    "horse": "neigh",
    "duck": "quack",
    "hen": "cluck",
    "rooster": "cock-a-doodle-doo",
    "lion": "roar",
    "tiger": "roar",
    "bear": "growl",
    "wolf": "howl",
    "snake": "hiss",
    "bee": "buzz",
    "frog": "ribbit",
    "owl": "hoot",
    "mouse": "squeak",
    "bird": "tweet",
    "donkey": "hee-haw",
    "goat": "maa",
    "turkey": "gobble",
    "crow": "caw",
    "chicken": "cluck",
    "goose": "honk",
    "elephant": "toot",
    "monkey": "ooh ooh aah aah",
    "pigeon": "coo",
    "chick": "cheep",
    "cricket": "chirp",
    "seal": "arf",
    "parrot": "squawk",
}
# The first animal that comes to mind for a sound; the checker takes any animal that makes it.
ANIMAL_OF_SOUND: dict[str, str] = {}
for _animal, _sound in SOUNDS.items():
    ANIMAL_OF_SOUND.setdefault(_sound, _animal)
ANIMAL_OF_VERB: dict[str, str] = {
    "barks": "dog",
    "meows": "cat",
    "purrs": "cat",
    "moos": "cow",
    "neighs": "horse",
    "quacks": "duck",
    "roars": "lion",
    "howls": "wolf",
    "hisses": "snake",
    "buzzes": "bee",
    "hoots": "owl",
    "croaks": "frog",
    "oinks": "pig",
    "clucks": "hen",
    "squeaks": "mouse",
    "honks": "goose",
    "growls": "bear",
}
BABIES: dict[str, str] = {
    "dog": "puppy",
    "cat": "kitten",
    "cow": "calf",
    "sheep": "lamb",
    "pig": "piglet",
    "horse": "foal",
    "duck": "duckling",
    "hen": "chick",
    "goat": "kid",
    "bear": "cub",
    "lion": "cub",
    "tiger": "cub",
    "wolf": "pup",
    "frog": "tadpole",
    "owl": "owlet",
    "goose": "gosling",
    "swan": "cygnet",
    "deer": "fawn",
    "kangaroo": "joey",
    "elephant": "calf",
    "fox": "cub",
    "eagle": "eaglet",
    "whale": "calf",
    "seal": "pup",
    "chicken": "chick",
}
PARENT_OF_BABY: dict[str, str] = {}
for _parent, _baby in BABIES.items():
    PARENT_OF_BABY.setdefault(_baby, _parent)
LEGS: dict[str, int] = {
    "dog": 4,
    "cat": 4,
    "cow": 4,
    "horse": 4,
    "sheep": 4,
    "pig": 4,
    "elephant": 4,
    "lion": 4,
    "frog": 4,
    "mouse": 4,
    "fox": 4,
    "bear": 4,
    "bird": 2,
    "duck": 2,
    "hen": 2,
    "chicken": 2,
    "penguin": 2,
    "owl": 2,
    "spider": 8,
    "ant": 6,
    "bee": 6,
    "butterfly": 6,
    "beetle": 6,
    "ladybird": 6,
    "snake": 0,
    "fish": 0,
    "worm": 0,
    "snail": 0,
    "whale": 0,
}
HOMES: dict[str, str] = {
    "bee": "in a hive",
    "bird": "in a nest",
    "fish": "in the water",
    "horse": "in a stable",
    "pig": "in a sty",
    "spider": "in a web",
    "cow": "on a farm",
    "sheep": "on a farm",
    "hen": "in a coop",
    "camel": "in the desert",
    "monkey": "in the jungle",
    "rabbit": "in a burrow",
    "frog": "by a pond",
    "fox": "in a den",
    "lion": "on the savanna",
    "whale": "in the sea",
    "shark": "in the sea",
    "penguin": "in the icy south",
    "polar bear": "in the icy north",
    "squirrel": "in a tree",
    "owl": "in a tree",
    "ant": "in an anthill",
    "bat": "in a cave",
    "dog": "in a home with people",
    "cat": "in a home with people",
    "wolf": "in the forest",
    "bear": "in the forest",
    "deer": "in the forest",
}
FOODS: dict[str, str] = {
    "cow": "grass",
    "sheep": "grass",
    "horse": "hay",
    "rabbit": "carrots",
    "panda": "bamboo",
    "monkey": "bananas",
    "squirrel": "nuts",
    "lion": "meat",
    "bear": "honey and fish",
    "mouse": "seeds",
    "koala": "leaves",
    "giraffe": "leaves",
    "penguin": "fish",
    "frog": "flies",
    "owl": "mice",
    "cat": "fish",
    "dog": "meat and dog food",
    "bee": "nectar",
    "elephant": "grass and leaves",
    "seal": "fish",
    "spider": "flies",
    "wolf": "meat",
    "tiger": "meat",
    "bird": "seeds",
    "duck": "seeds and water plants",
    "caterpillar": "leaves",
    "hen": "seeds",
}
CAN_FLY: dict[str, bool] = {
    "bird": True,
    "bee": True,
    "owl": True,
    "eagle": True,
    "bat": True,
    "butterfly": True,
    "duck": True,
    "crow": True,
    "parrot": True,
    "pigeon": True,
    "penguin": False,
    "pig": False,
    "dog": False,
    "cat": False,
    "cow": False,
    "fish": False,
    "elephant": False,
    "horse": False,
    "snake": False,
    "ostrich": False,
}

_OPPOSITE_PAIRS = """hot cold, big small, up down, happy sad, fast slow, day night, left right, open closed,
in out, on off, old young, good bad, hard soft, wet dry, full empty, tall short, light dark, rich poor,
early late, near far, high low, loud quiet, clean dirty, strong weak, thick thin, wide narrow, deep shallow,
heavy light-weight, black white, yes no, true false, start finish, begin end, first last, push pull, give take,
love hate, win lose, buy sell, come go, inside outside, above below, over under, front back, top bottom,
sweet sour, smooth rough, sharp blunt, awake asleep, alive dead, brave cowardly, kind unkind, polite rude,
easy difficult, cheap expensive, safe dangerous, simple complicated, always never, everything nothing,
everybody nobody, more less, many few, before after, summer winter, north south, east west, sunrise sunset,
morning evening, boy girl, man woman, king queen, brother sister, mother father, friend enemy, question answer,
laugh cry, remember forget, arrive leave, rise fall, float sink, freeze melt, build destroy, teach learn,
whisper shout, ugly beautiful, lazy hard-working, wild tame, noisy silent, tight loose, straight crooked,
raw cooked, public private, modern ancient, success failure, war peace, heaven hell, victory defeat, add subtract,
maximum minimum, future past, real fake, same different, right-hand left-hand, possible impossible,
visible invisible, lucky unlucky, healthy sick, guilty innocent, generous stingy, interesting boring,
asleep awake, together apart, forward backward, entrance exit, husband wife, import export, positive negative,
accept refuse, attack defend, catch throw, increase decrease, internal external, junior senior, lend borrow,
major minor, odd even, patient impatient, permanent temporary, plural singular, tidy messy, upstairs downstairs,
vertical horizontal, warm cool, gentle rough-mannered, proud ashamed, calm nervous, hello goodbye, host guest,
long brief, huge tiny, giant dwarf, slim fat, fresh stale, bright dim, curly straight-haired, lost found,
male female, son daughter, uncle aunt, nephew niece, grandfather grandmother, prince princess, hero villain, sit stand,
winner loser, buyer seller, teacher student, adult child, floor ceiling, dawn dusk, noon midnight, birth death,
send receive, appear disappear, agree disagree, allow forbid, succeed fail, lock unlock, include exclude, repair break,
truth lie, joy sorrow, correct incorrect, fair unfair, honest dishonest, useful useless, careful careless,
wise foolish, clever stupid, common rare, solid liquid, active passive, nice nasty, single married, often rarely,
multiply divide, ahead behind, busy idle, friendly unfriendly, southern northern, eastern western, inner outer,
comfortable uncomfortable, optimist pessimist, yesterday tomorrow, legal illegal, hide show, follow lead"""
_DROPPED = {"light-weight", "right-hand", "left-hand", "rough-mannered", "straight-haired", "asleep awake"}


def _opposite_tables() -> tuple[dict[str, str], dict[str, set[str]]]:
    """Word -> its taught opposite, and word -> every opposite a checker accepts."""
    taught: dict[str, str] = {}
    accepted: dict[str, set[str]] = {}
    for pair in _OPPOSITE_PAIRS.replace("\n", " ").split(","):
        a, b = pair.split()
        for word, other in ((a, b), (b, a)):
            if word in _DROPPED or other in _DROPPED:
                continue
            taught.setdefault(word, other)
            accepted.setdefault(word, set()).add(other)
    extra = {
        "heavy": "light",
        "long": "short",
        "new": "old",
        "soft": "hard",
        "right": "left",
        "wrong": "right",
        "boring": "interesting",
        "closed": "open",
        "gentle": "rough",
        "curly": "straight",
        "shut": "open",
        "large": "small",
        "little": "big",
        "bitter": "sweet",
        "evil": "good",
        "hate": "love",
        "stop": "start",
        "ending": "beginning",
        "beginning": "end",
        "pretty": "ugly",
        "wealthy": "poor",
        "filthy": "clean",
        "angry": "calm",
        "enter": "exit",
        "hungry": "full",
        "wake": "sleep",
        "sleep": "wake",
        "cruel": "kind",
        "higher": "lower",
        "lower": "higher",
        "bigger": "smaller",
        "smaller": "bigger",
        "best": "worst",
        "worst": "best",
        "better": "worse",
        "worse": "better",
        "hard-working": "lazy",
        "bent": "straight",
        "well": "ill",
        "ill": "well",
        "unhappy": "happy",
    }
    for word, other in extra.items():
        taught[word] = other
        accepted.setdefault(word, set()).add(other)
    also = {
        "light": {"heavy"},
        "short": {"long"},
        "right": {"wrong"},
        "hard": {"easy"},
        "old": {"new"},
        "easy": {"hard"},
        "big": {"little", "tiny"},
        "quiet": {"noisy"},
        "loud": {"soft"},
        "close": {"far"},
        "dark": {"bright"},
        "start": {"end", "stop"},
        "sick": {"well"},
        "thin": {"fat", "wide"},
        "good": {"evil"},
        "sweet": {"bitter"},
        "beautiful": {"plain"},
        "before": {"behind"},
        "rough": {"gentle"},
        "straight": {"curly", "bent"},
        "small": {"large"},
        "finish": {"begin", "start"},
        "end": {"start", "beginning"},
        "begin": {"finish"},
        "ending": {"start"},
        "go": {"stop"},
        "stop": {"go"},
        "full": {"hungry"},
        "calm": {"angry"},
        "behind": {"in front"},
        "child": {"parent", "grown-up"},
        "well": {"sick"},
        "large": {"tiny", "little"},
        "little": {"large", "much"},
        "ugly": {"pretty"},
    }
    for word, others in also.items():
        accepted.setdefault(word, set()).update(others)
    return taught, accepted


OPPOSITES, ACCEPTED_OPPOSITES = _opposite_tables()
# The words people ask about most; the rest of the table is rarer.
COMMON_OPPOSITES: tuple[str, ...] = tuple(
    word
    for word in words(
        """hot cold big small large little up down happy sad fast slow day night left right open closed in out on off
        old
        young new good bad hard soft wet dry full empty tall short long light dark rich poor early late near far high
        low loud quiet clean dirty strong weak thick thin wide narrow deep shallow heavy black white yes no true false
        start finish begin end stop first last push pull give take love hate win lose buy sell come go inside outside
        above below over under front back top bottom sweet sour smooth rough awake asleep alive dead easy difficult
        cheap expensive safe dangerous always never everything nothing more less before after summer winter north south
        east west sunrise sunset morning evening boy girl man woman king queen friend enemy question answer laugh cry
        remember forget rise fall float sink ugly beautiful noisy wrong war peace same different together brave kind
        polite rude lazy warm cool hello goodbye huge tiny add subtract best worst better worse"""
    )
    if word in OPPOSITES
)

MODEL_NAME = "microgpt"
FAVOURITES: dict[str, str] = {  # the model's own tastes, always the same so that it stays itself
    "colour": "blue",
    "animal": "the owl",
    "food": "none, for I do not eat",
    "number": "seven",
    "day": "Sunday",
    "season": "spring",
    "month": "May",
    "word": "hello",
    "letter": "M",
}


def with_article(noun: str) -> str:
    """The noun with "a" or "an" before it."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
