"""Spectral distances agree with few-liners, librosa's bands and torchmetrics, and silence does what the docstrings say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from trainers.measures import spectral
from trainers.measures.spectral import lsd, lsd_audioldm_eval, lsd_ssr_eval, psnr_audioldm_eval

RATE = 16000
LATE = 1120
"""Samples: seven frames of 160, as the tool writes them."""
NOISE = 0.1 * np.random.default_rng(0).standard_normal((3, RATE))
OTHER = NOISE + 0.02 * np.random.default_rng(1).standard_normal((3, RATE))
SILENCE = np.zeros(RATE)


def magnitudes(signal: np.ndarray, window: int, hop: int, beyond: str) -> np.ndarray:
    """The magnitude spectrum by numpy alone, shape (frames, bins): centred Hann windows."""
    padded = np.pad(signal, window // 2, mode=beyond)  # type: ignore[call-overload]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = 1 + (len(padded) - window) // hop
    return np.abs(np.fft.rfft(np.stack([padded[hop * n : hop * n + window] * hann for n in range(frames)])))


def test_the_distance_is_that_of_a_few_lines() -> None:
    one, two = (20 * np.log10(magnitudes(each[0], 743, 160, "constant")) for each in (OTHER, NOISE))
    floor = two.max() - 80
    difference = np.maximum(one, floor) - np.maximum(two, floor)
    expected = np.sqrt((difference**2).mean(axis=1)).mean()
    np.testing.assert_allclose(lsd(OTHER[0], NOISE[0], RATE), expected, rtol=1e-10)


def test_a_gain_is_its_decibels_and_a_common_one_changes_nothing() -> None:
    np.testing.assert_allclose(lsd(NOISE / 2, NOISE, RATE), 20 * np.log10(2), rtol=1e-9)
    np.testing.assert_allclose(lsd(OTHER / 7, NOISE / 7, RATE), lsd(OTHER, NOISE, RATE), rtol=1e-9)
    np.testing.assert_array_equal(lsd(-NOISE, NOISE, RATE), 0)


def test_digital_silence_costs_no_more_than_the_floor_is_deep_and_nothing_where_the_reference_is_silent_too() -> None:
    assert 40 < lsd(SILENCE, NOISE[0], RATE) < 80
    halved = np.where(np.arange(RATE) < RATE // 2, NOISE[0], 0.0)
    assert lsd(halved, halved, RATE) == 0
    assert lsd(SILENCE, halved, RATE) < 45
    assert np.isnan(lsd(NOISE[0], SILENCE, RATE))


def test_the_tools_distance_is_its_formula() -> None:
    for cut, measure in ((0, lsd_ssr_eval), (LATE, lsd_audioldm_eval)):
        est, ref = OTHER[0][cut:], NOISE[0]
        est, ref = est - est.mean(), ref - ref.mean()
        est, ref = ((each / np.abs(each).max())[: len(est)] for each in (est, ref))
        found, true = (magnitudes(each, 743, 160, "constant") for each in (est, ref))
        expected = np.sqrt((np.log10(true**2 / (found + 1e-12) ** 2 + 1e-12) ** 2).mean(axis=1)).mean()
        np.testing.assert_allclose(measure(OTHER[0], NOISE[0], RATE), expected, rtol=1e-9)


def test_the_tools_distance_is_blown_up_by_digital_silence_even_where_nothing_is_wrong() -> None:
    halved = np.where(np.arange(RATE) < RATE // 2, NOISE[0], 0.0)
    halved -= halved.mean() * (halved != 0) * 2  # the mean that the tool takes away is 0 already
    assert lsd_ssr_eval(halved, halved, RATE) > 4
    assert np.isnan(lsd_ssr_eval(SILENCE, NOISE[0], RATE))
    np.testing.assert_allclose(lsd_ssr_eval(NOISE[0] / 3, NOISE[0], RATE), 0, atol=1e-9)


def test_the_tools_cut_makes_a_perfect_estimate_a_late_one_and_a_late_one_perfect() -> None:
    assert lsd_audioldm_eval(NOISE[0], NOISE[0], RATE) > 0.5
    late = np.concatenate([np.zeros(LATE), NOISE[0] - NOISE[0].mean()])
    np.testing.assert_allclose(lsd_audioldm_eval(late[:RATE], NOISE[0][:RATE], RATE), 0, atol=0.05)
    assert np.isnan(lsd_audioldm_eval(NOISE[:, :LATE], NOISE[:, :LATE], RATE)).all()


@pytest.mark.parametrize(("rate", "window", "hop", "highest"), [(16000, 512, 160, 8000), (32000, 1024, 320, 14000)])
def test_the_tools_psnr_is_that_of_pictures_with_librosas_bands(rate: int, window: int, hop: int, highest: int) -> None:
    filters = pytest.importorskip("librosa.filters")
    image = pytest.importorskip("torchmetrics.functional.image")

    def picture(signal: np.ndarray) -> torch.Tensor:
        signal = np.clip(signal - signal.mean(), -1, 1)
        slaney = filters.mel(sr=rate, n_fft=window, n_mels=64, fmin=50, fmax=highest, dtype=np.float64)
        bands = magnitudes(signal, window, hop, "reflect") @ slaney.T
        return torch.from_numpy(np.clip((20 * np.log10(np.maximum(bands, 1e-5)) - 20 + 100) / 100, 0, 1))

    quiet = np.where(np.arange(RATE) < RATE // 2, 1e-4, 1.0)  # partly below the tool's clamp and its floor
    for gain in (1.0, quiet, 20.0):
        est, ref = gain * OTHER[0], gain * NOISE[0]
        expected = image.peak_signal_noise_ratio(picture(est), picture(ref), data_range=1.0)
        np.testing.assert_allclose(psnr_audioldm_eval(est, ref, rate), float(expected), atol=1e-4)
    assert psnr_audioldm_eval(NOISE[0], NOISE[0], rate) == np.inf


def test_what_rounding_leaves_between_equal_pictures_is_no_error_and_a_short_sound_has_no_picture() -> None:
    np.testing.assert_array_equal(psnr_audioldm_eval(NOISE + 0.2, NOISE, RATE), np.inf)
    assert np.isnan(psnr_audioldm_eval(NOISE[:, :256], NOISE[:, :256], RATE)).all()
    assert np.isfinite(psnr_audioldm_eval(OTHER[:, :257], NOISE[:, :257], RATE)).all()


def test_psnr_is_refused_at_a_rate_that_the_tool_has_no_bands_for() -> None:
    with pytest.raises(ValueError, match="at 16000 or 32000 Hz, not at 44100"):
        psnr_audioldm_eval(NOISE, NOISE, 44100)


@pytest.mark.parametrize("measure", [lsd, lsd_ssr_eval, lsd_audioldm_eval, psnr_audioldm_eval])
def test_a_batch_is_its_items_a_tensor_is_an_array_and_a_fault_is_its_own(
    measure: spectral.Callable[..., np.ndarray],
) -> None:
    whole = measure(OTHER, NOISE, RATE)
    assert whole.shape == (3,)
    np.testing.assert_array_equal(whole, [measure(one, two, RATE) for one, two in zip(OTHER, NOISE, strict=True)])
    np.testing.assert_array_equal(
        whole, measure(torch.from_numpy(OTHER).requires_grad_(), torch.from_numpy(NOISE), RATE)
    )
    np.testing.assert_allclose(whole, measure(OTHER.astype(np.float32), NOISE.astype(np.float32), RATE), rtol=1e-4)
    broken = OTHER.copy()
    broken[1, 5] = np.nan
    np.testing.assert_array_equal(np.isnan(measure(broken, NOISE, RATE)), [False, True, False])
    assert np.isnan(measure(OTHER[:, :0], NOISE[:, :0], RATE)).all()
    with pytest.raises(ValueError, match=r"one shape \(..., samples\), not \(3, 16000\) and \(16000,\)"):
        measure(OTHER, NOISE[0], RATE)


def test_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for measure in (lsd, lsd_ssr_eval, lsd_audioldm_eval, psnr_audioldm_eval):
            measure(SILENCE, NOISE[0], RATE)
            measure(NOISE[0], SILENCE, RATE)
