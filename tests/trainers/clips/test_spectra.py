"""Sounds are made louder, laid over one another and brought to a rate as is said; spectrograms are made once and surveyed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from caption_worlds import world

from trainers.clips.shards import Clips
from trainers.clips.spectra import Spectra, at_rate, louder, overlaid


def test_levels_are_drawn_evenly_within_6_db_and_powers_are_scaled_by_them() -> None:
    rng, power = np.random.default_rng(0), torch.tensor([[1.0, 4.0]])
    made = torch.cat([louder(power, rng) for _ in range(4000)]).numpy()
    np.testing.assert_allclose(made[:, 1], 4 * made[:, 0], rtol=1e-6)
    level_db = 10 * np.log10(made[:, 0])
    assert (level_db.min(), level_db.max()) == (pytest.approx(-6, abs=0.05), pytest.approx(6, abs=0.05))
    np.testing.assert_allclose(np.percentile(level_db, [25, 50, 75]), [-3, 0, 3], atol=0.35)


@pytest.mark.parametrize(
    ("first", "second", "at", "both"),
    [
        (3, 2, 0, [3, 3, 1]),
        (3, 2, 1, [1, 3, 3]),
        (3, 2, 2, [1, 1, 3, 2]),
        (3, 2, 3, [1, 1, 1, 2, 2]),
        (2, 1, 4, [1, 1, 0, 0, 2]),  # silence between
        (1, 3, 0, [3, 2, 2]),
    ],
)
def test_powers_add_up_from_where_the_second_begins(first: int, second: int, at: int, both: list[int]) -> None:
    made = overlaid(torch.ones(first, 2), 2 * torch.ones(second, 2), at)
    assert made[:, 0].tolist() == made[:, 1].tolist() == both


def test_a_clip_at_the_rate_is_left_alone_and_another_is_resampled_within_full_scale() -> None:
    square = np.where(np.arange(8000) // 40 % 2, 1.0, -1.0).astype(np.float32)
    assert at_rate(square, 8000, 8000) is square
    made = at_rate(square, 8000, 16000)
    assert (made.dtype, made.shape) == (np.dtype(np.float32), (16000,))
    assert (made.min(), made.max()) == (-1.0, 1.0)  # it would overshoot
    tone = (0.5 * np.sin(2 * np.pi * 100 * np.arange(8000) / 8000)).astype(np.float32)
    wanted = 0.5 * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
    np.testing.assert_allclose(at_rate(tone, 8000, 16000)[1000:-1000], wanted[1000:-1000], atol=1e-3)


@pytest.fixture
def spectra(tmp_path: Path) -> Spectra:
    """Return spectra of two bands that are the square of 100 samples each, of clips of one or two seconds."""
    clips = Clips([world(tmp_path, {"train": 8})], "train")
    return Spectra(clips, 16000, 1.5, lambda sound: torch.from_numpy(sound).square().unfold(0, 100, 100)[:, :2])


def test_a_spectrogram_is_of_the_beginning_and_made_once(spectra: Spectra) -> None:
    assert [len(spectra[number]) for number in range(4)] == [160, 160, 240, 240]
    assert spectra[3] is spectra[3]


def test_beyond_the_bytes_that_are_kept_each_is_made_again(spectra: Spectra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.clips.spectra.HELD", 2 * 160 * 2 * 4)
    first, second, third = spectra[0], spectra[1], spectra[2]
    assert spectra[0] is first
    assert spectra[1] is second
    assert spectra[2] is not third
    assert torch.equal(spectra[2], third)


def test_a_survey_is_of_all_frames_or_of_those_of_clips_that_are_drawn(
    spectra: Spectra, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [0, 2, 5]
    frames = torch.cat([spectra[number] for number in numbers]).double()
    mean, variance = spectra.survey(numbers, 0, lambda power: 3.0 * power)
    torch.testing.assert_close(mean.double(), 3 * frames.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance.double(), 9 * frames.var(0), rtol=1e-5, atol=0)
    monkeypatch.setattr("trainers.clips.spectra.SURVEYED", 1)
    one, _ = spectra.survey(numbers, 0, lambda power: power)
    assert any(torch.allclose(one, spectra[number].mean(0)) for number in numbers)
