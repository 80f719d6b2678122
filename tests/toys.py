"""Small stages over real tables, for tests of the spine; a module of its own so that Ray's workers can import it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.stage import Batch, Blob, Context, Refusal, Resources, Result, Stage


def record(number: int) -> dict[str, Any]:
    return {
        "record_id": f"toy-{number:04d}",
        "dataset": "toy",
        "split": "train",
        "recording_id": f"fs:{number}",
        "source_path": f"{number}.wav",
        "file_bytes": number,
        "start_s": None,
        "end_s": None,
        "labels": [],
        "events": [],
        "keywords": [],
        "captions": [],
        "licence": "unknown",
        "attribution": None,
    }


@dataclass(frozen=True)
class ToyIndex(Stage):
    """Lists as many records as the file ``count`` in the data folder says."""

    name = "index"
    writes = "records"
    key = out_key = "record_id"

    def sources(self, context: Context) -> str:
        return (Path(context.data_root) / "count").read_text()

    def process(self, batch: Batch, context: Context) -> Result:
        count = int((Path(context.data_root) / "count").read_text())
        return Result(rows=[record(n) for n in range(count)])


@dataclass(frozen=True)
class ToyIngest(Stage):
    """Makes a clip of each record; every tenth is rejected, every tenth and one dropped."""

    rate: int = 8000

    name = "ingest"
    reads = ("records",)
    writes = "clips"
    key = out_key = "record_id"
    room = "store"
    batch_rows = 4

    def process(self, batch: Batch, context: Context) -> Result:
        result = Result()
        for row in batch.rows.to_pylist():
            number = row["file_bytes"]
            if number % 10 == 0:
                result.rejects.append(Refusal(row["record_id"], "not_audio", "toy", row["source_path"]))
            elif number % 10 == 1:
                result.drops.append((row["record_id"], "toy_drop"))
            else:
                result.rows.append(
                    {
                        "clip_id": row["record_id"],
                        "record_id": row["record_id"],
                        "dataset": "toy",
                        "split": "train",
                        "recording_id": row["recording_id"],
                        "duration_s": 1.0,
                        "sample_rate": self.rate,
                        "source_path": row["source_path"],
                        "source_start_s": 0.0,
                        "source_rate": 8000,
                        "source_channels": 1,
                        "channel": "mean",
                        "dc_offset": 0.0,
                        "clipped_share": 0.0,
                        "source_decoder": "soundfile",
                        "claimed_s": None,
                        "decoded_s": 1.0,
                        "note": None,
                        "gain_db": 0.0,
                        "excerpt_s": 0.0,
                        "sha256": "0",
                        "licence": row["licence"],
                        "attribution": None,
                        "tar": "",
                        "offset": 0,
                        "size": 0,
                    }
                )
                result.blobs.append(
                    Blob("clips", row["record_id"], {"flac": f"audio {number} {context.seed(self.name, 'x')}".encode()})
                )
        return result


@dataclass(frozen=True)
class ToyListen(Stage):
    """Hears one thing per clip. ``poison``: the record that ends the process, ``fault``: the one that raises."""

    poison: str = ""
    fault: str = ""
    mark: str = ""

    name = "listen_toy"
    reads = ("clips",)
    writes = "evidence"
    batch_rows = 4
    resources = Resources(actor=True)

    def process(self, batch: Batch, context: Context) -> Result:
        result = Result()
        for clip in batch.rows.to_pylist():
            if clip["clip_id"] == self.poison:
                os.kill(os.getpid(), signal.SIGKILL)
            if clip["clip_id"] == self.fault:
                raise TypeError("a fault that no rule foresaw")
            heard = context.workspace.read_range(clip["tar"], clip["offset"], clip["size"]).decode()
            result.rows.append(
                {
                    "evidence_id": f"{clip['clip_id']}:toy:0",
                    "clip_id": clip["clip_id"],
                    "listener": "toy",
                    "revision": "1",
                    "kind": "tag",
                    "name": heard + self.mark,
                    "value": None,
                    "unit": None,
                    "text": None,
                    "class_id": None,
                    "onset_s": None,
                    "offset_s": None,
                    "confidence": None,
                }
            )
        return result


@dataclass(frozen=True)
class ToyGather(Stage):
    """Waits for all partitions, then writes one row per clip in an order of its own."""

    name = "unify"
    reads = ("clips", "evidence")
    writes = "classes"
    waits = True
    seeded = True

    def process(self, batch: Batch, context: Context) -> Result:
        heard = batch.grouped("evidence", "clip_id")
        keys = sorted(batch.rows.column("clip_id").to_pylist(), key=lambda key: context.seed(self.name, key))
        return Result(
            rows=[
                {
                    "clip_id": key,
                    "class_id": None,
                    "class_name": heard[key][0]["name"] if heard[key] else None,
                    "origin": "none",
                    "confidence": None,
                    "state": "unknown",
                }
                for key in keys
            ]
        )


@dataclass(frozen=True)
class ToyNeighbours(Stage):
    """Tells of each clip how many clips the whole run has: it reads a table whole that was written partition by partition."""

    name = "unify"
    reads = ("evidence", "clips")
    writes = "classes"
    whole = ("clips",)

    def process(self, batch: Batch, context: Context) -> Result:
        own = {"class_id": None, "origin": "none", "confidence": None, "state": "unknown"}
        name = str(batch.sides["clips"].num_rows)
        keys = batch.rows.column("clip_id").to_pylist()
        return Result(rows=[{"clip_id": key, "class_name": name, **own} for key in keys])


@dataclass(frozen=True)
class ToyLoser(ToyListen):
    """Loses a row, which the runner must notice."""

    def process(self, batch: Batch, context: Context) -> Result:
        result = super().process(batch, context)
        return Result(rows=result.rows[1:])
