"""Facts of what is decoded: known answers, and the same definitions as of the facts of what is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ingest.decode import decode
from pipelines.ingest.facts import Tally, band_limit_hz
from pipelines.ingest.piece import keep
from taggers.base import Waveform
from taggers.descriptors import band_limit, clipped_share, spectrogram

NOISE = 0.1 * np.random.default_rng(7).standard_normal(10 * 48000)


def tallied(samples: np.ndarray, cuts: list[int] | None = None) -> Tally:
    """Return the tally of samples of shape (frames, channels) that come in blocks."""
    tally = Tally()
    for block in np.split(samples.astype(np.float32), cuts or []):
        if len(block):
            kept = np.empty(len(block), np.float32)
            keep(block, None, kept)
            tally.add(block, kept)
    return tally


def write(path: Path, samples: np.ndarray, rate: int = 44100) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def test_an_offset_is_the_mean_of_what_is_kept(tmp_path):
    tone = 0.25 * np.sin(2 * np.pi * 100 * np.arange(44100) / 44100)
    path = write(tmp_path / "a.wav", np.stack([tone + 0.125, tone - 0.0625], 1))
    assert decode(path).facts.dc_offset == 0.03125
    assert decode(path, channels="left").facts.dc_offset == 0.125
    quiet = decode(write(tmp_path / "b.wav", -1e-9 * np.ones(100))).facts.dc_offset
    assert str(quiet) == "0.0", "there is no negative zero"


FULL = st.sampled_from([1.0, -1.0, 0.5])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(FULL, FULL), min_size=1, max_size=40),
    st.lists(st.integers(0, 40), max_size=5).map(sorted),
)
def test_clipping_is_counted_in_runs_of_every_channel_wherever_blocks_begin(rows, cuts):
    samples = np.array(rows)
    facts = tallied(samples, cuts).facts(samples.mean(axis=1).astype(np.float32), 8000, 2)
    assert facts.clipped_share == round(np.mean([clipped_share(channel) for channel in samples.T]), 6)


def test_a_long_run_over_many_blocks_is_counted_once():
    samples = np.ones((100, 1))
    for cuts in ([1, 2], [3], [1, 4, 5], [2, 50], list(range(1, 100))):
        assert tallied(samples, cuts).facts(samples[:, 0].astype(np.float32), 8000, 1).clipped_share == 1.0


def test_a_16_bit_wave_that_was_overdriven_is_told_from_one_that_touches_full_scale(tmp_path):
    tone = np.sin(2 * np.pi * 100 * np.arange(44100) / 44100)
    for gain, share in ((1.0, 0.0), (2.0, pytest.approx(2 / 3, abs=0.01))):
        path = tmp_path / "a.wav"
        soundfile.write(path, np.clip(gain * tone[::7], -1, 1), 44100)
        assert decode(path).facts.clipped_share == share


def test_channels_are_equal_only_if_all_of_them_are_to_the_last_sample(tmp_path):
    one = NOISE[:100_000]
    other = one.copy()
    other[-1] += 2e-5
    for channels, equal in (([one], None), ([one, one], True), ([one, one, one], True), ([one, one, other], False)):
        assert decode(write(tmp_path / "a.wav", np.stack(channels, 1))).facts.channels_equal is equal
    assert decode(tmp_path / "a.wav", 0.0, 1.0).facts.channels_equal is True, "it is true of the stretch"


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("once", [8000, 16000, 22050, 32000])
def test_the_rate_at_which_a_recording_once_was_sampled_is_found(rate, once):
    low = soxr.resample(NOISE, rate, once)
    for quality in ("MQ", "HQ", "VHQ"):
        found = band_limit_hz(soxr.resample(low, once, rate, quality=quality).astype(np.float32), rate)
        assert found == pytest.approx(once / 2, rel=0.06)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 192000])
def test_noise_of_the_full_band_has_no_limit(rate):
    for seconds in (0.001, 0.05, 0.5, 2.0):
        samples = NOISE[: round(seconds * rate)].astype(np.float32)
        if len(samples):
            assert band_limit_hz(samples, rate) is None


@pytest.mark.parametrize("kind", ["mp3", "ogg"])
def test_the_low_pass_of_a_codec_is_found(tmp_path, kind):
    soundfile.write(tmp_path / f"a.{kind}", NOISE[: 5 * 44100], 44100, compression_level=0.9)
    found = decode(tmp_path / f"a.{kind}").facts.band_limit_hz
    assert found is not None
    assert 4000 < found < 20500


def test_an_offset_and_silence_around_a_sound_do_not_change_its_limit():
    low = soxr.resample(soxr.resample(NOISE, 48000, 16000), 16000, 48000)[:48000]
    sound = np.concatenate([np.zeros(200_000), low, np.zeros(200_000)]).astype(np.float32)
    plain = band_limit_hz(sound, 48000)
    assert plain == pytest.approx(8000, rel=0.06)
    assert band_limit_hz(sound + np.float32(0.3), 48000) == pytest.approx(plain, rel=0.02)


def test_recordings_have_the_limit_that_all_their_frames_have(shared):
    paths = sorted((shared / "audio_plain").rglob("*.wav")) + sorted((shared / "fsd50k").rglob("*.wav"))
    paths += sorted((shared / "esc50").rglob("*.flac"))[:60]
    agreed = []
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)[: 10 * rate].clip(-1, 1)
        if len(mono) < rate / 4 or not mono.any():
            continue
        found, true = band_limit_hz(mono, rate), band_limit(*spectrogram(Waveform(mono, rate)))
        agreed.append(found == true if found is None or true is None else abs(found / true - 1) < 0.05)
    assert len(agreed) > 100
    assert np.mean(agreed) > 0.9, "few frames stand for all; where a spectrum falls by nearly 20 dB they may differ"
