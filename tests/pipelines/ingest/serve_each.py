"""Serves every file of a folder alone through the stage `ingest` and prints, as JSON lines, what came of it and what it cost.

python tests/pipelines/ingest/serve_each.py FOLDER [WINDOWS [CHANNELS]]

The first line is the baseline: the resident set, in MB, of a process that has served an ordinary recording. Linux only.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipelines.core.stage import Batch, Context, Result
from pipelines.core.workspace import Workspace
from pipelines.ingest.stage import Ingest
from schemas import tables


def memory(what: str) -> float:
    """Return ``VmRSS`` or ``VmHWM`` (the peak since it was forgotten last) of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(what))


def serve(stage: Ingest, root: Path, name: str) -> Result:
    """Serve one file as the stage serves a record without excerpt."""
    row: dict[str, Any] = {
        "record_id": "x",
        "dataset": "x",
        "split": "train",
        "source_path": name,
        "file_bytes": (root / name).stat().st_size,
        "labels": [],
        "events": [],
        "keywords": [],
        "captions": [],
        "licence": "unknown",
    }
    batch = Batch(tables.from_rows("records", [row]), {})
    return stage.process(batch, Context(Workspace(str(root)), str(root), 0, 1))


def main(root: Path, windows: Any = "first", channels: Any = "mean") -> None:
    """Print the baseline, then a line for each file."""
    stage = Ingest(32000, 10.0, windows, 0.0001, channels)
    with tempfile.TemporaryDirectory() as name:
        sound = 0.1 * np.random.default_rng(0).standard_normal((441_000, 2))
        soundfile.write(Path(name) / "a.wav", sound, 44100)
        del sound
        serve(stage, Path(name), "a.wav")
    print(json.dumps({"baseline_mb": memory("VmRSS")}))
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        Path("/proc/self/clear_refs").write_text("5")
        before, began = memory("VmRSS"), time.perf_counter()
        result = serve(stage, root, str(path.relative_to(root)))
        seconds = time.perf_counter() - began
        outcome = result.rejects[0].error if result.rejects else result.rows[0]["source_decoder"]
        peak = memory("VmHWM")
        cost = {"seconds": round(seconds, 3), "peak_mb": peak, "growth_mb": round(peak - before, 1)}
        print(json.dumps({"path": str(path.relative_to(root)), "outcome": outcome} | cost))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
