"""The stage that finds out how well the scores tell right captions from wrong ones, and where to draw the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.listen.heard import FOLDS, fold_of
from pipelines.refine.fitting import Model, Scores, calibration_error, fit, scores_of
from pipelines.refine.probes import KINDS
from pipelines.refine.rates import Rate, kind_weights, line, needed, rate, recordings
from pipelines.refine.strata import strata_of

LEAST = 20
"""Right captions, and wrong ones, that every fit must rest on, those that leave a fold out included."""

TRUE = "true"

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """Captions of known truth: their scores; kind, 0: right, else the place in ``KINDS`` and 1; group and fold; shape (n,)."""

    scores: Scores
    kind: Integers
    group: Integers
    fold: Integers

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each is right, shape (n,)."""
        return self.kind == 0

    def where(self, rows: Any) -> Known:
        """Return some of them."""
        return Known(
            Scores(self.scores.names, self.scores.values[rows]), self.kind[rows], self.group[rows], self.fold[rows]
        )


@dataclass(frozen=True)
class Gate(Stage):
    """Stage ``gate``: strata, and probes with their scores, whole -> a row per stratum that any probe falls into.

    In each stratum that has enough of both, a model is fitted that gives the probability that a caption is right, all right
    captions together weighing as much as all wrong ones. Rates are measured out of fold: each caption is told its probability
    by the fit on the other folds, in which none of its recordings' group is. The line is where the rate of wrong captions
    accepted is at most ``false_accepts`` with its whole 95% interval, see :func:`pipelines.refine.rates.line`; each kind of
    wrong caption counts the same, see :func:`pipelines.refine.rates.kind_weights`.

    ``state`` of a stratum: ``certified``, it has a line; ``calibrated``, it has probabilities, and the scores tell too little for
    a line; ``too_few``, no line could be drawn there whatever the scores tell. A stratum without probes is a drop
    ``no_probes``.

    Args:
        false_accepts: the wanted rate, in (0, 1); None: no line is drawn.
    """

    false_accepts: float | None

    name = "gate"
    reads = ("strata", "probes", "probe_scores", "clips", "groups")
    writes = "gates"
    key = out_key = "stratum"
    waits = True

    def process(self, batch: Batch, context: Context) -> Result:
        """Calibrate all strata of the run."""
        known, of_stratum = known_of(batch.sides)
        result = Result()
        for stratum in batch.rows.sort_by("stratum").to_pylist():
            rows = of_stratum.get(stratum["stratum"])
            if rows is None:
                result.drops.append((stratum["stratum"], "no_probes"))
            else:
                result.rows.append(stratum | calibrated(known.where(rows), self.false_accepts))
        return result


def known_of(sides: dict[str, pa.Table]) -> tuple[Known, dict[str, list[int]]]:
    """Return all probes in order of their ids, and of each stratum with any the places of its own.

    Args:
        sides: tables ``probes``, ``probe_scores``, ``clips`` and ``groups``.
    """
    probes = sides["probes"].select(["candidate_id", "clip_id", "kind", "text"]).sort_by("candidate_id")
    clips, groups = sides["clips"], sides["groups"]
    clip = pc.index_in(probes.column("clip_id"), value_set=clips.column("clip_id").combine_chunks())
    group = pc.index_in(probes.column("clip_id"), value_set=groups.column("clip_id").combine_chunks())
    datasets, durations = (clips.column(name).take(clip).to_pylist() for name in ("dataset", "duration_s"))
    of_stratum: dict[str, list[int]] = {}
    for place, (dataset, seconds, text) in enumerate(
        zip(datasets, durations, probes.column("text").to_pylist(), strict=True)
    ):
        for stratum in strata_of(dataset, seconds, len(text.split())):
            of_stratum.setdefault(stratum, []).append(place)
    names, number = np.unique(np.array(groups.column("group_id").take(group).to_pylist(), object), return_inverse=True)
    folds = np.array([fold_of(name) for name in names], np.int64)
    kind = np.array([(TRUE, *KINDS).index(name) for name in probes.column("kind").to_pylist()], np.int64)
    scores = scores_of(probes.column("candidate_id"), sides["probe_scores"])
    return Known(scores, kind, number.astype(np.int64), folds[number] if len(names) else number), of_stratum


def calibrated(known: Known, false_accepts: float | None) -> dict[str, Any]:
    """Return a row of ``gates`` without its stratum."""
    row = _empty(known)
    if not enough(known, false_accepts):
        return row
    model = fit(known.scores, known.right, weights_of(known))
    said = out_of_fold(known)
    row |= {"state": "calibrated", "scorers": list(model.scorers), "model": model.json()}
    row["ece"] = calibration_error(said, known.right, weights_of(known))
    wrong = ~known.right
    kinds = known.kind[wrong] - 1
    weights, groups = kind_weights(kinds), _numbered(known.group[wrong])
    level = None if false_accepts is None else line(said[wrong], weights, groups, false_accepts)
    if level is None or not (said[known.right] >= level).any():
        return row
    accepted = said[wrong] >= level
    row |= {"state": "certified", "line": level}
    row |= _columns("false_accept", rate(accepted, weights, groups))
    row |= _columns("keep", _evenly(said[known.right] >= level, known.group[known.right]))
    for each in row["kinds"]:
        of_kind = kinds == KINDS.index(each["kind"])
        found = _evenly(accepted[of_kind], known.group[wrong][of_kind])
        each |= {"accepted": found.value, "low": found.low, "high": found.high}
    return row


def enough(known: Known, false_accepts: float | None) -> bool:
    """Say whether each fit rests on ``LEAST`` of both, and there are recordings enough to prove the wanted rate at all."""
    for right in (True, False):
        folds = np.bincount(known.fold[known.right == right], minlength=FOLDS)
        if (folds.sum() - folds).min() < LEAST:
            return False
    wrong = ~known.right
    number = recordings(kind_weights(known.kind[wrong] - 1), _numbered(known.group[wrong]))
    return false_accepts is None or number >= needed(false_accepts)


def weights_of(known: Known) -> Floats:
    """Return the weight of each caption, shape (n,), sum n: half for the right ones, half for the wrong ones, by kind."""
    weights = np.zeros(len(known.kind))
    weights[known.right] = 0.5 / known.right.sum()
    weights[~known.right] = 0.5 * kind_weights(known.kind[~known.right] - 1)
    scaled: Floats = weights * len(weights)
    return scaled


def out_of_fold(known: Known) -> Floats:
    """Return what each caption is told by the fit on the other folds, shape (n,); 0 where it shows what no other fold does."""
    said = np.zeros(len(known.kind))
    for fold in range(FOLDS):
        inside = known.fold == fold
        rest = known.where(~inside)
        if inside.any():
            model = fit(rest.scores, rest.right, weights_of(rest))
            said[inside] = np.nan_to_num(model.probabilities(known.where(inside).scores))
    return said


def read(row: dict[str, Any]) -> Model | None:
    """Return the model of a row of ``gates``; None: it has none."""
    return Model.read(row["model"]) if row["model"] else None


def _empty(known: Known) -> dict[str, Any]:
    counts = np.bincount(known.kind, minlength=len(KINDS) + 1).tolist()
    unknown = {"accepted": None, "low": None, "high": None}
    return {
        "state": "too_few",
        "positives": counts[0],
        "negatives": sum(counts[1:]),
        "recordings": len(np.unique(known.group)),
        "scorers": [],
        "model": None,
        "ece": None,
        "line": None,
        **_columns("false_accept", None),
        **_columns("keep", None),
        "kinds": [
            {"kind": kind, "captions": count, **unknown} for kind, count in zip(KINDS, counts[1:], strict=True) if count
        ],
    }


def _columns(name: str, found: Rate | None) -> dict[str, float | None]:
    values = (found.value, found.low, found.high) if found else (None, None, None)
    return dict(zip((f"{name}_rate", f"{name}_low", f"{name}_high"), values, strict=True))


def _evenly(yes: NDArray[np.bool_], groups: Integers) -> Rate:
    return rate(yes, np.full(len(yes), 1.0 / len(yes)), _numbered(groups))


def _numbered(groups: Integers) -> Integers:
    """Return groups as numbers from 0 without a gap."""
    numbers: Integers = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return numbers
