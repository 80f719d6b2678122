"""The stage that gathers the names which datasets label their clips with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.listen.publisher import LISTENER as PUBLISHER

KINDS = ("tag", "event")
"""Kinds of evidence that are labels."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Vocabulary(Stage):
    """Stage ``vocabulary``: the publisher's labels of all clips -> a row per dataset and name.

    A dataset that labels no clip is dropped with the reason ``labels_nothing``.
    """

    name = "vocabulary"
    reads = ("datasets", "clips", "evidence")
    writes = "vocabulary"
    key = out_key = "dataset"
    places = "name_id"
    waits = True

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """Of all evidence only the publisher's, which is little beside that of listeners."""
        return {"evidence": (PUBLISHER,)}

    def process(self, batch: Batch, context: Context) -> Result:
        """Gather the names of all datasets."""
        names = gathered(batch.sides["clips"], batch.sides["evidence"])
        result = Result()
        for dataset in batch.rows.to_pylist():
            own = names.get(dataset["dataset"], [])
            result.rows += [{"adapter": dataset["adapter"]} | row for row in own]
            if not own:
                result.drops.append((dataset["dataset"], "labels_nothing"))
        return result


def name_id(dataset: str, name: str) -> str:
    """Return the key of a name: one name has one meaning in a dataset."""
    return f"{dataset}:{name}"


def gathered(clips: pa.Table, evidence: pa.Table) -> dict[str, list[Row]]:
    """Return the names of each dataset, sorted, as rows of ``vocabulary`` without the adapter.

    Args:
        clips: rows with ``clip_id`` and ``dataset``.
        evidence: the publisher's rows of ``evidence``; those that are no labels are passed over.
    """
    labels = evidence.select(["clip_id", "name", "class_id"]).filter(pc.is_in(evidence["kind"], pa.array(KINDS)))
    of_clip = pc.index_in(labels["clip_id"], clips["clip_id"])
    told = labels.append_column("dataset", clips["dataset"].take(of_clip))
    counted = told.group_by(["dataset", "name"]).aggregate([("clip_id", "count_distinct")]).to_pylist()
    ids: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    published = told.filter(pc.is_valid(told["class_id"])).group_by(["dataset", "name", "class_id"])
    for row in published.aggregate([("clip_id", "count_distinct")]).to_pylist():
        ids[row["dataset"], row["name"]].append((-row["clip_id_count_distinct"], row["class_id"]))
    out: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(counted, key=lambda row: (row["dataset"], row["name"])):
        dataset, name = row["dataset"], row["name"]
        known = min(ids[dataset, name], default=(0, None))[1]
        out[dataset].append(
            {
                "name_id": name_id(dataset, name),
                "dataset": dataset,
                "name": name,
                "published_id": known,
                "clips": row["clip_id_count_distinct"],
            }
        )
    return out
