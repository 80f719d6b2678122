"""Rates and their intervals: Clopper and Pearson's where captions are independent, wider where recordings share them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from pipelines.refine.rates import LEAST_OF_KIND, interval, kind_weights, line, needed, rate, recordings


def even(count: int) -> np.ndarray:
    return np.full(count, 1.0 / count)


@pytest.mark.parametrize(("yes", "count"), [(0, 40), (3, 60), (20, 40), (40, 40)])
def test_independent_captions_have_the_interval_of_clopper_and_pearson(yes, count):
    exact = binomtest(yes, count).proportion_ci(0.95, "exact")
    assert interval(yes / count, count) == pytest.approx((exact.low, exact.high))
    found = rate(np.arange(count) < yes, even(count), np.arange(count))
    # The effective number is estimated with one degree of freedom less.
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.006)


def test_captions_that_share_a_recording_prove_less():
    yes = np.repeat(np.arange(40) < 4, 5)
    apart, together = rate(yes, even(200), np.arange(200)), rate(yes, even(200), np.repeat(np.arange(40), 5))
    exact = binomtest(4, 40).proportion_ci(0.95, "exact")
    assert apart.value == together.value == pytest.approx(0.1)
    assert together.high - together.low > 1.8 * (apart.high - apart.low)
    assert (together.low, together.high) == pytest.approx((exact.low, exact.high), abs=0.006)


def test_kinds_weigh_the_same_but_for_rare_ones_whose_captions_weigh_no_more_than_one_of_so_many():
    kinds = np.array([0] * 100 + [1] * 50 + [2] * 2)
    shares = np.bincount(kinds, kind_weights(kinds))
    assert shares[0] == pytest.approx(shares[1])
    assert shares[2] == pytest.approx(shares[0] * 2 / LEAST_OF_KIND)
    assert shares.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("wanted", [0.01, 0.05, 0.2])
def test_needed_is_the_least_number_of_which_none_accepted_proves_the_rate(wanted):
    assert interval(0.0, needed(wanted))[1] <= wanted < interval(0.0, needed(wanted) - 1)[1]


def test_the_line_is_the_lowest_at_which_the_whole_interval_is_within_the_rate():
    rng = np.random.default_rng(0)
    levels, groups = rng.random(600), np.arange(600)
    found = line(levels, even(600), groups, 0.05)
    assert found is not None
    assert rate(levels >= found, even(600), groups).high <= 0.05
    below = np.sort(levels[levels < found])[-1]
    assert rate(levels >= below, even(600), groups).high > 0.05


def test_too_few_recordings_have_no_line_and_perfect_scores_the_lowest():
    levels = np.linspace(0, 1, 71)
    assert line(levels, even(71), np.arange(71), 0.05) is None
    assert recordings(even(71), np.arange(71)) == pytest.approx(71)
    low = np.linspace(0, 0.1, 72)
    found = line(low, even(72), np.arange(72), 0.05)
    assert found is not None
    assert found > 0.09
    assert line(np.repeat(low, 4)[:200], even(200), np.repeat(np.arange(50), 4), 0.05) is None, "50 recordings"


def test_a_line_holds_its_rate_on_new_captions():
    """Of 300 draws, at most those whose interval misses (2.5%, and their noise) break it."""
    rng, broken = np.random.default_rng(1), 0
    for _ in range(300):
        found = line(rng.random(300), even(300), np.arange(300), 0.1)
        assert found is not None
        broken += 1.0 - found > 0.1  # levels are uniform: the true rate at a line is what lies above it
    assert broken <= 300 * 0.05
