"""Suppression is told where the target is silent, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.measures.suppression import suppression

RATE = 8000
TIME = np.arange(2 * RATE) / RATE
TARGET = np.where(TIME < 1, 0.3 * np.sin(2 * np.pi * 440 * TIME), 0.0)
OTHER = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
MIXTURE = TARGET + OTHER


def test_it_is_the_decibels_that_are_taken_away_while_the_target_is_silent() -> None:
    estimate = np.where(TIME < 1, 5 * MIXTURE, 0.1 * MIXTURE)
    np.testing.assert_allclose(suppression(estimate, TARGET, MIXTURE, RATE), 20)
    assert suppression(MIXTURE, TARGET, MIXTURE, RATE) == 0
    assert suppression(TARGET, TARGET, MIXTURE, RATE) == np.inf
    np.testing.assert_allclose(suppression(2 * MIXTURE, TARGET, MIXTURE, RATE), -20 * np.log10(2))


def test_a_mixture_without_its_target_is_measured_whole() -> None:
    np.testing.assert_allclose(suppression(MIXTURE / 10, 0 * TARGET, MIXTURE, RATE), 20)


def test_a_target_counts_as_silent_from_forty_decibels_below_the_mixture() -> None:
    for level_db, known in ((-41, True), (-39, False)):
        quiet = 10 ** (level_db / 20) * MIXTURE
        assert np.isfinite(suppression(MIXTURE / 2, quiet, MIXTURE, RATE)) == known


def test_nothing_is_said_where_there_is_nothing_to_take_away() -> None:
    assert np.isnan(suppression(MIXTURE, OTHER, OTHER, RATE))
    assert np.isnan(suppression(0 * OTHER, 0 * OTHER, 0 * OTHER, RATE))
    assert np.isnan(suppression(np.where(TIME == 0, np.nan, MIXTURE), TARGET, MIXTURE, RATE))


def test_a_last_frame_that_is_not_whole_counts_and_a_batch_is_its_items() -> None:
    cut = RATE + RATE // 10 + 5
    estimate = np.where(np.arange(2 * RATE) < cut - 5, 0.0, MIXTURE)
    found = suppression(estimate[None, :cut], 0 * TARGET[None, :cut], MIXTURE[None, :cut], RATE)
    expected = 10 * np.log10(np.sum(MIXTURE[:cut] ** 2) / np.sum(MIXTURE[cut - 5 : cut] ** 2))
    np.testing.assert_allclose(found, [expected])
    with pytest.raises(ValueError, match="one shape"):
        suppression(MIXTURE, TARGET[1:], MIXTURE, RATE)
