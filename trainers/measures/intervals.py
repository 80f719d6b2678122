"""Confidence intervals of any measure: the bootstrap over what was drawn independently (Efron, 1979), by percentiles or pivotal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.ids import seed_for

RESAMPLES = 1000

_TOGETHER = 1 << 16
"""Most places that are drawn at once, unless a resample has more: half a megabyte, which a processor's cache holds."""

Measure = Callable[[NDArray[np.int64]], float]
"""From the places of the units that count, some several times, to a value; NaN where they give none."""


def estimate(measure: Measure, units: int, seed: int = 0) -> dict[str, Any]:
    """Return a measure over all units, its ``ci95``, and the number of units ``n``.

    Args:
        measure: of the units, which are independent of one another: clips, rather than their captions. It is called once for
            each resample; :func:`of_mean` is the same for a mean, and faster.
        units: how many there are.
        seed: of the resamples.

    Returns:
        ``{"value", "ci95", "n"}``; value None where the measure gives none, ci95 None with fewer than two units.
    """
    value = measure(np.arange(units)) if units else float("nan")
    ci95 = None
    if units > 1 and np.isfinite(value):
        ci95 = _bounds([measure(own) for drawn in _resamples(units, seed, RESAMPLES) for own in drawn])
    return {"value": float(value) if np.isfinite(value) else None, "ci95": ci95, "n": units}


def of_mean(values: ArrayLike, seed: int = 0) -> dict[str, Any]:
    """Return what :func:`estimate` does of the mean of values, the same numbers, from many resamples at once.

    Args:
        values: finite, shape (units,).
        seed: of the resamples.
    """
    own = np.asarray(values, dtype=np.float64)
    ci95 = None
    if len(own) > 1:
        ci95 = _bounds(np.concatenate([own[drawn].mean(axis=1) for drawn in _resamples(len(own), seed, RESAMPLES)]))
    return {"value": float(own.mean()) if len(own) else None, "ci95": ci95, "n": len(own)}


def pivotal(measure: Measure, units: int, seed: int = 0, resamples: int = RESAMPLES) -> list[float] | None:
    """Return the pivotal ("basic") 95% interval of a measure that few units make too large or too small, as they do a Frechet distance.

    ``[2 m - q_97.5, 2 m - q_2.5]`` with the measure ``m`` of all units and the percentiles ``q`` of the resamples. What resampling
    adds to the measure is what having few units has added to it already, and is taken away: the interval is of the value that
    endlessly many units would have, and need not hold ``m``. The percentile interval of :func:`estimate` misses that value nearly
    always.

    Args:
        measure: of the units, as in :func:`estimate`.
        units: how many there are.
        seed: of the resamples.
        resamples: how many.

    Returns:
        Bounds, the lower first; None with fewer than two units, or where the measure has no value.
    """
    value = measure(np.arange(units)) if units > 1 else float("nan")
    if not np.isfinite(value):
        return None
    bounds = _bounds([measure(own) for drawn in _resamples(units, seed, resamples) for own in drawn])
    return None if bounds is None else [float(2 * value - bound) for bound in reversed(bounds)]


def _resamples(units: int, seed: int, count: int) -> Iterator[NDArray[np.int64]]:
    """Yield the places that resamples are made of, shape (some, units): ``count`` in all, the same however many come at once."""
    rng = np.random.default_rng(seed_for(seed, "trainers.measures", "bootstrap"))
    most = max(1, _TOGETHER // units)
    for first in range(0, count, most):
        yield rng.integers(0, units, (min(most, count - first), units))


def _bounds(drawn: ArrayLike) -> list[float] | None:
    """Return the 2.5th and the 97.5th percentile of the resamples that have a value; None where none has."""
    values = np.asarray(drawn, dtype=np.float64)
    known = values[np.isfinite(values)]
    return [float(bound) for bound in np.percentile(known, [2.5, 97.5])] if len(known) else None
