"""Acoustic facts of a waveform: level, loudness, clipping, spans, onsets, spectrum and pitch.

`FACTS` says what each fact is, its unit and when it is unknown (None). All is measured here with numpy
and scipy, except loudness, which is pyloudnorm's. A clip of 10 s at 32 kHz takes about 10 ms on one core,
6 of them loudness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyloudnorm
from numpy.typing import NDArray
from scipy import fft, ndimage

from taggers.base import Finding, Listener, Waveform

Array = NDArray[np.floating]

SILENCE_DBFS = -60.0  # 20 ms at or below this RMS are silent: the noise floor of an ordinary recording
ACTIVE_RANGE_DB = 40.0  # what is this far below the clip's loudest 20 ms is not active
LEVEL_S = 0.02
GAP_S = 0.2  # shorter pauses do not end a sound, and shorter silences are none
FULL_SCALE = 1.0 - 2.0**-15  # the largest positive 16-bit sample
CLIPPED_RUN = 3  # a wave that only touches full scale stays there for one or two samples
LEAST_RATE = 4000  # Hz: below it the K-filter's shelf and most pitches lie beyond Nyquist
FRAME_S = 0.064  # about four periods of the lowest pitch: fewer cannot tell a period from chance
OFFSET_BINS = 2  # an offset leaks into these through the Hann window, as where zeros pad a clip
LEAST_POWER = 1e-12  # -120 dBFS, below the rounding of 16-bit samples: nothing to describe
ONSET_RISE_DB = 3.0
PITCH_HZ = (60.0, 2000.0)
PITCH_BAND_HZ = (50.0, 4000.0)
PITCH_CONFIDENCE = 0.7
CLIFF_DB = 20.0
CLIFF_WIDTH = 0.04  # relative half-width: few natural spectra fall 20 dB within a ninth of an octave
CLIFF_FROM_HZ = 1500.0


class Fact(NamedTuple):
    """One fact: its unit (None: a ratio or a count), the decimals it is rounded to, and its meaning."""

    unit: str | None
    decimals: int
    doc: str


FACTS: dict[str, Fact] = {
    "duration_s": Fact("s", 6, "samples divided by rate, > 0"),
    "lufs": Fact(
        "LUFS",
        2,
        "integrated loudness (ITU-R BS.1770), mean removed; None under 0.4 s, under -70 LUFS or at a rate under 4 kHz",
    ),
    "peak_dbfs": Fact("dBFS", 2, "largest absolute sample, <= 0; None when all samples are 0"),
    "rms_dbfs": Fact(
        "dBFS", 2, "root mean square, offset included, full-scale square = 0; None when all samples are 0"
    ),
    "dc_offset": Fact(None, 6, "mean sample, in [-1, 1]"),
    "clipped_share": Fact(
        None, 6, "share of samples, in [0, 1], in runs of 3 or more at one full scale (32767/32768 or beyond)"
    ),
    "onset_count": Fact(
        None, 0, "sounds that start, by spectral flux, told apart up to 10 per second; not those on from 0 s"
    ),
    "onset_rate_hz": Fact("Hz", 3, "onset_count divided by duration_s"),
    "spectral_centroid_hz": Fact("Hz", 1, "mean frequency of the mean power spectrum; None under -120 dBFS"),
    "spectral_bandwidth_hz": Fact("Hz", 1, "standard deviation about that centroid; None under -120 dBFS"),
    "spectral_flatness": Fact(
        None,
        4,
        "geometric over arithmetic mean of the mean power spectrum, in [0, 1]: a tone near 0, "
        "white noise near 1; None under -120 dBFS",
    ),
    "band_limit_hz": Fact(
        "Hz",
        0,
        "where the spectrum ends in a cliff, 20 dB within 8% of the frequency: once sampled at about twice "
        "this, or coded with a low-pass; None when no cliff is found above 1.5 kHz",
    ),
    "pitch_hz": Fact("Hz", 1, "median fundamental of the pitched frames, in [60, 2000]; None without any"),
    "pitch_confidence": Fact(
        None, 3, "median normalised autocorrelation of the pitched frames, in [0.7, 1]; None without any"
    ),
    "pitched_share": Fact(
        None,
        3,
        "share of the frames above -60 dBFS that are pitched, in [0, 1]; "
        "None when there are none or at a rate under 4 kHz",
    ),
}

SPANS: dict[str, str] = {
    "silence_span": "20 ms levels (each without its mean) at or under -60 dBFS for 0.2 s or more",
    "active_span": "20 ms levels over -60 dBFS and within 40 dB of the loudest, bridging pauses under 0.2 s",
}


class FactsListener(Listener):
    """Measures every fact of `FACTS` and the spans of `SPANS`; needs no model, no rate and no accelerator."""

    name = "facts"
    revision = "facts-1"

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """A fact per entry of `FACTS`, in its order, then the spans as events in order of onset."""
        return [_findings(waveform) for waveform in batch]


def _findings(waveform: Waveform) -> list[Finding]:
    measured = measure(waveform)
    facts = [Finding("fact", name, value=measured[name], unit=fact.unit) for name, fact in FACTS.items()]
    events = [
        Finding("event", name, onset_s=onset, offset_s=offset)
        for name, found in spans(waveform).items()
        for onset, offset in found
    ]
    return facts + sorted(events, key=lambda event: (event.onset_s, event.name))


def measure(waveform: Waveform) -> dict[str, float | None]:
    """Every fact of `FACTS`, rounded as it says, so that the last bits of a CPU's arithmetic do not show."""
    x = waveform.samples
    power, step_hz = spectrogram(waveform)
    onsets = onset_count(power, step_hz)
    values = {
        "duration_s": waveform.duration_s,
        "lufs": loudness(waveform),
        "peak_dbfs": decibels(float(np.abs(x).max()) ** 2),
        "rms_dbfs": decibels(float(np.mean(np.square(x, dtype=np.float64)))),
        "dc_offset": float(x.mean(dtype=np.float64)),
        "clipped_share": clipped_share(x),
        "onset_count": float(onsets),
        "onset_rate_hz": onsets / waveform.duration_s,
        **spectral_shape(power, step_hz),
        "band_limit_hz": band_limit(power, step_hz),
        **pitch(power, step_hz),
    }
    return {
        name: None if (value := values[name]) is None else round(value, fact.decimals) for name, fact in FACTS.items()
    }


def decibels(power: float) -> float | None:
    """10 log10 of a power; None for 0."""
    return 10.0 * float(np.log10(power)) if power > 0 else None


def loudness(waveform: Waveform) -> float | None:
    """Integrated loudness in LUFS (ITU-R BS.1770-4, mono), or None when it is not defined.

    pyloudnorm designs the K-filter at the waveform's own rate. The mean is removed because the filter starts
    from rest and would hear an offset as a thump. At low rates its shelf is warped: a full-scale sine of 997
    Hz reads -3.19 LUFS at 8 kHz and -3.05 at 44.1 kHz.
    """
    x, rate = waveform.samples, waveform.rate
    if rate < LEAST_RATE or len(x) < 0.4 * rate:
        return None
    value = float(pyloudnorm.Meter(rate).integrated_loudness(centred(x)))
    return value if np.isfinite(value) else None


def centred(x: Array) -> NDArray[np.float64]:
    """The samples as float64 without their mean."""
    wide = x.astype(np.float64)
    return wide - wide.mean()


def clipped_share(x: Array) -> float:
    """Share of samples in runs of `CLIPPED_RUN` or more at the same full scale."""
    clipped = 0
    for side in (x >= FULL_SCALE, x <= -FULL_SCALE):
        if side.any():
            starts, ends = runs(side)
            lengths = ends - starts
            clipped += int(lengths[lengths >= CLIPPED_RUN].sum())
    return clipped / len(x)


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Starts and ends (exclusive) of the runs of True."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges[::2], edges[1::2]


def spans(waveform: Waveform) -> dict[str, list[tuple[float, float]]]:
    """Onsets and offsets in seconds of the spans that `SPANS` defines."""
    x = waveform.samples.astype(np.float64)
    starts = np.arange(0, len(x), max(1, round(LEVEL_S * waveform.rate)))
    ends = np.append(starts[1:], len(x))
    mean = np.add.reduceat(x, starts) / (ends - starts)
    power = np.add.reduceat(np.square(x), starts) / (ends - starts) - np.square(mean)
    floor = 10 ** (SILENCE_DBFS / 10)
    gap = round(GAP_S / LEVEL_S)

    def seconds(mask: NDArray[np.bool_], least: int) -> list[tuple[float, float]]:
        first, last = runs(mask)
        return [
            (round(float(starts[a] / waveform.rate), 6), round(float(ends[b - 1] / waveform.rate), 6))
            for a, b in zip(first, last, strict=True)
            if b - a >= least
        ]

    active = power > max(floor, power.max() * 10 ** (-ACTIVE_RANGE_DB / 10))
    pauses, resumed = runs(~active)
    for a, b in zip(pauses, resumed, strict=True):
        if a > 0 and b < len(active) and b - a < gap:
            active[a:b] = True
    # A clip that is shorter than a silence and silent throughout is still silent.
    return {"silence_span": seconds(power <= floor, min(gap, len(power))), "active_span": seconds(active, 1)}


def spectrogram(waveform: Waveform) -> tuple[NDArray[np.float32], float]:
    """Power spectra of half-overlapping 64 ms Hann frames, mean removed.

    Returns:
        power: float32 (frames, bins), scaled so that a frame's sum is its mean square. Only whole frames are
            taken, since padding looks like an end of sound; a waveform under one frame is padded to one.
        step_hz: width of a bin in Hz.

    """
    size = 2 * fft.next_fast_len(max(8, round(FRAME_S * waveform.rate / 2)), real=True)
    x = centred(waveform.samples).astype(np.float32)
    if len(x) < size:
        x = np.pad(x, (0, size - len(x)))
    window = hann(size)
    frames = np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2]
    power = np.empty((len(frames), size // 2 + 1), np.float32)
    for start in range(0, len(frames), 64):  # all at once would leave the cache and triple the memory
        spectrum = fft.rfft(frames[start : start + 64] * window, axis=1)
        power[start : start + 64] = np.square(spectrum.real) + np.square(spectrum.imag)
    power *= np.float32(2.0 / (size * np.sum(np.square(window, dtype=np.float64))))
    return power, waveform.rate / size


def long_spectra(waveform: Waveform, top_hz: float) -> tuple[Array, float]:
    """Power spectra up to `top_hz` of half-overlapping 1 s frames, scaled as `spectrogram`'s; hop in s."""
    x = waveform.samples - waveform.samples.mean(dtype=np.float64).astype(np.float32)
    whole = fft.next_fast_len(len(x), real=True)
    kept = fft.rfft(x, whole)[: int(top_hz * whole / waveform.rate) + 1]
    new = 2 * fft.next_fast_len(len(kept), real=True)
    slow = fft.irfft(kept, new)[: len(x) * new // whole] * np.float32(new / whole)
    rate = waveform.rate * new / whole
    half = round(0.5 * rate)
    window = hann(2 * half)
    frames = np.lib.stride_tricks.sliding_window_view(slow, 2 * half)[::half] * window
    power = np.square(np.abs(fft.rfft(frames, axis=1))) / (half * float(np.sum(np.square(window))))
    return power, half / rate


def sound_power(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each frame's power without its offset."""
    return power[:, OFFSET_BINS:].sum(axis=1)


def peak_hz(power: Array, step_hz: float, low: int, high: int) -> Array:
    """Frequency of each frame's highest bin in [low, high), refined by a parabola through the logarithms."""
    peak = np.clip(power[:, low:high].argmax(axis=1) + low, 1, power.shape[1] - 2)
    rows = np.arange(len(peak))
    a, b, c = (np.log(power[rows, peak + shift].astype(np.float64) + 1e-20) for shift in (-1, 0, 1))
    return (peak + np.clip(0.5 * (a - c) / np.minimum(a - 2.0 * b + c, -1e-9), -0.5, 0.5)) * step_hz


def hann(size: int) -> NDArray[np.float32]:
    """The periodic Hann window, float32 (size,)."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype(np.float32)


def onset_count(power: Array, step_hz: float) -> int:
    """Peaks of the mean rise in dB over some 24 logarithmic bands between frames that do not overlap.

    A peak stands `ONSET_RISE_DB` above the local median of the rise, which steady noise makes by chance.
    """
    if len(power) < 3:
        return 0
    last = power.shape[1] - 1
    edges = np.unique(np.geomspace(min(max(2.0, 60.0 / step_hz), last), last, 25).round().astype(int))
    level = 10.0 * np.log10(np.add.reduceat(power, edges, axis=1) + np.float32(1e-8))
    rise = np.pad(np.maximum(level[2:] - level[:-2], 0.0).mean(axis=1), 1)
    usual = ndimage.median_filter(rise, size=31, mode="nearest")
    peak = (rise == ndimage.maximum_filter1d(rise, 5, mode="nearest")) & (rise > usual + ONSET_RISE_DB)
    return int(np.count_nonzero(np.diff(np.flatnonzero(peak), prepend=-9) > 2))


def spectral_shape(power: Array, step_hz: float) -> dict[str, float | None]:
    """Centroid, bandwidth and flatness of the mean power spectrum, offset left out."""
    spectrum = power[:, OFFSET_BINS:].mean(axis=0, dtype=np.float64)
    total = float(spectrum.sum())
    if total < LEAST_POWER:
        return dict.fromkeys(("spectral_centroid_hz", "spectral_bandwidth_hz", "spectral_flatness"))
    hz = step_hz * np.arange(OFFSET_BINS, power.shape[1])
    centroid = float(np.sum(hz * spectrum) / total)
    variance = float(np.sum((hz - centroid) ** 2 * spectrum) / total)
    audible = np.maximum(spectrum, LEAST_POWER / len(spectrum))  # an empty bin has no logarithm
    return {
        "spectral_centroid_hz": centroid,
        "spectral_bandwidth_hz": variance**0.5,
        "spectral_flatness": float(np.exp(np.log(audible).mean()) / audible.mean()),
    }


def band_limit(power: Array, step_hz: float) -> float | None:
    """Frequency in Hz of the highest cliff: all above it is `CLIFF_DB` weaker than what lies just below."""
    spectrum = 10.0 * np.log10(power.mean(axis=0, dtype=np.float64) + 1e-20)
    smooth = ndimage.median_filter(spectrum, size=9, mode="nearest")
    above = np.maximum.accumulate(smooth[::-1])[::-1]
    cut = np.arange(int(CLIFF_FROM_HZ / step_hz), int((len(smooth) - 1) / (1.0 + CLIFF_WIDTH)))
    below = np.floor(cut * (1.0 - CLIFF_WIDTH)).astype(int)
    beyond = np.ceil(cut * (1.0 + CLIFF_WIDTH)).astype(int)
    drop = smooth[below] - above[beyond]
    starts, ends = runs(drop >= CLIFF_DB)
    if not len(starts):
        return None
    top = starts[-1] + int(np.argmax(drop[starts[-1] : ends[-1]]))
    middle = (smooth[below[top]] + above[beyond[top]]) / 2.0
    return float(np.flatnonzero(smooth[: beyond[top]] > middle)[-1] * step_hz)


def pitch(power: Array, step_hz: float) -> dict[str, float | None]:
    """Median pitch of the pitched frames by normalised autocorrelation (Boersma 1993, IFA Proceedings 17).

    A frame's autocorrelation, the inverse transform of its power spectrum up to 4 kHz, is divided by the
    window's. Its period is the shortest lag whose peak reaches 0.9 of the highest, so that no multiple of
    the period wins. The frame is pitched when that peak is `PITCH_CONFIDENCE` or more and its pitch in
    `PITCH_HZ`.
    """
    size = 2 * (power.shape[1] - 1)
    frames = power[sound_power(power) > 10 ** (SILENCE_DBFS / 10)]
    if not len(frames) or round(size * step_hz) < LEAST_RATE:
        return {"pitch_hz": None, "pitch_confidence": None, "pitched_share": None}
    lags = 1024
    lag_s = 1.0 / (step_hz * lags)
    band = frames[:, : int(PITCH_BAND_HZ[1] / step_hz) + 1].copy()
    band[:, : int(np.ceil(PITCH_BAND_HZ[0] / step_hz))] = 0.0
    window = np.square(np.abs(fft.rfft(hann(size))))[: band.shape[1]]
    window_r = fft.irfft(window, n=lags)[: lags // 2]
    r = fft.irfft(band, n=lags, axis=1)[:, : lags // 2]
    r /= np.maximum(r[:, :1], 1e-20) * (window_r / window_r[0])
    shortest, longest = int(1.0 / (PITCH_BAND_HZ[1] * lag_s)), int(np.ceil(1.0 / (PITCH_HZ[0] * lag_s)))
    left, here, right = (r[:, shortest + shift : longest + shift] for shift in (-1, 0, 1))
    peaks = np.where((here > left) & (here >= right), here, 0.0)
    first = np.argmax(peaks >= 0.9 * peaks.max(axis=1, keepdims=True), axis=1)
    row = np.arange(len(peaks))
    a, b, c = left[row, first], here[row, first], right[row, first]
    offset = 0.5 * (a - c) / np.minimum(a - 2.0 * b + c, -1e-9)
    hz = 1.0 / ((shortest + first + offset) * lag_s)
    found = (peaks[row, first] >= PITCH_CONFIDENCE) & (hz >= PITCH_HZ[0]) & (hz <= PITCH_HZ[1])
    share = float(found.mean())
    if not found.any():
        return {"pitch_hz": None, "pitch_confidence": None, "pitched_share": share}
    return {
        "pitch_hz": float(np.median(hz[found])),
        "pitch_confidence": float(np.median(np.minimum(b[found], 1.0))),
        "pitched_share": share,
    }
