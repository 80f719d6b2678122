"""The Apache Beam graph of the catalogue: from the tables of many runs to those of the catalogue."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadFromParquet
from apache_beam.pvalue import AsIter, PCollection
from apache_beam.transforms.combiners import ToSet

from pipelines.catalog.tables import CATALOG_TABLES, KEYS, SOURCES
from pipelines.core.commit import parquet_bytes
from pipelines.core.workspace import Workspace

Row = dict[str, Any]
Group = tuple[str, str, str]
"""Run, dataset and split: what a row of ``statistics`` is about."""
Measure = tuple[Group, str]
"""A group, and the name of what is summed in it."""
Rows = PCollection[Row]

_SPLITS = frozenset({"train", "val", "test"})
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the words of a caption in lower case: runs of letters and digits, apostrophes inside them."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower().replace("’", "'"))


def add_catalogue(pipeline: beam.Pipeline, sources: dict[str, dict[str, str]], out: str) -> None:
    """Add the whole graph to a pipeline.

    Args:
        pipeline: the pipeline.
        sources: for each table that is read, the pattern of its files in each run, by the run's name.
        out: folder to which a worker writes ``<table>.parquet``.

    Raises:
        OSError: a pattern without files.
        ValueError: a URL that Beam cannot read.
    """
    rows = {table: _read(pipeline, table, patterns) for table, patterns in sources.items()}
    for table, made in _catalogue(**rows).items():
        # Beam's own sink keeps no order, so it could not give the same bytes twice. The rows of a side input
        # meet in one worker, which can sort them; and unlike a group it is there even when it is empty.
        once = pipeline | f"{table}: once" >> beam.Create([table])
        _ = once | f"{table}: write" >> beam.Map(_write, AsIter(made), out)


def _read(pipeline: beam.Pipeline, table: str, patterns: dict[str, str]) -> Rows:
    of_runs = [
        pipeline
        | f"{table} of {run}" >> ReadFromParquet(pattern, columns=SOURCES[table][1])
        | f"{table} of {run}: run" >> beam.Map(lambda row, name: {**row, "run": name}, run)
        for run, pattern in patterns.items()
    ]
    return of_runs | f"{table} of all runs" >> beam.Flatten()


def _write(table: str, rows: Iterable[Row], out: str) -> None:
    ordered = sorted(rows, key=lambda row: [row[key] for key in KEYS[table]])
    made = pa.Table.from_pylist(ordered, CATALOG_TABLES[table])
    Workspace(out).write(f"{table}.parquet", parquet_bytes(made))


def _catalogue(clips: Rows, captions: Rows, classes: Rows) -> dict[str, Rows]:
    """Return the rows of the catalogue's tables from those of all runs, each of which names its ``run``."""
    accepted = captions | "accepted" >> beam.Filter(lambda row: row["decision"] == "accepted")
    recordings = (
        clips
        | "recording of clip" >> beam.Map(lambda row: (row["recording_id"], row))
        | "clips of recording" >> beam.GroupByKey()
        | "recordings" >> beam.MapTuple(recording_row)
    )
    duplicates = (
        accepted
        | "words of caption" >> beam.Map(_by_words)
        | "clips of words" >> beam.GroupByKey()
        | "duplicates" >> beam.FlatMapTuple(duplicate_rows)
    )
    return {
        "recordings": recordings,
        "duplicates": duplicates,
        "statistics": _statistics(clips, accepted, classes),
        "overlap": _overlap(recordings),
    }


def _by_words(caption: Row) -> tuple[str, tuple[str, str]]:
    return " ".join(words(caption["caption"])), (caption["clip_id"], caption["dataset"])


def recording_row(recording_id: str, clips: Iterable[Row]) -> Row:
    """Return the row of one recording from the rows of its clips in all runs."""
    clips = list(clips)
    # Runs with another `audio.clip_s` may give one name to two lengths; the longer clip holds the shorter.
    seconds: dict[str, float] = {}
    for clip in clips:
        seconds[clip["clip_id"]] = max(clip["duration_s"], seconds.get(clip["clip_id"], 0.0))
    splits = {clip["split"] for clip in clips}
    return {
        "recording_id": recording_id,
        "datasets": sorted({clip["dataset"] for clip in clips}),
        "clip_ids": sorted(seconds),
        "splits": sorted(splits),
        "n_clips": len(seconds),
        "seconds": math.fsum(seconds.values()),
        "leaks": len(splits & _SPLITS) > 1,
    }


def duplicate_rows(text: str, places: Iterable[tuple[str, str]]) -> list[Row]:
    """Return the row of a caption from its (clip, dataset) in all runs; none where one clip alone has it."""
    found = set(places)
    clip_ids = sorted({clip_id for clip_id, _ in found})
    if len(clip_ids) < 2:
        return []
    datasets = sorted({dataset for _, dataset in found})
    return [{"text": text, "clip_ids": clip_ids, "datasets": datasets, "count": len(clip_ids)}]


def _overlap(recordings: Rows) -> Rows:
    every = (
        recordings
        | "datasets of recording" >> beam.FlatMap(lambda row: row["datasets"])
        | "datasets" >> ToSet()
        | "all pairs" >> beam.FlatMap(lambda names: [(pair, 0) for pair in combinations(sorted(names), 2)])
    )
    shared = (
        recordings
        | "pairs" >> beam.FlatMap(lambda row: [(pair, 1) for pair in combinations(row["datasets"], 2)])
        | "shared" >> beam.CombinePerKey(sum)
    )
    return (
        (every, shared)
        | "all pairs and shared" >> beam.Flatten()
        | "shared or none" >> beam.CombinePerKey(sum)
        | "overlap" >> beam.MapTuple(_overlap_row)
    )


def _overlap_row(pair: tuple[str, str], shared: int) -> Row:
    return {"dataset_a": pair[0], "dataset_b": pair[1], "recordings": shared}


def _statistics(clips: Rows, accepted: Rows, classes: Rows) -> Rows:
    """Every statistic is a sum per group and measure: over rows, or over the distinct things they name."""
    located = {
        "groups": clips | "group of clip" >> beam.Map(lambda row: (_clip(row), _group(row))),
        "classes": classes | "class of clip" >> beam.Map(lambda row: (_clip(row), row["class_id"])),
    }
    known = located | "join" >> beam.CoGroupByKey() | "known" >> beam.FlatMapTuple(_classes_of_clip)
    spoken = accepted | "spoken" >> beam.FlatMap(_words_of_caption)
    heard = clips | "heard" >> beam.Map(lambda row: ((_group(row), "recordings"), row["recording_id"]))
    # Each branch is summed before they meet: a runner may hold all that goes into a Flatten.
    sums = (
        clips | "sums of clips" >> beam.FlatMap(_clip_sums) | "clips" >> beam.CombinePerKey(sum),
        accepted | "sums of captions" >> beam.FlatMap(_caption_sums) | "captions" >> beam.CombinePerKey(sum),
        known | "classes" >> _CountDistinct(),
        spoken | "vocabulary" >> _CountDistinct(),
        heard | "distinct recordings" >> _CountDistinct(),
    )
    return (
        sums
        | "sums" >> beam.Flatten()
        | "measure" >> beam.MapTuple(lambda key, total: (key[0], (key[1], total)))
        | "measures of group" >> beam.GroupByKey()
        | "statistics" >> beam.MapTuple(statistics_row)
    )


@beam.ptransform_fn
def _CountDistinct(things: PCollection[tuple[Measure, str]]) -> PCollection[tuple[Measure, int]]:
    """Count the distinct things of each measure."""
    ones = things | beam.Distinct() | "one each" >> beam.MapTuple(lambda measure, _: (measure, 1))
    return ones | "count" >> beam.CombinePerKey(sum)


def _group(row: Row) -> Group:
    return row["run"], row["dataset"], row["split"]


def _clip(row: Row) -> tuple[str, str]:
    return row["run"], row["clip_id"]


def _classes_of_clip(_: tuple[str, str], found: dict[str, Iterable[Any]]) -> list[tuple[Measure, str]]:
    classes = set(found["classes"]) - {None}
    return [((group, "classes"), class_id) for group in found["groups"] for class_id in classes]


def _words_of_caption(caption: Row) -> list[tuple[Measure, str]]:
    group = _group(caption)
    return [((group, "vocabulary"), word) for word in set(words(caption["caption"]))]


def _clip_sums(clip: Row) -> list[tuple[Measure, Fraction | int]]:
    group = _group(clip)
    # A sum of floats depends on their order, which no runner promises; a sum of fractions does not.
    seconds = Fraction(clip["duration_s"])
    unlicensed = int(clip["licence"] is None)
    return [((group, "clips"), 1), ((group, "seconds"), seconds), ((group, "unlicensed"), unlicensed)]


def _caption_sums(caption: Row) -> list[tuple[Measure, int]]:
    group = _group(caption)
    return [((group, "captions"), 1), ((group, "words"), len(words(caption["caption"])))]


def statistics_row(group: Group, measures: Iterable[tuple[str, Any]]) -> Row:
    """Return the row of one group from its sums."""
    total = dict(measures)
    captions = total.get("captions", 0)
    return {
        **dict(zip(KEYS["statistics"], group, strict=True)),
        "clips": total["clips"],
        "recordings": total["recordings"],
        "hours": float(total["seconds"] / 3600),
        "captions": captions,
        "caption_words": total["words"] / captions if captions else None,
        "vocabulary": total.get("vocabulary", 0),
        "classes": total.get("classes", 0),
        "unlicensed": total["unlicensed"] / total["clips"],
    }
