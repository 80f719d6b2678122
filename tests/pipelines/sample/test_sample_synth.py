"""Tests that every synthesiser makes the sound it is named after."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from pipelines.sample.fsd50k import LABELS, MIDS
from pipelines.sample.phrases import WORDS, captions
from pipelines.sample.scene import audible_span
from pipelines.sample.synth import BY_MID, SOUNDS, Sound
from pipelines.sample.tones import DTMF_HZ

RATE = 44100
BY_NAME = {sound.name: sound for sound in SOUNDS}
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
each_sound = pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: sound.name)
some_seeds = pytest.mark.parametrize("seed", range(4))


def make(name: str, seed: int = 0, seconds: float = 4.0, rate: int = RATE) -> np.ndarray:
    return BY_NAME[name].synth(np.random.default_rng(seed), seconds, rate)


def power(wave: np.ndarray, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum at a resolution of about 1.3 Hz."""
    return signal.welch(wave, rate, window="blackmanharris", nperseg=min(len(wave), 2**15))


def peaks(wave: np.ndarray, below_db: float = 40.0) -> np.ndarray:
    """Frequencies, in Hz, of the spectral peaks within ``below_db`` of the highest."""
    hz, spectrum = power(wave)
    level = 10 * np.log10(spectrum + 1e-20)
    found, _ = signal.find_peaks(level, height=level.max() - below_db, prominence=15, distance=8)
    return hz[found]


def runs(wave: np.ndarray, below_db: float = 20.0) -> list[tuple[float, float]]:
    """Start and length, in seconds, of the stretches within ``below_db`` of the loudest 10 ms."""
    frame = RATE // 100
    level = np.abs(wave[: len(wave) // frame * frame]).reshape(-1, frame).max(axis=1)
    on = np.concatenate([[0], level > level.max() * 10 ** (-below_db / 20), [0]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(on) == 1), np.flatnonzero(np.diff(on) == -1)
    return [(start / 100, (end - start) / 100) for start, end in zip(starts, ends, strict=True)]


def slope(wave: np.ndarray) -> float:
    """Fall of the power density from 100 Hz to 10 kHz, in dB per octave."""
    hz, spectrum = power(wave)
    centres = 100 * 2.0 ** np.arange(0, 6.5, 0.5)
    bands = [spectrum[(hz >= c / 2**0.25) & (hz < c * 2**0.25)].mean() for c in centres]
    return float(np.polyfit(np.log2(centres), 10 * np.log10(bands), 1)[0])


@each_sound
@pytest.mark.parametrize(("seconds", "rate"), [(1.0, 16000), (2.3, 22050), (4.0, 48000)])
def test_a_sound_has_the_asked_length_and_a_peak_between_minus_9_and_0_dbfs(
    sound: Sound, seconds: float, rate: int
) -> None:
    wave = sound.synth(np.random.default_rng(1), seconds, rate)
    assert wave.dtype == np.float32
    assert wave.shape == (round(seconds * rate),)
    assert np.isfinite(wave).all()
    assert 10 ** (-9.01 / 20) <= np.abs(wave).max() <= 10 ** (-0.49 / 20)


@each_sound
def test_a_sound_starts_at_once_and_neither_clicks_on_nor_off(sound: Sound) -> None:
    wave = sound.synth(np.random.default_rng(2), 4.0, 32000)
    assert audible_span(wave, 32000)[0] <= 0.25
    assert abs(wave[0]) < 1e-3
    assert abs(wave[-1]) < 1e-3


@each_sound
def test_a_sound_depends_on_its_generator_and_on_nothing_else(sound: Sound) -> None:
    first, again, other = (sound.synth(np.random.default_rng(seed), 1.5, 16000) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)


@some_seeds
def test_a_dial_tone_is_350_and_440_hz(seed: int) -> None:
    assert peaks(make("Dial tone", seed), 20) == pytest.approx([350, 440], abs=2)


@some_seeds
def test_a_busy_signal_is_480_and_620_hz_half_a_second_on_and_half_off(seed: int) -> None:
    wave = make("Busy signal", seed, 4.0)
    assert peaks(wave[: RATE // 2], 20) == pytest.approx([480, 620], abs=3)
    assert runs(wave) == [(pytest.approx(k, abs=0.02), pytest.approx(0.5, abs=0.02)) for k in range(4)]


@some_seeds
def test_every_dialled_key_is_one_pair_of_the_dtmf_frequencies(seed: int) -> None:
    wave = make("Telephone dialing, DTMF", seed)
    keys = runs(wave)
    assert len(keys) >= 4
    for start, length in keys:
        tone = wave[round((start + 0.01) * RATE) : round((start + length - 0.01) * RATE)]
        spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), RATE))
        low, high = 650 + int(spectrum[650:1050].argmax()), 1100 + int(spectrum[1100:1600].argmax())
        assert any(abs(low - a) <= 6 and abs(high - b) <= 6 for a, b in DTMF_HZ.values())
        assert abs(20 * np.log10(spectrum[low] / spectrum[high])) <= 4


@some_seeds
def test_a_sine_wave_has_a_single_spectral_peak(seed: int) -> None:
    wave = make("Sine wave", seed)
    _, spectrum = power(wave)
    top = int(spectrum.argmax())
    assert spectrum[top - 6 : top + 7].sum() > 0.9999 * spectrum.sum()
    assert len(peaks(wave, 60)) == 1


@some_seeds
def test_a_chirp_tone_moves_one_way_through_two_octaves(seed: int) -> None:
    wave = make("Chirp tone", seed)
    pitch = np.diff(np.unwrap(np.angle(signal.hilbert(wave.astype(np.float64))))) * RATE / (2 * np.pi)
    smooth = np.median(pitch[: len(pitch) // 2000 * 2000].reshape(-1, 2000), axis=1)[2:-2]
    steps = np.diff(smooth)
    assert (steps > 0).all() or (steps < 0).all()
    assert smooth.max() / smooth.min() > 3.5


@some_seeds
@pytest.mark.parametrize(("name", "wanted"), [("White noise", 0.0), ("Pink noise", -3.01)])
def test_the_noises_have_the_slopes_of_their_colours(name: str, wanted: float, seed: int) -> None:
    assert slope(make(name, seed, 8.0)) == pytest.approx(wanted, abs=0.3)


@some_seeds
def test_mains_hum_is_made_of_multiples_of_50_or_60_hz(seed: int) -> None:
    found = peaks(make("Mains hum", seed), 25)
    assert any(np.abs(found / mains - np.round(found / mains)).max() < 0.03 for mains in (50, 60))
    assert found[0] < 65


@some_seeds
def test_a_church_bell_has_a_minor_third_and_a_hum_an_octave_below_its_prime(seed: int) -> None:
    found = peaks(make("Church bell", seed, 6.0), 45)
    ratios = found[None, :] / found[:, None]  # [prime, partial]
    near = [(np.abs(ratios / wanted - 1) < 0.02).any(axis=1) for wanted in (0.5, 1.2, 2.0)]
    assert np.all(near, axis=0).any()


@some_seeds
def test_a_smoke_alarm_beeps_three_times_and_pauses(seed: int) -> None:
    starts = [start for start, _ in runs(make("Smoke detector, smoke alarm", seed, 7.5), 12)]
    assert starts == pytest.approx([0, 1, 2, 4, 5, 6], abs=0.03)


@some_seeds
def test_a_doorbell_falls_by_a_major_third(seed: int) -> None:
    wave = make("Ding-dong", seed, 2.0)
    ding, dong = (peaks(wave[round(a * RATE) : round((a + 0.3) * RATE)], 6)[0] for a in (0.02, 0.85))
    assert ding / dong == pytest.approx(2 ** (4 / 12), rel=0.02)


@some_seeds
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("Heart sounds, heartbeat", 20, 150),
        ("Bass drum", 30, 400),
        ("Foghorn", 60, 1800),
        ("Church bell", 60, 3000),
        ("Siren", 350, 6000),
        ("Police car (siren)", 400, 9000),
        ("Civil defense siren", 80, 6000),
        ("Sonar", 700, 2400),
        ("Cricket", 3900, 5400),
        ("Smoke detector, smoke alarm", 2800, 10500),
        ("Reversing beeps", 900, 7500),
        ("Hi-hat", 2900, 22050),
        ("Wind chime", 650, 18000),
        ("Idling", 15, 1500),
        ("Knock", 60, 3000),
    ],
)
def test_a_sound_has_its_energy_where_its_source_has_it(name: str, low: float, high: float, seed: int) -> None:
    hz, spectrum = power(make(name, seed))
    assert spectrum[(hz >= low) & (hz <= high)].sum() > 0.95 * spectrum.sum()


@some_seeds
@pytest.mark.parametrize(("name", "low", "high"), [("Tick", 0.2, 0.6), ("Tick-tock", 0.4, 0.75)])
def test_clocks_tick_evenly(name: str, low: float, high: float, seed: int) -> None:
    intervals = np.diff([start for start, _ in runs(make(name, seed, 6.0), 20)])
    assert np.ptp(intervals) <= 0.025
    assert low - 0.02 <= intervals.mean() <= high + 0.02


@some_seeds
def test_a_plucked_string_sounds_the_harmonics_of_one_pitch_at_a_time(seed: int) -> None:
    wave = make("Plucked string instrument", seed, 0.21)  # the first note
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 2**18)) ** 2
    hz = np.arange(len(spectrum)) * RATE / 2**18
    lags = np.fft.irfft(spectrum)[: RATE // 80]
    first = int(np.flatnonzero(lags < 0)[0])
    pitch = RATE / (first + int(lags[first:].argmax()))
    low = (hz > 0.6 * pitch) & (hz < 6.5 * pitch)
    near = low & (np.abs(hz / pitch - np.round(hz / pitch)) * pitch < 12)
    assert 105 <= pitch <= 1150
    assert spectrum[near].sum() > 0.9 * spectrum[low].sum()


def test_every_sound_has_its_own_class_and_words() -> None:
    assert len(BY_MID) == len(BY_NAME) == len(SOUNDS) == 40
    assert set(WORDS) == set(BY_NAME)
    assert set(LABELS) <= set(BY_NAME)


@each_sound
def test_five_captions_of_a_sound_are_five_different_sentences(sound: Sound) -> None:
    told = captions(np.random.default_rng(0), [sound.name], False, 5)
    assert len(set(told)) == 5
    assert all(text[0].isupper() and text.endswith(".") and text.count(".") == 1 for text in told)


def test_captions_of_two_sounds_tell_their_order_or_that_they_overlap() -> None:
    rng = np.random.default_rng(0)
    for text in captions(rng, ["Church bell", "Applause"], False, 5):
        after = text.split(" before ")[0] if " before " in text else text
        assert any(word in text.lower() for word in ("then", "before", "after"))
        assert "bell" in after
        assert text.index("bell") < max(text.find(w) for w in ("applau", "claps", "clap their"))
    for text in captions(rng, ["Church bell", "Applause"], True, 5):
        assert any(word in text.lower() for word in ("while", " as ", "same time"))


@pytest.mark.skipif(not (DATA / "audioset/ontology.json").exists(), reason="needs the AudioSet ontology")
def test_every_class_is_a_usable_node_of_the_audioset_ontology() -> None:
    nodes = {node["id"]: node for node in json.loads((DATA / "audioset/ontology.json").read_text())}
    for sound in SOUNDS:
        assert nodes[sound.mid]["name"] == sound.name
        assert nodes[sound.mid]["restrictions"] == []


@pytest.mark.skipif(not (DATA / "fsd50k/FSD50K.ground_truth").exists(), reason="needs FSD50K's tables")
def test_labels_of_fsd50k_are_in_its_vocabulary_and_complete_with_ancestors_as_its_own_are() -> None:
    folder = DATA / "fsd50k/FSD50K.ground_truth"
    rows = [line.split(",") for line in (folder / "vocabulary.csv").read_text().splitlines()]
    vocabulary = {label: mid for _, label, mid in rows}
    assert vocabulary.items() >= MIDS.items()
    published = (folder / "dev.csv").read_text()
    for labels in LABELS.values():
        assert f',"{labels}",' in published or f",{labels}," in published
