"""The same job inline and on Ray, and peak memory at 1x and 10x the clips.

    python benchmarks/engines.py [--clips 200]

Clips are five seconds of noise and tones in an ESC-50 layout. Peak memory is the largest resident set of one process (inline) and the
largest sum over all processes of the run (Ray), sampled every 0.2 s.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from kill import family

ROOT = Path(__file__).resolve().parents[1]
CATEGORIES = (
    "dog",
    "rooster",
    "rain",
    "sea_waves",
    "crying_baby",
    "clapping",
    "door_wood_knock",
    "clock_tick",
    "helicopter",
    "siren",
)


def write_corpus(folder: Path, count: int) -> None:
    """Write ``count`` clips in the layout of ESC-50."""
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(count):
        rng = np.random.default_rng(number)
        tone = np.sin(2 * np.pi * (100 + number % 900) * np.arange(44100 * 5) / 44100)
        name = f"1-{number + 1}-A-{number % 10}.wav"
        soundfile.write(
            folder / "audio" / name, (0.2 * tone + 0.05 * rng.standard_normal(44100 * 5)).astype(np.float32), 44100
        )
        lines.append(f"{name},{1 + number % 5},{number % 10},{CATEGORIES[number % 10]},False,{number + 1},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and the peak of the summed resident sets of its processes, in MB."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "pipelines", *arguments], cwd=ROOT)
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            total = 0
            for pid in family(process.pid):
                try:
                    total += next(
                        int(line.split()[1])
                        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                        if line.startswith("VmRSS")
                    )
                except (OSError, StopIteration):
                    continue
            peak[0] = max(peak[0], total / 1000)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"the run failed with {code}")
    return time.perf_counter() - began, peak[0]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print("| engine | clips | seconds | clips/s | peak memory, MB |\n|---|---|---|---|---|", flush=True)
    scratch = Path(tempfile.mkdtemp(prefix="earloom-engines-"))
    try:
        for count in (options.clips, 10 * options.clips):
            write_corpus(scratch / str(count), count)
            for engine in (
                ["--engine", "inline"],
                ["--engine", "ray", "--workers", "1"],
                ["--engine", "ray", "--workers", str(options.workers)],
            ):
                out = scratch / "run"
                seconds, peak = measured(
                    [
                        "run",
                        "configs/esc50.yaml",
                        "--set",
                        f"data.root={scratch / str(count)}",
                        "--set",
                        f"partitions={max(8, count // 50)}",
                        "--out",
                        str(out),
                        "--quiet",
                        *engine,
                    ]
                )
                print(
                    f"| {' '.join(engine[1::2])} | {count:,} | {seconds:.1f} | {count / seconds:.1f} | {peak:,.0f} |",
                    flush=True,
                )
                shutil.rmtree(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
