"""The stage that picks the best candidate of each clip and says whether it is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.refine.score import SCORER


@dataclass(frozen=True)
class Decide(Stage):
    """Stage ``decide``: one row of ``captions`` for every clip, also for those without a candidate.

    Args:
        min_agreement: least score of an accepted caption, in [0, 1].

    """

    min_agreement: float

    name = "decide"
    reads = ("clips", "candidates", "scores", "groups")
    writes = "captions"
    batch_rows = 1024

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        candidates, scores = batch.grouped("candidates", "clip_id"), batch.grouped("scores", "candidate_id")
        groups, result = batch.grouped("groups", "clip_id"), Result()
        for clip in batch.rows.to_pylist():
            scored = [(each, _score(scores[each["candidate_id"]])) for each in candidates[clip["clip_id"]]]
            verdict = decide(scored, self.min_agreement)
            (group,) = groups[clip["clip_id"]]
            own = {key: clip[key] for key in ("clip_id", "dataset", "licence")} | {"split": group["split"]}
            result.rows.append(own | {"withheld": group["withheld"]} | verdict)
        return result


def decide(scored: list[tuple[dict[str, Any], dict[str, Any]]], min_agreement: float) -> dict[str, Any]:
    """Return the best of a clip's candidates, given with their scores, and the decision with its reasons.

    The highest score is best, an unknown one last; among equals a published caption, then the one with more
    supported claims, then the longer.
    """
    if not scored:
        return {
            "caption": None,
            "candidate_id": None,
            "method": None,
            "decision": "abstained",
            "score": None,
            "reasons": ["no candidate"],
        }
    candidate, score = min(scored, key=lambda pair: _rank(*pair))
    value, supported, unsupported = score["score"], score["supported"], score["unsupported"]
    if value is None:
        decision, reasons = "abstained", ["no claim can be checked"]
    else:
        decision = "accepted" if value >= min_agreement else "refused"
        checked = supported + len(unsupported)
        reasons = [f"{supported} of {checked} {'claim' if checked == 1 else 'claims'} supported"]
        reasons += [f"unsupported: {claim}" for claim in unsupported]
        if decision == "refused":
            reasons.append(f"agreement {value:.2f} is below {min_agreement:g}")
    return {
        "caption": candidate["text"],
        "candidate_id": candidate["candidate_id"],
        "method": candidate["method"],
        "decision": decision,
        "score": value,
        "reasons": reasons,
    }


def _score(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the agreement of a candidate; one that could not be scored has none."""
    found = [row for row in rows if row["scorer"] == SCORER]
    return found[0] if found else {"score": None, "supported": 0, "unsupported": []}


def _rank(candidate: dict[str, Any], score: dict[str, Any]) -> tuple[Any, ...]:
    value = score["score"]
    return (
        value is None,
        -(value or 0.0),
        candidate["method"] != "published",
        -score["supported"],
        -len(candidate["text"]),
        candidate["candidate_id"],
    )
