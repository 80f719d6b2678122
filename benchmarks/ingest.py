"""Ingest rate beside its floor: the stage against a bare loop of the same decode, resample and encode calls, on the same files.

    python benchmarks/ingest.py [--files 60] [--rounds 9] [--memory]

One process. Files are ten seconds of 44.1 kHz stereo noise with a tone, in each format; the store is 32 kHz mono FLAC. Floor and stage take
turns on four files at a time, and of each turn the best of all rounds counts: other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Context
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.ingest.ffmpeg import binary
from pipelines.ingest.index import Index
from pipelines.ingest.stage import Ingest
from schemas import tables
from schemas.recipe import Data, Dataset

RATE, SECONDS, STORE = 44100, 10, 32000
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "m4a": ("WAV", "PCM_16"),
}
STAGE = Ingest(STORE, float(SECONDS), "first", 0.1)
TURN = 4


def write_files(folder: Path, suffix: str, count: int) -> list[Path]:
    """Write ``count`` files of one format; ffmpeg makes the M4A files, of 128 kbit/s."""
    kind, subtype = FORMATS[suffix]
    paths = []
    for number in range(count):
        rng = np.random.default_rng(number)
        tone = np.sin(2 * np.pi * (200 + number) * np.arange(RATE * SECONDS) / RATE)[:, None]
        audio = (0.2 * tone + 0.05 * rng.standard_normal((RATE * SECONDS, 2))).astype(np.float32)
        paths.append(folder / f"{number:04d}.{suffix}")
        if suffix == "m4a":
            sound = folder / "sound.wav"
            soundfile.write(sound, audio, RATE, subtype=subtype)
            command = [binary(), "-v", "error", "-i", sound, "-c:a", "aac", "-b:a", "128k", paths[-1]]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        else:
            soundfile.write(paths[-1], audio, RATE, format=kind, subtype=subtype)
    return paths


def bare(paths: list[Path]) -> None:
    """The floor: the calls that cannot be done without."""
    for path in paths:
        samples, rate = piped(path) if path.suffix == ".m4a" else soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample((samples[:, 0] + samples[:, 1]) * np.float32(0.5), rate, STORE, quality="HQ")
        soundfile.write(io.BytesIO(), np.rint(mono * 32768).astype(np.int16), STORE, format="FLAC", subtype="PCM_16")


def piped(path: Path) -> tuple[np.ndarray, int]:
    """Return what one ffmpeg process pipes of a stereo file of 44.1 kHz."""
    command = [binary(), "-v", "error", "-nostdin", "-i", path, "-f", "wav", "-c:a", "pcm_f32le", "pipe:1"]
    data = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return np.frombuffer(data, "<f4", offset=data.index(b"data") + 8).reshape(-1, 2), RATE


def records(paths: list[Path]) -> Batch:
    """Return rows of ``records`` for files of one folder."""
    rows = [
        {
            "record_id": f"b-{path.stem}",
            "dataset": "b",
            "split": "train",
            "recording_id": f"fs:{path.stem}",
            "source_path": path.name,
            "file_bytes": path.stat().st_size,
            "labels": [],
            "events": [],
            "keywords": [],
            "captions": [],
            "licence": "unknown",
        }
        for path in paths
    ]
    return Batch(tables.from_rows("records", rows), {})


def seconds(function: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def rates(count: int, rounds: int) -> None:
    """Print a table: audio seconds per second."""
    print("| format | floor, audio s/s | ingest stage, audio s/s | share of the floor |\n|---|---|---|---|")
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            paths = write_files(Path(folder), suffix, count)
            turns = [paths[start : start + TURN] for start in range(0, count, TURN)]
            batches, context = [records(turn) for turn in turns], Context(Workspace(folder), folder, 0, 1)
            assert not any(STAGE.process(batch, context).rejects for batch in batches)
            best = np.full((len(turns), 2), np.inf)
            for _ in range(rounds):
                for number, (turn, batch) in enumerate(zip(turns, batches, strict=True)):
                    taken = seconds(bare, turn), seconds(STAGE.process, batch, context)
                    best[number] = np.minimum(best[number], taken)
            floor, ours = best.sum(axis=0)
            audio = count * SECONDS
            print(f"| {suffix} | {audio / floor:,.0f} | {audio / ours:,.0f} | {floor / ours:.0%} |", flush=True)


def memory(small: int = 200, factor: int = 10) -> None:
    """Print the peak resident set of indexing and ingesting ``small`` and ``factor`` times as many files."""
    print("\n| files | peak memory, MB |\n|---|---|")
    with tempfile.TemporaryDirectory() as name:
        made = [path for suffix in FORMATS for path in write_files(Path(name), suffix, 4)]
        for count in (small, small * factor):
            with tempfile.TemporaryDirectory(dir=name) as folder:
                root = Path(folder) / "data"
                root.mkdir()
                for number in range(count):
                    path = made[number % len(made)]
                    os.link(path, root / f"{number}{path.suffix}")
                found = subprocess.run([sys.executable, __file__, "--ingest", folder], check=True, capture_output=True)
                print(f"| {count:,} | {int(found.stdout):,} |", flush=True)


def ingest(folder: Path) -> None:
    """Index and ingest a folder's ``data`` into its ``run`` and print the peak of this process's resident set, in MB."""
    data = Data(root=str(folder / "data"), datasets=[Dataset(adapter="folder")])
    context = Context(Workspace(str(folder / "run")), str(folder / "data"), 0, 8)
    drive(Work(build_graph([Index(data), STAGE], 0), context), InlineEngine(context), Progress(quiet=True))
    print(peak_mb())


def peak_mb() -> int:
    """Return the peak of this process's resident set, in MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    # On Linux a child's ru_maxrss begins at what its parent held when it was started.
    return next(int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory", action="store_true", help="peak memory of 200 and of 2,000 files, too")
    parser.add_argument("--ingest", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ingest:
        ingest(options.ingest)
        return
    rates(options.files, options.rounds)
    if options.memory:
        memory()


if __name__ == "__main__":
    main()
