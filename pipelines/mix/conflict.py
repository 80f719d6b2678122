"""Which clips may not be mixed: their classes as bit sets over the ontology, so that one check is a few bitwise ANDs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from itertools import permutations
from operator import or_
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.mixing import Conflict
from schemas.ontology import Ontology, configs_dir, default_ontology, read_table

Kind = Literal["equal", "ancestor", "descendant", "sibling", "confusable"]
Words = NDArray[np.uint64]

KINDS: tuple[Kind, ...] = ("equal", "ancestor", "descendant", "sibling", "confusable")
"""In the order in which a reason is looked for."""

PRESENT = ("class_ids", "said_class_ids", "heard_class_ids")
"""Columns of ``sources`` whose classes count as present."""

ROWS = 65_536
"""Sets that are turned into bits at once, so that the room this takes is bounded."""


class Reason(NamedTuple):
    """Why two clips may not be mixed: class ``a`` of the first is this (``kind``) of class ``b`` of the second."""

    kind: Kind
    a: str
    b: str


@dataclass(frozen=True)
class Relation:
    """Which classes conflict, compiled once: a bit set per class and kind.

    Always: equal classes, and a class with those above and below it along paths of classes that are no abstract headings
    (`schemas.ontology.Ontology.conflict`). As options: ``sibling``, two children of one parent, where all three are no
    abstract headings and the parent is not blacklisted, the two classes themselves and nothing below them;
    ``confusable``, two classes of one row of ``confusable.csv``, and any kind of the one with any kind of the other.

    Attributes:
        ontology: the graph whose classes are the bits.
        siblings: class -> its siblings, as bits, by place; all 0 where the option is off.
        confusable: class -> what sounds like it, likewise.
    """

    ontology: Ontology
    siblings: tuple[int, ...]
    confusable: tuple[int, ...]

    @cached_property
    def masks(self) -> tuple[int, ...]:
        """By place in the ontology, the bits of every class that conflicts with the one there, itself included."""
        related = (self.ontology.related_mask(node.class_id) for node in self.ontology.classes)
        return tuple(map(or_, map(or_, related, self.siblings), self.confusable))

    def related(self, class_ids: Iterable[str]) -> int:
        """Return the bits of every class that conflicts with one of these.

        Two clips conflict where ``relation.related(a) & ontology.bits(b)``; the relation is symmetric.
        """
        return reduce(or_, (self.masks[self.ontology.index(class_id)] for class_id in class_ids), 0)

    def bitsets(self, class_ids: Sequence[Sequence[str]] | pa.ListArray | pa.ChunkedArray) -> tuple[Words, Words]:
        """Return the sets of classes as words of 64 bits.

        Args:
            class_ids: n sets, in any order and with repetitions; an empty or null set conflicts with nothing.

        Returns:
            The classes themselves and all that conflict with them, each of shape (n, W), W = ceil(classes / 64): class ``i``
            of the ontology is bit ``i % 64`` of word ``i // 64``.

        Raises:
            KeyError: a class that the ontology does not have.
        """
        if isinstance(class_ids, pa.ChunkedArray):
            lists = class_ids.combine_chunks()
        elif isinstance(class_ids, pa.Array):
            lists = class_ids
        else:
            lists = pa.array(class_ids, pa.list_(pa.string()))
        counts = lists.value_lengths().fill_null(0).to_numpy()
        values = lists.flatten().dictionary_encode()
        places = np.array([self.ontology.index(class_id) for class_id in values.dictionary.to_pylist()], np.int64)
        flat = places[values.indices.to_numpy()] if len(values) else places
        return _united(self._own_words, flat, counts), _united(self._related_words, flat, counts)

    def of(self, sources: pa.Table) -> tuple[Words, Words]:
        """Return the bit sets of what is present in each row of ``sources``, as :meth:`bitsets` does."""
        own, related = zip(*(self.bitsets(sources.column(name)) for name in PRESENT), strict=True)
        return reduce(or_, own), reduce(or_, related)

    def reason(self, a: Iterable[str], b: Iterable[str]) -> Reason | None:
        """Return why clips with the classes ``a`` and ``b`` may not be mixed; None: they may.

        Of several reasons the first in the order of ``KINDS``, then of the class ids.
        """
        first, second = sorted(set(a)), sorted(set(b))
        if not self.related(first) & self.ontology.bits(second):
            return None
        return min(self._reasons(first, second), key=lambda reason: (KINDS.index(reason.kind), reason.a, reason.b))

    def _reasons(self, a: Iterable[str], b: Sequence[str]) -> Iterator[Reason]:
        for x in a:
            i = self.ontology.index(x)
            for y in b:
                place = self.ontology.index(y)
                kind: Kind | None = self.ontology.conflict(x, y)
                if kind is None and self.siblings[i] >> place & 1:
                    kind = "sibling"
                if kind is None and self.confusable[i] >> place & 1:
                    kind = "confusable"
                if kind is not None:
                    yield Reason(kind, x, y)

    @cached_property
    def _own_words(self) -> Words:
        return words_of([1 << place for place in range(len(self.ontology))], len(self.ontology))

    @cached_property
    def _related_words(self) -> Words:
        return words_of(self.masks, len(self.ontology))


def clash(related: Words, own: Words) -> NDArray[np.bool_]:
    """Say of each pair of sets whether it conflicts: ``related`` of the one, ``own`` of the other, shape (..., W) each.

    Leading axes are broadcast, so that (n, 1, W) against (m, W) gives all n x m pairs. Word by word, since numpy reduces a
    short last axis slowly; of one set against many, those in Fortran order are the fastest.
    """
    found = np.bitwise_and(related[..., 0], own[..., 0])
    both = np.empty_like(found)
    for word in range(1, related.shape[-1]):
        np.bitwise_and(related[..., word], own[..., word], out=both)
        found |= both
    return np.asarray(found != 0)


def words_of(bits: Sequence[int], size: int) -> Words:
    """Return sets of at most ``size`` bits as words of 64 bits, the lowest first: shape (len(bits), ceil(size / 64))."""
    width = -(-size // 64) * 8
    return np.frombuffer(b"".join(each.to_bytes(width, "little") for each in bits), "<u8").reshape(len(bits), -1)


def _united(words: Words, places: NDArray[np.int64], counts: NDArray[np.int64]) -> Words:
    """Return the union of the sets at ``places``, the first ``counts[0]`` of them together, and so on: (len(counts), W)."""
    ends = np.cumsum(counts, dtype=np.int64)
    made = np.zeros((len(counts), words.shape[1]), np.uint64)
    for first in range(0, len(counts), ROWS):
        rows = slice(first, first + ROWS)
        # reduceat gives an empty stretch the set that follows it, so that empty ones are left out.
        some = np.flatnonzero(counts[rows])
        if len(some):
            begins = (ends[rows] - counts[rows])[some]
            stretch = words[places[begins[0] : ends[rows][some[-1]]]]
            made[first + some] = np.bitwise_or.reduceat(stretch, begins - begins[0], axis=0)
    return made


def siblings(ontology: Ontology) -> tuple[int, ...]:
    """Return the siblings of each class as bits, by place: see :class:`Relation`."""
    pairs: dict[int, int] = defaultdict(int)
    for parent in ontology.classes:
        if not parent.abstract and not parent.blacklist:
            children = [ontology.index(child) for child in parent.children if not ontology[child].abstract]
            for i, j in permutations(children, 2):
                pairs[i] |= 1 << j
    return tuple(pairs[place] for place in range(len(ontology)))


def confusable(ontology: Ontology, sets: Iterable[Sequence[str]]) -> tuple[int, ...]:
    """Return what each class may be taken for, as bits by place: of each set, all kinds of one class for all of another.

    Raises KeyError where the ontology lacks a class.
    """
    found: dict[int, int] = defaultdict(int)
    for one, other in (pair for each in sets for pair in permutations(each, 2)):
        for class_id in ontology.class_ids(ontology.covered(one)):
            found[ontology.index(class_id)] |= ontology.covered(other)
    return tuple(found[place] for place in range(len(ontology)))


def confusable_sets() -> list[list[str]]:
    """Return the rows of ``configs/labels/confusable.csv``: classes that sound alike, as their kinds do."""
    return [row["class_ids"].split() for row in read_table(configs_dir() / "labels" / "confusable.csv")]


def relation(conflict: Conflict) -> Relation:
    """Return what conflicts in the default ontology under a recipe's choice, compiled once per process."""
    return _relation(conflict.siblings, conflict.confusable)


@cache
def _relation(with_siblings: bool, with_confusable: bool) -> Relation:
    ontology = default_ontology()
    none = (0,) * len(ontology)
    return Relation(
        ontology,
        siblings(ontology) if with_siblings else none,
        confusable(ontology, confusable_sets()) if with_confusable else none,
    )


def specific(ontology: Ontology, class_ids: Iterable[str]) -> list[str]:
    """Return the classes that are no ancestor of another one in the set: what one would say of the clip."""
    ids = sorted(set(class_ids))
    return [c for c in ids if not any(c != other and ontology.ancestors(other) & ontology.bits([c]) for other in ids)]
