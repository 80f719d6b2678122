"""Ranks count ties against the model; recall and mean rank follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.measures.retrieval import mean_rank, ranks, recall_at


def test_ranks_by_hand() -> None:
    near = [[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]]
    np.testing.assert_array_equal(ranks(near, np.eye(3, dtype=bool)), [1, 2, 3])


def test_the_best_of_several_that_are_asked_for_counts_and_they_do_not_stand_before_one_another() -> None:
    near, asked = [[0.9, 0.8, 0.7, 0.6]], [[False, True, True, False]]
    np.testing.assert_array_equal(ranks(near, asked), [2])
    np.testing.assert_array_equal(ranks([[0.9, 0.9, 0.1]], [[True, True, False]]), [1])


def test_ties_count_against() -> None:
    np.testing.assert_array_equal(ranks(np.zeros((4, 4)), np.eye(4, dtype=bool)), [4, 4, 4, 4])
    np.testing.assert_array_equal(ranks([[0.5, 0.5, 0.2]], [[False, True, False]]), [2])


def test_nothing_is_gained_by_what_is_not_a_number() -> None:
    np.testing.assert_array_equal(ranks([[np.nan, 0.5, 0.2]], [[True, False, False]]), [3])
    np.testing.assert_array_equal(ranks([[np.nan, 0.5, 0.2]], [[False, True, False]]), [2])


def test_distinct_similarities_rank_as_sorting_does() -> None:
    rng = np.random.default_rng(0)
    near = rng.permuted(np.tile(np.arange(30.0), (50, 1)), axis=1)
    own = rng.integers(0, 30, 50)
    expected = [1 + sorted(row, reverse=True).index(row[place]) for row, place in zip(near, own, strict=True)]
    np.testing.assert_array_equal(ranks(near, own[:, None] == np.arange(30)), expected)


def test_recall_and_mean_rank() -> None:
    found = [1, 3, 6, 20]
    assert [recall_at(found, most) for most in (1, 5, 10)] == [0.25, 0.5, 0.75]
    assert mean_rank(found) == 7.5
    assert np.isnan(recall_at([], 1))
    assert np.isnan(mean_rank([]))


def test_a_query_that_asks_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="query 1 asks for no item"):
        ranks(np.zeros((2, 3)), [[True, False, False], [False, False, False]])
    with pytest.raises(ValueError, match=r"not \(2, 3\) and \(3, 3\)"):
        ranks(np.zeros((2, 3)), np.eye(3, dtype=bool))
