"""Landmarks: what survives a change of level, rate, codec or start, what gives none, and how long a clip may be."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import soxr

from pipelines.identity import fingerprint
from pipelines.identity.fingerprint import landmarks
from pipelines.identity.near import FRAME_S, score
from pipelines.sample.synth import SOUNDS

RATE = 16000
REPEATING = {"Police car (siren)", "Sine wave", "Chirp tone", "Beep, bleep", "Reversing beeps"}
"""Sounds that are steady or repeat themselves exactly: they tell no offset."""


def sound(number: int, seconds: float = 4.0) -> np.ndarray:
    """Return a synthesised sound as float32, with a little noise, as recordings have it."""
    rng = np.random.default_rng(number)
    made = SOUNDS[number % len(SOUNDS)].synth(rng, seconds, RATE)
    return (0.3 * made / np.abs(made).max() + 0.003 * rng.standard_normal(len(made))).astype(np.float32)


def noise(seed: int, seconds: float = 4.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def test_landmarks_are_sorted_by_time_and_of_the_types_that_the_table_has():
    hashes, times = landmarks(noise(1), RATE)
    assert hashes.dtype == np.uint32
    assert times.dtype == np.uint16
    assert len(hashes) == len(times) > 100
    assert np.all(np.diff(times.astype(int)) >= 0)
    assert times.max() <= 4.0 / FRAME_S


def test_the_same_samples_give_the_same_landmarks_as_integers_and_as_floats():
    samples = int16(noise(2))
    floats = samples.astype(np.float32) / np.float32(32768)
    for ours, again in zip(landmarks(samples, RATE), landmarks(floats, RATE), strict=True):
        np.testing.assert_array_equal(ours, again)


@pytest.mark.parametrize("gain", [1 / 16, 1 / 2, 3])
def test_another_level_gives_the_same_landmarks(gain):
    samples = noise(3)
    hashes, times = landmarks(samples, RATE)
    louder, later = landmarks(samples * np.float32(gain), RATE)
    if gain < 1:  # a power of two is exact in float32
        np.testing.assert_array_equal(louder, hashes)
        np.testing.assert_array_equal(later, times)
    assert score((hashes, times), (louder, later)).score > 0.98


def test_another_level_in_16_bits_changes_little():
    assert score(landmarks(int16(noise(4)), RATE), landmarks(int16(noise(4) / 4), RATE)).score > 0.9


@pytest.mark.parametrize("number", [n for n, made in enumerate(SOUNDS) if made.name not in REPEATING][::2])
def test_a_sound_is_found_again_with_its_offset_after_it_lost_its_start(number):
    samples = sound(number)
    match = score(landmarks(samples, RATE), landmarks(samples[round(0.7 * RATE) :], RATE))
    assert match.near
    assert match.offset_s == pytest.approx(0.7, abs=FRAME_S)


@pytest.mark.parametrize("number", [1, 7, 12])
def test_a_shift_by_whole_spectra_keeps_most_landmarks(number):
    samples = np.concatenate([noise(number), sound(number)])
    match = score(landmarks(samples, RATE), landmarks(samples[RATE * 128 // 125 :], RATE))
    assert match.score > 0.8
    assert match.offset_s == pytest.approx(1.024, abs=0.01)


@pytest.mark.parametrize("number", [2, 20, 24, 30])
def test_mp3_leaves_enough_to_find_a_sound_again(number):
    samples, coded = sound(number), io.BytesIO()
    soundfile.write(coded, samples, RATE, format="MP3")
    coded.seek(0)
    again, rate = soundfile.read(coded, dtype="float32")
    assert score(landmarks(samples, RATE), landmarks(again, rate)).near


@pytest.mark.parametrize("rate", [11025, 32000, 44100])
def test_another_rate_leaves_nearly_all(rate):
    samples = noise(5)
    assert score(landmarks(samples, RATE), landmarks(soxr.resample(samples, RATE, rate), rate)).score > 0.9


def test_two_noises_share_nothing():
    match = score(landmarks(noise(6), RATE), landmarks(noise(7), RATE))
    assert not match.near
    assert match.score < 0.01


def hum(seed: int, hiss: float) -> np.ndarray:
    """Return 50 Hz with thirty harmonics of random phase, and hiss."""
    rng, time = np.random.default_rng(seed), np.arange(8 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6)) / k for k in range(1, 31))
    return (0.1 * tones + hiss * rng.standard_normal(len(time))).astype(np.float32)


@pytest.mark.parametrize("hiss", [0.0, 0.001, 0.02])
def test_two_hums_of_one_frequency_are_no_duplicates(hiss):
    assert score(landmarks(hum(1, hiss), RATE), landmarks(hum(2, hiss), RATE)).shared < 3


def beeps(seed: int) -> np.ndarray:
    """Return beeps of 0.1 s, two a second, from a random moment on, in hiss."""
    rng, time = np.random.default_rng(seed), np.arange(10 * RATE) / RATE
    on = (time + rng.uniform(0, 0.5)) % 0.5 < 0.1
    tones = sum(np.sin(2 * np.pi * 1000 * k * time) / k for k in (1, 2, 3))
    return (0.3 * on * tones + 0.003 * rng.standard_normal(len(time))).astype(np.float32)


def test_two_alarms_that_beep_alike_are_no_duplicates():
    prints = [landmarks(beeps(seed), RATE) for seed in range(4)]
    assert min(len(hashes) for hashes, _ in prints) > 100
    assert not any(score(a, b).near for a in prints for b in prints if a is not b)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.int16),
        np.ones(1, np.int16),
        np.full(40, 20000, np.int16),
        np.zeros(RATE, np.int16),
        np.full(RATE, 3000, np.int16),
        int16(0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)),
    ],
    ids=["empty", "one sample", "2.5 ms", "silence", "direct current", "a tone"],
)
def test_what_does_not_change_gives_no_landmarks(samples):
    hashes, times = landmarks(samples, RATE)
    assert (len(hashes), len(times), hashes.dtype, times.dtype) == (0, 0, np.uint32, np.uint16)


def test_silence_after_a_sound_adds_nothing():
    burst = int16(noise(8, 1.0))
    alone, padded = landmarks(burst, RATE), landmarks(np.concatenate([burst, np.zeros(4 * RATE, np.int16)]), RATE)
    assert score(alone, padded).score > 0.95
    assert padded[1].max() <= 1.0 / FRAME_S + 1


def test_an_hour_has_its_times_and_what_lies_after_70_minutes_is_left_out():
    rate, burst = fingerprint.RATE, int16(noise(9, 2.0))
    long = np.zeros(4300 * rate, np.int16)
    for second in (0, 3600, 4250):
        long[second * rate : second * rate + len(burst)] = burst
    _, times = landmarks(long, rate)
    seconds = times * FRAME_S
    assert seconds.max() == pytest.approx(3604, abs=1)
    assert np.sum(seconds < 10) == pytest.approx(np.sum(seconds > 3590), rel=0.1)


def test_where_a_block_begins_does_not_matter(monkeypatch):
    samples = noise(10, 20.0)
    whole = landmarks(samples, RATE)
    for block in (1, 97, 512):
        monkeypatch.setattr(fingerprint, "_BLOCK", block)
        for ours, expected in zip(landmarks(samples, RATE), whole, strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_the_running_maximum_is_that_of_the_definition():
    values = np.random.default_rng(0).uniform(0, 1, (23, 31)).astype(np.float32)
    for reach in (1, 4, 6, 30):
        expected = np.array([values[max(n - reach, 0) : n + reach + 1].max(axis=0) for n in range(len(values))])
        np.testing.assert_array_equal(fingerprint._running_max(values, reach, 0), expected)
        across = fingerprint._running_max(np.ascontiguousarray(values.T), reach, 1)
        np.testing.assert_array_equal(across, expected.T)
