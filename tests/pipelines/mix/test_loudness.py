"""Energy where a source sounds, and loudness: known answers, and an independent few-line computation."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from rendering import noise

from pipelines.mix.gains import CannotMix
from pipelines.mix.levels import mix
from pipelines.mix.loudness import lufs, power, sounding
from schemas.mixing import Level, Peak

RATE = 16_000
LUFS = Level(rule="lufs", range=(-35.0, -25.0))


def sine(amplitude: float, seconds: float, hertz: float = 997.0, rate: int = RATE) -> np.ndarray:
    phase = 2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate
    return np.rint(32767 * amplitude * np.sin(phase)).astype(np.int16)


def slowly(x: np.ndarray, rate: int) -> tuple[float, float]:
    """Return the mean squares of all samples and of the frames that sound, frame by frame."""
    inside = np.flatnonzero(x)
    frame, wide = max(1, round(0.02 * rate)), x.astype(float)[inside[0] : inside[-1] + 1]
    frames = [wide[i : i + frame] for i in range(0, len(wide), frame)]
    loudest = max(np.mean(f**2) for f in frames)
    active = np.concatenate([f for f in frames if np.mean(f**2) >= loudest / 10_000])
    return float(np.mean(x.astype(float) ** 2)), float(np.mean(active**2))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rate=st.sampled_from([8000, 16_000, 22_050, 44_100]),
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=6),
)
def test_power_is_that_of_the_slow_way(seed, rate, lengths):
    rng = np.random.default_rng(seed)
    pieces = [noise(seed + i, n, 10 ** rng.uniform(0, 4)) for i, n in enumerate(lengths)]
    x = np.concatenate([np.zeros(lengths[0], np.int16), *pieces, np.ones(1, np.int16), np.zeros(lengths[-1], np.int16)])
    found = power(x, rate)
    assert (found.all, found.active) == pytest.approx(slowly(x, rate))
    assert found.total == float((x.astype(np.int64) ** 2).sum())


def test_silence_has_no_power_and_one_sample_has():
    assert power(np.zeros(1000, np.int16), RATE) == (0.0, 0.0, 0.0)
    one = np.zeros(1000, np.int16)
    one[500] = -100
    assert power(one, RATE) == (10_000.0, 10.0, 10_000.0)


def test_zeros_around_a_source_change_neither_its_active_power_nor_its_loudness():
    x = sine(0.1, 1.0)
    padded = np.concatenate([np.zeros(4321, np.int16), x, np.zeros(9999, np.int16)])
    assert power(padded, RATE).active == power(x, RATE).active
    assert lufs(padded, RATE) == lufs(x, RATE)
    assert sounding(padded) == slice(4322, 4321 + len(x))


def test_the_loudness_of_a_full_scale_sine_is_known():
    # ITU-R BS.1770-4: 0 dBFS at 997 Hz in one channel reads -3.01.
    assert lufs(sine(1.0, 3.0, rate=48_000), 48_000) == pytest.approx(-3.01, abs=0.05)
    assert lufs(sine(0.1, 3.0, rate=48_000), 48_000) == pytest.approx(-23.01, abs=0.05)


def test_a_short_sound_is_repeated_and_silence_has_no_loudness():
    assert lufs(sine(0.1, 0.2), RATE) == pytest.approx(lufs(sine(0.1, 2.0), RATE), abs=0.3)
    assert lufs(np.zeros(16_000, np.int16), RATE) is None
    assert lufs(np.resize(np.array([1, -1], np.int16), 16_000), RATE) is None  # below -70


def test_loudness_agrees_with_the_published_oracles(shared):
    folder = shared / "oracles" / "loudness"
    for name, expected in (("sine_1000.wav", -3.05), ("1770-2_Comp_RelGateTest.wav", -10.07)):
        samples, rate = soundfile.read(folder / name, dtype="int16", always_2d=True)
        power_of_channels = 10 * np.log10(sum(10 ** (lufs(c.copy(), rate) / 10) for c in samples.T if c.any()))
        assert power_of_channels == pytest.approx(expected, abs=0.1)


def test_each_source_is_brought_to_its_loudness():
    stems = [noise(seed, 40_000, level) for seed, level in ((1, 900), (2, 6000), (3, 100))]
    made = mix(stems, ["target", "interferer", "interferer"], LUFS, [-30.0, -25.5, -34.0], None, Peak(), RATE)
    assert made.turned_down_db == 0
    assert made.achieved_db == pytest.approx([-30.0, -25.5, -34.0], abs=0.02)
    assert [lufs(stem, RATE) for stem in made.stems] == made.achieved_db


def test_a_source_that_has_no_loudness_cannot_be_brought_to_one():
    with pytest.raises(CannotMix, match="the interferer is too quiet to have a loudness"):
        mix(
            [noise(1, 16_000, 900), np.resize(np.array([1, -1], np.int16), 16_000)],
            ["target", "interferer"],
            LUFS,
            [-30.0, -30.0],
            None,
            Peak(),
            RATE,
        )
