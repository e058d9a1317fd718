"""Short poems: an opening couplet that names the topic and a closing couplet that names it again.

Every couplet is whole by itself and says nothing that depends on what the topic is (no "it", no "they", no verb
after it), so that any opening goes with any closing and with any topic: a thing, many things, an idea, a name.
"""

from __future__ import annotations

import random

from .exchange import Exchange
from .grammar import capitalised, expand, say
from .topics import ANOTHER, Topic, draw_topic, lovely_topic


def _couplets(text: str) -> tuple[tuple[str, str], ...]:
    """The couplets of a list with one couplet a line, " / " between its two lines."""
    pairs = (line.strip().split(" / ") for line in text.strip().splitlines())
    return tuple((first, second) for first, second in pairs)


_OPENINGS = _couplets("""
I thought of {t} today, / and all the (clouds|shadows) (blew|drifted) away.
I (sing|hum) a song of {t} all day, / and (birds|children) come out to (play|sway).
I dreamed of {t} (last|one summer) night, / and all the stars were (shining|burning) bright.
I think of {t} (late at|every) night, / and then the world feels (warm|calm|soft) and right.
Let me tell you of {t}, my friend, / a tale that goes on without an end.
Here is a rhyme for {t}, brand new, / as (clear|bright) as a drop of morning dew.
This little song is for {t}, / as (deep|wide|quiet) and blue as the summer sea.
A song for {t}, soft and low, / I sing it wherever I (may |)go.
When I think of {t}, I smile all day, / and (soon|then) my worries are far away.
With {t} in my heart I go / over the hills and the (quiet|soft|shining) snow.
With {t} in my thoughts I (walk|wander) along, / and all the world is (like |)a happy song.
Of {t} I (gladly|softly|often) sing, / as (light|glad) as a (robin|swallow) in early spring.
Who would not sing of {t} in May, / when (bees|lambs) and (blossoms|butterflies) are out to play?
I wrote about {t} with a golden pen, / and then I (read|sang) it all over again.
A poem for {t} is what I write, / by the (gentle|golden|quiet) glow of the candle light.
I whispered of {t} to the old oak tree, / and all of its leaves (sang along|were laughing) with me.
I told the moon about {t} one night, / and the moon (smiled down|looked down) with a silver light.
I asked the wind about {t} one day, / and it (laughed|hummed) and danced and blew away.
The robin sang of {t} at dawn, / (out there|high up) in the apple tree, over the lawn.
I drew a picture of {t} in the sand, / with a (little|tiny) white shell in my open hand.
I painted {t} in green and blue, / with a (touch|drop) of gold where the sun came through.
A thought of {t} can brighten the day / when the morning is cold and the sky is grey.
A thought of {t} sets my heart aglow / in the middle of (winter|the night), when the cold winds blow.
My heart is full of {t} today, / and so I dance the (whole|long) (long |)way.
I know a song about {t} by heart, / and this is how the verses start.
There is a song about {t} I know, / I learned it (a long, long|many years) ago.
(Come|Sit) close, let me tell of {t} to you, / a tale that is (gentle|lovely) and (kind|short) and true.
All the children sing of {t} in spring, / and the bells in the village begin to ring.
The old man (told|sang) me of {t} by the fire, / while the sparks were (flying|dancing) higher and higher.
The rain was drumming a song of {t}, / (softly|quietly), on the roof, for me.
I looked for {t} (high and low|in the falling snow), / where the (rivers|sweet wild roses) (run and the willows |)grow.
I sailed with {t} across the sea, / and the waves were singing (along |)with me.
I carry {t} in my (mind|dreams) each day, / like a little lamp that lights the way.
A rhyme about {t} came to my head / when the sun (went down|was low) and the sky was red.
The stars wrote {t} across the sky, / and I saw it shine as the clouds went by.
I tell the river of {t} at night, / and the river (hums|sings) in the pale moonlight.
Today I will sing of {t} for you, / under a sky that is (wide|clear) and blue.
If I had one wish, it would be for {t}, / and a (little|small) white boat on a (quiet|gentle) sea.
A thought of {t} came in with the sun, / and so my (happy |sunny |)day had begun.
Some sing of gold, but I sing of {t}, / for that is the song that is dear to me.
In all my dreams of {t} I see / a (garden|meadow) in bloom and a (cherry|willow) tree.
This is my verse for {t}, so small, / I pinned it up on the garden wall.
To {t} I raise my cup of tea, / and I hope you will raise a cup with me.
For {t} I picked a (rose|daisy) today, / and sang a (song|tune) along the way.
""")
_CALLS = _couplets("""
Oh {t}, how dear you are to me, / as dear as the (sun|light) on the (morning|summer) sea.
Oh {t}, oh {t}, how do you do? / I wrote these (happy|little) lines for you.
Dear {t}, I (wrote|made) this (rhyme|song) for you, / it is small and kind and every word is true.
Oh {t}, you make me smile all day, / you chase the greyest clouds away.
Hello, {t}, (I say|I sing) to you, / the morning is bright and the sky is blue.
""")
_CLOSINGS = _couplets("""
The little birds are fast asleep, / and thoughts of {t} are mine to keep.
The stars come out, the day is done, / I sing of {t} to the setting sun.
So close your eyes and count to ten, / and dream of {t} once again.
The rain may come, the wind may blow, / but of {t} I will (always|gladly) sing, I know.
The world is wide and I am small, / but a song for {t} is the best of all.
And when the evening turns to night, / I dream of {t} in the soft moonlight.
The (bells|birds) are singing, far and near, / and a song for {t} is all I hear.
The winter goes, the spring comes in, / with a song for {t} let the year begin.
I have no gold and I have no ring, / but of {t} I will gladly sing.
Now take my hand and dance along, / for {t} is in our happy song.
So here is a smile and here is a rhyme / for {t} and the happy summer time.
My little poem is almost done, / for {t} I made it, just for fun.
So let us sing by the warm firelight, / to {t} we wave and say good night.
The (moon|sun) is up, the sky is clear, / a thought of {t} is always near.
The kettle sings, the fire is low, / I think of {t} in its golden glow.
A (leaf|star) fell down into my hand / and spoke of {t} in a faraway land.
The road is long, the hills are steep, / but a dream of {t} is mine to keep.
Let others sing of the mighty king, / of {t} is all I want to sing.
The days go by, the rivers flow, / and still of {t} I dream, you know.
A (bee|bird) came by and hummed to me / a tune about {t} from the apple tree.
The night is quiet, the lamp is bright, / I write of {t} by candlelight.
So ring the bells and beat the drum, / for {t} we sing and clap and hum.
The clouds are soft, the grass is deep, / I think of {t} and fall asleep.
I hum my tune in the morning dew, / my tune for {t}, and for you too.
The sun goes down behind the hill, / but I dream of {t} and I always will.
The years may come, the years may go, / my love for {t} will only grow.
Wherever I go, wherever I stay, / a song for {t} is with me all day.
The world may be (old|loud|busy), the world may be grey, / but a thought of {t} makes it bright today.
So keep this rhyme in your heart with care, / and carry {t} with you everywhere.
My song is short, but my heart is true, / from {t} and me, good night to you.
In every season, in sun and rain, / I sing of {t} again and again.
When I am old, I will still recall / the song of {t} by the garden wall.
A little joy in a quiet place, / and a thought of {t} puts a smile on my face.
The moon looks in at my window now, / and talks of {t}, I don't know how.
The (sea|wind) is calm and the boats are in, / now let the song for {t} begin.
No matter how cold the wind may blow, / a dream of {t} will warm me so.
The snow falls softly, without a sound, / and of {t} we sing as we dance around.
I send this song on the evening breeze, / a song for {t} through the sleepy trees.
The apples are red and the leaves are gold, / and the tale of {t} will be told and told.
The candle burns and the clock strikes nine, / and a dream of {t} will soon be mine.
Come rain, come snow, come (sun|wind), come hail, / I will always tell of {t} in my tale.
I wave to the moon, I wave to the sea, / and a thought of {t} comes home with me.
The birds fly south when the nights grow long, / but here is {t} in my little song.
My verses are few and my words are plain, / but I sing of {t} in sun and rain.
I cannot paint and I cannot dance, / but I rhyme for {t} whenever I have the chance.
Soon all the lanterns will glow in the dark, / and we sing of {t} all over the park.
There is no hurry, there is no end, / I sing for {t} and for you, my friend.
So sing with me, be it loud or low, / and tell of {t} wherever you go.
And if you ask me what makes me glad, / a thought of {t}, when the day was bad.
The (hills|woods) are green and the sky is wide, / and I hum of {t} as I walk outside.
I wrote it down on a page of white, / my poem for {t}, and all felt right.
The grass is soft where the daisies grow, / I sing about {t}, now you know.
A (cloud|swan) goes by like a ship of snow, / and I think of {t} as I watch it go.
The bread is baked and the tea is poured, / and with {t} in mind I am never bored.
The church bell rings and the day is new, / a good day for {t}, for me and you.
The world turns round, and so do we, / with {t} in our hearts, as glad as can be.
I clap my hands and I tap my shoe, / I sing for {t} and I sing for you.
My heart is light and my step is free / when a song about {t} comes back to me.
The lambs are resting, the owls take flight, / to {t} and you I say good night.
So thank you, sun, and thank you, rain, / for {t} in my song, once and again.
And so my rhyme comes to its end, / with love for {t} from me, your friend.
""")


def poem(rng: random.Random, topic: Topic) -> str:
    """Four lines about the topic: an opening couplet that names it and a closing one that names it again."""
    spoken = topic.spoken
    openings = _OPENINGS
    callable_by_name = not spoken.startswith(("a ", "an ", "the ", "your ", "two ")) and " and " not in spoken
    if callable_by_name and rng.random() < 0.2:
        openings = _CALLS
    lines = (*rng.choice(openings), *rng.choice(_CLOSINGS))
    return "\n".join(capitalised(expand(line, rng, t=spoken)) for line in lines)


_ADJECTIVE = "[short |little |nice |tiny |sweet |beautiful |funny |lovely |small |new |cute |wee |gentle |happy |]"
_POEM = "(poem|poem|poem|poem|rhyme|verse|little verse|haiku|ode|limerick|couplet|song|ballad|four-liner)"
_ANY_POEM = (
    f"<make> a {_ADJECTIVE}{_POEM}|<make> a {_ADJECTIVE}poem|poem|a poem[ please]|poetry|a "
    "rhyme[ please]|do you know (a|any) poem[s]?|some poetry[ please]|recite (a|some) (poem|poetry|verse)|a "
    "short poem[ please]|(say|tell) me a rhyme|write poetry|something that rhymes|i "
    "like poems, (write|make) one[ for me]|can i hear a poem?|poem please|make a "
    "rhyme|let's have a poem|rhyme something|four lines of poetry please|a few lines of verse[ please]|"
    "(write|make) me (some|a few|four) (lines|rhymes|verses)[ please]|(be|play) (a|the) poet[ for me]|"
    "(a|one) haiku[ please]|an ode[ please]|(write|make|do) a limerick|(do|try) a haiku|poetry time|"
    "i am in the mood for (a poem|poetry|some verse)|surprise me with a poem|show me (a|some) (poem|poetry|rhymes)|"
    "(got|have you got) (a|any) poem[s]?|(heard|know) any [good |nice ](poems|rhymes)?|i feel like (a poem|poetry)|"
    "(read|recite|sing) me (a poem|some poetry|a rhyme|a verse)|make (something|it) rhyme|"
    "(could|can|would) you (rhyme|make rhymes|make up a rhyme)[ for me]?|invent a (poem|rhyme|verse)|"
    "(put|string) some rhymes together|your (best|favourite) poem[ please]|(write|say) something poetic|"
    "let me hear (a poem|a rhyme|your poetry|a verse)|(my day needs|i need|i want) a poem|words that rhyme[ please]|"
    "how about (a poem|some poetry|a rhyme|a verse)?|make me a poet's gift|rhyme for me|rhyme time"
)
_POEM_ABOUT = (
    f"<make> a {_ADJECTIVE}{_POEM} (about|about|on|for|of) {{t}}|<make> a {_ADJECTIVE}poem (about|about|on|for) {{t}}|"
    "[a |]poem (about|on|for) {t}[ please]|(do you know|can i have|have you got|got) (a|any) poem about {t}?|"
    "(write|make) {t} a poem|rhyme about {t}|something poetic about {t}|put {t} "
    "in a poem|let {t} be in a poem|{t} poem|turn {t} into a poem|some lines about "
    "{t}[ please]|(compose|write) something that rhymes about {t}|(a|one) (haiku|limerick|verse) (about|on) {t}|"
    "an ode to {t}[ please]|(write|sing|compose) an ode to {t}|(a few|four|some) (lines|rhymes|verses) (on|about|for) "
    "{t}|(do|try|give me) a (haiku|limerick|rhyme|verse) (about|on) {t}|(can|could|would) you (rhyme|write a verse|"
    "make a rhyme|be poetic) about {t}?|i (would like|want|need) (a poem|a rhyme|some verse|a verse) about {t}|"
    "(be|play) a poet and (write|sing|speak) (of|about) {t}|(describe|praise|honour) {t} in (a poem|verse|rhymes)|"
    "say something (poetic|in rhyme) about {t}|tell me about {t} in (rhyme|a poem|verse|rhymes)|"
    "(recite|read|sing) [me ]a poem about {t}|{t} in (a poem|rhymes|verse)[ please]|make (up|me) (a verse|a rhyme) "
    "(for|about) {t}|i love {t}, write a poem[ about that]|my poem should be about {t}|"
    "a poem[ please], (about|the topic is) {t}|poem, topic: {t}|dedicate a poem to {t}|surprise {t} with a poem|"
    "what (would|could) a poem about {t} (sound|be) like?|how about (a poem|a rhyme|a verse) (on|about) {t}?"
)


def poems(rng: random.Random) -> Exchange:
    """A poem on a topic, or on one the model chooses."""
    if rng.random() < 0.3:
        return Exchange("poems", say(rng, _ANY_POEM), poem(rng, lovely_topic(rng)))
    topic = draw_topic(rng)
    return Exchange("poems", say(rng, _POEM_ABOUT, verbatim=True, t=topic.text), poem(rng, topic))


def poems_follow(rng: random.Random) -> Exchange:
    """Another poem, or one about the next topic by name alone."""
    if rng.random() < 0.4:
        user = say(rng, ANOTHER + "|another poem[ please]|one more (poem|verse|rhyme)|more poetry", wrap=False)
        return Exchange("poems", user, poem(rng, lovely_topic(rng)))
    topic = draw_topic(rng)
    user = say(
        rng,
        "(now|and) [one ]about {t}|what about {t}?|one about {t}[ please]|another one about {t}|and (one |)for {t}?|"
        "(another|a) poem about {t}[ now]|the same (for|about) {t}",
        wrap=False,
        verbatim=True,
        t=topic.text,
    )
    return Exchange("poems", user, poem(rng, topic))
