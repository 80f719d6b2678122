"""The catalogue of metadata: seconds and peak memory, of real datasets and of generated rows.

    python benchmarks/catalog.py [--data DIR] [--rows 200000] [--listing 2000000]

One process each, Beam's FnApiRunner. ``--data`` is a folder of datasets as configs/catalog.yaml names them. Generated rows
are segments of AudioSet, a quarter of which AudioCaps has too, with a caption of 4 to 16 words out of 3,000. ``--listing``
measures the reading of that many rows alone, without Beam.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.catalog.build import build_catalog
from pipelines.catalog.sources import Sources, list_recipe
from pipelines.core.workspace import open_workspace
from schemas.load import load_recipe
from schemas.ontology import configs_dir

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MIDS = ("/m/09x0r", "/m/05tny_", "/m/0jbk", "/m/04rlf", "/m/03m9d0z", "/m/07yv9")
RECIPE = str(configs_dir() / "catalog.yaml")


def write_rows(root: Path, count: int) -> None:
    """Write the lists of two datasets with ``count`` rows together."""
    draw = random.Random(0)
    # Words are drawn as they are spoken: the n-th commonest as often as 1/n.
    words, weights = [f"word{n}" for n in range(3000)], [1 / (n + 1) for n in range(3000)]
    for name in ("audioset", "audiocaps"):
        (root / name).mkdir(parents=True)
    with (
        (root / "audioset/unbalanced_train_segments.csv").open("w") as segments,
        (root / "audiocaps/train.csv").open("w") as captions,
    ):
        segments.write("# segments\n# generated\n# YTID, start_seconds, end_seconds, positive_labels\n")
        captions.write("audiocap_id,youtube_id,start_time,caption\n")
        for number in range(count * 4 // 5):
            ytid, start = "".join(draw.choices(ALPHABET, k=11)), draw.randrange(30) * 10
            segments.write(f'{ytid}, {start}.000, {start + 10}.000, "{",".join(draw.sample(MIDS, 2))}"\n')
            if number % 4 == 0:
                text = " ".join(draw.choices(words, weights, k=draw.randrange(4, 17)))
                captions.write(f"{number},{ytid},{start},{text}\n")


def build(root: str) -> str:
    """Build the catalogue of a folder of datasets; return its rows in words."""
    with tempfile.TemporaryDirectory() as out:
        counts = build_catalog([RECIPE], out, overrides=[f"data.root={root}"])
    return (
        f"{counts['members']:,} members, {counts['recordings']:,} recordings, {counts['near_captions']:,} near captions"
    )


def listing(root: str) -> str:
    """Read the metadata of a folder of datasets alone; return the rows in words."""
    found = Sources()
    with tempfile.TemporaryDirectory() as out:
        list_recipe("catalog", load_recipe(RECIPE, (f"data.root={root}",)), open_workspace(out), found)
        rows = sum(len(piece.members()) for piece in found.pieces)
    return f"{rows:,} rows listed"


def measured(what: str, root: Path | str) -> str:
    """Return the end of a line of the table, measured in a process of its own."""
    command = [sys.executable, __file__, "--child", what, "--data", str(root)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def child(what: str, root: str) -> None:
    """Do one thing and print what it took."""
    began = time.perf_counter()
    words = {"build": build, "listing": listing}[what](root)
    seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{words} | {seconds:.1f} | {time.process_time():.1f} | {peak:,.0f} |")


def main() -> None:
    """Print a table: seconds, processor seconds, and the peak of the resident set in MiB."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--listing", type=int, default=2_000_000)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.data)
        return
    print("| what | result | seconds | processor s | peak memory, MiB |\n|---|---|---|---|---|")
    if options.data:
        print("| real metadata |", measured("build", options.data), flush=True)
    for what, count in (("build", options.rows), ("listing", options.listing)):
        with tempfile.TemporaryDirectory() as name:
            write_rows(Path(name), count)
            print(f"| generated, {what} |", measured(what, name), flush=True)


if __name__ == "__main__":
    main()
