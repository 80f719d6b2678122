"""Rates of captions that share recordings, their intervals, and the line at which a rate of false accepts holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

LEVEL = 0.95
"""Share of intervals that hold what they are about."""

LEAST_OF_KIND = 20
"""Captions of a kind from which on it weighs as much as any other kind; with fewer, each weighs as one of so many."""


@dataclass(frozen=True)
class Rate:
    """A share in [0, 1] and its interval."""

    value: float
    low: float
    high: float


def kind_weights(kinds: Integers) -> Floats:
    """Return weights, shape (n,), sum 1, by which each kind weighs the same, unless it has few captions.

    Args:
        kinds: shape (n,), the kind of each caption as a number from 0.
    """
    weights = 1.0 / np.maximum(np.bincount(kinds), LEAST_OF_KIND)[kinds]
    total: Floats = weights / weights.sum()
    return total


def rate(yes: Booleans, weights: Floats, groups: Integers) -> Rate:
    """Return a weighted share with its Clopper-Pearson interval on the effective number of captions.

    After Korn and Graubard (Survey Methodology 24, 1998): the effective number is that of independent draws which would vary
    as much as the share does over groups, at most the number of captions; where none or all are, Kish's number of groups,
    by the squares of their weights.

    Args:
        yes: shape (n,), n >= 1.
        weights: shape (n,), sum 1.
        groups: shape (n,), the recordings that captions share, as numbers from 0.
    """
    value = float(weights @ yes)
    of_group = np.bincount(groups, weights).astype(np.float64)
    accepted = np.bincount(groups, weights * yes)
    number = _effective(value, float(((accepted - value * of_group) ** 2).sum()), of_group, len(yes))
    return Rate(value, *interval(value, number))


def interval(value: float, number: float) -> tuple[float, float]:
    """Return the Clopper-Pearson interval (1934) of a share of so many draws, which need be no whole numbers."""
    tail, count = (1.0 - LEVEL) / 2.0, value * number
    low = float(beta.ppf(tail, count, number - count + 1.0)) if count > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, count + 1.0, number - count)) if count < number else 1.0
    return low, high


def needed(wanted: float) -> int:
    """Return the independent wrong captions without which not even none of them accepted proves a rate."""
    return math.ceil(math.log((1.0 - LEVEL) / 2.0) / math.log1p(-wanted))


def recordings(weights: Floats, groups: Integers) -> float:
    """Return Kish's effective number of groups; weights, shape (n,), sum 1."""
    return float(1.0 / (np.bincount(groups, weights) ** 2).sum())


def line(levels: Floats, weights: Floats, groups: Integers, wanted: float) -> float | None:
    """Return the lowest level at which wrong captions are accepted at a rate that surely is at most the wanted one.

    From the highest level down, each level of a wrong caption is tried in turn, until the interval of the rate of those at
    or above it reaches beyond the wanted rate: a sequence fixed beforehand, so that trying many levels costs no certainty
    (Angelopoulos et al., Learn then test, 2021). What is returned lies above the first that fails.

    Args:
        levels: shape (n,), the probability of each wrong caption, n >= 1.
        weights: shape (n,), sum 1.
        groups: shape (n,), the recordings that captions share, as numbers from 0.
        wanted: the rate, in (0, 1).

    Returns:
        A level that no wrong caption below the line reaches; None where not even none accepted proves the rate.
    """
    of_group = np.bincount(groups, weights).astype(np.float64)
    if interval(0.0, recordings(weights, groups))[1] > wanted:
        return None
    accepted, total = np.zeros(len(of_group)), 0.0
    squares, products, whole = 0.0, 0.0, float((of_group**2).sum())
    order = np.argsort(-levels, kind="stable")
    for place, caption in enumerate(order.tolist()):
        group, weight = groups[caption], weights[caption]
        squares += 2.0 * accepted[group] * weight + weight**2
        products += weight * of_group[group]
        accepted[group] += weight
        total += weight
        if place + 1 < len(order) and levels[order[place + 1]] == levels[caption]:
            continue
        spread = squares - 2.0 * total * products + total**2 * whole
        if interval(total, _effective(total, spread, of_group, len(levels)))[1] > wanted:
            return float(np.nextafter(levels[caption], np.inf))
    return float(levels.min())


def _effective(value: float, spread: float, of_group: Floats, captions: int) -> float:
    """Return the effective number of captions, given the sum over groups of squared deviations."""
    groups = len(of_group)
    if not 0.0 < value < 1.0 or groups < 2 or spread <= 0.0:
        return float(1.0 / (of_group**2).sum())
    return min(value * (1.0 - value) / (spread * groups / (groups - 1)), float(captions))
