"""The stage that lists every claim of every candidate, with the evidence for it and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.refine.agreement import Agreement
from pipelines.refine.evidence import Evidence, is_english, judged_by
from pipelines.refine.near import names_nearby
from pipelines.refine.score import REVISION, SCORER
from taggers import sentences


@dataclass(frozen=True)
class Ground(Stage):
    """Stage ``ground``: candidates of all rounds -> claims, judged as ``score`` judges them.

    A candidate without a claim has one row of kind ``none``, which says why there is none.

    Args:
        eyes: listeners that were asked about pictures.
        sentences: whether sounds are also known by sentence embeddings of their names.
    """

    eyes: tuple[str, ...] = ()
    sentences: bool = False

    name = "ground"
    reads = ("candidates", "clips", "classes", "evidence")
    writes = "claims"
    key = "candidate_id"
    out_key = "candidate_id"
    batch_rows = 512

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """An actor where a model is kept."""
        return Resources(actor=self.sentences)

    def revisions(self) -> dict[str, str]:
        """The revision of those who judge, and the model's where there is one."""
        return {SCORER: REVISION} | ({"sentences": sentences.revision()} if self.sentences else {})

    def check(self) -> None:
        """Raise UserError where the model of sentences is not installed."""
        _ = self.revisions()

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``candidates``."""
        near = names_nearby() if self.sentences else None
        evidence, result = Evidence(batch, self.eyes), Result()
        for caption in batch.rows.to_pylist():
            result.rows += claim_rows(caption, judged_by(caption, evidence, near))
        return result


def claim_rows(caption: dict[str, Any], found: Agreement) -> list[dict[str, Any]]:
    """Return the rows of ``claims`` of one candidate, in the order in which its words stand."""
    rows = [
        {
            "kind": each.claim.kind,
            "text": each.claim.text,
            "start": each.claim.start,
            "end": each.claim.end,
            "class_id": each.claim.class_id,
            "verdict": each.verdict,
            "reason": each.reason,
            "evidence_ids": list(each.evidence_ids),
        }
        for each in sorted(found.claims, key=lambda each: (each.claim.start, each.claim.end))
    ]
    if not rows:
        why = (
            "nothing that the rules can read"
            if is_english(caption)
            else f"written in {caption['language']}; the rules read English"
        )
        rows.append(
            {
                "kind": "none",
                "text": caption["text"],
                "start": 0,
                "end": len(caption["text"]),
                "class_id": None,
                "verdict": "unknown",
                "reason": why,
                "evidence_ids": [],
            }
        )
    own = {"candidate_id": caption["candidate_id"], "clip_id": caption["clip_id"]}
    return [{"claim_id": f"{caption['candidate_id']}:{number}"} | own | row for number, row in enumerate(rows)]
