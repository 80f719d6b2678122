"""The vocabulary: each name of each dataset once, with its clips counted once, whatever else evidence says."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.unify.datasets import Datasets
from pipelines.unify.vocabulary import Vocabulary
from schemas import tables

CONTEXT = Context(Workspace("unused"), ".", 0, 1)
DATASETS = Datasets((("ears", "folder"), ("mute", "folder"), ("fsd", "fsd50k")))


def told(clip_id: str, *items: tuple[str, str, str | None], listener: str = "publisher") -> list[dict[str, Any]]:
    """Return rows of evidence from kind, name and id."""
    return [
        evidence_row(clip_id, listener, "1", n, kind=kind, name=name, class_id=class_id)
        for n, (kind, name, class_id) in enumerate(items)
    ]


def vocabulary(clips: dict[str, str], evidence: list[dict[str, Any]]) -> Result:
    listed = DATASETS.process(Batch(DATASETS.schema().empty_table(), {}), CONTEXT).rows
    sides = {
        "clips": pa.table({"clip_id": list(clips), "dataset": list(clips.values())}),
        "evidence": tables.from_rows("evidence", evidence),
    }
    rows = tables.from_rows("datasets", listed)
    result = Vocabulary().process(Batch(rows, sides), CONTEXT)
    conserve(Vocabulary(), rows.column("dataset").to_pylist(), result)
    tables.from_rows("vocabulary", result.rows)
    return result


CLIPS = {"a-1": "ears", "a-2": "ears", "b-1": "fsd", "c-1": "mute"}


def test_a_name_stands_once_per_dataset_and_counts_a_clip_once():
    evidence = told("a-1", ("tag", "dog", None), ("event", "dog", None), ("event", "dog", None), ("tag", "rain", None))
    evidence += told("a-2", ("tag", "dog", None)) + told("b-1", ("tag", "dog", "/m/0bt9lr"))
    rows = vocabulary(CLIPS, evidence).rows
    assert [(row["name_id"], row["clips"], row["adapter"]) for row in rows] == [
        ("ears:dog", 2, "folder"), ("ears:rain", 1, "folder"), ("fsd:dog", 1, "fsd50k")]  # fmt: skip


def test_keywords_captions_and_what_listeners_say_are_no_names_of_a_dataset():
    evidence = told("c-1", ("keyword", "dog", None), ("caption", "caption", None), ("fact", "rms", None))
    result = vocabulary(CLIPS, evidence)
    assert (result.rows, dict(result.drops)["mute"]) == ([], "labels_nothing")


def test_of_several_published_ids_that_of_the_most_clips_is_kept_and_of_as_many_the_first():
    evidence = told("a-1", ("tag", "x", "/m/2"), ("tag", "y", "/m/9")) + told(
        "a-2", ("tag", "x", "/m/1"), ("tag", "y", None)
    )
    evidence += told("a-1", ("event", "x", "/m/1"))
    assert [(row["name"], row["published_id"]) for row in vocabulary(CLIPS, evidence).rows] == [
        ("x", "/m/1"),
        ("y", "/m/9"),
    ]


def test_only_the_publishers_evidence_is_read():
    assert Vocabulary().reads_from() == {"evidence": ("publisher",)}
