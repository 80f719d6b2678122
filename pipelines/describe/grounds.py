"""What a sentence about a clip may rest on: its evidence, as classes, intervals and facts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pipelines.unify.names import NameIndex

HEARD = 0.4
"""Least confidence with which a finding counts: declared, not calibrated. One that states none counts."""

DERIVED = (
    "active_s", "active_count", "active_share", "silent_s", "silent_share", "silent_start_s", "silent_end_s",
)  # fmt: skip
"""Facts that follow from the spans of the listener ``facts``: seconds, a number, or a share of the clip."""


@dataclass(frozen=True)
class Ground:
    """One piece of evidence that names a class; its times are those of an event, in seconds, else None."""

    evidence_id: str
    kind: str
    class_id: str
    onset_s: float | None
    offset_s: float | None
    caption: str | None
    """The words, where the evidence is a published caption."""

    @property
    def is_label(self) -> bool:
        """Whether the publisher gave the clip this class as a tag or event, so that it chose among classes."""
        return self.kind in ("tag", "event") and self.evidence_id.rsplit(":", 2)[-2] == "publisher"


@dataclass
class Facts:
    """Values of what was measured and is known, and the evidence of each."""

    values: dict[str, float] = field(default_factory=dict)
    evidence_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)


def grounds_of(
    evidence: list[dict[str, Any]], classes: list[dict[str, Any]], dataset: str, index: NameIndex
) -> list[Ground]:
    """Return the evidence of one clip that names one of its ``classes``, in order.

    Args:
        evidence: the clip's rows of ``evidence``.
        classes: the clip's rows of ``classes``, which say what may count as known.
        dataset: whose curated label table applies.
        index: names to classes.

    """
    known = {row["class_id"] for row in classes} - {None}
    out = []
    for item in evidence:
        if (item["confidence"] if item["confidence"] is not None else 1.0) < HEARD:
            continue
        for class_id in dict.fromkeys(_named(item, dataset, index)):
            if class_id in known:
                timed = item["kind"] == "event"
                out.append(
                    Ground(
                        item["evidence_id"],
                        item["kind"],
                        class_id,
                        item["onset_s"] if timed else None,
                        item["offset_s"] if timed else None,
                        item["text"] if item["kind"] == "caption" else None,
                    )
                )
    return out


def _named(item: dict[str, Any], dataset: str, index: NameIndex) -> list[str]:
    """Return the classes that one row of evidence names."""
    if item["kind"] == "caption":
        return [mention.class_id for mention in index.tags_in_text(item["text"] or "")]
    if item["kind"] == "keyword":
        words = item["name"].replace("_", " ").replace("-", " ")
        return [mention.class_id for mention in index.tags_in_text(words)]
    if item["kind"] not in ("tag", "event"):
        return []
    if item["listener"] != "publisher":  # a listener names its classes itself; its other events are spans
        return [item["class_id"]] if item["class_id"] else []
    match = index.lookup(item["class_id"] or item["name"], dataset) or index.lookup(item["name"], dataset)
    return [match.class_id, *match.also] if match else []


def facts_of(evidence: list[dict[str, Any]]) -> Facts:
    """Return the facts of one clip; those of :data:`DERIVED` too, where the listener ``facts`` was heard."""
    facts = Facts()
    spans: dict[str, list[tuple[float, float]]] = {"active": [], "silent": []}
    ids: dict[str, list[str]] = {"active": [], "silent": []}
    kinds = {"active_span": "active", "silence_span": "silent"}
    for item in evidence:
        if item["kind"] == "fact" and item["value"] is not None:
            facts.values.setdefault(item["name"], item["value"])
            facts.evidence_ids.setdefault(item["name"], (item["evidence_id"],))
        elif item["kind"] == "event" and item["listener"] == "facts" and item["name"] in kinds:
            spans[kinds[item["name"]]].append((item["onset_s"], item["offset_s"]))
            ids[kinds[item["name"]]].append(item["evidence_id"])
    duration = facts.values.get("duration_s")
    if not duration:
        return facts
    active, silent = spans["active"], spans["silent"]
    active_s, silent_s = (sum(offset - onset for onset, offset in span) for span in (active, silent))
    values = {
        "active_s": active_s,
        "active_count": float(len(active)),
        "active_share": active_s / duration,
        "silent_s": silent_s,
        "silent_share": silent_s / duration,
        "silent_start_s": sum(offset for onset, offset in silent if onset == 0.0),
        "silent_end_s": sum(offset - onset for onset, offset in silent if duration - offset < 1e-3),
    }
    for name, value in values.items():
        facts.values[name] = value
        facts.evidence_ids[name] = (*ids[name.split("_")[0]], *facts.evidence_ids["duration_s"])
    return facts


def same_words(text: str) -> str:
    """Return a text as its words alone, so that captions that differ in case and punctuation are one."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
