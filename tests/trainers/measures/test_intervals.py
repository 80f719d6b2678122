"""The bootstrap's interval is that of theory where theory has one, and a measure without a value has none."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.measures import intervals
from trainers.measures.intervals import RESAMPLES, estimate, of_mean, pivotal


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    found = estimate(lambda drawn: float(values[drawn].mean()), len(values))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (found["value"], found["n"]) == (pytest.approx(values.mean()), 400)
    np.testing.assert_allclose(
        found["ci95"], [values.mean() - half, values.mean() + half], atol=4 * half / np.sqrt(RESAMPLES)
    )


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    worlds = [rng.random(100) < 0.3 for _ in range(60)]
    bounds = [
        estimate(lambda drawn, world=world: float(world[drawn].mean()), 100)["ci95"]  # type: ignore[misc]
        for world in worlds
    ]
    assert 0.85 <= np.mean([low <= 0.3 <= high for low, high in bounds]) <= 1.0


def test_a_seed_repeats_it() -> None:
    values = np.random.default_rng(2).random(30)
    first, again, other = (estimate(lambda drawn: float(values[drawn].mean()), 30, seed) for seed in (1, 1, 2))
    assert first == again
    assert first["ci95"] != other["ci95"]


@pytest.mark.parametrize("units", [1, 2, 7, 133, 3000])
def test_resamples_are_the_same_however_many_are_drawn_at_once(units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=units)
    whole = of_mean(values, 4)
    assert whole == estimate(lambda drawn: float(values[drawn].mean()), units, 4)
    monkeypatch.setattr(intervals, "_TOGETHER", 1)
    assert of_mean(values, 4) == whole


def test_a_measure_that_no_resample_gives_has_no_interval() -> None:
    assert estimate(lambda drawn: 1.0 if (drawn == np.arange(60)).all() else float("nan"), 60)["ci95"] is None
    assert pivotal(lambda drawn: 1.0 if (drawn == np.arange(60)).all() else float("nan"), 60) is None
    assert of_mean(np.zeros(0)) == {"value": None, "ci95": None, "n": 0}


def test_what_has_no_value_has_none() -> None:
    assert estimate(lambda drawn: float("nan"), 5) == {"value": None, "ci95": None, "n": 5}
    assert estimate(lambda drawn: 1.0, 0) == {"value": None, "ci95": None, "n": 0}
    assert estimate(lambda drawn: 1.0, 1) == {"value": 1.0, "ci95": None, "n": 1}
