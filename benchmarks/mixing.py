"""Mixing rate beside its floor, and planning at scale.

    python benchmarks/mixing.py [--mixtures 200] [--clips 20000]

Rendering: the stage (read, decode, scale, sum, encode, describe) against a bare loop that decodes the two sources, adds them and
encodes the two outputs. Planning: generated clips with three classes each. One process.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time

import numpy as np
import soundfile

from pipelines.core.stage import Batch, Context
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.render import Render
from schemas import tables
from schemas.ontology import default_ontology

RATE, SECONDS = 32000, 10.0


def clip(number: int, place: object) -> dict:
    """Return a row of ``clips``."""
    return {
        "clip_id": f"b-{number:07d}",
        "record_id": f"b-{number:07d}",
        "dataset": "b",
        "split": "train",
        "recording_id": f"fs:{number}",
        "duration_s": SECONDS,
        "sample_rate": RATE,
        "source_path": "x",
        "source_start_s": 0.0,
        "source_rate": RATE,
        "source_channels": 1,
        "source_decoder": "soundfile",
        "claimed_s": None,
        "decoded_s": SECONDS,
        "note": None,
        "gain_db": 0.0,
        "excerpt_s": 0.0,
        "sha256": "0",
        "licence": "cc0",
        "attribution": None,
        "tar": place.tar,
        "offset": place.offset,
        "size": place.size,
    }


def catalogue(clips: list[dict], per_clip: int) -> tuple[PlanMixtures, Batch]:
    """Return the planning stage and its input, with classes drawn from the ontology."""
    rng, ontology = np.random.default_rng(0), default_ontology()
    leaves = [node for node in ontology.classes if not node.children]
    classes, captions = [], []
    for row in clips:
        for pick in rng.choice(len(leaves), 3, replace=False):
            classes.append(
                {
                    "clip_id": row["clip_id"],
                    "class_id": leaves[pick].class_id,
                    "class_name": leaves[pick].name,
                    "origin": "label:mid",
                    "confidence": 1.0,
                    "state": "labelled",
                }
            )
        captions.append(
            {
                "clip_id": row["clip_id"],
                "dataset": "b",
                "split": "train",
                "caption": "A sound.",
                "candidate_id": "c",
                "method": "grammar",
                "decision": "accepted",
                "score": 1.0,
                "reasons": [],
                "licence": "cc0",
            }
        )
    sides = {"classes": tables.from_rows("classes", classes), "captions": tables.from_rows("captions", captions)}
    stage = PlanMixtures(per_clip, SECONDS, RATE, (-15.0, 15.0), False, "prompts/grammar.yaml")
    return stage, Batch(tables.from_rows("clips", clips), sides)


def rendering(count: int) -> None:
    """Print the rate of rendering."""
    with tempfile.TemporaryDirectory() as name:
        workspace, rng, clips = Workspace(name), np.random.default_rng(1), []
        with Packer(workspace, "store", 0, 10**6, 10**10) as packer:
            for number in range(60):
                samples = (3000 * rng.standard_normal(int(RATE * SECONDS))).astype(np.int16)
                clips.append(clip(number, packer.add("clips", f"b-{number:07d}", {"flac": encode_flac(samples, RATE)})))
        context = Context(workspace, name, 0, 1)
        stage, batch = catalogue(clips, -(-count // 60))
        plan = tables.from_rows("plan", stage.process(batch, context).rows[:count])
        render = Render(0.9, 1000, 512)

        def bare() -> None:
            for row in plan.to_pylist():
                stems = []
                for source in row["sources"]:
                    data = workspace.read_range(source["tar"], source["offset"], source["size"])
                    stems.append(soundfile.read(io.BytesIO(data), dtype="int16")[0])
                encode_flac((stems[0] // 2 + stems[1] // 2).astype(np.int16), RATE)
                encode_flac(stems[0], RATE)

        def staged() -> None:
            for piece in Batch(plan, {}).slices(render.batch_rows):
                assert not render.process(piece, context).rejects

        floor, ours = min(timed(bare) for _ in range(3)), min(timed(staged) for _ in range(3))
        print(
            f"| rendering, mixtures/s of {SECONDS:g} s at {RATE} Hz | {count / floor:.1f} | {count / ours:.1f} | {floor / ours:.0%} |",
            flush=True,
        )


def timed(function) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def planning(count: int) -> None:
    """Print the rate of planning."""

    class Nowhere:
        tar, offset, size = "store/x.tar", 0, 1

    stage, batch = catalogue([clip(n, Nowhere) for n in range(count)], 1)
    seconds = timed(lambda: stage.process(batch, Context(Workspace("unused"), ".", 0, 1)))
    print(f"| planning, mixtures/s over {count:,} clips | - | {count / seconds:,.0f} | - |")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixtures", type=int, default=200)
    parser.add_argument("--clips", type=int, default=20000)
    options = parser.parse_args()
    print("| what | floor | ours | share of the floor |\n|---|---|---|---|")
    rendering(options.mixtures)
    planning(options.clips)


if __name__ == "__main__":
    main()
