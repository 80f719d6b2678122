"""Decoding files that are made here: what comes out, and which word is said of what cannot be decoded."""

from __future__ import annotations

import gc
import os
import random
import struct
import subprocess
import tracemalloc
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from pipelines.ingest.decode import decode, pieces, reach
from pipelines.ingest.piece import Decoded, Piece
from pipelines.ingest.streams import Stream
from pipelines.ingest.windows import stretch
from schemas.errors import Reject

RATE = 16000
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def noise(seconds: float = 2.0, channels: int = 1, rate: int = RATE) -> np.ndarray:
    rng = np.random.default_rng(5)
    return 0.3 * rng.standard_normal((round(seconds * rate), channels)).clip(-3, 3)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **how: str) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([FFMPEG, "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write(tmp_path / "noise.wav", noise())


@pytest.fixture
def m4a(tmp_path: Path, wav: Path) -> Path:
    ffmpeg("-i", wav, "-c:a", "aac", "-b:a", "128k", tmp_path / "noise.m4a")
    return tmp_path / "noise.m4a"


def refused(path: Path, **how: float) -> str:
    with pytest.raises(Reject) as caught:
        decode(path, **how)
    assert str(path.parent) not in caught.value.message, "a message names no folder of this machine"
    return caught.value.error


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.wav", {}),
        ("b.wav", {"subtype": "FLOAT"}),
        ("c.wav", {"subtype": "MS_ADPCM"}),
        ("d.flac", {}),
        ("e.aiff", {}),
        ("f.ogg", {}),
        ("g.mp3", {}),
        ("h.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
def test_an_excerpt_is_the_same_samples_as_in_the_whole(tmp_path, name, how):
    path = write(tmp_path / name, noise(channels=2), **how)
    whole = decode(path)
    assert (whole.decoder, whole.rate, whole.channels) == ("soundfile", RATE, 2)
    for start, length in ((0.0, 0.5), (0.7312, 0.4), (1.9, 5.0)):
        part = decode(path, start, length)
        first = round(start * RATE)
        expected = whole.samples[first : first + round(length * RATE)]
        # libmpg123 rounds floats by where a read begins, far below a step of 16 bits.
        assert np.allclose(part.samples, expected, rtol=0, atol=1e-6 if name.endswith("mp3") else 0)
        assert part.decoded_s == pytest.approx(min(start + length, len(whole.samples) / RATE), abs=1 / RATE)


def test_an_excerpt_through_ffmpeg_is_the_same_samples_as_in_the_whole(m4a):
    whole, part = decode(m4a), decode(m4a, 0.5, 0.25)
    assert (whole.decoder, whole.rate, whole.channels, whole.note) == ("ffmpeg", RATE, 1, None)
    assert whole.claimed_s == pytest.approx(2.0, abs=0.1)
    assert np.array_equal(part.samples, whole.samples[8000:12000])


def test_mono_is_the_mean_of_the_channels_whoever_decodes(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    path = write(tmp_path / "a.wav", np.stack([tone, 0.5 * tone, 0 * tone], 1), subtype="FLOAT")
    assert np.allclose(decode(path).samples, tone / 2, atol=1e-7)
    write(tmp_path / "b.wav", np.stack([tone, tone], 1))
    ffmpeg("-i", tmp_path / "b.wav", "-c:a", "alac", tmp_path / "b.m4a")
    stereo = decode(tmp_path / "b.m4a")
    assert (stereo.decoder, stereo.channels) == ("ffmpeg", 2)
    assert np.allclose(stereo.samples, tone, atol=1e-4)


def test_the_content_decides_and_not_the_name(tmp_path, wav, m4a):
    for name in ("noise.mp3", "noise.au", "noise", "noise.txt"):
        (tmp_path / name).write_bytes(wav.read_bytes())
        assert np.array_equal(decode(tmp_path / name).samples, decode(wav).samples)
    odd = tmp_path / "-i http:%03d 'käse'\n.gsm"
    odd.write_bytes(m4a.read_bytes())
    assert np.array_equal(decode(odd).samples, decode(m4a).samples)


TEXTS = {
    "plain": b"This is text, and long enough to be taken for samples.\n" * 200,
    "utf-16": "This is text in UTF-16 with a byte order mark.\n".encode("utf-16") * 200,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nnoise.wav\n#EXT-X-ENDLIST\n",
    "ffconcat": b"ffconcat version 1.0\nfile noise.wav\n",
    "zeros": bytes(5000),
    "random": random.Random(3).randbytes(5000),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("suffix", [".wav", ".au", ".gsm", ".vox", ".snd", ".raw", ".mp3", ".m4a", ".m3u8", ".txt", ""])
@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_no_audio_is_refused_under_every_name(wav, suffix, kind):
    path = wav.with_name(f"{kind}{suffix}")
    path.write_bytes(TEXTS[kind])
    assert refused(path) == "not_audio"


def test_a_film_without_sound_is_no_audio_and_one_with_sound_is(tmp_path, wav):
    silent, talking = tmp_path / "silent.mp4", tmp_path / "talking.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc=duration=1:size=64x48:rate=5")
    ffmpeg(*picture, "-c:v", "mpeg4", silent)
    assert refused(silent) == "not_audio"
    ffmpeg(*picture, "-i", wav, "-c:v", "mpeg4", "-c:a", "flac", talking)
    assert np.allclose(decode(talking).samples, decode(wav).samples, atol=1e-4)


def test_files_that_are_not_there_or_empty_say_so(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    assert refused(tmp_path / "empty.wav") == "empty_file"
    for name in ("none.wav", "folder.wav", "pipe.wav", "empty.wav/x.wav"):
        assert refused(tmp_path / name) == "missing_audio"


def header(data_bytes: int, rate: int = RATE) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate, min(2 * rate, 2**32 - 1), 2, 16)
    whole = struct.pack("<I", min(36 + data_bytes, 2**32 - 1))
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + whole + b"WAVE" + chunks


PCM = (noise(0.5)[:, 0] * 32767).astype("<i2").tobytes()


def test_a_header_alone_holds_no_samples(tmp_path, wav):
    path = tmp_path / "a.wav"
    for content in (header(0), header(16000), header(0)[:36]):
        path.write_bytes(content)
        assert refused(path) == "no_samples"
    flac = write(tmp_path / "b.flac", noise()).read_bytes()
    path.write_bytes(b"fLaC\x80" + flac[5:42])
    assert refused(path) == "no_samples"
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257))
    assert refused(path) == "no_samples"


def test_audio_that_fails_before_its_first_sample_is_corrupt(tmp_path, m4a):
    path = tmp_path / "a.wav"
    path.write_bytes(header(0)[:30])
    assert refused(path) == "corrupt_audio"
    flac = write(tmp_path / "b.flac", noise()).read_bytes()
    path.write_bytes(flac[:86] + random.Random(1).randbytes(4000))
    assert refused(path) == "corrupt_audio"
    path.write_bytes(m4a.read_bytes()[:8000])
    assert refused(path) == "corrupt_audio"


@pytest.mark.parametrize("rate", [1, 999, 768001, 2_000_000_000])
def test_a_rate_that_cannot_be_true_is_refused(tmp_path, rate):
    (tmp_path / "a.wav").write_bytes(header(len(PCM), rate) + PCM)
    assert refused(tmp_path / "a.wav") == "absurd_sample_rate"


def test_what_is_in_the_samples_is_told_apart(tmp_path):
    zeros, tone = np.zeros(RATE), noise(1.0)[:, 0]
    broken = tone.copy()
    broken[100] = np.nan
    assert refused(write(tmp_path / "a.flac", zeros)) == "digital_silence"
    assert refused(write(tmp_path / "b.wav", np.stack([tone, -tone], 1), subtype="FLOAT")) == "channels_cancel"
    assert refused(write(tmp_path / "c.wav", broken, subtype="FLOAT")) == "not_finite"
    broken[100] = np.inf
    assert refused(write(tmp_path / "d.wav", broken, subtype="DOUBLE")) == "not_finite"
    late = write(tmp_path / "e.wav", np.concatenate([zeros, tone]))
    assert refused(late, length_s=1.0) == "digital_silence"
    assert np.any(decode(late).samples)


def test_too_little_is_too_short(wav, m4a):
    assert refused(wav, min_s=2.1) == "too_short"
    assert refused(wav, start_s=1.95, min_s=0.1) == "too_short"
    for path in (wav, m4a):
        assert refused(path, start_s=30.0, length_s=10.0) == "too_short"


def test_a_silent_ffmpeg_is_given_up(m4a):
    assert refused(m4a, timeout_s=0.0) == "decode_timeout"


def test_a_wav_header_that_claims_more_or_less_is_noted(tmp_path):
    path, true_s = tmp_path / "a.wav", 0.5
    more, less, none = (
        (10 * len(PCM), 5.0, "header_claims_more"),
        (0, 0.0, "header_claims_less"),
        (len(PCM), true_s, None),
    )
    for claimed, claimed_s, note in (more, less, none, (0xFFFFFFFF, None, None), (0x7FFFF000, None, None)):
        path.write_bytes(header(claimed) + PCM)
        found = decode(path)
        assert (found.claimed_s, found.decoded_s, found.note) == (claimed_s, true_s, note)
        assert len(found.samples) == 8000
    path.write_bytes(header(len(PCM)) + PCM[:-100])
    assert decode(path).note is None, "50 samples of 8,000 are under one per cent"


def test_a_flac_header_that_claims_more_or_less_is_noted(tmp_path):
    samples = noise(3.0)
    original = bytearray(write(tmp_path / "a.flac", samples).read_bytes())
    whole = decode(tmp_path / "a.flac")
    for claimed, note in ((30 * RATE, "header_claims_more"), (RATE, "header_claims_less"), (0, None)):
        packed = int.from_bytes(original[18:26], "big") & ~((1 << 36) - 1) | claimed
        changed = tmp_path / "b.flac"
        changed.write_bytes(original[:18] + packed.to_bytes(8, "big") + original[26:])
        found = decode(changed)
        assert found.note == note
        assert found.claimed_s == (claimed / RATE or None)
        assert np.array_equal(found.samples, whole.samples), "what is decoded does not depend on the claim"


def test_an_excerpt_that_ends_early_on_purpose_has_no_note(tmp_path):
    (tmp_path / "a.wav").write_bytes(header(10 * len(PCM)) + PCM)
    assert decode(tmp_path / "a.wav", 0.0, 0.25).note is None


def test_a_truncated_flac_gives_what_it_has_and_says_so(tmp_path):
    path = write(tmp_path / "a.flac", noise(20.0))
    whole = decode(path).samples
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    part = decode(path)
    assert part.note in ("decode_error_midway", "header_claims_more")
    assert part.claimed_s == 20.0
    assert 12.0 < part.decoded_s < 14.0
    assert np.array_equal(part.samples, whole[: len(part.samples)])


def test_memory_follows_what_is_asked_and_not_what_is_claimed(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(header(0x7FFF0000) + PCM)
    tracemalloc.start()
    decode(path)
    long = write(tmp_path / "b.flac", np.tile(noise(1.0), (120, 1)))
    tracemalloc.reset_peak()
    decode(long, 100.0, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)


def test_one_channel_is_kept_if_asked(tmp_path):
    path = write(tmp_path / "a.wav", np.stack([0.2 * TONE, 0.6 * TONE, -0.6 * TONE, 0 * TONE], 1), subtype="FLOAT")
    kept = {policy: decode(path, channels=policy) for policy in ("mean", "left", "loudest")}
    assert {policy: found.channel for policy, found in kept.items()} == {"mean": "mean", "left": "0", "loudest": "1"}
    for policy, level in (("mean", 0.05), ("left", 0.2), ("loudest", 0.6)):
        assert np.allclose(kept[policy].samples, level * TONE, atol=1e-7)
        assert (kept[policy].channels, len(kept[policy].samples)) == (4, 2 * RATE)


def test_the_loudest_channel_is_that_of_the_stretch_and_of_equals_the_first(tmp_path):
    half = np.concatenate([np.ones(RATE), np.zeros(RATE)])
    path = write(tmp_path / "a.wav", np.stack([TONE * half, TONE * half[::-1], TONE * half], 1))
    assert [piece.channel for piece in pieces(path, 1.0, channels="loudest")] == ["0", "1"]
    assert decode(path, 0.5, 1.2, channels="loudest").channel == "1"
    assert decode(path, channels="loudest").channel == "0"
    found = list(pieces(path, 1.0, hop_s=0.25, channels="loudest"))
    assert [piece.channel for piece in found] == ["0", "0", "0", "1", "1"]


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "m4a"])
def test_the_loudest_channel_is_found_whoever_decodes(tmp_path, kind):
    write(tmp_path / "a.wav", np.stack([0.1 * TONE, 0.7 * TONE], 1))
    ffmpeg("-i", tmp_path / "a.wav", tmp_path / f"b.{kind}")
    left, right = (decode(tmp_path / f"b.{kind}", channels=policy) for policy in ("left", "loudest"))
    assert (left.channel, right.channel) == ("0", "1")
    assert np.std(right.samples) == pytest.approx(7 * np.std(left.samples), rel=0.05)


def test_silence_is_judged_by_what_is_kept(tmp_path):
    opposed = write(tmp_path / "a.wav", np.stack([TONE, -TONE], 1), subtype="FLOAT")
    assert refused(opposed) == "channels_cancel"
    assert [decode(opposed, channels=policy).channel for policy in ("left", "loudest")] == ["0", "0"]
    right = write(tmp_path / "b.wav", np.stack([0 * TONE, TONE], 1))
    with pytest.raises(Reject, match="channel 0, which is kept, is zero") as caught:
        decode(right, channels="left")
    assert caught.value.error == "digital_silence"
    assert (decode(right).channel, decode(right, channels="loudest").channel) == ("mean", "1")
    silent = write(tmp_path / "c.wav", np.zeros((RATE, 2)))
    for policy in ("mean", "left", "loudest"):
        assert refused(silent, channels=policy) == "digital_silence"


def test_samples_beyond_all_measure_are_refused_and_loud_ones_are_not(tmp_path):
    assert refused(write(tmp_path / "a.wav", 1e35 * TONE, subtype="FLOAT")) == "not_finite"
    loud = decode(write(tmp_path / "b.wav", 1e6 * TONE, subtype="FLOAT"))
    assert np.allclose(loud.samples, 1e6 * TONE, rtol=1e-6)


@pytest.mark.parametrize("channels", [65, 1024])
def test_more_channels_than_a_recording_has_are_refused(tmp_path, channels):
    write(tmp_path / "a.wav", np.tile(noise(0.1), channels))
    assert refused(tmp_path / "a.wav") == "too_many_channels"


def test_64_channels_are_read_in_blocks_as_small_as_those_of_two(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 48000, 64, subtype="PCM_16") as file:
        for _ in range(10):
            file.write(np.tile(noise(0.2, rate=48000), 64))
    tracemalloc.start()
    for policy in ("mean", "left", "loudest"):
        assert len(decode(tmp_path / "a.wav", channels=policy).samples) == 96000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 14_000_000, "decoded, they are 24.6 MB"


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "m4a"])
def test_pieces_may_overlap_or_leave_gaps(tmp_path, wav, kind):
    path = tmp_path / f"whole.{kind}"
    ffmpeg("-i", wav, path)
    whole = decode(path)
    for hop, starts in ((0.25, [0.1, 0.35, 0.6, 0.85, 1.1]), (0.8, [0.1, 0.9])):
        found = list(pieces(path, 0.6, 0.1, 1.6, hop_s=hop))
        assert [round(piece.start_s, 6) for piece in found] == starts
        for piece in found:
            begin = round(piece.start_s * RATE)
            assert np.array_equal(piece.samples, whole.samples[begin : begin + min(9600, 25600 - begin)])
            assert piece.facts == decode(path, piece.start_s, 0.6 if piece.start_s < 1 else 0.5).facts


def test_a_piece_that_holds_nothing_new_is_not_given(wav):
    ends = [(piece.start_s, piece.decoded_s) for piece in pieces(wav, 1.0, hop_s=0.25)]
    assert ends == [(0.0, 1.0), (0.25, 1.25), (0.5, 1.5), (0.75, 1.75), (1.0, 2.0)]
    assert [piece.decoded_s for piece in pieces(wav, 1.2, hop_s=0.25)] == [1.2, 1.45, 1.7, 1.95, 2.0]
    assert [piece.decoded_s for piece in pieces(wav, 1.2, hop_s=0.25, stop_s=1.5)] == [1.2, 1.45, 1.5]
    assert [piece.start_s for piece in pieces(wav, 5.0, hop_s=0.25)] == [0.0]


def test_the_end_of_a_file_is_told_where_it_was_found(wav, m4a):
    assert decode(wav, 0.0, 1.0).ended_s is None
    assert decode(wav).ended_s == decode(wav, 1.0, 3.0).ended_s == 2.0
    assert [piece.ended_s for piece in pieces(wav, 0.3, hop_s=0.9)] == [None, None, 2.0]
    assert decode(m4a, 0.0, 0.5).ended_s is None, "ffmpeg ends by itself one second after what is asked for"
    assert decode(m4a, 0.0, 1.9).ended_s == decode(m4a).ended_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "m4a"])
def test_pieces_are_the_whole_cut_into_equal_lengths(tmp_path, wav, kind):
    path = tmp_path / f"whole.{kind}"
    ffmpeg("-i", wav, path)
    whole, found = decode(path), list(pieces(path, 0.3, start_s=0.1, min_s=0.2))
    assert [round(piece.start_s, 6) for piece in found] == [0.1, 0.4, 0.7, 1.0, 1.3, 1.6]
    assert np.array_equal(np.concatenate([piece.samples for piece in found]), whole.samples[1600 : 1600 + 6 * 4800])
    assert [len(piece.samples) for piece in pieces(path, 10.0, stop_s=1.5)] == [24000]


def test_silent_and_short_pieces_are_left_out(tmp_path):
    tone, zeros = noise(1.0)[:, 0], np.zeros(RATE)
    path = write(tmp_path / "a.wav", np.concatenate([tone, zeros, tone, tone[:100]]))
    assert [piece.start_s for piece in pieces(path, 1.0, min_s=0.1)] == [0.0, 2.0]
    silent = write(tmp_path / "b.wav", np.zeros(3 * RATE + 100))
    with pytest.raises(Reject, match="zero"):
        list(pieces(silent, 1.0, min_s=0.1))


def test_reach_is_how_far_decoding_gets(wav, m4a):
    assert reach(wav, 0.5, 1.5) == 1.5
    assert reach(wav, 0.0, 60.0) == 2.0
    assert reach(m4a, 0.0, 60.0) == pytest.approx(2.0, abs=0.1)


def test_nothing_stays_open_whatever_happens(tmp_path, wav, m4a):
    (tmp_path / "text.m4a").write_bytes(TEXTS["plain"])
    (tmp_path / "cut.m4a").write_bytes(m4a.read_bytes()[:8000])
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        pytest.skip("this system does not list a process's open files")
    decode(m4a)
    before = len(list(fds.iterdir()))
    for path in (wav, m4a, tmp_path / "text.m4a", tmp_path / "cut.m4a"):
        for how in ({}, {"length_s": 0.1}, {"start_s": 30.0}, {"timeout_s": 0.0}):
            try:
                decode(path, **how)
            except Reject:
                continue
    next(pieces(m4a, 0.1)).samples.sum()
    assert len(list(fds.iterdir())) == before


def test_what_was_decoded_is_given_back_at_once_and_not_when_the_collector_comes(tmp_path, wav, m4a):
    (tmp_path / "cut.m4a").write_bytes(m4a.read_bytes()[:8000])
    gaps = write(tmp_path / "gaps.wav", np.concatenate([noise(1.0)[:, 0], np.zeros(RATE), noise(1.0)[:, 0]]))
    gc.collect()
    gc.disable()
    try:
        for path in (wav, m4a, gaps):
            decode(path, 0.0, 1.0)
            list(pieces(path, 1.0, channels="loudest"))
            stretch(path, "loudest", 1.0)
        assert refused(tmp_path / "cut.m4a") == "corrupt_audio"
        held = [type(thing) for thing in gc.get_objects() if isinstance(thing, (Stream, Piece, Decoded))]
    finally:
        gc.enable()
    assert held == []


REASONS = {
    "corrupt_audio",
    "no_samples",
    "not_audio",
    "unsupported_audio",
    "absurd_sample_rate",
    "too_many_channels",
    "not_finite",
}
REASONS |= {"digital_silence", "channels_cancel"}


def outcome(path: Path) -> np.ndarray | str:
    try:
        return decode(path, 0.0, 5.0).samples
    except Reject as reject:
        return reject.error


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_damaged_files_are_decoded_or_refused_and_nothing_else(tmp_path, wav, kind):
    path, rng = tmp_path / f"a.{kind}", random.Random(kind)
    ffmpeg("-i", wav, path)
    original = path.read_bytes()
    for _ in range(12):
        damaged = bytearray(original[: rng.randrange(1, len(original))] if rng.random() < 0.5 else original)
        for _ in range(rng.randrange(6)):
            damaged[rng.randrange(min(len(damaged), 2000))] = rng.randrange(256)
        path.write_bytes(damaged)
        found = outcome(path)
        if isinstance(found, str):
            assert found in REASONS
        else:
            assert found.dtype == np.float32
            assert np.isfinite(found).all()
