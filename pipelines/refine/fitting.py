"""From the scores of a caption to the probability that it is right: logistic regression, then isotonic calibration."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from pipelines.refine.texts import SCORER as TEXTS
from schemas.ids import canonical_json

Floats = NDArray[np.float64]

RIDGE = 1.0
"""Penalty on squared weights of standardised scores, in captions: enough where true and wrong ones part without a rest."""

STEPS = 50
DIGITS = 6
"""Decimals that a model is kept with, so that sums in another order do not make it another one."""


@dataclass(frozen=True)
class Scores:
    """Scores of captions: ``values``, shape (captions, scorers), NaN where one is not known; ``names``, of the scorers."""

    names: tuple[str, ...]
    values: Floats

    def of(self, names: tuple[str, ...]) -> Floats:
        """Return the columns of these scorers, shape (captions, len(names)), NaN where there is none of the name."""
        missing = np.full(len(self.values), np.nan)
        columns = [self.values[:, self.names.index(name)] if name in self.names else missing for name in names]
        return np.stack(columns, axis=1) if names else np.zeros((len(self.values), 0))


def scores_of(captions: pa.ChunkedArray, scores: pa.Table) -> Scores:
    """Return what scorers say of captions, those of the text alone left out, which know nothing of the sound.

    A scorer that counts claims speaks twice: by its score, the supported among those that can be checked, and as
    ``<scorer>:supported``, by their share among all claims; neither is known of a caption without claims.

    Args:
        captions: their ids, each once.
        scores: rows of ``scores`` or ``probe_scores``; those of other captions are passed over.
    """
    place = pc.index_in(scores.column("candidate_id"), value_set=captions.combine_chunks())
    named = [name for name in sorted(pc.unique(scores.column("scorer")).to_pylist()) if name != TEXTS]
    names: list[str] = []
    columns: list[Floats] = []
    for name in named:
        own = pc.fill_null(pc.and_(pc.equal(scores.column("scorer"), name), pc.is_valid(place)), False)
        rows, at = scores.filter(own), place.filter(own).to_numpy()
        claims, supported = (rows.column(key).to_numpy().astype(np.float64) for key in ("claims", "supported"))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(claims > 0, supported / claims, np.nan)
        for suffix, found in (("", rows.column("score").to_numpy().astype(np.float64)), (":supported", share)):
            column = np.full(len(captions), np.nan)
            column[at] = found
            if not suffix or not np.isnan(found).all():
                names.append(f"{name}{suffix}")
                columns.append(column)
    return Scores(tuple(names), np.stack(columns, axis=1) if columns else np.zeros((len(captions), 0)))


@dataclass(frozen=True)
class Model:
    """What the probability is computed by; all lists of one number per scorer.

    A score that is known adds ``weights`` times its distance from ``means`` in units of ``scales`` to ``bias``; one that is
    not adds ``missing``: not known is a state of its own, and where no caption showed it (None), nothing is known of it.
    ``x`` and ``y`` are the knots that turn this sum into a probability.
    """

    scorers: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    missing: tuple[float | None, ...]
    bias: float
    x: tuple[float, ...]
    y: tuple[float, ...]

    def probabilities(self, scores: Scores) -> Floats:
        """Return the probability that each caption is right, shape (captions,); NaN where a score lacks as none did before."""
        return np.interp(self.sums(scores), self.x, self.y)

    def sums(self, scores: Scores) -> Floats:
        """Return the weighted sums, shape (captions,)."""
        values = scores.of(self.scorers)
        none = np.array([np.nan if each is None else each for each in self.missing], np.float64)
        known = (values - np.array(self.means)) / np.array(self.scales) * np.array(self.weights)
        return np.asarray(self.bias + np.where(np.isnan(values), none, known).sum(axis=1), np.float64)

    def json(self) -> str:
        """Return the model as canonical JSON."""
        return canonical_json(self.__dict__)

    @classmethod
    def read(cls, text: str) -> Model:
        """Return the model that :meth:`json` wrote."""
        parts = {key: tuple(each) if isinstance(each, list) else each for key, each in json.loads(text).items()}
        return cls(**dict[str, Any](parts))


def fit(scores: Scores, right: NDArray[np.bool_], weights: Floats) -> Model:
    """Return the model that captions of known truth give.

    Args:
        scores: of n captions.
        right: shape (n,), with some of either kind.
        weights: shape (n,), sum n.
    """
    known = ~np.isnan(scores.values)
    use = [n for n in range(len(scores.names)) if known[:, n].any()]
    values, known = scores.values[:, use], known[:, use]
    counts = known.sum(axis=0)
    means = np.round(np.where(known, values, 0.0).sum(axis=0) / counts, DIGITS)
    spread = np.sqrt((np.where(known, values - means, 0.0) ** 2).sum(axis=0) / counts)
    scales = np.round(np.where(spread > 1e-6, spread, 1.0), DIGITS)
    standard = np.where(known, (values - means) / scales, 0.0)
    lacking = [n for n in range(len(use)) if not known[:, n].all()]
    design = np.concatenate([np.ones((len(right), 1)), standard, ~known[:, lacking]], axis=1)
    found = np.round(logistic(design, right, weights), DIGITS).tolist()
    absent = dict(zip(lacking, found[1 + len(use) :], strict=True))
    names = tuple(scores.names[n] for n in use)
    missing = tuple(absent.get(n) for n in range(len(use)))
    weighing = tuple(found[1 : 1 + len(use)])
    model = Model(names, tuple(means.tolist()), tuple(scales.tolist()), weighing, missing, found[0], (), ())
    x, y = curve(model.sums(scores), right, weights)
    return replace(model, x=tuple(x.round(DIGITS).tolist()), y=tuple(y.round(DIGITS).tolist()))


def logistic(design: Floats, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the weights of a logistic regression with penalty :data:`RIDGE`, by Newton's method, shape (columns,).

    Args:
        design: shape (n, columns), the first column 1 and free of the penalty.
        right: shape (n,).
        weights: shape (n,).
    """
    penalty = np.diag([1e-9, *[RIDGE] * (design.shape[1] - 1)])
    found = np.zeros(design.shape[1])
    for _ in range(STEPS):
        said = 1.0 / (1.0 + np.exp(-np.clip(design @ found, -30.0, 30.0)))
        slope = design.T @ (weights * (right - said)) - penalty @ found
        step = np.linalg.solve((design.T * (weights * said * (1.0 - said))) @ design + penalty, slope)
        found = found + step * min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-9:
            break
    return found


def curve(sums: Floats, right: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Return the knots of a calibration that rises strictly over all sums seen, each of shape (k,).

    Centred isotonic regression (Oron and Flournoy, 2017): the blocks of the isotonic one stand at their centres, and between
    them it is linear, so that captions of one block are still ranked. As in ``listen.isotonic``, one caption more at either
    end says the opposite; at the outermost sums themselves one more says the same.
    """
    levels, place = np.unique(np.round(sums, DIGITS), return_inverse=True)
    total = np.bincount(place, weights, len(levels))
    yes = np.bincount(place, weights * right, len(levels))
    yes[0] += 1.0
    total[0] += 1.0
    total[-1] += 1.0
    found = isotonic_regression(yes / total, weights=total)
    blocks = list(zip(found.blocks[:-1], found.blocks[1:], strict=True))
    x = [float(np.average(levels[a:b], weights=total[a:b])) for a, b in blocks]
    y = [float(found.x[a]) for a, _ in blocks]
    first, last = (float(total[a:b].sum()) for a, b in (blocks[0], blocks[-1]))
    if levels[0] < x[0]:
        x, y = [float(levels[0]), *x], [y[0] * first / (first + 1.0), *y]
    if levels[-1] > x[-1]:
        x, y = [*x, float(levels[-1])], [*y, (y[-1] * last + 1.0) / (last + 1.0)]
    return np.array(x), np.array(y)


def calibration_error(said: Floats, right: NDArray[np.bool_], weights: Floats) -> float:
    """Return the expected calibration error in [0, 1] over ten equal parts of [0, 1], captions counted by weight."""
    place = np.minimum((said * 10).astype(np.int64), 9)
    gap = np.bincount(place, weights * (said - right), 10)
    return float(np.abs(gap).sum() / weights.sum())
