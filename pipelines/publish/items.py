"""The clips of a run, one by one, each with all that an export may tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.publish.sealed import SealedRun

Row = dict[str, Any]

_CLIP = (
    *("clip_id", "record_id", "recording_id", "duration_s", "sample_rate", "source_path", "member", "source_start_s"),
    *("licence", "licence_text", "attribution", "sha256", "tar", "offset", "size"),
)
_RECORD = ("record_id", "start_s", "keywords", "title", "description")
_CANDIDATE = ("candidate_id", "clip_id", "method", "style", "language", "text", "model")
_CAPTION = (
    "clip_id",
    "dataset",
    "split",
    "caption",
    "candidate_id",
    "decision",
    "score",
    "reasons",
    "withheld",
    "licence",
)
_VERDICT = ("candidate_id", "clip_id", "probability", "decision", "reasons")
_ROWS = 2048
"""Clips whose rows are Python objects at once."""


@dataclass(frozen=True)
class Item:
    """One clip.

    Attributes:
        caption: its row of ``captions``.
        clip: its row of ``clips``.
        record: its row of ``records``.
        candidates: its rows of ``candidates``, if the format asks for them, each with ``decision``, ``probability`` and ``reasons``,
            null where none is known; that of the caption first, then the most probable.
        more: its rows of the tables that the format asks for, by the table's name.
    """

    caption: Row
    clip: Row
    record: Row
    candidates: list[Row]
    more: dict[str, list[Row]]

    @property
    def clip_id(self) -> str:
        """Its identifier."""
        return str(self.caption["clip_id"])


@dataclass(frozen=True)
class Side:
    """What is read of a side table: its columns, ``clip_id`` among them, and a column with the one value that is wanted of it.

    ``stage``: the stage whose rows are read; empty: all that write the table.
    """

    columns: tuple[str, ...]
    only: tuple[str, str] | None = None
    stage: str = ""


def items(run: SealedRun, partition: int, sides: Mapping[str, Side], proposed: bool) -> Iterator[Item]:
    """Yield the clips of one partition in the order of ``captions``; of the partition's tables only slices are Python objects.

    Args:
        run: the run.
        partition: its number.
        sides: side tables that are wanted.
        proposed: whether candidates are; else a clip has none.
    """
    writers = run.writers

    def read(table: str, side: Side) -> pa.Table | None:
        folders = [run.seal["stages"][side.stage]] if side.stage else writers.get(table, ())
        parts = [run.table(folder, partition, side.columns, side.only) for folder in folders]
        return pa.concat_tables(parts).combine_chunks() if parts else None

    captions = read("captions", Side(_CAPTION))
    if captions is None or not captions.num_rows:
        return
    keys = captions.column("clip_id").combine_chunks()
    clips = _aligned(read("clips", Side(_CLIP)), keys)
    records = _aligned(read("records", Side(_RECORD)), clips.column("record_id").combine_chunks())
    judged = "verdicts" in writers
    candidates = _Sorted(read("candidates", Side(_CANDIDATE)) if proposed else None, keys)
    verdicts = _Sorted(read("verdicts", Side(_VERDICT)) if proposed else None, keys)
    more = {name: _Sorted(read(name, side), keys) for name, side in sides.items()}
    for start in range(0, captions.num_rows, _ROWS):
        stop = min(start + _ROWS, captions.num_rows)
        found = zip(
            *(table.slice(start, stop - start).to_pylist() for table in (captions, clips, records)),
            *(side.rows(start, stop) for side in (candidates, verdicts)),
            strict=True,
        )
        others = {name: side.rows(start, stop) for name, side in more.items()}
        for number, (caption, clip, record, rows, verdict) in enumerate(found):
            told = verdict if judged else [caption]
            own = {name: each[number] for name, each in others.items()}
            yield Item(caption, clip, record, best_first(rows, told, caption["candidate_id"]), own)


def best_first(candidates: list[Row], verdicts: list[Row], best: str | None) -> list[Row]:
    """Return candidates with what is said of them: the ``best`` first, then the most probable, unknown ones last.

    Args:
        candidates: a clip's rows of ``candidates``.
        verdicts: its rows of ``verdicts``; where a run has none, its row of ``captions``, which judges the best alone.
        best: the caption's candidate.
    """
    said = {verdict["candidate_id"]: verdict for verdict in verdicts}
    judged = []
    for row in candidates:
        verdict = said.get(row["candidate_id"], {})
        judged.append(row | {key: verdict.get(key) for key in ("decision", "probability", "reasons")})
    return sorted(
        judged, key=lambda row: (row["candidate_id"] != best, row["probability"] is None, -(row["probability"] or 0.0))
    )


def accepted(item: Item) -> list[Row]:
    """Return the accepted candidates in the caption's language, the best first; one whose language is not told counts."""
    wanted = next(
        (row["language"] for row in item.candidates if row["candidate_id"] == item.caption["candidate_id"]), None
    )
    return [
        row
        for row in item.candidates
        if row["decision"] == "accepted" and (wanted is None or row["language"] in (None, wanted))
    ]


def _aligned(table: pa.Table, keys: pa.Array) -> pa.Table:
    """Return the row of each key, which the table's first column holds once."""
    return table.take(pc.index_in(keys, value_set=table.column(0).combine_chunks()))


class _Sorted:
    """The rows of a side table, in the order of the clips that they belong to; rows of other clips are left out."""

    def __init__(self, table: pa.Table | None, keys: pa.Array) -> None:
        self.starts: NDArray[np.int64] = np.zeros(len(keys) + 1, np.int64)
        self.table = table if table is not None else pa.table({})
        if table is not None:
            place = pc.index_in(table.column("clip_id").combine_chunks(), value_set=keys).fill_null(-1).to_numpy()
            order = np.argsort(place, kind="stable")
            self.table = table.take(pa.array(order))
            self.starts = np.searchsorted(place[order], np.arange(len(keys) + 1))

    def rows(self, start: int, stop: int) -> list[list[Row]]:
        """Return the rows of the clips from ``start`` to ``stop``, a list each."""
        first = int(self.starts[start])
        rows = self.table.slice(first, int(self.starts[stop]) - first).to_pylist()
        ends = (self.starts[start : stop + 1] - first).tolist()
        return [rows[a:b] for a, b in pairwise(ends)]
