"""Rendering beside its floor, and reading recipe shards beside bare decoding.

    python benchmarks/mixing.py [--mixtures 100] [--rounds 5]

Rendering: the stage (read, decode, place, level, sum, measure, encode, describe) against a bare loop that reads and decodes the sources,
adds them and encodes the two outputs. Reading: a tar of recipe samples (tar, JSON, decode, mix) against bare decoding of the same sources
from memory. Mixtures of ten seconds at 32 kHz of two synthesised sounds; one process, floor and ours in turns, the best round of each.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from pipelines.core.commit import Commit
from pipelines.core.stage import Batch, Context
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.mix.remix import remix
from pipelines.mix.render import Render
from pipelines.sample.synth import SOUNDS
from schemas import tables
from schemas.mixing import MixtureSet
from schemas.recipe import Shards

RATE, SECONDS, CLIPS = 32_000, 10.0, 60
LENGTH = round(RATE * SECONDS)
SCAPER = (1.6, 5.6)
"""Soundscapes of ten seconds per second that scaper's documentation tells."""

RULES = {
    "snr": ((-15.0, 15.0), None, 3.0),
    "peak_snr": ((-15.0, 15.0), None, 0.0),
    "energy_ratio": ((-20.0, 20.0), 5.0, None),
    "rms_match": ((-10.0, 10.0), 4.0, -3.0),
    "gain": ((0.5, 1.5), -2.0, None),
    "lufs": ((-35.0, -25.0), -30.0, None),
}
"""Level rule -> its range, each source's level, the ratio."""


def clips(workspace: Workspace) -> list[dict]:
    """Store the clips; return their rows of ``sources``."""
    out = []
    with Packer(workspace, "store", 0, 10**6, 10**10) as packer:
        for number in range(CLIPS):
            sound = SOUNDS[number % len(SOUNDS)].synth(np.random.default_rng(number), SECONDS, RATE)
            samples = np.rint(9000 * np.resize(sound, LENGTH) / np.abs(sound).max()).astype(np.int16)
            place = packer.add("clips", f"b-{number:03d}", {"flac": encode_flac(samples, RATE)})
            out.append(
                {
                    "clip_id": f"b-{number:03d}",
                    "recording_id": f"fs:{number}",
                    "group_id": f"fs:{number}",
                    "dataset": "b",
                    "split": "train",
                    "state": "labelled",
                    "class_ids": [SOUNDS[number % len(SOUNDS)].mid],
                    "class_names": [SOUNDS[number % len(SOUNDS)].name],
                    "said_class_ids": [],
                    "heard_class_ids": [],
                    "label": "a sound",
                    "spoken": ["the sound"],
                    "duration_s": SECONDS,
                    "sample_rate": RATE,
                    "sha256": "0",
                    "licence": "cc0",
                    "tar": place.tar,
                    "offset": place.offset,
                    "size": place.size,
                }
            )
    return out


def plan(count: int, level_db: float | None, snr_db: float | None) -> list[dict]:
    """Return rows of ``plan``: two sources each."""
    out = []
    for number in range(count):
        pair = [f"b-{(number * step + number // CLIPS) % CLIPS:03d}" for step in (1, 7)]
        pair = [pair[0], f"b-{(int(pair[1][2:]) + 1) % CLIPS:03d}" if pair[0] == pair[1] else pair[1]]
        sources = [
            {
                "role": role,
                "clip_id": clip_id,
                "start": 0,
                "at": 0,
                "length": LENGTH,
                "level_db": level_db,
                "rir": None,
            }
            for role, clip_id in zip(("target", "interferer"), pair, strict=True)
        ]
        out.append(
            {
                "mixture_id": f"mix-{number:016x}",
                "set": "mix",
                "split": "train",
                "policy": "disjoint",
                "target_clip_id": pair[0],
                "target_clip_ids": pair[:1],
                "interferer_clip_ids": pair[1:],
                "number": number,
                "refused": None,
                "snr_db": snr_db,
                "length": LENGTH,
                "sample_rate": RATE,
                "sources": sources,
                "query": "a dog barks while a car passes by",
                "query_origin": "caption",
                "negative": "rain",
                "prompt": "positive",
                "instruction_extract": "Extract the dog barking from the mixture.",
                "instruction_remove": "Remove the rain from the mixture.",
                "seed": number,
            }
        )
    return out


def timed(function: Callable[[], object]) -> float:
    """Return the seconds of processor time that a call takes: other work on the machine does not count."""
    began = time.process_time()
    function()
    return time.process_time() - began


def in_turns(rounds: int, *functions: Callable[[], object]) -> list[float]:
    """Return the best time of each, called in turns."""
    times = [[timed(function) for function in functions] for _ in range(rounds)]
    return [min(each) for each in zip(*times, strict=True)]


def rendering(context: Context, rows: list[dict], rule: str, count: int, rounds: int) -> None:
    """Print the rate of rendering by one level rule."""
    span, level_db, snr_db = RULES[rule]
    planned = plan(count, level_db, snr_db)
    places = {row["clip_id"]: row for row in rows}
    batch = Batch(tables.from_rows("plan", planned), {"sources": tables.from_rows("sources", rows)})
    stage = Render((MixtureSet(level={"rule": rule, "range": span}),), Shards())

    def bare() -> None:
        for row in planned:
            stems = []
            for source in row["sources"]:
                clip = places[source["clip_id"]]
                data = context.workspace.read_range(clip["tar"], clip["offset"], clip["size"])
                stems.append(soundfile.read(io.BytesIO(data), dtype="int16")[0])
            encode_flac(stems[0] + stems[1], RATE)
            encode_flac(stems[0], RATE)

    def ours() -> None:
        for piece in batch.slices(stage.batch_rows):
            assert not stage.process(piece, context).rejects

    floor, own = in_turns(rounds, bare, ours)
    rate = count / own
    times = f"{rate / SCAPER[1]:.0f} to {rate / SCAPER[0]:.0f}"
    print(f"| rendering, `{rule}` | {count / floor:.1f} | {rate:.1f} | {floor / own:.0%} | {times} |", flush=True)


def reading(context: Context, rows: list[dict], count: int, rounds: int) -> None:
    """Print the rate of reading recipe samples."""
    stage = Render((MixtureSet(),), Shards(mixtures="recipe", max_samples=count))
    batch = Batch(tables.from_rows("plan", plan(count, None, 3.0)), {"sources": tables.from_rows("sources", rows)})
    with Commit(stage, context, "shards/mixtures-b", 0) as commit:
        commit.add(count, stage.process(batch, context))
    path = context.workspace.path("shards/mixtures-b/train-00000-000.tar")
    sources = [data for sample in samples(path) for name, data in sample.items() if name.startswith("source")]

    def bare() -> None:
        for data in sources:
            soundfile.read(io.BytesIO(data), dtype="int16")

    def ours() -> None:
        for sample in samples(path):
            remix(sample)

    floor, own = in_turns(rounds, bare, ours)
    print(f"| reading `recipe` shards | {count / floor:.1f} | {count / own:.1f} | {floor / own:.0%} | |", flush=True)


def samples(path: str) -> Iterator[dict[str, bytes]]:
    """Yield the samples of a tar: member suffix -> bytes."""
    last, found = "", {}
    with tarfile.open(path) as tar:
        for info in tar:
            key, _, suffix = info.name.partition(".")
            if found and key != last:
                yield found
                found = {}
            last, found[suffix] = key, tar.extractfile(info).read()
    yield found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixtures", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| what | floor, mixtures/s | ours | share of the floor | times scaper |\n|---|---|---|---|---|")
    # One thread of linear algebra, as in a worker.
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        workspace = Workspace(name)
        context, rows = Context(workspace, name, 0, 1), clips(workspace)
        for rule in RULES:
            rendering(context, rows, rule, options.mixtures, options.rounds)
        reading(context, rows, options.mixtures, options.rounds)


if __name__ == "__main__":
    main()
