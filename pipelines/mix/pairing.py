"""Who is mixed with whom: sources that conflict with none of a mixture's, each clip an interferer as often as another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.candidates import Candidates, Flags
from pipelines.mix.catalogue import Catalogue
from pipelines.mix.conflict import clash
from pipelines.mix.draws import Purpose, below, bits, permutation, row_seeds
from pipelines.mix.quotas import Ints

AGAIN = 8
"""Times that the partners which do not fit are dealt anew among the mixtures that they do not fit."""

SWAPS = 24
"""Times that each partner that still does not fit is offered in exchange to a mixture whose partner does."""

DRAWS = 64
"""Partners that are drawn from all before all are looked through."""

TRIES = 200
"""Partial choices that are followed before three or more sources are given up."""


class Block:
    """Mixtures of consecutive numbers, whose sources are chosen slot by slot; rows are places in it, from 0.

    Args:
        catalogue: the sources.
        seeds: of each mixture, shape (m,).
        first: row of the catalogue in slot 0: the clip whose turn it is.
        wanted: how many further sources each mixture is to have, shape (m,).
        same: slot whose source has a class of the one in slot 0; 0: none has.
        uploaders: whether sources differ in their uploader too, where it is known.
        known: of each row of the catalogue the classes that are known to sound together with one of its own; None where no mixture
            asks for that.
        plausible: whether a mixture asks for it, shape (m,).
        beds: what may be a background, which comes after all other slots; None: no mixture has one.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        seeds: Ints,
        first: Ints,
        wanted: Ints,
        same: Ints,
        uploaders: bool,
        known: NDArray[np.uint64] | None = None,
        plausible: Flags | None = None,
        beds: Candidates | None = None,
    ) -> None:
        self.catalogue, self.seeds, self.wanted, self.same = catalogue, seeds.astype(np.uint64), wanted, same
        self.uploaders, self.known, self.beds = uploaders, known, beds
        self.plausible = np.zeros(len(first), np.bool_) if plausible is None else plausible
        self.last = 1 + int(wanted.max(initial=0))
        """The slot of the background."""
        self.chosen = np.full((len(first), self.last + (beds is not None)), -1, np.int64)
        """Rows of the catalogue, shape (m, slots); -1: no source."""
        self.chosen[:, 0] = first
        self._barred = catalogue.related[first]

    def fill(self, candidates: Candidates, seed: int) -> tuple[Flags, Flags]:
        """Choose the further sources of every mixture, and its background.

        Args:
            candidates: what may be chosen.
            seed: of the order in which candidates are dealt.

        Returns:
            Of which mixtures all sources were found, and to which of these a background too, shape (m,) each.
        """
        found = np.ones(len(self.chosen), np.bool_)
        for slot in range(1, self.last):
            rows = np.flatnonzero(found & (self.wanted >= slot))
            picks = self.partners(candidates, rows, slot, seed)
            found[rows[picks < 0]] = False
            self._put(rows, slot, picks)
        whole = found.copy()
        if self.beds:
            rows = np.flatnonzero(found & (self.wanted > 0))
            picks = self.partners(self.beds, rows, self.last, seed)
            whole[rows[picks < 0]] = False
            self._put(rows, self.last, picks)
        # What was chosen first may have left nothing for what came later; with two sources and no background nothing came later.
        for row in np.flatnonzero(~whole & (self.wanted > (0 if self.beds else 1))).tolist():
            whole[row] = self._search(candidates, row)
            found[row] |= whole[row]
        return found, whole

    def partners(self, candidates: Candidates, rows: Ints, slot: int, seed: int) -> Ints:
        """Return a source for one slot of each of ``rows``; -1 where none fits.

        The candidates are dealt in a drawn order, so that each is chosen as often as another. Those that do not fit where they fell are
        dealt again among themselves, then exchanged with those of other mixtures where both fit afterwards. What is left is
        drawn from all that are candidates, and at last looked for among all of them.
        """
        if not len(rows) or not len(candidates.rows):
            return np.full(len(rows), -1, np.int64)
        rounds = -(-len(self.chosen) // len(candidates.rows))
        deals = [permutation(seed, len(candidates.rows), Purpose.ORDER, slot, each) for each in range(rounds)]
        dealt = candidates.rows[np.concatenate(deals)]
        # A partner of the same class is rare: it is looked for, not waited for.
        bad = rows[~self.fits(rows, dealt[rows], slot) & (self.same[rows] != slot)]
        bad = self._dealt_again(dealt, bad, slot, seed)
        bad = self._swapped(dealt, bad, rows, slot)
        open_ = np.zeros(len(self.chosen), np.bool_)
        open_[bad] = True
        open_[rows[self.same[rows] == slot]] = True
        picks = np.where(open_, -1, dealt[: len(open_)])
        self._drawn(candidates, picks, np.flatnonzero(open_), slot)
        return picks[rows]

    def fits(self, rows: Ints, sources: Ints, slot: int) -> Flags:
        """Say of each mixture whether the source beside it may stand in a slot; the arrays are broadcast to one shape."""
        rows, sources = np.broadcast_arrays(rows, sources)
        catalogue, chosen = self.catalogue, self.chosen[rows]
        own = catalogue.own[sources]
        good = ~clash(self._barred[rows], own)
        for other in range(slot):
            beside = chosen[:, other]
            there = beside >= 0
            good &= ~there | (catalogue.group[beside] != catalogue.group[sources])
            if self.uploaders:
                uploader = catalogue.uploader[sources]
                good &= ~there | (uploader < 0) | (catalogue.uploader[beside] != uploader)
        asks = np.flatnonzero(self.plausible[rows] & (slot < self.last))  # a bed need not be
        if len(asks):
            assert self.known is not None
            mine, theirs = chosen[asks, 0], sources[asks]
            odd = clash(~self.known[mine], own[asks]) | clash(~self.known[theirs], catalogue.own[mine])
            good[asks] &= ~odd
        alike = np.flatnonzero(self.same[rows] == slot)
        if len(alike):
            good[alike] = self._alike(rows[alike], sources[alike], slot)
        return good

    def _alike(self, rows: Ints, sources: Ints, slot: int) -> Flags:
        """Say whether a source has a class of the first of its mixture, is of another recording, and fits the others."""
        catalogue, own = self.catalogue, self.catalogue.own[sources]
        good = clash(catalogue.own[self.chosen[rows, 0]], own)
        for other in range(slot):
            beside = self.chosen[rows, other]
            apart = catalogue.group[beside] != catalogue.group[sources]
            if self.uploaders:
                uploader = catalogue.uploader[sources]
                apart &= (uploader < 0) | (catalogue.uploader[beside] != uploader)
            if other:
                apart &= ~clash(catalogue.related[beside], own)
            good &= apart
        return good

    def _dealt_again(self, dealt: Ints, bad: Ints, slot: int, seed: int) -> Ints:
        """Deal the partners of ``bad`` anew among them until they fit; return those that they never do."""
        for attempt in range(AGAIN):
            if len(bad) < 2:
                break
            dealt[bad] = dealt[bad][permutation(seed, len(bad), Purpose.AGAIN, slot, attempt)]
            bad = bad[~self.fits(bad, dealt[bad], slot)]
        return bad

    def _swapped(self, dealt: Ints, bad: Ints, rows: Ints, slot: int) -> Ints:
        """Exchange the partners of ``bad`` with those of other mixtures, or that nobody was dealt; return what never fits."""
        takes = np.zeros(len(dealt), np.bool_)
        takes[rows] = True
        for attempt in range(SWAPS):
            if not len(bad):
                break
            asked = below(len(dealt), self.seeds[bad], Purpose.SWAP, slot, attempt)
            free = np.ones(len(dealt), np.bool_)
            free[bad] = False
            asked, order = np.unique(asked, return_index=True)  # of two that ask for the same, the first
            asked, askers = asked[free[asked]], bad[order[free[asked]]]
            good = self.fits(askers, dealt[asked], slot)
            gives = good & takes[asked]
            good[gives] = self.fits(asked[gives], dealt[askers[gives]], slot)
            asked, askers = asked[good], askers[good]
            dealt[asked], dealt[askers] = dealt[askers], dealt[asked]
            done = np.zeros(len(dealt), np.bool_)
            done[askers] = True
            bad = bad[~done[bad]]
        return bad

    def _drawn(self, candidates: Candidates, picks: Ints, rows: Ints, slot: int) -> None:
        """Draw a partner for each of ``rows`` until it fits; then look through all of them."""
        for attempt in range(DRAWS):
            if not len(rows):
                return
            drawn = candidates.drawn(self.seeds[rows], Purpose.PARTNER, slot, attempt)
            alike = np.flatnonzero(self.same[rows] == slot)
            if len(alike):
                own, seeds = self.catalogue.own[self.chosen[rows[alike], 0]], self.seeds[rows[alike]]
                drawn[alike] = candidates.alike(own, seeds, Purpose.PARTNER, slot, attempt)
            good = self.fits(rows, drawn, slot)
            picks[rows[good]] = drawn[good]
            rows = rows[~good]
        for row in rows.tolist():
            fitting = self._fitting(candidates, row, slot)
            if len(fitting):
                pick = below(len(fitting), self.seeds[row : row + 1], Purpose.PARTNER, slot, DRAWS)
                picks[row] = fitting[pick[0]]

    def _fitting(self, candidates: Candidates, row: int, slot: int) -> Ints:
        """Return all candidates that may stand in one slot of one mixture."""
        alike = bool(self.same[row] == slot)
        key = (int(self.chosen[row, 0]), alike, bool(self.plausible[row]))
        if slot == 1 and key in candidates.looked_up:
            return candidates.looked_up[key]
        if alike:
            near = candidates.having(self.catalogue.own[key[0]])
        elif key[2] and slot < self.last and self.known is not None:
            near = candidates.without(self._barred[row] | ~self.known[key[0]])
        else:
            near = candidates.without(self._barred[row])
        found = near[self.fits(np.array([row]), near, slot)]
        if slot == 1:
            candidates.looked_up[key] = found
        return found

    def _search(self, candidates: Candidates, row: int) -> bool:
        """Look for the sources of one mixture in depth, the background last; say whether all were found."""
        budget = iter(range(TRIES))
        steps = [(slot, candidates) for slot in range(1, int(self.wanted[row]) + 1)]
        if self.beds:
            steps.append((self.last, self.beds))

        def complete(step: int) -> bool:
            if step == len(steps):
                return True
            slot, among = steps[step]
            self._back_to(row, slot)
            for source in self._shuffled(self._fitting(among, row, slot), row, slot):
                if next(budget, None) is None:
                    break
                self._back_to(row, slot)
                self._put(np.array([row]), slot, np.array([source]))
                if complete(step + 1):
                    return True
            self._back_to(row, slot)
            return False

        return complete(0)

    def _shuffled(self, sources: Ints, row: int, slot: int) -> Iterator[int]:
        keys = bits(row_seeds(int(self.seeds[row]), sources).astype(np.uint64), Purpose.SEARCH, slot)
        yield from sources[np.argsort(keys, kind="stable")].tolist()

    def _put(self, rows: Ints, slot: int, picks: Ints) -> None:
        """Put sources into a slot; -1 puts none there."""
        self.chosen[rows, slot] = picks
        self._barred[rows[picks >= 0]] |= self.catalogue.related[picks[picks >= 0]]

    def _back_to(self, row: int, slot: int) -> None:
        """Empty a slot of one mixture and all that follow it."""
        self.chosen[row, slot:] = -1
        there = self.chosen[row][self.chosen[row] >= 0]
        self._barred[row] = np.bitwise_or.reduce(self.catalogue.related[there], axis=0)
