"""What a system is evaluated on: a mixture, what is asked for in it, and what is known of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.ids import canonical_json
from trainers.lass.queries import QUERY
from trainers.lass.tasks import TASKS

Samples = NDArray[np.float32]

EXTRACTION, REMOVAL = TASKS

INSTRUCTIONS = ("instruction_extract", "instruction_remove")
"""Keys of a sample's JSON: sentences that ask for its target, the one by its name, the other by the names of all else."""


@dataclass(frozen=True, eq=False)
class Item:
    """One mixture of a set.

    Attributes:
        set: the set's label.
        key: of the mixture, alone of its name in the set; the name of its estimate's file.
        query: what is asked for, in words.
        mixture: float32, shape (T,), T >= 1.
        target: the true answer, likewise; all zero where nothing answers the query.
        rate: Hz.
        classes: names of the target's classes; none: not known.
        policy: how the mixture's sounds were chosen; None: not known.
        record: what the sample says of itself, with ``query``; of shards all of its JSON, and embeddings where it holds them.
        task: what is wanted of what the query names: ``extraction``, or ``removal``, of which the true answer is all else.
    """

    set: str
    key: str
    query: str
    mixture: Samples
    target: Samples
    rate: int
    classes: tuple[str, ...]
    policy: str | None
    record: dict[str, Any]
    task: str = EXTRACTION

    @property
    def place(self) -> tuple[str, int, str]:
        """Order of a set's mixtures, however its shards hold them; the shorter key first, for keys of lists are numbered."""
        return self.set, len(self.key), self.key

    def given(self) -> str:
        """Return the sha256 of all that a system is given, in hexadecimal."""
        words = canonical_json([self.task, self.query, *(self.record.get(name) for name in INSTRUCTIONS)])
        parts = (
            words.encode("utf-8", "surrogatepass"),
            str(self.rate).encode(),
            self.mixture.tobytes(),
            self.record.get(QUERY) or b"",
        )
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def digest(self) -> str:
        """Return the sha256 of what is given and of the true answer, in hexadecimal."""
        return hashlib.sha256(self.given().encode() + hashlib.sha256(self.target.tobytes()).digest()).hexdigest()


class Items(Protocol):
    """A set of mixtures."""

    @property
    def label(self) -> str:
        """Its name in tables, and the folder of its estimates: ``[A-Za-z0-9_-]`` and ``/``."""

    @property
    def kind(self) -> str:
        """``run``, ``dataset folder`` or ``list``."""

    def __len__(self) -> int:
        """Return how many mixtures it holds."""

    def __iter__(self) -> Iterator[Item]:
        """Yield them; UserError where the set is damaged."""


@dataclass(frozen=True)
class Removal:
    """A set whose systems are asked to take away what the query names: the true answer is the mixture without it."""

    items: Items

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.items.label

    @property
    def kind(self) -> str:
        """What the set is."""
        return self.items.kind

    def __len__(self) -> int:
        """Return how many mixtures it holds."""
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        """Yield them."""
        for item in self.items:
            yield replace(item, target=item.mixture - item.target, task=REMOVAL)
