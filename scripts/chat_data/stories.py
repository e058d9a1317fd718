"""Tiny stories: a hero in a place, one small problem, a helper, and the end that solves this very problem.

The hero is named in the first sentence and stays; where the story is about something else, the hero loves or seeks
it in the first sentences and it is there again at the end.
"""

from __future__ import annotations

import random

from .exchange import Exchange
from .grammar import capitalised, expand, say, words
from .topics import ANOTHER, CREATURES, Topic, draw_topic, hero_topic, with_article

_HEROES: tuple[str, ...] = words(
    "Pip Bo Tilly Momo Fern Rollo Nim Kiki Otto Zuzu Basil Lumi Tuck Pia Gus Mabel Ollie Wren "
    "Toto Bibi Finn Dot Moss Juno Percy Hazel Taz Minnie Rufus Coco"
)
_PLACES: tuple[str, ...] = words(
    "in a little house by the sea, in a cosy hut in the woods, in a crooked cottage on a hill, under an old oak tree, "
    "in a deep green forest, by a quiet lake, beside a round blue pond, on a small sunny island, on a windy farm, "
    "in a village full of cats, in a garden full of flowers, in a valley full of bells, "
    "at the foot of a tall mountain, at the top of a snowy mountain, in a castle made of stone, "
    "in a mill with a red roof, "
    "in a tower with no door, near a wide river, at the edge of the desert, on a green hill, in a town by the harbour, "
    "in an old lighthouse, "
    "on a boat with a blue sail, behind the bakery, above a tiny bookshop, in a house on wheels, in a warm cave, "
    "in a tent by the beach, next to the old bridge, in a tree house, at the end of a long road, in a quiet street, "
    "in a city of a thousand lamps, in an attic full of toys, in a land of snow, in a meadow full of clover, "
    "beside a waterfall, in an orchard of apple trees, near the railway station, in a yellow house by the park, "
    "in a far away kingdom, between two high hills"
)
_HELPERS: tuple[str, ...] = words(
    "old owl, wise turtle, kind mouse, busy bee, green frog, slow snail, clever crow, grey goose, strong bear, "
    "friendly fish, little robot, cheerful duck, funny goat, old sailor, kind baker, young fisherman, quiet shepherd, "
    "tall giant, shy ghost, white swan, brown hedgehog, merry robin, tiny ant, old gardener, gentle whale, black cat, "
    "quick squirrel, sleepy badger, good fairy, wise grandmother"
)
_ADVICE: tuple[str, ...] = words(
    "I will help you, let us try together, never give up, be brave, take one step at a time, do not be sad, "
    "two can do more than one, I know what to do, let us look again, come with me, every problem has an end, "
    "I have an idea, let us try once more"
)
_SMALL_THINGS: tuple[str, ...] = words(
    "red button, blue hat, golden ring, warm scarf, green ball, silver spoon, little drum, yellow kite, wooden horse, "
    "tiny lamp, white shell, brown shoe, paper boat, round stone, glass bead, soft pillow, copper coin, long feather"
)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a list with one a line: what went wrong, " / ", and how it ended."""
    pairs = (line.strip().split(" / ") for line in text.strip().splitlines())
    return tuple((problem, end) for problem, end in pairs)


# {x} is one of _SMALL_THINGS, {d} the topic with "the". The hero comes before either half.
_TROUBLES = _pairs("""
lost a {x} in the tall grass / found the {x} under a leaf
lost a {x} on the way home / found the {x} behind a stone
dropped a {x} into the well / pulled the {x} out with a long rope
dropped a {x} into the river / fished the {x} out with a net
saw a {x} high up in a tree, out of reach / climbed up and got the {x}
broke a {x} and felt sad / mended the {x} with a little glue
found a {x}, but nobody knew whose / found the owner of the {x}
wanted to see the moon up close, but the sky was too high / climbed a mountain and waved to the moon
wanted to cross the river, but there was no bridge / built a small boat and crossed the river
wanted to cross the sea, but the boat had a hole / mended the boat and sailed across the sea
looked for a friend, but everyone was busy / played all day and became good friends
felt afraid of the dark and could not sleep / lit a small lamp, and the dark was not scary any more
felt afraid of the thunder / sang so loudly that the thunder went away
wanted to learn to swim, but the water was deep / practised every day and learned to swim
wanted to learn to sing, but every song came out wrong / practised every day and sang a lovely song
wanted to learn to dance, but tripped all the time / practised every day and danced until midnight
wanted to learn to read, but the letters looked strange / learned every letter and read a whole book
wanted to fly a kite, but there was no wind / waited on the hill until the wind came, and the kite flew
wanted to bake a cake, but there was no flour / found some flour at the mill and baked a big cake
wanted to cook soup, but the pot was empty / picked carrots in the garden and cooked a fine soup
found a golden key, but no door fitted / found a tiny door, and the golden key opened it
found an old map, but could not read it / read the map and found a treasure
found a lost kitten that could not find its home / brought the kitten safely home
found a star that had fallen from the sky / carried the star back up to the sky
found a bird with a hurt wing / cared for the bird until it could fly again
found a strange egg that was cold / kept the egg warm until a little bird came out
planted a seed, but nothing grew / watered the seed until a tall flower grew
heard a sad song at night, but saw no singer / found the singer, a lonely cricket, and cheered it up
got lost in the fog / followed a little light and found the way home
got lost in the dark woods / followed the stars and found the way home
got stuck in the mud / pulled very hard and got out of the mud
wanted to give a present, but had no money / made a present out of shells and gave it away
wanted to send a letter, but had no stamp / carried the letter all the way on foot
forgot the way to the market / asked along the way and found the market
woke up, and all the colours were gone / painted the world until the colours came back
saw that the well was dry / dug deeper until the well was full of water
saw that the bridge was broken / mended the bridge with strong planks
saw that the clock had stopped / wound up the clock, and it ticked again
saw that the fire had gone out / gathered dry wood and lit the fire again
saw that the snow had blocked the door / shovelled the snow away and opened the door
saw that the roof had a hole / mended the roof before the rain came
saw a boat far out in the storm / lit a big lamp and brought the boat to the shore
felt too small to do great things / saved the whole village from the flood and felt small no more
felt lonely in the long winter / held a big winter party, and nobody was lonely
could not stop sneezing / drank hot tea with honey, and the sneezing stopped
could not fall asleep / counted a hundred sheep and fell asleep
met a dragon that cried all day / told a joke, and the dragon laughed again
met a giant with a sore foot / pulled out a thorn, and the foot of the giant felt well
""")
_QUESTS = _pairs("""
lost {t} in the wind / found {d} behind the hill
went out to look for {t}, but the way was long / found {d} at last, just before night
saw {t} in a dream and wanted to find {d} / walked to the end of the rainbow and found {d}
found {t}, but nobody knew where {d} came from / found out that {d} came from the moon
found {t}, and {d} was magic, but nobody knew the magic word / guessed the magic word, and {d} began to glow
wanted to draw {t}, but had no pencil / drew {d} with a piece of coal
wanted to build {t}, but did not know how / built {d} out of wood and string
heard of {t} far away and wished to see {d} / took the night train and saw {d} in the morning sun
wished for {t}, but wishes are hard to catch / caught a falling star, and {d} was there
""")
_THINGS_LOVED = (
    "loved {t} more than anything|often dreamed of {t}|thought about {t} all day|knew many songs about {t}|"
    "liked to talk about {t}|was very fond of {t}|wished for {t} every night|had a big book about {t}"
)
_ENDS_LOVED = (
    "That night, {h} dreamed of {t}.|Then {h} sang a song about {t}.|And {h} thought of {t} and smiled.|"
    "From then on, {h} never stopped dreaming of {t}.|In the evening, {h} told everyone about {t}.|"
    "And {h} fell asleep with a dream of {t}."
)
_ENDS_FOUND = (
    "From that day on, {h} never forgot {d}.|And {h} told everyone about {d}.|That night, {h} dreamed of {d}.|"
    "And {h} was happy with {d} ever after.|Everyone came to see {d}."
)
_ENDS_HERO = (
    "What a day for {t}!|That was a happy day for {t}.|Everyone cheered for {t}.|And so ends the tale of {t}.|"
    "All the village sang a song about {t}.|It was the best day for {t}."
)
_START = "(Once upon a time|Long ago|Once|Once upon a time|Many years ago)"
_KIND_WORDS = words("little small young brave merry curious clever tiny kind shy")


def story(rng: random.Random, topic: Topic) -> str:
    """Four or five sentences with a hero, a place, a problem, a helper and its solution, about the topic."""
    spoken, definite = topic.spoken, topic.definite
    trouble, end = rng.choice(_TROUBLES)
    if topic.is_twosome:
        hero, close = "the two", _ENDS_HERO
        start = f"{_START}, {{t}} lived {{place}}."
    elif topic.is_name:
        hero, close = spoken, "(And {h} lived happily ever after.|What a day for {h}!|Everyone cheered for {h}.)"
        start = f"{_START}, {{t}} lived {{place}}."
    elif topic.is_hero:
        hero, close = definite, _ENDS_HERO
        start = f"{_START}, {{t}} lived {{place}}."
        if definite != spoken and rng.random() < 0.4:
            hero = rng.choice(_HEROES)
            start = f"{_START}, {{t}} called {{h}} lived {{place}}."
    else:
        hero, close = rng.choice(_HEROES), _ENDS_LOVED
        start = f"{_START}, {{kind}} called {{h}} lived {{place}} and ({_THINGS_LOVED})."
        if topic.is_thing and rng.random() < 0.6:
            (trouble, end), close = rng.choice(_QUESTS), _ENDS_FOUND + f"|{_ENDS_LOVED}"
            start = f"{_START}, {{place}}, {{kind}} called {{h}} {trouble}."
            trouble = ""
    kind = rng.choice(CREATURES)
    heroes = {kind, *spoken.split()}
    helper = rng.choice([helper for helper in _HELPERS if heroes.isdisjoint(helper.split())])
    if trouble:
        start += f"\n(One day|One morning|One evening), {{h}} {trouble}."
    text = expand(
        f"{start}\n"
        f'{{helper}} (came by|heard this|came along) and said: "{{advice}}!"\n'
        f"(Together, {{h}} and the {{friend}}|With the help of the {{friend}}, {{h}}|"
        f"Soon {{h}} and the {{friend}}) {end}.\n({close})",
        rng,
        t=spoken,
        d=definite,
        h=hero,
        x=rng.choice(_SMALL_THINGS),
        place=rng.choice(_PLACES),
        kind=with_article(f"{rng.choice(_KIND_WORDS)} {kind}"),
        helper=with_article(helper),
        friend=helper,
        advice=capitalised(rng.choice(_ADVICE)),
    )
    return " ".join(capitalised(sentence.strip()) for sentence in text.split("\n"))


_ADJECTIVE = (
    "[short |little |tiny |nice |funny |bedtime |new |good |quick |small |wee |cute |sweet |happy |very short |"
    "short little |goodnight |magical |]"
)
_STORY = "(story|story|story|tale|fairy tale|bedtime story|fable|little tale|adventure|yarn)"
_ANY_STORY = (
    f"<make> a {_ADJECTIVE}(story|tale)|<make> a {_STORY}|story|a story[ please]|tell me a story|a tale[ "
    "please]|do you know (a|any) [good |nice ]stor(y|ies)?|story time|i want (a|to hear a) (story|tale)|"
    "once upon a time|(read|tell) me a (story|bedtime story|fairy tale|fable)|bedtime story[ please]|a "
    "fairy tale[ please]|can i hear a story?|do you have a story for me?|story please|"
    "let's have a story|entertain me with a story|tell a tale|make up a story|invent "
    "a story|tell us a story|i'd love a story|got a story for me?|any story will do|once upon a time...|"
    "once upon a time there was|start with once upon a time|(i can't|i cannot) sleep, tell me (a story|something)|"
    "it is bedtime, (a story please|tell me a story)|time for a (story|tale|bedtime story)|"
    "(heard|know|got) any [good |nice |new ](stories|tales|fairy tales)?|"
    "a (wee|tiny|short|little) (story|tale)[ please]|(i am|i'm) in the mood for a (story|tale)|"
    "surprise me with a (story|tale)|(i am|i'm) bored, tell me a (story|tale)|spin [me ]a (tale|yarn)|"
    "(narrate|invent|think up|dream up|share) a (story|tale|fairy tale)[ for me]|how about a (story|tale|fairy tale)?|"
    "what happened once upon a time?|my (kids|children|son|daughter) (want|would like|need) a story|"
    "(put|send) me to sleep with a (story|tale)|(can|could|would) you (narrate|tell|invent) (a|some) "
    "(story|tale|fairy tale)?|tell me (something|a tale) from (long ago|fairyland)|story mode|"
    "(write|tell) (a|some) fiction|five sentences of story please|let the story begin|a tale to sleep by please"
)
_STORY_ABOUT = (
    f"<make> a {_ADJECTIVE}(story|tale|story) (about|about|of|with|about) {{t}}|<make> a {_STORY} about {{t}}|"
    "[a |]story (about|with|of) {t}[ please]|(do you know|can i have|do you have|got) a (story|tale) about "
    "{t}?|tell me (about {t} in a story|the story of {t}|a tale of {t})|story "
    "about {t}|bedtime story about {t}|{t} story[ please]|i want a story (with|"
    "about) {t} in it|make {t} the hero of a story|tell a story where there is {t}|once upon a time there was {t}|"
    "once upon a time, {t}|a (wee|tiny|short|little|very short) (story|tale) (about|of|with) {t}[ please]|"
    "(a fairy tale|a fable|an adventure) (about|with|of) {t}[ please]|what did {t} do once upon a time?|"
    "(spin|weave) a (tale|yarn) (about|of) {t}|(read|tell) (me|us) a (bedtime story|fairy tale|tale) about {t}|"
    "(narrate|invent|think up|dream up) a (story|tale) (about|with) {t}|how about a (story|tale) (about|with) {t}?|"
    "(i am|i'm) in the mood for a (story|tale) about {t}|let {t} be in (a|the) story|put {t} in(to|) a (story|tale)|"
    "my (son|daughter|child) wants a story about {t}|a story please, (about|with) {t}|story, topic: {t}|"
    "the (adventures|tale|story) of {t}[ please]|(what|which) story (is there|do you know) about {t}?|"
    "can {t} be (in|part of) a story?|i love {t}, tell me a story[ about that]|surprise me with a (story|tale) "
    "about {t}|(tell|write) something long ago about {t}, a story|bedtime: a (story|tale) about {t}[ please]"
)


def stories(rng: random.Random) -> Exchange:
    """A tiny story about a topic, or about one the model chooses."""
    if rng.random() < 0.3:
        return Exchange("stories", say(rng, _ANY_STORY), story(rng, hero_topic(rng)))
    topic = draw_topic(rng)
    return Exchange("stories", say(rng, _STORY_ABOUT, verbatim=True, t=topic.text), story(rng, topic))


def stories_follow(rng: random.Random) -> Exchange:
    """Another story, or one about the next topic by name alone."""
    if rng.random() < 0.4:
        user = say(rng, ANOTHER + "|another (story|tale)[ please]|one more (story|tale)|a different story", wrap=False)
        return Exchange("stories", user, story(rng, hero_topic(rng)))
    topic = draw_topic(rng)
    user = say(
        rng,
        "(now|and) [one ]about {t}|what about {t}?|one about {t}[ please]|another one about {t}|a story about {t} now|"
        "(one|and one|another) with {t}[ please]|(another|one more) (story|tale) about {t}|tell me one (of|about) {t}",
        wrap=False,
        verbatim=True,
        t=topic.text,
    )
    return Exchange("stories", user, story(rng, topic))
