"""How loud a source is in a mixture: its energy where it sounds, and its loudness."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taggers.base import Waveform
from taggers.descriptors import ACTIVE_RANGE_DB, LEVEL_S, loudness

Energy = Literal["active", "all"]

LEAST_S = 0.4
"""One block of BS.1770-4: what is shorter has no loudness."""

_PIECE = 4096


class Power(NamedTuple):
    """Energy of a source: the sum of its squared samples, and two mean squares; 0 where it is silent."""

    total: float
    all: float
    """Over every sample of the mixture."""
    active: float
    """Over the frames in which the source sounds."""

    def by(self, energy: Energy) -> float:
        """Return the mean square that a rule asks for."""
        return self.active if energy == "active" else self.all


def power(samples: NDArray[np.int16] | NDArray[np.int32], rate: int) -> Power:
    """Measure a stem of whole numbers.

    A source sounds in the frames of 20 ms, counted from its first sample that is not 0, whose mean square is within 40 dB of
    its loudest frame's: the same frames and range as `taggers.descriptors` finds active spans by. So neither the
    zeros around a short clip nor the pauses within it make a source louder than it was asked to be; over all samples,
    a bark of one second in ten would come out 10 dB louder than a steady sound at the same ratio.

    Squares and sums of whole numbers are exact in float64 (up to 2^53: hours at full scale), so that no order of summing,
    and no other processor, gives another value.

    Args:
        samples: shape (n,), n >= 1.
        rate: samples per second.
    """
    found = samples[sounding(samples)]
    if not len(found):
        return Power(0.0, 0.0, 0.0)
    frame = max(1, round(LEVEL_S * rate))
    whole = len(found) // frame
    framed, rest = found[: whole * frame].reshape(whole, frame), found[whole * frame :].astype(np.float64)
    energies = np.einsum("ij,ij->i", framed, framed, dtype=np.float64)
    counts = np.full(whole, float(frame))
    if len(rest):
        energies, counts = np.append(energies, rest @ rest), np.append(counts, float(len(rest)))
    mean = energies / counts
    sounds = mean >= mean.max() * 10.0 ** (-ACTIVE_RANGE_DB / 10)
    total = float(energies.sum())
    return Power(total, total / len(samples), float(energies[sounds].sum() / counts[sounds].sum()))


def energy(samples: NDArray[np.int16]) -> float:
    """Return the sum of squares, exact like those of `power`."""
    return float(np.einsum("i,i->", samples, samples, dtype=np.float64))


def sounding(samples: NDArray[np.integer]) -> slice:
    """Return where the samples are, from the first to the last that is not 0."""
    first = _zeros(samples)
    return slice(first, len(samples) - _zeros(samples[::-1])) if first < len(samples) else slice(0, 0)


def _zeros(samples: NDArray[np.integer]) -> int:
    """Return how many samples are 0 before the first that is not; looked for piece by piece, since most clips begin soon."""
    for begin in range(0, len(samples), _PIECE):
        loud = samples[begin : begin + _PIECE] != 0
        if loud.any():
            return begin + int(loud.argmax())
    return len(samples)


def lufs(samples: NDArray[np.int16], rate: int) -> float | None:
    """Return the integrated loudness of a stem in LUFS (ITU-R BS.1770-4, mono); None where it is under -70 LUFS.

    Measured from the first to the last sample that is not 0; a sound under 0.4 s, which would have no loudness, is repeated
    until it has that length (as scaper does).

    Args:
        samples: int16, shape (n,).
        rate: samples per second, at least 4000.
    """
    found = samples[sounding(samples)]
    if not len(found):
        return None
    least = math.ceil(LEAST_S * rate)
    if len(found) < least:
        found = np.resize(found, least)
    return loudness(Waveform(found.astype(np.float32) / np.float32(32768), rate))


def decibels(ratio: float) -> float:
    """Return 10 log10 of a ratio of energies above 0; by `math`, since numpy's differs between processors in the last bit."""
    return 10.0 * math.log10(ratio)


def amplitude(level_db: float) -> float:
    """Return the linear gain of a level in dB."""
    return float(10.0 ** (level_db / 20.0))
