"""The stage that scores every candidate by its agreement with the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.refine.agreement import Agreement
from pipelines.refine.evidence import Evidence, judged_by
from pipelines.refine.judged import WRITES, Of, stage_name, written_by
from pipelines.refine.near import names_nearby
from taggers import sentences

SCORER, REVISION = "agreement", "agreement-3"


@dataclass(frozen=True)
class Score(Stage):
    """Stage ``score``: candidates -> scores, or ``score_probes``: probes -> probe_scores.

    ``clips`` say in which dataset's names evidence speaks. A candidate in another language than English has no claims that the
    rules can read, and so no score.

    Args:
        of: whose captions are judged.
        round: of candidates, the round that they were written in; the name of a later round's stage ends in it.
        writers: stages whose candidates are judged; empty: all of them.
        eyes: listeners that were asked about pictures.
        sentences: whether sounds are also known by sentence embeddings of their names.
    """

    of: Of = "candidates"
    round: int = 1
    writers: tuple[str, ...] = ()
    eyes: tuple[str, ...] = ()
    sentences: bool = False

    name = "score"
    key = "candidate_id"
    out_key = "candidate_id"
    batch_rows = 512

    def __post_init__(self) -> None:
        # Others read from the class's name: that of the stage which judges the first round's candidates.
        object.__setattr__(self, "name", stage_name("score", self.of, self.round))

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Captions, and what is known of their clips."""
        return (self.of, "clips", "classes", "evidence")

    @property
    def writes(self) -> str:  # type: ignore[override]
        """The scores of candidates and those of probes are apart."""
        return WRITES[self.of]

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """An actor where a model is kept."""
        return Resources(actor=self.sentences)

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """The stages whose captions are judged."""
        return written_by(self.of, self.writers)

    def revisions(self) -> dict[str, str]:
        """The scorer's revision, and the model's where there is one."""
        return {SCORER: REVISION} | ({"sentences": sentences.revision()} if self.sentences else {})

    def check(self) -> None:
        """Raise UserError where the model of sentences is not installed."""
        _ = self.revisions()

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``candidates`` or ``probes``."""
        near = names_nearby() if self.sentences else None
        judge = partial(judged_by, evidence=Evidence(batch, self.eyes), near=near)
        return Result([_row(caption, judge(caption)) for caption in batch.rows.to_pylist()])


def _row(caption: dict[str, Any], found: Agreement) -> dict[str, Any]:
    return {
        "candidate_id": caption["candidate_id"],
        "clip_id": caption["clip_id"],
        "scorer": SCORER,
        "revision": REVISION,
        "score": found.score,
        "claims": len(found.counted),
        "supported": found.supported,
        "unsupported": found.unsupported,
        "evidence_ids": found.evidence_ids,
    }
