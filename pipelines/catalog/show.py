"""A catalogue as text: the matrix of datasets, and the statistics of each corpus, at most 120 characters wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.catalog.tables import ALL
from pipelines.core.workspace import Workspace
from schemas.errors import UserError

WIDTH = 120
_PAIRS = 20
"""Pairs of splits that are told below the matrix, those that share most first."""


def read_table(out: str, table: str) -> pa.Table:
    """Return a table of the catalogue in ``out``; UserError if there is none."""
    workspace = Workspace(out.rstrip("/"))
    try:
        return pq.read_table(pa.BufferReader(workspace.read(f"{table}.parquet")))
    except FileNotFoundError:
        raise UserError(f"{out}: holds no {table}.parquet; build the catalogue first") from None
    except pa.ArrowInvalid:
        raise UserError(f"{out}: its {table}.parquet is damaged; build the catalogue anew") from None


def rows(out: str, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows of a table of the catalogue, as ``query.render`` takes them."""
    found = read_table(out, table)
    return found.column_names, [tuple(row.values()) for row in found.to_pylist()]


def missed(out: str, blacklist: str, dataset: str, published: str = ALL) -> list[str]:
    """Return the recordings of a set that a blacklist does not name, sorted."""
    found = read_table(out, "recordings").select(["recording_id", "datasets", "sets", "blacklists"]).to_pylist()
    column, wanted = ("datasets", dataset) if published == ALL else ("sets", f"{dataset}/{published}")
    return [row["recording_id"] for row in found if wanted in row[column] and blacklist not in row["blacklists"]]


def overlap_table(out: str) -> str:
    """Return the recordings that each two datasets share as a matrix, and the splits that share most."""
    pairs = read_table(out, "overlap").to_pylist()
    whole = {(pair["dataset_a"], pair["dataset_b"]): pair for pair in pairs if pair["published_a"] == ALL}
    names = sorted({name for pair in whole for name in pair})
    lines = ["recordings that stand in both; on the diagonal those of the dataset; ?: it names none", ""]
    lines += _matrix(names, {pair: _count(found["recordings"]) for pair, found in whole.items()})
    splits = [pair for pair in pairs if pair["published_a"] != ALL and pair["recordings"] and _sides(pair) == 2]
    splits.sort(key=lambda pair: (-pair["recordings"], _name(pair, "a"), _name(pair, "b")))
    if splits:
        lines += ["", "splits that share recordings; segments: pairs of members that overlap in time; +: that may"]
        told = [
            (_name(pair, "a"), _name(pair, "b"), *(_count(pair[key]) for key in ("recordings", "segments", "untimed")))
            for pair in splits[:_PAIRS]
        ]
        lines += _columns([("", "", "recordings", "segments", "+"), *told], 2)
    if len(splits) > _PAIRS:
        lines.append(f"and {len(splits) - _PAIRS} pairs of splits that share fewer: see {out}/overlap.parquet")
    return "\n".join(lines)


def blacklist_table(out: str) -> str:
    """Return what each blacklist of WavCaps misses of each dataset that it names at least one recording of; empty if none is there."""
    found = read_table(out, "blacklists").to_pylist()
    told = [
        (row["blacklist"], row["dataset"], *(_count(row[key]) for key in ("recordings", "listed", "missed")))
        for row in found
        if row["published"] == ALL and row["listed"]
    ]
    if not told:
        return ""
    return "\n".join(_columns([("blacklist", "dataset", "recordings", "listed", "missed"), *told], 2))


def statistics_table(out: str) -> str:
    """Return the statistics of each corpus, a line for each published split and for each dataset."""
    found = read_table(out, "statistics").to_pylist()
    several = len({row["run"] for row in found}) > 1
    head = ("corpus", "members", "recordings", "audio", "hours", "captions", "words", "distinct", "where", "around")
    lines = [(*head, "classes", "no licence")]
    for row in found:
        name = row["dataset"] if row["published"] == ALL else f"  {row['published']}"
        lines.append(
            (
                f"{row['run']}: {name}" if several and row["published"] == ALL else name,
                _count(row["members"]),
                _named(row),
                f"{row['present']:.0%}",
                _hours(row),
                _count(row["captions"]),
                "·" if row["caption_words"] is None else f"{row['caption_words']:.1f}",
                _count(row["vocabulary"]),
                _count(row["located"]),
                _count(row["environment"]),
                _count(row["classes"]),
                f"{row['unlicensed']:.0%}",
            )
        )
    notes = (
        "recordings: >: of the members that name one; ?: none does. hours: >: of those whose length is known; ·: of none it is",
        "words: mean of a caption; distinct: words; where, around: captions that tell it, by a heuristic",
    )
    return "\n".join([*_columns(lines, 1), "", *notes])


def _named(row: dict[str, Any]) -> str:
    if row["unnamed"] == 1:
        return "?"
    return f"{'>' if row['unnamed'] else ''}{row['recordings']:,}"


def _hours(row: dict[str, Any]) -> str:
    if row["hours"] is None:
        return "·"
    return f"{'' if row['timed'] == 1 else '>'}{row['hours']:,.1f}"


def _sides(pair: dict[str, Any]) -> int:
    return len({_name(pair, "a"), _name(pair, "b")})


def _name(pair: dict[str, Any], side: str) -> str:
    return f"{pair[f'dataset_{side}']}/{pair[f'published_{side}']}"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _matrix(names: list[str], cells: dict[tuple[str, str], str]) -> Iterator[str]:
    """Yield the lines of a symmetric matrix; columns have the numbers of the rows, and go on below where they are many."""
    width = max((len(cell) for cell in cells.values()), default=1) + 2
    labels = [f"{number:>3} {name}" for number, name in enumerate(names, 1)]
    label = max(map(len, labels), default=0)
    fit = max(1, (WIDTH - label) // width)
    for first in range(0, len(names), fit):
        shown = range(first, min(first + fit, len(names)))
        if first:
            yield ""
        yield " " * label + "".join(f"{number + 1:>{width}}" for number in shown)
        for row, name in enumerate(names):
            line = (cells[(names[n], name) if n < row else (name, names[n])] for n in shown)
            yield f"{labels[row]:<{label}}" + "".join(f"{cell:>{width}}" for cell in line)


def _columns(lines: Sequence[tuple[str, ...]], left: int) -> list[str]:
    """Return lines of cells in columns, the first ``left`` of them flush left; names that are too long are cut."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    names = sum(widths[:left])
    room = WIDTH - sum(width + 2 for width in widths[left:]) - 2 * (left - 1)
    if names > room:
        widths[:left] = [max(8, room // left)] * left
    return [
        "  ".join(
            f"{_cut(cell, width):<{width}}" if number < left else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
