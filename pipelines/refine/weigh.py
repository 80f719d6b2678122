"""The stage that tells how probably each candidate is right, and whether that is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.refine.fitting import Model, scores_of
from pipelines.refine.judged import stage_name, written_by
from pipelines.refine.score import SCORER as AGREEMENT
from pipelines.refine.strata import ALL, strata_of
from pipelines.refine.texts import SCORER as TEXTS


@dataclass(frozen=True)
class Weigh(Stage):
    """Stage ``weigh``, from the second round on ``weigh_<round>``: candidates, their scores and all gates -> verdicts.

    A candidate is judged by the smallest of its strata that has a line: accepted where its probability reaches it, else refused.
    Where none has, it is abstained from, unless that is for want of probes in the whole run: then, and where no rate of
    false accepts is wanted, it is judged by agreement, which promises no rate. What fails a check of its text is refused
    whatever its probability.

    Args:
        min_agreement: least agreement of a caption that is accepted without a line, in [0, 1].
        false_accepts: the rate that the lines hold; None: none is wanted.
        round: the round that the candidates were written in.
        writers: the stages that wrote them; empty: all.
        scorers: the stages that scored them; empty: all.
    """

    min_agreement: float
    false_accepts: float | None
    round: int = 1
    writers: tuple[str, ...] = ()
    scorers: tuple[str, ...] = ()

    reads = ("candidates", "scores", "clips", "gates")
    writes = "verdicts"
    whole = ("gates",)
    key = out_key = "candidate_id"
    batch_rows = 1024

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return stage_name("weigh", "candidates", self.round)

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """The candidates of this round, and what is said of them."""
        return written_by("candidates", self.writers) | ({"scores": self.scorers} if self.scorers else {})

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``candidates``."""
        clips, said = batch.grouped("clips", "clip_id"), batch.grouped("scores", "candidate_id")
        gates = {row["stratum"]: row for row in batch.sides["gates"].to_pylist()}
        candidates = batch.rows.select(["candidate_id", "clip_id", "text"]).to_pylist()
        told = _Probabilities(batch, gates)
        result = Result()
        for place, candidate in enumerate(candidates):
            (clip,) = clips[candidate["clip_id"]]
            strata = strata_of(clip["dataset"], clip["duration_s"], len(candidate["text"].split()))
            rows = {row["scorer"]: row for row in said[candidate["candidate_id"]]}
            verdict = self._verdict([gates[each] for each in strata if each in gates], told, place, rows.get(AGREEMENT))
            failed = rows[TEXTS]["unsupported"] if TEXTS in rows else []
            if failed:
                verdict["decision"] = "refused"
                verdict["reasons"] = [*(f"text, {words}" for words in failed), *verdict["reasons"]]
            result.rows.append({key: candidate[key] for key in ("candidate_id", "clip_id")} | verdict)
        return result

    def _verdict(
        self, gates: list[dict[str, Any]], told: _Probabilities, place: int, agreement: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the verdict on one candidate by the gates of its strata, the smallest first."""
        checked = _checked(agreement)
        for gate in (each for each in gates if each["line"] is not None):
            probability = told.of(gate["stratum"], place)
            if probability is None:
                continue
            accepted = probability >= gate["line"]
            words = f"probability {probability:.3f} {'reaches' if accepted else 'is below'} {gate['line']:.3f}, the line for "
            words += f"{self._wanted} in {gate['stratum']}"
            return _row(gate["stratum"], probability, "accepted" if accepted else "refused", [words, *checked])
        calibrated = [each for each in gates if each["model"]]
        stratum, probability = None, None
        for gate in calibrated:
            stratum, probability = gate["stratum"], told.of(gate["stratum"], place)
            if probability is not None:
                break
        if self.false_accepts is not None and calibrated:
            lines = any(each["line"] is not None for each in gates)
            why = "its scores lack what no probe's lack" if lines else f"no line holds {self._wanted} in {ALL}"
            return _row(stratum, probability, "abstained", [why, *checked])
        decision, reasons = self._by_agreement(agreement)
        few = [f"too few captions of known truth to hold {self._wanted}"] if self.false_accepts is not None else []
        return _row(stratum, probability, decision, [*reasons, *few])

    @property
    def _wanted(self) -> str:
        return f"{100.0 * (self.false_accepts or 0.0):.3g}% false accepts"

    def _by_agreement(self, agreement: dict[str, Any] | None) -> tuple[str, list[str]]:
        value = agreement["score"] if agreement else None
        if value is None:
            return "abstained", ["no claim can be checked"]
        if value >= self.min_agreement:
            return "accepted", _checked(agreement)
        return "refused", [*_checked(agreement), f"agreement {value:.2f} is below {self.min_agreement:g}"]


def _row(stratum: str | None, probability: float | None, decision: str, reasons: list[str]) -> dict[str, Any]:
    known = stratum if probability is not None else None
    return {"stratum": known, "probability": probability, "decision": decision, "reasons": reasons}


def _checked(agreement: dict[str, Any] | None) -> list[str]:
    """Return in words what became of a caption's checkable claims; nothing where there are none."""
    if agreement is None or agreement["score"] is None:
        return []
    supported, unsupported = agreement["supported"], agreement["unsupported"]
    checked = supported + len(unsupported)
    counted = f"{supported} of {checked} {'claim' if checked == 1 else 'claims'} supported"
    return [counted, *(f"unsupported: {claim}" for claim in unsupported)]


class _Probabilities:
    """How probably the captions of a batch are right, by stratum; what no caption is asked for is not computed."""

    def __init__(self, batch: Batch, gates: dict[str, dict[str, Any]]) -> None:
        ids = batch.rows.column("candidate_id")
        self._scores = scores_of(pa.chunked_array([ids.combine_chunks()]), batch.sides["scores"])
        self._models = {stratum: Model.read(row["model"]) for stratum, row in gates.items() if row["model"]}
        self._made: dict[str, list[float]] = {}

    def of(self, stratum: str, place: int) -> float | None:
        """Return the probability of the caption at a place of the batch; None: one of its scores lacks as no probe's did."""
        if stratum not in self._made:
            self._made[stratum] = self._models[stratum].probabilities(self._scores).tolist()
        probability = self._made[stratum][place]
        return None if math.isnan(probability) else probability
