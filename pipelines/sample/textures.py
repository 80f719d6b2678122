"""Synthesisers of continuous sounds: noises, hums, an engine, crickets, rain, wind, waves and applause.

Each takes a random generator, a length in seconds and a rate in Hz, and returns float32 (n,) within ±1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from pipelines.sample import dsp

Audio = NDArray[np.float32]


def _grains(rng: np.random.Generator, seconds: float, rate: int, per_second: float, grains: list[dsp.Wave]) -> dsp.Wave:
    """Return short grains at random moments (n,): a Poisson process for each, exponential strengths."""
    n = dsp.samples(seconds, rate)
    out = np.zeros(n)
    for grain in grains:
        count = rng.poisson(per_second * seconds / len(grains))
        impulses = np.zeros(n)
        np.add.at(impulses, rng.integers(0, n, count), rng.exponential(1.0, count))
        out += signal.fftconvolve(impulses, grain)[:n]
    return out


def white_noise(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return Gaussian noise with a flat spectrum."""
    return dsp.finish(rng, rng.standard_normal(dsp.samples(seconds, rate)), rate)


def pink_noise(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return Gaussian noise whose power falls by 3 dB per octave."""
    return dsp.finish(rng, dsp.coloured_noise(rng, seconds, rate, 1.0), rate)


def static(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a radio between stations: band-limited noise that fades and swells, with crackles."""
    low, high = rng.uniform(200, 400), rng.uniform(3000, 6000)
    hiss = dsp.band_noise(rng, seconds, rate, low, high) * (0.5 + 0.5 * dsp.wander(rng, seconds, rate, 3.0))
    t = dsp.clock(0.02, rate)
    crackle = [dsp.band_noise(rng, 0.02, rate, 500, 7000) * np.exp(-t / tau) for tau in (0.001, 0.004)]
    return dsp.finish(rng, hiss + 1.5 * _grains(rng, seconds, rate, rng.uniform(15, 60), crackle), rate)


def mains_hum(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return the hum of mains power, 50 or 60 Hz: strong at twice that, as iron is pulled twice a cycle."""
    amplitudes = [rng.uniform(0.3, 0.8), 1.0, 0.3, 0.6, 0.15, 0.3, 0.1, 0.15, 0.05, 0.08]
    scaled = [a * rng.uniform(0.6, 1.2) for a in amplitudes]
    hum = dsp.steady(float(rng.choice([50.0, 60.0])), seconds, rate, scaled)
    return dsp.finish(rng, hum + 0.01 * dsp.coloured_noise(rng, seconds, rate, 1.0), rate)


def buzz(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return an electric buzz: a rough, bright harmonic tone whose strength trembles."""
    hz = rng.uniform(90, 220) * (1 + 0.01 * (dsp.wander(rng, seconds, rate, 8.0) - 0.5))
    tremble = 1 - rng.uniform(0.2, 0.5) * dsp.wander(rng, seconds, rate, 25.0)
    return dsp.finish(rng, dsp.harmonics(hz, rate, dsp.rolloff(30, rng.uniform(0.3, 0.8))) * tremble, rate)


def idling(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a four-stroke engine at idle: firings, each a little different, through an exhaust."""
    cylinders = int(rng.choice([2, 3, 4, 6]))
    period = 120.0 / (rng.uniform(650, 950) * cylinders)  # a four-stroke cylinder fires every second turn
    hz = rng.uniform(55, 110)
    pipe = hz * np.array([1.0, 2.0, 3.1, 5.2, 8.3])
    firing = dsp.modes(pipe, [1, 0.7, 0.5, 0.3, 0.2], [0.03, 0.025, 0.015, 0.01, 0.008], 0.2, rate)
    strength = rng.uniform(0.6, 1.0, cylinders)
    hits = [
        (now, firing * strength[k % cylinders] * rng.uniform(0.85, 1.0))
        for k, now in enumerate(dsp.beats(rng, seconds, period, 0.03))
    ]
    wave = dsp.place(hits, seconds, rate)
    turning = 0.6 + 0.4 * np.cos(2 * np.pi * dsp.clock(seconds, rate) / period)
    valves = dsp.band_noise(rng, seconds, rate, 600, 3500) * turning
    return dsp.finish(rng, wave + rng.uniform(0.04, 0.12) * valves, rate)


def _one_cricket(rng: np.random.Generator, seconds: float, rate: int) -> dsp.Wave:
    """Return one cricket (n,): chirps of three or four pulses, each nearly a pure tone."""
    hz, pulses, apart = rng.uniform(4000, 5200), int(rng.integers(3, 5)), rng.uniform(0.025, 0.04)
    t = dsp.clock(0.6 * apart, rate)
    pulse = np.sin(dsp.phase(hz * (1.01 - 0.02 * t / t[-1]), rate)) * np.sin(np.pi * t / t[-1])
    starts = dsp.beats(rng, seconds, rng.uniform(0.3, 0.6), 0.08)
    return dsp.place(((now + k * apart, pulse) for now in starts for k in range(pulses)), seconds, rate)


def cricket(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return crickets at night: one near, and none, one or two farther away."""
    wave = _one_cricket(rng, seconds, rate)
    for _ in range(rng.integers(0, 3)):
        farther = np.roll(_one_cricket(rng, seconds, rate), rng.integers(1, rate // 4))
        wave = wave + rng.uniform(0.1, 0.5) * farther
    return dsp.finish(rng, wave, rate)


def rain(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return rain: the hiss of countless drops, with nearer ones that tap and plop one by one."""
    hiss = dsp.band_noise(rng, seconds, rate, rng.uniform(400, 1500), rng.uniform(6000, 12000))
    drops = []
    for hz in np.exp(rng.uniform(np.log(700), np.log(6000), 24)):
        tau = rng.uniform(1.5, 5.0) / hz
        drops.append(dsp.modes([hz, 2.3 * hz], [1.0, 0.4], [tau, tau / 2], 8 * tau, rate))
    near = _grains(rng, seconds, rate, dsp.log_uniform(rng, 80, 700), drops)
    near /= np.sqrt(np.mean(near**2)) + 1e-12
    return dsp.finish(rng, hiss * (0.85 + 0.15 * dsp.wander(rng, seconds, rate, 0.7)) + near, rate)


def wind(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return gusting wind: deep noise that swells and sinks; higher bands and a whistle join in."""
    gust = dsp.wander(rng, seconds, rate, rng.uniform(0.4, 0.9))
    rumble = dsp.coloured_noise(rng, seconds, rate, 2.0, 40.0)
    body = dsp.band_noise(rng, seconds, rate, 120, rng.uniform(400, 800))
    hz = rng.uniform(350, 900)
    whistle = dsp.band_noise(rng, seconds, rate, hz, hz * 1.1)
    wave = (0.3 + gust) * rumble + (0.15 + gust**2) * body + rng.uniform(0.1, 0.5) * gust**3 * whistle
    return dsp.finish(rng, wave, rate)


def waves(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return surf: waves that gather, break with a brighter crash and wash back, over the open sea."""
    t = dsp.clock(seconds, rate)
    low = dsp.coloured_noise(rng, seconds, rate, 1.4, 60.0)
    high = dsp.band_noise(rng, seconds, rate, 700, 6000)
    period = rng.uniform(3.5, 6.0)
    swell, crash = np.zeros(len(t)), np.zeros(len(t))
    for now in dsp.beats(rng, seconds + period, period, 0.25):
        since = t - (now - period * rng.uniform(0.3, 0.6))
        strength = rng.uniform(0.6, 1.0)
        swell += strength * np.exp(-0.5 * (since / (0.28 * period)) ** 2)
        crash += strength * np.exp(np.minimum(since, 0.0) / 0.25 - np.maximum(since, 0.0) / (0.25 * period))
    return dsp.finish(rng, (0.15 + swell) * low + (0.04 + 0.8 * crash) * high, rate)


def applause(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return an audience clapping: hundreds of claps a second, short noises of many colours."""
    claps = []
    for hz in rng.uniform(700, 2600, 24):
        tau = rng.uniform(0.002, 0.008)
        noise = dsp.band_noise(rng, 8 * tau, rate, 0.7 * hz, 1.5 * hz)
        claps.append(dsp.edges(noise * np.exp(-dsp.clock(8 * tau, rate) / tau), rate, 0.0005))
    wave = _grains(rng, seconds, rate, dsp.log_uniform(rng, 120, 500), claps)
    return dsp.finish(rng, dsp.echo(rng, wave, rate, 0.5, rng.uniform(0.3, 0.7)), rate)
