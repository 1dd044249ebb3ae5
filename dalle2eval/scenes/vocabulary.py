"""The nouns and adjectives of the procedural world, and what is held out of training.

Colours are far apart in RGB and from every background, so that a reader of pixels cannot confuse
them under JPEG or noise; words are common English words of two to six letters.
"""

from __future__ import annotations

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 165, 65),
    "blue": (50, 85, 230),
    "yellow": (245, 215, 45),
    "purple": (150, 60, 190),
    "orange": (245, 135, 25),
    "cyan": (55, 205, 225),
    "white": (245, 245, 245),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "ring", "cross")
SIZES: tuple[str, ...] = ("small", "large")
COUNTS: tuple[str, ...] = ("one", "two", "three", "four")
RELATIONS: tuple[str, ...] = ("left of", "right of", "above", "below", "on top of", "inside")
# The same scene named from its other object; the two others have no name from below.
INVERSE: dict[str, str] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (14, 14, 18),
    "charcoal": (46, 46, 50),
    "grey": (98, 98, 102),
    "navy": (18, 24, 62),
    "umber": (62, 44, 34),
    "pine": (16, 48, 44),
}

# Never drawn in training, one a shape: what the model makes of them is compositional
# generalisation.
HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("purple", "circle"),
        ("cyan", "square"),
        ("yellow", "triangle"),
        ("green", "star"),
        ("blue", "ring"),
        ("red", "cross"),
    }
)

WORDS: tuple[str, ...] = tuple(
    """
    GO UP ME WE IT ON IN AT BE DO HI NO OK SO US CAT DOG SUN SKY SEA ICE TEA CUP HAT PEN BOX MAP
    CAR BUS KEY RED OWL FOX BEE ANT COW PIG HEN JAM PIE EGG OAK FIG ZOO ART TOY DAY NEW OLD BIG
    YES JOY WIN RUN FLY EAT FUN LAB FISH BIRD BEAR WOLF LION FROG DUCK GOAT MOON STAR RAIN SNOW
    WIND FIRE TREE LEAF ROSE LAKE HILL ROAD SHIP BOAT BIKE TAXI DOOR LAMP DESK BOOK SONG PLAY
    GAME LOVE HOPE TIME WORD BLUE GOLD PINK STOP OPEN EXIT SALE FOOD CAKE MILK RICE CORN SALT
    JAZZ QUIZ ZERO KIWI HOUSE APPLE BREAD WATER RIVER OCEAN BEACH CLOUD STORM PLANT HORSE TIGER
    SHEEP MOUSE ZEBRA TRAIN PLANE TRUCK CHAIR TABLE CLOCK PHONE RADIO PIANO MUSIC DANCE DREAM
    SMILE HEART LIGHT NIGHT GREEN WHITE BLACK LEMON MANGO PIZZA SUGAR HELLO WORLD QUEEN KNIGHT
    FLOWER GARDEN FOREST DESERT ISLAND SUMMER WINTER SPRING AUTUMN MARKET SCHOOL OFFICE BRIDGE
    CASTLE TEMPLE ROCKET PLANET MONKEY RABBIT KITTEN PARROT TURTLE ORANGE BANANA CHERRY TOMATO
    POTATO CARROT COFFEE BUTTER CHEESE COOKIE PENCIL CAMERA GUITAR VIOLIN
    """.split()  # noqa: SIM905  (a page of words reads better than a page of quotes)
)
HELD_OUT_WORDS: frozenset[str] = frozenset(
    """
    HI BE SUN OWL TOY RUN BEAR MOON LAMP CAKE BLUE STOP RIVER TIGER PIANO LEMON BEACH GARDEN
    ROCKET CHERRY PENCIL
    """.split()  # noqa: SIM905
)
