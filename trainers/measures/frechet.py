"""Frechet audio distance of two sets of embeddings, and what it would be if the sets were endless.

Kilgour et al., Interspeech 2019; Gui et al., ICASSP 2024. Lower is better, no unit: squared units of the embedding, so numbers of
different embeddings, and of different N, cannot be compared. The published ones are mostly of VGGish, whose embeddings are not of
unit length; those behind our seam are, and give 0 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from schemas.ids import seed_for

Floats = NDArray[np.float64]

STEPS = 25
"""Sizes of the subsets through which :func:`endless` lays its line, from half of the set to all of it."""

ENOUGH = 5.0
"""Embeddings for each dimension that a set really uses, from which its limit and its interval hold.

Simulated in 32 dimensions, all alike or with variances that fall by a fifth from one to the next, with estimates that follow their
references or do not: the interval held the truth in 88 to 100% of 24 sets, and mean limits lay within 0.11 of truths of 0.5 and 3.0.
"""


@dataclass(frozen=True)
class Limit:
    """The distance that endless sets would have, by extrapolation.

    Attributes:
        value: where the line meets 1/N = 0.
        r2: how well the line fits, 1 at best; NaN where all distances are equal. It says how much of the distance is due to N.
        smallest: embeddings of the smallest subset.
    """

    value: float
    r2: float
    smallest: int


@dataclass(frozen=True)
class _Gaussian:
    """A mean of shape (d,), and a matrix of shape (at most d, d) whose transpose times itself is the covariance."""

    mean: Tensor
    root: Tensor


def frechet(estimate: ArrayLike | Tensor, reference: ArrayLike | Tensor) -> float:
    """Return the Frechet distance of two Gaussians that have the sets' means and (unbiased) covariances, >= 0, lower is better.

    ``|m - n|^2 + tr(A) + tr(B) - 2 tr((A B)^1/2)``. The last trace is the sum of the singular values of one set times the other's
    transpose, once their means are away: no square root of a matrix is taken, so nothing has to be added to a covariance that fewer
    embeddings than dimensions leave singular. Few embeddings make the distance too large, see :func:`endless`.

    Args:
        estimate: embeddings of what is judged, shape (N, d), N >= 2; on the device that a tensor is on.
        reference: embeddings of what it should sound like, shape (M, d), M >= 2.

    Returns:
        NaN where an embedding is not finite.

    Raises:
        ValueError: the dimensions differ, or a set has fewer than two embeddings.
    """
    one, two = _gaussian(estimate), _gaussian(reference)
    if one.mean.shape != two.mean.shape:
        raise ValueError(f"embeddings must have one dimension, not {len(one.mean)} and {len(two.mean)}")
    return _distance(one, two)


def endless(rows: ArrayLike, seed: int = 0) -> Limit:
    """Return the distance that would be left if the sets were endless (FAD-infinity).

    The distance of N embeddings is too large by about ``c / N``. A line is laid, by least squares, through the distances of 25 subsets
    of half to all of them, drawn without repetition, over 1/N. Gui et al. draw from the estimates alone and keep the reference
    whole; here an estimate and its reference are drawn together, since references are as few: with the reference kept whole, limits of
    such sets were measured to be too small by half and more, down below 0. See :func:`enough` for when it holds.

    Args:
        rows: embeddings of estimates and their references, shape (N, 2, d), N >= 10, as :func:`pairs` makes them.
        seed: of the subsets.

    Raises:
        ValueError: there are fewer than ten rows.
    """
    both = np.asarray(rows, dtype=np.float64)
    if len(both) < 10:
        raise ValueError(f"the distance of endless sets is not to be had from {len(both)} embeddings; give 10 at least")
    rng = np.random.default_rng(seed_for(seed, "trainers.measures", "endless"))
    sizes = np.unique(np.linspace(len(both) // 2, len(both), STEPS).astype(np.int64))
    found = np.array([of_pairs(both[rng.permutation(len(both))[:size]]) for size in sizes])
    if not np.isfinite(found).all():
        return Limit(float("nan"), float("nan"), int(sizes[0]))
    slope, value = np.polyfit(1 / sizes, found, 1)
    rest, spread = np.sum((found - value - slope / sizes) ** 2), np.sum((found - found.mean()) ** 2)
    return Limit(float(value), float(1 - rest / spread) if spread > 0 else float("nan"), int(sizes[0]))


def dimensions_used(rows: ArrayLike) -> float:
    """Return how many dimensions embeddings really use, of the side that uses more: the participation ratio of their variances.

    ``tr(C)^2 / tr(C^2)`` of a side's covariance ``C``: d where all directions are alike, 1 where all embeddings lie on a line, NaN where
    all are equal. N embeddings cannot use more than N - 1.

    Args:
        rows: shape (N, 2, d), N >= 2, as :func:`pairs` makes them.
    """
    both = np.asarray(rows, dtype=np.float64)
    spectra = [np.linalg.svd(side - side.mean(axis=0), compute_uv=False) ** 2 for side in (both[:, 0], both[:, 1])]
    with np.errstate(invalid="ignore"):
        return float(max(np.sum(each) ** 2 / np.sum(each**2) for each in spectra))


def enough(rows: ArrayLike) -> bool:
    """Return whether embeddings are so many that :func:`endless` and the pivotal interval of :func:`of_pairs` hold: see :data:`ENOUGH`."""
    count = len(np.asarray(rows))
    return count > 9 and bool(np.isfinite(rows).all()) and count >= ENOUGH * dimensions_used(rows)


def pairs(estimate_windows: Sequence[ArrayLike], reference_windows: Sequence[ArrayLike]) -> list[Floats]:
    """Return, per clip, its embeddings beside those of its reference, shape (windows, 2, d), so that a clip can be drawn whole.

    Raises:
        ValueError: a clip and its reference have not equally many windows, as sounds of one length do.
    """
    out = []
    for number, (est, ref) in enumerate(zip(estimate_windows, reference_windows, strict=True)):
        own, true = np.asarray(est, dtype=np.float64), np.asarray(ref, dtype=np.float64)
        if own.shape != true.shape or own.ndim != 2:
            raise ValueError(
                f"clip {number}: embeddings must have one shape (windows, dimension), not {own.shape} and {true.shape}"
            )
        out.append(np.stack([own, true], axis=1))
    return out


def of_pairs(rows: ArrayLike) -> float:
    """Return :func:`frechet` of rows that :func:`pairs` made, joined: shape (windows, 2, d); NaN of fewer than two."""
    joined = np.asarray(rows, dtype=np.float64)
    return frechet(joined[:, 0], joined[:, 1]) if len(joined) > 1 else float("nan")


def endless_of_pairs(rows: ArrayLike) -> float:
    """Return the value of :func:`endless` of rows that :func:`pairs` made, joined; NaN where they are not :func:`enough`."""
    return endless(rows).value if enough(rows) else float("nan")


def size_of_pairs(rows: ArrayLike) -> dict[str, Any]:
    """Return how many embeddings there are on either side, their dimension, and how many dimensions they use (None: unknown)."""
    count, _, dimension = np.shape(rows)
    used = dimensions_used(rows) if count > 1 and np.isfinite(rows).all() else float("nan")
    return {"embeddings": count, "dimension": dimension, "dimensions_used": used if np.isfinite(used) else None}


def _gaussian(embeddings: ArrayLike | Tensor) -> _Gaussian:
    given = embeddings if isinstance(embeddings, Tensor) else torch.from_numpy(np.array(embeddings, dtype=np.float64))
    values = given.detach().to(torch.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"a set of embeddings has shape (2 or more, dimension), not {tuple(values.shape)}")
    mean = values.mean(dim=0)
    centred = (values - mean) / (len(values) - 1) ** 0.5
    fault = not bool(values.isfinite().all())
    return _Gaussian(mean, centred if fault or len(values) <= len(mean) else torch.linalg.qr(centred, mode="r").R)


def _distance(one: _Gaussian, two: _Gaussian) -> float:
    apart = (one.mean - two.mean).square().sum() + one.root.square().sum() + two.root.square().sum()
    if not bool(apart.isfinite()):
        return float("nan")
    return max(0.0, float(apart - 2 * torch.linalg.svdvals(one.root @ two.root.T).sum()))
