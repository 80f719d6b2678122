"""The stage contract: a pure step from table rows to table rows, and the law that no row is ever lost."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from pipelines.core.workspace import Workspace
from schemas import tables
from schemas.ids import seed_for


@dataclass(frozen=True)
class Resources:
    """What one worker of a stage occupies.

    ``actor``: the worker keeps what ``setup`` loaded and serves many partitions; else each partition is a task of its own.
    ``single``: there is one such worker in the whole run, whatever the cluster's size, so that what it counts is all there is.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    actor: bool = False
    single: bool = False


@dataclass(frozen=True)
class Blob:
    """Bytes that belong to one row and are packed into a tar: ``members`` maps suffix -> bytes, in order."""

    group: str
    key: str
    members: dict[str, bytes]


@dataclass(frozen=True)
class Refusal:
    """A reject in the making: key, error class, message, and the source file that is to blame, if one is."""

    key: str
    error: str
    message: str
    source: str | None = None
    attempt: int = 1


@dataclass
class Result:
    """What became of a batch. Each input key is in ``rows``, in ``rejects`` or in ``drops``, and in one of them only.

    ``blobs`` is empty or as long as ``rows``; the commit packs them and fills in ``tar``, ``offset`` and ``size``.
    ``tables`` are the rows as arrow tables, in the same order, where the worker has made them already; a stage that makes
    millions of rows gives them alone, and leaves ``rows`` empty.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Refusal] = field(default_factory=list)
    drops: list[tuple[str, str]] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)

    def keys(self, out_key: str) -> list[str]:
        """Return the key of each outcome; rows that come of one input count once."""
        refused, dropped = (refusal.key for refusal in self.rejects), (key for key, _ in self.drops)
        served = [row[out_key] for row in self.rows]
        if not served:
            served = [key for made in self.tables for key in made.column(out_key).unique().to_pylist()]
        return [*dict.fromkeys(served), *refused, *dropped]

    def extend(self, other: Result) -> None:
        """Append another batch's result."""
        self.rows += other.rows
        self.rejects += other.rejects
        self.drops += other.drops
        self.blobs += other.blobs
        self.tables += other.tables


@dataclass(frozen=True)
class Context:
    """What a stage may know beside its rows: the workspace to read blobs from, the data folder, and the run's seed."""

    workspace: Workspace
    data_root: str
    run_seed: int
    partitions: int

    def seed(self, stage: str, key: str) -> int:
        """Return the seed of one row, in [0, 2^63)."""
        return seed_for(self.run_seed, stage, key)


class Batch:
    """Rows of the primary table, and the side tables of the same partition."""

    def __init__(self, rows: pa.Table, sides: dict[str, pa.Table]) -> None:
        self.rows = rows
        self.sides = sides
        self.ahead: Future[Any] | None = None
        """What :meth:`Stage.prepare` makes of it, where that was begun ahead of time."""
        self._grouped: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}

    def grouped(self, table: str, column: str) -> dict[str, list[dict[str, Any]]]:
        """Return the side table's rows by the value of ``column``; a missing key gives an empty list."""
        if (table, column) not in self._grouped:
            groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for row in self.sides[table].to_pylist():
                groups[row[column]].append(row)
            self._grouped[table, column] = groups
        return self._grouped[table, column]

    @property
    def seconds(self) -> float:
        """Sum of the rows' ``duration_s``; 0 where they have none."""
        return sum(self._durations())

    def slices(self, rows: int, seconds: float = math.inf) -> Iterable[Batch]:
        """Yield the batch in pieces of at most ``rows`` rows and ``seconds`` seconds that share the grouped side tables.

        A row that is longer alone is a piece of its own.
        """
        durations = self._durations() if seconds < math.inf else [0.0] * self.rows.num_rows
        start, held = 0, 0.0
        for end, duration in enumerate(durations):
            if end > start and (end - start == rows or held + duration > seconds):
                yield self._piece(start, end)
                start, held = end, 0.0
            held += duration
        if self.rows.num_rows:
            yield self._piece(start, self.rows.num_rows)

    def _piece(self, start: int, end: int) -> Batch:
        piece = Batch(self.rows.slice(start, end - start), self.sides)
        piece._grouped = self._grouped
        return piece

    def _durations(self) -> list[float]:
        names = self.rows.schema.names
        return self.rows.column("duration_s").to_pylist() if "duration_s" in names else [0.0] * self.rows.num_rows


@dataclass(frozen=True)
class Stage(ABC):
    """Base of all stages. A subclass is a frozen dataclass whose fields are its part of the recipe.

    Class attributes:
        name: the stage's name, unique in a graph; also the name in its folder.
        version: raised whenever the code would give other rows for the same input.
        reads: tables it reads, the primary one first; every earlier stage that writes one of them is an input.
        writes: the table it writes.
        key: key column of the primary table, unique in it.
        out_key: the column of the written table that holds that key.
        places: of a stage that writes all partitions, the column whose hash is a row's partition; empty: the first one.
        whole: tables that it reads whole in each partition: small ones, or such as any row may need any row of.
        waits: True: it needs all partitions at once (one task, which writes every partition of its table).
        seeded: True: it draws, so that the run's seed is part of its fingerprint.
        room: folder of the workspace that its output lies in.
        batch_rows: rows that ``process`` is given at once.
        batch_s: of rows with ``duration_s``, seconds of sound that it is given at once; one row may be longer alone.
        crew: actor stages of one non-empty crew are served by the same workers.
        prepares: names what ``prepare`` makes; stages of one name that are ready at the same time share it.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[str]
    key: ClassVar[str] = "clip_id"
    out_key: ClassVar[str] = "clip_id"
    places: ClassVar[str] = ""
    whole: ClassVar[tuple[str, ...]] = ()
    waits: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    room: ClassVar[str] = "tables"
    batch_rows: ClassVar[int] = 32
    batch_s: ClassVar[float] = math.inf
    resources: ClassVar[Resources] = Resources()
    crew: ClassVar[str] = ""
    prepares: ClassVar[str] = ""

    @property
    def workers(self) -> str:
        """Name of the workers that serve the stage: its crew's, where it keeps what it has loaded, else its own."""
        return self.crew if self.crew and self.resources.actor else self.name

    def params(self) -> dict[str, Any]:
        """Return the part of the recipe that determines the rows; it goes into the fingerprint."""
        return dataclasses.asdict(self)

    def revisions(self) -> dict[str, str]:
        """Return revisions of models and hashes of prompts and tables that the rows depend on."""
        return {}

    def limits(self) -> tuple[int, int]:
        """Return the most samples and the most bytes that one of its tars may hold."""
        return 100_000, 1_000_000_000

    def schema(self) -> pa.Schema:
        """Return the schema of its rows: the table's own, unless a column's type depends on the stage."""
        return tables.schema(self.writes)

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """Return, for a table that several earlier stages write, the stages whose rows it reads; others: all of them."""
        return {}

    def check(self) -> None:
        """Look for the user's mistakes before anything runs.

        Raises:
            UserError: a missing file, an unknown model, a missing extra.
        """

    def sources(self, context: Context) -> str:
        """Return the digest of what the stage reads outside the workspace; empty if it reads nothing there."""
        return ""

    def setup(self, context: Context) -> None:
        """Load what serving needs; called once per worker, before the first batch."""

    def prepare(self, batch: Batch, context: Context) -> Any:
        """Return what ``process`` needs beside the rows, such as decoded audio; runs on a thread while others are processed."""
        return None

    def prepared(self, batch: Batch, context: Context) -> Any:
        """Return what :meth:`prepare` makes of a batch, made ahead of time or now; raises what it raised."""
        return batch.ahead.result() if batch.ahead else self.prepare(batch, context)

    @abstractmethod
    def process(self, batch: Batch, context: Context) -> Result:
        """Serve a batch; raise :class:`schemas.errors.Reject` only where a batch is a single row."""

    def stream(self, context: Context) -> Iterator[Result]:
        """Yield all rows of a source, in one piece unless it says otherwise: they may be millions."""
        yield self.process(Batch(self.schema().empty_table(), {}), context)


class ConservationError(Exception):
    """A stage lost or invented a row: a bug in the stage, never the data's fault."""


def conserve(stage: Stage, keys: list[str], result: Result) -> None:
    """Enforce the conservation law on one batch: each key in exactly one of rows, rejects and drops.

    Args:
        stage: the stage that served the batch.
        keys: the primary table's keys.
        result: what became of them.

    Raises:
        ConservationError: names the stage and the first few keys.
    """
    if result.blobs and len(result.blobs) != len(result.rows):
        raise ConservationError(f"{stage.name}: {len(result.blobs)} blobs for {len(result.rows)} rows")
    outcomes = Counter(result.keys(stage.out_key))
    asked = set(keys)
    if len(asked) != len(keys):
        raise ConservationError(f"{stage.name}: its input repeats a {stage.key}")
    for what, wrong in (
        ("lost", sorted(asked - outcomes.keys())),
        ("invented", sorted(outcomes.keys() - asked)),
        ("gave two outcomes to", sorted(key for key, count in outcomes.items() if count > 1)),
    ):
        if wrong:
            raise ConservationError(f"{stage.name} {what} {len(wrong)} rows, first {wrong[:3]}")


def empty(table: str) -> pa.Table:
    """Return a table of the named schema without rows."""
    return tables.schema(table).empty_table()
