"""Word lists that the conversations draw from: nouns, things one may like, adjectives and rarer first names.

The lists are wide on purpose: a word that turns up in few conversations has to be copied from them, not recalled.
"""

from __future__ import annotations

from .grammar import words

# Common concrete nouns in the singular: things one can count.
NOUNS: tuple[str, ...] = words(
    """
    cat dog horse rabbit frog owl bee duck lion tiger bear whale shark snake spider butterfly penguin panda fox
    mouse hamster goose swan sheep goat cow pig donkey pony camel llama alpaca zebra giraffe elephant rhino hippo
    monkey gorilla wolf badger hedgehog squirrel otter beaver seal walrus dolphin octopus squid crab lobster snail
    slug worm ant beetle ladybird moth dragonfly grasshopper cricket wasp mosquito lizard gecko turtle tortoise
    crocodile alligator toad newt salamander eagle hawk falcon raven crow magpie sparrow robin blackbird finch
    parrot cockatoo canary pigeon dove seagull pelican flamingo stork heron crane peacock turkey chicken rooster hen
    ostrich emu kiwi kangaroo koala wombat platypus lemur sloth armadillo anteater skunk raccoon moose reindeer
    bison buffalo antelope gazelle leopard cheetah panther jaguar lynx hyena jackal meerkat mongoose ferret weasel
    rat mole bat bull calf lamb kitten puppy foal chick cub trout carp eel jellyfish starfish seahorse tree oak pine
    willow birch maple elm palm cactus fern bush hedge flower rose tulip daisy lily orchid sunflower violet poppy
    daffodil iris lotus thistle clover mushroom acorn chestnut walnut leaf branch twig root seed petal vine bamboo
    reed meadow forest river lake pond stream waterfall ocean island beach cliff cave canyon valley hill mountain
    volcano glacier iceberg desert swamp marsh field garden orchard vineyard path trail rock pebble crystal diamond
    pearl ruby emerald sapphire cloud storm rainbow snowflake icicle puddle wave star planet moon comet galaxy
    meteor sunset sunrise shadow teacher doctor nurse baker butcher farmer fisherman sailor captain pilot soldier
    knight king queen prince princess wizard witch pirate ninja painter writer poet singer dancer actor actress
    musician pianist drummer violinist composer conductor clown juggler magician acrobat detective policeman fireman
    plumber electrician carpenter mechanic engineer scientist chemist astronaut inventor explorer gardener shepherd
    cowboy hunter blacksmith tailor barber hairdresser waiter waitress chef cook librarian student pupil professor
    judge lawyer banker merchant grocer florist jeweller photographer journalist postman driver dentist surgeon
    pharmacist vet coach goalkeeper runner swimmer cyclist boxer wrestler gymnast referee neighbour friend cousin
    uncle aunt grandmother grandfather sister brother mother father baby child woman man girl boy twin giant dwarf
    elf fairy mermaid ghost vampire zombie monster troll goblin robot alien dragon unicorn phoenix griffin statue
    snowman scarecrow house cottage cabin castle palace tower temple church cathedral mosque chapel monastery school
    library museum theatre cinema hospital hotel restaurant cafe bakery bookshop market supermarket station airport
    harbour lighthouse windmill barn stable shed garage factory warehouse office bank prison stadium gym bridge
    tunnel fountain monument pyramid skyscraper bungalow mansion hut tent igloo treehouse greenhouse playground park
    zoo farm village town city street alley crossroad roundabout car bus train tram truck van lorry tractor
    ambulance taxi bicycle motorbike scooter skateboard tricycle wagon cart carriage sledge boat ship ferry yacht
    canoe kayak raft submarine sailboat rowboat plane helicopter balloon rocket spaceship satellite airship glider
    parachute wheelchair bulldozer digger locomotive piano guitar violin cello viola harp flute clarinet oboe
    bassoon saxophone trumpet trombone tuba horn drum cymbal triangle tambourine xylophone accordion harmonica banjo
    ukulele mandolin lute organ keyboard bagpipe recorder gong bell whistle hat cap bonnet helmet crown scarf glove
    mitten coat jacket raincoat cardigan jumper sweater shirt blouse tunic vest waistcoat dress skirt kilt suit tie
    belt buckle button zip pocket sleeve collar sock shoe boot slipper sandal sneaker apron robe cloak cape veil
    shawl poncho kimono turban necklace bracelet ring brooch earring watch handbag purse wallet umbrella backpack
    suitcase basket bag sack table chair armchair sofa bench stool bed bunk mattress pillow cushion blanket quilt
    duvet carpet rug curtain lamp lantern candle chandelier mirror wardrobe cupboard drawer shelf bookcase desk
    cabinet chest trunk crib cradle hammock door window gate fence wall roof chimney floor ceiling ladder balcony
    porch cellar attic kitchen bathroom bedroom corridor hammer saw drill screwdriver wrench spanner nail screw bolt
    chisel axe hatchet spade shovel rake hoe bucket wheelbarrow hose broom mop brush sponge comb razor needle
    thimble thread rope chain hook anchor pulley lever magnet compass ruler pencil pen crayon marker eraser
    sharpener notebook book dictionary atlas map globe diary letter envelope postcard stamp parcel newspaper
    magazine comic poster painting portrait sketch photograph camera telescope microscope lens prism telephone
    television radio computer laptop tablet printer speaker headphone microphone battery cable plug socket switch
    lightbulb torch clock alarm calendar thermometer barometer scale kettle teapot cup mug glass bottle jar jug bowl
    plate saucer dish pan pot wok spoon fork knife ladle spatula whisk grater sieve funnel toaster oven stove fridge
    freezer blender dishwasher tray napkin tablecloth corkscrew tin barrel box crate apple pear plum cherry peach
    apricot nectarine banana orange lemon lime grapefruit grape strawberry raspberry blueberry blackberry gooseberry
    cranberry mango papaya pineapple melon watermelon fig date olive coconut avocado pomegranate tomato potato
    carrot onion leek turnip parsnip radish beetroot cabbage cauliflower lettuce cucumber pepper pumpkin courgette
    aubergine pea bean lentil nut almond hazelnut peanut egg pancake waffle crepe omelette sandwich burger sausage
    hotdog pizza pie tart cake cupcake muffin biscuit cookie brownie doughnut croissant bagel pretzel bun roll loaf
    dumpling noodle meatball steak cutlet kebab taco burrito samosa truffle toffee lollipop candy marshmallow
    milkshake smoothie cocktail ball kite doll puppet marionette toy puzzle jigsaw domino chessboard pawn dice card
    marble yoyo swing slide seesaw trampoline racket skate ski snowboard surfboard trophy medal flag banner
    drumstick sword shield spear bow arrow cannon catapult armour key lock padlock coin banknote treasure ticket
    passport badge feather shell bone nest beehive cobweb footprint hourglass sundial windowsill doorstep doorbell
    letterbox mailbox signpost lamppost pillar arch column brick tile plank beam pipe tap sink bathtub shower towel
    toothbrush hairbrush bandage pill syringe stethoscope crutch
    """
)

# What has no plural here: music, food, sports, subjects, materials, weather, feelings and activities.
MASS: tuple[str, ...] = words(
    """
    jazz, blues, rock music, folk music, classical music, opera, reggae, techno, hip hop, punk, disco, country
    music, gospel, soul music, swing, ballet, tango, salsa, flamenco, choir music, chamber music, karaoke, heavy
    metal, film music, bread, butter, cheese, yoghurt, cream, milk, honey, jam, marmalade, rice, pasta, spaghetti,
    lasagne, risotto, soup, stew, goulash, curry, chilli, sushi, ramen, couscous, hummus, falafel, salad, tofu,
    bacon, ham, beef, salmon, tuna, caviar, toast, porridge, muesli, popcorn, chocolate, ice cream, gingerbread,
    shortbread, custard, caramel, liquorice, marzipan, nougat, vanilla, cinnamon, garlic, ginger, basil, parsley,
    mint, saffron, nutmeg, mustard, ketchup, mayonnaise, vinegar, olive oil, asparagus, broccoli, spinach, celery,
    sauerkraut, rhubarb, apple pie, cheesecake, tiramisu, strudel, fudge, tea, green tea, coffee, espresso, cocoa,
    hot chocolate, lemonade, orange juice, apple juice, cider, beer, wine, champagne, ginger ale, sparkling water,
    buttermilk, football, soccer, tennis, table tennis, badminton, squash, cricket, rugby, baseball, basketball,
    volleyball, handball, hockey, ice hockey, golf, croquet, judo, karate, boxing, fencing, archery, gymnastics,
    athletics, water polo, bowling, darts, snooker, billiards, chess, backgammon, poker, bridge, sudoku, yoga,
    pilates, aerobics, parkour, motor racing, maths, algebra, geometry, physics, chemistry, biology, botany,
    zoology, geology, geography, astronomy, history, archaeology, philosophy, psychology, economics, politics, law,
    medicine, literature, grammar, poetry, drama, art, architecture, sculpture, engineering, computer science,
    Latin, Greek, Spanish, French, Italian, Japanese, wood, glass, marble, granite, clay, silk, wool, cotton, linen,
    velvet, leather, paper, porcelain, amber, ivory, bronze, copper, silver, gold, steel, iron, sand, moss, ivy,
    lavender, heather, jasmine, rain, snow, fog, mist, sunshine, moonlight, thunder, lightning, drizzle, frost,
    hail, wind, twilight, dawn, dusk, autumn, winter, spring, summer, midnight, starlight, friendship, love,
    happiness, joy, hope, courage, kindness, patience, freedom, peace, silence, solitude, wisdom, trust, honesty,
    justice, beauty, harmony, curiosity, laughter, nostalgia, adventure, magic, luck, time, memory, childhood, home,
    fashion, jewellery, furniture, science fiction, fantasy, mystery, folklore, mythology, calligraphy, origami,
    pottery, embroidery, crochet, photography, carpentry, ceramics, astrology, genealogy, stamp collecting, reading,
    writing, drawing, painting, sketching, singing, dancing, swimming, running, jogging, walking, hiking, climbing,
    cycling, skiing, snowboarding, skating, sledging, surfing, sailing, rowing, kayaking, diving, fishing, hunting,
    camping, gardening, cooking, baking, grilling, brewing, sewing, knitting, weaving, quilting, carving, juggling,
    acting, travelling, shopping, sleeping, dreaming, thinking, gaming, coding, birdwatching, stargazing,
    beekeeping, horse riding, wrestling, weightlifting, skateboarding, windsurfing, paragliding, bouldering,
    foraging, daydreaming, people watching
    """
)

# Real first names, and names of stories, that most people rarely meet; many are long.
RARE_NAMES: tuple[str, ...] = words(
    """
    Abelard Abdulrahman Abimbola Achilles Adalbert Adebayo Adelheid Adewale Aditya Aelfric Agamemnon Agapetus Agatha
    Agnieszka Aikaterini Akosua Aladdin Alasdair Alejandra Aleksander Alessandra Aloysius Alphonse Amadeus Amaryllis
    Ambrose Anaximander Anastasia Andromeda Angelina Annabella Annunziata Antigone Antoinette Aphrodite Apollonia
    Arabella Archibald Ariadne Aristotle Artemisia Ashurbanipal Athanasius Augustina Aurelia Avelina Ayodele
    Babatunde Balthazar Bartholomew Bartolomeo Bathsheba Beauregard Belisarius Benedetta Berengaria Bernadette
    Bhavani Bianca Boadicea Bogdana Bonaventure Boniface Branwen Brunhilde Bronislava Caedmon Calliope Calpurnia
    Cassandra Cassiopeia Catalina Celestina Ceridwen Chandrasekhar Charlemagne Chidinma Chinonso Chrysanthos
    Cinderella Clarabelle Claudette Cleopatra Clementine Clytemnestra Concepcion Constantine Cordelia Cornelius
    Crescentia Cuthbert Cymbeline Dagobert Damaris Danuta Dashiell Deepika Deirdre Delphine Demetrius Desdemona
    Desiderius Dhananjay Diarmuid Dimitrios Dionysius Domenica Dominique Dorothea Drusilla Dulcinea Ebenezer
    Ebunoluwa Ekaterina Elizaveta Eleanora Eleftheria Emmanuelle Endymion Engelbert Epiphany Erasmus Ermintrude
    Esmeralda Esperanza Ethelbert Ethelred Eudora Eugenia Eulalia Euphemia Euripides Eurydice Evangeline Ezekiel
    Fabrizio Faustina Felicitas Ferdinand Fernanda Filippa Finnegan Fitzgerald Florentina Fortunato Francesca
    Frederica Friedrich Gabriella Galadriel Ganymede Gennaro Genevieve Georgiana Geraldine Gertrude Ghislaine
    Gianluca Gilgamesh Giovanni Giuseppina Godfrey Griselda Guadalupe Guinevere Gulliver Gustavo Gwendolyn Hadassah
    Hannibal Haralambos Harikrishna Heliodor Heloise Henrietta Herculano Hermenegilda Hermione Hezekiah Hieronymus
    Hildegard Hippolyta Horatio Hortensia Humphrey Hyacinth Iacovos Ichabod Ifeanyi Ignatius Ikechukwu Immaculata
    Imogen Indira Ingeborg Iphigenia Isambard Isidora Ismahan Iyabode Jacqueline Jadwiga Jagadish Januarius
    Jaroslava Jayawardena Jedediah Jehoshaphat Jeremiah Jessamine Joachim Jocasta Josephine Jovanka Juliana
    Justinian Kaoruko Karthikeyan Kasimir Katarzyna Kazimierz Keziah Khadija Kleopatra Konstantina Krishnamurti
    Kunigunde Kwabena Lakshmi Lancelot Laurentius Lavinia Leocadia Leonidas Leopoldine Leontyne Liselotte Llewellyn
    Lucrezia Ludovica Ludmila Lysander Macedonio Macsen Madeleine Magdalena Mahalakshmi Makepeace Malachi Mandisa
    Marcellina Margarethe Marguerite Marigold Marmaduke Maximilian Mechthild Mehmet Melchior Melisande Mercedes
    Methuselah Mihaela Millicent Minakshi Miroslava Mitsuko Mnemosyne Modupeola Montgomery Mordecai Mstislav Mwangi
    Nabonidus Napoleon Narcissus Nathaniel Nebuchadnezzar Nefertiti Nehemiah Nicodemus Nikolaos Nkechinyere
    Nkosazana Obadiah Octavian Odysseus Olabisi Oluwaseun Olympia Onyekachi Ophelia Orlando Oswaldo Ottoline
    Oyelaran Padmavati Panagiota Parthenope Parvati Paschalis Patience Patroclus Penelope Peregrine Persephone
    Petronella Phaedra Philippa Philomena Polycarp Pomponius Praskovia Priscilla Prometheus Ptolemy Purushottam
    Quetzalli Quintilian Radhakrishna Radoslav Raimunda Rajalakshmi Ramakrishna Rapunzel Reginald Remedios Rigoberta
    Rodrigo Rosalind Rosamund Roxanne Rutherford Salvatore Saraswati Sebastiana Seraphina Serafino Shakuntala
    Sherazade Shoshana Sibylla Siddhartha Sieglinde Sigismund Simeon Siobhan Solveig Spiridon Stanislaus Subramaniam
    Suleiman Svetlana Takahiro Tarquin Tatiana Telemachus Temperance Temitope Tertullian Thaddeus Thelonius
    Themistocles Theodora Theophilus Thessaly Thibault Thomasina Thorvald Thumbelina Tiberius Titania Tomohiro
    Torquil Tranquilla Tryphena Tsvetana Tutankhamun Uchenna Ulysses Umberto Uzoamaka Valentina Valentinian Vasilisa
    Venkatesh Vercingetorix Veronica Vespasian Victoriano Violetta Virgilio Vishnupriya Vittoria Vladislav Volodymyr
    Walburga Wenceslas Wilhelmina Winifred Wolfram Xanthippe Xenophon Ximena Xochitl Yaroslava Yevgenia Yolanda
    Yoshihiro Zachariah Zarathustra Zbigniew Zebedee Zenobia Zephyrine Zipporah Zuleika
    """
)

# Colours, sizes, textures, materials and moods that may stand before a noun.
ADJECTIVES: tuple[str, ...] = words(
    """
    red blue green yellow purple pink black white grey brown crimson scarlet violet turquoise golden silver bronze
    ivory amber pale dark bright light big small huge tiny giant little tall short long wide narrow thick thin deep
    round square flat curved crooked pointed smooth rough soft hard fluffy furry hairy woolly silky velvet satin
    leather woollen cotton linen denim oak pine wooden stone marble glass crystal steel iron copper brass tin rubber
    plastic paper clay porcelain straw wicker sandy dusty muddy icy snowy rainy misty foggy stormy sunny windy wet
    dry warm cool cold hot frozen sweet sour salty bitter spicy fresh ripe crunchy creamy sticky slippery shiny
    glossy sparkly rusty mossy cracked broken old ancient antique modern new young fast slow quick loud quiet silent
    noisy gentle fierce brave shy proud happy merry jolly cheerful sad gloomy lonely sleepy lazy busy clever wise
    silly funny odd strange weird mysterious magical secret hidden lost forgotten lucky wild tame rare common cheap
    expensive elegant fancy plain simple cosy grand humble royal famous curious clumsy nervous calm peaceful dreamy
    romantic grumpy angry friendly polite heavy hollow empty full striped spotted checked colourful transparent
    """
)

_IRREGULAR: dict[str, str] = {
    "goose": "geese",
    "mouse": "mice",
    "man": "men",
    "woman": "women",
    "child": "children",
    "policeman": "policemen",
    "fireman": "firemen",
    "fisherman": "fishermen",
    "postman": "postmen",
    "snowman": "snowmen",
    "cactus": "cacti",
    "wolf": "wolves",
    "calf": "calves",
    "leaf": "leaves",
    "elf": "elves",
    "knife": "knives",
    "shelf": "shelves",
    "scarf": "scarves",
    "loaf": "loaves",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "volcano": "volcanoes",
    "mosquito": "mosquitoes",
    "buffalo": "buffaloes",
    "mango": "mangoes",
    "dwarf": "dwarves",
    **{same: same for same in words("sheep bison moose reindeer squid trout carp jellyfish starfish dice")},
}


def plural(noun: str) -> str:
    """The plural of an English noun; of two words, the last one changes."""
    head, _, last = noun.rpartition(" ")
    if head:
        return f"{head} {plural(last)}"
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x", "z")) else "s")
