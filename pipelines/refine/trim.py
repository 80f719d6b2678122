"""The stage that proposes captions anew without the clauses that nothing supports."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.describe.grounds import same_words
from pipelines.refine.clauses import without_unsupported
from pipelines.refine.evidence import Evidence, judged_by
from pipelines.refine.near import names_nearby
from pipelines.refine.score import REVISION, SCORER
from taggers import sentences


@dataclass(frozen=True)
class Trim(Stage):
    """Stage ``trim``, after the last round: candidates -> shorter candidates, which are then judged like all others.

    A clip that has an accepted caption is a drop ``good_enough``. Of any other, each candidate that claims something
    unsupported is proposed without it, under the same method, style and language; what it cost was paid for the one that it
    came from. Published captions stay as they were published. A clip of which no candidate can be shortened to a sentence is a
    drop ``nothing_to_trim``.

    Args:
        round: the number of the last round, and one.
        eyes: listeners that were asked about pictures.
        sentences: whether sounds are also known by sentence embeddings of their names.
    """

    round: int
    eyes: tuple[str, ...] = ()
    sentences: bool = False

    name = "trim"
    reads = ("clips", "candidates", "verdicts", "classes", "evidence")
    writes = "candidates"
    batch_rows = 512

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """An actor where a model is kept."""
        return Resources(actor=self.sentences)

    def revisions(self) -> dict[str, str]:
        """The revision of those who judge, and the model's where there is one."""
        return {SCORER: REVISION} | ({"sentences": sentences.revision()} if self.sentences else {})

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        near = names_nearby() if self.sentences else None
        evidence, candidates = Evidence(batch, self.eyes), batch.grouped("candidates", "clip_id")
        verdicts, result = batch.grouped("verdicts", "clip_id"), Result()
        for clip_id in batch.rows.column("clip_id").to_pylist():
            if any(row["decision"] == "accepted" for row in verdicts[clip_id]):
                result.drops.append((clip_id, "good_enough"))
                continue
            known = {same_words(row["text"]) for row in candidates[clip_id]}
            rows = []
            for row in (each for each in candidates[clip_id] if each["method"] != "published"):
                shorter = without_unsupported(row["text"], judged_by(row, evidence, near).claims)
                if shorter is not None and same_words(shorter) not in known:
                    known.add(same_words(shorter))
                    free = dict.fromkeys(("tokens_in", "tokens_out", "usd"))
                    own = {"candidate_id": f"{row['candidate_id']}:trimmed", "text": shorter, "round": self.round}
                    rows.append(row | own | free)
            result.rows += rows
            if not rows:
                result.drops.append((clip_id, "nothing_to_trim"))
        return result
