"""Composes a clip: one or two sounds at known times and levels over a faint background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.sample import dsp
from pipelines.sample.synth import Sound

FRAME_S = 0.01
AUDIBLE_DB = 30.0  # below its loudest frame, a sound drowns in the background
TOGETHER = 0.25  # of the shorter sound: with less overlap than this, two sounds are told as successive


class Event(NamedTuple):
    """A sound of class ``mid``, heard from ``onset_s`` to ``offset_s`` seconds after the clip's start."""

    mid: str
    onset_s: float
    offset_s: float


@dataclass(frozen=True)
class Scene:
    """A composed clip: ``audio`` (n, channels) within ±1, its events by onset, background in dBFS RMS."""

    audio: NDArray[np.float32]
    rate: int
    events: tuple[Event, ...]
    background_db: float


def audible_span(wave: NDArray[np.floating], rate: int) -> tuple[float, float]:
    """Return the first and last second at which ``wave`` (n,) is within `AUDIBLE_DB` of its loudest.

    Measured on frames of `FRAME_S`; a silent wave has the span (0, 0).
    """
    frame = dsp.samples(FRAME_S, rate)
    padded = np.pad(np.asarray(wave, dtype=np.float64), (0, -len(wave) % frame))
    power = np.mean(padded.reshape(-1, frame) ** 2, axis=1)
    heard = np.flatnonzero(power > power.max(initial=0.0) * 10.0 ** (-AUDIBLE_DB / 10.0))
    if not len(heard):
        return 0.0, 0.0
    return float(heard[0]) * frame / rate, min(float(heard[-1] + 1) * frame, len(wave)) / rate


def together(events: Sequence[Event]) -> bool:
    """Say whether the first two events overlap by at least `TOGETHER` of the shorter one."""
    if len(events) < 2:
        return False
    a, b = events[:2]
    shared = min(a.offset_s, b.offset_s) - max(a.onset_s, b.onset_s)
    return shared >= TOGETHER * min(a.offset_s - a.onset_s, b.offset_s - b.onset_s)


def _slots(rng: np.random.Generator, cast: Sequence[Sound], seconds: float) -> list[tuple[float, float]]:
    """Draw the (start, end), as parts of the clip, of one or two sounds: alone, in turn or overlapping."""
    if len(cast) == 1:
        if cast[0].kind == "texture" and rng.random() < 0.6:
            return [(0.0, 1.0)]
        start = rng.uniform(0.0, 0.25)
        return [(start, start + (1.0 - start) * rng.uniform(0.75, 1.0))]
    if rng.random() < 0.5:
        split = rng.uniform(0.45, 0.52)
        return [(rng.uniform(0.0, 0.06), split), (split + rng.uniform(0.02, 0.06), rng.uniform(0.94, 1.0))]
    if any(sound.kind == "texture" for sound in cast):
        inside = (rng.uniform(0.1, 0.4), rng.uniform(0.75, 1.0))
        return [(0.0, 1.0) if sound.kind == "texture" else inside for sound in cast]
    first, second = (rng.uniform(0.0, 0.1), rng.uniform(0.65, 0.75)), (rng.uniform(0.28, 0.38), 1.0)
    return [first, second]


def _spread(rng: np.random.Generator, wave: dsp.Wave, channels: int) -> dsp.Wave:
    """Return ``wave`` (n,) as (n, channels), panned a little; the mean of the channels is ``wave``."""
    if channels == 1:
        return wave[:, None]
    pan = rng.uniform(-0.4, 0.4)
    return wave[:, None] * np.array([1.0 + pan, 1.0 - pan])


def _decibels(wave: dsp.Wave) -> float:
    return float(10.0 * np.log10(np.mean(wave**2) + 1e-20))


def compose(rng: np.random.Generator, cast: Sequence[Sound], seconds: float, rate: int, channels: int) -> Scene:
    """Compose one or two sounds into a clip of ``seconds`` at ``rate`` Hz with 1 or 2 ``channels``.

    Each sound's RMS while it is heard is drawn from -30 to -14 dBFS, or less where its peaks forbid that; the
    background, a noise between pink and brown, lies 22 to 45 dB below the weakest of them. Onsets and offsets
    are measured on what was synthesised (`audible_span`), not taken from the plan.
    """
    n = dsp.samples(seconds, rate)
    audio, events, levels = np.zeros((n, channels)), [], []
    for sound, (start, end) in zip(cast, _slots(rng, cast, seconds), strict=True):
        first = dsp.samples(start * seconds, rate)
        wave = sound.synth(rng, (end - start) * seconds, rate).astype(np.float64)[: n - first]
        onset, offset = audible_span(wave, rate)
        heard = wave[dsp.samples(onset, rate) : dsp.samples(offset, rate)]
        wanted = 10.0 ** ((rng.uniform(-30.0, -14.0) - _decibels(heard)) / 20.0)
        gain = min(wanted, 0.45 / np.abs(wave).max())  # two peaks and a pan still fit under full scale
        audio[first : first + len(wave)] += _spread(rng, gain * wave, channels)
        events.append(Event(sound.mid, round(first / rate + onset, 3), round(first / rate + offset, 3)))
        levels.append(_decibels(gain * heard))
    background_db = max(min(levels) - rng.uniform(22.0, 45.0), -84.0)
    slope = rng.uniform(1.0, 2.0)
    for channel in range(channels):
        audio[:, channel] += 10.0 ** (background_db / 20.0) * dsp.coloured_noise(rng, seconds, rate, slope)
    ordered = tuple(sorted(events, key=lambda event: (event.onset_s, -event.offset_s)))
    return Scene(np.clip(audio, -1.0, 1.0).astype(np.float32), rate, ordered, round(background_db, 1))
