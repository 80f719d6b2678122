"""A caption of a table, held against its clip's evidence: the one way in which ``score`` and ``ground`` judge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pipelines.core.stage import Batch
from pipelines.describe.grounds import Facts, Ground, Told, facts_of, grounds_of, told_of
from pipelines.refine.agreement import Agreement, agreement
from pipelines.refine.claims import Near
from pipelines.unify.names import default_index


class Evidence:
    """What is known of the clips of a batch, read once per clip.

    Args:
        batch: has the side tables ``classes`` and ``evidence``, and ``clips`` unless its own rows are those.
        eyes: listeners that were asked about pictures.
    """

    def __init__(self, batch: Batch, eyes: Collection[str] = ()) -> None:
        self._evidence, self._classes = (batch.grouped(table, "clip_id") for table in ("evidence", "classes"))
        of_clips = "clips" in batch.sides
        self._clips = (
            batch.grouped("clips", "clip_id") if of_clips else {row["clip_id"]: [row] for row in batch.rows.to_pylist()}
        )
        self._eyes = eyes
        self._known: dict[str, tuple[list[Ground], Facts, Told]] = {}

    def of(self, clip_id: str) -> tuple[list[Ground], Facts, Told]:
        """Return what names classes, what was measured, and what is told of a clip."""
        if clip_id not in self._known:
            heard = self._evidence[clip_id]
            # What pictures show is told apart: it supports no sound.
            audible = [item for item in heard if item["listener"] not in self._eyes]
            (clip,) = self._clips[clip_id]
            index = default_index()
            grounds = grounds_of(audible, self._classes[clip_id], clip["dataset"], index)
            self._known[clip_id] = (grounds, facts_of(audible), told_of(heard, index, self._eyes))
        return self._known[clip_id]


def is_english(caption: dict[str, Any]) -> bool:
    """Say whether the rules can read a caption: its language is English, or not told, as that of a publisher's own."""
    return (caption.get("language") or "en").split("-")[0].lower() == "en"


def judged_by(caption: dict[str, Any], evidence: Evidence, near: Near | None = None) -> Agreement:
    """Return the claims of a row of ``candidates`` or ``probes``, with what the evidence says of each.

    A published caption does not support itself; one in another language than English has no claims that can be read.
    """
    if not is_english(caption):
        return Agreement(())
    grounds, facts, told = evidence.of(caption["clip_id"])
    own = caption["evidence_ids"] if caption["method"] == "published" else ()
    return agreement(caption["text"], grounds, facts, default_index(), own, told, near)
