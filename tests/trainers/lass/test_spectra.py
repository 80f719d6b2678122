"""Spectra come back as the signals they were made of, and a mask neither adds energy nor loses the phase."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from trainers.lass.spectra import Spectra, filled, levelled, masked, window_and_hop


@pytest.mark.parametrize(
    ("rate", "window", "hop"),
    [(32000, 2048, 320), (16000, 1024, 160), (8000, 512, 80), (44100, 2048, 441), (48000, 4096, 480)],
)
def test_window_and_hop_are_audioseps_and_those_of_other_rates_are_as_long(rate: int, window: int, hop: int) -> None:
    assert window_and_hop(rate) == (window, hop)
    assert 0.064 / math.sqrt(2) < window / rate < 0.064 * math.sqrt(2)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("length", [1, 2, 159, 160, 511, 513, 7001])
def test_a_signal_of_any_length_comes_back(rate: int, length: int) -> None:
    signal, spectra = torch.randn(2, length, dtype=torch.float32), Spectra(rate)
    made = spectra(signal)
    assert made.shape == (2, length // spectra.hop + 1, spectra.bins + 1)
    assert torch.allclose(spectra.back(made, length), signal, atol=1e-5)


def test_a_tone_lies_in_its_own_bin() -> None:
    spectra = Spectra(16000)
    tone = torch.sin(2 * math.pi * 1000.0 * torch.arange(16000) / 16000)[None]
    assert int(spectra(tone).abs().mean(dim=1).argmax()) == 1000 * 1024 // 16000


def test_an_open_mask_without_rotation_leaves_the_spectrum_as_it_is_and_a_closed_one_nothing() -> None:
    spectra = torch.randn(2, 5, 7, dtype=torch.complex64)
    maps = torch.zeros(2, 3, 5, 7)
    maps[:, 0], maps[:, 1] = 40.0, 1.0
    assert torch.allclose(masked(spectra, maps), spectra, atol=1e-5)
    maps[:, 0] = -40.0
    assert masked(spectra, maps).abs().max() < 1e-12


def test_a_rotation_turns_the_phase_and_keeps_the_magnitude() -> None:
    spectra = torch.randn(1, 4, 4, dtype=torch.complex64)
    maps = torch.zeros(1, 3, 4, 4)
    maps[:, 0], maps[:, 2] = 40.0, 0.7  # straight up: a quarter turn
    assert torch.allclose(masked(spectra, maps), spectra * 1j, atol=1e-5)


def test_no_bin_becomes_louder_whatever_the_maps_are() -> None:
    spectra, maps = torch.randn(3, 6, 9, dtype=torch.complex64), 10 * torch.randn(3, 3, 6, 9)
    assert (masked(spectra, maps).abs() <= spectra.abs() * (1 + 1e-5)).all()


def test_the_gradient_is_finite_where_a_rotation_has_no_angle() -> None:
    maps = torch.zeros(1, 3, 2, 2, requires_grad=True)
    masked(torch.randn(1, 2, 2, dtype=torch.complex64), maps).abs().sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_levels_are_one_and_silence_stays_silent() -> None:
    signals = torch.stack([0.01 * torch.randn(1000), torch.zeros(1000), 1e-15 * torch.ones(1000)])
    made, level = levelled(signals)
    assert torch.allclose(made.square().mean(dim=1).sqrt(), torch.tensor([1.0, 0.0, 1.0]), atol=1e-4)
    assert torch.allclose(made * level, signals, atol=1e-8)


def test_maps_are_filled_up_after_their_end() -> None:
    maps = torch.ones(1, 2, 5, 6)
    made = filled(maps, (4, 6))
    assert made.shape == (1, 2, 8, 6)
    assert torch.equal(made[:, :, :5], maps)
    assert not made[:, :, 5:].any()


def test_the_mask_and_the_turn_of_phase_are_those_of_a_few_lines_in_double_precision() -> None:
    spectra, maps = torch.randn(2, 5, 7, dtype=torch.complex128), 3 * torch.randn(2, 3, 5, 7, dtype=torch.float64)
    made = masked(spectra, maps)
    for at in range(spectra.numel()):
        row, frame, place = at // 35, at // 7 % 5, at % 7
        mask, real, imaginary = (float(each) for each in maps[row, :, frame, place])
        magnitude = abs(complex(spectra[row, frame, place])) / (1 + math.exp(-mask))
        angle = cmath.phase(complex(spectra[row, frame, place])) + math.atan2(math.tanh(imaginary), math.tanh(real))
        assert cmath.isclose(complex(made[row, frame, place]), cmath.rect(magnitude, angle), rel_tol=1e-6)
