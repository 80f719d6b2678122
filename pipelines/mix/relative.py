"""What tells a source of a mixture from others that words cannot tell it from: which begins first, which is louder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

APART_S = 1.0
"""Seconds between two beginnings, from which on one sound is said to come before the other."""

APART_DB = 6.0
"""Decibels between two levels, from which on one sound is said to be the louder: twice the amplitude. Declared by us."""

ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
    "ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lying:
    """Where and how loud a source of a mixture is, as far as it is known.

    Attributes:
        at_s: where it is laid, in seconds from the mixture's start.
        seconds: how much of it is heard, from there on.
        onset_s: where its first timed event begins, in seconds from ``at_s``; None: nothing is timed.
        level_db: its level in dB against whatever all levels of the mixture are stated against; None: not known.
    """

    at_s: float
    seconds: float
    onset_s: float | None
    level_db: float | None

    @property
    def begins_s(self) -> float | None:
        """Where it begins to sound, in seconds from the mixture's start; None: not known, or not in what is heard of it."""
        if self.onset_s is None or not 0.0 <= self.onset_s < self.seconds:
            return None
        return self.at_s + self.onset_s


class Apart(NamedTuple):
    """What tells one source from the others: ``second``, ``louder``.

    ``other`` tells the one other source, and is None where there are several; ``stands_for`` is the noun that it goes with
    where the sources have no name in common.
    """

    word: str
    other: str | None
    stands_for: str


def apart(draw: float, own: Lying, others: Sequence[Lying]) -> Apart | None:
    """Return what tells a source from the others by evidence; None: nothing does.

    Order tells where it is known of all of them where they begin, and any two begin at least ``APART_S`` apart. Level
    tells where it is known of all of them, and this one is at least ``APART_DB`` above or below every other.

    Args:
        draw: in [0, 1); chooses where both tell.
        own: the source.
        others: at least one.
    """
    found = [told for told in (_by_order(own, others), _by_level(own, others)) if told is not None]
    return found[int(draw * len(found))] if found else None


def _by_order(own: Lying, others: Sequence[Lying]) -> Apart | None:
    mine = own.begins_s
    known = sorted(at for each in (own, *others) if (at := each.begins_s) is not None)
    if mine is None or len(known) <= len(others) or any(after - at < APART_S for at, after in pairwise(known)):
        return None
    place = known.index(mine)
    return Apart(ORDINALS[place], ORDINALS[1 - place] if len(others) == 1 else None, "sound")


def _by_level(own: Lying, others: Sequence[Lying]) -> Apart | None:
    if own.level_db is None:
        return None
    gaps = [own.level_db - each.level_db for each in others if each.level_db is not None]
    if len(gaps) < len(others):
        return None
    if min(gaps) >= APART_DB:
        return Apart("louder", "quieter", "one") if len(gaps) == 1 else Apart("loudest", None, "one")
    if max(gaps) <= -APART_DB:
        return Apart("quieter", "louder", "one") if len(gaps) == 1 else Apart("quietest", None, "one")
    return None
