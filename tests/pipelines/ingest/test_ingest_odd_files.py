"""Files that are no ordinary recordings: real ones from other software's test suites, and hostile ones that are made here."""

from __future__ import annotations

import csv
import json
import re
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.ingest.decode import decode, pieces
from pipelines.ingest.piece import Decoded
from pipelines.ingest.windows import stretch
from schemas.errors import Reject

HERE = Path(__file__).parent
RATE = 16000


def outcome(path: Path) -> Decoded | Reject:
    try:
        return decode(path)
    except Reject as reject:
        return reject


def described(path: Path) -> tuple[str, ...]:
    """Return what the columns of odd_files.csv say of a file, but for its path and the reason."""
    found = outcome(path)
    if isinstance(found, Reject):
        assert str(path.parent) not in found.message, "a message names no folder of this machine"
        assert not re.search("(?<!offset )0x", found.message), "an address in memory differs from run to run"
        return (found.error, "", "", "", "")
    assert np.isfinite(found.samples).all()
    assert found.decoded_s == len(found.samples) / found.rate == found.ended_s
    return (found.decoder, str(found.rate), str(found.channels), str(len(found.samples)), found.note or "")


@pytest.fixture(scope="module")
def expected() -> dict[str, tuple[str, ...]]:
    """Return the outcome of every file of audio_odd; what each file is was read in its suite's notes, its name or its bytes."""
    with (HERE / "odd_files.csv").open(encoding="utf-8", newline="") as file:
        return {row[0]: tuple(row[1:6]) for row in list(csv.reader(file))[1:]}


def test_every_odd_file_has_its_true_outcome(shared, expected):
    odd = shared / "audio_odd"
    found = {str(path.relative_to(odd)): described(path) for path in sorted(odd.rglob("*")) if path.is_file()}
    assert found.keys() == expected.keys()
    assert {name: what for name, what in found.items() if what != expected[name]} == {}


def test_ordinary_recordings_are_all_decoded_but_for_the_silent_ones(shared):
    plain = shared / "audio_plain"
    found = {path: described(path) for path in sorted(plain.rglob("*")) if path.is_file()}
    sounds = {path: what for path, what in found.items() if path.suffix in (".wav", ".flac", ".ogg")}
    assert len(sounds) == 143
    refused = {path.stem: what[0] for path, what in sounds.items() if what[0] not in ("soundfile", "ffmpeg")}
    assert set(refused.values()) == {"digital_silence"}
    assert {name for name in refused if not name.startswith("input-")} == {"silence", "missing-value", "dummy"}
    assert {what[0] for path, what in found.items() if path not in sounds} == {"not_audio"}


def test_no_more_is_held_of_a_long_file_than_is_asked(shared):
    long = shared / "audio_odd/tinytag/flac453sStereo.flac"
    tracemalloc.start()
    part = decode(long, 400.0, 10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(part.samples), part.start_s, part.decoded_s) == (441_000, 400.0, 410.0)
    assert peak < 8_000_000, "all of it is 160 MB"


def noise(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(5).uniform(-1, 1, round(seconds * rate))


def wav(data_bytes: int, rate: int = RATE, channels: int = 1, content: bytes = b"") -> bytes:
    """Return a WAV file whose header claims ``data_bytes`` of 16-bit samples."""
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    whole = struct.pack("<I", min(36 + data_bytes, 2**32 - 1))
    return b"RIFF" + whole + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", data_bytes) + content


def claiming(flac: bytes, frames: int) -> bytes:
    """Return a FLAC file whose STREAMINFO claims ``frames``."""
    packed = int.from_bytes(flac[18:26], "big") & ~((1 << 36) - 1) | frames
    return flac[:18] + packed.to_bytes(8, "big") + flac[26:]


HOSTILE = {
    "claims-4-gb.wav": ("soundfile", 1.0),
    "claims-an-hour.wav": ("soundfile", 1.0),
    "claims-an-hour.flac": ("ffmpeg", 1.0),  # libsndfile fails in the one block that it is asked for
    "claims-2-to-36-samples.flac": ("ffmpeg", 1.0),
    "claims-2-to-36-samples-at-655-khz.flac": ("soundfile", 1.0),
    "eight-channels-at-655-khz.flac": ("soundfile", 6.0),
    "768-khz.wav": ("soundfile", 2.0),
    "769-khz.wav": ("absurd_sample_rate", None),
    "no-frames.wav": ("no_samples", None),
    "no-frames.flac": ("no_samples", None),
    "no-frames-but-a-claim.wav": ("no_samples", None),
    "64-channels.wav": ("soundfile", 1.0),
    "1024-channels.wav": ("too_many_channels", None),
    "32767-channels.wav": ("corrupt_audio", None),  # no decoder opens it
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small files that claim or unfold to much."""
    root = tmp_path_factory.mktemp("hostile")
    pcm = (noise() * 32767).astype("<i2").tobytes()
    (root / "claims-4-gb.wav").write_bytes(wav(0xFFFFFFFE, content=pcm))
    (root / "claims-an-hour.wav").write_bytes(wav(3600 * 2 * RATE, content=pcm))
    (root / "no-frames.wav").write_bytes(wav(0))
    (root / "no-frames-but-a-claim.wav").write_bytes(wav(1 << 31))
    (root / "64-channels.wav").write_bytes(wav(64 * len(pcm), 16000, 64, 64 * pcm))
    (root / "1024-channels.wav").write_bytes(wav(1024 * len(pcm), 16000, 1024, 64 * pcm))
    (root / "32767-channels.wav").write_bytes(wav(32767 * 200, 16000, 32767, 64 * pcm))
    for rate in (768, 769):
        fast = (noise(2.0, 1000 * rate) * 32767).astype("<i2").tobytes()
        (root / f"{rate}-khz.wav").write_bytes(wav(len(fast), 1000 * rate, 1, fast))
    soundfile.write(root / "a.flac", noise(), RATE)
    flac = (root / "a.flac").read_bytes()
    (root / "a.flac").unlink()
    (root / "claims-an-hour.flac").write_bytes(claiming(flac, 3600 * RATE))
    (root / "claims-2-to-36-samples.flac").write_bytes(claiming(flac, (1 << 36) - 1))
    (root / "no-frames.flac").write_bytes(claiming(b"fLaC\x80" + flac[5:42], 0))
    with soundfile.SoundFile(root / "eight-channels-at-655-khz.flac", "w", 655350, 8) as file:
        for _ in range(60):
            file.write(0.5 * np.ones((65535, 8)))
    soundfile.write(root / "b.flac", noise(1.0, 655350), 655350)
    fast = claiming((root / "b.flac").read_bytes(), (1 << 36) - 1)
    (root / "b.flac").unlink()
    (root / "claims-2-to-36-samples-at-655-khz.flac").write_bytes(fast)
    assert {path.name for path in root.iterdir()} == HOSTILE.keys()
    return root


@pytest.mark.parametrize(("where", "channels"), [("first", "mean"), ("centre", "left"), ("loudest", "loudest")])
def test_a_hostile_file_gives_what_it_holds_and_no_more(hostile, where, channels):
    for name, (expected, seconds) in HOSTILE.items():
        if seconds is None:
            with pytest.raises(Reject) as caught:
                stretch(hostile / name, where, 10.0, channels=channels)
            assert caught.value.error == expected, name
            continue
        found = stretch(hostile / name, where, 10.0, channels=channels)
        assert (found.decoder, found.start_s) == (expected, 0.0), name
        assert found.ended_s == found.decoded_s == pytest.approx(seconds, rel=1e-3), name
        lies = name.startswith(("claims-an-hour", "claims-2"))
        assert found.note in (("header_claims_more", "decode_error_midway") if lies else (None,)), name


def test_a_claim_of_an_hour_makes_no_pieces(hostile):
    for kind in ("wav", "flac"):
        found = list(pieces(hostile / f"claims-an-hour.{kind}", 0.4, hop_s=0.2))
        assert [round(piece.start_s, 6) for piece in found] == [0.0, 0.2, 0.4, 0.6]
        assert found[-1].ended_s == 1.0


def costs(folder: Path, *how: str) -> tuple[float, list[dict[str, Any]]]:
    """Serve every file of a folder in a process of its own; return the baseline in MB, and what each file cost."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not tell the peak memory of a process by file")
    command = [sys.executable, str(HERE / "serve_each.py"), str(folder), *how]
    done = subprocess.run(command, capture_output=True, check=True, cwd=HERE.parents[2], text=True)
    first, *rest = (json.loads(line) for line in done.stdout.splitlines())
    return first["baseline_mb"], rest


@pytest.mark.parametrize("how", [("first", "mean"), ("loudest", "loudest")])
def test_no_hostile_file_takes_much_memory(hostile, how):
    baseline, found = costs(hostile, *how)
    assert {row["path"]: row["outcome"] for row in found} == {name: what for name, (what, _) in HOSTILE.items()}
    assert max(row["peak_mb"] for row in found) < baseline + 500


def test_no_odd_file_takes_much_memory(shared, expected):
    baseline, found = costs(shared / "audio_odd")
    assert {row["path"] for row in found} == expected.keys()
    assert max(row["peak_mb"] for row in found) < baseline + 500
