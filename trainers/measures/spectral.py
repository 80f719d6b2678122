"""Distances of spectra: a log-spectral distance that silence cannot blow up, and LSD and PSNR as two published tools reckon them.

All of them take arrays or tensors of shape (..., T), compute in float64 on the device that a tensor is on, and give numpy arrays of
shape (...). A NaN or an infinity among the samples gives NaN. Several numbers in the literature are called "LSD": some are in dB
and some in log10 of power, a tenth of that, and most depend on the constant that keeps them from the logarithm of nothing. So each
function here names its formula; numbers of two of them cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Samples = ArrayLike | Tensor

FLOOR_DB = 80.0
"""Decibels below the reference's loudest bin at which :func:`lsd` takes a power for silence."""

LATE = 7 * 160
"""Samples that audioldm_eval cuts from the start of the estimate alone: seven frames by which its authors' vocoder is late."""

EPS = 1e-12
"""What ssr_eval adds, once to the estimate's magnitude and once to the ratio of powers."""

MELS: dict[int, tuple[int, int, int]] = {16000: (512, 160, 8000), 32000: (1024, 320, 14000)}
"""Rate in Hz -> window and hop in samples, highest frequency in Hz, of the 64 mel bands from 50 Hz that audioldm_eval compares."""

BANDS, LOWEST_HZ, CLAMP = 64, 50, 1e-5

ROUNDING = 1e-30
"""Mean squared difference of two pictures that float64 leaves between equal ones."""


def lsd(estimate: Samples, reference: Samples, rate: int) -> Floats:
    """Return the log-spectral distance in dB, >= 0, lower is better, silence-safe.

    The mean over frames of the root of the mean over bins of ``(L_e - L_s)^2``, where ``L`` is 10 log10 of the power spectrum, of
    Hann windows of 46.4 ms every 10 ms (Gray and Markel, 1976, as the literature on audio restoration averages it). Powers that lie
    more than 80 dB below the reference's loudest bin count as lying there: so digital silence in an estimate costs 80 dB at most
    where the reference is loud, and nothing where the reference is silent too; and a gain that is common to both changes nothing.

    Args:
        estimate: samples, shape (..., T).
        reference: samples of the true source, same shape.
        rate: Hz.

    Returns:
        Decibels, shape (...); NaN where the reference is silent.

    Raises:
        ValueError: the shapes differ.
    """
    window, hop = _restoration(rate)

    def distance(est: Tensor, ref: Tensor) -> float:
        powers = [_magnitudes(signal, window, hop, "constant").square() for signal in (est, ref)]
        floor = powers[1].max() * 10 ** (-FLOOR_DB / 10)
        if not floor > 0:
            return float("nan")
        levels = [10 * torch.maximum(power, floor).log10() for power in powers]
        return float((levels[0] - levels[1]).square().mean(dim=0).sqrt().mean())

    return _each(distance, estimate, reference)


def lsd_ssr_eval(estimate: Samples, reference: Samples, rate: int) -> Floats:
    """Return the LSD of ssr_eval (Liu et al., Interspeech 2022), in log10 of power, lower is better.

    The mean over frames of the root of the mean over bins of ``log10(S^2 / (E + 1e-12)^2 + 1e-12)^2``, of magnitudes ``S`` of the
    reference and ``E`` of the estimate, of Hann windows of ``int(2048 rate / 44100)`` samples every ``rate / 100``, centred, zeros
    beyond the ends. Each signal is first freed of its mean and divided by its peak, as audioldm_eval does before it calls that
    package, so gains are forgiven. Not silence-safe: a bin in which the reference is silent counts as 12 whatever the estimate
    does, so that even a perfect one of a sound with digital silence is far from 0, and one in which the estimate alone is silent
    as up to 24. A constant or silent signal gives NaN. Shapes and errors as in :func:`lsd`.
    """
    return _ssr_eval(estimate, reference, rate, 0)


def lsd_audioldm_eval(estimate: Samples, reference: Samples, rate: int) -> Floats:
    """Return the LSD of audioldm_eval, which HSM-TSS cites, in log10 of power, lower is better.

    :func:`lsd_ssr_eval`, after the estimate alone has lost its first 1,120 samples, and the longer one its end. That suits the
    vocoder of the tool's authors; an estimate that is not late is compared out of step, and a perfect one does not score 0. It
    stands here for the sake of comparison with tables made with the tool, whose authors do not say whether they left the cut in:
    beside it, :func:`lsd_ssr_eval` is the same without the cut. Shapes and errors as in :func:`lsd`; NaN where nothing is left to
    compare.
    """
    return _ssr_eval(estimate, reference, rate, LATE)


def psnr_audioldm_eval(estimate: Samples, reference: Samples, rate: int) -> Floats:
    """Return the PSNR of mel spectrograms as audioldm_eval reckons it, in dB, higher is better.

    ``-10 log10`` of the mean squared difference of two pictures whose values lie in [0, 1]: ``log10`` of at least 1e-5 of the
    magnitudes in 64 mel bands (Slaney's, of unit area; 50 Hz to 8 kHz at 16 kHz, to 14 kHz at 32 kHz; Hann windows of 32 ms every
    10 ms, mirrored beyond the ends), times 20, less 20, plus 100, by 100, clipped. Means are taken away and peaks over full scale
    clipped first. So 0 to 1 in the picture is -80 to 20 dB of magnitude. Equal pictures give
    +inf, which the tool leaves out of its mean.

    Args:
        estimate: samples, floats of full scale 1, shape (..., T).
        reference: samples of the true source, same shape.
        rate: 16000 or 32000 Hz; others are resampled to one of these first.

    Returns:
        Decibels, shape (...); NaN of sounds no longer than half a window, 16 ms.

    Raises:
        ValueError: the shapes differ, samples are integers, whose full scale is not 1, or the tool has no bands for the rate.
    """
    if rate not in MELS:
        raise ValueError(f"audioldm_eval compares mel bands at 16000 or 32000 Hz, not at {rate}; resample first")
    for signal in (estimate, reference):
        kind = signal.dtype if isinstance(signal, Tensor) else np.asarray(signal).dtype
        if not (kind.is_floating_point if isinstance(kind, torch.dtype) else kind.kind == "f"):
            raise ValueError(f"samples must be floats of full scale 1, not {kind}; divide them by theirs")

    def ratio(est: Tensor, ref: Tensor) -> float:
        if len(est) <= MELS[rate][0] // 2:  # nothing can be mirrored
            return float("nan")
        error = (_picture(est, rate) - _picture(ref, rate)).square().mean()
        return float(-10 * torch.where(error > ROUNDING, error, 0.0).log10())

    return _each(ratio, estimate, reference)


def _each(measure: Callable[[Tensor, Tensor], float], estimate: Samples, reference: Samples) -> Floats:
    """Return a measure of each pair of signals; one at a time, since the spectra of many would take gigabytes."""
    est, ref = (
        (signal if isinstance(signal, Tensor) else torch.from_numpy(np.array(signal, dtype=np.float64)))
        .detach()
        .double()
        for signal in (estimate, reference)
    )
    if est.shape != ref.shape or est.ndim == 0:
        raise ValueError(f"signals must have one shape (..., samples), not {tuple(est.shape)} and {tuple(ref.shape)}")
    flat = (math.prod(est.shape[:-1]), est.shape[-1])
    values = [
        measure(one, two) if len(one) and bool((one + two).isfinite().all()) else float("nan")
        for one, two in zip(est.reshape(flat), ref.reshape(flat), strict=True)
    ]
    return np.array(values, dtype=np.float64).reshape(est.shape[:-1])


def _restoration(rate: int) -> tuple[int, int]:
    """Return window and hop in samples: 2048 and 441 at 44.1 kHz."""
    return int(2048 / (44100 / rate)), int(rate / 100)


def _magnitudes(signal: Tensor, window: int, hop: int, beyond: str) -> Tensor:
    """Return magnitudes of shape (bins, frames); ``beyond`` says what lies beyond the ends."""
    shape = torch.hann_window(window, dtype=signal.dtype, device=signal.device)
    return torch.stft(signal, window, hop, window=shape, pad_mode=beyond, return_complex=True).abs()


def _ssr_eval(estimate: Samples, reference: Samples, rate: int, cut: int) -> Floats:
    window, hop = _restoration(rate)

    def distance(est: Tensor, ref: Tensor) -> float:
        est, ref = (signal - signal.mean() for signal in (est[cut:], ref))
        length = min(len(est), len(ref))
        if not length or not est.abs().max() > 0 or not ref.abs().max() > 0:
            return float("nan")
        found, true = (
            _magnitudes(signal[:length] / signal.abs().max(), window, hop, "constant") for signal in (est, ref)
        )
        logs = (true.square() / (found + EPS).square() + EPS).log10()
        return float(logs.square().mean(dim=0).sqrt().mean())

    return _each(distance, estimate, reference)


def _picture(signal: Tensor, rate: int) -> Tensor:
    """Return the mel spectrogram that audioldm_eval compares, shape (64, frames), in [0, 1]."""
    window, hop, _ = MELS[rate]
    magnitudes = _magnitudes((signal - signal.mean()).clip(-1, 1), window, hop, "reflect")
    bands = torch.as_tensor(_filters(rate), device=signal.device).T @ magnitudes
    return ((bands.clamp(min=CLAMP).log10() * 20 - 20 + 100) / 100).clip(0, 1)


@cache
def _filters(rate: int) -> Floats:
    """Return Slaney's mel filters of unit area, shape (bins, 64)."""
    from transformers.audio_utils import mel_filter_bank

    window, _, highest = MELS[rate]
    made: Floats = mel_filter_bank(window // 2 + 1, BANDS, LOWEST_HZ, highest, rate, norm="slaney", mel_scale="slaney")
    return made
