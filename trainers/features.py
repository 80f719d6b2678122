"""Spectrograms in memory: what both trainers make of clips, and how sounds are made louder, followed and overlaid there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils import deterministic

from trainers.captions import Captioned

GAIN_DB = 6.0
"""Clips are heard up to this much louder or softer in training, drawn uniformly, since a level is no property of a class."""


def at_rate(clip: Captioned, rate: int) -> NDArray[np.float32]:
    """Return a clip's samples, shape (n,), at ``rate`` samples per second, in [-1, 1]."""
    if clip.sample_rate == rate:
        return clip.samples
    return np.clip(soxr.resample(clip.samples, clip.sample_rate, rate), -1.0, 1.0).astype(np.float32)


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


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Let torch compute with one thread, by deterministic algorithms and from a seed; afterwards all is as it was.

    Sums over several threads round otherwise with every number of threads; with one, the same machine gives the same bits.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        # It costs a tenth of the time, and nothing here reads such memory.
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)
            deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
