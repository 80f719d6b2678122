"""What a later round of writing is told: the best caption so far, and what nothing supports of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.stage import Batch
from pipelines.describe.given import Given

GOOD_ENOUGH = "good_enough"
"""Why a clip is not written for again."""

ACCEPTED = "accepted"

SCORER = "agreement"
"""The scorer that names what nothing supports."""


def so_far(given: Given, clip_id: str, batch: Batch) -> Given | None:
    """Return what is known of a clip with its best caption so far; None: that one is good enough, as in :func:`settled`.

    The best is the one of the highest probability, the first of equals; one without a probability comes after all that have
    one.

    Args:
        given: what is known of the clip.
        clip_id: the clip.
        batch: with the side tables ``candidates``, ``verdicts`` and ``scores`` of the rounds before.
    """
    verdicts = batch.grouped("verdicts", "clip_id").get(clip_id, [])
    if any(row["decision"] == ACCEPTED or _probability(row) >= 1.0 for row in verdicts):
        return None
    texts = {row["candidate_id"]: row["text"] for row in batch.grouped("candidates", "clip_id").get(clip_id, [])}
    judged = [row for row in verdicts if row["candidate_id"] in texts]
    if not judged:
        return given
    best = max(judged, key=_probability)["candidate_id"]
    scores = batch.grouped("scores", "candidate_id").get(best, [])
    unsupported = [words for row in scores if row["scorer"] == SCORER for words in row["unsupported"]]
    told = given.known.model_copy(update={"best": texts[best], "unsupported": unsupported})
    return replace(given, known=told)


def settled(verdicts: pa.Table) -> set[str]:
    """Return the clips that need no further caption: one is accepted, or has a probability of 1, which none can beat."""
    certain = pc.fill_null(pc.greater_equal(verdicts.column("probability"), 1.0), False)
    done = pc.or_(pc.equal(verdicts.column("decision"), ACCEPTED), certain)
    return set(verdicts.column("clip_id").filter(done).to_pylist())


def _probability(verdict: dict[str, Any]) -> float:
    return -1.0 if verdict["probability"] is None else verdict["probability"]
