"""Clips in a store, with pictures and evidence, for tests of the stages that ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, Stage, conserve
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.listen.evidence import evidence_row
from schemas import tables

RATE = 32000
SPEECH, MUSIC = "/m/09x0r", "/m/04rlf"


def clips(workspace: Workspace, count: int, seconds: float = 0.25) -> pa.Table:
    """Return rows of ``clips``, each a noise of its own in the workspace's store."""
    rows = []
    with Packer(workspace, "store/ingest-toy", 0, 10**6, 10**9) as packer:
        for number in range(count):
            samples = np.random.default_rng(number).integers(-8000, 8000, int(seconds * RATE), dtype=np.int16)
            place = packer.add("clips", f"c{number:03d}", {"flac": encode_flac(samples, RATE)})
            empty = dict.fromkeys(tables.schema("clips").names)
            stated = {"record_id": f"c{number:03d}", "dataset": "toy", "split": "train", "recording_id": f"fs:{number}"}
            kept = {"duration_s": seconds, "sample_rate": RATE, "source_path": f"{number}.wav", "source_start_s": 0.0}
            source = {"excerpt_s": 0.0, "source_rate": RATE, "source_channels": 1, "channel": "mean", "dc_offset": 0.0}
            decoded = {"clipped_share": 0.0, "source_decoder": "soundfile", "decoded_s": seconds, "gain_db": 0.0}
            where = {"sha256": "0", "licence": "unknown", "tar": place.tar, "offset": place.offset, "size": place.size}
            rows.append({**empty, "clip_id": f"c{number:03d}", **stated, **kept, **source, **decoded, **where})
    return tables.from_rows("clips", rows)


def heard(classes: dict[str, Sequence[str]], sure: float = 0.9) -> pa.Table:
    """Return rows of ``evidence``: clip -> classes that a tagger heard in it."""
    rows = [
        evidence_row(clip, "tagger", "1", number, kind="tag", name=class_id, class_id=class_id, confidence=sure)
        for clip, found in classes.items()
        for number, class_id in enumerate(found)
    ]
    return tables.from_rows("evidence", rows)


def frames(workspace: Workspace, of: Sequence[str], each: int = 2) -> pa.Table:
    """Return rows of ``frames`` of some clips, out of order; the bytes are only called pictures."""
    rows = []
    with Packer(workspace, "store/frames-toy", 0, 10**6, 10**9) as packer:
        for clip in of:
            for number in reversed(range(each)):
                place = packer.add("frames", f"{clip}-f{number}", {"jpg": f"{clip} {number}".encode()})
                where = {"tar": place.tar, "offset": place.offset, "size": place.size, "sha256": "0"}
                shape = {"time_s": float(number), "width": 8, "height": 8}
                rows.append({"clip_id": clip, "frame_id": f"{clip}-f{number}", **shape, **where})
    return tables.from_rows("frames", rows)


def serve(stage: Stage, batch: Batch, context: Context) -> Result:
    """Let a stage serve a batch, as a worker does: the law holds, and the rows fit their table."""
    stage.setup(context)
    result = stage.process(batch, context)
    conserve(stage, batch.rows.column("clip_id").to_pylist(), result)
    tables.from_rows(stage.writes, result.rows)
    return result


@dataclass(frozen=True)
class Given(Stage):
    """A table that lies there already."""

    table: str = "clips"

    writes = "clips"

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"given_{self.table}"

    def process(self, batch: Batch, context: Context) -> Result:
        raise AssertionError("nobody asks for it")


def facts(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Return some columns of a row."""
    return tuple(row[name] for name in names)
