"""Whose turn it is: quotas to the last one, strata as even as their clips allow, and no clip too often."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.mix.quotas import counted, even, largest_remainder, rarest, spread, tenths, turns


def codes(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_a_count_is_divided_by_largest_remainders():
    assert largest_remainder([0.5, 0.3, 0.2], 10).tolist() == [5, 3, 2]
    assert largest_remainder([1 / 3, 1 / 3, 1 / 3], 10).tolist() == [4, 3, 3]
    assert largest_remainder([0.47, 0.16, 0.158, 0.12, 0.061, 0.031], 100_000).sum() == 100_000


@given(st.integers(0, 300), st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_an_even_division_fills_each_to_one_level_or_to_its_room(count: int, room: list[int]):
    given_ = even(count, codes(*room))
    assert given_.sum() == min(count, sum(room))
    assert (given_ <= room).all()
    short = given_[given_ < room]
    if len(short):
        assert given_.max() <= short.min() + 1


def test_strata_stand_equally_and_what_does_not_fit_goes_to_the_others():
    classes = codes(0, 0, 0, 0, 0, 0, 1, 1, 2)
    uses = spread(90, [classes], 9, 50)
    assert np.bincount(classes, weights=uses).tolist() == [30, 30, 30]
    assert uses[:6].tolist() == [5] * 6
    uses = spread(90, [classes], 9, 12)
    assert np.bincount(classes, weights=uses).tolist() == [54, 24, 12]


def test_strata_within_strata():
    classes, datasets = codes(0, 0, 0, 1, 1, 1), codes(0, 0, 1, 0, 1, 1)
    uses = spread(24, [classes, datasets], 6, 50)
    assert uses.tolist() == [3, 3, 6, 6, 3, 3]


def test_everyone_has_a_turn_before_anyone_has_a_second():
    assert turns(codes(2, 0, 3, 1)).tolist() == [0, 2, 3, 0, 2, 2]


def test_quotas_are_kept_and_what_is_beyond_the_rules_is_told():
    datasets = codes(*[0] * 50, *[1] * 10)
    clips, within = counted(200, datasets, {0: 0.25, 1: 0.75}, [], 50, 1)
    assert within == len(clips) == 200
    assert np.bincount(datasets[clips]).tolist() == [50, 150]
    clips, within = counted(200, datasets, {0: 0.25, 1: 0.75}, [], 10, 1)
    assert (within, len(clips)) == (150, 200)
    assert np.bincount(datasets[clips[:within]]).tolist() == [50, 100]
    # A dataset without clips leaves its share to the others.
    assert counted(30, codes(0, 0), {0: 0.5, 4: 0.5}, [], 50, 1)[1] == 30


def test_which_clip_gets_what_does_not_divide_is_drawn():
    first, second = (counted(7, codes(*[0] * 100), {}, [], 50, seed)[0] for seed in (1, 2))
    assert len(set(first.tolist())) == 7
    assert sorted(first.tolist()) != sorted(second.tolist())


def test_the_rarest_class_of_each_clip():
    # Of the sets {0, 1}, {0}, {}, {0, 2, 1}, {2}, {2}: 0 and 2 stand in three, 1 in two.
    flat, counts = codes(0, 1, 0, 0, 2, 1, 2, 2), codes(2, 1, 0, 3, 1, 1)
    assert rarest(flat, counts, 3).tolist() == [1, 0, 3, 1, 2, 2]
    assert rarest(codes(), codes(0, 0), 0).tolist() == [0, 0]


def test_tenths_of_a_distribution_and_equal_values_in_one():
    assert np.bincount(tenths(np.arange(1000.0))).tolist() == [100] * 10
    assert tenths(np.full(50, 10.0)).tolist() == [0] * 50
