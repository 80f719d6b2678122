"""What a caption says of loudness, pitch and time, held against measured facts.

All bounds are declared, not calibrated. Between them a word is neither supported nor contradicted, since
listeners differ, and they are wider than those by which the grammar captioner writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.refine.lexicon import NUMBERS

_ANY = 1e9
_ALWAYS = ("duration_s", 0.0, _ANY)


@dataclass(frozen=True)
class Quality:
    """Words that a fact can check. ``yes`` and ``no`` are the ranges that support and contradict them."""

    words: str
    fact: str
    yes: tuple[float, float]
    no: tuple[float, float]
    given: tuple[str, float, float] = _ALWAYS
    """A second fact and the range without which the first checks nothing."""
    of_clip: bool = False
    """True: of all sounds together; False: of one sound, and checked only where no more are mentioned."""


QUALITIES = (
    Quality("loud|loudly", "lufs", (-25, _ANY), (-_ANY, -38), of_clip=True),
    Quality("faint|faintly|quiet|quietly|soft|softly", "lufs", (-_ANY, -30), (-20, _ANY)),
    Quality("high[- ]pitched|at a high pitch", "pitch_hz", (500, _ANY), (0, 250), ("pitched_share", 0.5, 1)),
    Quality("low[- ]pitched|at a low pitch", "pitch_hz", (0, 300), (600, _ANY), ("pitched_share", 0.5, 1)),
    Quality("brief|briefly|short", "active_s", (0, 3), (6, _ANY), ("active_count", 1, 1)),
    Quality("(?:continuous|continual|constant)(?:ly)?|steady|steadily", "active_share", (0.8, 1), (0, 0.5)),
    Quality("repeated|repeatedly|several times|multiple times", "onset_count", (2, _ANY), (0, 0)),
)
_SECONDS = re.compile(r"\bfor about (\w+) seconds\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:no|not|never|without)(?:\s+\w+)?\s+$", re.IGNORECASE)
_RECORDING = re.compile(r"\s+(?:recording|clip)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Judged:
    """A word, ``text[start:...]``, and what the fact says of it; None: neither way."""

    text: str
    fact: str
    supported: bool | None
    start: int
    words: str
    """Pattern of the words that mean the same."""


def judge(text: str, facts: dict[str, float], sounds: int) -> list[Judged]:
    """Return the words of a caption that speak of loudness, pitch or time, each with its verdict.

    Args:
        text: the caption.
        facts: known values by name.
        sounds: how many sounds the caption speaks of. A fact of the clip checks a word about one of several
            sounds only where all of them together have to show it: a loud sound makes a loud clip.

    """
    out = []
    for quality in QUALITIES:
        if (found := stated(quality.words, text)) is None:
            continue
        alone = sounds <= 1 or quality.of_clip or _RECORDING.match(text, found.end()) is not None
        verdict = _verdict(quality, facts) if alone else None
        out.append(Judged(found[0], quality.fact, verdict, found.start(), quality.words))
    if (found := _SECONDS.search(text)) and (said := _number(found[1])):
        heard = facts.get("active_s") if sounds <= 1 else None
        near = None if heard is None else abs(heard - said) <= max(1.0, 0.25 * said)
        out.append(Judged(found[0], "active_s", near, found.start(), re.escape(found[0])))
    return out


def stated(words: str, text: str) -> re.Match[str] | None:
    """Return where a text has one of the words of a pattern and does not deny it; None: nowhere."""
    found = re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)
    return None if found is None or _DENIED.search(text[: found.start()]) else found


def _number(word: str) -> int | None:
    return int(word) if word.isdigit() else NUMBERS.get(word.lower())


def _verdict(quality: Quality, facts: dict[str, float]) -> bool | None:
    value = facts.get(quality.fact)
    name, low, high = quality.given
    if value is None or name not in facts or not low <= facts[name] <= high:
        return None
    if quality.yes[0] <= value <= quality.yes[1]:
        return True
    return False if quality.no[0] <= value <= quality.no[1] else None
