"""The stage that maps names, MIDs and words of every dataset onto the ontology, and says how much is known of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.unify.names import NameIndex, default_index
from schemas.ids import fingerprint
from schemas.ontology import configs_dir, default_ontology

KEYWORD, CAPTION = 0.5, 0.6
"""Declared priors, not measured ones: an uploader's keyword or a caption may speak of what is not in the clip."""


@dataclass(frozen=True)
class Unify(Stage):
    """Stage ``unify``: evidence -> classes.

    The state of a clip says what may be concluded from its classes. ``labelled``: the publisher labelled it and every label
    has a class. ``partial``: one label has none, so that the clip may hold a class that we cannot see. ``inferred``: nobody
    labelled it; its classes come from keywords, captions or listeners. ``unknown``: nothing maps, one row without a class.
    A class that several say stands once, with the most confident origin.
    """

    name = "unify"
    reads = ("clips", "evidence")
    writes = "classes"
    batch_rows = 512

    def revisions(self) -> dict[str, str]:
        """The curated tables, as one hash."""
        tables = {
            path.name: path.read_text(encoding="utf-8") for path in sorted((configs_dir() / "labels").glob("*.csv"))
        }
        return {"labels": fingerprint(tables)}

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        evidence = batch.grouped("evidence", "clip_id")
        result = Result()
        for clip in batch.rows.to_pylist():
            result.rows += classes_of(clip["clip_id"], clip["dataset"], evidence[clip["clip_id"]], default_index())
        return result


def classes_of(clip_id: str, dataset: str, evidence: list[dict[str, Any]], index: NameIndex) -> list[dict[str, Any]]:
    """Return the rows of ``classes`` for one clip, given all its evidence in order."""
    ontology = default_ontology()
    best: dict[str, tuple[float, str]] = {}
    unmapped: list[str] = []
    labelled = False

    def note(class_id: str, confidence: float, origin: str) -> None:
        if class_id not in best or best[class_id][0] < confidence:
            best[class_id] = (confidence, origin)

    for item in evidence:
        kind, published = item["kind"], item["listener"] == "publisher"
        if kind in ("tag", "event") and published:
            labelled = True
            match = index.lookup(item["class_id"] or item["name"], dataset) or index.lookup(item["name"], dataset)
            if match is None:
                unmapped.append(item["name"])
            else:
                for class_id in (match.class_id, *match.also):
                    note(class_id, match.confidence, f"{'label' if kind == 'tag' else 'event'}:{match.origin}")
        elif kind in ("tag", "event") and item["class_id"] in ontology:
            note(item["class_id"], item["confidence"] or 0.0, item["listener"])
        elif kind == "keyword":
            for mention in index.tags_in_text(item["name"].replace("_", " ").replace("-", " ")):
                note(mention.class_id, KEYWORD, "keyword:alias")
        elif kind == "caption" and item["text"]:
            for mention in index.tags_in_text(item["text"]):
                note(mention.class_id, CAPTION, "caption:alias")
    state = "partial" if unmapped else "labelled" if labelled else "inferred" if best else "unknown"
    rows = [
        {
            "clip_id": clip_id,
            "class_id": c,
            "class_name": ontology[c].name,
            "origin": origin,
            "confidence": confidence,
            "state": state,
        }
        for c, (confidence, origin) in sorted(best.items())
    ]
    rows += [
        {"clip_id": clip_id, "class_id": None, "class_name": name, "origin": "none", "confidence": None, "state": state}
        for name in sorted(set(unmapped))
    ]
    return rows or [
        {"clip_id": clip_id, "class_id": None, "class_name": None, "origin": "none", "confidence": None, "state": state}
    ]
