"""Facts of a stretch as it is decoded, before the store's rate and level hide them.

Clipping and the band limit are defined by :mod:`taggers.descriptors`, which measures them in what is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pipelines.ingest.streams import Block
from taggers.descriptors import CLIPPED_RUN, FACTS, FRAME_S, FULL_SCALE, Array, band_limit, hann, runs

_PARTS = 24
"""Frames that the band limit is judged by: the cost must not grow with the length."""
_LARGEST = 1e30
"""Times full scale: sums of larger samples may be infinite."""


@dataclass(frozen=True)
class Facts:
    """What was measured of a stretch; the columns of ``clips`` of these names."""

    dc_offset: float
    clipped_share: float
    channels_equal: bool | None
    band_limit_hz: float | None


class Tally:
    """What is measured of a stretch while its blocks pass by.

    Attributes:
        silent: every sample of every channel is zero.
        finite: no sample is NaN, infinite or beyond 1e30 times full scale.
        heard: some sample of what is kept is not zero.
    """

    def __init__(self) -> None:
        self.silent, self.finite, self.heard = True, True, False
        self._frames, self._sum, self._clipped, self._equal = 0, 0.0, 0, True
        self._ending: dict[tuple[int, int], int] = {}

    def add(self, block: Block, kept: NDArray[np.float32]) -> None:
        """Take the next frames: all channels of them, and (of the same length) the signal that is kept."""
        low, high = float(block.min()), float(block.max())
        self.silent = self.silent and low == high == 0
        self.finite = self.finite and low >= -_LARGEST and high <= _LARGEST
        self.heard = self.heard or bool(kept.any())
        self._frames += len(block)
        self._sum += float(kept.sum())
        self._equal = self._equal and _equal(block)
        if low <= -FULL_SCALE or high >= FULL_SCALE:
            self._clipped += self._count_clipped(block)
        else:
            self._ending.clear()

    def _count_clipped(self, block: Block) -> int:
        """Return how many samples more are known to be clipped; a run may go on from the block before."""
        count, ending = 0, {}
        for channel, samples in enumerate(block.T):
            for side, full in enumerate((samples >= FULL_SCALE, samples <= -FULL_SCALE)):
                if not full.any():
                    continue
                before = min(self._ending.get((channel, side), 0), CLIPPED_RUN)
                starts, ends = runs(np.concatenate([np.ones(before, np.bool_), full]))
                lengths = ends - starts
                count += int(lengths[lengths >= CLIPPED_RUN].sum()) - (before if before == CLIPPED_RUN else 0)
                if full[-1]:
                    ending[channel, side] = int(lengths[-1])
        self._ending = ending
        return count

    def facts(self, kept: NDArray[np.float32], rate: int, channels: int) -> Facts:
        """Return the facts of the whole stretch, rounded so that the last bits of a CPU's arithmetic do not show.

        Args:
            kept: all of the signal that is kept, float32 of shape (n,), n > 0.
            rate: its samples per second.
            channels: channels of the file.
        """
        mean = self._sum / self._frames
        limit = band_limit_hz(kept, rate)
        return Facts(
            round(mean, FACTS["dc_offset"].decimals) + 0.0,  # no negative zero
            round(self._clipped / (self._frames * channels), FACTS["clipped_share"].decimals),
            self._equal if channels > 1 else None,
            None if limit is None else round(limit, FACTS["band_limit_hz"].decimals),
        )


def _equal(block: Block) -> bool:
    """Say whether all channels are equal; where they are not, the first frames mostly tell."""
    few = block[:64]
    return bool((few == few[:, :1]).all()) and all(np.array_equal(block[:, 0], other) for other in block.T[1:])


def band_limit_hz(samples: NDArray[np.float32], rate: int) -> float | None:
    """Return where the spectrum ends in a cliff, in Hz; None: no cliff.

    It is :func:`taggers.descriptors.band_limit` of the 64 ms frame with most energy in each of 24 equal parts of the
    stretch, in place of all its frames. An offset is left in, for it leaks into the lowest bins alone.
    """
    size, window, scale = _frame(rate)
    half = size // 2
    if len(samples) < size:
        frames = np.pad(samples - samples.mean(), (0, size - len(samples)))[None] * window
    else:
        halves = samples[: len(samples) // half * half].reshape(-1, half)
        energy = np.einsum("ij,ij->i", halves, halves)
        energy = energy[:-1] + energy[1:]
        each = math.ceil(len(energy) / _PARTS)
        loudest = [start + int(energy[start : start + each].argmax()) for start in range(0, len(energy), each)]
        frames = np.empty((len(loudest), size), np.float32)
        for number, frame in zip(loudest, frames, strict=True):
            np.multiply(samples[number * half : number * half + size], window, out=frame)
    # Real and imaginary parts side by side: their squares are summed without a copy of each.
    parts = fft.rfft(frames, axis=1).view(np.float32)
    power = np.einsum("ij,ij->j", parts, parts).reshape(-1, 2).sum(axis=1) * (scale / np.float32(len(frames)))
    return band_limit(power[None], rate / size)


@lru_cache(maxsize=8)
def _frame(rate: int) -> tuple[int, Array, np.float32]:
    """Return size, window and scale of the frames of :func:`taggers.descriptors.spectrogram`."""
    size = 2 * fft.next_fast_len(max(8, round(FRAME_S * rate / 2)), real=True)
    window = hann(size)
    return size, window, np.float32(2.0 / (size * np.sum(np.square(window, dtype=np.float64))))
