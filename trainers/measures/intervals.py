"""Confidence intervals of any measure: the bootstrap over what was drawn independently (Efron, 1979), by percentiles or pivotal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.ids import seed_for

RESAMPLES = 1000

Measure = Callable[[NDArray[np.int64]], float]
"""From the places of the units that count, some several times, to a value; NaN where they give none."""


def estimate(measure: Measure, units: int, seed: int = 0) -> dict[str, Any]:
    """Return a measure over all units, its ``ci95``, and the number of units ``n``.

    Args:
        measure: of the units, which are independent of one another: clips, rather than their captions.
        units: how many there are.
        seed: of the resamples.

    Returns:
        ``{"value", "ci95", "n"}``; value None where the measure gives none, ci95 None with fewer than two units.
    """
    value = measure(np.arange(units)) if units else float("nan")
    ci95 = None
    if units > 1 and np.isfinite(value):
        rng = np.random.default_rng(seed_for(seed, "trainers.measures", "bootstrap"))
        drawn = np.array([measure(rng.integers(0, units, units)) for _ in range(RESAMPLES)])
        ci95 = [float(bound) for bound in np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])]
    return {"value": float(value) if np.isfinite(value) else None, "ci95": ci95, "n": units}


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
    rng = np.random.default_rng(seed_for(seed, "trainers.measures", "bootstrap"))
    drawn = np.array([measure(rng.integers(0, units, units)) for _ in range(resamples)])
    low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])
    return [float(2 * value - high), float(2 * value - low)]
