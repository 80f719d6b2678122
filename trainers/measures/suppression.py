"""Energy suppression: how much of the mixture a separator takes away where the target is silent, in decibels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.measures.separation import Samples, here, signals_of

Floats = NDArray[np.float64]

FRAME_S = 0.1
"""Length in seconds of the frames that are silent or not; one follows the other."""

SILENT_DB = 40.0
"""Decibels that the target lies below the mixture, in a frame in which it counts as silent."""


def suppression(estimate: Samples, reference: Samples, mixture: Samples, rate: int) -> Floats:
    """Return the energy suppression where the target is silent, in dB, higher is better.

    ``10 log10(|x|^2 / |e|^2)`` over the frames of 100 ms in which the mixture ``x`` sounds and the target lies at least 40 dB below
    it (a frame at the end that is not whole counts as well). The mixture itself scores 0; an estimate that is digital silence there
    +inf, also one that is silent everywhere: read it beside a measure of what is kept. SDR says nothing about a mixture without
    its target; this does. The definition is ours.

    Args:
        estimate: samples, shape (..., T).
        reference: samples of the true source, same shape.
        mixture: what was to be separated, same shape.
        rate: Hz.

    Returns:
        Decibels, shape (...); NaN where the target is silent in no frame in which the mixture sounds, or a sample is not finite.

    Raises:
        ValueError: the shapes differ.
    """
    frame = max(1, round(FRAME_S * rate))
    est, ref, mix = (_energies(signal, frame) for signal in signals_of(estimate, reference, mixture))
    silent = (mix > 0) & (ref <= 10 ** (-SILENT_DB / 10) * mix)
    finite = np.all([np.isfinite(each).all(axis=-1) for each in (est, ref, mix)], axis=0)
    left, given = (np.sum(each, axis=-1, where=silent) for each in (est, mix))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(finite & (given > 0), 10 * np.log10(given / left), np.nan)


def _energies(signal: Any, frame: int) -> Floats:
    """Return the energy of each frame, shape (..., frames), on the CPU; the last one may be shorter."""
    whole = signal.shape[-1] - signal.shape[-1] % frame
    with np.errstate(over="ignore", invalid="ignore"):
        squares = signal * signal
        frames = squares[..., :whole].reshape(*signal.shape[:-1], whole // frame, frame).sum(-1)
        rest = squares[..., whole:].sum(-1)[..., None]
    return np.concatenate([here(frames), here(rest)], axis=-1)
