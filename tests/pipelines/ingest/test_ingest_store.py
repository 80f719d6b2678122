"""The clip store's form: lossless where it can be, never clipping, the same bytes for the same samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.ingest.decode import decode
from pipelines.ingest.facts import Facts
from pipelines.ingest.piece import Decoded
from pipelines.ingest.store import from_store, to_store
from schemas.errors import Reject


def decoded(samples: np.ndarray, rate: int) -> Decoded:
    seconds = len(samples) / rate
    facts = Facts(0.0, 0.0, None, None)
    mono = samples.astype(np.float32)
    return Decoded(mono, rate, 1, "mean", "soundfile", 0.0, None, seconds, seconds, None, facts)


def tone(rate: int, seconds: float = 1.0, hertz: float = 1000.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_sixteen_bits_at_the_stores_rate_are_stored_sample_by_sample(tmp_path: Path):
    samples = np.random.default_rng(1).integers(-32768, 32768, 50_000, dtype=np.int16)
    samples[:2] = -32768, 32767
    soundfile.write(tmp_path / "a.wav", samples, 32000)
    flac, gain_db, count = to_store(decode(tmp_path / "a.wav"), 32000)
    stored, rate = from_store(flac)
    assert (gain_db, count, rate) == (0.0, 50_000, 32000)
    assert stored.dtype == np.int16
    assert np.array_equal(stored, samples)


def test_equal_samples_give_equal_bytes():
    clip = decoded(tone(44100), 44100)
    assert to_store(clip, 32000) == to_store(clip, 32000)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_resampling_keeps_length_level_and_pitch(rate):
    flac, gain_db, count = to_store(decoded(tone(rate, 2.0), rate), 32000)
    stored = from_store(flac)[0] / 32768
    assert (gain_db, count) == (0.0, 64000)
    middle = slice(8000, -8000)
    assert np.abs(stored[middle] - tone(32000, 2.0)[middle]).max() < 1e-3


def test_nothing_above_the_new_half_rate_folds_back():
    loud = decoded(tone(96000, 1.0, 20_000.0), 96000)
    stored = from_store(to_store(loud, 32000)[0])[0] / 32768
    assert np.abs(stored[4000:-4000]).max() < 1e-4


def test_full_scale_and_beyond_are_turned_down_by_the_gain_that_is_told():
    flac, gain_db, _ = to_store(decoded(4 * tone(32000), 32000), 32000)
    stored = from_store(flac)[0]
    assert gain_db == pytest.approx(-20 * np.log10(2 * 32768 / 32767), abs=1e-6)
    assert stored.max() == 32767
    assert np.abs(stored / 32768 - 4 * tone(32000) * 10 ** (gain_db / 20)).max() < 1 / 32768


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.integers(1, 400), elements=st.floats(-100, 100, width=32)),
    st.sampled_from([1000, 16000, 32000, 44100, 768000]),
)
def test_no_stored_sample_clips(samples, rate):
    if len(samples) * 32000 / rate < 0.5:
        with pytest.raises(Reject, match="none at 32000"):
            to_store(decoded(samples, rate), 32000)
        return
    flac, gain_db, count = to_store(decoded(samples, rate), 32000)
    stored, _ = from_store(flac)
    assert len(stored) == count
    assert gain_db <= 0
    if rate == 32000:
        steps = samples.astype(float) * 10 ** (gain_db / 20) * 32768
        assert np.abs(stored - steps).max() <= 0.5 + 1e-6
