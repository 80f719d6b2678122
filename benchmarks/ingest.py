"""Ingest rate beside its floor: the stage against a bare loop of the same decode, resample and encode calls, on the same files.

    python benchmarks/ingest.py [--files 60]

One process. Files are ten seconds of 44.1 kHz stereo noise with a tone, in each format; the store is 32 kHz mono FLAC.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr

from pipelines.core.stage import Batch, Context
from pipelines.core.workspace import Workspace
from pipelines.ingest.stage import Ingest
from schemas import tables

RATE, SECONDS, STORE = 44100, 10, 32000
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
}


def write_files(folder: Path, suffix: str, count: int) -> list[Path]:
    """Write ``count`` files of one format."""
    kind, subtype = FORMATS[suffix]
    paths = []
    for number in range(count):
        rng = np.random.default_rng(number)
        tone = np.sin(2 * np.pi * (200 + number) * np.arange(RATE * SECONDS) / RATE)[:, None]
        audio = (0.2 * tone + 0.05 * rng.standard_normal((RATE * SECONDS, 2))).astype(np.float32)
        paths.append(folder / f"{number:04d}.{suffix}")
        soundfile.write(paths[-1], audio, RATE, format=kind, subtype=subtype)
    return paths


def bare(paths: list[Path]) -> None:
    """The floor: the calls that cannot be done without."""
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample((samples[:, 0] + samples[:, 1]) * np.float32(0.5), rate, STORE, quality="HQ")
        soundfile.write(io.BytesIO(), np.rint(mono * 32768).astype(np.int16), STORE, format="FLAC", subtype="PCM_16")


def staged(paths: list[Path], folder: Path) -> None:
    """The stage on the same files, in batches as a worker gives them."""
    rows = [
        {
            "record_id": f"b-{path.stem}",
            "dataset": "b",
            "split": "train",
            "recording_id": f"fs:{path.stem}",
            "source_path": path.name,
            "file_bytes": path.stat().st_size,
            "start_s": None,
            "end_s": None,
            "labels": [],
            "events": [],
            "keywords": [],
            "captions": [],
            "licence": None,
            "attribution": None,
        }
        for path in paths
    ]
    context = Context(Workspace(str(folder)), str(folder), 0, 1)
    stage = Ingest(STORE, float(SECONDS), "first", 0.1)
    for batch in Batch(tables.from_rows("records", rows), {}).slices(stage.batch_rows):
        result = stage.process(batch, context)
        assert not result.rejects, result.rejects[0]


def best(function, *arguments) -> float:
    """Return the least seconds of three runs."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print a table: audio seconds per second."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=60)
    count = parser.parse_args().files
    print("| format | floor, audio s/s | ingest stage, audio s/s | share of the floor |\n|---|---|---|---|")
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = write_files(folder, suffix, count)
            floor, ours = best(bare, paths), best(staged, paths, folder)
            audio = count * SECONDS
            print(f"| {suffix} | {audio / floor:,.0f} | {audio / ours:,.0f} | {floor / ours:.0%} |", flush=True)


if __name__ == "__main__":
    main()
