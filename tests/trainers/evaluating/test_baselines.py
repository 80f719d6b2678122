"""The baselines are what they are called; the oracle is its formula, written out here once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import signal

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from evaluation_sets import RATE, Asked, dataset_of

from trainers.evaluating.baselines import BASELINES, half_mixture, ideal_ratio_mask, mixture, oracle_of, silence
from trainers.evaluating.items import Item, Removal
from trainers.evaluating.sets import open_sets
from trainers.measures.separation import sdr, sdr_improvement, si_sdr_improvement


def test_the_mixture_and_silence_are_what_they_say_and_the_oracle_is_far_above_both(tmp_path: Path) -> None:
    (items,) = open_sets([str(dataset_of(tmp_path / "set", *(Asked(n) for n in range(3))))], "test")
    assert list(BASELINES) == ["mixture", "half_mixture", "silence", "ideal_ratio_mask"]
    for item in items:
        np.testing.assert_array_equal(mixture(item), item.mixture)
        assert not silence(item).any()
        assert sdr(ideal_ratio_mask(item), item.target) > 40 + sdr(item.mixture, item.target)


def test_the_oracle_is_the_root_of_the_share_of_power(tmp_path: Path) -> None:
    (items,) = open_sets([str(dataset_of(tmp_path / "set", Asked(3, "high")))], "test")
    item = next(iter(items))
    window = signal.get_window("hann", 512)  # periodic, as 64 ms at 8 kHz are to the next power of two
    transform = signal.ShortTimeFFT(window, 80, RATE)
    target, rest, whole = (transform.stft(x) for x in (item.target, item.mixture - item.target, item.mixture))
    power, other = np.abs(target) ** 2, np.abs(rest) ** 2
    wanted = transform.istft(np.sqrt(power / np.maximum(power + other, 1e-30)) * whole, k1=RATE)
    np.testing.assert_allclose(ideal_ratio_mask(item)[600:-600], wanted[600:-600], atol=1e-4)
    assert oracle_of(RATE).startswith("sqrt(|S|² / (|S|² + |N|²)), periodic Hann windows of 512 samples every 80 at")


def test_half_of_a_mixture_at_0_db_gains_3_db_of_sdr_and_nothing_of_si_sdr() -> None:
    target, other = np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32) / 10
    item = Item("set", "key", "low", target + other, target, RATE, (), None, {})
    half = half_mixture(item)
    assert sdr_improvement(half, target, item.mixture) == pytest.approx(10 * np.log10(2), abs=0.1)
    assert si_sdr_improvement(half, target, item.mixture) == 0


def test_for_removal_the_oracle_and_the_true_answer_are_of_all_else(tmp_path: Path) -> None:
    (items,) = open_sets([str(dataset_of(tmp_path / "set", Asked(3, "high")))], "test")
    kept, left = next(iter(items)), next(iter(Removal(items)))
    np.testing.assert_array_equal(left.target, kept.mixture - kept.target)
    assert (left.task, left.query, left.mixture.tobytes()) == ("removal", kept.query, kept.mixture.tobytes())
    assert left.given() != kept.given()
    assert sdr(ideal_ratio_mask(left), left.target) > 40 + sdr(left.mixture, left.target)


def test_the_oracle_of_a_silent_target_is_silence(tmp_path: Path) -> None:
    (items,) = open_sets([str(dataset_of(tmp_path / "set", Asked(3, silent=True)))], "test")
    assert not ideal_ratio_mask(next(iter(items))).any()
