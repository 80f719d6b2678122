"""Synthesisers of sirens, horns, telephones, beeps, test tones and an organ: sounds that oscillators make.

Each takes a random generator, a length in seconds and a rate in Hz, and returns float32 (n,) within ±1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from pipelines.sample import dsp

Audio = NDArray[np.float32]

DTMF_HZ = {
    key: (low, high)
    for low, keys in zip((697, 770, 852, 941), ("123", "456", "789", "*0#"), strict=True)
    for high, key in zip((1209, 1336, 1477), keys, strict=True)
}
"""Key -> its two frequencies, in Hz (ITU-T Q.23)."""


def _wail(rng: np.random.Generator, t: dsp.Wave, period_s: float) -> dsp.Wave:
    """Return a pitch (n,), in Hz, that climbs and falls again every ``period_s``, as a siren's does."""
    low, high = rng.uniform(500, 700), rng.uniform(1200, 1600)
    position = (t / period_s + rng.uniform(0, 1)) % 1.0
    climb = rng.uniform(0.35, 0.65)
    height = np.where(position < climb, position / climb, (1 - position) / (1 - climb))
    return low * (high / low) ** height


def _horn_speaker(rng: np.random.Generator, hz: dsp.Wave, rate: int) -> dsp.Wave:
    """Return a driven horn speaker (n,) at pitch ``hz``: many harmonics, and more of them when overdriven."""
    drive = rng.uniform(1.0, 3.0)
    return np.tanh(drive * dsp.harmonics(hz, rate, dsp.rolloff(6, rng.uniform(1.2, 2.2))))


def siren(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a siren: a slow wail, or two tones a fourth apart in turn, as in much of Europe."""
    t = dsp.clock(seconds, rate)
    if rng.random() < 0.5:
        hz = _wail(rng, t, rng.uniform(3.0, 5.0))
    else:
        low, step = rng.uniform(380, 480), rng.uniform(0.45, 0.75)
        hz = low * np.where((t / step).astype(int) % 2, 4 / 3, 1.0)
    return dsp.finish(rng, dsp.echo(rng, _horn_speaker(rng, hz, rate), rate, 0.3, 0.25), rate)


def police_siren(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a police car's siren: a wail, then from some moment on the fast yelp, passing by."""
    t = dsp.clock(seconds, rate)
    switch = seconds * rng.uniform(0.0, 0.6)
    wail, yelp = _wail(rng, t, rng.uniform(2.0, 3.0)), _wail(rng, t, rng.uniform(0.25, 0.4))
    wave = _horn_speaker(rng, np.where(t < switch, wail, yelp), rate)
    nearest, width = seconds * rng.uniform(0.3, 0.9), rng.uniform(3.0, 6.0)
    return dsp.finish(rng, dsp.echo(rng, wave / np.hypot(1.0, (t - nearest) / width), rate, 0.4, 0.3), rate)


def civil_defense_siren(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a mechanical siren: a rotor that spins up and runs down, or two of them, 5 : 6."""
    cycle = seconds / rng.integers(1, max(int(seconds // 6), 1), endpoint=True)
    powered = dsp.clock(seconds, rate) % cycle < cycle * rng.uniform(0.5, 0.7)
    inertia = np.exp(-1.0 / (0.17 * cycle * rate))
    speed = signal.lfilter([1.0 - inertia], [1.0, -inertia], powered.astype(float))
    hz = rng.uniform(350, 560) * (0.3 + 0.7 * speed)
    amplitudes = dsp.rolloff(10, rng.uniform(0.9, 1.4))
    wave = dsp.harmonics(hz, rate, amplitudes)
    if rng.random() < 0.6:
        wave += dsp.harmonics(hz * 5 / 6, rate, amplitudes)
    return dsp.finish(rng, dsp.echo(rng, wave * (0.1 + 0.9 * speed), rate, 0.8, 0.5), rate)


def car_horn(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return honks of a car's pair of disc horns, about a major third apart and rich in harmonics."""
    low = rng.uniform(380, 450)
    high = low * rng.uniform(1.22, 1.28)
    amplitudes = [0.5, 0.9, 1.0, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1]
    hits, now = [], 0.0
    while now < seconds:
        length = min(dsp.log_uniform(rng, 0.15, 1.4), seconds - now)
        honk = dsp.steady(low, length, rate, amplitudes) + dsp.steady(high, length, rate, amplitudes)
        hits.append((now, dsp.edges(honk, rate, 0.012, 0.03)))
        now += length + rng.uniform(0.12, 0.8)
    return dsp.finish(rng, dsp.echo(rng, dsp.place(hits, seconds, rate), rate, 0.15, 0.3), rate)


def foghorn(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a ship's or lighthouse's horn: long deep blasts that speak slowly, sag and echo over water."""
    root = dsp.log_uniform(rng, 75, 170)
    amplitudes = [1.0, 0.9, 0.8, 0.5, 0.45, 0.3, 0.25, 0.15, 0.1, 0.08]
    hits, now = [], 0.0
    while now < seconds:
        length = min(rng.uniform(1.6, 3.5), max(seconds - now, 0.4))
        t = dsp.clock(length, rate)
        hz = root * (1 - 0.06 * np.exp(-t / 0.15) - 0.05 * np.clip((t - length + 0.4) / 0.4, 0, 1))
        hits.append((now, dsp.edges(dsp.harmonics(hz, rate, amplitudes), rate, 0.25, 0.3)))
        now += length + rng.uniform(1.5, 3.0)
    return dsp.finish(rng, dsp.echo(rng, dsp.place(hits, seconds, rate), rate, 1.0, 0.4), rate)


def dial_tone(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return the North American dial tone: 350 and 440 Hz, continuous (ITU-T E.180)."""
    wave = dsp.steady(350, seconds, rate) + rng.uniform(0.75, 1.3) * dsp.steady(440, seconds, rate)
    line = dsp.band_noise(rng, seconds, rate, 300, 3400)
    return dsp.finish(rng, wave + dsp.log_uniform(rng, 1e-4, 5e-3) * line, rate)


def busy_signal(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return the North American busy signal: 480 and 620 Hz, half a second on, half off (ITU-T E.180)."""
    tone = dsp.steady(480, 0.5, rate) + rng.uniform(0.75, 1.3) * dsp.steady(620, 0.5, rate)
    tone = dsp.edges(tone, rate)
    hits = [(now, tone) for now in dsp.beats(rng, seconds, 1.0)]
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def dtmf_dialing(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return keys being dialled: the two tones of `DTMF_HZ` each, within 3 dB of each other."""
    on, off, twist = rng.uniform(0.08, 0.25), rng.uniform(0.06, 0.3), 10.0 ** (rng.uniform(-3, 3) / 20)
    hits, now = [], 0.0
    while now + on <= seconds:
        low, high = DTMF_HZ[str(rng.choice(list(DTMF_HZ)))]
        key = dsp.steady(low, on, rate) + twist * dsp.steady(high, on, rate)
        hits.append((now, dsp.edges(key, rate)))
        now += on + off * rng.uniform(0.8, 1.3)
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def telephone_bell(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a mechanical telephone: a clapper at 20 Hz between two small gongs, ringing in bursts."""
    strokes = rng.uniform(18, 25)
    root = rng.uniform(900, 1500)
    gongs = []
    for hz in (root, root * rng.uniform(1.15, 1.3)):
        ratios = np.array([1.0, 2.32, 2.75, 4.25, 5.4]) * rng.uniform(0.99, 1.01, 5)
        taus = [0.35, 0.2, 0.15, 0.08, 0.05]
        gongs.append(dsp.modes(hz * ratios, [1, 0.7, 0.5, 0.4, 0.2], taus, 0.9, rate))
    british = rng.random() < 0.5
    bursts = [(0.0, 0.4), (0.6, 0.4)] if british else [(0.0, 2.0)]
    cycle = 3.0 if british else rng.uniform(4.0, 6.0)
    hits = []
    for start in dsp.beats(rng, seconds, cycle):
        for offset, length in bursts:
            for k in range(int(length * strokes)):
                hits.append((start + offset + k / strokes, gongs[k % 2] * rng.uniform(0.8, 1.0)))
    return dsp.finish(rng, dsp.place(hits, seconds, rate), rate)


def sine_wave(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return one steady sinusoid between 120 and 5000 Hz."""
    return dsp.finish(rng, dsp.steady(dsp.log_uniform(rng, 120, 5000), seconds, rate), rate)


def chirp_tone(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return one sinusoid that sweeps, linearly or exponentially, up or down through at least two octaves."""
    low = dsp.log_uniform(rng, 100, 500)
    high = min(low * 2.0 ** rng.uniform(2.0, 4.0), 0.4 * rate)
    position = dsp.clock(seconds, rate) / seconds
    hz = low * (high / low) ** position if rng.random() < 0.5 else low + (high - low) * position
    return dsp.finish(rng, dsp.harmonics(hz if rng.random() < 0.6 else hz[::-1], rate, [1.0]), rate)


def beep(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return the short beeps of an appliance: one pitch, a quick even rhythm, a nearly pure tone."""
    on = rng.uniform(0.06, 0.2)
    amplitudes = [1.0, 0.0, rng.uniform(0.0, 0.4), 0.0, rng.uniform(0.0, 0.15)]
    tone = dsp.edges(dsp.steady(dsp.log_uniform(rng, 800, 3500), on, rate, amplitudes), rate)
    times = dsp.beats(rng, seconds - on, on + rng.uniform(0.1, 0.7))
    return dsp.finish(rng, dsp.place(((now, tone) for now in times), seconds, rate), rate)


def reversing_beeps(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a truck's reversing alarm outdoors: a harsh tone near 1.2 kHz, on and off once a second."""
    period = rng.uniform(0.9, 1.1)
    square = [1.0, 0.0, rng.uniform(0.3, 0.6), 0.0, rng.uniform(0.1, 0.4)]
    on = period * rng.uniform(0.45, 0.55)
    tone = dsp.edges(dsp.steady(rng.uniform(1000, 1400), on, rate, square), rate)
    wave = dsp.place(((now, tone) for now in dsp.beats(rng, seconds, period)), seconds, rate)
    return dsp.finish(rng, dsp.echo(rng, wave, rate, 0.25, rng.uniform(0.2, 0.4)), rate)


def smoke_detector(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a smoke alarm: a piezo tone near 3.1 kHz in the temporal-three pattern of ISO 8201."""
    tone = dsp.edges(dsp.steady(rng.uniform(2900, 3400), 0.5, rate, [1.0, 0.1, 0.25]), rate)
    hits = [(start + k, tone) for start in dsp.beats(rng, seconds, 4.0) for k in range(3)]
    return dsp.finish(rng, dsp.echo(rng, dsp.place(hits, seconds, rate), rate, 0.15, 0.2), rate)


def sonar(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return active sonar: a pure ping every few seconds and the long reverberation of the sea after it."""
    ping = dsp.steady(dsp.log_uniform(rng, 800, 2200), rng.uniform(0.08, 0.3), rate)
    times = dsp.beats(rng, seconds, rng.uniform(2.0, 4.0))
    wave = dsp.place(((now, dsp.edges(ping, rate, 0.01, 0.04)) for now in times), seconds, rate)
    return dsp.finish(rng, dsp.echo(rng, wave, rate, rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8)), rate)


def organ(rng: np.random.Generator, seconds: float, rate: int) -> Audio:
    """Return a pipe organ playing slow chords: sustained tones from several ranks, in a large room."""
    ranks = np.array([1.0, 0.7, 0.3, 0.4, 0.05, 0.05, 0.05, 0.2]) * rng.uniform(0.4, 1.4, 8)  # 8' to 1'
    root = 110.0 * 2.0 ** (rng.integers(0, 12) / 12)
    length = rng.uniform(1.0, 2.2)
    hits = []
    for now in dsp.beats(rng, seconds, length):
        degree = int(rng.choice([0, 5, 7, 9]))
        for step in (0, 7, 12, 16):
            hz = root * 2.0 ** ((degree + step) / 12) * rng.uniform(0.999, 1.001)
            hits.append((now, dsp.edges(dsp.steady(hz, length, rate, ranks.tolist()), rate, 0.06, 0.08)))
    return dsp.finish(rng, dsp.echo(rng, dsp.place(hits, seconds, rate), rate, 0.6, 0.3), rate)
