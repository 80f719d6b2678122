"""Event-based F1 of timed events, as sed_eval defines it (Mesaros, Heittola and Virtanen, Applied Sciences 2016).

An estimated event is right where it has a reference's class, its onset is within a collar of 200 ms of the reference's, and
its offset within 200 ms or 20% of the reference's length, whichever is more. Each event is matched with one at most, in
the way that makes most pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

COLLAR_S = 0.2
SHARE_OF_LENGTH = 0.2

Timed = tuple[str, float, float]
"""Class, onset and offset in seconds."""


@dataclass(frozen=True)
class Counts:
    """Events that were matched, that there are, and that were estimated."""

    right: int
    reference: int
    estimated: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.reference + other.reference, self.estimated + other.estimated)

    @property
    def f1(self) -> float:
        """Twice the matched over all events, in [0, 1]; NaN where there is no event at all."""
        every = self.reference + self.estimated
        return 2.0 * self.right / every if every else float("nan")


def matched(reference: Sequence[Timed], estimated: Sequence[Timed]) -> int:
    """Return the most pairs of a reference and an estimate that agree, each event being in one pair at most."""
    if not reference or not estimated:
        return 0
    agrees: NDArray[np.bool_] = np.array([[_agrees(true, guess) for guess in estimated] for true in reference])
    return int(np.count_nonzero(maximum_bipartite_matching(csr_array(agrees), perm_type="column") >= 0))


def _agrees(true: Timed, guess: Timed) -> bool:
    collar = max(COLLAR_S, SHARE_OF_LENGTH * (true[2] - true[1]))
    return true[0] == guess[0] and abs(true[1] - guess[1]) <= COLLAR_S and abs(true[2] - guess[2]) <= collar


def counts(reference: Sequence[Timed], estimated: Sequence[Timed]) -> dict[str, Counts]:
    """Return the counts of each class that is among a recording's events, true or estimated."""
    out = {}
    for class_id in sorted({event[0] for event in [*reference, *estimated]}):
        true, guessed = ([event for event in own if event[0] == class_id] for own in (reference, estimated))
        out[class_id] = Counts(matched(true, guessed), len(true), len(guessed))
    return out


def total(recordings: Sequence[dict[str, Counts]]) -> dict[str, Counts]:
    """Return the counts of each class over recordings."""
    out: dict[str, Counts] = {}
    for recording in recordings:
        for class_id, own in recording.items():
            out[class_id] = out.get(class_id, Counts(0, 0, 0)) + own
    return out


def micro_f1(recordings: Sequence[dict[str, Counts]]) -> float:
    """Return the F1 of all events of all classes together (sed_eval's "overall"); NaN where there is none."""
    return sum(total(recordings).values(), Counts(0, 0, 0)).f1


def macro_f1(recordings: Sequence[dict[str, Counts]]) -> float:
    """Return the mean F1 of the classes that have a reference event; NaN where none has."""
    each = [own.f1 for own in total(recordings).values() if own.reference]
    return float(np.mean(each)) if each else float("nan")
