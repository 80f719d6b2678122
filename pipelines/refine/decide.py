"""The stage that picks the best candidate of each clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.refine.score import SCORER

_TOLD = ("stratum", "probability", "decision", "reasons")
_OF_CANDIDATE = ("candidate_id", "method", "style", "language")


@dataclass(frozen=True)
class Decide(Stage):
    """Stage ``decide``: one row of ``captions`` for every clip, also for those without a candidate.

    The best candidate's verdict is the clip's. All others keep theirs in ``verdicts``.
    """

    name = "decide"
    reads = ("clips", "candidates", "verdicts", "scores", "groups")
    writes = "captions"
    batch_rows = 1024

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        candidates, scores = batch.grouped("candidates", "clip_id"), batch.grouped("scores", "candidate_id")
        verdicts, groups = batch.grouped("verdicts", "candidate_id"), batch.grouped("groups", "clip_id")
        result = Result()
        for clip in batch.rows.select(["clip_id", "dataset", "licence"]).to_pylist():
            judged = [
                candidate | {key: verdict[key] for key in _TOLD} | _agreement(scores[candidate["candidate_id"]])
                for candidate in candidates[clip["clip_id"]]
                for verdict in verdicts[candidate["candidate_id"]]
            ]
            (group,) = groups[clip["clip_id"]]
            result.rows.append(clip | {key: group[key] for key in ("split", "withheld")} | decide(judged))
        return result


def decide(judged: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the best of a clip's candidates, given with their verdicts and agreement, with its decision and reasons.

    What is accepted is best, then what is abstained from. Among these the highest probability is best, an unknown one last,
    by hundredths: finer differences are below the error of any calibration here. Among equals it is the highest agreement, an
    unknown one last, then a published caption, then the one with more supported claims, then the longer.
    """
    if not judged:
        unknown = dict.fromkeys(("caption", "score", "stratum", "probability", *_OF_CANDIDATE))
        return unknown | {"decision": "abstained", "reasons": ["no candidate"]}
    best = min(judged, key=_rank)
    return {"caption": best["text"], "score": best["score"]} | {key: best[key] for key in (*_OF_CANDIDATE, *_TOLD)}


def _agreement(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the agreement of a candidate; one that could not be scored has none."""
    found = [row for row in rows if row["scorer"] == SCORER]
    return (
        {"score": found[0]["score"], "supported": found[0]["supported"]} if found else {"score": None, "supported": 0}
    )


def _rank(judged: dict[str, Any]) -> tuple[Any, ...]:
    probability, agreement = judged["probability"], judged["score"]
    return (
        ("accepted", "abstained", "refused").index(judged["decision"]),
        probability is None,
        -round(probability or 0.0, 2),
        agreement is None,
        -(agreement or 0.0),
        judged["method"] != "published",
        -judged["supported"],
        -len(judged["text"]),
        judged["candidate_id"],
    )
