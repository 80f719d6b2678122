"""The words by which a caption claims more than sounds: what sounds do, where, how often, and how someone speaks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Environment = Literal["indoors", "outdoors", "vehicle", "water"]

NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
}  # fmt: skip
TIMES = {"once": 1, "twice": 2, "thrice": 3}
HAPPENINGS = (
    "bang", "bark", "beat", "beep", "blast", "bleep", "blow", "boom", "bump", "burst", "buzz", "chime", "chirp", "clang",
    "clank", "clap", "click", "clink", "cough", "crack", "crash", "ding", "drip", "explosion", "gunshot", "hit", "honk",
    "hoot", "howl", "impact", "knock", "meow", "peep", "ping", "pop", "quack", "ring", "roar", "scream", "shot", "shout",
    "slam", "snap", "sneeze", "squeak", "squawk", "step", "strike", "stroke", "tap", "thud", "thump", "tick", "toll", "tone",
    "toot", "tweet", "whistle", "yelp",
)  # fmt: skip
"""Nouns of what happens in a moment, so that "three beeps" says how often; "three dogs" says how many, which nothing measures."""

VOICES = (
    "bang", "bark", "beep", "blare", "bleat", "boom", "buzz", "call", "caw", "chant", "chime", "chirp", "clang", "clank", "clap",
    "clatter", "click", "clink", "cluck", "coo", "crackle", "creak", "croak", "crow", "crunch", "cry", "ding", "drip", "drone",
    "echo", "flap", "gobble", "groan", "growl", "grunt", "gurgle", "hiss", "honk", "hoot", "howl", "hum", "jingle", "meow", "moan",
    "moo", "neigh", "patter", "peep", "ping", "purr", "quack", "rattle", "reverberate", "ring", "roar", "rumble", "rustle",
    "scream", "screech", "shriek", "sigh", "sing", "sizzle", "snarl", "snort", "splash", "splatter", "squawk", "squeak", "squeal",
    "squelch", "thud", "thump", "tick", "tinkle", "toll", "toot", "tweet", "twitter", "vibrate", "wail", "warble", "whimper",
    "whine", "whir", "whirr", "whistle", "whoosh", "yap", "yelp", "yip",
)  # fmt: skip
"""Verbs of sounding. Right after a source they say how it sounds, whatever they mean alone: birds that sing are no singers."""

DEEDS = (
    "accelerate", "approach", "arrive", "beat", "blow", "break", "burn", "chat", "cheer", "close", "converse", "drive", "fade",
    "fall", "flow", "flush", "fly", "go off", "hit", "idle", "knock", "laugh", "move", "open", "operate", "pass", "pelt", "play",
    "pound", "pour", "pull", "pulse", "quiet", "rev", "roll", "run", "rush", "shut", "slam", "slow", "sound", "speak", "spin",
    "start", "stop", "strike", "swing", "talk", "tap", "trickle", "turn", "walk", "work",
)  # fmt: skip
"""Verbs of what a source does beside, which other words about the clip may repeat."""

_IRREGULAR = {
    "beat": ("beaten",), "blow": ("blew", "blown"), "break": ("broke", "broken"), "drive": ("drove", "driven"),
    "fall": ("fell", "fallen"), "fly": ("flew", "flown"), "ring": ("rang", "rung"), "run": ("ran",), "sing": ("sang", "sung"),
    "speak": ("spoke", "spoken"), "spin": ("spun",), "strike": ("struck",), "swing": ("swung",), "go off": ("went off",),
}  # fmt: skip

ATTRIBUTES = (
    ("close", "nearby", "near", "up close"),
    ("deep", "low"),
    ("distant", "far", "far away", "faraway"),
    ("distorted", "garbled"),
    ("echoing", "echoes", "echo", "reverberant", "reverberating", "reverberates"),
    ("fast", "rapid", "rapidly", "quick", "quickly"),
    ("gentle", "gently", "light", "lightly", "soft", "softly"),
    ("harsh", "harshly", "grating"),
    ("heavy", "heavily", "hard"),
    ("hollow",),
    ("melodic", "melodious", "tuneful"),
    ("metallic", "tinny"),
    ("muffled", "dull"),
    ("rhythmic", "rhythmical", "rhythmically"),
    ("sharp", "sharply"),
    ("shrill", "piercing"),
    ("slow", "slowly"),
    ("strong", "strongly"),
    ("sudden", "suddenly"),
    ("upbeat", "lively"),
    ("wooden",),
)
"""Words for how something sounds that no measured fact checks; those of a row mean the same here."""

PLACES: dict[Environment, tuple[str, ...]] = {
    "indoors": (
        "indoors", "inside", "apartment", "bar", "basement", "bathroom", "bedroom", "building", "cafe", "cafeteria", "cathedral",
        "cave", "church", "classroom", "closet", "corridor", "factory", "garage", "grocery store", "gym", "hall", "hallway",
        "home", "hospital", "house", "kitchen", "library", "living room", "lobby", "mall", "office", "restaurant", "room",
        "school", "shop", "stairwell", "store", "studio", "supermarket", "theater", "theatre", "tunnel", "warehouse", "workshop",
    ),
    "outdoors": (
        "outdoors", "outdoor", "outside", "alley", "backyard", "beach", "campsite", "city", "countryside", "desert", "farm",
        "field", "forest", "garden", "highway", "industrial area", "jungle", "lake", "marsh", "meadow", "motorway", "mountain",
        "ocean", "open air", "park", "parking lot", "playground", "road", "roadside", "seaside", "shore", "sidewalk", "square",
        "stadium", "street", "swamp", "town", "village", "wilderness", "woods", "yard", "zoo",
    ),
    "vehicle": ("cabin", "carriage", "cockpit", "moving car", "moving train", "moving vehicle"),
    "water": ("under water", "underwater"),
}  # fmt: skip
"""Where something is heard, by what surrounds it."""
NEITHER = ("airport", "closed in area", "market", "party", "platform", "railway station", "station", "subway station")
"""Places that may be indoors or not."""

ENVIRONMENTS: dict[str, Environment] = {
    "Inside, small room": "indoors",
    "Inside, large room or hall": "indoors",
    "Inside, public space": "indoors",
    "Outside, urban or manmade": "outdoors",
    "Outside, rural or natural": "outdoors",
}
"""Classes of the ontology that say where."""

GENDERS = {
    "male": ("male", "males", "man", "men", "man's", "men's", "boy", "boys", "guy", "guys", "gentleman", "gentlemen"),
    "female": ("female", "females", "woman", "women", "woman's", "women's", "girl", "girls", "lady", "ladies"),
    "child": (
        "child",
        "children",
        "child's",
        "children's",
        "kid",
        "kids",
        "boy",
        "boys",
        "girl",
        "girls",
        "toddler",
        "infant",
    ),
}
GENDER_CLASSES = {
    "male": ("Male speech, man speaking", "Male singing"),
    "female": ("Female speech, woman speaking", "Female singing"),
    "child": ("Child speech, kid speaking", "Child singing", "Children shouting", "Children playing"),
}
"""Classes that say who speaks."""

EMOTIONS = {
    "calm": ("calm", "calmly", "relaxed", "soothing", "peaceful", "composed"),
    "happy": ("happy", "happily", "cheerful", "cheerfully", "joyful", "joyfully", "amused", "joyous"),
    "excited": ("excited", "excitedly", "enthusiastic", "enthusiastically", "energetic", "lively", "animated"),
    "angry": ("angry", "angrily", "annoyed", "furious", "irritated", "mad", "aggressive", "aggressively", "frustrated"),
    "sad": ("sad", "sadly", "sorrowful", "mournful", "melancholic", "melancholy", "upset"),
    "afraid": ("afraid", "scared", "frightened", "fearful", "fearfully", "terrified", "panicked", "anxious", "nervous"),
    "neutral": ("neutral", "monotone", "flat", "matter-of-fact", "emotionless"),
}
OPPOSED = {
    "calm": ("excited", "angry", "afraid"),
    "happy": ("angry", "sad", "afraid"),
    "excited": ("calm", "neutral"),
    "angry": ("calm", "happy"),
    "sad": ("happy",),
    "afraid": ("calm", "happy"),
    "neutral": ("excited",),
}
"""Emotions that a voice does not have with this one at the same time: declared. Others may be two words for one voice."""

LANGUAGES = {
    "ar": "arabic", "bn": "bengali", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "fa": "persian", "fi": "finnish", "fr": "french", "he": "hebrew", "hi": "hindi", "hu": "hungarian",
    "id": "indonesian", "it": "italian", "ja": "japanese", "ko": "korean", "ms": "malay", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "sw": "swahili", "ta": "tamil",
    "te": "telugu", "th": "thai", "tl": "tagalog", "tr": "turkish", "uk": "ukrainian", "ur": "urdu", "vi": "vietnamese",
    "zh": "chinese",
}  # fmt: skip
"""ISO 639-1 code -> the language's English name in lower case."""
SAME_LANGUAGE = {"mandarin": "chinese", "cantonese": "chinese", "farsi": "persian", "castilian": "spanish"}


def forms(verb: str) -> set[str]:
    """Return the forms of a verb: "hum" -> hum, hums, humming, hummed; also some that are no English, which nobody writes."""
    first, _, rest = verb.partition(" ")
    tail = f" {rest}" if rest else ""
    stem = first[:-1] if first.endswith("e") and not first.endswith("ee") else first
    y = first[:-1] + "i" if first.endswith("y") else first
    found = {first, first + "s", first + "es", y + "es", first + "ing", stem + "ing", stem + "ed", y + "ed"}
    found |= {first + first[-1] + "ing", first + first[-1] + "ed"}
    return {form + tail for form in found} | set(_IRREGULAR.get(verb, ()))


VERBS = {form: verb for verbs in (DEEDS, VOICES) for verb in verbs for form in sorted(forms(verb))}
"""Every form of the verbs above -> the verb."""
SOUNDING = {form for verb in VOICES for form in forms(verb)}
ENVIRONMENT_OF = {place: environment for environment, places in PLACES.items() for place in places}
EMOTION_OF = {word: emotion for emotion, words in EMOTIONS.items() for word in words}


def any_of(words: Iterable[str]) -> str:
    """Return a pattern of any of these words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))


def language(words: str) -> str | None:
    """Return the English name, in lower case, of the language that a text or an ISO 639 code names; None: none that is known."""
    text = words.lower().strip(" .")
    if code := LANGUAGES.get(text.split("-")[0]):
        return code
    named = {**{name: name for name in LANGUAGES.values()}, **SAME_LANGUAGE}
    return next((named[word] for word in text.replace(",", " ").split() if word in named), None)
