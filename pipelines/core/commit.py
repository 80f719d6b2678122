"""Commits: data files first, then a marker that names each of them with its hash. Markers are the only truth."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.stage import Context, Refusal, Result, Stage
from pipelines.core.tar import Packer
from schemas import tables
from schemas.ids import canonical_json, fingerprint, partition_of

ALL = -1
"""Partition number of a commit that holds every partition."""


@dataclass(frozen=True)
class Marker:
    """What one commit says of itself.

    ``content`` is the sha256 of all that is the same on every run of the same work (not ``seconds`` or ``versions``); the
    next stage's marker repeats it in ``inputs``, so that commits form a chain. ``digest`` covers the whole marker.
    """

    stage: str
    fingerprint: str
    partition: int
    inputs: dict[str, str]
    rows_in: int
    rows_out: int
    rejects: int
    drops: int
    unexpected: int
    files: dict[str, dict[str, Any]]
    seed: int
    content: str = ""
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    def sealed(self) -> Marker:
        """Return the marker with its ``content`` and ``digest`` filled in."""
        body = asdict(self)
        stable = {k: v for k, v in body.items() if k not in ("content", "seconds", "versions", "digest")}
        body["content"] = fingerprint(stable)
        body.pop("digest")
        return Marker(**body, digest=fingerprint(body))

    def to_bytes(self) -> bytes:
        """Return the marker as the bytes of its file."""
        return (canonical_json(asdict(self)) + "\n").encode()


def marker_name(folder: str, partition: int) -> str:
    """Return the path of a commit's marker."""
    return f"{folder}/{'all' if partition == ALL else f'p{partition:05d}'}.json"


def table_name(folder: str, partition: int) -> str:
    """Return the path of one partition of a stage's table."""
    return f"{folder}/p{partition:05d}.parquet"


def parse_marker(data: bytes) -> Marker | None:
    """Return the marker, or None if the bytes are not those of a whole, unaltered one."""
    try:
        marker = Marker(**json.loads(data))
    except (ValueError, TypeError):
        return None
    return marker if marker.sealed().to_bytes() == data else None


def parquet_bytes(table: pa.Table) -> bytes:
    """Return ``table`` as Parquet: the same rows give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


class Commit:
    """Collects the batches of one partition, packs their blobs as they come, and commits all of it at once."""

    def __init__(self, stage: Stage, context: Context, folder: str, partition: int) -> None:
        self.stage, self.context, self.folder, self.partition = stage, context, folder, partition
        self.rows: list[dict[str, Any]] = []
        self.rejects: list[Refusal] = []
        self.drops: list[tuple[str, str]] = []
        self.rows_in = 0
        samples, size = stage.limits()
        self._packer = Packer(context.workspace, folder, max(partition, 0), samples, size)

    def __enter__(self) -> Commit:
        return self

    def __exit__(self, *error: Any) -> None:
        self._packer.__exit__(*error)

    def add(self, rows_in: int, result: Result) -> None:
        """Take one batch's result and write its blobs."""
        self.rows_in += rows_in
        for row, blob in zip(result.rows, result.blobs, strict=False):
            place = self._packer.add(blob.group, blob.key, blob.members)
            row.update(tar=place.tar, offset=place.offset, size=place.size)
        self.rows += result.rows
        self.rejects += result.rejects
        self.drops += result.drops

    def finish(self, fingerprint_: str, inputs: dict[str, str], seconds: float, versions: dict[str, str]) -> Marker:
        """Write the tables, then the marker; call it after the ``with`` block, when the tars are closed."""
        files = {name: {"bytes": size, "sha256": sha} for name, (size, sha) in self._packer.written.items()}
        for name, table in self._tables():
            data = parquet_bytes(table)
            with self.context.workspace.create(name) as file:
                file.write(data)
            files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": table.num_rows}
        stage = self.stage
        marker = Marker(
            stage.name,
            fingerprint_,
            self.partition,
            inputs,
            self.rows_in,
            len({row[stage.out_key] for row in self.rows}),
            len(self.rejects),
            len(self.drops),
            sum(r.error.startswith("unexpected_") for r in self.rejects),
            files,
            self.context.run_seed,
            seconds=round(seconds, 3),
            versions=versions,
        ).sealed()
        with self.context.workspace.create(marker_name(self.folder, self.partition)) as file:
            file.write(marker.to_bytes())
        return marker

    def _tables(self) -> list[tuple[str, pa.Table]]:
        stage, partitions = self.stage, self.context.partitions
        if self.partition != ALL:
            out = [(table_name(self.folder, self.partition), tables.from_rows(stage.writes, self.rows))]
        else:
            key = tables.schema(stage.writes).names[0]
            parts: list[list[dict[str, Any]]] = [[] for _ in range(partitions)]
            for row in self.rows:
                parts[partition_of(row[key], partitions)].append(row)
            out = [(table_name(self.folder, p), tables.from_rows(stage.writes, part)) for p, part in enumerate(parts)]
        stem = marker_name(self.folder, self.partition).removesuffix(".json")
        if self.rejects:
            rows = [
                {
                    "stage": stage.name,
                    "clip_id": r.key,
                    "error": r.error,
                    "message": r.message,
                    "attempt": r.attempt,
                    "source": r.source,
                }
                for r in self.rejects
            ]
            out.append((f"{stem}.rejects.parquet", tables.from_rows("rejects", rows)))
        if self.drops:
            rows = [{"stage": stage.name, "clip_id": key, "reason": reason} for key, reason in self.drops]
            out.append((f"{stem}.drops.parquet", tables.from_rows("drops", rows)))
        return out
