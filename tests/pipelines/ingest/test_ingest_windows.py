"""Which stretch of a longer recording becomes a clip, and what share of it the clips hold."""

from __future__ import annotations

import struct
import subprocess
import tracemalloc
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from pipelines.ingest import windows
from pipelines.ingest.decode import decode
from pipelines.ingest.windows import coverage, stretch
from schemas.errors import Reject

RATE = 16000
POLICIES = ("first", "centre", "loudest")


def noise(seconds: float, level: float = 0.1, seed: int = 3) -> np.ndarray:
    return level * np.random.default_rng(seed).uniform(-1, 1, round(seconds * RATE))


def write(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE)
    return path


def encoded(path: Path, kind: str) -> Path:
    target = path.with_suffix(f".{kind}")
    if kind != "wav":
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(path), str(target)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return target


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Return a recording of 12.3 s that is loudest from 7.4 to 8.9 s."""
    sound = noise(12.3)
    sound[round(7.4 * RATE) : round(8.9 * RATE)] *= 6
    return write(tmp_path / "long.wav", sound)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_the_asked_stretch_is_decoded_whoever_decodes(long, kind):
    path = encoded(long, kind)
    length = decode(path).decoded_s
    for where, start in (("first", 0.0), ("centre", (length - 2.0) / 2)):
        found = stretch(path, where, 2.0)
        assert (found.start_s, len(found.samples)) == (pytest.approx(start, abs=1 / RATE), 2 * RATE)
    found = stretch(path, "loudest", 2.0)
    assert 6.8 < found.start_s < 7.5, "all that is loud lies in it"
    same = decode(path, found.start_s, 2.0)
    assert np.array_equal(found.samples, same.samples)
    assert found.facts == same.facts
    assert found.ended_s == pytest.approx(length, abs=1 / RATE)


@pytest.mark.parametrize("kind", ["wav", "ogg", "m4a"])
@pytest.mark.parametrize("where", POLICIES)
@pytest.mark.parametrize("channels", ["mean", "left", "loudest"])
def test_a_recording_that_is_no_longer_is_whole(tmp_path, kind, where, channels):
    path = encoded(write(tmp_path / "a.wav", np.stack([noise(2.0), noise(2.0, 0.2, 4)], 1)), kind)
    whole = decode(path, channels=channels)
    for clip_s in (whole.decoded_s, 2.5, 3600.0):
        found = stretch(path, where, clip_s, channels=channels)
        assert (found.start_s, found.decoded_s, found.channel) == (0.0, whole.decoded_s, whole.channel)
        assert np.array_equal(found.samples, whole.samples)
        assert found.facts == whole.facts


def test_a_recording_that_is_no_longer_is_decoded_once(tmp_path, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError

    path = write(tmp_path / "a.wav", noise(2.0))
    monkeypatch.setattr(windows, "decode", never)
    for where in ("centre", "loudest"):
        assert stretch(path, where, 2.0).decoded_s == 2.0


def test_the_loudest_stretch_is_found_to_a_tenth_of_a_second(tmp_path):
    for begin in (0.0, 0.5, 3.1, 7.9, 9.0):
        sound = noise(10.0, 0.01)
        sound[round(begin * RATE) : round(begin * RATE) + RATE] *= 50
        assert stretch(write(tmp_path / "a.wav", sound), "loudest", 1.0).start_s == pytest.approx(begin, abs=1 / RATE)


@pytest.mark.parametrize("clip_s", [0.03, 0.1, 0.77, 1.23456, 3.0])
def test_no_stretch_at_a_step_is_louder(tmp_path, clip_s):
    sound = noise(5.0) * np.repeat(np.random.default_rng(1).uniform(0, 3, 500), RATE // 100)
    path = write(tmp_path / "a.wav", sound)
    stored, size = soundfile.read(path)[0], round(clip_s * RATE)
    found = stretch(path, "loudest", clip_s)
    assert len(found.samples) == size
    energy = np.concatenate([[0.0], np.square(stored).cumsum()])
    best = max(energy[size:] - energy[:-size])
    assert np.sum(np.square(found.samples, dtype=float)) > 0.8 * best


def test_of_equally_loud_stretches_the_earliest_is_taken(tmp_path):
    for sound in (np.tile(noise(0.1), 60), 0.5 * np.ones(6 * RATE), np.tile([0.0, 0.5], 3 * RATE)):
        assert stretch(write(tmp_path / "a.wav", sound), "loudest", 1.0).start_s == 0.0
    twice = np.zeros(8 * RATE)
    twice[2 * RATE : 3 * RATE] = twice[5 * RATE : 6 * RATE] = noise(1.0)
    assert stretch(write(tmp_path / "a.wav", twice), "loudest", 1.0).start_s == 2.0


def test_what_is_loud_is_judged_by_what_is_kept(tmp_path):
    left, right = np.zeros(9 * RATE), np.zeros(9 * RATE)
    left[RATE : 2 * RATE] = noise(1.0, 0.2)
    left[4 * RATE : 5 * RATE] = noise(1.0, 0.8)
    right[4 * RATE : 5 * RATE] = -noise(1.0, 0.8)  # the mean is silent here
    right[7 * RATE : 8 * RATE] = noise(1.0, 0.9)
    path = write(tmp_path / "a.wav", np.stack([left, right], 1))
    found = {policy: stretch(path, "loudest", 1.0, channels=policy) for policy in ("mean", "left", "loudest")}
    assert {policy: (piece.start_s, piece.channel) for policy, piece in found.items()} == {
        "mean": (7.0, "mean"),
        "left": (4.0, "0"),
        "loudest": (4.0, "0"),
    }


def test_an_excerpt_is_all_that_is_looked_at(long):
    assert stretch(long, "centre", 2.0, 1.0, 6.0).start_s == 2.5
    assert 1.0 <= stretch(long, "loudest", 2.0, 1.0, 6.0).start_s <= 4.0
    assert stretch(long, "loudest", 1.0, 8.5, 12.0).start_s == 8.5
    assert stretch(long, "centre", 2.0, 11.0, 20.0).start_s == 11.0, "it ends after 1.3 s"
    for where in POLICIES:
        found = stretch(long, where, 5.0, 1.0, 3.0)
        assert (found.start_s, found.decoded_s, found.note) == (1.0, 3.0, None)
        found = stretch(long, where, 1.999999, 1.0, 3.0)
        assert (found.start_s, found.note, len(found.samples)) == (1.0, None, 2 * RATE)


def test_what_the_header_claims_moves_nothing(tmp_path):
    sound = noise(3.0)
    sound[2 * RATE :] *= 5
    honest = write(tmp_path / "a.wav", sound)
    data = bytearray(honest.read_bytes())
    lying = tmp_path / "b.wav"
    for claimed in (0, 3600 * 2 * RATE, 0xFFFFFFFE):
        data[40:44] = struct.pack("<I", claimed)
        lying.write_bytes(data)
        for where in ("centre", "loudest"):
            found, true = stretch(lying, where, 1.0), stretch(honest, where, 1.0)
            assert (found.start_s, found.ended_s) == (true.start_s, 3.0)
            assert np.array_equal(found.samples, true.samples)
    data[40:44] = struct.pack("<I", 3600 * 2 * RATE)
    lying.write_bytes(data)
    assert stretch(lying, "centre", 1.0).note == "header_claims_more"
    assert stretch(lying, "first", 1.0).note is None, "it was not decoded so far"


def test_a_long_recording_is_never_held(tmp_path):
    path = write(tmp_path / "a.flac", np.tile(noise(5.0), 60))
    for where in ("centre", "loudest"):
        tracemalloc.start()
        assert len(stretch(path, where, 2.0).samples) == 2 * RATE
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000, "300 s are 19 MB"


def test_refusals_are_those_of_the_stretch(tmp_path):
    sound = noise(6.0)
    sound[2 * RATE : 4 * RATE] = 0
    path = write(tmp_path / "a.wav", sound)
    with pytest.raises(Reject, match="every sample of its 1 s is zero"):
        stretch(path, "centre", 1.0)
    assert stretch(path, "loudest", 1.0).decoded_s
    with pytest.raises(Reject, match="at least 7 s"):
        stretch(path, "centre", 8.0, min_s=7.0)
    sound[5 * RATE] = np.nan
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    assert stretch(path, "first", 1.0).start_s == 0.0
    with pytest.raises(Reject, match="no stretch of it is the loudest") as caught:
        stretch(path, "loudest", 1.0)
    assert caught.value.error == "not_finite"


def test_a_broken_file_is_placed_by_what_can_be_decoded(tmp_path):
    path = write(tmp_path / "a.flac", noise(20.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = stretch(path, "centre", 2.0)
    assert found.note in ("decode_error_midway", "header_claims_more")
    assert found.ended_s == pytest.approx(13.3, abs=0.7)
    assert found.start_s == pytest.approx((found.ended_s - 2.0) / 2, abs=1 / RATE)


@pytest.mark.parametrize(
    ("held", "excerpt", "ended", "claimed", "share"),
    [
        ([(0, 10)], (0, None), 10, 10, 1.0),
        ([(0, 10)], (0, None), None, 40, 0.25),
        ([(15, 25)], (0, None), 40, 90, 0.25),  # what was decoded is believed before what is claimed
        ([(0, 10)], (0, None), None, None, None),
        ([(0, 10)], (0, None), None, 5, None),  # belied
        ([(0, 10)], (0, None), None, 9.95, 1.0),  # rounded
        ([(5, 15)], (5, None), None, 25, 0.5),
        ([(30, 40)], (30, 40), None, 60, 1.0),
        ([(30, 39)], (30, 40), 39, 39, 0.9),
        ([(0, 4), (2, 6), (9, 10)], (0, None), 10, None, 0.7),
        ([(0, 10), (2, 4), (8, 12)], (0, None), 12, None, 1.0),
        ([(2, 4), (6, 8)], (2, 12), None, None, 0.4),
        ([(0, 10.0001)], (0, 10), None, None, 1.0),
    ],
)
def test_coverage_is_the_share_of_the_excerpt_that_the_clips_hold_together(held, excerpt, ended, claimed, share):
    assert coverage(held, *excerpt, ended, claimed) == share
