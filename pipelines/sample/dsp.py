"""Building blocks of the synthesisers: oscillators, resonances, noise, envelopes and placement in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

Wave = NDArray[np.float64]
"""Samples (n,), full scale at ±1."""

EDGE_S = 0.004  # long enough to hear no click, short against the fastest attack here
TOP = 0.45  # of the rate: partials above it would fold back or be lost in a later resampling


def samples(seconds: float, rate: int) -> int:
    """Return the number of samples in ``seconds`` at ``rate`` Hz."""
    return round(seconds * rate)


def clock(seconds: float, rate: int) -> Wave:
    """Return the time of each sample, in seconds: (n,)."""
    return np.arange(samples(seconds, rate)) / rate


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a positive number whose logarithm is uniform: how pitches and rates are spread for the ear."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def phase(hz: Wave, rate: int) -> Wave:
    """Return the phase, in radians, of an oscillator whose frequency follows ``hz`` (n,)."""
    return 2.0 * np.pi * np.cumsum(hz) / rate


def harmonics(hz: Wave, rate: int, amplitudes: Sequence[float]) -> Wave:
    """Return the sum of the harmonics 1, 2, 3 ... of ``hz`` (n,), without those that would pass `TOP`."""
    angle, top = phase(hz, rate), float(hz.max(initial=0.0))
    out = np.zeros(len(hz))
    for k, amplitude in enumerate(amplitudes, 1):
        if amplitude and k * top < TOP * rate:
            out += amplitude * np.sin(k * angle)
    return out


def steady(hz: float, seconds: float, rate: int, amplitudes: Sequence[float] = (1.0,)) -> Wave:
    """Return `harmonics` of a constant frequency: (n,)."""
    return harmonics(np.full(samples(seconds, rate), hz), rate, amplitudes)


def rolloff(count: int, power: float) -> list[float]:
    """Return the amplitudes ``k ** -power`` of ``count`` harmonics: 1 is a sawtooth, 0 a pulse train."""
    return [k**-power for k in range(1, count + 1)]


def modes(hz: Iterable[float], amplitudes: Iterable[float], taus: Iterable[float], seconds: float, rate: int) -> Wave:
    """Return a struck body (n,): sinusoids at ``hz``, each decaying by 1/e in its ``tau`` seconds."""
    t = clock(seconds, rate)
    out = np.zeros(len(t))
    for frequency, amplitude, tau in zip(hz, amplitudes, taus, strict=True):
        if frequency < TOP * rate:
            out += amplitude * np.exp(-t / tau) * np.sin(2.0 * np.pi * frequency * t)
    return out


def shaped_noise(rng: np.random.Generator, seconds: float, rate: int, gain: Callable[[Wave], Wave]) -> Wave:
    """Return Gaussian noise (n,) of unit RMS whose spectrum follows ``gain`` (hz >= 0 -> amplitude)."""
    n = samples(seconds, rate)
    size = fft.next_fast_len(n + 1, real=True)
    spectrum = fft.rfft(rng.standard_normal(size)) * gain(fft.rfftfreq(size, 1.0 / rate))
    noise = fft.irfft(spectrum, size)[:n]
    return noise / max(float(np.sqrt(np.mean(noise**2))) if n else 1.0, 1e-12)


def coloured_noise(rng: np.random.Generator, seconds: float, rate: int, slope: float, low_hz: float = 20.0) -> Wave:
    """Return unit-RMS noise (n,) with power ``1 / f ** slope`` above ``low_hz``: 0 white, 1 pink, 2 brown."""
    return shaped_noise(rng, seconds, rate, lambda hz: np.maximum(hz, low_hz) ** (-slope / 2) * (hz > 0))


def band_noise(rng: np.random.Generator, seconds: float, rate: int, low_hz: float, high_hz: float) -> Wave:
    """Return unit-RMS noise (n,) between two frequencies, with the skirts of a second-order filter."""

    def gain(hz: Wave) -> Wave:
        return 1.0 / np.sqrt((1.0 + (low_hz / np.maximum(hz, 1e-3)) ** 4) * (1.0 + (hz / high_hz) ** 4))

    return shaped_noise(rng, seconds, rate, gain)


def wander(rng: np.random.Generator, seconds: float, rate: int, hz: float) -> Wave:
    """Return a slow random curve (n,) in [0, 1] that changes direction about ``hz`` times a second."""
    knots = rng.uniform(0.0, 1.0, int(np.ceil(seconds * hz)) + 4)
    where = clock(seconds, rate) * hz + rng.uniform(0.0, 1.0)
    left = where.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (where - left))
    return knots[left] * (1.0 - blend) + knots[left + 1] * blend


def edges(wave: Wave, rate: int, rise_s: float = EDGE_S, fall_s: float = EDGE_S) -> Wave:
    """Return ``wave`` with a raised-cosine start and end, so that it neither clicks on nor off."""
    out = wave.copy()
    rise, fall = (min(samples(s, rate), len(out)) for s in (rise_s, fall_s))
    out[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / max(rise, 1))
    out[len(out) - fall :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(fall) / max(fall, 1))
    return out


def place(hits: Iterable[tuple[float, Wave]], seconds: float, rate: int) -> Wave:
    """Return the sum (n,) of waves that start at given times, in seconds; what lies past the end is cut."""
    out = np.zeros(samples(seconds, rate))
    for start_s, wave in hits:
        start = samples(start_s, rate)
        kept = wave[: max(len(out) - start, 0)]
        out[start : start + len(kept)] += kept
    return out


def beats(rng: np.random.Generator, seconds: float, period_s: float, jitter: float = 0.0) -> list[float]:
    """Return the times of a beat of ``period_s``, 0 at least; intervals vary by ± ``jitter`` of it."""
    times = [0.0]
    while times[-1] < seconds:
        times.append(times[-1] + period_s * (1.0 + jitter * rng.uniform(-1.0, 1.0)))
    return times[:-1] or times


def echo(rng: np.random.Generator, wave: Wave, rate: int, tau_s: float, wet: float) -> Wave:
    """Return ``wave`` plus ``wet`` times its reverberation, which decays by 1/e in ``tau_s``.

    Exponentially decaying Gaussian noise is Moorer's model of a diffuse room (Computer Music Journal, 1979).
    """
    t = clock(5.0 * tau_s, rate)
    response = rng.standard_normal(len(t)) * np.exp(-t / tau_s)
    response /= np.sqrt(np.sum(response**2))
    return wave + wet * signal.fftconvolve(wave, response)[: len(wave)]


def finish(rng: np.random.Generator, wave: Wave, rate: int) -> NDArray[np.float32]:
    """Return ``wave`` without clicks at its edges, as float32 with a peak drawn between -9 and -0.5 dBFS."""
    out = edges(wave, rate)
    peak = float(np.abs(out).max(initial=0.0))
    return np.asarray(out * (10.0 ** (rng.uniform(-9.0, -0.5) / 20.0) / max(peak, 1e-12)), dtype=np.float32)
