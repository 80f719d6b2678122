"""The arithmetic of a mixture: gains for a ratio, stems in the stored integers, a mixture that is exactly their sum."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

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


def energy(samples: NDArray[np.int16] | NDArray[np.float32]) -> float:
    """Return the sum of squares; exact for whole numbers of 16 bits at any practical length, so that order does not matter."""
    wide = samples.astype(np.float64)
    return float(wide @ wide)


def snr_db(target: NDArray[np.int16], interference: NDArray[np.int16]) -> float:
    """Return 10 log10 of target energy over interference energy, in dB, over the whole mixture."""
    return 10.0 * math.log10(energy(target) / energy(interference))  # numpy's differs between CPUs in the last bit


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
    wide = sum((x.astype(np.float32) for x in interferers[1:]), interferers[0].astype(np.float32))
    wanted, unwanted = energy(target), energy(wide)
    if not wanted:
        raise CannotMix("the target is silent where it is used")
    if not unwanted:
        raise CannotMix("the interference is silent where it is used")
    gain = float(np.sqrt(wanted / unwanted / 10.0 ** (asked_snr_db / 10.0)))
    wide *= np.float32(gain)
    # One unit of headroom per stem: rounding may lift each of them by half a unit. Sources that cancel each other may be louder
    # than their sum, and must fit 16 bits as well, each of them and the interference as a whole.
    room = FULL_SCALE - 1 - len(interferers)
    parts = [loudest(target), loudest(wide), *(gain * loudest(x) for x in interferers if len(interferers) > 1)]
    wide += target
    scale = min(
        1.0,
        (peak * FULL_SCALE - 1 - len(interferers)) / max(1.0, loudest(wide)),
        *(room / max(1.0, part) for part in parts),
    )
    stem = scaled(target, scale)
    rest = added(scaled(x, scale * gain) for x in interferers)
    if not stem.any() or not rest.any():
        raise CannotMix("a source is so quiet at this ratio that it vanishes in 16 bits")
    mixture = stem + rest
    return Mixed(mixture, stem, scale, scale * gain, snr_db(stem, rest), loudest(mixture) / FULL_SCALE)


def loudest(samples: NDArray[np.int16] | NDArray[np.float32]) -> float:
    """Return the largest magnitude."""
    return max(float(samples.max()), -float(samples.min()))


def scaled(samples: NDArray[np.int16], gain: float) -> NDArray[np.int16]:
    """Return ``samples`` times ``gain``, rounded to the nearest integer (ties to even); the product must fit 16 bits.

    The product is taken in float32, whose 24 bits hold any 16-bit sample times any gain to within rounding.
    """
    if gain == 1.0:
        return samples
    product = samples * np.float32(gain)
    return np.rint(product, out=product).astype(np.int16)


def added(stems: Iterable[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Return the sum of stems, which the gains of :func:`mix` keep within 16 bits; a partial sum that wraps comes back."""
    return reduce(np.add, stems)


def place(samples: NDArray[np.int16], start: int, at: int, length: int, total: int) -> NDArray[np.int16]:
    """Return ``total`` samples, zero but for ``samples[start:start + length]`` laid at ``at``.

    Raises:
        ValueError: the piece does not fit, or the clip is shorter than the plan says.
    """
    piece = samples[start : start + length]
    if len(piece) != length or at < 0 or at + length > total:
        raise ValueError(
            f"a piece of {length} samples from {start} at {at} does not fit into {total} (clip has {len(samples)})"
        )
    out = np.zeros(total, dtype=np.int16)
    out[at : at + length] = piece
    return out
