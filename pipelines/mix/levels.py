"""The arithmetic of a mixture: gains for a ratio, stems in the stored integers, a mixture that is exactly their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32767
"""Largest magnitude of a 16-bit sample."""


@dataclass(frozen=True)
class Mixed:
    """A mixture and its target in 16-bit integers, shape (n,) each; the residual is their difference, exactly.

    ``target_gain`` and ``interferer_gain`` are linear; ``achieved_snr_db`` is measured on the integers; ``peak`` is of the
    mixture, full scale = 1.
    """

    mixture: NDArray[np.int16]
    target: NDArray[np.int16]
    target_gain: float
    interferer_gain: float
    achieved_snr_db: float
    peak: float


class CannotMix(ValueError):
    """The ratio cannot be had: a source is silent where it is used, or vanishes in rounding."""


def energy(samples: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Return the sum of squares; exact for 16-bit input of any practical length."""
    wide = samples.astype(np.float64)
    return float(wide @ wide)


def snr_db(target: NDArray[np.int64], interference: NDArray[np.int64]) -> float:
    """Return 10 log10 of target energy over interference energy, in dB, over the whole mixture."""
    return 10.0 * float(np.log10(energy(target) / energy(interference)))


def mix(target: NDArray[np.int16], interferers: list[NDArray[np.int16]], asked_snr_db: float, peak: float) -> Mixed:
    """Mix one target with the sum of its interferers.

    The target keeps its level, the interference is brought to ``asked_snr_db``, and where the sum would be louder than
    ``peak`` both are turned down alike. Gains are applied to each stem, each stem is rounded to integers, and only then are
    they added: so the sum of the stems is the mixture without any error, whatever the gains.

    Args:
        target: int16, shape (n,).
        interferers: int16, shape (n,) each, at least one.
        asked_snr_db: ratio of target to summed interference energy over the n samples, in dB.
        peak: largest magnitude of the mixture, in (0, 1], full scale = 1.

    Raises:
        CannotMix: the target or the interference is silent, or one of them is all zeros after rounding.
    """
    wide = np.sum([x.astype(np.int64) for x in interferers], axis=0)
    if not target.any():
        raise CannotMix("the target is silent where it is used")
    if not wide.any():
        raise CannotMix("the interference is silent where it is used")
    ratio = energy(target.astype(np.int64)) / energy(wide)
    gain = float(np.sqrt(ratio / 10.0 ** (asked_snr_db / 10.0)))
    loudest = float(np.abs(target + gain * wide).max())
    # One unit of headroom per stem: rounding may lift each of them by half a unit.
    ceiling = peak * FULL_SCALE - 1 - len(interferers)
    scale = min(1.0, ceiling / loudest)
    stem = scaled(target, scale)
    rest = np.sum([scaled(x, scale * gain) for x in interferers], axis=0)
    if not stem.any() or not rest.any():
        raise CannotMix("a source is so quiet at this ratio that it vanishes in 16 bits")
    mixture = stem + rest
    return Mixed(mixture.astype(np.int16), stem.astype(np.int16), scale, scale * gain, snr_db(stem, rest),
                 float(np.abs(mixture).max()) / FULL_SCALE)


def scaled(samples: NDArray[np.int16], gain: float) -> NDArray[np.int64]:
    """Return ``samples`` times ``gain``, rounded to the nearest integer (ties to even)."""
    return np.rint(samples.astype(np.float64) * gain).astype(np.int64)


def place(samples: NDArray[np.int16], start: int, at: int, length: int, total: int) -> NDArray[np.int16]:
    """Return ``total`` samples, zero but for ``samples[start:start + length]`` laid at ``at``.

    Raises:
        ValueError: the piece does not fit, or the clip is shorter than the plan says.
    """
    piece = samples[start : start + length]
    if len(piece) != length or at < 0 or at + length > total:
        raise ValueError(f"a piece of {length} samples from {start} at {at} does not fit into {total} (clip has {len(samples)})")
    out = np.zeros(total, dtype=np.int16)
    out[at : at + length] = piece
    return out
