"""Average precision is scikit-learn's, ties say nothing, and what is unknown counts neither way."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.measures.tagging import average_precision, average_precisions, mean_average_precision


def test_by_hand_two_of_three_found() -> None:
    assert average_precision([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision([0.1, 0.8, 0.7], [True, False, False]) == pytest.approx(1 / 3)
    assert average_precision([0.9, 0.1], [True, False]) == 1.0


@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_scikit_learns_also_where_scores_are_tied(levels: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(levels)
    for _ in range(50):
        scores = rng.integers(0, levels, 40) / levels
        truth = rng.random(40) < rng.uniform(0.05, 0.9)
        truth[0] = True
        assert average_precision(scores, truth) == pytest.approx(metrics.average_precision_score(truth, scores))


def test_equal_scores_are_worth_the_share_of_what_is_there() -> None:
    assert average_precision(np.zeros(10), np.arange(10) < 3) == pytest.approx(0.3)


def test_a_class_that_nothing_has_is_no_zero() -> None:
    assert np.isnan(average_precision([0.1, 0.2], [False, False]))
    scores, truth = [[0.9, 0.3], [0.1, 0.2]], [[True, False], [False, False]]
    np.testing.assert_array_equal(average_precisions(scores, truth), [1.0, np.nan])
    assert mean_average_precision(scores, truth) == 1.0
    assert np.isnan(mean_average_precision(scores, np.zeros((2, 2), bool)))


def test_an_item_counts_for_the_classes_alone_of_which_it_is_known() -> None:
    scores, truth = np.array([[0.9], [0.8], [0.7]]), np.array([[False], [True], [False]])
    assert mean_average_precision(scores, truth) == 0.5
    assert mean_average_precision(scores, truth, [[False], [True], [True]]) == 1.0
    assert np.isnan(mean_average_precision(scores, truth, [[True], [False], [True]]))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(items,\), not \(2,\) and \(3,\)"):
        average_precision([0.1, 0.2], [True, False, True])
    with pytest.raises(ValueError, match=r"one shape \(items, classes\), not \(2, 1\), \(2, 2\), \(2, 2\)"):
        average_precisions(np.zeros((2, 1)), np.zeros((2, 2)))
