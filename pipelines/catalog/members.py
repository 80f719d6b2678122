"""Members: the rows of runs and of recipes' metadata as one kind of row, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.catalog.tables import ALL
from pipelines.core.workspace import Workspace
from pipelines.identity.near import Landmarks
from pipelines.ingest.splits import Word
from pipelines.unify.names import default_index

Row = dict[str, Any]
"""A row of ``members`` without ``group_id``; its ``withheld`` is the reason of its own run."""

Set = tuple[str, str]
"""A dataset and a published split of it, or ``ALL``."""

COLUMNS = {
    "records": ["record_id", "start_s"],
    "clips": [
        "clip_id",
        "record_id",
        "dataset",
        "split",
        "recording_id",
        "duration_s",
        "source_start_s",
        "excerpt_s",
        "licence",
        "sha256",
    ],
    "fingerprints": ["clip_id", "hashes", "times"],
    "groups": ["clip_id", "split", "withheld"],
    "captions": ["clip_id", "caption", "decision"],
    "classes": ["clip_id", "class_id"],
}
"""The tables that are read of a run, and the columns that are needed."""


def sets_of(row: Row) -> tuple[Set, Set]:
    """Return the two sets that a member stands in: its published split, and its dataset."""
    return (row["dataset"], row["published"]), (row["dataset"], ALL)


@dataclass(frozen=True)
class Partition:
    """One partition of a run: all tables of a run have the same records in it.

    Attributes:
        run: the run's name in the catalogue.
        root: its folder, a path or URL.
        files: its file of each table in ``COLUMNS``, relative to the folder.
    """

    run: str
    root: str
    files: dict[str, str]

    def members(self) -> list[Row]:
        """Return the members, in the order of ``clips``."""
        start_s = dict(self._pairs("records"))
        home = {row["clip_id"]: (row["split"], row["withheld"]) for row in self._rows("groups")}
        said = {row["clip_id"]: row["caption"] for row in self._rows("captions") if row["decision"] == "accepted"}
        classes: dict[str, set[str]] = {}
        for clip_id, class_id in self._pairs("classes"):
            classes.setdefault(clip_id, set()).update({class_id} - {None})
        return [
            member_of_clip(
                clip,
                self.run,
                start_s.get(clip["record_id"]),
                home[clip["clip_id"]],
                said.get(clip["clip_id"]),
                sorted(classes.get(clip["clip_id"], ())),
            )
            for clip in self._rows("clips")
        ]

    def fingerprints(self) -> Iterator[tuple[tuple[str, str], str, Landmarks]]:
        """Yield each clip with its run, its recording, and its landmarks."""
        recordings = {clip["clip_id"]: clip["recording_id"] for clip in self._rows("clips")}
        table = self._read("fingerprints")
        for clip, hashes, times in zip(*(table.column(name) for name in COLUMNS["fingerprints"]), strict=True):
            clip_id = clip.as_py()
            yield (clip_id, self.run), recordings[clip_id], (hashes.values.to_numpy(), times.values.to_numpy())

    def samples(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield the hash of each clip's samples in the store, with its recording and the clip."""
        return ((clip["sha256"], (clip["recording_id"], clip["clip_id"])) for clip in self._rows("clips"))

    def _read(self, table: str) -> pa.Table:
        data = Workspace(self.root).read(self.files[table])
        return pq.read_table(pa.BufferReader(data), columns=COLUMNS[table])

    def _rows(self, table: str) -> list[Row]:
        return self._read(table).to_pylist()

    def _pairs(self, table: str) -> Iterator[tuple[Any, Any]]:
        return ((first, second) for first, second in (row.values() for row in self._rows(table)))


@dataclass(frozen=True)
class Listed:
    """A piece of the listing of a recipe's metadata: a Parquet file of members in the catalogue's folder."""

    root: str
    file: str

    def members(self) -> list[Row]:
        """Return the members, in the publisher's order."""
        return pq.read_table(pa.BufferReader(Workspace(self.root).read(self.file))).to_pylist()

    def fingerprints(self) -> Iterator[tuple[tuple[str, str], str, Landmarks]]:
        """Yield none: metadata have no sound."""
        return iter(())

    def samples(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield none, likewise."""
        return iter(())


Piece = Partition | Listed


@dataclass(frozen=True)
class Names:
    """The names on blacklists: a Parquet file of (recording, blacklist) in the catalogue's folder.

    Attributes:
        root: the catalogue's folder.
        file: the file, relative to it.
        blacklists: the lists that there are, sorted.
    """

    root: str
    file: str
    blacklists: tuple[str, ...]

    def read(self) -> list[tuple[str, str]]:
        """Return each recording with a blacklist that names it."""
        table = pq.read_table(pa.BufferReader(Workspace(self.root).read(self.file)))
        return [(row["recording_id"], row["blacklist"]) for row in table.to_pylist()]


def member_of_clip(
    clip: Row, run: str, start_s: float | None, home: tuple[str, str | None], said: str | None, class_ids: list[str]
) -> Row:
    """Return the member of a run that a clip is.

    Args:
        clip: its row of ``clips``.
        run: the run's name.
        start_s: where its record begins in the recording, in seconds; None: not known.
        home: the split of its group, and why the run withholds it; None: it does not.
        said: its accepted caption; None: it has none.
        class_ids: its known classes, sorted.
    """
    begins = None if start_s is None else start_s + clip["source_start_s"] - clip["excerpt_s"]
    return {
        "run": run,
        "dataset": clip["dataset"],
        "member_id": clip["clip_id"],
        "record_id": clip["record_id"],
        "adapter": None,
        "split": clip["split"] if home[1] else home[0],
        "published": clip["split"],
        "recording_id": clip["recording_id"],
        "start_s": begins,
        "end_s": None if begins is None else begins + clip["duration_s"],
        "seconds": clip["duration_s"],
        "captions": [] if said is None else [said],
        "class_ids": class_ids,
        "licence": clip["licence"],
        "present": True,
        "withheld": home[1],
    }


def member_of_record(record: Row, run: str, adapter: str) -> Row:
    """Return the member of a recipe that a row of its metadata is.

    Args:
        record: what the adapter gave, where its split is a :class:`Word` or the adapter's own.
        run: the recipe's name.
        adapter: the adapter's name.
    """
    split, start_s, end_s = record["split"], record["start_s"], record["end_s"]
    timed = start_s is not None and end_s is not None
    return {
        "run": run,
        "dataset": record["dataset"],
        "member_id": record["record_id"],
        "record_id": record["record_id"],
        "adapter": adapter,
        "split": split.ours if isinstance(split, Word) else split,
        "published": str(split),
        "recording_id": record["recording_id"],
        "start_s": start_s,
        "end_s": end_s,
        "seconds": end_s - start_s if timed else None,
        "captions": record["captions"],
        "class_ids": _classes(record, adapter),
        "licence": record["licence"],
        "present": record["source_path"] is not None,
        "withheld": None,
    }


def _classes(record: Row, adapter: str) -> list[str]:
    named = {(label["class_id"], label["name"]) for label in record["labels"]}
    named |= {(None, event["name"]) for event in record["events"]}
    return sorted({found for class_id, name in named for found in _classes_of(class_id, name, adapter)})


@cache
def _classes_of(class_id: str | None, name: str, adapter: str) -> tuple[str, ...]:
    """Return the classes that a label means, by the rules of the stage ``unify``."""
    index = default_index()
    match = index.lookup(class_id or name, adapter) or index.lookup(name, adapter)
    return () if match is None else (match.class_id, *match.also)
