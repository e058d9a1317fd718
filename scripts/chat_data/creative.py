"""Jokes, name suggestions and knock-knock jokes; the poems and stories of their own modules are offered here too.

Jokes are a fixed list. Poems and stories are put together from many small parts, so that the model learns how
they are built instead of learning a few by heart.
"""

from __future__ import annotations

import random

from .exchange import Exchange
from .facts import with_article
from .grammar import join_words, say, words
from .poems import poems, poems_follow
from .stories import stories, stories_follow
from .topics import ANOTHER, BOYS, GIRLS, THINGS, synthetic_name

__all__ = (
    "BOYS",
    "GIRLS",
    "JOKES",
    "NAME_KINDS",
    "PETS",
    "THINGS",
    "jokes",
    "jokes_follow",
    "knock_knock",
    "name_pool",
    "names",
    "names_follow",
    "poems",
    "poems_follow",
    "stories",
    "stories_follow",
    "synthetic_name",
)

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

# Less usual ways to ask for any joke.
_MORE_JOKE_WORDINGS = (
    "make me (giggle|chuckle|smile|grin)|(give me|i need|i could use|i want) a (giggle|chuckle|laugh|good laugh)|"
    "cheer me up[ please]|(can|could|would) you cheer me up?|i am (bored|glum|grumpy), make me laugh|"
    "(tell|say|show) me something funny|(got|have you got|do you have) (any|some) (jokes|puns|funnies|good ones)?|"
    "(heard|know|got) any good (jokes|ones)[ lately]?|have you heard (a|any) [good ](joke|one|ones)?|"
    "(be funny|be silly|be a comedian|amuse me|entertain me|humour me)[ please]|"
    "(let's|lets) (laugh|giggle|have a laugh)|"
    "i feel like (laughing|a laugh|a joke)|(throw|send) me a joke|(another way to laugh|fun) please|"
    "(a pun|a one-liner|a wisecrack|a gag|a quip|a funny line|a knee-slapper)[ please]|(do|try) (a|some) (pun|joke|"
    "one-liner|stand-up comedy|comedy)|(what is|<what is>) (something|anything) funny?|what makes you laugh?|"
    "(can|could) you (be funny|joke|make a joke|crack a joke|be a clown) for me?|put a smile on my face|"
    "(tickle|test) my funny bone|(time|ready) (for a laugh|to laugh)|surprise me with (a joke|something funny)|"
    "(my|our) (mood|day) needs a joke|brighten my day with a joke|joke of the day[ please]|(a|one) dad joke[ please]|"
    "(tell|give) (me|us) a (dad joke|pun|riddle|one-liner|gag|silly one)|(any|some) humour[ please]|lighten the mood|"
    "i (need|want) to (smile|giggle|chuckle|be cheered up)|let me (laugh|giggle|hear something funny)|"
    "you must know (a|some) joke[s]|(share|spare) (a|some) (joke|laugh|fun) with me|haha, tell me (one|a joke)"
)
_KNOCK_KNOCK_WORDINGS = (
    "<give> a knock[ |-]knock joke|[a ]knock[ |-]knock joke[ please]|(do you know|know|got|heard) (a|any) "
    "knock[ |-]knock joke[s]?|tell me (a|your best) knock[ |-]knock joke|can you do [a ]knock[ |-]knock joke[s]?|"
    "i (like|love) knock[ |-]knock jokes|let's have a knock[ |-]knock joke|(do|try|make) a knock[ |-]knock joke"
)
_KNOCK_KNOCKS: tuple[tuple[str, str], ...] = (
    ("Lettuce", "Lettuce in, it is cold out here!"),
    ("Boo", "Do not cry, it is only a joke!"),
    ("Cow says", "No, a cow says moo!"),
    ("Olive", "Olive you very much!"),
    ("Harry", "Harry up and open the door!"),
    ("Justin", "Justin time for dinner!"),
    ("Ice cream", "Ice cream every time I see a ghost!"),
    ("Luke", "Luke through the window and see!"),
    ("Tank", "You are welcome!"),
    ("Nana", "Nana your business!"),
    ("Figs", "Figs the doorbell, it is broken!"),
    ("Noah", "Noah good place to eat?"),
    ("Water", "Water you doing today?"),
    ("Orange", "Orange you glad to see me?"),
    ("Honey bee", "Honey bee nice and let me in!"),
    ("Wooden shoe", "Wooden shoe like to hear another joke?"),
)


def _knock_knock_joke(rng: random.Random) -> str:
    """A whole knock-knock joke in one reply."""
    who, end = rng.choice(_KNOCK_KNOCKS)
    return f"Knock, knock! Who's there? {who}. {who} who? {end}"


def jokes(rng: random.Random) -> Exchange:
    """A joke, or one about something where the list has one."""
    kind = rng.random()
    if kind < 0.08:
        return Exchange("jokes", say(rng, _KNOCK_KNOCK_WORDINGS), _knock_knock_joke(rng))
    if kind < 0.36:
        topic = rng.choice([t for t, _ in JOKES])
        template = (
            "<give> a joke about (a {x}|{x}s)|<make> a {x} joke|[do you know ]a {x} joke?|do "
            "you know (a|any) joke[s] about {x}s?|joke about (a|the) {x}|a funny one about "
            "{x}s|(heard|got|know) any [good ]{x} jokes?|make me (giggle|laugh) with a {x} joke|something funny "
            "about (a {x}|{x}s)|say something funny about (a|the) {x}|what is funny about {x}s?|cheer me up with "
            "(a {x} joke|a joke about {x}s)|a {x} joke[ please]|{x} joke[s][ please]|a pun about {x}s[ please]|"
            "i (love|like) {x}s, (got|know) a joke?"
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
    return Exchange("jokes", say(rng, f"{template}|{template}|{_MORE_JOKE_WORDINGS}"), rng.choice(JOKES)[1])


def jokes_follow(rng: random.Random) -> Exchange:
    """Another joke."""
    return Exchange("jokes", say(rng, ANOTHER, wrap=False), rng.choice(JOKES)[1])


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
        "|(brainstorm|list|come up with|dream up|think up|offer|share) [some |a few |three ](names|name ideas) for "
        "(a|my|our) {x}|(baptise|christen) (my|our) {x}|what (might|would) (suit|fit) (my|our|a) {x} as a name?|"
        "(got|have you got) (any|some|a) [good |nice ]name[s] for (a|my|our) {x}?|(my|our) {x} is (still |)nameless|"
        "(my|our) {x} (wants|would like|must have|should have) a [nice |good |pretty |]name|"
        "a {x} (moved in|came to us|arrived)[ today], (what name|how to name it|which name)?|"
        "(inspire|help) me with (a name|names) for (a|my|our) {x}|what (are|is) your favourite {x} name[s]?|"
        "we (cannot|can't) agree on a name for our {x}|(best|top|cool|cute|lovely|unusual) (names|name) for (a|my) {x}"
        "[?| please]|what do people (call|name) (a|their) {x}?|names (that|which) suit a {x}[ please]|"
        "(can|could|would) you name (my|our) {x}[ for me]?|naming (a|my) {x}, (any help|ideas)?|"
        "(how|what) about a name for (my|our) {x}?|i am (naming|going to name) (my|a) {x}, (help me|ideas please)"
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
        ANOTHER + "|more names[ please]|other names?|i don't like (those|them)|any other ideas?|some more",
        wrap=False,
    )
    return Exchange("suggesting names", user, _name_reply(rng, kind))


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
