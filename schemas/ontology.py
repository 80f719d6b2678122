"""The ontology of sound classes: AudioSet's graph, and the relation that says which two classes conflict."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, reduce
from graphlib import CycleError, TopologicalSorter
from operator import or_
from pathlib import Path
from typing import Literal

from schemas.errors import UserError

Reason = Literal["equal", "ancestor", "descendant"]

SILENCE = "/m/028v0c"
"""A class that is no sound: nothing can be separated of it, and two clips may share it."""


@dataclass(frozen=True)
class SoundClass:
    """One node of the ontology."""

    class_id: str
    """A Freebase-style MID, e.g. ``/m/0bt9lr``."""
    name: str
    parents: tuple[str, ...]
    children: tuple[str, ...]
    abstract: bool
    """A heading such as "Onomatopoeia" that groups classes and is no sound itself."""
    blacklist: bool
    """AudioSet does not label clips with it."""


@dataclass(frozen=True)
class Ontology:
    """The graph of sound classes; a set of classes is a Python int whose bit ``i`` stands for ``classes[i]``.

    AudioSet's ontology (Gemmeke et al., ICASSP 2017) is a DAG, not a tree: 38 of its 632 nodes have several
    parents (Hiss has four), so every parent is kept and every relation follows all paths. Classes that only
    the strong-label release has (Hershey et al., ICASSP 2021) hang below it, under parents of our
    choice.

    Two classes conflict when they are equal, or one is an ancestor of the other along some path on which no
    node, ends included, is abstract: sharing a heading such as "Onomatopoeia" or "Source-ambiguous sounds"
    (both abstract) says nothing about sharing a sound. The price: "Pop music" is joined to "Music" by an
    abstract node alone ("Music genre"), so these two do not conflict.
    """

    classes: tuple[SoundClass, ...]
    """Sorted by class_id."""
    positions: dict[str, int]
    _ancestors: tuple[int, ...]
    _descendants: tuple[int, ...]
    _above: tuple[int, ...]
    _below: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, class_id: object) -> bool:
        return class_id in self.positions

    def index(self, class_id: str) -> int:
        """Return the bit position of a class. Raises KeyError where the ontology does not have it."""
        try:
            return self.positions[class_id]
        except KeyError:
            raise KeyError(f"class_id {class_id!r} is not in the ontology of {len(self)} classes") from None

    def __getitem__(self, class_id: str) -> SoundClass:
        return self.classes[self.index(class_id)]

    def ancestors(self, class_id: str) -> int:
        """Return the bits of every class above this one, abstract ones too, itself not."""
        return self._ancestors[self.index(class_id)]

    def descendants(self, class_id: str) -> int:
        """Return the bits of every class below this one, abstract ones too, itself not."""
        return self._descendants[self.index(class_id)]

    def bits(self, class_ids: Iterable[str]) -> int:
        """Return the set of these classes as bits."""
        return reduce(or_, (1 << self.index(class_id) for class_id in class_ids), 0)

    def class_ids(self, bits: int) -> tuple[str, ...]:
        """Return the sorted class_ids of a set of bits: the inverse of `bits`."""
        return tuple(node.class_id for i, node in enumerate(self.classes) if bits >> i & 1)

    def related_mask(self, class_id: str) -> int:
        """Return the bits of every class that conflicts with this one, itself included.

        A clip with label bits ``b`` conflicts with the class where ``related_mask(class_id) & b``.
        """
        i = self.index(class_id)
        return self._above[i] | self._below[i] | 1 << i

    def implied(self, class_ids: Iterable[str]) -> int:
        """Return the bits of these classes and of what each of them is: the classes above, along paths without abstract nodes."""
        places = map(self.index, class_ids)
        return reduce(or_, (self._above[i] | 1 << i for i in places), 0)

    def covered(self, class_id: str) -> int:
        """Return the bits of this class and of its kinds: the classes below, along paths without abstract nodes."""
        i = self.index(class_id)
        return self._below[i] | 1 << i

    def conflict(self, a: str, b: str) -> Reason | None:
        """Return what ``a`` is to ``b`` where the two classes conflict, else None."""
        i, j = self.index(a), self.index(b)
        if i == j:
            return "equal"
        if self._above[j] >> i & 1:
            return "ancestor"
        return "descendant" if self._below[j] >> i & 1 else None


def configs_dir() -> Path:
    """Return the folder of recipes and curated tables. Raises UserError where the installation lacks it."""
    folder = Path(__file__).resolve().parents[1] / "configs"
    if not folder.is_dir():
        raise UserError(f"the folder 'configs' is missing beside the installed packages (looked at {folder})")
    return folder


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of one of the tables in ``configs/labels`` (UTF-8 CSV with a header)."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load_ontology(labels_dir: Path) -> Ontology:
    """Read ``audioset_ontology.csv`` and ``audioset_strong_extra.csv`` from ``labels_dir``.

    Raises UserError where an id occurs twice, a parent is missing, or the graph has a cycle.
    """
    rows = read_table(labels_dir / "audioset_ontology.csv")
    rows += read_table(labels_dir / "audioset_strong_extra.csv")
    rows.sort(key=lambda row: row["class_id"])
    positions = {row["class_id"]: i for i, row in enumerate(rows)}
    if len(positions) < len(rows):
        raise UserError(f"a class_id occurs twice in the ontology tables of {labels_dir}")
    children: dict[str, list[str]] = {class_id: [] for class_id in positions}
    for row in rows:
        for parent in row["parent_ids"].split():
            if parent not in positions:
                raise UserError(f"{row['class_id']} has the parent {parent}, which the ontology tables lack")
            children[parent].append(row["class_id"])
    classes = tuple(
        SoundClass(
            class_id=row["class_id"],
            name=row["name"],
            parents=tuple(row["parent_ids"].split()),
            children=tuple(children[row["class_id"]]),
            abstract=row.get("abstract") == "1",
            blacklist=row.get("blacklist") == "1",
        )
        for row in rows
    )
    up = [[positions[parent] for parent in node.parents] for node in classes]
    down = [[positions[child] for child in node.children] for node in classes]
    concrete = {i for i, node in enumerate(classes) if not node.abstract}
    return Ontology(
        classes,
        positions,
        _ancestors=_closure(up),
        _descendants=_closure(down),
        _above=_closure(_within(up, concrete)),
        _below=_closure(_within(down, concrete)),
    )


def _within(edges: list[list[int]], kept: set[int]) -> list[list[int]]:
    return [[j for j in ends if j in kept] if i in kept else [] for i, ends in enumerate(edges)]


def _closure(edges: list[list[int]]) -> tuple[int, ...]:
    """Return, per node, the bits of all nodes that its edges lead to, near or far."""
    reach = [0] * len(edges)
    try:
        order = list(TopologicalSorter(dict(enumerate(edges))).static_order())
    except CycleError as error:
        raise UserError(f"the ontology has a cycle through the nodes {error.args[1]}") from error
    for i in order:
        reach[i] = reduce(or_, (reach[j] | 1 << j for j in edges[i]), 0)
    return tuple(reach)


@cache
def default_ontology() -> Ontology:
    """Return the ontology of ``configs/labels``, read once per process."""
    return load_ontology(configs_dir() / "labels")
