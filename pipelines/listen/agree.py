"""The stage that counts how often listeners name the same, the publisher being one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.listen.columns import classes_in, clips_in, listeners_in
from pipelines.listen.publisher import LISTENER as PUBLISHER
from schemas.ontology import default_ontology

CLIPS_AT_ONCE = 1 << 16
"""Clips whose classes are laid out at once: what lies below broad labels is wide."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Agree(Stage):
    """Stage ``agree``: listeners and what was heard -> a row per ordered pair of listeners and class that both know.

    A class counts as named where it or a class below it is: who hears a bark hears a dog. A listener knows a class that it
    names so in one clip of the run at least; none declares what it might have named. What both know by narrower classes
    alone is left out: that each hears some animal is no agreement. Between listeners all clips count, and what one does
    not name there it denies. The publisher is judged on clips alone whose labels all have their class, and on none where
    a label of its own leaves the class open.

    A listener is dropped with one of these reasons: ``names_no_class``, ``no_class_in_common``.
    """

    name = "agree"
    reads = ("listeners", "heard")
    writes = "agreements"
    key = out_key = "listener"
    waits = True

    def process(self, batch: Batch, context: Context) -> Result:
        """Count all pairs of the run."""
        names, found = counted(batch.sides["heard"], batch.rows)
        result = Result()
        for listener in sorted(batch.rows.column("listener").to_pylist()):
            rows = []
            for other in (name for name in names if name != listener and listener in names):
                first, second = sorted((listener, other))
                pair = found[first, second]
                rows += _rows(listener, other, pair if listener == first else pair.turned())
            if not rows:
                known = listener in names
                result.drops.append((listener, "no_class_in_common" if known else "names_no_class"))
            result.rows += rows
        return result


@dataclass
class Pair:
    """Counts of one pair of listeners, each of shape (classes,): the clips that count, and who names the class in them."""

    clips: Counts = field(default_factory=lambda: _zeros())
    first: Counts = field(default_factory=lambda: _zeros())
    second: Counts = field(default_factory=lambda: _zeros())
    both: Counts = field(default_factory=lambda: _zeros())
    known: NDArray[np.bool_] = field(default_factory=lambda: _zeros() > 0)
    """Classes that both name in some clip of the run, one of them not by a narrower class alone."""

    def turned(self) -> Pair:
        """Return the same pair, the other one first."""
        return Pair(self.clips, self.second, self.first, self.both, self.known)


def counted(heard: pa.Table, listed: pa.Table) -> tuple[list[str], dict[tuple[str, str], Pair]]:
    """Return the listeners that name a class, sorted, and the counts of each pair of them in that order.

    Args:
        heard: rows of ``heard``; those of a clip are adjacent.
        listed: rows of ``listeners``.
    """
    names, of_row = listeners_in(heard, listed)
    classes, begins = classes_in(heard), clips_in(heard)
    size = len(default_ontology())
    # Rows without a class fall into a place before all others.
    itself = {name: np.bincount(classes[of_row == code] + 1, minlength=size + 1)[1:] for code, name in enumerate(names)}
    speaking = [name for name in names if itself[name].any()]
    pairs = {pair: Pair() for pair in combinations(speaking, 2)}
    known = {name: _zeros() for name in speaking}
    for block in _blocks(names, of_row, classes, begins):
        for name in speaking:
            known[name] += _sum(block.named[name])
        for (a, b), pair in pairs.items():
            if PUBLISHER in (a, b):
                _add(pair, block.named[a], block.named[b], block.labelled, block.open)
            else:
                _add(pair, block.named[a], block.named[b])
    for (a, b), pair in pairs.items():
        pair.known = (known[a] > 0) & (known[b] > 0) & (itself[a] + itself[b] > 0)
    return speaking, pairs


@dataclass(frozen=True)
class Block:
    """Some clips: what each listener names in them, broader classes included, shape (clips, classes), 1 or absent.

    ``labelled``: shape (clips,), 1 where the publisher labels the clip and each label has its class. ``open``: shape
    (clips, classes), what the labels of these leave open.
    """

    named: dict[str, csr_array]
    labelled: Counts
    open: csr_array


def _blocks(names: list[str], of_row: Counts, classes: Counts, begins: Counts) -> Iterator[Block]:
    up, down = _relations()
    for first in range(0, len(begins) - 1, CLIPS_AT_ONCE):
        edges = begins[first : first + CLIPS_AT_ONCE + 1]
        rows = slice(edges[0], edges[-1])
        clip = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        shape = (len(edges) - 1, len(default_ontology()))
        listener, place = of_row[rows], classes[rows]
        labelled, own = np.zeros(shape[0], np.int64), {}
        for code, name in enumerate(names):
            mine = (listener == code) & (place >= 0)
            own[name] = csr_array((np.ones(mine.sum(), np.int64), (clip[mine], place[mine])), shape)
            if name == PUBLISHER:
                labelled[:] = 1
                labelled[clip[(listener == code) & (place < 0)]] = 0
        named = {name: _once(own[name] @ up) for name in names}
        none = csr_array(shape, dtype=np.int64)
        below = _once(own[PUBLISHER] @ down) if PUBLISHER in own else none
        yield Block(named, labelled, _masked(below - below * named.get(PUBLISHER, none), labelled))


def _add(
    pair: Pair, a: csr_array, b: csr_array, labelled: Counts | None = None, open_: csr_array | None = None
) -> None:
    """Count a block in, where given on labelled clips alone and without what the labels leave open."""
    if labelled is not None and open_ is not None:
        a, b = (_masked(each - each * open_, labelled) for each in (a, b))
        pair.clips += int(labelled.sum()) - _sum(open_)
    else:
        pair.clips += a.shape[0]
    pair.first += _sum(a)
    pair.second += _sum(b)
    pair.both += _sum(a * b)


def _rows(listener: str, other: str, pair: Pair) -> list[dict[str, Any]]:
    places = np.flatnonzero(pair.known & (pair.clips > 0)).tolist()
    if not places:
        return []
    sums = [int(each[places].sum()) for each in (pair.clips, pair.first, pair.second, pair.both)]
    rows = [_row(listener, other, None, *sums)]
    for place in places:
        cells = [int(each[place]) for each in (pair.clips, pair.first, pair.second, pair.both)]
        rows.append(_row(listener, other, default_ontology().classes[place].class_id, *cells))
    return rows


def _row(
    listener: str, other: str, class_id: str | None, clips: int, first: int, second: int, both: int
) -> dict[str, Any]:
    return {
        "listener": listener,
        "other": other,
        "class_id": class_id,
        "clips": clips,
        "both": both,
        "only_listener": first - both,
        "only_other": second - both,
        "jaccard": both / (first + second - both) if first + second else None,
        "kappa": kappa(clips, first, second, both),
    }


def kappa(clips: int, first: int, second: int, both: int) -> float | None:
    """Return Cohen's kappa (1960) of two who say yes or no, at most 1; None where both always say the same one thing.

    Args:
        clips: how often both were asked.
        first: how often the first said yes.
        second: how often the second did.
        both: how often both did.
    """
    chance = first * second + (clips - first) * (clips - second)
    if chance == clips * clips:
        return None
    agreed = clips - first - second + 2 * both
    return (agreed * clips - chance) / (clips * clips - chance)


@cache
def _relations() -> tuple[csr_array, csr_array]:
    """Return, shape (classes, classes), 1 where a row's class is the column's or lies below it; and 1 where it lies above."""
    ontology = default_ontology()
    above = np.zeros((len(ontology), len(ontology)), np.int64)
    for place, node in enumerate(ontology.classes):
        above[place, [ontology.index(each) for each in ontology.class_ids(ontology.ancestors(node.class_id))]] = 1
    return csr_array(above + np.eye(len(ontology), dtype=np.int64)), csr_array(above.T)


def _once(counts: csr_array) -> csr_array:
    """Return 1 wherever there is something."""
    counts.data[:] = 1
    return counts


def _masked(each: csr_array, rows: Counts) -> csr_array:
    """Return a matrix without the rows at which ``rows`` is 0."""
    return csr_array(each.multiply(rows[:, None]))


def _sum(each: csr_array) -> Counts:
    return np.asarray(each.sum(axis=0), np.int64)


def _zeros() -> Counts:
    return np.zeros(len(default_ontology()), np.int64)
