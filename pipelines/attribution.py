"""Whom to credit: ``attribution.csv``, a line per recording that a run holds, with its licence and what was changed.

Licences that ask for credit (CC BY 4.0, section 3(a)) ask for the maker's name, a link, the licence, and that changes are told.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.commit import table_name
from pipelines.core.graph import Node
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from schemas.licences import most_restrictive

NAME = "attribution.csv"
COLUMNS = ("recording_id", "datasets", "licence", "licence_text", "attribution", "link", "used_in", "changes")

USES = (
    ("captions", (("samples", "clip_id"),)),
    # The target's clip is not mixed where it is asked for in vain, but its words are used.
    ("mixtures", (("mixtures", "target_clip_id"), ("plan", "sources"))),
    ("frames", (("frames", "clip_id"),)),
)
"""What is made of clips: its name, and the columns of tables that name the clips. Other clips lie in the store alone."""

_CHANGES = ("cut to an excerpt", "channels made one", "resampled", "level lowered")
"""Done to a clip; a bit of its flags each, and after them one for each of ``USES``."""
_LINKS = (
    ("fs:", r"[0-9]+", "https://freesound.org/s/{}/"),
    ("yt:", r"[A-Za-z0-9_-]{11}", "https://www.youtube.com/watch?v={}"),
    ("bbc:", r"\w+", "https://sound-effects.bbcrewind.co.uk/search?q={}"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FORMULA = frozenset("=+-@'")
_TEXTS = ["dataset", "licence", "licence_text", "attribution"]
_TIMES = ["source_start_s", "duration_s", "coverage", "claimed_s"]
_FORM = ["source_channels", "source_rate", "sample_rate", "gain_db"]
_PADDING_S = 0.1
"""Seconds that a header may claim and no decoder gives: codecs pad."""
_WHOLE = 0.999
"""Coverage of a clip that holds all: resampling rounds its length."""
_SLICE = 65536


def write_attribution(work: Work) -> str:
    """Write ``attribution.csv`` into a finished run; return its path in the run folder. The same run gives the same bytes."""
    workspace = work.context.workspace
    with workspace.create(NAME) as file:
        for lines in attribution(workspace, work.nodes, work.context.partitions):
            file.write(lines)
    return NAME


def attribution(workspace: Workspace, nodes: Sequence[Node], partitions: int) -> Iterator[bytes]:
    """Yield the file in pieces: UTF-8, comma-separated, sorted by recording.

    What several datasets say of one recording stands together, parted by ``; ``; its licence is the most restrictive. A
    leading ``'`` is not the value's own: it keeps spreadsheets from taking a name such as ``=1+1`` for a formula, and stands
    before names that begin with one as well, so that to take one away gives the value back. ``changes`` tells what this run
    did; what a publisher did to the recording before is not known here.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for recording_id, rows in groupby(_rows(_table(workspace, nodes, partitions)), itemgetter(0)):
        lines.writerow(_line(recording_id, list(rows)))
        if text.tell() > _SLICE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def link(recording_id: str) -> str:
    """Return the page of a recording; empty where its identifier does not give one (SoundBible's needs the title too)."""
    for prefix, form, page in _LINKS:
        own = recording_id.removeprefix(prefix)
        if own != recording_id and re.fullmatch(form, own, re.ASCII):
            return page.format(own)
    return ""


def _line(recording_id: str, rows: list[tuple[Any, ...]]) -> tuple[str, ...]:
    _, datasets, licences, texts, makers, rates, flags = zip(*rows, strict=True)
    flag = reduce(or_, flags)
    done = [words for bit, words in enumerate(_CHANGES) if flag >> bit & 1]
    used = [use for bit, (use, _) in enumerate(USES, len(_CHANGES)) if flag >> bit & 1]
    done = [f"resampled to {rates[0]} Hz" if words == "resampled" else words for words in done]
    done += ["mixed with other recordings"] if "mixtures" in used else []
    return (
        _cell(recording_id),
        _together(datasets),
        most_restrictive(licences),
        _together(texts),
        _together(makers),
        link(recording_id),
        "; ".join(used) or "clip store alone",
        "; ".join([*done, "stored as 16-bit FLAC"]),
    )


def _together(values: tuple[str | None, ...]) -> str:
    return _cell("; ".join(sorted({value for value in values if value})))


def _cell(value: str) -> str:
    """Return a text on one line that no spreadsheet takes for a formula, whichever width its first character has."""
    line = " ".join(_CONTROL.sub(" ", value).split())
    return f"'{line}" if unicodedata.normalize("NFKC", line[:1]) in _FORMULA else line


def _rows(clips: pa.Table) -> Iterator[tuple[Any, ...]]:
    for start in range(0, clips.num_rows, _SLICE):
        yield from zip(*(column.to_pylist() for column in clips.slice(start, _SLICE).columns), strict=True)


def _table(workspace: Workspace, nodes: Sequence[Node], partitions: int) -> pa.Table:
    """Return recording, dataset, licence, its text, maker, rate and flags of every clip, sorted by recording.

    All clips are held at once, some 100 bytes each: a recording may lie in several partitions.
    """
    wanted = ["recording_id", *_TEXTS, "sample_rate", "flags"]
    parts = []
    for part in _read(workspace, nodes, partitions, "clips", ["recording_id", "clip_id", *_TEXTS, *_TIMES, *_FORM]):
        parts.append(part.append_column("flags", _changed(part)).select([*wanted, "clip_id"]))
    if not parts:
        return pa.table({})
    clips = pa.concat_tables(parts).unify_dictionaries()
    flags = clips.column("flags").to_numpy()
    for bit, (_, columns) in enumerate(USES, len(_CHANGES)):
        used = pc.is_in(clips.column("clip_id"), value_set=_used(workspace, nodes, partitions, columns))
        flags = flags | (used.to_numpy().astype(np.uint8) << bit)
    clips = clips.drop_columns(["clip_id", "flags"]).append_column("flags", pa.array(flags))
    return clips.take(pc.sort_indices(clips, sort_keys=[("recording_id", "ascending")]))


def _changed(clips: pa.Table) -> pa.Array:
    """Return what was done to each clip, a bit for each of ``_CHANGES``; better one too many than one that is not told."""
    of = {name: clips.column(name).to_numpy() for name in (*_TIMES, *_FORM)}
    more = of["claimed_s"] > of["source_start_s"] + of["duration_s"] + _PADDING_S
    cut = (of["source_start_s"] > 0) | ~(of["coverage"] >= _WHOLE) | more
    changed = (cut, of["source_channels"] > 1, of["source_rate"] != of["sample_rate"], of["gain_db"] < 0)
    return pa.array(np.sum([flag.astype(np.uint8) << bit for bit, flag in enumerate(changed)], axis=0, dtype=np.uint8))


def _used(
    workspace: Workspace, nodes: Sequence[Node], partitions: int, columns: tuple[tuple[str, str], ...]
) -> pa.Array:
    """Return the identifiers of the clips that columns of tables name, by themselves or in their structs."""
    found = [pa.array([], pa.string())]
    for table, name in columns:
        for part in _read(workspace, nodes, partitions, table, [name]):
            column = part.column(name).combine_chunks()
            inner = pc.list_flatten(column) if pa.types.is_list(column.type) else column
            ids = pc.struct_field(inner, "clip_id") if pa.types.is_struct(inner.type) else inner
            found.append(ids.unique())
    return pc.unique(pa.concat_arrays(found))


def _read(
    workspace: Workspace, nodes: Sequence[Node], partitions: int, table: str, columns: list[str]
) -> Iterator[pa.Table]:
    for node in nodes:
        if node.stage.writes == table:
            for partition in range(partitions):
                data = pa.BufferReader(workspace.read(table_name(node.folder, partition)))
                yield pq.read_table(data, columns=columns, read_dictionary=[name for name in columns if name in _TEXTS])
