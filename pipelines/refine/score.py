"""The stage that scores every candidate by its agreement with the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.describe.grounds import Facts, Ground, facts_of, grounds_of
from pipelines.refine.agreement import agreement
from pipelines.unify.names import default_index

SCORER, REVISION = "agreement", "agreement-2"


@dataclass(frozen=True)
class Score(Stage):
    """Stage ``score``: candidates -> scores. ``clips`` say in which dataset's names evidence speaks."""

    name = "score"
    reads = ("candidates", "clips", "classes", "evidence")
    writes = "scores"
    key = "candidate_id"
    out_key = "candidate_id"
    batch_rows = 512

    def revisions(self) -> dict[str, str]:
        """The scorer's revision."""
        return {SCORER: REVISION}

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``candidates``."""
        evidence, classes, clips = (batch.grouped(table, "clip_id") for table in ("evidence", "classes", "clips"))
        index = default_index()
        known: dict[str, tuple[list[Ground], Facts]] = {}
        result = Result()
        for candidate in batch.rows.to_pylist():
            clip_id = candidate["clip_id"]
            if clip_id not in known:
                (clip,) = clips[clip_id]
                grounds = grounds_of(evidence[clip_id], classes[clip_id], clip["dataset"], index)
                known[clip_id] = (grounds, facts_of(evidence[clip_id]))
            own = candidate["evidence_ids"] if candidate["method"] == "published" else ()
            found = agreement(candidate["text"], *known[clip_id], index, own)
            result.rows.append(
                {
                    "candidate_id": candidate["candidate_id"],
                    "clip_id": clip_id,
                    "scorer": SCORER,
                    "revision": REVISION,
                    "score": found.score,
                    "claims": len(found.claims),
                    "supported": found.supported,
                    "unsupported": found.unsupported,
                    "evidence_ids": found.evidence_ids,
                }
            )
        return result
