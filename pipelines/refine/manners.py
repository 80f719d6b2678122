"""What a caption says of how often, where, and how somebody speaks, by the tables of ``lexicon``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.refine.lexicon import (
    EMOTION_OF,
    ENVIRONMENT_OF,
    ENVIRONMENTS,
    GENDERS,
    HAPPENINGS,
    LANGUAGES,
    NEITHER,
    NUMBERS,
    TIMES,
    any_of,
    language,
)
from pipelines.unify.names import Mention


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


_NUMBER = rf"(?:{any_of(NUMBERS)}|\d{{1,2}})"
_TIMES = re.compile(
    rf"\b(?P<times>twice|thrice|(?<!at )once(?=\s*(?:[.,;]|$)))|\b(?P<number>{_NUMBER}) (?:\w+ )?times\b", re.IGNORECASE
)
_HAPPENING = re.compile(
    rf"\b(?P<number>{_NUMBER})\s+(?:[\w-]+\s+){{0,2}}?"
    rf"(?:{any_of(_plural(word) for word in HAPPENINGS)}|\w+ing (?:sounds|noises))\b",
    re.IGNORECASE,
)
_WHERE = any_of([*ENVIRONMENT_OF, *NEITHER])
_PLACE = re.compile(
    rf"(?:\b(?:in|inside|into|at|on|near|along|through|throughout|down|across|outside|within|around|from|to)\s+(?:[\w-]+\s+){{0,3}}?"
    rf"|^(?:an?\s+|the\s+)?(?:[\w-]+\s+){{0,2}}?(?=(?:{_WHERE})\s+(?:with|where|filled)\b))(?P<place>{_WHERE})\b"
    r"(?!\s+(?:door|phone|bell|of)\b)",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"\b(?P<place>indoors|outdoors|outside|inside|underwater)\b"
    r"(?!\s+(?!(?:while|whilst|as|and|with|in|when|near|by|during|then|before|after)\b)\w)",
    re.IGNORECASE,
)
_ROOM = re.compile(r"\b(small|large|big|huge|little|tiny)\s+(?:\w+\s+)?(room|hall)\b", re.IGNORECASE)
_GENDER = {gender: re.compile(rf"\b(?:{any_of(words)})\b", re.IGNORECASE) for gender, words in GENDERS.items()}
_EMOTION = re.compile(
    rf"\b(?:{any_of(EMOTION_OF)})\b(?!\s+(?:music|song|melody|tune|jazz|rock|pop|beat))", re.IGNORECASE
)
_LANGUAGE = re.compile(
    rf"\b(?:in|speak(?:s|ing)?|spoken)\s+(?P<after>{any_of([*LANGUAGES.values(), 'mandarin', 'cantonese', 'farsi'])})\b(?!\s+horn)"
    rf"|\b(?P<before>{any_of(LANGUAGES.values())})\s+(?:speech|words|language|conversation)\b",
    re.IGNORECASE,
)
_APART = re.compile(r"[.,;!?]|\b(?:and|while|as|then|followed|before|after|but)\b")
NEAR_VOICE = 30
"""Characters between a voice and the word that says whose it is."""


@dataclass(frozen=True)
class Manner:
    """Words of a caption, ``caption[start:end]``, and what they mean."""

    start: int
    end: int
    value: str
    of: str | None = None
    """Class of the sound that it is said of; None: it is not told."""
    class_name: str | None = None
    """The class that says the same; None: there is none."""


def counts(text: str, mentions: Sequence[Mention]) -> Iterator[Manner]:
    """Yield how often something happens: "twice", "three beeps"; not how many dogs there are, nor "several times"."""
    for found in _TIMES.finditer(text):
        value = TIMES[found["times"].lower()] if found["times"] else _number(found["number"])
        before = [m for m in mentions if m.start < found.start()]
        yield Manner(found.start(), found.end(), str(value), before[-1].class_id if before else None)
    for found in _HAPPENING.finditer(text):
        if (value := _number(found["number"])) > 1:
            inside = [m for m in mentions if found.start() <= m.start < found.end() or m.start <= found.start() < m.end]
            yield Manner(found.start(), found.end(), str(value), inside[-1].class_id if inside else None)


def places(text: str) -> Iterator[Manner]:
    """Yield where the caption says that it was, each place once."""
    seen: set[str] = set()
    for found in sorted([*_PLACE.finditer(text), *_BARE.finditer(text)], key=lambda found: found.start("place")):
        place = found["place"].lower()
        where = "outdoors" if place in ("outdoor", "outside") else "indoors" if place == "inside" else place
        if where in seen or re.search(r"\b(?:no|not|without)\s+$", text[: found.start()], re.IGNORECASE):
            continue
        seen.add(where)
        yield Manner(found.start(), found.end(), where, class_name=_class_of(found[0], where))


def _class_of(words: str, where: str) -> str | None:
    if room := _ROOM.search(words):
        small = room[1].lower() in ("small", "little", "tiny")
        name = "Inside, small room" if small and room[2].lower() == "room" else "Inside, large room or hall"
        return name if name in ENVIRONMENTS else None
    return None


def environment(place: str) -> str | None:
    """Return what surrounds a place: ``indoors``, ``outdoors``, ``vehicle``, ``water``; None: it does not tell."""
    return ENVIRONMENT_OF.get(place)


def speakers(text: str, voices: Sequence[Mention]) -> Iterator[Manner]:
    """Yield what is said of those who speak: gender, emotion, language, each value once; nothing where nobody does.

    Args:
        text: the caption.
        voices: its mentions of human voices.
    """
    if not voices:
        return
    seen: set[str] = set()
    for gender, words in _GENDER.items():
        found = next((match for match in words.finditer(text) if _near(match, voices, text)), None)
        if found is not None:
            yield Manner(found.start(), found.end(), f"gender:{gender}", voices[0].class_id)
    for found in _EMOTION.finditer(text):
        if (value := f"emotion:{EMOTION_OF[found[0].lower()]}") not in seen and _near(found, voices, text):
            seen.add(value)
            yield Manner(found.start(), found.end(), value, voices[0].class_id)
    for found in _LANGUAGE.finditer(text):
        if (value := f"language:{language(found['after'] or found['before'])}") not in seen:
            seen.add(value)
            yield Manner(found.start(), found.end(), value, voices[0].class_id)


def _near(found: re.Match[str], voices: Sequence[Mention], text: str) -> bool:
    """Say whether a word stands in a voice's name, or beside it in the same clause."""
    for voice in voices:
        if voice.start <= found.start() < voice.end:
            return True
        low, high = sorted((found.start(), voice.start))
        between = text[min(found.end(), voice.end) : high]
        if high - low <= NEAR_VOICE + len(voice.phrase) and not _APART.search(between):
            return True
    return False


def _number(words: str) -> int:
    return int(words) if words.isdigit() else NUMBERS[words.lower()]
