"""Samples -> landmarks: hashes of triples of spectral peaks, which survive another level, codec, rate or start."""

from __future__ import annotations

import numpy as np
import scipy.fft
import soxr
from numpy.typing import NDArray

from pipelines.identity.near import FRAME_S, Landmarks

RATE = 8000
"""Samples per second at which peaks are sought: codecs and low sample rates keep what lies below 4 kHz."""
_WINDOW, _HOP = 768, 128
"""Samples of a spectrum (96 ms, bins of 10.4 Hz) and from one spectrum to the next (16 ms)."""
_UNIT = round(FRAME_S * RATE / _HOP)
"""Spectra per frame of `times`."""
_LOWEST = 4
"""First bin that is looked at; below it lies what a direct-current offset leaks."""
_NEAR_T, _NEAR_F = 3, 4
"""A peak is the largest of so many spectra and bins either way."""
_AROUND, _RISE_DB = 10, 5.0
"""Spectra either way over which a peak must exceed its bin's mean level by so much: a steady tone never does."""
_LOUD, _RANGE_DB = 31, 50.0
"""Spectra either way over which a peak must lie within so many dB of the loudest bin."""
_CROWD, _KEPT = 19.0, 12
"""Spectra either way among which only so many of the loudest peaks are kept: they outlive codecs and noise."""
_ZONE_T, _ZONE_F = 56.0, 96
"""A peak is bound to peaks that follow it within so many spectra and bins."""
_FEW, _FAN = 6, 3
"""It is bound to all of them if they are so few, as in a bark before silence, else to so many of the loudest."""
_BLOCK, _HALO = 2048, 64
"""Spectra worked on at once, and how many of its neighbours a block sees: `_CROWD`, `_LOUD` and half a spectrum."""
_STEPS = 64
"""Steps to a spectrum in which a peak's time is told: their sums are exact, wherever a block begins."""
_WEIGHTS = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
_FLOOR = np.float32(10 * float(np.sum(_WEIGHTS**2)) / 12)
"""Least power of a peak, in squared steps of 16 bits: ten times what rounding to such steps leaves in a bin."""

_Peaks = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]
"""Peaks in order of time: time in spectra from the first, bin, level in dB."""
_Places = NDArray[np.int64]


def landmarks(samples: NDArray[np.int16] | NDArray[np.float32], rate: int) -> Landmarks:
    """Return the landmarks of a clip, in order of time, then of hash; none where nothing in it changes.

    A landmark is a peak of the spectrogram with two later ones: the hash is made of the three frequencies and the two
    time differences. Peaks are chosen by comparison with their surroundings, so that the level does not matter. Pairs of
    peaks are Wang's ("An industrial-strength audio search algorithm", ISMIR 2003), triples Six and Leman's ("Panako",
    ISMIR 2014): unrelated sounds share a triple a hundred times less often than a pair, which keeps the join small.

    Args:
        samples: shape (n,); int16, or float32 with full scale 1.
        rate: samples per second.

    Returns:
        hashes, uint32 of shape (k,), and times, uint16 of shape (k,), in frames of `FRAME_S` from the clip's start; about
        60 landmarks per second of sound. What lies after 65,536 frames (70 minutes) gives none.
    """
    return _hashed(*_peaks(_prepared(samples, rate)))


def _prepared(samples: NDArray[np.int16] | NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return the sound in steps of 16 bits at `RATE`."""
    sound = samples.astype(np.float32) * np.float32(1 if samples.dtype == np.int16 else 32768)
    if rate != RATE and len(sound):
        sound = soxr.resample(sound, rate, RATE, quality="HQ")
    return sound


def _peaks(sound: NDArray[np.float32]) -> _Peaks:
    """Return the peaks of a sound, block by block so that the spectra of an hour need no more memory than a minute's."""
    count = len(sound) // _HOP + 1 if len(sound) else 0
    padded = np.pad(sound, (_WINDOW // 2, _WINDOW))
    parts: list[_Peaks] = [(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for start in range(0, count, _BLOCK):
        first, last = max(start - _HALO, 0), min(start + _BLOCK + _HALO, count)
        at, bins, level = _loudest(*_rising(_spectra(padded[first * _HOP : (last - 1) * _HOP + _WINDOW])))
        at = at + first
        # A peak's exact time may lie before the first spectrum, or after the last one of a block.
        mine = (at >= (start or -1)) & (at < (start + _BLOCK if start + _BLOCK < count else np.inf))
        parts.append((at[mine], bins[mine], level[mine]))
    at, bins, level = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return at, bins, level


def _spectra(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the power in each bin from `_LOWEST` on, shape (spectra, bins)."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    spectra = scipy.fft.rfft(frames * _WEIGHTS, axis=1)[:, _LOWEST:-1]
    power: NDArray[np.float32] = spectra.real**2 + spectra.imag**2
    return power


def _rising(power: NDArray[np.float32]) -> _Peaks:
    """Return the local maxima that stand out from their bin's level before and after, and from the rounding noise."""
    around = _running_max(_running_max(power, _NEAR_T, 0), _NEAR_F, 1)
    loudest = _running_max(power.max(axis=1, keepdims=True), _LOUD, 0)
    least = np.maximum(loudest * np.float32(10 ** (-_RANGE_DB / 10)), _FLOOR)
    at, bins = np.nonzero((power == around) & (power > least))
    near = np.clip(at[:, None] + np.arange(-_AROUND, _AROUND + 1), 0, len(power) - 1)
    levels = _decibels(power[near, bins[:, None]])
    before, level, after = (levels[:, _AROUND + step] for step in (-1, 0, 1))
    # The top of a parabola through three levels: how a clip's start lies to the grid of spectra should not matter.
    bend = np.minimum(before - 2 * level + after, np.float32(-1e-3))
    top = np.rint(_STEPS * np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) / _STEPS
    rising = level - levels.mean(axis=1) > _RISE_DB
    exact, bins, level = (at + top)[rising], bins[rising], level[rising]
    order = np.lexsort((bins, exact))
    return exact[order], bins[order], level[order]


def _loudest(at: NDArray[np.float64], bins: _Places, level: NDArray[np.float32]) -> _Peaks:
    """Return the peaks that are among the `_KEPT` loudest of their surroundings."""
    first, stop = np.searchsorted(at, at - _CROWD, "left"), np.searchsorted(at, at + _CROWD, "right")
    others = first[:, None] + np.arange((stop - first).max(initial=0))
    louder = (level[np.minimum(others, len(at) - 1)] > level[:, None]) & (others < stop[:, None])
    kept = louder.sum(axis=1) < _KEPT
    return at[kept], bins[kept], level[kept]


def _pairs(at: NDArray[np.float64], bins: _Places, level: NDArray[np.float32]) -> tuple[_Places, _Places]:
    """Return peaks and those that each is bound to, in order of both."""
    anchors, others = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, len(at)):
        gap = at[step:] - at[:-step]
        if gap.min() > _ZONE_T:
            break
        found = np.flatnonzero((gap >= 1) & (gap <= _ZONE_T) & (np.abs(bins[step:] - bins[:-step]) <= _ZONE_F))
        anchors.append(found)
        others.append(found + step)
    anchor, other = np.concatenate(anchors), np.concatenate(others)
    order = np.lexsort((other, -level[other], anchor))
    anchor, other = anchor[order], other[order]
    first, stop = np.searchsorted(anchor, anchor, "left"), np.searchsorted(anchor, anchor, "right")
    bound = (stop - first <= _FEW) | (np.arange(len(anchor)) - first < _FAN)
    order = np.lexsort((other[bound], anchor[bound]))
    return anchor[bound][order], other[bound][order]


def _hashed(at: NDArray[np.float64], bins: _Places, level: NDArray[np.float32]) -> Landmarks:
    """Return the landmarks of peaks: each with every two of those that it is bound to."""
    anchor, other = _pairs(at, bins, level)
    runs = [np.flatnonzero(anchor[step:] == anchor[:-step]) for step in range(1, _FEW)]
    one, two = np.concatenate(runs), np.concatenate([run + step for step, run in enumerate(runs, 1)])
    first = anchor[one]
    gaps = np.rint(at[other] - at[anchor]).astype(np.int64)
    key = np.zeros(len(one), np.uint64)
    for part, bits in ((bins[first], 9), (bins[other[one]], 9), (bins[other[two]], 9), (gaps[one], 6), (gaps[two], 6)):
        key = (key << np.uint64(bits)) | part.astype(np.uint64)
    # Knuth's multiplicative hashing spreads the 39 bits evenly over 32.
    hashes = ((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)).astype(np.uint32)
    times = np.maximum(np.floor(at[first] / _UNIT), 0)
    order = np.lexsort((hashes, times))
    order = order[times[order] <= np.iinfo(np.uint16).max]
    return hashes[order], times[order].astype(np.uint16)


def _running_max(values: NDArray[np.float32], reach: int, axis: int) -> NDArray[np.float32]:
    """Return the largest of ``reach`` neighbours either way along an axis; values are at least 0."""
    moved = np.moveaxis(values, axis, 0)
    grown = np.pad(moved, ((reach, reach), (0, 0)))
    done, width = 1, 2 * reach + 1
    while done < width:
        step = min(done, width - done)
        grown = np.maximum(grown[:-step], grown[step:])
        done += step
    return np.moveaxis(grown, 0, axis)


def _decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    level: NDArray[np.float32] = np.float32(10 / np.log(10)) * np.log(np.maximum(power, np.float32(1e-3)))
    return level
