"""The clips that may be chosen for a slot, and for each class which of them have it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.catalogue import Catalogue
from pipelines.mix.draws import below
from pipelines.mix.quotas import Ints

Flags = NDArray[np.bool_]

ROWS = 16_384
"""Sets of classes that are listed at once, so that the room this takes is bounded."""


class Candidates:
    """The rows of a catalogue that may be chosen, and for each class which of them have it."""

    def __init__(self, catalogue: Catalogue, rows: Ints) -> None:
        self.rows, self._own = rows, catalogue.own[rows]
        self.looked_up: dict[tuple[int, bool, bool], Ints] = {}
        """What fits beside one source alone, where that was looked for among all: there are few such sources, but they return."""

    @cached_property
    def _having(self) -> dict[int, NDArray[np.uint8]]:
        """Class -> one bit per row that says whether it has the class; only classes that one has."""
        found = {}
        for place in range(64 * self._own.shape[1]):
            has = (self._own[:, place // 64] >> np.uint64(place % 64)) & np.uint64(1)
            if has.any():
                found[place] = np.packbits(has.astype(np.bool_))
        return found

    def without(self, barred: NDArray[np.uint64]) -> Ints:
        """Return the rows that have none of the classes ``barred``, shape (W,)."""
        return self.rows[~self._any(barred)]

    def having(self, wanted: NDArray[np.uint64]) -> Ints:
        """Return the rows that have one of the classes ``wanted``, shape (W,)."""
        return self.rows[self._any(wanted)]

    def drawn(self, seeds: NDArray[np.uint64], *purpose: int) -> Ints:
        """Draw a row for each seed."""
        return self.rows[below(len(self.rows), seeds, *purpose)]

    def alike(self, own: NDArray[np.uint64], seeds: NDArray[np.uint64], *purpose: int) -> Ints:
        """Draw for each set of classes, shape (n, W), one of them, and then a row that has it; any row where none has it."""
        rows, begins = self._by_class
        sets, places = _members(own)
        counts = np.bincount(sets, minlength=len(own))
        some = np.flatnonzero(counts)
        picks = (np.cumsum(counts) - counts)[some] + below(counts[some], seeds[some], *purpose, 0)
        begin, end = begins[places[picks]], begins[places[picks] + 1]
        found = self.drawn(seeds, *purpose, 1)
        there = end > begin
        found[some[there]] = rows[(begin + below(end - begin, seeds[some], *purpose, 1))[there]]
        return found

    @cached_property
    def _by_class(self) -> tuple[Ints, Ints]:
        """The rows of each class one after the other, and where each class begins."""
        rows, places = _members(self._own)
        order = np.argsort(places, kind="stable")
        return self.rows[rows[order]], np.searchsorted(places[order], np.arange(64 * self._own.shape[1] + 1))

    def _any(self, classes: NDArray[np.uint64]) -> Flags:
        """Say of each row whether it has one of some classes."""
        found = np.zeros(-(-len(self.rows) // 8), np.uint8)
        for place, having in self._having.items():
            if int(classes[place // 64]) >> (place % 64) & 1:
                found |= having
        return np.unpackbits(found, count=len(self.rows)).astype(np.bool_)


def _members(own: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Return the classes of sets, shape (n, W), as pairs: number of the set, place of the class; sorted."""
    found = [np.zeros((0, 2), np.int64)]
    for first in range(0, len(own), ROWS):
        piece = np.ascontiguousarray(own[first : first + ROWS], "<u8").view(np.uint8)
        found.append(np.argwhere(np.unpackbits(piece, axis=1, bitorder="little")) + np.array([first, 0]))
    pairs = np.concatenate(found)
    return pairs[:, 0], pairs[:, 1]
