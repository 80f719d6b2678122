"""The published evaluators' arithmetic: two sounds at a ratio, in float32 as they compute it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Reject
from taggers.base import Waveform
from taggers.descriptors import loudness

Samples = NDArray[np.float32]

DECLIPPED = 0.9
"""Largest magnitude of a mixture that was above full scale."""
LUFS = (-35.0, -25.0)
"""Range from which the loudness of VGGSound's sources was drawn."""


class Mixed(NamedTuple):
    """Float32 of shape (n,) each: what is asked for, the other sound as it was mixed, and the mixture.

    ``gain`` is the linear gain on the other sound before the mixture was turned down, ``declip`` the factor on all three.
    """

    target: Samples
    other: Samples
    mixture: Samples
    gain: float
    declip: float


def at_snr(target: Samples, other: Samples, snr_db: int) -> Mixed:
    """Mix as DCASE 2024 task 9's evaluator does.

    The other sound is scaled by the square root of P / 10^(snr/10) / Q, where P and Q are the mean squares of target and other
    over all samples; then it is added. A mixture above full scale is scaled to a peak of 0.9 with its target. Sounds and means are
    float32 by NumPy's own mean, factors are taken in float64 and rounded to float32: what NumPy 1 makes of the published
    operations, in their order, bit by bit. NumPy 2 takes the factors in float32 and may differ in the last bit.

    Args:
        target: float32, shape (n,), n >= 1.
        other: likewise, of the same length.
        snr_db: whole decibels.

    Raises:
        Reject: ``cannot_mix``: one of them is silent over these samples, where the published code would divide by zero.
    """
    power, noise = np.mean(target**2), np.mean(other**2)
    if not power or not noise:
        raise Reject("cannot_mix", f"the {'target' if not power else 'other sound'} is silent where it is used")
    factor = math.sqrt(float(power) / (10 ** (snr_db / 10)) / float(noise))
    return declipped(target, other * np.float32(factor), factor)


def declipped(target: Samples, other: Samples, gain: float) -> Mixed:
    """Add two sounds and turn a mixture above full scale down to 0.9, with both of them."""
    mixture = target + other
    peak = float(np.max(np.abs(mixture)))
    if not peak > 1:
        return Mixed(target, other, mixture, gain, 1.0)
    scale = np.float32(DECLIPPED / peak)
    return Mixed(target * scale, other * scale, mixture * scale, gain, float(scale))


def as_loud(samples: Samples, rate: int, lufs: float) -> Samples:
    """Return a sound at an integrated loudness (ITU-R BS.1770-4).

    Raises:
        Reject: ``cannot_mix``: it has no loudness (under 0.4 s, or under -70 LUFS).
    """
    own = loudness(Waveform(np.clip(samples, -1.0, 1.0), rate))
    if own is None:
        raise Reject("cannot_mix", "a sound is too short or too quiet to have a loudness")
    return samples * np.float32(10.0 ** ((lufs - own) / 20.0))


def snr_db(target: Samples, other: Samples) -> float | None:
    """Return 10 log10 of the energies' ratio over all samples; None where one of them is silent."""
    wanted, rest = (float(np.sum(np.square(x, dtype=np.float64))) for x in (target, other))
    return 10.0 * math.log10(wanted / rest) if wanted and rest else None
