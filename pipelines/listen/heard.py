"""The stage that sets what listeners name beside what the publisher labels: the ground of calibration and agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.listen.publisher import LISTENER as PUBLISHER
from pipelines.unify.names import NameIndex, default_index
from pipelines.unify.stage import Unify, classes_of
from schemas.ids import seed_for
from schemas.ontology import Ontology, default_ontology

FOLDS = 5
SPLITS = ("train", "val")
"""Splits of groups that calibrate: a test set that had a part in it would test nothing any more."""


@dataclass(frozen=True)
class Heard(Stage):
    """Stage ``heard``: evidence -> a row per clip, listener and class that the listener names there.

    The publisher's labels are taken anew from the evidence, with what ``names`` says that they mean: ``classes`` keeps of each
    class the most confident origin alone, so that a label would be lost just where a listener is sure of it.
    """

    name = "heard"
    version = 2
    reads = ("clips", "evidence", "groups", "names")
    writes = "heard"
    whole = ("names",)
    batch_rows = 512

    def revisions(self) -> dict[str, str]:
        """The curated tables, as in ``unify``."""
        return Unify().revisions()

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        evidence, groups = batch.grouped("evidence", "clip_id"), batch.grouped("groups", "clip_id")
        ontology, index, result = default_ontology(), default_index(), Result()
        names = batch.grouped("names", "name_id")
        for clip in batch.rows.select(["clip_id", "dataset"]).to_pylist():
            said, (group,) = evidence[clip["clip_id"]], groups[clip["clip_id"]]
            fold = fold_of(group["group_id"]) if group["split"] in SPLITS else None
            labels = labels_of(clip["clip_id"], clip["dataset"], said, index, ontology, names)
            for listener, class_id, confidence, labelled in [*stated(labels), *named(said, labels, ontology)]:
                result.rows.append(
                    {
                        "clip_id": clip["clip_id"],
                        "listener": listener,
                        "class_id": class_id,
                        "confidence": confidence,
                        "labelled": labelled,
                        "fold": fold,
                    }
                )
        return result


@dataclass(frozen=True)
class Labels:
    """What the publisher says of a clip.

    Attributes:
        class_ids: classes of its labels, sorted.
        complete: whether it is labelled, and each label has its class.
        implied: bits of these classes and of all above them, since what is a bark is a dog.
        open: bits of all below them: what is labelled a dog may bark or not.
    """

    class_ids: tuple[str, ...]
    complete: bool
    implied: int
    open: int

    def has(self, place: int) -> bool | None:
        """Say whether the labels have the class at a place of the ontology; None: they do not tell."""
        if self.implied >> place & 1:
            return True
        return None if self.open >> place & 1 or not self.complete else False


Named = tuple[str, str | None, float | None, bool | None]
"""Listener, class, confidence, and whether the publisher labels it."""


def fold_of(group_id: str) -> int:
    """Return the fold of a group, in ``[0, FOLDS)``: the same in every run."""
    return seed_for(0, "fold", group_id) % FOLDS


def labels_of(
    clip_id: str,
    dataset: str,
    said: Iterable[dict[str, Any]],
    index: NameIndex,
    ontology: Ontology,
    names: Mapping[str, Sequence[dict[str, Any]]],
) -> Labels:
    """Return what the publisher's labels and events, among all evidence of a clip, say of it; ``names`` by ``name_id``."""
    labels = [item for item in said if item["listener"] == PUBLISHER and item["kind"] in ("tag", "event")]
    known = classes_of(clip_id, dataset, labels, index, names)
    class_ids = tuple(sorted({row["class_id"] for row in known if row["class_id"] is not None}))
    above = reduce(or_, map(ontology.ancestors, class_ids), 0)
    below = reduce(or_, map(ontology.descendants, class_ids), 0)
    complete = {row["state"] for row in known} == {"labelled"}
    return Labels(class_ids, complete, ontology.bits(class_ids) | above, below)


def stated(labels: Labels) -> list[Named]:
    """Return what the publisher names; a row without a class says that this is not all that it may have labelled."""
    rows: list[Named] = [(PUBLISHER, class_id, None, True) for class_id in labels.class_ids]
    return rows if labels.complete else [*rows, (PUBLISHER, None, None, None)]


def named(said: Iterable[dict[str, Any]], labels: Labels, ontology: Ontology) -> list[Named]:
    """Return what all other listeners name, each class once with its highest confidence, sorted."""
    best: dict[tuple[str, str], float | None] = {}
    for item in said:
        if item["kind"] not in ("tag", "event") or item["listener"] == PUBLISHER or item["class_id"] not in ontology:
            continue
        key, confidence = (item["listener"], item["class_id"]), item["confidence"]
        known = best.get(key)
        best[key] = known if confidence is None else confidence if known is None else max(known, confidence)
    return [
        (listener, class_id, confidence, labels.has(ontology.index(class_id)))
        for (listener, class_id), confidence in sorted(best.items())
    ]
