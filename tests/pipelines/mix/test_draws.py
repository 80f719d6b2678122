"""Draws: the published numbers of splitmix64, uniform, and the same whatever else is drawn."""

from __future__ import annotations

import numpy as np
from scipy.stats import chisquare, kstest

from pipelines.mix.draws import GOLDEN, Purpose, below, bits, mixed, permutation, row_seeds, uniform

SEEDS = np.arange(20_000, dtype=np.uint64)


def test_the_numbers_are_those_of_splitmix64():
    # The first outputs of the published generator for the seed 1234567.
    steps = np.uint64(1234567) + GOLDEN * np.arange(1, 6, dtype=np.uint64)
    assert mixed(steps).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_numbers_are_uniform_for_every_purpose_and_purposes_are_independent():
    drawn = [uniform(SEEDS, purpose, slot) for purpose in (Purpose.LEVEL, Purpose.AT) for slot in range(3)]
    for numbers in drawn:
        assert kstest(numbers, "uniform").pvalue > 1e-3
        assert 0 <= numbers.min() <= numbers.max() < 1
    correlation = np.corrcoef(drawn) - np.eye(len(drawn))
    assert abs(correlation).max() < 0.03


def test_whole_numbers_are_below_their_limits_and_equally_frequent():
    drawn = below(7, SEEDS, Purpose.ROOM)
    assert chisquare(np.bincount(drawn, minlength=7)).pvalue > 1e-3
    limits = np.arange(1, len(SEEDS) + 1)
    assert (below(limits, SEEDS, Purpose.ROOM) < limits).all()


def test_a_row_has_the_same_seed_whichever_rows_it_is_drawn_with():
    whole = row_seeds(9, np.arange(1000))
    assert (row_seeds(9, np.arange(400, 500)) == whole[400:500]).all()
    assert whole.min() >= 0
    assert len(set(whole.tolist())) == 1000
    assert not set(whole.tolist()) & set(row_seeds(10, np.arange(1000)).tolist())


def test_a_permutation_holds_every_number_once_and_another_purpose_orders_them_otherwise():
    orders = [permutation(5, 1000, Purpose.ORDER, slot) for slot in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(1000))
    assert (orders[0] != orders[1]).sum() > 900
    assert abs(np.corrcoef(orders[0], np.arange(1000))[0, 1]) < 0.1
    assert (bits(SEEDS, 1, 2) != bits(SEEDS, 2, 1)).all()
