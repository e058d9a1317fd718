"""What people say about their day and their mood: families of statements put together from tables of fillers.

A reply never repeats a word of the message: it only has to fit the family (glad, sorry or interested).
"""

from __future__ import annotations

import random
from typing import Any

from .exchange import Exchange
from .grammar import expand, say, words

_FILLERS: dict[str, tuple[str, ...]] = {
    "food": words(
        "pizza, soup, pasta, a sandwich, pancakes, rice and beans, ice cream, a salad, fish and chips, "
        "noodles, toast, "
        "porridge, an omelette, a burger, curry, cereal, some fruit, potatoes, a big steak, waffles, a bowl of stew, "
        "dumplings, sushi, a cheese roll, roast chicken, an apple, a banana, tacos, eggs, a croissant, yoghurt, pie, "
        "leftovers, a hot dog, cake, a muffin, meatballs, vegetables, lentils, a doughnut"
    ),
    "drink": words(
        "tea, coffee, a cup of tea, a cup of coffee, hot chocolate, lemonade, orange juice, a glass of water, cocoa, "
        "a smoothie, apple juice, some milk, a milkshake, green tea, a cappuccino, iced tea, a glass of "
        "wine, a beer, "
        "some soda, ginger tea, a latte, warm milk, an espresso, mint tea, a cold drink, tomato juice"
    ),
    "meal": words("breakfast, lunch, dinner, supper, brunch, a snack, an early lunch, a late dinner, a big meal, tea"),
    "place": words(
        "the park, the beach, the zoo, the cinema, the library, the market, the museum, the lake, the "
        "mountains, town, "
        "the fair, the playground, a concert, the theatre, the swimming pool, the forest, a cafe, a restaurant, "
        "the garden centre, the river, the circus, a party, the funfair, a castle, the aquarium, the "
        "seaside, a farm, "
        "the ice rink, a football match, an art show, the village, a picnic, the botanical garden, the old town"
    ),
    "errand": words(
        "the shop, the supermarket, the bank, the post office, the bakery, the hairdresser, the dentist, the doctor, "
        "the gym, the garage, the pharmacy, the office, church, the butcher, the bookshop, the vet, the town hall, "
        "the petrol station, the train station, the airport, the school meeting, the laundry, the hardware store, "
        "the optician, the barber, the bus stop, the flower shop"
    ),
    "person": words(
        "my mother, my father, my mum, my dad, my brother, my sister, my friend, my best friend, my wife, my "
        "husband, "
        "my son, my daughter, my grandma, my grandpa, my aunt, my uncle, my cousin, my neighbour, my boss, "
        "my teacher, "
        "my girlfriend, my boyfriend, my roommate, my niece, my nephew, my grandparents, my kids, my family, "
        "my colleagues, my class, the children, some friends, my parents, my partner"
    ),
    "pet": words(
        "my cat, my dog, our dog, our cat, my hamster, my rabbit, the puppy, my kitten, my parrot, our budgie, "
        "my goldfish, the neighbour's cat, my guinea pig, my pony, our old dog, my turtle, the little "
        "kitten, my horse"
    ),
    "seen": words(
        "a rainbow, a fox, a deer, a squirrel, a shooting star, a hot air balloon, an old friend, a funny "
        "film, a swan, "
        "a hedgehog, a big ship, a street musician, a famous actor, a lovely sunset, a butterfly, an owl, a parade, "
        "a steam train, a huge dog, a frog, fireworks, a clown, a heron, a woodpecker, the full moon, a tiny kitten, "
        "a good play, a tall tower, a whale, a snowman, a beautiful bird"
    ),
    "bought": words(
        "a coat, shoes, new shoes, a hat, a book, a lamp, a sofa, a phone, flowers, a bike, a chair, some plants, "
        "a dress, a jacket, a table, a ring, groceries, some bread, a scarf, a game, a guitar, a new bed, a carpet, "
        "a watch, new glasses, a bag, a kettle, a pair of boots, paint, a toy, a laptop, fruit, a birthday card"
    ),
    "gift": words(
        "a present, a puppy, a kitten, a letter, flowers, a new bike, a medal, a prize, a promotion, a pay rise, "
        "a new job, a good grade, a surprise, a scholarship, a card from a friend, tickets for a show, a toy train, "
        "a big hug, an invitation, a free day, a kind message, a place at university, an award, a driving licence, "
        "a baby brother, a new flat"
    ),
    "lost": words(
        "my keys, my phone, my wallet, my umbrella, my bag, my ring, my glasses, my hat, my ticket, my homework, "
        "my watch, my gloves, my favourite toy, my job, my passport, my scarf, my book, my notebook, my purse, "
        "my earring, the game, the match, my bus card, my headphones, my ball, a tooth"
    ),
    "broken": words(
        "my phone, my bike, my car, the washing machine, the fridge, my computer, a window, my glasses, a plate, "
        "my favourite cup, the heating, my watch, the lift, the oven, my chair, the tv, my laptop, the printer, "
        "a vase, my umbrella, the lamp, my shoe, the kettle, my guitar, the toaster, the radio"
    ),
    "vehicle": words(
        "the bus, the train, my bus, my train, my flight, the tram, the ferry, the school bus, the last bus, "
        "my plane, "
        "the last train, the underground, the start of the film, the boat, my stop, my appointment, the meeting"
    ),
    "chore": words(
        "the kitchen, my room, the house, the bathroom, the garden, the dishes, the laundry, the windows, "
        "the garage, "
        "the car, the floor, the attic, my desk, the cupboard, the stairs, the ironing, the cellar, the oven, "
        "the living room, the fridge, the balcony, the hen house, the shed, my shoes, the bedroom, the whole flat"
    ),
    "dish": words(
        "a cake, soup, bread, cookies, an apple pie, pancakes, a stew, lasagne, a curry, jam, biscuits, a pizza, "
        "muffins, spaghetti, a roast, brownies, a quiche, chilli, scones, dinner, lunch, a big salad, waffles, "
        "vegetable soup, a birthday cake, breakfast for everyone, a casserole, fried rice"
    ),
    "reading": words(
        "a book, a good book, a long novel, a comic, the newspaper, a magazine, an old letter, a crime story, "
        "a fairy tale, a history book, a travel guide, some poems, a funny book, a love story, a cookbook, a "
        "thriller, "
        "a story about pirates, a book about trees, a detective story, a manual, an article"
    ),
    "watching": words(
        "a film, tv, a series, a match, a cartoon, the birds, a documentary, an old movie, the rain, a cooking show, "
        "the sunset, the football game, a scary film, a quiz show, the clouds, the children play, a comedy, "
        "the stars, "
        "a show about nature, the snow fall, videos, a tennis match, a film with dragons"
    ),
    "playing": words(
        "chess, cards, football, tennis, the piano, the guitar, a board game, video games, basketball, the violin, "
        "hide and seek, volleyball, the drums, table tennis, golf, a computer game, the flute, hockey, "
        "darts, dominoes, "
        "badminton, with the kids, with my dog, in the garden, a puzzle game, cricket, rugby, the trumpet"
    ),
    "hobby": words(
        "knitting, painting, drawing, gardening, fishing, baking, cycling, hiking, swimming, dancing, "
        "singing, sewing, "
        "jogging, doing yoga, taking photos, building a model boat, doing a puzzle, collecting stamps, "
        "writing a story, "
        "writing a letter, carving wood, climbing, skating, making candles, practising my handwriting, bird "
        "watching, "
        "learning to cook, learning English, making music, decorating my room, folding paper, planting seeds"
    ),
    "task": words(
        "my homework, my essay, a report, my chores, the shopping, a long walk, my exercises, a big project, "
        "the book, "
        "the painting, my presentation, some work, my lessons, the puzzle, a letter, a long run, my tax form, "
        "the tidying up, a jumper, my first song, the last page, a course, my shift, the packing, a drawing"
    ),
    "exam": words(
        "an exam, a test, a maths test, a driving test, an interview, a job interview, a big meeting, a "
        "spelling test, "
        "a piano exam, an important day, a presentation, a match, a race, an audition, a history exam, a first date, "
        "a dentist appointment, an operation, a concert to play, a speech to give, an English test, a school play"
    ),
    "trip": words(
        "a trip, a holiday, a picnic, a party, a walk in the hills, a camping trip, a long journey, a weekend away, "
        "a surprise party, a boat trip, a wedding, a road trip, a visit to the seaside, a family dinner, a "
        "bike tour, "
        "a barbecue, a garden party, a train journey, a skiing holiday, a school trip, a city trip, a night in a tent"
    ),
    "hurt": words(
        "my knee, my arm, my leg, my foot, my finger, my back, my hand, my ankle, my toe, my head, my wrist, "
        "my elbow, "
        "my shoulder, my nose, my thumb, my neck"
    ),
    "aches": words(
        "my head, my back, my tooth, my stomach, my knee, my foot, my throat, my ear, my arm, my neck, my "
        "belly, my leg"
    ),
    "when": ("", "", "", "", *(" " + w for w in words("today, yesterday, this morning, last night, just now, earlier, "
             "on Sunday, on Friday, after work, after school, this afternoon, this evening, at the weekend, "
             "last week, again, an hour ago, on Monday"))),
    "now": ("", "", "", "", *(" " + w for w in words("now, right now, at the moment, today, this evening, tonight, "
            "again, this morning, in bed, at home, on the sofa, with a friend, by the window, outside, all day"))),
    "soon": ("", *(" " + w for w in words("tomorrow, soon, next week, on Monday, on Friday, tonight, this weekend, "
             "next month, in an hour, today, this afternoon, in two days, on Saturday, in the morning, this "
             "evening"))),
}  # fmt: skip

_GLAD = (
    "That is wonderful! I am happy for you.",
    "How lovely! That makes me glad too.",
    "What good news! I am glad for you.",
)
_SORRY = (
    "Oh no, I am sorry. I hope it turns out well.",
    "I am sorry to hear that. I hope it gets better soon.",
    "What a pity! I am sorry about that.",
)
_TASTY = ("That sounds tasty!", "Mmm, that sounds delicious!", "I hope it tasted good!")
_OUTING = (
    "That sounds nice! I hope it was fun.",
    "How nice! I hope you had a good time.",
    "A nice outing! Was it fun?",
)
_DOING = (
    "That sounds nice! Do you enjoy it?",
    "How interesting! Do you like it?",
    "That is a nice way to spend time!",
)
_LUCK = (
    "Good luck! I am sure you will do well.",
    "I wish you luck! You will do well.",
    "Good luck! Take a deep breath.",
)
_WORK = ("Well done! You have earned a rest.", "Good work! Now you can relax.", "Well done! I hope you can rest now.")
_HEAL = ("I am sorry you feel unwell. Get better soon!", "Oh dear, I hope you feel better soon. Rest well!")
_FAMILY_REPLY = ("How nice! Family and friends are a treasure.", "That sounds lovely! Time together is nice.")
_WEATHER = (
    "Then make the best of it! I see no weather in here.",
    "Thank you for telling me! I have no window here.",
)

_STATEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("(i|we) (ate|had|just ate|have eaten|just had|have had) {food}[ for {meal}]{when}", _TASTY),
    ("(i am|i'm|we are|im) (eating|having|enjoying) {food}[ for {meal}]{now}", _TASTY),
    ("(my {meal} was|for {meal} (i|we) had|{meal} was|there was) {food}{when}", _TASTY),
    (
        "(i|we) (drank|had|just had|just drank) {drink}{when}|(i am|i'm|we are) (drinking|having|sipping|enjoying) "
        "{drink}{now}|time for {drink}|(i made|i just made) myself {drink}",
        ("That sounds nice! Enjoy it.", "Mmm, enjoy your drink!", "A nice drink is good for you. Enjoy!"),
    ),
    (
        "(i|we) (cooked|baked|made|just made|have made|just baked) {dish}{when}|(i am|i'm|we are) (cooking|"
        "baking|making) {dish}[ for {person}]{now}",
        (
            "That sounds tasty! You must be a good cook.",
            "Mmm, that sounds delicious!",
            "How nice! I hope it tastes good.",
        ),
    ),
    ("(i|we) (went|walked|drove|cycled|ran|took a bus) to {place}[ with {person}]{when}", _OUTING),
    (
        "(i was|we were|i have been|i've been) (at|to) {place}[ with {person}]{when}|(me and {person}|"
        "{person} and i) went to {place}{when}",
        _OUTING,
    ),
    (
        "(i am|i'm|we are|we're) (going|off|on the way|driving|walking) to {place}[ with {person}]{soon}|(i "
        "want|i plan"
        "|we plan) to go to {place}{soon}|{person} (takes|is taking) me to {place}{soon}",
        ("That sounds nice! Have a good time.", "How nice! I hope you have fun there.", "Have fun! That sounds nice."),
    ),
    (
        "(i|we) (went to|was at|have been to|just went to|came from) {errand}{when}|(i have to|i must|i need "
        "to) go to "
        "{errand}{soon}",
        ("I see! I hope it all goes well.", "A busy day! I hope all is well.", "Good to know! I hope it was quick."),
    ),
    (
        "(i|we) (am|are|just|finally) (home|back home|home again|got home|came home|arrived home)[ from work| from "
        "school| from town| from the shop|]{when}|(i|we) (came|got|arrived|just got|just came) (home|back)[ "
        "from work|"
        " from school| from holiday| late|]{when}|(i am|i'm) (home|back home|home at last|finally home)[ now|]",
        (
            "Welcome home! I hope you can rest now.",
            "Good that you are home! How was it?",
            "Welcome back! Take it easy now.",
        ),
    ),
    (
        "(i|we) (finished|just finished|have finished|got through|am done with|completed) {task}{when}|{task} is done"
        "[ at last|]|(work|school|my shift) is over[ for today| at last|]|(i|we) (finished|just finished) "
        "(work|school|"
        "early|late)[ today|]|i have the day off{soon}",
        _WORK,
    ),
    (
        "(i|we) (saw|met|just saw|spotted|have seen) {seen}[ with {person}]{when}|there (is|was) {seen} (in "
        "the garden|"
        "in the street|in the sky|near my house|at school)[ today|]",
        (
            "How nice! I would have liked to see that.",
            "Oh, how interesting! Did you like it?",
            "That must have been nice to see!",
        ),
    ),
    (
        "(i|we|{person}) (bought|got|ordered|picked out|chose|just bought) {bought}[ for {person}]{when}|i "
        "went shopping"
        "[ and bought {bought}]{when}",
        ("How nice! I hope you like it.", "That sounds like a good buy!", "Nice! I hope it makes you happy."),
    ),
    (
        "(i|we) (got|received|won|was given|have|found) {gift}[ from {person}]{when}|{person} (gave me|sent "
        "me|got) {gift}"
        "{when}|(i|we) (won|passed|made it|did it|came first)[ the race| the match| the test| the exam| a "
        "prize]{when}",
        _GLAD,
    ),
    ("(i|we|{person}) (lost|have lost|forgot|cannot find|can't find|left behind) {lost}{when}", _SORRY),
    (
        "{broken} (broke|is broken|does not work|stopped working|broke down|fell down|is damaged){when}|(i|{person}) "
        "(broke|dropped|damaged) {broken}{when}|someone stole my (bike|phone|bag|wallet)[ today|]",
        _SORRY,
    ),
    (
        "(i|we) (missed|just missed|was late for|nearly missed) {vehicle}{when}|(the bus|my train|the tram|"
        "my flight) (was "
        "late|is late|was cancelled|did not come){when}|(i am|i'm|we are) stuck (in traffic|at the station|"
        "in the rain|"
        "in the lift|at work)[ again|]|i overslept{when}",
        ("Oh no, how annoying! I am sorry about that.", "What a pity! I hope things go better now.", *_SORRY[1:]),
    ),
    (
        "(i|{person}) (have|has|will have|had) {exam}{soon}|{exam} is waiting for me{soon}|wish me luck, i "
        "have {exam}{soon}",
        _LUCK,
    ),
    (
        "(i|we) (failed|did badly in|did not pass|messed up) (my test|my exam|the interview|my driving test|"
        "the audition"
        "|the race|school|the spelling test){when}|(i|we) (lost|was last in) (the match|the race|the game|my job|the "
        "final){when}|i (fell|tripped|slipped)[ down| over| off my bike| on the ice| on the stairs]{when}|i "
        "(burned|spilled|"
        "ruined) (the cake|dinner|my coffee|the toast|my shirt){when}|i had (an argument|a fight|a quarrel) "
        "with {person}"
        "{when}|(my day|today|school|work|the trip|the party) was (bad|awful|horrible|terrible|dreadful)",
        _SORRY,
    ),
    (
        "(today|tomorrow|it) is my birthday[ today| tomorrow| on Friday|]|(i turn|i am turning|i turned) "
        "(six|ten|twelve|"
        "twenty|thirty|forty|fifty|a year older){soon}|my birthday is (today|tomorrow|this week|coming up)|i "
        "(am|was) the "
        "birthday (girl|boy|child)[ today|]|birthday party at my house{soon}",
        (
            "Happy birthday! I wish you all the best.",
            "A birthday! I wish you a lovely day.",
            "How lovely! Happy birthday to you.",
        ),
    ),
    (
        "(it is|it's|today is) {person}'s birthday{soon}|{person} (has|had) a birthday{soon}|{person} (is "
        "getting|got|just got) "
        "married{soon}|{person} (had|is having) a baby{soon}|(i am|we are) getting (married|engaged){soon}|"
        "(we are|i am) "
        "having a baby{soon}",
        ("How lovely! I wish you all the best.", *_GLAD[:2]),
    ),
    (
        "(i|we) (visited|met|saw|called|phoned|stayed with|had lunch with|had dinner with|went out with|"
        "played with|talked "
        "to|helped|hugged|wrote to) {person}{when}|{person} (came to see|visited|called|phoned|helped|cooked "
        "for) (me|us){when}|"
        "(i am|we are) (with|visiting|waiting for|meeting) {person}{now}",
        _FAMILY_REPLY,
    ),
    (
        "{person} is (ill|sick|in hospital|not well|sad|angry with me|moving away|very ill|unhappy|"
        "hurt){now}|{person} "
        "(died|passed away|left me|shouted at me|is mean to me|broke a leg|had an accident){when}|i miss "
        "{person}[ so "
        "much| a lot| today|]",
        ("I am so sorry to hear that. I hope you are all right.", "Oh no, I am sorry. I am here if you want to chat."),
    ),
    (
        "(i am|i'm|we are|we're) (planning|looking forward to|packing for|dreaming of|getting ready for|"
        "preparing) {trip}"
        "[ with {person}]{soon}|(we|i) (are going on|will go on|am going on) {trip}{soon}|(our|my) holiday "
        "(starts|begins)"
        "{soon}|(we|i) (leave|fly|travel) (for|to) (the sea|the mountains|the island|the coast){soon}",
        ("That sounds exciting! I hope it will be great.", "How nice! Have a lovely time.", "Oh, what fun! Enjoy it."),
    ),
    (
        "{pet} (ate my sandwich|jumped on the table|is asleep on my lap|had babies|caught a mouse|is very "
        "playful|made a "
        "mess|chased its tail|learned a trick|sleeps all day|wants to play|is funny|ran through the house|"
        "hides under the "
        "bed|woke me up|loves to cuddle|is sitting on my keyboard|stole a sausage|followed me home|is "
        "staring at me|knocked "
        "over a plant|is snoring|wants food again|barked at the postman|chewed my shoe|took a bath)[ today| "
        "again| this "
        "morning| now|]|(i|we) (walked|fed|brushed|washed|played with) {pet}{when}",
        (
            "How sweet! Pets are good company.",
            "That made me smile! What a pet.",
            "How funny! Give your pet a pat from me.",
        ),
    ),
    (
        "{pet} (died|is ill|is sick|ran away|is missing|is at the vet|hurt its paw|is not eating|got lost|"
        "passed away){when}",
        ("Oh no, I am so sorry about your pet.", "I am very sorry. I know that is hard."),
    ),
    (
        "(i am|i'm|we are|im) reading {reading}{now}|(i|we) read {reading}{when}|i (started|finished) "
        "reading {reading}{when}",
        _DOING,
    ),
    ("(i am|i'm|we are|im) watching {watching}{now}|(i|we) watched {watching}[ with {person}]{when}", _DOING),
    (
        "(i am|i'm|we are|im) playing {playing}[ with {person}]{now}|(i|we) played {playing}[ with {person}]{when}",
        _DOING,
    ),
    (
        "(i am|i'm|we are|im) (busy |just |still |){hobby}{now}|(i|we) (spent the day|started|tried|went|"
        "have been|kept|"
        "finished|just stopped) {hobby}{when}|i am getting (better|good) at {hobby}",
        _DOING,
    ),
    (
        "(i|we) (cleaned|tidied|washed|have cleaned|scrubbed|just cleaned|finished cleaning) {chore}{when}|(i am|"
        "i'm|we are) (cleaning|tidying|washing|sorting out) {chore}{now}|(i have to|i must|i need to) (clean|"
        "tidy|wash) "
        "{chore}{soon}",
        (
            "That is hard work! It will look nice.",
            "Good work! A clean place feels nice.",
            "Well done! Then you can rest.",
        ),
    ),
    (
        "(it is|it's|its|now it is|it has been) (raining|snowing|sunny|windy|cloudy|foggy|stormy|cold|hot|"
        "warm|icy|frosty|wet|"
        "freezing|boiling hot|chilly|grey|hailing|dark|mild|pouring|drizzling|misty|muggy|thundering|"
        "bright)[ outside| "
        "here| again| all day| today| this morning| in the garden| in my town| and windy| and cold]|(the|our) (sun|"
        "weather|sky|wind|rain|snow|storm|fog) (is|was) (nice|bad|lovely|awful|shining|grey|strong|so heavy|terrible|"
        "beautiful|everywhere|here|good|blue)[ today| here| outside| this morning| again|]|it (rained|snowed|"
        "was sunny|was "
        "windy|hailed|was cold)[ a lot| all day| all night| all week| here]{when}|we have (snow|rain|"
        "sunshine|a storm|a "
        "heat wave|bad weather|lovely weather)[ today| here| again|]",
        _WEATHER,
    ),
    (
        "(i|{person}) (hurt|broke|cut|twisted|burned|bumped|sprained) {hurt}{when}|{aches} (hurts|is sore|"
        "aches)[ a lot| so "
        "much| today|]",
        ("Ouch! I am sorry. I hope it heals soon.", "Oh dear, I am sorry. Get better soon!"),
    ),
    (
        "(i|we) (started|start|began|go to|am in|love|like|finished) (school|a new school|a new job|my first "
        "job|university|"
        "a new class|kindergarten|college|a course|evening classes|swimming lessons|piano lessons){soon}|i "
        "(work|worked|am "
        "working) (in an office|at a bank|in a shop|at a hospital|from home|on a farm|at a school|in a "
        "kitchen|at night|all "
        "weekend|late|with children|in the garden|in a bakery)[ today| again| this week|]|(school|work|my lesson|the "
        "meeting) (was|is) (ok|long|short|interesting|nice|fun|busy|quiet)[ today| so far|]|we (learned|had|"
        "did) (maths|"
        "music|sports|history|art|reading|writing|science)[ at school|]{when}",
        (
            "How interesting! Do you enjoy it?",
            "That sounds nice! I hope it goes well.",
            "I see! I hope it was a good day.",
        ),
    ),
    (
        "(i|we) (woke up|got up|went to bed|slept|stayed up) (early|late|at six|at noon|till late|well|for "
        "ten hours|on the "
        "sofa|like a log){when}|i (just|) (took|had) a (nap|bath|shower|rest|break|walk|swim|long sleep){when}",
        (
            "I hope you feel fresh and rested!",
            "Good! A bit of rest does everyone good.",
            "I see! I hope you feel well today.",
        ),
    ),
    (
        "(i am|i'm|we are) (on the (bus|train|sofa|beach|plane|boat)|in (bed|the garden|the kitchen|the car|a cafe|a "
        "tent|hospital|the bath)|at (home|work|school|the airport|the office|a hotel|grandma's house)|"
        "outside|on holiday|"
        "upstairs|on a walk|on a break|waiting for the (bus|train|doctor|post|rain to stop)|sitting (in the "
        "sun|by the fire"
        "|under a tree|at my desk))[ now| right now| today| with {person}| and relaxing| at the moment|]",
        ("I see! I hope you are having a good time.", "That sounds fine! I am glad you chat with me from there."),
    ),
    (
        "(i|we) (planted|grew|picked|watered) (flowers|tomatoes|a tree|roses|strawberries|herbs|apples|beans|"
        "potatoes|"
        "tulips|sunflowers|cherries|a lemon tree)[ in the garden|]{when}|my (flowers|plants|tomatoes|roses) "
        "are (growing|"
        "blooming|in bloom|ripe)[ now|]",
        ("How lovely! Gardens are nice places.", "That sounds lovely! Plants make a place nice."),
    ),
    (
        "(i|we) (moved|will move|have moved|just moved) (house|to a new flat|to the country|into a new home|"
        "to another city"
        "){soon}|(i|we) (painted|decorated|changed) (my room|the walls|the kitchen|the fence|the door){when}|"
        "i (got|have) a "
        "(haircut|new hairstyle|tattoo|new look){when}",
        ("How exciting! I hope you like it.", "Oh, something new! I hope it makes you happy."),
    ),
)

_OPEN = (
    "(||||||||||well, |so, |hey, |you know, |by the way, |hi, |hello! |oh, |btw |guess what, |just so you know, |"
    "let me tell you, |my news: )"
)
_CLOSE = "(||||||.|.|!|!|, you know|, by the way)"
_HAPPY_CLOSE = "(|||||||!|.)"

_GOOD = words(
    "happy, glad, cheerful, joyful, delighted, excited, proud, thrilled, content, pleased, merry, "
    "hopeful, relaxed, calm, "
    "great, wonderful, fantastic, amazing, awesome, superb, brilliant, excellent, fabulous, terrific, marvellous, "
    "over the moon, on top of the world, in a good mood, in high spirits, in love, full of joy, full of "
    "energy, thankful, "
    "grateful, lucky, blessed, jolly, overjoyed, ecstatic, radiant, fresh, well rested, at peace, peaceful, "
    "satisfied, optimistic, motivated, inspired, enthusiastic, amused, playful, lively, energetic, "
    "strong, refreshed, "
    "carefree, comfortable, cosy, elated, jubilant, pumped, loved, positive, confident, chirpy, in a great mood"
)
_FINE = words(
    "fine, good, well, ok, okay, alright, all right, not bad, pretty good, quite well, doing well, doing "
    "fine, doing ok, "
    "not too bad, very well, doing great, so far so good, really well, quite ok, doing alright, better, much better, "
    "fine and dandy, very good, as good as ever, good as always, just fine"
)
_BAD = words(
    "sad, unhappy, down, blue, low, miserable, upset, heartbroken, depressed, gloomy, hurt, "
    "disappointed, terrible, awful, "
    "horrible, bad, dreadful, rotten, hopeless, helpless, desperate, tearful, in tears, in a bad mood, "
    "down in the dumps, "
    "discouraged, broken, empty, lost, worthless, homesick, sorrowful, glum, melancholic, crushed, "
    "devastated, ashamed, "
    "guilty, embarrassed, unloved, rejected, left out, bitter, grumpy, moody, in despair, troubled, "
    "overwhelmed, not ok, "
    "not well, not happy, not good, not great, not so good, not fine, not doing well, not okay, not in a good mood, "
    "not very happy, not too well, not alright, feeling down, feeling blue, so sad, lousy"
)
_MOODS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tired": (
        words(
            "tired, sleepy, exhausted, worn out, drowsy, dead tired, weary, half asleep, knackered, drained, "
            "yawning, "
            "low on energy, ready for bed, not rested, beat, shattered, dog tired, out of energy, wiped out"
        ),
        ("Then a good rest will help. Sleep well soon!", "You should take a little rest. You have earned it."),
    ),
    "hungry": (
        words(
            "hungry, starving, thirsty, peckish, so hungry, ready for lunch, famished, craving cake, dying for a "
            "snack, "
            "in need of a snack, empty in my stomach, hungry like a wolf, parched, starved"
        ),
        (
            "Then have something tasty! I cannot eat, so enjoy it for me.",
            "You should have a snack. I hope it is a good one!",
        ),
    ),
    "bored": (
        words(
            "bored, bored to death, so bored, dying of boredom, bored stiff, out of ideas, sick of waiting, "
            "bored at work, "
            "bored at home, bored in class, full of boredom, bored out of my mind"
        ),
        (
            "Then let us have some fun! Ask me for a joke or a story.",
            "Shall I tell you a joke, a poem or a tiny story?",
        ),
    ),
    "ill": (
        words(
            "sick, ill, unwell, feverish, dizzy, under the weather, poorly, down with the flu, full of cold, "
            "coughing, "
            "sneezing, sick in bed, running a temperature, queasy, in pain, not feeling well, ill again, weak"
        ),
        _HEAL,
    ),
    "nervous": (
        words(
            "nervous, anxious, worried, scared, afraid, stressed, tense, panicky, frightened, uneasy, restless, "
            "insecure, "
            "stressed out, under pressure, terrified, full of worries, shy, unsure"
        ),
        (
            "That sounds hard. Take a deep breath, it will pass.",
            "I am sorry. Take it slowly, I am sure it gets better.",
        ),
    ),
    "angry": (
        words(
            "angry, mad, annoyed, furious, cross, frustrated, irritated, jealous, fuming, outraged, fed up, "
            "angry at my boss, mad at my brother, cross with my friend, in a rage, enraged"
        ),
        (
            "That sounds hard. Take a deep breath, it will pass.",
            "I am sorry that you are upset. Take a slow, deep breath.",
        ),
    ),
    "lonely": (
        words(
            "lonely, alone, all alone, so lonely, home alone, isolated, by myself, without friends, on my own, "
            "lonely tonight, alone again"
        ),
        ("I am sorry. I am here and happy to chat with you.", "You are not alone: I am here if you want to chat."),
    ),
    "busy": (
        words(
            "busy, so busy, swamped, in a hurry, in a rush, very busy, up to my neck in work, busy with work, "
            "short of time, "
            "busy with school, rushed off my feet, busy with the children, buried in work"
        ),
        ("Then take a short break now and then!", "A busy time! I hope you can rest soon."),
    ),
    "surprised": (
        words(
            "surprised, amazed by this, astonished, speechless, stunned, puzzled, confused, curious, shocked, "
            "thoughtful, "
            "full of questions, lost in thought"
        ),
        ("Oh! Tell me more about it.", "I see! What happened?"),
    ),
}
_MUCH = "(||||very |so |really |quite |a bit |a little |pretty |rather |super |extremely |just |kind of |totally )"
_LATELY = (
    "(||||| today| now| right now| this morning| tonight| again| lately| these days| at the moment| all "
    "day| this week|"
    " at work| after school| somehow| for some reason|)"
)
_HELLO = "(|||||||||hi, |hello, |hey, |well, |oh, |today |honestly, |to be honest, |thanks, |you know, |hmm, )"
_I_FEEL = (
    "(i am|i'm|im|i feel|i am feeling|i'm feeling|feeling|i have been|i was|i felt|we are|we feel|"
    "i still feel|me, i am|right now i am|at the moment i feel)"
)
_AND_YOU = "(|||||, and you?|, how are you?|, what about you?|. and you?|, you?|, thanks for asking)"


def statement(rng: random.Random, topic: str) -> Exchange:
    """Something about the user's day and a reply that fits it."""
    template, replies = rng.choice(_STATEMENTS)
    slots: dict[str, Any] = {name: rng.choice(values) for name, values in _FILLERS.items()}
    user = say(rng, _OPEN + "(" + template + ")" + _CLOSE, wrap=False, **slots)
    return Exchange(topic, user, expand(rng.choice(replies), rng))


def mood(rng: random.Random, topic: str) -> Exchange:
    """How the user feels and a reply that fits it: gladness, comfort or good advice."""
    kind = rng.random()
    if kind < 0.25:
        template, feelings, replies = _good_mood(rng)
    elif kind < 0.35:
        template, feelings = f"{_HELLO}(i am|i'm|im|i feel|i am doing|doing|i have been|feeling) {{m}}{_AND_YOU}", _FINE
        replies = ("I am glad to hear that! What shall we talk about?", "That is good to hear! How can I help you?")
    elif kind < 0.6:
        template, feelings, replies = _bad_mood(rng)
    else:
        feelings, replies = rng.choice(tuple(_MOODS.values()))
        template = f"{_HELLO}{_I_FEEL} {_MUCH}{{m}}{_LATELY}{_HAPPY_CLOSE}"
    feeling = rng.choice(feelings)
    if feelings is _FINE:
        template = template.replace("i am doing|doing|", "") if feeling.startswith("doing") else template
    elif " " in feeling:
        template = template.replace(_MUCH, "(||still |just )")
    return Exchange(topic, say(rng, template, wrap=False, m=feeling), rng.choice(replies))


def _good_mood(rng: random.Random) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    if rng.random() < 0.25:
        template = (
            "(today|my day|the day|the morning|the week|my weekend|school|work|the party|the trip|the evening) "
            "(was|is|has "
            "been) (so |very |really |)(good|great|lovely|fun|wonderful|nice|fantastic|perfect|amazing|a "
            "success)!|i (had|am "
            "having) (a|such a|a really) (good|great|lovely|fun|wonderful|nice|fantastic|perfect|happy) (day|"
            "time|morning|"
            "week|weekend|evening|holiday)[ today|]|(life is|everything is|things are) (good|great|going well|"
            "beautiful|"
            "going great|wonderful)[ today| at the moment|]|i (can't|cannot) stop (smiling|laughing|dancing)|i "
            "could (sing|"
            "dance|hug the world|jump for joy)[ today|]|(i feel|i am feeling) like (dancing|singing|a king|a "
            "queen|a winner)"
        )
        return template, ("",), _GLAD
    return f"{_HELLO}{_I_FEEL} {_MUCH}{{m}}{_LATELY}{_HAPPY_CLOSE}", _GOOD, _GLAD


def _bad_mood(rng: random.Random) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    comfort = (
        "I am sorry to hear that. I hope it gets better soon.",
        "Oh no, I am sorry. I am here if you want to chat.",
        "I am sorry you feel that way. Ask me for a joke if you like.",
    )
    if rng.random() < 0.3:
        template = (
            "(today|my day|the day|the morning|the week|my weekend|school|work|the party|the trip|the evening) "
            "(was|is|has "
            "been) (so |very |really |)(bad|awful|hard|terrible|sad|horrible|a mess|a disaster|dreadful|no fun|"
            "not good|not "
            "nice)|i (had|am having) (a|such a|a really) (bad|hard|rough|terrible|sad|awful|long|horrible) (day|"
            "time|morning|"
            "week|weekend|evening|night)[ today|]|(life is|everything is|things are) (bad|hard|awful|going wrong|"
            "not good|"
            "going badly|not going well)[ today| at the moment|]|i (can't|cannot) stop (crying|worrying)|(i want|"
            "i need|i have)"
            " to cry[ today|]|(nobody|no one) (likes|loves|understands|helps|called) me[ today|]|nothing (works|"
            "goes right|is "
            "fun)[ today| anymore|]|i (don't|do not) feel (good|well|great|happy|like myself|so good|ok)[ today| "
            "at all| now|]"
        )
        return template, ("",), comfort
    return f"{_HELLO}{_I_FEEL} {_MUCH}{{m}}{_LATELY}(||||.)", _BAD, comfort
