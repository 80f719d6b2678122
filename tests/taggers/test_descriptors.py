"""Each acoustic fact agrees with a known answer, and all of them exist for any waveform."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from taggers import Finding, Listener, Waveform, create
from taggers.descriptors import FACTS, SPANS, measure, spans, spectrogram

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ORACLES = DATA / "oracles" / "loudness"
ESC50 = DATA / "esc50" / "audio"
RATE = 32000

needs_oracles = pytest.mark.skipif(not ORACLES.exists(), reason="loudness oracles are not here")
needs_esc50 = pytest.mark.skipif(not ESC50.exists(), reason="ESC-50 is not here")


def measured(waveform: Waveform) -> dict[str, Any]:
    return dict(measure(waveform))  # Any, for arithmetic on what may be None


def wave(x: np.ndarray, rate: int = RATE) -> Waveform:
    return Waveform(np.clip(x, -1, 1).astype(np.float32), rate)


def sine(hz: float, seconds: float = 2.0, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


def noise(seconds: float = 2.0, rate: int = RATE, rms: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, rms, int(seconds * rate))


def itu_loudness(x: np.ndarray) -> float:
    """BS.1770-4 for mono at 48 kHz, written from the standard's own table of coefficients."""
    y = signal.lfilter(
        [1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585], x
    )
    y = signal.lfilter([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621], y)
    blocks = np.lib.stride_tricks.sliding_window_view(y, 19200)[::4800]
    power = np.mean(np.square(blocks), axis=1)
    power = power[-0.691 + 10 * np.log10(power) > -70]
    power = power[10 * np.log10(power) > 10 * np.log10(power.mean()) - 10]
    return -0.691 + 10 * math.log10(power.mean())


@needs_oracles
def test_loudness_agrees_with_the_published_files() -> None:
    x, rate = soundfile.read(ORACLES / "sine_1000.wav", dtype="float32")
    assert measured(Waveform(x, rate))["lufs"] == -3.05
    x, rate = soundfile.read(ORACLES / "1770-2_Comp_RelGateTest.wav", dtype="float32")
    assert np.array_equal(x[:, 0], x[:, 1])  # so one channel is 10 log10(2) dB quieter than both
    mono = measured(Waveform(np.ascontiguousarray(x[:, 0]), rate))["lufs"]
    assert mono == pytest.approx(-10.07 - 10 * math.log10(2), abs=0.011)


@pytest.mark.parametrize("seed", range(3))
def test_loudness_agrees_with_the_standards_own_coefficients(seed: int) -> None:
    x = noise(4.0, 48000, seed=seed) * np.repeat([1.0, 0.01, 0.3, 0.5], 48000)
    assert measured(wave(x, 48000))["lufs"] == pytest.approx(itu_loudness(np.clip(x, -1, 1)), abs=0.1)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 96000, 192000])
def test_loudness_and_pitch_do_not_depend_on_the_rate(rate: int) -> None:
    facts = measured(wave(sine(997, 1.0, rate, peak=1.0), rate))
    assert facts["lufs"] == pytest.approx(-3.05, abs=0.15)
    assert facts["pitch_hz"] == pytest.approx(997, rel=0.005)


def test_a_gain_moves_every_level_by_its_decibels_and_nothing_else() -> None:
    x = sine(440) + noise(rms=0.02)
    loud, quiet = measured(wave(x)), measured(wave(x / 2))
    for name in ("lufs", "peak_dbfs", "rms_dbfs"):
        assert loud[name] - quiet[name] == pytest.approx(20 * math.log10(2), abs=0.011)
    for name in ("spectral_centroid_hz", "spectral_flatness", "pitch_hz", "onset_count", "clipped_share"):
        assert loud[name] == pytest.approx(quiet[name], abs=1e-3)


def test_peak_and_rms_of_a_sine_and_a_square_are_the_textbooks() -> None:
    facts = measured(wave(sine(1000, peak=1.0)))
    assert (facts["peak_dbfs"], facts["rms_dbfs"]) == (0.0, -3.01)
    square = np.sign(sine(1000) + 1e-9)
    facts = measured(wave(square))
    assert (facts["peak_dbfs"], facts["rms_dbfs"], facts["clipped_share"]) == (0.0, 0.0, 1.0)


def test_clipping_counts_runs_at_one_full_scale_and_not_touches() -> None:
    x = np.zeros(1000)
    x[100:102] = 1.0  # two samples touch
    x[200:203] = 1.0  # three are clipped
    x[300:305] = -32768 / 32768
    x[400:404] = [1.0, 1.0, -1.0, -1.0]
    x[500:503] = 32767 / 32768  # full scale of 16 bits
    x[600:603] = 32766 / 32768
    assert measured(wave(x))["clipped_share"] == 11 / 1000
    assert measured(wave(sine(50, peak=1.0)))["clipped_share"] < 0.01
    assert measured(wave(sine(50, peak=4.0)))["clipped_share"] > 0.8


def test_an_offset_is_measured_and_is_not_sound() -> None:
    facts = measured(wave(np.full(RATE, 0.3)))
    assert facts["dc_offset"] == pytest.approx(0.3, abs=1e-6)
    assert facts["rms_dbfs"] == pytest.approx(20 * math.log10(0.3), abs=0.01)
    assert facts["lufs"] is facts["spectral_centroid_hz"] is facts["pitch_hz"] is None
    assert spans(wave(np.full(RATE, 0.3))) == {"silence_span": [(0.0, 1.0)], "active_span": []}


def test_silence_has_a_length_and_no_levels() -> None:
    facts = measured(wave(np.zeros(RATE)))
    known = {name: value for name, value in facts.items() if value is not None}
    assert known == {
        "duration_s": 1.0,
        "dc_offset": 0.0,
        "clipped_share": 0.0,
        "onset_count": 0,
        "onset_rate_hz": 0.0,
    }


def test_spans_lie_where_the_sound_was_put() -> None:
    x = np.zeros(5 * RATE)
    x[RATE : RATE + RATE // 2] = sine(440, 0.5)
    x[3 * RATE : 4 * RATE] = noise(1.0)
    x[3 * RATE + 16000 : 3 * RATE + 17600] = 0.0  # a pause of 50 ms
    assert spans(wave(x)) == {
        "silence_span": [(0.0, 1.0), (1.5, 3.0), (4.0, 5.0)],
        "active_span": [(1.0, 1.5), (3.0, 4.0)],
    }


def test_a_quiet_background_is_neither_silent_nor_active() -> None:
    x = noise(3.0, rms=10 ** (-55 / 20))
    x[RATE : 2 * RATE] += noise(1.0, rms=0.2, seed=1)
    assert spans(wave(x)) == {"silence_span": [], "active_span": [(1.0, 2.0)]}
    assert spans(wave(noise(3.0, rms=10 ** (-55 / 20))))["active_span"] == [(0.0, 3.0)]


def test_padding_beside_an_offset_is_silent() -> None:
    x = np.concatenate([noise(1.0) + 0.01, np.zeros(RATE)])
    assert spans(wave(x)) == {"silence_span": [(1.0, 2.0)], "active_span": [(0.0, 1.0)]}


@pytest.mark.parametrize("per_second", [1, 2, 5, 8, 10])
@pytest.mark.parametrize("background", [0.0, 0.01])
def test_onsets_of_clicks_are_counted(per_second: int, background: float) -> None:
    x = noise(5.0, rms=background) if background else np.zeros(5 * RATE)
    starts = np.arange(0.3, 4.8, 1 / per_second)
    for start in (starts * RATE).astype(int):
        x[start : start + 320] += noise(0.01, rms=0.3, seed=start) * np.exp(-np.arange(320) / 60)
    assert measured(wave(x))["onset_count"] == len(starts)
    assert measured(wave(x))["onset_rate_hz"] == pytest.approx(len(starts) / 5, abs=1e-3)


def test_a_steady_sound_has_no_onsets() -> None:
    for x in (sine(440, 5.0), noise(5.0), sine(60, 5.0) + noise(5.0, rms=0.01)):
        assert measured(wave(x))["onset_count"] == 0


def test_notes_that_change_pitch_at_one_level_are_onsets() -> None:
    hz = np.repeat([220, 330, 262, 392, 294, 440, 247, 349], RATE // 2)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    x = sum(0.2 / k * np.sin(k * phase) for k in range(1, 6))
    assert measured(wave(np.asarray(x)))["onset_count"] == 7


def test_the_spectrum_of_a_tone_is_a_point_and_of_white_noise_flat() -> None:
    tone = measured(wave(sine(3000)))
    assert tone["spectral_centroid_hz"] == pytest.approx(3000, abs=1)
    assert tone["spectral_bandwidth_hz"] < 20
    assert tone["spectral_flatness"] < 0.001
    white = measured(wave(noise(10.0)))
    assert white["spectral_centroid_hz"] == pytest.approx(RATE / 4, rel=0.01)
    assert white["spectral_bandwidth_hz"] == pytest.approx(RATE / 2 / math.sqrt(12), rel=0.01)
    assert white["spectral_flatness"] > 0.98


def test_a_frames_power_is_its_mean_square() -> None:
    power, step_hz = spectrogram(wave(sine(1000, peak=0.5)))
    assert power.sum(axis=1) == pytest.approx(0.125, rel=1e-3)
    assert power.mean(axis=0).argmax() * step_hz == pytest.approx(1000, abs=step_hz)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("hz", [65, 110, 440, 1000, 1900])
def test_pitch_is_the_fundamental_of_a_harmonic_sound(hz: float, rate: int) -> None:
    x = sum(sine(hz * k, rate=rate, peak=0.4 / k) for k in range(1, 6) if hz * k < rate / 2)
    facts = measured(wave(np.asarray(x) + noise(rate=rate, rms=0.01), rate))
    assert facts["pitch_hz"] == pytest.approx(hz, rel=0.01)
    assert facts["pitch_confidence"] > 0.9
    assert facts["pitched_share"] == 1.0


def test_pitch_is_heard_when_the_fundamental_itself_is_missing() -> None:
    facts = measured(wave(sine(600, peak=0.3) + sine(800, peak=0.3) + sine(1000, peak=0.3)))
    assert facts["pitch_hz"] == pytest.approx(200, rel=0.01)


def test_noise_and_tones_beyond_the_range_have_no_pitch() -> None:
    for x in (noise(5.0), sine(3000), sine(9000)):
        facts = measured(wave(x))
        assert (facts["pitch_hz"], facts["pitch_confidence"], facts["pitched_share"]) == (None, None, 0.0)


@needs_esc50
@pytest.mark.parametrize("low", [8000, 16000, 22050])
def test_real_sound_that_was_sampled_lower_betrays_it(low: int) -> None:
    right = wrong = 0
    files = sorted(ESC50.glob("*.flac"))[::8]
    for file in files:
        x, rate = soundfile.read(file)
        y = np.round(soxr.resample(soxr.resample(x, rate, low), low, rate) * 32767) / 32767
        limit = measured(wave(y, rate))["band_limit_hz"]
        if limit is not None:
            near = 0.46 * low <= limit <= 0.505 * low
            right, wrong = right + near, wrong + (not near)
    assert len(files) == 25
    assert right >= 21
    assert wrong <= 2


def test_sound_up_to_nyquist_has_no_band_limit() -> None:
    for x in (noise(5.0), sine(440), np.cumsum(noise(5.0, rms=0.001))):
        assert measured(wave(x))["band_limit_hz"] is None


@needs_esc50
def test_real_voices_are_pitched_and_real_rain_is_not() -> None:
    def share(target: int) -> float:
        files = sorted(ESC50.glob(f"*-{target}.flac"))
        heard = [Waveform(*soundfile.read(file, dtype="float32")) for file in files]
        return float(np.mean([measured(waveform)["pitched_share"] for waveform in heard]))

    rain, crying_baby, vacuum_cleaner = share(10), share(20), share(36)
    assert rain < 0.02
    assert vacuum_cleaner < 0.02
    assert crying_baby > 0.4


@pytest.mark.parametrize("rate", [4000, 8000, 22050, 44100, 192000])
@pytest.mark.parametrize("count", [1, 2, 3, 50, 1999, 20000])
def test_facts_of_any_length_and_rate_are_finite_and_in_range(count: int, rate: int) -> None:
    rng = np.random.default_rng(count + rate)
    steps = np.arange(count)
    for x in (
        np.zeros(count),
        np.full(count, -0.7),
        np.sign(np.sin(0.1 * steps) + 1e-9),
        rng.uniform(-1, 1, count),
        np.sin(1.3 * steps) * 1e-7,
        np.eye(1, count, count // 2)[0],
    ):
        check(wave(x, rate))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=3000), st.sampled_from([1, 100, 4000]))
def test_facts_of_arbitrary_samples_are_finite_and_in_range(samples: list[float], rate: int) -> None:
    check(Waveform(np.array(samples, np.float32), rate))


def check(waveform: Waveform) -> None:
    facts = measured(waveform)
    assert list(facts) == list(FACTS)
    assert all(value is None or math.isfinite(value) for value in facts.values())
    for name in ("clipped_share", "spectral_flatness", "pitch_confidence", "pitched_share"):
        assert facts[name] is None or 0 <= facts[name] <= 1, name
    for name in ("spectral_centroid_hz", "spectral_bandwidth_hz", "band_limit_hz"):
        assert facts[name] is None or 0 <= facts[name] <= waveform.rate / 2 + 1, name
    assert facts["pitch_hz"] is None or 60 <= facts["pitch_hz"] <= 2000
    assert facts["peak_dbfs"] is None or facts["peak_dbfs"] <= 0
    for found in spans(waveform).values():
        assert all(0 <= a < b <= waveform.duration_s + 1e-6 for a, b in found)
        assert found == sorted(found)


def test_the_listener_states_every_fact_with_its_unit_and_the_spans_as_events() -> None:
    x = np.concatenate([np.zeros(RATE), noise(1.0)])
    (found,) = create("facts", Listener).listen([wave(x)])
    facts = [finding for finding in found if finding.kind == "fact"]
    assert [(finding.name, finding.unit) for finding in facts] == [(name, FACTS[name].unit) for name in FACTS]
    assert [finding for finding in found if finding.kind == "event"] == [
        Finding("event", "silence_span", onset_s=0.0, offset_s=1.0),
        Finding("event", "active_span", onset_s=1.0, offset_s=2.0),
    ]
    assert set(SPANS) == {"silence_span", "active_span"}


def test_a_batch_is_heard_as_its_waveforms_are_alone() -> None:
    batch = [wave(noise(1.0)), wave(sine(440, 0.3), 8000), wave(np.zeros(7)), wave(noise(1.0))]
    listener = create("facts", Listener)
    assert listener.listen(batch) == [listener.listen([waveform])[0] for waveform in batch]
    assert listener.listen([]) == []
