"""Rate of each listener behind the seam beside the bare model: from the clip store to committed rows, against forward calls alone.

    python benchmarks/listen.py [--clips 1000] [--device cuda] [--models panns_tags,clap_transformers] [--seconds 10]

Weights are random and of the published size: rates do not depend on them. The bare model is the network alone, given the same
waveforms as tensors, decoded and resampled beforehand. The stage reads FLAC from the store, decodes and resamples on threads ahead,
hears, and commits. Idle: share of the stage's time in which the model was not at work. Memory: most that the process held, on a GPU most
that was allocated there. The bare model is measured before and after the stage, since other work disturbs both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import random_models

from pipelines.core.graph import Node
from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.core.tar import Packer
from pipelines.core.worker import Task, run_task
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.listen.embed import Embed
from pipelines.listen.models import CLIPS_AT_ONCE, chosen, waveforms
from pipelines.listen.stage import Listen
from schemas import tables
from schemas.recipe import ModelChoice
from taggers.base import Embedder, Listener, Waveform

STORE_RATE = 32000
MODELS: dict[str, tuple[type[Any], str | None]] = {
    "facts": (Listener, None),
    "signal": (Listener, None),
    "demo_tagger": (Listener, None),
    "demo_clap": (Embedder, None),
    "panns_tags": (Listener, "cnn14"),
    "panns_events": (Listener, "cnn14_framewise"),
    "clap_transformers": (Embedder, "clap"),
    "clap_laion": (Embedder, "laion"),
}


class Stored(Stage):
    """Clips that lie in the store already."""

    name = "ingest"
    writes = "clips"

    def process(self, batch: Batch, context: Context) -> Result:
        """Nobody asks for them."""
        raise AssertionError


def write_store(workspace: Workspace, clips: int, seconds: float) -> Node:
    """Fill the store with tones in noise, and return the node whose table lists them."""
    rows = []
    nulls = dict.fromkeys(tables.schema("clips").names)
    known = {
        field.name: {"string": "", "int64": 0, "double": 0.0}[str(field.type)]
        for field in tables.schema("clips")
        if not field.nullable
    }
    with Packer(workspace, "store", 0, 10**6, 10**10) as packer:
        for number in range(clips):
            rng = np.random.default_rng(number)
            tone = np.sin(2 * np.pi * (100 + number) * np.arange(round(STORE_RATE * seconds)) / STORE_RATE)
            sound = 6000 * tone + 1500 * rng.standard_normal(len(tone))
            place = packer.add("clips", f"c{number}", {"flac": encode_flac(sound.astype(np.int16), STORE_RATE)})
            own = {"clip_id": f"c{number}", "duration_s": seconds, "sample_rate": STORE_RATE}
            rows.append(nulls | known | own | {"tar": place.tar, "offset": place.offset, "size": place.size})
    node = Node(Stored(), (), {"name": "ingest"})
    file = Path(workspace.path(f"{node.folder}/p00000.parquet"))
    file.parent.mkdir(parents=True)
    pq.write_table(tables.from_rows("clips", rows), file)
    return node


class Busy:
    """Counts the seconds in which a model is at work."""

    def __init__(self, model: Any, method: str, device: str) -> None:
        self.seconds, self.calls, self._hear, self._device = 0.0, 0, getattr(model, method), device
        setattr(model, method, self)

    def __call__(self, batch: Any) -> Any:
        """Hear, and count the seconds until the device is done."""
        began = time.perf_counter()
        found = self._hear(batch)
        if self._device != "cpu":
            import torch

            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - began
        self.calls += 1
        return found


def bare(model: Any, batches: list[list[Waveform]], device: str) -> float:
    """Return the clips per second of the network alone: tensors in, tensors out, nothing read, cut, named or kept.

    On a CPU it hears one at a time, which is no slower there; a model without a network of torch is called as it is.
    """
    network = getattr(model, "_forward", None) or getattr(model, "_hear", None)
    if network is None:
        began = time.perf_counter()
        for batch in batches:
            model.listen(batch)
        return sum(map(len, batches)) / (time.perf_counter() - began)
    import torch

    most = 1 if device == "cpu" else max(1, int(model.batch_s / batches[0][0].duration_s))
    sounds = torch.from_numpy(np.stack([wave.samples for batch in batches for wave in batch]))
    with torch.inference_mode():
        began = time.perf_counter()
        for first in range(0, len(sounds), most):
            network(sounds[first : first + most].to(device)).cpu()
        return len(sounds) / (time.perf_counter() - began)


def measure(name: str, workspace: Workspace, source: Node, device: str) -> dict[str, Any]:
    """Return rates of one model in clips per second, bare and in its stage."""
    kind, weights = MODELS[name]
    settings = {}
    if weights:
        folder = Path(workspace.path(f"weights-{name}"))
        folder.mkdir()
        size = {"small": False} if weights == "clap" else {}
        settings = {"weights": str(getattr(random_models, weights)(folder, **size))}
    model = chosen(ModelChoice(use=name, settings=settings), kind, device)
    method = "listen" if kind is Listener else "embed_audio"
    context = Context(workspace, ".", 0, 1)
    clips = pq.read_table(workspace.path(f"{source.folder}/p00000.parquet"))
    loaded = model.loaded
    first = waveforms(clips.slice(0, CLIPS_AT_ONCE), context, loaded.sample_rate)
    getattr(loaded, method)(first[:2])  # what a first call compiles and allocates is not its rate
    whole = [
        waveforms(clips.slice(at, CLIPS_AT_ONCE), context, loaded.sample_rate)
        for at in range(0, min(len(clips), 512), CLIPS_AT_ONCE)
    ]
    before = bare(loaded, whole, device)
    busy = Busy(loaded, method, device)
    stage = Listen(model) if kind is Listener else Embed(model)
    identity = {"name": stage.name, "revisions": stage.revisions(), "version": stage.version}
    began = time.perf_counter()
    marker = run_task(Task(Node(stage, (source,), identity), 0, ()), context)
    wall, worked = time.perf_counter() - began, busy.seconds
    alone = (before + bare(loaded, whole, device)) / 2
    found = {
        "model": name,
        "device": device,
        "clips": marker.rows_in,
        "bare": round(alone, 2),
        "stage": round(marker.rows_in / wall, 2),
        "share": round(marker.rows_in / wall / alone, 3),
        "idle": round(1 - worked / wall, 3),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if device != "cpu":
        import torch

        found["gpu_mb"] = torch.cuda.max_memory_allocated() // 2**20
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    if options.device == "cpu":
        import torch

        torch.set_num_threads(1)  # as a stage's worker has it
    print(f"{len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        source = write_store(workspace, options.clips, options.seconds)
        for name in options.models.split(","):
            print(json.dumps(measure(name, workspace, source, options.device)), flush=True)


if __name__ == "__main__":
    main()
