"""Synthesisers of bells, strings, drums, clocks, knocks and drops: bodies that are struck and then ring on.

Each takes a random generator, a length in seconds and a rate in Hz, and returns float32 (n,) within ±1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from pipelines.sample import dsp

Audio = NDArray[np.float32]

PENTATONIC = (0, 2, 4, 7, 9)  # semitones: any of these notes sound well together
FREE_BAR = (1.0, 2.756, 5.404, 8.933)  # modes of a bar free at both ends (Fletcher and Rossing, chapter 2)


def _burst(rng: np.random.Generator, tau_s: float, rate: int, low_hz: float, high_hz: float) -> dsp.Wave:
    """Return a burst of noise between two frequencies that decays by 1/e in ``tau_s``, peak 1."""
    seconds = 7.0 * tau_s
    wave = dsp.band_noise(rng, seconds, rate, low_hz, high_hz) * np.exp(-dsp.clock(seconds, rate) / tau_s)
    return wave / np.abs(wave).max()


def _played(
    rng: np.random.Generator,
    sounds: list[dsp.Wave],
    seconds: float,
    rate: int,
    period_s: float,
    jitter: float = 0.0,
) -> dsp.Wave:
    """Return ``sounds`` in turn on a beat, each stroke at its own strength: (n,)."""
    hits = [
        (now, sounds[k % len(sounds)] * rng.uniform(0.7, 1.0))
        for k, now in enumerate(dsp.beats(rng, seconds, period_s, jitter))
    ]
    return dsp.place(hits, seconds, rate)


def church_bell(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a tolling bell, minor third and all: hum, prime, tierce, quint, nominal and above.

    Partial ratios after Fletcher and Rossing, The Physics of Musical Instruments, chapter 21. Each partial is
    a pair a fraction of a hertz apart, because no cast bell is round: that is its warble.
    """
    prime = dsp.log_uniform(rng, 130, 480)
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.66, 3.0, 4.0, 5.3]) * rng.uniform(0.995, 1.005, 10)
    strengths = np.array([0.5, 0.8, 0.9, 0.35, 1.0, 0.4, 0.4, 0.5, 0.35, 0.2]) * rng.uniform(0.7, 1.3, 10)
    taus = rng.uniform(1.2, 2.4) * ratios**-0.8
    split = rng.uniform(0.2, 1.2, 10)
    length = min(seconds, 6.0)
    bell = dsp.modes(prime * ratios, strengths, taus, length, rate)
    bell += dsp.modes(prime * ratios + split, strengths, taus, length, rate)
    strike = _burst(rng, 0.008, rate, 800, 5000)
    bell[: len(strike)] += 0.8 * strike[: len(bell)]
    return dsp.finish(rng, _played(rng, [bell], seconds, rate, rng.uniform(1.3, 2.6), 0.03), rate)


def wind_chime(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return metal tubes on a pentatonic scale, struck at random moments by a clapper in the wind."""
    root, tau = dsp.log_uniform(rng, 700, 1500), rng.uniform(0.5, 1.2)
    scale = [root * 2.0 ** ((semitone + 12 * octave) / 12) for octave in (0, 1) for semitone in PENTATONIC]
    strengths, taus = [1, 0.6, 0.25, 0.1], tau / np.arange(1, 5)
    tubes = [
        dsp.modes(hz * np.array(FREE_BAR), strengths, taus, 3.0, rate) for hz in rng.choice(scale, 6, replace=False)
    ]
    hits, now = [], 0.0
    while now < seconds:
        hits.append((now, tubes[rng.integers(len(tubes))] * rng.uniform(0.15, 1.0)))
        now += rng.exponential(rng.uniform(0.12, 0.4))
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def ding_dong(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a two-note doorbell: a high bar, then one a major third below, pressed again after a while."""
    high, tau, apart = rng.uniform(550, 900), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.75)
    ding, dong = (
        dsp.modes([hz, 2 * hz, FREE_BAR[1] * hz], [1.0, 0.15, 0.3], [tau, tau / 2, tau / 6], 4.0, rate)
        for hz in (high, high * 2.0 ** (-4 / 12))
    )
    starts = dsp.beats(rng, seconds - 1.2, rng.uniform(2.2, 3.5))
    hits = [hit for now in starts for hit in ((now, ding), (now + apart, dong))]
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def tuning_fork(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a tuning fork: a pure tone that fades slowly; when struck, a clang tone 6.27 times higher."""
    hz, tau = float(rng.choice([256.0, 288.0, 320.0, 384.0, 440.0, 512.0])), rng.uniform(1.5, 3.5)
    fork = dsp.modes([hz, 6.27 * hz], [1.0, rng.uniform(0.1, 0.4)], [tau, 0.12], seconds, rate)
    return dsp.finish(rng, fork, rate)


def _delay_line(pluck: dsp.Wave, taps: dsp.Wave, n: int) -> dsp.Wave:
    """Return y[i] = pluck[i] + sum over k of taps[k] y[i - p - k], where p = len(pluck), for i < ``n``."""
    period = len(pluck)
    out = np.zeros(period + 2 + n + period)  # silence before time 0, and room for the last period
    out[period + 2 : 2 * period + 2] = pluck
    for start in range(2 * period + 2, n + period + 2, period):  # each needs earlier ones only
        for k, tap in enumerate(taps):
            out[start : start + period] += tap * out[start - period - k : start - k]
    return out[period + 2 : period + 2 + n]


def plucked_string(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a melody on a plucked string (Karplus and Strong, Computer Music Journal, 1983).

    Noise runs round a delay line through a two-point average; a third tap tunes the fraction of a sample.
    """
    root, beat = dsp.log_uniform(rng, 110, 330), rng.uniform(0.22, 0.6)
    bright = rng.uniform(0.2, 0.8)
    hits = []
    for now in dsp.beats(rng, seconds, beat, 0.04):
        hz = root * 2.0 ** ((rng.choice(PENTATONIC) + 12 * rng.integers(0, 2)) / 12)
        delay = rate / hz - 0.5
        whole, part = int(delay), delay % 1.0
        loss = 10.0 ** (-3.0 / (hz * rng.uniform(1.5, 3.5)))  # per period: 60 dB in so many seconds
        pluck = signal.lfilter([bright], [1.0, bright - 1.0], rng.uniform(-1, 1, whole))
        taps = 0.5 * loss * np.array([1.0 - part, 1.0, part])
        note = _delay_line(pluck - pluck.mean(), taps, dsp.samples(1.6, rate))
        hits.append((now, note * rng.uniform(0.6, 1.0)))
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def bass_drum(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a bass drum on a beat: a skin whose pitch drops as it relaxes, and the click of the beater."""
    low, tau = rng.uniform(42, 65), rng.uniform(0.12, 0.25)
    t = dsp.clock(7 * tau, rate)
    drum = np.sin(dsp.phase(low * (1 + rng.uniform(1.0, 2.5) * np.exp(-t / 0.03)), rate)) * np.exp(-t / tau)
    click = _burst(rng, 0.004, rate, 500, 4000)
    drum[: len(click)] += rng.uniform(0.1, 0.3) * click
    return dsp.finish(rng, _played(rng, [drum], seconds, rate, rng.uniform(0.4, 0.9)), rate)


def snare_drum(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a snare drum: two modes of the skin under a burst of noise from the wires."""
    hz, tau = rng.uniform(170, 230), rng.uniform(0.06, 0.14)
    drum = dsp.modes([hz, 1.83 * hz], [1.0, 0.7], [0.06, 0.04], 7 * tau, rate)
    drum += rng.uniform(0.7, 1.3) * _burst(rng, tau, rate, 1200, 9000)[: len(drum)]
    return dsp.finish(rng, _played(rng, [drum], seconds, rate, rng.uniform(0.18, 0.7), 0.01), rate)


def hi_hat(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a hi-hat, every fourth stroke open: dense inharmonic partials, high frequencies only."""
    partials = rng.uniform(3000, 0.44 * rate, 60)
    strokes = []
    for tau in (0.025, 0.025, 0.025, rng.uniform(0.12, 0.3)):
        metal = dsp.modes(partials, rng.uniform(0.1, 0.3, 60), np.full(60, tau), 5 * tau, rate)
        strokes.append(metal + _burst(rng, tau, rate, 6000, 16000)[: len(metal)])
    return dsp.finish(rng, _played(rng, strokes, seconds, rate, rng.uniform(0.15, 0.35), 0.01), rate)


def heartbeat(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a heart through a stethoscope: a low "lub", a shorter, higher "dub" soon after."""
    period, apart = 60.0 / rng.uniform(55, 110), rng.uniform(0.26, 0.32)
    lub = dsp.modes(rng.uniform(35, 60, 3), [1, 0.8, 0.6], [0.05, 0.04, 0.03], 0.4, rate)
    dub = dsp.modes(rng.uniform(55, 85, 3), [0.7, 0.6, 0.4], [0.035, 0.03, 0.02], 0.3, rate)
    apart = min(apart, 0.45 * period)
    starts = dsp.beats(rng, seconds, period, 0.03)
    hits = [hit for now in starts for hit in ((now, dsp.edges(lub, rate, 0.01)), (now + apart, dub))]
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def _clock_click(rng: np.random.Generator, hz: float, rate: int) -> dsp.Wave:
    """Return one click of an escapement around ``hz``: stiff, quickly damped modes and a grain of noise."""
    ratios = np.array([1.0, 1.6, 2.3, 3.1]) * rng.uniform(0.95, 1.05, 4)
    click = dsp.modes(hz * ratios, [1, 0.8, 0.5, 0.3], [0.009, 0.006, 0.004, 0.003], 0.08, rate)
    grain = _burst(rng, 0.0015, rate, 2000, 9000)
    click[: len(grain)] += 0.6 * grain
    return click


def tick(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return the even ticks of a watch or timer, all alike."""
    click = _clock_click(rng, rng.uniform(1800, 3200), rate)
    return dsp.finish(rng, _played(rng, [click], seconds, rate, rng.uniform(0.2, 0.6)), rate)


def tick_tock(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a pendulum clock: a high tick and a lower tock in turn, in a wooden case."""
    hz = rng.uniform(1000, 1900)
    pair = [_clock_click(rng, hz, rate), _clock_click(rng, hz * rng.uniform(0.55, 0.75), rate)]
    wave = _played(rng, pair, seconds, rate, rng.uniform(0.4, 0.75))
    return dsp.finish(rng, dsp.echo(rng, wave, rate, 0.03, 0.3), rate)


def knock(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return knuckles on a wooden door: groups of heavily damped thuds, a pause between groups."""
    hz = rng.uniform(140, 260)
    ratios = np.array([1.0, 1.7, 2.4, 3.6, 5.1]) * rng.uniform(0.95, 1.05, 5)
    thud = dsp.modes(hz * ratios, [1, 0.8, 0.5, 0.3, 0.2], [0.03, 0.02, 0.015, 0.01, 0.006], 0.25, rate)
    skin = _burst(rng, 0.003, rate, 400, 3000)
    thud[: len(skin)] += 0.5 * skin
    hits: list[tuple[float, dsp.Wave]] = []
    now = 0.0
    while not hits or now < seconds - 0.3:
        for _ in range(rng.integers(2, 6)):
            hits.append((now, thud * rng.uniform(0.6, 1.0)))
            now += rng.uniform(0.16, 0.26)
        now += rng.uniform(0.5, 1.2)
    return dsp.finish(rng, dsp.echo(rng, dsp.place(hits, seconds, rate), rate, 0.12, 0.25), rate)


def drip(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return drops falling into water: each an air bubble whose ring rises in pitch near the surface.

    Model: van den Doel, Physically based models for liquid sounds, ACM Trans. Applied Perception, 2005.
    """
    t = dsp.clock(0.25, rate)
    hits = []
    for now in dsp.beats(rng, seconds - 0.1, rng.uniform(0.35, 1.1), 0.35):
        hz = dsp.log_uniform(rng, 700, 2200)
        damping = 0.13 * (hz / 3.0) + 0.0072 * (hz / 3.0) ** 1.5
        bubble = np.exp(-damping * t) * np.sin(dsp.phase(hz * (1 + 0.1 * damping * t), rate))
        hits.append((now, dsp.edges(bubble, rate, 0.002) * rng.uniform(0.4, 1.0)))
    return dsp.finish(rng, dsp.echo(rng, dsp.place(hits, seconds, rate), rate, 0.2, 0.25), rate)
