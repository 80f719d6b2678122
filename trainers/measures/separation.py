"""Separation measures in decibels: SDR, SI-SDR, their improvements, and BSS Eval's SDR, SIR and SAR.

Several numbers in the literature are called "SDR", so each function here names its variant. All of them take
arrays or tensors, compute in float64, give numpy arrays, and are better the higher they are. SDR, SI-SDR and
their improvements sum samples on the device that tensors are on; BSS Eval is of SciPy's and takes those of the
CPU alone. Common rules:

* a silent (all zero) reference gives NaN: how well nothing was recovered is unknown, not bad;
* a NaN or an infinity among the samples gives NaN;
* an error more than 300 dB below the signal is float64 rounding and gives +inf;
* no value is floored with a small constant, so no value depends on one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, linalg
from torch import Tensor

Floats = NDArray[np.float64]
Samples = ArrayLike | Tensor

TAPS = 512
"""Length in samples of the filter that BSS Eval forgives, as in its reference implementation, version 3."""

_ROUNDING = 1e-30

_CONSTANT = 1e-24
"""Share of its energy that rounding may leave of a constant whose mean is taken away."""


def sdr(estimate: Samples, reference: Samples) -> Floats:
    """Return the signal-to-distortion ratio as AudioSep and DCASE 2024 task 9 define it, a plain SNR, in dB.

    ``10 log10(|s|^2 / |s - e|^2)``: every deviation is distortion, also a wrong gain or a delay. A silent
    estimate scores 0 dB, one equal to the reference +inf.

    Args:
        estimate: samples, shape (..., T).
        reference: samples of the true source, same shape.

    Returns:
        Decibels, shape (...).

    Raises:
        ValueError: the shapes differ.
    """
    est, ref = signals_of(estimate, reference)
    energy = _energy(ref)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(energy > 0, _ratio_db(energy, _energy(ref - est)), np.nan)


def sdr_improvement(estimate: Samples, reference: Samples, mixture: Samples) -> Floats:
    """Return SDRi in dB: :func:`sdr` of the estimate minus :func:`sdr` of the unprocessed mixture.

    NaN where the mixture equals the reference: there was nothing to improve. Shapes and errors as in
    :func:`sdr`.
    """
    return _improvement(sdr(estimate, reference), sdr(mixture, reference))


def si_sdr(estimate: Samples, reference: Samples) -> Floats:
    """Return the scale-invariant SDR in dB, of zero-mean signals.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019: ``10 log10(|a s|^2 / |a s - e|^2)`` with
    ``a = <e, s> / |s|^2``, after both signals' means are taken away; so an offset and a gain other than 0,
    also a negative one, are forgiven. A reference that is constant has nothing left and gives NaN. An
    estimate that is constant gives -inf, as does any that is orthogonal to the reference.

    Args:
        estimate: samples, shape (..., T).
        reference: samples of the true source, same shape.

    Returns:
        Decibels, shape (...).

    Raises:
        ValueError: the shapes differ.
    """
    est, ref = (_centred(signal) for signal in signals_of(estimate, reference))
    energy = _energy(ref)
    with np.errstate(invalid="ignore", over="ignore"):
        gain = (est * ref).sum(-1) / (ref * ref).sum(-1)
        scaled = gain[..., None] * ref
        ratio = _ratio_db(_energy(scaled), _energy(scaled - est))
    return np.where((_energy(est) == 0) & (energy > 0), -np.inf, ratio)


def si_sdr_improvement(estimate: Samples, reference: Samples, mixture: Samples) -> Floats:
    """Return SI-SDRi in dB: :func:`si_sdr` of the estimate minus :func:`si_sdr` of the unprocessed mixture.

    NaN where the mixture is the reference up to gain and offset. Shapes and errors as in :func:`si_sdr`.
    """
    return _improvement(si_sdr(estimate, reference), si_sdr(mixture, reference))


def bss_eval_sources(estimates: ArrayLike, references: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return BSS Eval's SDR, SIR and SAR in dB, version 3, with time-invariant filters.

    Vincent, Gribonval & Fevotte, "Performance measurement in blind audio source separation", 2006. Each
    estimate is split into its projection on 512 delays of its own reference (target), what 512 delays of all
    references add to that (interference), and the rest (artefacts); so any filter of up to 512 taps is
    forgiven, also a gain and a delay. Estimate ``i`` is judged against reference ``i``; no permutation is
    sought. A perfect estimate scores as high as the references' conditioning lets it, above 100 dB, and +inf
    only if that reaches 300. A silent reference interferes with nobody. A silent estimate has SDR -inf and,
    as nothing in it interferes or is artificial, SIR and SAR NaN. With one reference alone SIR is +inf. A
    fault in an estimate is its own; one in a reference is NaN to all.

    Args:
        estimates: samples, shape (S, T).
        references: samples of all true sources of the mixture, same shape.

    Returns:
        Three arrays of decibels, each of shape (S,).

    Raises:
        ValueError: the shapes differ, or are not (S, T).
    """
    est, ref = signals_of(estimates, references)
    if est.ndim != 2:
        raise ValueError(f"bss_eval_sources needs shape (sources, samples), not {est.shape}")
    result = np.full((3, len(est)), np.nan)
    heard = np.flatnonzero(_energy(ref) > 0)
    if len(heard) == 0 or not np.isfinite(ref).all():
        return result[0], result[1], result[2]
    faulty = ~np.isfinite(est).all(axis=-1)
    est = np.where(faulty[:, None], 0.0, est)
    everything = _project(est[heard], ref[heard])
    for row, source in zip(everything, heard, strict=True):
        target = _project(est[[source]], ref[[source]])[0]
        # The two projections of a lone source differ by rounding, not by interference.
        interference = row - target if len(heard) > 1 else np.zeros_like(row)
        artefacts = np.pad(est[source], (0, TAPS - 1)) - target - interference
        silent = not est[source].any()
        result[:, source] = (
            -np.inf if silent else _ratio_db(_energy(target), _energy(interference + artefacts)),
            _ratio_db(_energy(target), _energy(interference)),
            _ratio_db(_energy(target + interference), _energy(artefacts)),
        )
    result[:, faulty] = np.nan
    return result[0], result[1], result[2]


def bss_eval(estimate: ArrayLike, reference: ArrayLike, mixture: ArrayLike) -> Floats:
    """Return BSS Eval's SDR, SIR and SAR of one estimated source, in dB: :func:`bss_eval_sources` of it and of all that is left.

    The other source is what the reference leaves of the mixture, so several interferers count as one. The estimate's values do not
    depend on how the rest would be estimated.

    Args:
        estimate: samples, shape (..., T).
        reference: samples of the true source, same shape.
        mixture: what was to be separated, same shape.

    Returns:
        Decibels, shape (..., 3).

    Raises:
        ValueError: the shapes differ.
    """
    est, ref, mix = signals_of(estimate, reference, mixture)
    flat = (math.prod(est.shape[:-1]), est.shape[-1])
    rows = zip(*(each.reshape(flat) for each in (est, ref, mix)), strict=True)
    found = [
        [values[0] for values in bss_eval_sources([own, total - own], [true, total - true])]
        for own, true, total in rows
    ]
    return np.array(found, dtype=np.float64).reshape(*est.shape[:-1], 3)


def signals_of(*signals: Samples) -> list[Any]:
    """Return signals as float64: tensors of another device than the CPU stay there, all else is numpy's.

    The sums of numpy do not depend on what else is in a batch, nor on the number of threads.

    Raises:
        ValueError: their shapes differ, or are not (..., samples).
    """
    arrays = [_float64(signal) for signal in signals]
    shapes = {tuple(array.shape) for array in arrays}
    if len(shapes) != 1 or () in shapes:
        found = " and ".join(map(str, sorted(shapes)))
        raise ValueError(f"signals must have one shape (..., samples), not {found}")
    return arrays


def here(values: Any) -> Floats:
    """Return an array or a tensor as numpy's."""
    found: Floats = values.cpu().numpy() if isinstance(values, Tensor) else values
    return found


def _float64(signal: Samples) -> Any:
    if not isinstance(signal, Tensor):
        return np.asarray(signal, dtype=np.float64)
    wide = signal.detach().double()
    return wide.numpy() if wide.device.type == "cpu" else wide


def _energy(signal: Any) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        energy = here((signal * signal).sum(-1))
    return np.where(np.isfinite(energy), energy, np.nan)


def _centred(signal: Any) -> Any:
    """Return the signal without its mean; what rounding leaves of a constant is taken for zero."""
    if signal.shape[-1] == 0:
        return signal
    with np.errstate(invalid="ignore", over="ignore"):
        centred = signal - signal.mean(-1)[..., None]
        left = (centred * centred).sum(-1) <= _CONSTANT * (signal * signal).sum(-1)
        return centred * ~left[..., None]


def _ratio_db(wanted: Floats, unwanted: Floats) -> Floats:
    unwanted = np.where(unwanted <= _ROUNDING * wanted, 0.0, unwanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.divide(wanted, unwanted))


def _improvement(after: Floats, before: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(before == np.inf, np.nan, after - before)


def _project(signals: Floats, basis: Floats) -> Floats:
    """Return the least-squares projections (E, T + 511) of signals (E, T) on 512 delays of basis (S, T)."""
    sources, samples = basis.shape
    length = samples + TAPS - 1
    size = fft.next_fast_len(length, real=True)
    # The span does not depend on the rows' gains, but the conditioning does.
    rows = fft.rfft(basis / np.sqrt(_energy(basis))[:, None], size)
    spectra = fft.rfft(signals, size)
    lags = fft.irfft(rows.conj()[:, None] * rows[None], size)
    past = -np.arange(TAPS)
    gram = np.block([[linalg.toeplitz(pair[:TAPS], pair[past]) for pair in row] for row in lags])
    cross = fft.irfft(rows.conj()[:, None] * spectra[None], size)[..., :TAPS]
    taps = _solve(gram, cross.transpose(0, 2, 1).reshape(sources * TAPS, -1)).reshape(sources, TAPS, -1)
    filters = fft.rfft(taps, size, axis=1)
    return fft.irfft(np.einsum("sf,sfe->ef", rows, filters), size)[:, :length]


def _solve(gram: Floats, right: Floats) -> Floats:
    try:
        return linalg.cho_solve(linalg.cho_factor(gram), right)
    except linalg.LinAlgError:
        # Tones, or equal references, span fewer dimensions than they have delays: any solution will do.
        return linalg.lstsq(gram, right)[0]
