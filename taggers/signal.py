"""A tagger by rules: it claims only sounds that are defined by their signal, and abstains from all others.

`RULES` names the classes, each AudioSet's own; each rule's docstring is its definition. A confidence is a
rule's score, not a probability: 0.5 at the rule's threshold, 1.0 at the textbook signal, linear between. No
finding means that no rule holds, never that a sound is absent. The rules look for a sound that has the clip
to itself or nearly so: a tone under speech is not claimed.

Measured by tests/taggers/test_signal.py, or once by hand where it says so:
- Recall: 61 synthesised signals of 1 to 5 s at 44.1 kHz, each clean and over white noise, pink noise, real
  rain and real wind at 20 dB (power ratio over the clip): all heard, none as another class. A background
  that comes and goes breaks tones up: over a barking dog 13 of 92 such signals were missed (by hand, at
  signal-1). DTMF keys need 60 ms; of keys of 50 ms, 7 in 10 were read (by hand).
- False alarms on real sound: none in 200 ESC-50 clips (25 classes of fold 4) for any class, and by hand none
  in 320 others (ESC-10, other folds): under 0.7% for each class at 95% confidence. The thresholds of the
  tones were set with these clips in view, so expect more elsewhere.
- Speed: at most 4 to 8 ms for 10 s at 32 kHz (signal-1, which had one rule more).

signal-1 also had Tick-tock: clicks at one fixed period. It found 30 of 40 real clocks in those 520 clips and
nothing else there, but of its 12 findings in the project's own sample corpora 10 were wrong (hi-hats, drums,
heartbeats, beeps): a steady period does not make a clock, so the rule is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taggers.base import Finding, Listener, Waveform
from taggers.descriptors import (
    LEAST_RATE,
    OFFSET_BINS,
    SILENCE_DBFS,
    long_spectra,
    peak_hz,
    runs,
    sound_power,
    spans,
    spectrogram,
)

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

TONE_SHARE = 0.97  # of the power: a tone 15 dB over everything else, its own harmonics included
KEYED_SHARE = 0.85  # likewise, where the frames at either end hold a part of the tone alone
HUM_SHARE = 0.5
DIAL_HZ = (350.0, 440.0)  # precise tone plan of North America, ITU-T E.180 supplement 2
BUSY_HZ = (480.0, 620.0)
BUSY_S = (0.5, 0.25)  # on and off alike; the shorter is the "fast" busy signal of a congested network
DTMF_ROWS = (697.0, 770.0, 852.0, 941.0)  # ITU-T Q.23
DTMF_COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)
DTMF_KEYS = "123A456B789C*0#D"
MAINS_HZ = (50.0, 60.0)


class Span(NamedTuple):
    """Where a rule holds, in seconds, its score there, and what was read."""

    onset_s: float
    offset_s: float
    score: float
    text: str | None = None


class Sound(NamedTuple):
    """What the rules look at: the spectrogram (frames, bins), each frame's power and its level in dBFS."""

    waveform: Waveform
    power: NDArray[np.float32]
    step_hz: float
    total: NDArray[np.float32]
    level: NDArray[np.float32]

    @property
    def hop_s(self) -> float:
        """Seconds from one frame to the next: half a frame."""
        return 0.5 / self.step_hz

    def span(self, start: int, end: int, score: float, text: str | None = None) -> Span:
        """The span of frames [start, end): from centre to centre, but out to the waveform's own edges."""
        length = self.waveform.duration_s
        onset = (start + 1) * self.hop_s if start else 0.0
        offset = end * self.hop_s if end < len(self.power) else length
        return Span(round(min(onset, length), 3), round(min(max(onset, offset), length), 3), score, text)

    def frames(self, seconds: float) -> int:
        """Whole frames in so many seconds."""
        return int(seconds / self.hop_s) - 1


def score(value: float, threshold: float, ideal: float) -> float:
    """How far a measure is from the rule's threshold (0.5) to the textbook signal (1.0), linearly."""
    return round(0.5 + 0.5 * float(np.clip((value - threshold) / (ideal - threshold), 0.0, 1.0)), 3)


def fit(share: Floats, threshold: float) -> float:
    """The score of a median share of power, of which the textbook signal has all."""
    return score(float(np.median(share)), threshold, 1.0)


def silence(sound: Sound) -> list[Span]:
    """No 20 ms above -60 dBFS, from the first sample to the last."""
    if sound.level.max() > SILENCE_DBFS or spans(sound.waveform)["active_span"]:
        return []
    margin = score(-float(sound.level.max()), -SILENCE_DBFS, 90.0)
    return [Span(0.0, round(sound.waveform.duration_s, 3), margin)]


def share_near(power: Floats, total: Floats, bins: Floats, reach: Floats) -> Floats:
    """Share of each frame's power within `reach` bins of the bin `bins`."""
    widest = int(np.ceil(reach.max()))
    around = np.arange(-widest, widest + 1)
    columns = np.round(bins).astype(int)[:, None] + around
    inside = (np.abs(around) <= reach[:, None]) & (columns >= OFFSET_BINS) & (columns < power.shape[1])
    near = np.take_along_axis(power, np.where(inside, columns, 0), axis=1)
    return np.sum(near, axis=1, where=inside) / np.maximum(total, 1e-12)


def steady(sound: Sound, holds: Bools, hz: Floats, seconds: float) -> list[tuple[int, int]]:
    """Runs at least so long where `holds`, `hz` keeps within 0.6% and the level within 2 dB, edges aside."""
    leaps = np.abs(np.diff(hz, prepend=hz[0])) > np.maximum(0.003 * hz, 0.25 * sound.step_hz)
    found = []
    for start, end in zip(*runs(holds), strict=True):
        cuts = [start, *(start + 1 + np.flatnonzero(leaps[start + 1 : end])), end]
        for a, b in pairwise(cuts):
            inner = slice(a + 1, b - 1)  # the tone may begin or end within the outer frames
            if b - a < max(3, sound.frames(seconds)) or np.ptp(sound.level[inner]) > 2.0:
                continue
            if np.ptp(hz[inner]) <= max(0.006 * float(np.median(hz[inner])), 0.25 * sound.step_hz):
                found.append((int(a), int(b)))
    return found


def sine_wave(sound: Sound) -> list[Span]:
    """One tone of fixed pitch and level for a second or more, with `TONE_SHARE` of the power."""
    hz = peak_hz(sound.power, sound.step_hz, OFFSET_BINS, sound.power.shape[1])
    share = share_near(sound.power, sound.total, hz / sound.step_hz, np.full(len(hz), 3.0))
    holds = (share >= TONE_SHARE) & (sound.level > SILENCE_DBFS)
    found = steady(sound, holds, hz, 1.0)
    return [sound.span(a, b, fit(share[a:b], TONE_SHARE)) for a, b in found]


def chirp_tone(sound: Sound) -> list[Span]:
    """One tone, from 62 Hz up, that rises or falls by 20% or more in half a second or more.

    Its path is linear or exponential, within one bin or 1% of its range.
    """
    lag, least = 4, sound.frames(0.5)
    if len(sound.power) < least:
        return []
    hz = peak_hz(sound.power, sound.step_hz, OFFSET_BINS, sound.power.shape[1])
    audible = (sound.level > SILENCE_DBFS) & (hz >= 4.0 * sound.step_hz)
    moved = hz[lag:] - hz[:-lag]
    found = []
    for moves in (moved > 0.1 * sound.step_hz, moved < -0.1 * sound.step_hz):
        for start, end in zip(*runs(moves), strict=True):
            if end + lag - start < least:
                continue
            part = slice(start, end + lag)
            bins = hz[part] / sound.step_hz
            reach = 3.0 + np.abs(np.gradient(bins))  # plus what it sweeps within the frame's half height
            share = share_near(sound.power[part], sound.total[part], bins, reach)
            for a, b in zip(*runs((share >= TONE_SHARE) & audible[part]), strict=True):
                if b - a >= max(5, least) and glides(bins[a + 1 : b - 1]):  # outer frames as in `steady`
                    found.append(sound.span(int(start + a), int(start + b), fit(share[a:b], TONE_SHARE)))
    return sorted(found)


def glides(path: Floats) -> bool:
    """Whether a path of pitches, in bins, is a line or an exponential over a range of 20% or more."""
    if max(path[0], path[-1]) < 1.2 * min(path[0], path[-1]):
        return False
    time = np.arange(len(path))
    line = np.polyval(np.polyfit(time, path, 1), time)
    curve = np.exp(np.polyval(np.polyfit(time, np.log(path), 1), time))
    error = min(np.abs(line - path).max(), np.abs(curve - path).max())
    return bool(error <= max(1.0, 0.01 * np.ptp(path)))


def noise(sound: Sound, edges_hz: Floats, per_hz: bool) -> list[Span]:
    """Steady Gaussian noise whose power per band, or per Hz of each band, is the same within 1.5 dB.

    Steady and Gaussian: over time, the power in a band of B bins varies as the sum of B independent
    exponential variables does (Hann frames correlate neighbouring bins, hence 1.944). That of a sound
    made of events varies more.
    """
    edges = np.unique(np.round(edges_hz / sound.step_hz).astype(int))
    if len(edges) < 5:
        return []
    loud = sound.level[sound.level > sound.level.max() - 6.0]
    holds = (np.abs(sound.level - np.median(loud)) <= 3.0) & (sound.level > SILENCE_DBFS)
    width = np.diff(edges)
    found = []
    for start, end in zip(*runs(holds), strict=True):
        inner = slice(start + 1, end - 1)
        if end - start < max(3, sound.frames(1.0)):
            continue
        bands = np.add.reduceat(sound.power[inner, : edges[-1]], edges[:-1], axis=1, dtype=np.float64)
        mean = bands.mean(axis=0) + 1e-20
        level = 10.0 * np.log10(mean / (width if per_hz else 1.0))
        uneven = float(np.abs(level - level.mean()).max())
        chance = float(np.median(bands.var(axis=0) / np.square(mean) * width / 1.944))
        share = float(mean.sum() / sound.total[inner].mean())
        if uneven <= 1.5 and 0.7 <= chance <= 1.3 and share >= 0.6:
            found.append(sound.span(start, end, score(-uneven, -1.5, 0.0)))
    return found


def white_noise(sound: Sound) -> list[Span]:
    """Noise with the same power in each Hz, from 100 Hz to 0.85 of Nyquist in 16 bands, for 1 s or more."""
    return noise(sound, np.linspace(100.0, 0.425 * sound.waveform.rate, 17), per_hz=True)


def pink_noise(sound: Sound) -> list[Span]:
    """Noise with the same power in each octave, from 50 to 100 Hz up to 0.85 of Nyquist, for 1 s or more."""
    top = 0.425 * sound.waveform.rate
    return noise(sound, top / 2.0 ** np.arange(int(np.log2(max(1.0, top / 50.0))), -1, -1), per_hz=False)


def tone_pair(sound: Sound, low_hz: float, high_hz: float, least_share: float) -> tuple[Bools, Floats]:
    """Where two tones, each within 1.8% of its pitch and 8 dB of the other (ITU-T Q.24), have the power."""
    share = np.zeros(len(sound.power))
    holds = sound.level > SILENCE_DBFS
    parts = []
    for hz in (low_hz, high_hz):
        low, high = round(hz / sound.step_hz) - 2, round(hz / sound.step_hz) + 3
        if high >= sound.power.shape[1]:
            return np.zeros_like(holds), share
        parts.append(sound.power[:, low:high].sum(axis=1, dtype=np.float64) + 1e-20)
        holds &= np.abs(peak_hz(sound.power, sound.step_hz, low, high) / hz - 1.0) <= 0.018
    share = (parts[0] + parts[1]) / np.maximum(sound.total, 1e-12)
    return holds & (share >= least_share) & (np.abs(10.0 * np.log10(parts[0] / parts[1])) <= 8.0), share


def dial_tone(sound: Sound) -> list[Span]:
    """The pair of `DIAL_HZ`, steady for a second or more."""
    holds, share = tone_pair(sound, *DIAL_HZ, TONE_SHARE)
    found = steady(sound, holds, np.full(len(holds), DIAL_HZ[0]), 1.0)
    return [sound.span(a, b, fit(share[a:b], TONE_SHARE)) for a, b in found]


def busy_signal(sound: Sound) -> list[Span]:
    """The pair of `BUSY_HZ`, on and off for the same time of `BUSY_S`, twice or more, and never otherwise."""
    holds, share = tone_pair(sound, *BUSY_HZ, KEYED_SHARE)
    starts, ends = runs(holds)
    on, off = (ends - starts - 1) * sound.hop_s, (starts[1:] - ends[:-1] + 1) * sound.hop_s
    for seconds in BUSY_S:
        whole = np.abs(on - seconds) <= 0.07
        regular = whole[1:-1].all() and np.all(on <= seconds + 0.07) and np.all(np.abs(off - seconds) <= 0.07)
        if len(on) > 1 and whole.any() and regular:  # the clip may cut the first and the last short
            return [sound.span(int(starts[0]), int(ends[-1]), fit(share[holds], KEYED_SHARE))]
    return []


def dialing(sound: Sound) -> list[Span]:
    """Keys of ITU-T Q.23: one tone of `DTMF_ROWS` with one of `DTMF_COLUMNS`; each span's text is its key."""
    found = []
    pairs = [(low, high) for low in DTMF_ROWS for high in DTMF_COLUMNS]
    for key, (low, high) in zip(DTMF_KEYS, pairs, strict=True):
        holds, share = tone_pair(sound, low, high, KEYED_SHARE)
        for a, b in zip(*runs(holds), strict=True):
            if b - a >= 2:
                found.append(sound.span(int(a), int(b), fit(share[a:b], KEYED_SHARE), key))
    return sorted(found)


def mains_hum(sound: Sound) -> list[Span]:
    """Lines at multiples of 50 or 60 Hz, 4 or more of the first 12 with the first or second, for 2 s or more.

    A line stands 15 dB over its surroundings in a spectrum of 1 s frames, within 0.4% of its place and 40
    dB of the strongest; together they are half of the power or more, and level within 1.5 dB of their
    median.
    """
    low = sound.power[:, OFFSET_BINS : int(750.0 / sound.step_hz)].sum(axis=1)
    if np.count_nonzero(low > HUM_SHARE * sound.total) < sound.frames(2.0):
        return []
    power, hop_s = long_spectra(sound.waveform, 750.0)
    step, mean = 0.5 / hop_s, power.mean(axis=0) + 1e-20
    summed = np.cumsum(np.pad(sound.total, (1, 0)), dtype=np.float64)
    first = np.minimum(np.arange(len(power)) * hop_s / sound.hop_s, len(sound.total) - 1).astype(int)
    last = np.minimum(first + sound.frames(2.0 * hop_s), len(sound.total))
    total = (summed[last] - summed[first]) / np.maximum(last - first, 1)
    found = []
    for mains in MAINS_HZ:
        peaks = mains_lines(mean, step, mains)
        if len(peaks) < 4 or round(peaks[0] * step / mains) > 2:
            continue
        lines = np.sum([power[:, peak - 2 : peak + 3].sum(axis=1) for peak in peaks], axis=0)
        share, level = lines / np.maximum(total, 1e-12), 10.0 * np.log10(lines + 1e-12)
        holds = (share >= HUM_SHARE) & (level > SILENCE_DBFS) & (np.abs(level - np.median(level)) <= 1.5)
        for a, b in zip(*runs(holds), strict=True):
            if b - a >= 3:
                offset = min(float(b + 1) * hop_s, sound.waveform.duration_s)
                good = fit(share[a:b], HUM_SHARE)
                found.append(Span(round(float(a) * hop_s, 3), round(offset, 3), good, f"{mains:.0f} Hz"))
    return found


def mains_lines(mean: Floats, step_hz: float, mains: float) -> list[int]:
    """Bins of the lines that stand out of a mean power spectrum at multiples of `mains` Hz."""
    peaks = []
    for k in range(1, 13):
        centre = round(k * mains / step_hz)
        peak = centre - 3 + int(np.argmax(mean[centre - 3 : centre + 4]))
        hz = float(peak_hz(mean[None], step_hz, peak, peak + 1)[0])
        beside = np.median(np.r_[mean[centre - 20 : centre - 6], mean[centre + 7 : centre + 21]])
        if mean[peak] >= 10**1.5 * beside and abs(hz / (k * mains) - 1.0) <= 0.004:
            peaks.append(peak)
    strongest = max((mean[peak] for peak in peaks), default=0.0)
    return [peak for peak in peaks if mean[peak] >= 1e-4 * strongest]


RULES: dict[str, tuple[str, Callable[[Sound], list[Span]]]] = {
    "Silence": ("/m/028v0c", silence),
    "Sine wave": ("/m/01v_m0", sine_wave),
    "Chirp tone": ("/m/0hdsk", chirp_tone),
    "White noise": ("/m/0chx_", white_noise),
    "Pink noise": ("/m/0cj0r", pink_noise),
    "Mains hum": ("/m/06xkwv", mains_hum),
    "Dial tone": ("/m/015jpf", dial_tone),
    "Busy signal": ("/m/01z47d", busy_signal),
    "Telephone dialing, DTMF": ("/m/02c8p", dialing),
}


class SignalListener(Listener):
    """Applies `RULES`; needs no model, no rate and no accelerator."""

    name = "signal"
    revision = "signal-2"

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """Per class that is heard, a tag with the best score of its spans, then the spans as events."""
        return [_findings(waveform) for waveform in batch]


def _findings(waveform: Waveform) -> list[Finding]:
    power, step_hz = spectrogram(waveform)
    total = sound_power(power)
    sound = Sound(waveform, power, step_hz, total, 10.0 * np.log10(total + np.float32(1e-12)))
    findings: list[Finding] = []
    for name, (class_id, rule) in RULES.items():
        if (rule is silence or waveform.rate >= LEAST_RATE) and (found := rule(sound)):
            best = max(span.score for span in found)
            findings.append(Finding("tag", name, class_id=class_id, confidence=best))
            findings += [
                Finding("event", name, None, None, text, class_id, onset_s, offset_s, good)
                for onset_s, offset_s, good, text in found
            ]
    return findings
