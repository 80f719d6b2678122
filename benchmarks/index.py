"""Seconds and memory that the metadata of a large dataset cost: AudioSet's own form, generated.

    python benchmarks/index.py [--rows 2000000] [--audio]

The stage `index` from the metadata file to its committed partitions, in a process of its own, with the digest of what it reads.
With ``--audio`` each row has a file (of one byte), which is listed and found by name; else all are rejects `missing_audio`.
"""

from __future__ import annotations

import argparse
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.core.graph import build_graph
from pipelines.core.stage import Context
from pipelines.core.work import Work
from pipelines.core.worker import run_task
from pipelines.core.workspace import open_workspace
from pipelines.ingest.index import Index
from schemas.ontology import default_ontology
from schemas.recipe import Data, Dataset

LETTERS = string.ascii_letters + string.digits + "-_"


def write(folder: Path, rows: int, audio: bool) -> None:
    """Write an unbalanced segment list, and a file of one byte per row if ``audio``."""
    rng = random.Random(1)
    classes = [node.class_id for node in default_ontology().classes]
    (folder / "audio").mkdir(parents=True)
    with (folder / "unbalanced_train_segments.csv").open("w") as table:
        table.write("# YTID, start_seconds, end_seconds, positive_labels\n")
        for _ in range(rows):
            # The last character of a YouTube id holds four bits.
            ytid = "".join(rng.choices(LETTERS, k=10)) + rng.choice("048AEIMQUYcgkosw")
            start = rng.choice((0, 10, 30, 120, 330))
            table.write(
                f'{ytid}, {start}.000, {start + 10}.000, "{",".join(rng.sample(classes, rng.randint(1, 4)))}"\n'
            )
            if audio:
                (folder / "audio" / f"Y{ytid}.wav").write_bytes(b"x")


def index(root: str) -> None:
    """Run the stage and print what it took."""
    began = time.perf_counter()
    context = Context(open_workspace(f"{root}/run"), root, 0, 64)
    stage = Index(Data(root=root, datasets=[Dataset(adapter="audioset", path="audioset")]))
    work = Work(build_graph([stage], 0), context)
    marker = run_task(work.task(work.nodes[0], -1), context)
    seconds, memory = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"| {marker.rows_in:,} | {marker.rows_out:,} | {seconds:.1f} s | {memory:.2f} GB |")


def main() -> None:
    """Print a table: rows, rows with audio, seconds, peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--audio", action="store_true")
    options = parser.parse_args()
    print("| rows | with audio | index | peak memory |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as root:
        write(Path(root) / "audioset", options.rows, options.audio)
        subprocess.run(
            [sys.executable, "-c", "import sys, index; index.index(sys.argv[1])", root],
            check=True,
            cwd=Path(__file__).parent,
        )


if __name__ == "__main__":
    main()
