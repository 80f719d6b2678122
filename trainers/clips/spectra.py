"""Power spectrograms of clips, and how sounds are made louder, followed and overlaid there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from schemas.ids import seed_for
from trainers.clips.shards import Clips

GAIN_DB = 6.0
"""Clips are heard up to this much louder or softer in training, drawn uniformly, since a level is no property of a class."""

HELD = 1 << 30
"""Bytes of spectrograms that a process keeps: of some hours of sound none is made twice, of more all but these are made each time."""

SURVEYED = 2000
"""Clips from which the statistics of a band are taken, drawn by the seed where there are more."""


class Spectra:
    """The power spectrograms of clips, by number; those that were made are kept as long as they are few.

    Args:
        clips: whose.
        rate: samples per second at which they are heard.
        longest_s: seconds from their start that are heard.
        power: makes a spectrogram of shape (frames, bands) of samples.
    """

    def __init__(
        self, clips: Clips, rate: int, longest_s: float, power: Callable[[NDArray[np.float32]], Tensor]
    ) -> None:
        self.clips, self.rate, self.longest, self.power = clips, rate, round(longest_s * rate), power
        self._held: dict[int, Tensor] = {}
        self._bytes = 0

    def __getitem__(self, number: int) -> Tensor:
        """Return the spectrogram of a clip, shape (frames, bands)."""
        if number in self._held:
            return self._held[number]
        samples = at_rate(self.clips[number], self.clips.told[number].sample_rate, self.rate)[: self.longest]
        with torch.inference_mode():
            made = self.power(samples).clone()
        if self._bytes + made.nbytes <= HELD:
            self._held[number] = made
            self._bytes += made.nbytes
        return made

    def survey(self, numbers: Sequence[int], seed: int, scale: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean and the variance of each band over the frames of many clips, each of shape (bands,).

        Args:
            numbers: the clips to draw from.
            seed: of the draw.
            scale: is applied to the powers first, such as a logarithm.
        """
        rng = np.random.default_rng(seed_for(seed, "trainers.clips", "survey"))
        drawn = np.sort(rng.permutation(np.asarray(numbers))[:SURVEYED])
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for number in drawn.tolist():
            # float64: the variance is a difference of large sums.
            values = scale(self[number]).double()
            count, total, squares = count + len(values), total + values.sum(0), squares + values.square().sum(0)
        mean = total / count
        return mean.float(), ((squares - count * mean.square()) / (count - 1)).float()


def at_rate(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Return samples in [-1, 1], shape (n,), of ``rate`` per second at the rate that is wanted."""
    if rate == wanted:
        return samples
    return np.clip(soxr.resample(samples, rate, wanted), -1.0, 1.0).astype(np.float32)


def louder(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a power spectrogram at another level, drawn within :data:`GAIN_DB`."""
    return power * float(10.0 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 10.0))


def overlaid(first: Tensor, second: Tensor, at: int) -> Tensor:
    """Return the power of two sounds of which the second begins at frame ``at``; shapes (frames, bands).

    Powers add up as those of independent sounds do on average; a spectrogram of the sum would have beats as well.
    """
    frames = max(len(first), at + len(second))
    return _placed(first, 0, frames) + _placed(second, at, frames)


def _placed(power: Tensor, at: int, frames: int) -> Tensor:
    return functional.pad(power, (0, 0, at, frames - at - len(power)))
