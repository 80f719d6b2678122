"""What always stands beside a system: the mixture as it is and at half its level, silence, and an oracle that knows the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from trainers.evaluating.items import Item, Samples
from trainers.lass.spectra import Spectra, window_and_hop


def mixture(item: Item) -> Samples:
    """Return the mixture: no processing."""
    return item.mixture


def half_mixture(item: Item) -> Samples:
    """Return the mixture at half its level: at 0 dB it gains 3 dB of SDR, and nothing is separated."""
    return item.mixture * np.float32(0.5)


def silence(item: Item) -> Samples:
    """Return zeros."""
    return np.zeros_like(item.mixture)


def ideal_ratio_mask(item: Item) -> Samples:
    """Return the mixture under the ideal ratio mask, ``sqrt(|S|^2 / (|S|^2 + |N|^2))`` (Wang et al., 2014): an oracle, not a bound.

    ``S`` is the target's spectrum, ``N`` that of all else; the STFT is :func:`oracle_of`'s, the phase the mixture's.
    """
    spectra = _spectra(item.rate)
    both = torch.from_numpy(np.stack([item.target, item.mixture - item.target]))
    target, rest = spectra(both).abs().square()
    mask = (target / (target + rest).clamp_min(1e-30)).sqrt()
    mixed = spectra(torch.from_numpy(item.mixture.copy())[None])
    made: Samples = spectra.back(mask * mixed, len(item.mixture))[0].numpy()
    return made


BASELINES: dict[str, Callable[[Item], Samples]] = {
    "mixture": mixture,
    "half_mixture": half_mixture,
    "silence": silence,
    "ideal_ratio_mask": ideal_ratio_mask,
}
"""Name -> what it answers."""


def oracle_of(rate: int) -> str:
    """Return the oracle's mask and STFT at a rate, in words."""
    window, hop = window_and_hop(rate)
    return f"sqrt(|S|² / (|S|² + |N|²)), periodic Hann windows of {window} samples every {hop} at {rate} Hz, the mixture's phase"


@cache
def _spectra(rate: int) -> Spectra:
    return Spectra(rate)
