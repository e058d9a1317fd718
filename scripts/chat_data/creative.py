"""Jokes, poems, tiny stories and name suggestions.

Jokes are a fixed list. Poems and stories are put together from many small parts, so that the model learns how
they are built instead of learning a few by heart.
"""

from __future__ import annotations

import random

from .exchange import Exchange
from .facts import with_article
from .grammar import capitalised, expand, join_words, say, words

JOKES: tuple[tuple[str, str], ...] = (
    ("bee", "What do you call a bee that cannot decide? A maybe!"),
    ("cow", "What do you call a cow with no legs? Ground beef!"),
    ("cow", "Why do cows wear bells? Because their horns do not work!"),
    ("fish", "What do you call a fish with no eyes? A fsh!"),
    ("fish", "Why are fish so smart? Because they live in schools!"),
    ("bear", "What do you call a bear with no teeth? A gummy bear!"),
    ("cat", "What is a cat's best snack? A mice cream!"),
    ("cat", "Why did the cat sit on the computer? To keep an eye on the mouse!"),
    ("dog", "What do you call a dog magician? A labracadabrador!"),
    ("dog", "Why did the dog sit in the shade? It did not want to be a hot dog!"),
    ("chicken", "Why did the chicken cross the road? To get to the other side!"),
    ("chicken", "Why did the chicken join a band? It had the drumsticks!"),
    ("duck", "What time do ducks wake up? At the quack of dawn!"),
    ("duck", "What do ducks eat with soup? Quackers!"),
    ("elephant", "What time is it when an elephant sits on your fence? Time for a new fence!"),
    ("snake", "What is a snake's favourite subject? Hiss-tory!"),
    ("frog", "What happened to the frog's car? It got toad away!"),
    ("frog", "What do frogs drink? Croak-a-cola!"),
    ("owl", "What does an owl say when it forgets? Who, me?"),
    ("pig", "What do you call a pig that knows karate? A pork chop!"),
    ("horse", "What is a horse's favourite game? Stable tennis!"),
    ("sheep", "Where do sheep get a haircut? At the baa-baa shop!"),
    ("spider", "What do spiders do on a computer? They make websites!"),
    ("penguin", "What is black, white and red all over? A shy penguin!"),
    ("book", "Why was the maths book sad? It had too many problems!"),
    ("number", "Why was six afraid of seven? Because seven ate nine!"),
    ("number", "What did zero say to eight? Nice belt!"),
    ("computer", "Why was the computer cold? It left its windows open!"),
    ("computer", "Why did the computer go to the doctor? It had a virus!"),
    ("robot", "Why was the robot tired? It had a hard drive home!"),
    ("robot", "What is a robot's favourite snack? Computer chips!"),
    ("school", "Why did the teacher wear sunglasses? Her class was so bright!"),
    ("school", "Why did the boy eat his homework? The teacher said it was a piece of cake!"),
    ("food", "What do you call cheese that is not yours? Nacho cheese!"),
    ("food", "Why did the banana see the doctor? It was not peeling well!"),
    ("food", "Why did the tomato turn red? It saw the salad dressing!"),
    ("food", "Why did the cookie go to the nurse? It felt crumby!"),
    ("food", "What do you call a sad strawberry? A blueberry!"),
    ("sea", "Why is the sea so friendly? It always waves!"),
    ("tree", "How do trees go online? They log in!"),
    ("moon", "How does the moon cut its hair? Eclipse it!"),
    ("ghost", "Why do ghosts like lifts? They raise the spirits!"),
    ("snowman", "What do snowmen eat for breakfast? Frosted flakes!"),
    ("clock", "Why did the clock go to school? To learn how to tell time!"),
    ("bicycle", "Why did the bicycle fall over? It was two tired!"),
    ("egg", "Why did the egg hide? It was a little chicken!"),
    ("pencil", "What did the pencil say to the paper? You look a bit flat today!"),
    ("music", "What makes music on your head? A head band!"),
    ("wall", "What did one wall say to the other? I will meet you at the corner!"),
    ("door", "When is a door not a door? When it is ajar!"),
)

_ANOTHER = (
    "another[ one][ please]|one more[ please]|again|tell me another[ one]|next one|more[ "
    "please]|do you have another[ one]?|a different one|can i have another?|give me another "
    "one|got another?|another one, please|and another one"
)


def jokes(rng: random.Random) -> Exchange:
    """A joke, or one about something where the list has one."""
    if rng.random() < 0.3:
        topic = rng.choice([t for t, _ in JOKES])
        template = (
            "<give> a joke about (a {x}|{x}s)|<make> a {x} joke|[do you know ]a {x} joke?|do "
            "you know (a|any) joke[s] about {x}s?|joke about (a|the) {x}|a funny one about "
            "{x}s"
        )
        return Exchange("jokes", say(rng, template, x=topic), rng.choice([j for t, j in JOKES if t == topic]))
    template = (
        "<give> a [short |good |funny |silly |little |clean |new |quick |]joke|tell me a "
        "joke|joke|a joke|jokes|joke please|do you know (a|any) [good ]joke[s]?|make me "
        "laugh|say something funny"
        "|<give> something funny|i want to (laugh|hear a joke)|can you make me laugh?|"
        "make a joke|tell a joke|<make> a joke|what's your best joke?|what is a good "
        "joke?|i need a [good ]laugh"
        "|let's hear a joke|time for a joke|know any [good ]jokes?|got any jokes?|a funny "
        "one please|tell us a joke|tell me your (best|funniest) joke|have you got a joke?|"
        "cheer me up with a joke"
        "|tell me something that makes me laugh|crack a joke|joke time|how about a joke?|"
        "i'd love to hear a joke|a riddle please|tell me a riddle"
    )
    return Exchange("jokes", say(rng, template), rng.choice(JOKES)[1])


def jokes_follow(rng: random.Random) -> Exchange:
    """Another joke."""
    return Exchange("jokes", say(rng, _ANOTHER, wrap=False), rng.choice(JOKES)[1])


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
PETS: dict[str, tuple[str, ...]] = {
    "cat": words(
        "Whiskers Mittens Shadow Tiger Luna Simba Smokey Felix Misty Socks Ginger Pepper Cleo "
        "Oreo Tabby Velvet Nala Muffin Salem Biscuit"
    ),
    "dog": words(
        "Rex Buddy Max Bella Rocky Charlie Lucky Fido Daisy Scout Bruno Cooper Molly Barney "
        "Toby Spot Ruby Duke Rusty Biscuit"
    ),
    "robot": words(
        "Bolt Sparky Chip Beep Gizmo Widget Robbie Pixel Sprocket Zap Tinker Byte Circuit Dot "
        "Rusty Cog Blip Nano Volt Servo"
    ),
    "dragon": words(
        "Ember Smaug Blaze Fang Drako Scorch Cinder Flame Spark Ash Nidhog Ruby Onyx Storm "
        "Inferno Talon Saphira Smoky Ignis Rumble"
    ),
    "horse": words(
        "Star Thunder Blaze Spirit Comet Beauty Storm Apollo Hazel Willow Dakota Misty Copper "
        "Silver Rosie Flash Domino Pearl"
    ),
    "fish": words("Bubbles Finn Goldie Nemo Splash Marina Coral Wanda Shelly Skipper Dory Sushi Ripple Neptune"),
    "hamster": words(
        "Nibbles Peanut Hazel Fluffy Cookie Biscuit Pip Squeak Button Nutmeg Waffles Teddy Cheeks Popcorn"
    ),
    "rabbit": words(
        "Thumper Clover Cotton Hopper Bunny Snowball Flopsy Daisy Hazel Carrot Binky Willow Marshmallow Peter"
    ),
    "bird": words("Tweety Sky Kiwi Coco Sunny Rio Robin Polly Chirpy Blue Mango Pepper Feather Echo"),
    "boat": words("Wanderer Sea Star Dolphin Neptune Mermaid Breeze Seagull Hope Freedom Albatross Pearl Voyager"),
    "teddy bear": words("Teddy Honey Bruno Cuddles Paddy Buttons Barnaby Fluffy Snuggles Brownie Benny Poppy"),
    "wizard": words("Merlin Mirando Zoltan Eldric Orin Gandolf Alaric Balthazar Magnus Tibor Zephyr Sirius"),
}
_CALLERS = {
    "pet": "dog",
    "puppy": "dog",
    "kitten": "cat",
    "kitty": "cat",
    "pony": "horse",
    "parrot": "bird",
    "budgie": "bird",
    "goldfish": "fish",
    "bunny": "rabbit",
    "ship": "boat",
    "teddy": "teddy bear",
    "magician": "wizard",
    "android": "robot",
    "hound": "dog",
    "guinea pig": "hamster",
}
_PEOPLE: dict[str, tuple[str, ...]] = {
    "girl": GIRLS,
    "baby girl": GIRLS,
    "daughter": GIRLS,
    "princess": GIRLS,
    "queen": GIRLS,
    "doll": GIRLS,
    "little girl": GIRLS,
    "woman": GIRLS,
    "fairy": GIRLS,
    "heroine": GIRLS,
    "boy": BOYS,
    "baby boy": BOYS,
    "son": BOYS,
    "prince": BOYS,
    "king": BOYS,
    "knight": BOYS,
    "man": BOYS,
    "little boy": BOYS,
    "pirate": BOYS,
    "hero": BOYS,
    "baby": GIRLS + BOYS,
    "child": GIRLS + BOYS,
    "person": GIRLS + BOYS,
    "character": GIRLS + BOYS,
}


def name_pool(kind: str) -> tuple[str, ...]:
    """The names that suit a kind of bearer ("dog", "baby girl", ...); KeyError for an unknown kind."""
    return _PEOPLE[kind] if kind in _PEOPLE else PETS[_CALLERS.get(kind, kind)]


NAME_KINDS: tuple[str, ...] = (*_PEOPLE, *PETS, *_CALLERS)


def names(rng: random.Random) -> Exchange:
    """Three names for a child, a pet, a robot or a dragon."""
    kind = rng.choice(NAME_KINDS)
    template = (
        "(suggest|give me|propose|find|think of|can you suggest|could you suggest|please "
        "suggest|i need|i want|tell me|do you have|pick|invent|come up with|recommend) (a|"
        "some|three|a few|a nice|a good|a cool|a cute|any) name[s] for (a|my|our|my new|"
        "this|the) {x}"
        "|what (should|shall|could|can) (i|we) (call|name) (my|our|the|a|my new|this) "
        "{x}?|(name|names) for (a|my|our) {x}?|what (is|are|would be) (a|some) (good|nice|"
        "cool|pretty|cute) name[s] for (a|my|our) {x}?|(a|some) {x} name[s][ please]?"
        "|help me (name|find a name for) (my|a|our) {x}|i (got|have|bought|made|drew) a "
        "[new ]{x}, what (should|shall|do) i (call|name) it?|how (should|shall|could) (i|"
        "we) (call|name) (my|our) {x}?|(my|our) {x} needs a name|{x} names?|[any ]{x} "
        "name ideas?"
        "|(we are|i am) looking for a {x} name|what do you call a {x}, any name ideas?|"
        "name (my|our|the|a) {x}|give (my|our|the) {x} a name|which name (suits|fits|is "
        "good for|would you give|would suit) a {x}?|what names (do you like|are there|suit|would you "
        "pick|go well) for (a|my|our) {x}?|any (idea|ideas|suggestion|suggestions) (for|how to name|what to "
        "call|what to name) (my|our|a|the) [new ]{x}?|(my|our) new {x} has no name[ yet]|there is a {x} in my "
        "(story|book|game), what is (its|the) name?|i (cannot|can't) find a name for (my|our|a) {x}|"
        "(choose|pick) a name for (my|our|the) {x}|how would you (call|name) a {x}?|i need a name for a {x} in my story"
    )
    return Exchange("suggesting names", say(rng, template, x=kind), _name_reply(rng, kind))


def _name_reply(rng: random.Random, kind: str) -> str:
    """Three names that suit the kind, which is repeated first: it decides what may follow."""
    three = join_words(rng.sample(name_pool(kind), 3), "or")
    return (
        f"For {with_article(kind)}, {rng.choice(('how about', 'how about', 'I like', 'what about'))} {three}?".replace(
            f"I like {three}?", f"I like {three}."
        )
    )


def names_follow(rng: random.Random, kind: str) -> Exchange:
    """More names of the kind asked for before."""
    user = say(
        rng,
        _ANOTHER + "|more names[ please]|other names?|i don't like (those|them)|any other ideas?|some more",
        wrap=False,
    )
    return Exchange("suggesting names", user, _name_reply(rng, kind))


# Topics for poems and stories. Any noun phrase works in every line, so that unknown topics do too.
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
_HEROES: tuple[str, ...] = words(
    "Pip Bo Tilly Momo Fern Rollo Nim Kiki Otto Zuzu Basil Lumi Tuck Pia Gus Mabel Ollie Wren "
    "Toto Bibi Finn Dot Moss Juno Percy Hazel Taz Minnie Rufus Coco"
)


def _topic(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(THINGS)
    creature = rng.choice(CREATURES)
    if kind < 0.7:
        return f"{'an' if creature[0] in 'aeiou' else 'a'} {creature}"
    if kind < 0.85:
        adjective = rng.choice(
            words(
                "little brave lazy happy old tiny red blue green golden silver lonely funny "
                "clever hungry sleepy purple lost friendly shy flying magic"
            )
        )
        return f"a {adjective} {creature}" if adjective[0] not in "aeiou" else f"an {adjective} {creature}"
    if kind < 0.93:
        return rng.choice(GIRLS + BOYS)
    return synthetic_name(rng)


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


_KIND_OF_POEM = "[short |little |nice |tiny |sweet |beautiful |funny |lovely |]"


def _given(topic: str) -> str:
    """The topic as the model speaks of it: what is the user's "my" is "your" to the model."""
    return "your" + topic[2:] if topic.startswith("my ") else topic


# Rhyme families: each line end belongs to one, and a couplet takes two different lines of the same family.
_OPENINGS: tuple[tuple[str, str], ...] = (
    ("I (sing|hum|write|wrote) a song of {t} (today|all day),", "ay"),
    ("I (thought of|think of|dream of|dreamed of) {t} (at|all|in the) night,", "ight"),
    ("Oh {t}, oh {t}, so (dear|near) to me,", "ee"),
    ("Let me tell you of {t}, my friend,", "end"),
    ("I (saw|met|found) {t} (down by|beside|close to) the sea,", "ee"),
    ("(Here is|This is) a rhyme (on|for|of) {t}, so (true|new),", "oo"),
    ("A (poem|song|rhyme) for {t}, (soft and|small and|warm and) low,", "ow"),
    ("When I (think|dream|sing) of {t}, I (smile|laugh) all day,", "ay"),
    ("With {t} in my (heart|mind|thoughts) I (go|grow),", "ow"),
    ("I (whisper|call|sing) to {t}: how do you do?", "oo"),
    ("(Morning|Evening|Sunday) came, and I (saw|thought of|met) {t} too,", "oo"),
    ("Look at {t}, (warm|clear|soft) in the light,", "ight"),
    ("(Who|What) is as (fine|sweet|dear) as {t} in spring?", "ing"),
    ("Of {t} I (always|often|gladly|softly) sing,", "ing"),
)
_SECONDS: dict[str, tuple[str, ...]] = {
    "ay": (
        "and (all|half) the (clouds|shadows|worries|raindrops) (blow|float|fly|drift) away.",
        "and (birds|children|bells) come (out|round|by) to (play|sway).",
        "it makes a (song|smile|dance) of (every|the greyest|a rainy) day.",
        "and (quietly|softly|gently) it (shows|lights) the way.",
    ),
    "ight": (
        "and (all|half) the (stars|lamps|windows) were (shining|burning|glowing) bright.",
        "it (held|kept) me (warm|safe|happy) (all through|until) the night.",
        "and (everything|the world|my heart) felt (new|calm|soft) and right.",
        "a (tiny|little|silver|golden) (spark|lamp|glow) of light.",
    ),
    "ee": (
        "as (quiet|gentle|soft|happy) as (a|the) (summer|morning|sleepy) sea.",
        "come (sit|rest|sing) a (while|moment) (here |)with me.",
        "you make me (glad|happy|smile) as (glad|happy) can be.",
        "as (wild|light|bright) and (lovely|merry|free) as can be.",
    ),
    "end": (
        "a (tale|road|song) (so sweet|so long|that goes) (around the|without an) (end|bend).",
        "a (kind|gentle|small|warm) word is what I send.",
    ),
    "oo": (
        "the (sky|sea|morning) above was (bright|calm|soft) and blue.",
        "and (every|each) (star|bird|flower) (knows|sings of|smiles at) you.",
        "it makes the (old|grey|tired) world (fresh and|bright and|feel) new.",
        "I (wrote|made|sang) these (lines|words) for me and you.",
    ),
    "ow": (
        "(over|across) the (hills|fields) and the (quiet|soft|shining) snow.",
        "and (gently|softly|slowly) the (evening|summer) breezes blow.",
        "and (wherever|everywhere) I (am|go), the flowers grow.",
        "(a|the) (warm|soft|quiet) and (golden|friendly|gentle) glow.",
    ),
    "ing": (
        "and (all|half) the (bells|birds) of the (morning|village) ring.",
        "(as light|as free|as quick) as a (bird|swallow|robin) on the wing.",
        "what (joy|peace|light) a (little|tiny) (word|song|smile) can bring!",
    ),
}
_CLOSINGS: tuple[tuple[str, str], ...] = (
    (
        "The (little|quiet) (birds|lambs) are (fast|all) asleep,",
        "(but|and) (hope|joy|a smile) is (a thing|something|a treasure) (we|to) keep.",
    ),
    (
        "So (close|shut) your eyes and (count to|slowly count to) ten,",
        "and (tomorrow|soon) we will (sing|meet|smile|laugh) again.",
    ),
    (
        "The (wind|river|rain) may (go|run|sing) and the (rain|clouds|sun) may (come|go),",
        "(but|and) (this|here) is the (best|one) thing that I know.",
    ),
    (
        "(And if you|If ever you) (wonder|ask) where I (may|will) be,",
        "(look for|you will find) me (under|beside) the (apple|cherry|old oak|willow) tree.",
    ),
    (
        "(Small|Little|Quiet) are the (words|lines|rhymes) I write,",
        "but (all of them wish|each of them wishes) you good night.",
    ),
    (
        "(So|Now) (take|hold) my hand and (walk|stay|come|dance) with me,",
        "as (glad|light|merry) as (two|any) (friends|birds) can be.",
    ),
    (
        "The (world|sky|garden) is (wide|big) and (I am|we are) small,",
        "(but|and) there is (room|joy|light) enough for all.",
    ),
    (
        "(Thank you|I thank you) for (the light|the song|the joy) you bring,",
        "(you make|it makes) (my|the) (little|quiet|happy) heart sing.",
    ),
    (
        "And when the (long|busy|happy) day is done,",
        "we (smile|laugh|sing) and thank the (golden|friendly|setting) sun.",
    ),
)


def poem(rng: random.Random, topic: str) -> str:
    """Four lines about the topic: an opening couplet that names it and a closing one."""
    opening, family = rng.choice(_OPENINGS)
    second = rng.choice(_SECONDS[family])
    first_line = capitalised(expand(opening, rng, t=_given(topic)))
    third, fourth = rng.choice(_CLOSINGS)
    return "\n".join((first_line, expand(second, rng), expand(third, rng), expand(fourth, rng)))


def poems(rng: random.Random) -> Exchange:
    """A poem on a topic, or on one the model chooses."""
    if rng.random() < 0.35:
        template = (
            f"<make> a {_KIND_OF_POEM}(poem|poem|rhyme|verse)|poem|a poem[ please]|poetry|a "
            f"rhyme[ please]|do you know (a|any) poem[s]?|some poetry[ please]|recite a poem|a "
            f"short poem[ please]|(say|tell) me a rhyme|write poetry|something that rhymes|i "
            f"like poems, (write|make) one[ for me]|can i hear a poem?|poem please|make a "
            f"rhyme|let's have a poem|rhyme something|four lines of poetry please"
        )
        return Exchange("poems", say(rng, template), poem(rng, _topic(rng)))
    topic = _topic(rng)
    template = (
        f"<make> a {_KIND_OF_POEM}(poem|poem|rhyme|verse) (about|about|on|for|of) {{t}}|[a |"
        f"]poem (about|on|for) {{t}}[ please]|(do you know|can i have) a poem about {{t}}?|"
        f"(write|make) {{t}} a poem|rhyme about {{t}}|something poetic about {{t}}|put {{t}} "
        f"in a poem|let {{t}} be in a poem|{{t}} poem|turn {{t}} into a poem|some lines about "
        f"{{t}}[ please]|(compose|write) something that rhymes about {{t}}"
    )
    return Exchange("poems", say(rng, template, verbatim=True, t=topic), poem(rng, topic))


def poems_follow(rng: random.Random) -> Exchange:
    """Another poem, or one about the next topic by name alone."""
    if rng.random() < 0.5:
        return Exchange(
            "poems", say(rng, _ANOTHER + "|another poem[ please]|one more poem", wrap=False), poem(rng, _topic(rng))
        )
    topic = _topic(rng)
    return Exchange(
        "poems",
        say(
            rng,
            "(now|and) [one ]about {t}|what about {t}?|one about {t}[ please]|another one about {t}",
            wrap=False,
            verbatim=True,
            t=topic,
        ),
        poem(rng, topic),
    )


_PLACES = (
    "in a (little|quiet|tiny|cosy|crooked) (house|hut|cottage) (by the sea|in the woods|on a "
    "hill|near the river|under an old oak)|in (a|the) (deep|dark|green|old) forest|by a (blue|"
    "quiet|round) (lake|pond)|on a (small|windy|sunny|far) (island|farm|hill)|in a (village|"
    "valley|garden) (full of|with many) (flowers|apple trees|cats|bells)|at the (foot|top) of "
    "a (tall|snowy) mountain|in a (castle|tower|mill) (made of stone|with a red roof|with no "
    "door)"
)
_WISHES: tuple[tuple[str, str, str], ...] = (  # a wish, what stood in the way, how it came true
    (
        "wanted to (see|touch) the (moon|stars) up close",
        "but the (sky|moon) was (much |)too high",
        "(climbed|built) a (long|tall) ladder and (waved to|said hello to) the moon",
    ),
    (
        "was looking for a (friend|playmate)",
        "but everyone was (busy|asleep|too far away)",
        "(made|found) a friend for (life|ever)",
    ),
    (
        "had lost a (red|blue|golden|warm) (hat|scarf|ball|button)",
        "and it was (nowhere|not anywhere) to be found",
        "found it (under a leaf|behind a stone|in a nest|in a tree)",
    ),
    (
        "wanted to learn to (sing|dance|swim|fly a kite)",
        "but it was (very |)hard (at first|to do)",
        "(tried|practised) (every day|again and again) and could do it at last",
    ),
    (
        "found a (small|golden|rusty|silver) key",
        "but nobody knew (the door|its door)",
        "opened a (tiny|hidden|green) door to a (secret|sunny|quiet) garden",
    ),
    (
        "was afraid of the (dark|thunder|deep water|big dog)",
        "and could not sleep (at all|at night)",
        "(learned|saw) that there was nothing to fear",
    ),
    (
        "wanted to bake the (biggest|best|sweetest) cake",
        "but there was no (honey|flour|milk|sugar) left",
        "baked a (fine|warm|huge) cake and shared it with everyone",
    ),
    (
        "heard a (strange|sad|sweet|quiet) song (at night|every evening)",
        "but could not see the singer",
        "met a little (bird|cricket|frog|owl) who sang for (joy|company)",
    ),
    (
        "wanted to cross the (wide|cold|fast) river",
        "but there was no (bridge|boat)",
        "built a (small|wooden|little) boat and sailed across",
    ),
    (
        "found a (lost|tiny|shy|sleepy) (star|bird|kitten|snail)",
        "and it (did not know the way|could not find its way) home",
        "(brought|carried) it safely home",
    ),
    (
        "planted a (tiny|strange|single) seed",
        "but nothing grew (for weeks|for a long time|at first)",
        "(watered|sang to) it (every day|each morning) until a (tall tree|bright flower|huge pumpkin) grew",
    ),
    (
        "wanted to give a present to (a friend|the king|the moon)",
        "but had no (money|gift|time)",
        "(gave|made) a (song|drawing|warm hug), the best present of all",
    ),
)
_HELPERS = (
    "an old (owl|turtle|woman|sailor)|a (kind|wise|small|friendly) (mouse|bee|frog|snail|crow|"
    "fish|bear)|the (wind|moon|rain)|a (funny|little|cheerful) (robot|duck|goat|cat)"
)
_ADVICE = (
    "never give up|ask for help|be brave|take one step at a time|follow your heart|start "
    "small|listen well|try once more|look again|share what you have"
)
_ENDINGS = (
    "From that day on, {h} (slept well|was never alone|smiled a lot|was happy|laughed every "
    "day).|And that night {h} (slept|dreamed) (deeply|softly|like a stone|with a smile).|"
    "(Everyone|The whole village|All the animals) (cheered|clapped|danced) (that night|until "
    "morning|all evening).|And they (all |)lived happily ever after.|{h} never forgot that "
    "(day|night)."
)


def story(rng: random.Random, topic: str) -> str:
    """Four or five sentences with a hero, a wish, an obstacle, a helper and an end, about the topic."""
    hero = rng.choice(_HEROES)
    topic = _given(topic)
    article, _, rest = topic.partition(" ")
    wish, obstacle, success = rng.choice(_WISHES)
    about = ""
    if topic[0].isupper() and " " not in topic and topic not in ("Christmas", "Monday", "Sunday"):
        hero = topic
        opening = f"(Once upon a time|Long ago|Once), {{h}} lived ({_PLACES})."
    elif article in ("a", "an") and any(rest.endswith(c) for c in CREATURES):
        opening = f"(Once upon a time|Long ago|Once|One day), {{t}} (called|named) {{h}} lived ({_PLACES})."
    else:
        kind = rng.choice(CREATURES)
        about = f"{{h}} (loved|often dreamed of|always thought of|was very fond of) {topic}. "
        opening = (
            f"(Once upon a time|Long ago|Once), a (little|small|young) {kind} (called|named) {{h}} lived ({_PLACES})."
        )
    template = (
        f"{opening} {about}(One day|One morning|One evening|One night) {{h}} {wish}, "
        f"{obstacle}. ({_HELPERS}) said: ({_ADVICE})! So {{h}} {success}. ({_ENDINGS})"
    )
    return _sentences(expand(template, rng, h=hero, t=topic))


def _sentences(text: str) -> str:
    """The text with every sentence, and the helper's advice, beginning with a capital letter."""
    sentences = text.split(". ")
    text = ". ".join(capitalised(s) for s in sentences)
    head, _, advice = text.partition(" said: ")
    return f'{head} said: "{capitalised(advice.split("!", 1)[0])}!"{advice.split("!", 1)[1]}'


def stories(rng: random.Random) -> Exchange:
    """A tiny story about a topic, or about one the model chooses."""
    kind = "[short |little |tiny |nice |funny |bedtime |new |good |quick |small |]"
    if rng.random() < 0.35:
        template = (
            f"<make> a {kind}(story|tale)|story|a story[ please]|tell me a story|a tale[ "
            f"please]|do you know (a|any) stor(y|ies)?|story time|i want (a|to hear a) story|"
            f"once upon a time|(read|tell) me a (story|bedtime story)|bedtime story[ please]|a "
            f"fairy tale[ please]|can i hear a story?|do you have a story for me?|story please|"
            f"let's have a story|entertain me with a story|tell a tale|make up a story|invent "
            f"a story|tell us a story|i'd love a story|got a story for me?|any story will do"
        )
        return Exchange("stories", say(rng, template), story(rng, _topic(rng)))
    topic = _topic(rng)
    template = (
        f"<make> a {kind}(story|tale|story) (about|about|of|with|about) {{t}}|[a |]story "
        f"(about|with|of) {{t}}[ please]|(do you know|can i have|do you have) a story about "
        f"{{t}}?|tell me (about {{t}} in a story|the story of {{t}}|a tale of {{t}})|story "
        f"about {{t}}|bedtime story about {{t}}|{{t}} story[ please]|i want a story (with|"
        f"about) {{t}} in it|make {{t}} the hero of a story|tell a story where there is {{t}}"
    )
    return Exchange("stories", say(rng, template, verbatim=True, t=topic), story(rng, topic))


def stories_follow(rng: random.Random) -> Exchange:
    """Another story, or one about the next topic by name alone."""
    if rng.random() < 0.5:
        return Exchange(
            "stories",
            say(rng, _ANOTHER + "|another story[ please]|one more story|a different story", wrap=False),
            story(rng, _topic(rng)),
        )
    topic = _topic(rng)
    return Exchange(
        "stories",
        say(
            rng,
            "(now|and) [one ]about {t}|what about {t}?|one about {t}[ please]|another one about "
            "{t}|a story about {t} now",
            wrap=False,
            verbatim=True,
            t=topic,
        ),
        story(rng, topic),
    )


def knock_knock(rng: random.Random) -> list[Exchange]:
    """A knock-knock joke the user tells, in three exchanges."""
    who = rng.choice(
        [
            *words(
                "Lettuce Boo Cow Olive Harry Justin Ice Luke Tank Nana Wendy Alex Banana Orange Cash "
                "Hawaii Water Honey Figs Anita Ivor Noah Annie Dishes Radio Witch"
            ),
            synthetic_name(rng),
        ]
    )
    ending = rng.choice(
        (
            "in, it's cold out here",
            "open the door",
            "let me in please",
            "you there",
            "want to come in",
            "glad to see you",
            "at the door again",
            "your neighbour",
        )
    )
    return [
        Exchange("jokes", say(rng, "knock knock[!]|knock, knock", wrap=False, typo_rate=0.0), "Who's there?"),
        Exchange("jokes", who, f"{who} who?"),
        Exchange(
            "jokes",
            say(rng, f"{{w}} {ending}!", wrap=False, verbatim=True, w=who),
            rng.choice(("Haha, that is a good one!", "Haha! I like that one.")),
        ),
    ]
