"""The Frechet distance is that of closed forms and of torchmetrics; its limit and its interval hold the truth that few items hide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.measures.frechet import endless, endless_of_pairs, frechet, of_pairs, pairs
from trainers.measures.intervals import estimate, pivotal

INF = np.inf


def normal(count: int, dimension: int, seed: int = 0, mean: float = 0.0) -> np.ndarray:
    return mean + np.random.default_rng(seed).standard_normal((count, dimension))


def test_in_one_dimension_it_is_the_difference_of_means_and_of_deviations() -> None:
    one, two = normal(50, 1), 3 * normal(70, 1, 1, 0.5)
    expected = (one.mean() - two.mean()) ** 2 + (one.std(ddof=1) - two.std(ddof=1)) ** 2
    assert frechet(one, two) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("count", "dimension"), [(400, 6), (40, 6), (12, 30)])
def test_it_is_torchmetrics_where_that_can_be_reckoned(count: int, dimension: int) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    mixing = np.random.default_rng(5).standard_normal((dimension, dimension))
    one, two = normal(count, dimension) @ mixing, normal(count + 5, dimension, 1, 0.2)
    stats = [torch.from_numpy(each) for own in (one, two) for each in (own.mean(axis=0), np.cov(own.T))]
    expected = float(fid._compute_fid(*stats))
    # Singular covariances cost the square root of eigenvalues half of its digits.
    assert frechet(one, two) == pytest.approx(expected, rel=1e-9 if count > dimension else 1e-4)


def test_a_set_is_no_distance_from_itself_and_order_and_side_do_not_count() -> None:
    one, two = normal(30, 8), normal(40, 8, 1)
    assert frechet(one, one) == pytest.approx(0, abs=1e-12)
    assert frechet(one, two) == pytest.approx(frechet(two, one[::-1]), rel=1e-10)
    assert frechet(torch.from_numpy(one), two) == frechet(one, two)
    assert frechet(one + 2, one) == pytest.approx(8 * 4)


def test_faults_and_shapes() -> None:
    broken = normal(30, 8)
    broken[3, 3] = np.nan
    assert np.isnan(frechet(broken, normal(30, 8)))
    for bad in (normal(1, 8), normal(30, 8)[0]):
        with pytest.raises(ValueError, match=r"shape \(2 or more, dimension\), not \((1, )?8,?\)"):
            frechet(bad, normal(30, 8))
    with pytest.raises(ValueError, match="one dimension, not 7 and 8"):
        frechet(normal(30, 7), normal(30, 8))
    with pytest.raises(ValueError, match="not to be had from 9 embeddings"):
        endless(normal(9, 2), normal(30, 2))


def test_few_make_it_too_large_and_the_limit_does_not() -> None:
    truth, dimension, reference = 8 * 0.1**2, 8, normal(20000, 8, 9)
    plain = [frechet(normal(200, dimension, seed, 0.1), reference) for seed in range(20)]
    limits = [endless(normal(200, dimension, seed, 0.1), reference, seed) for seed in range(20)]
    assert np.mean(plain) > 1.5 * truth
    assert np.mean([each.value for each in limits]) == pytest.approx(truth, abs=0.35 * (np.mean(plain) - truth))
    assert all(each.n == 200 and each.smallest == 40 for each in limits)
    assert np.median([each.r2 for each in limits]) > 0.7
    assert endless(normal(50, 2), reference[:, :2], 1) == endless(normal(50, 2), reference[:, :2], 1)


def test_the_pivotal_interval_holds_the_truth_and_that_by_percentiles_does_not() -> None:
    """Estimates are correlated with their references, as separated sounds are; the true distance is 0.16."""
    held = [0, 0]
    for world in range(20):
        reference = normal(100, 16, world)
        rows = pairs(0.8 * reference[:, None] + 0.6 * normal(100, 16, 1000 + world)[:, None] + 0.1, reference[:, None])
        joined = np.concatenate(rows)
        low, high = pivotal(lambda drawn, joined=joined: of_pairs(joined[drawn]), 100, resamples=60) or (INF, INF)  # type: ignore[misc]
        held[0] += low <= 0.16 <= high
        drawn = [of_pairs(joined[np.random.default_rng(n).integers(0, 100, 100)]) for n in range(60)]
        held[1] += np.percentile(drawn, 2.5) <= 0.16 <= np.percentile(drawn, 97.5)
    assert held[0] >= 17
    assert held[1] == 0


def test_an_interval_of_too_few_is_none_and_a_mean_has_the_same_one_both_ways() -> None:
    assert pivotal(lambda drawn: 1.0, 1) is None
    assert pivotal(lambda drawn: float("nan"), 5) is None
    values = np.random.default_rng(2).normal(5, 2, 400)
    low, high = pivotal(lambda drawn: float(values[drawn].mean()), 400) or (INF, INF)
    np.testing.assert_allclose([low, high], estimate(lambda drawn: float(values[drawn].mean()), 400)["ci95"], atol=0.05)


def test_clips_are_paired_window_by_window() -> None:
    windows = [normal(3, 4), normal(1, 4, 1), normal(8, 4, 2)]
    truths = [normal(len(own), 4, 7 + len(own)) for own in windows]
    joined = np.concatenate(pairs(windows, truths))
    assert of_pairs(joined) == frechet(np.concatenate(windows), np.concatenate(truths))
    assert endless_of_pairs(joined) == endless(np.concatenate(windows), np.concatenate(truths)).value
    assert np.isnan(of_pairs(joined[:1]))
    assert np.isnan(endless_of_pairs(joined[:9]))
    with pytest.raises(ValueError, match=r"clip 1: .* not \(1, 4\) and \(3, 4\)"):
        pairs(windows[:2], [truths[0], truths[0]])
