"""Commits: data files first, then a marker that names each of them with its hash. Markers are the only truth."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.stage import Context, Refusal, Result, Stage
from pipelines.core.tar import Packer, Place
from schemas import tables
from schemas.ids import canonical_json, fingerprint, partition_of

ALL = -1
"""Partition number of a commit that holds every partition."""

PLACE = ("tar", "offset", "size")
"""Columns that say where a row's blob lies."""


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


def tabled(stage: Stage, result: Result) -> list[pa.Table]:
    """Return a result's rows as arrow tables: one, or none of no rows; where its blobs will lie is left open.

    Raises:
        ValueError: a row that the stage's table cannot hold.
    """
    if not result.rows:
        return []
    open_ = dict.fromkeys(PLACE, 0) | {"tar": ""} if result.blobs else {}
    rows = [row | open_ for row in result.rows] if open_ else result.rows
    return [tables.from_rows(stage.writes, rows, stage.schema())]


class Commit:
    """Collects the batches of one partition, packs their blobs as they come, and commits all of it at once.

    Rows are kept as arrow tables, which are joined as soon as they have ``CHUNK`` rows: as Python objects they take ten times
    the room, and in many small tables some of it too.
    """

    CHUNK = 8192

    def __init__(self, stage: Stage, context: Context, folder: str, partition: int) -> None:
        self.stage, self.context, self.folder, self.partition = stage, context, folder, partition
        self.rows_in = self.rejects = self.drops = self.unexpected = 0
        self._pending: dict[str, list[pa.Table]] = {stage.writes: [], "rejects": [], "drops": []}
        self._parts: dict[str, list[tuple[pa.Table, list[int]]]] = {table: [] for table in self._pending}
        samples, size = stage.limits()
        self._packer = Packer(context.workspace, folder, max(partition, 0), samples, size)

    def __enter__(self) -> Commit:
        return self

    def __exit__(self, *error: Any) -> None:
        self._packer.__exit__(*error)

    def add(self, rows_in: int, result: Result) -> None:
        """Take one batch's result and write its blobs."""
        name = self.stage.name
        made = result.tables or tabled(self.stage, result)
        if result.blobs:
            places = [self._packer.add(blob.group, blob.key, blob.members) for blob in result.blobs]
            made = [_placed(pa.concat_tables(made), places)]
        self.rows_in += rows_in
        self.rejects += len(result.rejects)
        self.drops += len(result.drops)
        self.unexpected += sum(refusal.error.startswith("unexpected_") for refusal in result.rejects)
        self._pending[self.stage.writes] += made
        if result.rejects:
            rejects = [_reject_row(name, refusal) for refusal in result.rejects]
            self._pending["rejects"].append(tables.from_rows("rejects", rejects))
        if result.drops:
            drops = [{"stage": name, "clip_id": key, "reason": reason} for key, reason in result.drops]
            self._pending["drops"].append(tables.from_rows("drops", drops))
        self._pack(self.CHUNK)

    def finish(self, fingerprint_: str, inputs: dict[str, str], seconds: float, versions: dict[str, str]) -> Marker:
        """Write the tables, then the marker; call it after the ``with`` block, when the tars are closed."""
        self._pack(1)
        files = {name: {"bytes": size, "sha256": sha} for name, (size, sha) in self._packer.written.items()}
        for name, table in self._tables():
            data = parquet_bytes(table)
            with self.context.workspace.create(name) as file:
                file.write(data)
            files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": table.num_rows}
        marker = Marker(
            self.stage.name,
            fingerprint_,
            self.partition,
            inputs,
            self.rows_in,
            self._served(),
            self.rejects,
            self.drops,
            self.unexpected,
            files,
            self.context.run_seed,
            seconds=round(seconds, 3),
            versions=versions,
        ).sealed()
        with self.context.workspace.create(marker_name(self.folder, self.partition)) as file:
            file.write(marker.to_bytes())
        return marker

    def _pack(self, least: int) -> None:
        """Join pending tables, where they have ``least`` rows, and sort them by the partitions that are written."""
        for table, pending in self._pending.items():
            if sum(each.num_rows for each in pending) < least:
                continue
            made = _joined(self._schema(table), pending)
            pending.clear()
            if self.partition != ALL or table in ("rejects", "drops"):
                self._parts[table].append((made, [made.num_rows]))
            else:
                self._parts[table].append(
                    _split(made, self.stage.places or made.column_names[0], self.context.partitions)
                )

    def _tables(self) -> Iterator[tuple[str, pa.Table]]:
        written, partitions = self.stage.writes, self.context.partitions
        for number, p in enumerate(range(partitions) if self.partition == ALL else [self.partition]):
            parts = [_part(*each, number) for each in self._parts[written]]
            yield table_name(self.folder, p), _joined(self._schema(written), parts)
        stem = marker_name(self.folder, self.partition).removesuffix(".json")
        for table in ("rejects", "drops"):
            if self._parts[table]:
                yield f"{stem}.{table}.parquet", _joined(self._schema(table), [made for made, _ in self._parts[table]])

    def _schema(self, table: str) -> pa.Schema:
        return self.stage.schema() if table == self.stage.writes else tables.schema(table)

    def _served(self) -> int:
        """Return the number of distinct keys that were served."""
        keys = [made.column(self.stage.out_key) for made, _ in self._parts[self.stage.writes]]
        chunks = [chunk for column in keys for chunk in column.chunks]
        return int(pc.count_distinct(pa.chunked_array(chunks, pa.string())).as_py())


def _placed(table: pa.Table, places: list[Place]) -> pa.Table:
    """Return the rows with where their blobs lie."""
    for name in PLACE:
        column = table.schema.get_field_index(name)
        field_ = table.schema.field(column)
        table = table.set_column(column, field_, pa.array([getattr(place, name) for place in places], field_.type))
    return table


def _reject_row(stage: str, refusal: Refusal) -> dict[str, Any]:
    return {
        "stage": stage,
        "clip_id": refusal.key,
        "error": _writable(refusal.error),
        "message": _writable(refusal.message),
        "attempt": refusal.attempt,
        "source": refusal.source,
    }


def _writable(words: str) -> str:
    """Return somebody's words without what UTF-8 cannot hold: half a surrogate pair."""
    return words.encode(errors="backslashreplace").decode()


def _split(table: pa.Table, key: str, partitions: int) -> tuple[pa.Table, list[int]]:
    """Return the rows in order of partitions, and where each partition ends; a row's partition is the hash of its ``key``."""
    of_row = np.array([partition_of(value, partitions) for value in table.column(key).to_pylist()], np.int64)
    order = np.argsort(of_row, kind="stable")
    ends = np.cumsum(np.bincount(of_row, minlength=partitions))
    return table.take(pa.array(order)), ends.tolist()


def _part(table: pa.Table, ends: list[int], number: int) -> pa.Table:
    """Return one of the pieces into which ``ends`` cut a table."""
    start = ends[number - 1] if number else 0
    return table.slice(start, ends[number] - start)


def _joined(schema: pa.Schema, parts: list[pa.Table]) -> pa.Table:
    """Return several tables as one whose bytes do not tell where they were joined."""
    return pa.concat_tables(parts).combine_chunks() if parts else schema.empty_table()
