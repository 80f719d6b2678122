"""Each published protocol on real clips: the law of its levels, its gains, peak rule and lengths, by an independent computation."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from rendering import noise
from scipy import stats

from pipelines.mix.gains import CannotMix
from pipelines.mix.levels import Mixed, mix
from pipelines.mix.placing import INTERFERER, TARGET, levels
from pipelines.mix.remix import place
from schemas.mixing import Level, MixtureSet, Peak

RATE, SECONDS = 16_000, 2.0
LENGTH = round(RATE * SECONDS)
COUNT = 150

PROTOCOLS: dict[str, tuple[Level, Peak]] = {
    "lass_net": (Level(rule="peak_snr", range=(0.0, 0.0), energy="all"), Peak(above=1.0, to=1.0)),
    "clipsep": (Level(rule="gain", range=(0.5, 1.5)), Peak(above=1.0, to=1.0)),
    "audiosep": (Level(rule="rms_match", range=(-10.0, 10.0), whole=True, energy="all"), Peak(above=1.0, to=0.9)),
    "flowsep": (Level(rule="snr", range=(-15.0, 15.0), energy="all"), Peak()),
    "hybrid_sep": (Level(rule="energy_ratio", range=(-20.0, 20.0), energy="all"), Peak()),
    "dcase2024_task9": (Level(rule="snr", range=(-15.0, 15.0), whole=True, energy="all"), Peak()),
    "clapsep": (Level(rule="snr", range=(0.0, 0.0), energy="all"), Peak()),
    "vggsound": (Level(rule="lufs", range=(-35.0, -25.0)), Peak(above=1.0, to=0.9)),
    "ours": (Level(rule="snr", range=(-15.0, 15.0), energy="active"), Peak()),
}


@cache
def real(folder: Path) -> list[np.ndarray]:
    """Return two seconds, where they sound, of the FLAC clips of ESC-50 and of the clips of FSD50K, every other sample or third."""
    out = []
    files = sorted((folder / "esc50" / "audio").glob("*.flac"))[::4] + sorted((folder / "fsd50k").glob("*/*.wav"))
    for path in files:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        samples = samples[:: max(1, round(rate / RATE)), 0]  # how it is resampled does not matter here
        begin = max(0, min(int(np.abs(samples.astype(int)).argmax()) - 4000, len(samples) - LENGTH))
        piece = np.ascontiguousarray(samples[begin : begin + LENGTH])
        if np.abs(piece.astype(int)).max() > 300:
            out.append(place(piece, 0, (LENGTH - len(piece)) // 2, len(piece), LENGTH))
    return out


def made(folder: Path, name: str) -> list[tuple[list[np.ndarray], list[float], float, Mixed]]:
    """Return mixtures of two real clips each: the clips, the asked levels, the asked ratio, and what came of it."""
    clips, (level, peak) = real(folder), PROTOCOLS[name]
    rng = np.random.default_rng(3)
    roles = np.tile([TARGET, INTERFERER], (COUNT, 1))
    asked = levels(MixtureSet(level=level), rng.integers(2**62, size=COUNT), roles)
    out = []
    for snr_db, each in zip(asked.snr_db.tolist(), asked.level_db.tolist(), strict=True):
        pair = [clips[i] for i in rng.choice(len(clips), 2, replace=False)]
        wanted = [None if np.isnan(x) else x for x in each]
        try:
            found = mix(pair, ["target", "interferer"], level, wanted, None if np.isnan(snr_db) else snr_db, peak, RATE)
        except CannotMix:
            continue
        out.append((pair, each, snr_db, found))
    assert len(out) > 0.9 * COUNT
    return out


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def framed(x: np.ndarray) -> float:
    """Return the RMS of the 20 ms frames within 40 dB of the loudest, from the first to the last sample that is not 0."""
    inside = np.flatnonzero(x)
    frames = [x[i : min(i + 320, inside[-1] + 1)] for i in range(inside[0], inside[-1] + 1, 320)]
    loudest = max(rms(f) for f in frames)
    return rms(np.concatenate([f for f in frames if rms(f) >= loudest / 100]))


def loudness(x: np.ndarray) -> float:
    inside = np.flatnonzero(x)
    x = x[inside[0] : inside[-1] + 1]
    x = np.resize(x, max(len(x), int(np.ceil(0.4 * RATE))))
    return float(pyloudnorm.Meter(RATE).integrated_loudness(x - x.mean()))


def in_floats(name: str, t: np.ndarray, i: np.ndarray, level: list[float], snr: float) -> tuple[float, float]:
    """Return the gains of target and interferer by the protocol's published rule, in plain floating point, full scale = 1."""
    match name:
        case "lass_net":
            even = 1 / np.abs(t).max()
            return even, even * rms(t) / rms(i)
        case "clipsep":
            return 10 ** (level[0] / 20) / 2, 10 ** (level[1] / 20) / 2
        case "audiosep":
            first = 10 ** (level[1] / 20) / np.clip(rms(i) / rms(t), 0.02, 50)
            return 1.0, first * 10 ** (-snr / 20) / np.clip(rms(first * i) / rms(t), 0.02, 50)
        case "hybrid_sep":
            return 1.0, rms(t) / rms(i) / 10 ** (level[1] / 20)
        case "vggsound":
            return 10 ** ((level[0] - loudness(t)) / 20), 10 ** ((level[1] - loudness(i)) / 20)
        case "ours":
            return 1.0, framed(t) / framed(i) / 10 ** (snr / 20)
        case _:
            return 1.0, rms(t) / rms(i) / 10 ** (snr / 20)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_gains_peak_and_lengths_are_those_of_the_published_rule(shared, name):
    peak = PROTOCOLS[name][1]
    for pair, asked, snr, found in made(shared, name):
        t, i = (x / 32768 for x in pair)
        gains = in_floats(name, t, i, asked, snr)
        mixture = gains[0] * t + gains[1] * i
        highest = np.abs(mixture).max()
        if found.turned_down_db == 0:
            assert highest <= peak.above + 2e-4
            assert found.gains == pytest.approx(gains, rel=1e-4)
        else:
            assert found.gains[0] / found.gains[1] == pytest.approx(gains[0] / gains[1], rel=1e-4)
            # Turned down for the peak, or where a part that the other cancels would not fit 16 bits.
            if highest > peak.above:
                assert found.peak == pytest.approx(peak.to, abs=3e-4) or found.peak < peak.to
        assert found.peak <= min(1.0, peak.above)
        assert len(found.mixture) == len(found.target) == LENGTH
        assert np.array_equal(found.mixture, found.stems[0] + found.stems[1])
        factor = 10 ** (-found.turned_down_db / 20)
        assert np.abs(found.mixture / 32768 - factor * mixture).max() < 2e-4


LAWS: dict[str, tuple[Callable[[Mixed], float], Level]] = {
    "flowsep": (lambda m: float(m.achieved_snr_db or 0), PROTOCOLS["flowsep"][0]),
    "ours": (lambda m: -float(m.achieved_db[1] or 0), PROTOCOLS["ours"][0]),
    "hybrid_sep": (lambda m: float(m.achieved_db[1] or 0), PROTOCOLS["hybrid_sep"][0]),
    "vggsound": (lambda m: float(m.achieved_db[1] or 0) + m.turned_down_db, PROTOCOLS["vggsound"][0]),
    "clipsep": (lambda m: 10 ** ((float(m.achieved_db[0] or 0) + m.turned_down_db) / 20), PROTOCOLS["clipsep"][0]),
}


@pytest.mark.parametrize("name", LAWS)
def test_what_was_achieved_follows_the_stated_law(shared, name):
    measure, level = LAWS[name]
    found = [measure(mixed) for *_, mixed in made(shared, name)]
    low, high = level.range
    assert stats.kstest(found, stats.uniform(low, high - low).cdf).pvalue > 0.01


@pytest.mark.parametrize("name", ["dcase2024_task9", "audiosep"])
def test_whole_decibels_come_out_whole_and_alike_often(shared, name):
    mixtures = made(shared, name)
    low, high = PROTOCOLS[name][0].range
    # Where AudioSep's clamp bites, or a stem is a few units high, the ratio is another one, as it is there.
    found = [m.achieved_snr_db for *_, m in mixtures if np.abs(m.stems[1].astype(int)).max() > 100]
    near = [x for x in found if abs(x - round(x)) < 0.05]
    assert len(near) > 0.9 * len(found)
    counts = np.bincount([round(x) - int(low) for x in near], minlength=int(high - low) + 1)
    assert len(counts) == high - low + 1
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("name", ["lass_net", "clapsep"])
def test_a_ratio_of_nought_is_nought(shared, name):
    for *_, mixed in made(shared, name):
        assert mixed.achieved_snr_db == pytest.approx(0.0, abs=0.05)


def test_a_soundscape_of_scaper_is_laid_and_levelled_as_its_annotation_says(shared):
    (path,) = (shared / "oracles" / "scaper").glob("*.jams")
    told = json.loads(path.read_text())["annotations"][0]
    reference = told["sandbox"]["scaper"]["ref_db"]
    events = [event["value"] for event in told["data"]]
    total, rate = 10 * RATE, RATE
    stems, roles, asked = [], [], []
    for number, event in enumerate(events):
        at, length = round(event["event_time"] * rate), round(event["event_duration"] * rate)
        stems.append(place(noise(number, length, 300 * (number + 1)), 0, at, length, total))
        roles.append("background" if event["role"] == "background" else "interferer")
        asked.append(float(event["snr"]))
    # scaper's SNR is of loudness: an event of SNR s stands at the reference's LUFS plus s.
    by_loudness = Level(rule="lufs", range=(-60.0, 0.0))
    wanted = [reference + snr for snr in asked]
    whole = mix(stems, ["interferer"] * len(stems), by_loudness, wanted, None, Peak(), rate)
    for stem, event, level in zip(whole.stems, events, wanted, strict=True):
        piece = stem[round(event["event_time"] * rate) :][: round(event["event_duration"] * rate)] / 32768
        assert pyloudnorm.Meter(rate).integrated_loudness(piece) == pytest.approx(level, abs=0.2)
        assert np.count_nonzero(stem) <= len(piece)
    over = mix(stems, roles, Level(rule="over_background"), asked, None, Peak(), rate)
    bed = rms(over.stems[0].astype(float))
    for stem, event in zip(over.stems, events, strict=True):
        piece = stem[round(event["event_time"] * rate) :][: round(event["event_duration"] * rate)]
        assert 20 * np.log10(rms(piece.astype(float)) / bed) == pytest.approx(event["snr"], abs=0.1)
