"""Mixing arithmetic: the sum is exact in integers, the ratio is what was asked, and what cannot be had is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.mix.levels import FULL_SCALE, CannotMix, mix, place, scaled


def noise(seed: int, n: int, level: float) -> np.ndarray:
    return np.clip(np.rint(np.random.default_rng(seed).normal(0, level, n)), -32768, 32767).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    snr=st.floats(-30, 30),
    level=st.floats(50, 12000),
    other=st.floats(50, 12000),
    count=st.integers(1, 3),
    peak=st.sampled_from([0.5, 0.9, 1.0]),
)
def test_the_stems_sum_to_the_mixture_exactly_and_never_pass_the_peak(seed, snr, level, other, count, peak):
    target, rest = noise(seed, 4000, level), [noise(seed + 1 + i, 4000, other) for i in range(count)]
    made = mix(target, rest, snr, peak)
    stem = scaled(target, made.target_gain).astype(np.int64)
    others = sum(scaled(x, made.interferer_gain).astype(np.int64) for x in rest)
    assert np.array_equal(made.mixture.astype(np.int64), stem + others)
    assert np.array_equal(made.target, stem)
    assert np.abs(made.mixture.astype(np.int64)).max() <= peak * FULL_SCALE
    assert made.peak == np.abs(made.mixture.astype(np.int64)).max() / FULL_SCALE
    independent = 20 * np.log10(np.linalg.norm(stem.astype(float)) / np.linalg.norm(others.astype(float)))
    assert made.achieved_snr_db == pytest.approx(independent, abs=1e-9)


@pytest.mark.parametrize("snr", [-15.0, -3.3, 0.0, 7.0, 15.0])
def test_the_achieved_ratio_differs_from_the_asked_one_by_rounding_only(snr):
    made = mix(noise(1, 160_000, 3000), [noise(2, 160_000, 500)], snr, 0.9)
    assert made.achieved_snr_db == pytest.approx(snr, abs=1e-3)


def test_stems_that_cancel_each_other_fit_sixteen_bits_all_the_same():
    target = np.tile(np.array([30000, -30000], np.int16), 500)
    made = mix(target, [-target], -6.0, 0.9)
    assert np.array_equal(made.mixture - made.target, scaled(-target, made.interferer_gain))
    assert made.achieved_snr_db == pytest.approx(-6.0, abs=1e-3)


def test_a_quiet_mixture_keeps_the_targets_level():
    target = noise(1, 16_000, 300)
    made = mix(target, [noise(2, 16_000, 300)], 0.0, 0.9)
    assert made.target_gain == 1.0
    assert np.array_equal(made.target, target)


def test_a_loud_mixture_is_turned_down_with_all_its_sources_alike():
    made = mix(noise(1, 16_000, 9000), [noise(2, 16_000, 9000)], 0.0, 0.9)
    assert made.target_gain < 1.0
    assert made.interferer_gain == pytest.approx(made.target_gain, rel=0.05)
    assert 0.89 < made.peak <= 0.9


@pytest.mark.parametrize(
    ("target", "rest", "words"),
    [
        (np.zeros(100, np.int16), noise(1, 100, 50), "target is silent"),
        (noise(1, 100, 50), np.zeros(100, np.int16), "interference is silent"),
    ],
)
def test_silence_cannot_be_mixed(target, rest, words):
    with pytest.raises(CannotMix, match=words):
        mix(target, [rest], 0.0, 0.9)


def test_a_target_that_vanishes_in_rounding_is_refused():
    with pytest.raises(CannotMix, match="vanishes"):
        mix(np.ones(1000, np.int16), [noise(1, 1000, 9000)], -110.0, 0.9)


def test_a_piece_goes_where_the_plan_says():
    out = place(np.arange(1, 11, dtype=np.int16), start=2, at=3, length=4, total=9)
    assert out.tolist() == [0, 0, 0, 3, 4, 5, 6, 0, 0]
    with pytest.raises(ValueError, match="does not fit"):
        place(np.arange(5, dtype=np.int16), 3, 0, 4, 10)
