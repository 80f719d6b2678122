"""The Frechet distance is that of closed forms and of torchmetrics; its limit and its interval hold the truth that few items hide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from trainers.measures.frechet import dimensions_used, endless, endless_of_pairs, enough, frechet, of_pairs, pairs
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


def test_it_is_the_formula_with_the_root_of_a_matrix() -> None:
    mixing = np.random.default_rng(7).standard_normal((5, 5))
    one, two = normal(80, 5) @ mixing, normal(60, 5, 1, 0.3)
    first, second = np.cov(one.T), np.cov(two.T)
    root = linalg.sqrtm(first @ second)
    means = np.sum((one.mean(axis=0) - two.mean(axis=0)) ** 2)
    assert frechet(one, two) == pytest.approx(means + np.trace(first + second - 2 * root.real), rel=1e-9)


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
        endless(np.zeros((9, 2, 3)))
    assert np.isnan(endless(np.full((20, 2, 3), np.nan)).value)


def related(count: int, dimension: int, world: int, falling: float = 0.0) -> np.ndarray:
    """Pairs of an estimate that follows its reference and is 0.1 off; variances fall from dimension to dimension."""
    scales = np.exp(-falling * np.arange(dimension) / 2)
    reference, own = normal(count, dimension, world) * scales, normal(count, dimension, 1000 + world) * scales
    return np.concatenate(pairs((0.8 * reference + 0.6 * own + 0.1)[:, None], reference[:, None]))


def test_few_make_it_too_large_and_the_limit_does_not() -> None:
    truth = 16 * 0.1**2
    sets = [related(100, 16, world) for world in range(20)]
    plain, limits = [of_pairs(rows) for rows in sets], [endless(rows, 1) for rows in sets]
    assert np.mean(plain) > 4 * truth
    assert np.mean([each.value for each in limits]) == pytest.approx(truth, abs=0.1)
    assert {each.smallest for each in limits} == {50}
    assert endless(sets[0], 1) == limits[0] != endless(sets[0], 2)


def test_dimensions_are_counted_as_they_are_used_and_too_few_embeddings_have_no_limit() -> None:
    assert dimensions_used(related(20000, 8, 0)) == pytest.approx(8, rel=0.01)
    assert dimensions_used(related(20000, 8, 0, 20.0)) == pytest.approx(1, rel=0.01)
    assert dimensions_used(related(10, 200, 0)) <= 9
    assert [enough(related(count, 16, 0)) for count in (16, 32, 48, 128)] == [False, False, False, True]
    assert enough(related(30, 16, 0, 0.5))
    assert np.isnan(endless_of_pairs(related(30, 16, 0)))
    assert np.isfinite(of_pairs(related(30, 16, 0)))
    assert not enough(np.full((50, 2, 3), np.nan))
    assert not enough(np.zeros((50, 2, 3)))


def test_the_pivotal_interval_holds_the_truth_and_that_by_percentiles_does_not() -> None:
    """Estimates are correlated with their references, as separated sounds are; the true distance is 0.16."""
    held = [0, 0]
    for world in range(20):
        joined = related(100, 16, world)
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
    assert np.isnan(of_pairs(joined[:1]))
    with pytest.raises(ValueError, match=r"clip 1: .* not \(1, 4\) and \(3, 4\)"):
        pairs(windows[:2], [truths[0], truths[0]])
