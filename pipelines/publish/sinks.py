"""Files that rows go to, one row after the other: CSV, a JSON array, Parquet in pieces."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.publish.outbox import Outbox, Written

_GROUP_ROWS, _GROUP_BYTES = 1000, 64_000_000
"""Rows and bytes of sound after which a row group is full."""
FILE_BYTES = 500_000_000
"""Size from which on a Parquet file is followed by the next one."""


class _Encoded:
    """What csv writes to: text goes to a file as UTF-8."""

    def __init__(self, file: Written) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Append a text."""
        return self._file.write(text.encode())


class CsvFile:
    """A table with a header, as publishers write them: UTF-8, a newline between lines, quoted where needed.

    Values are written as they are, also those that a spreadsheet takes for a formula: a caption is data, and who reads it back
    must get it back.
    """

    def __init__(self, box: Outbox, name: str, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        encoded = _Encoded(box.open(name))
        self._writer = csv.writer(encoded, lineterminator="\n")
        # Python writes a lone CR bare, and then cannot read it.
        self._quoting = csv.writer(encoded, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._writer.writerow(self.columns)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row; a column without a value, or with None, is empty."""
        values = ["" if row.get(name) is None else str(row[name]) for name in self.columns]
        (self._quoting if any("\r" in value for value in values) else self._writer).writerow(values)


class JsonArray:
    """A JSON object whose last key holds an array, an entry of which is a line; all in ASCII, so that no loader needs a word for it."""

    def __init__(self, box: Outbox, name: str, head: Mapping[str, Any], key: str) -> None:
        self._file = box.open(name)
        self._file.write((json.dumps(dict(head))[:-1] + f', "{key}": [').encode())
        self._between = "\n"

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append an entry."""
        self._file.write((self._between + json.dumps(dict(entry), allow_nan=False)).encode())
        self._between = ",\n"

    def close(self) -> None:
        """End the array."""
        self._file.write(b"\n]}\n")


class ParquetShards:
    """The rows of one split in files ``data/<split>-<number>-of-<count>.parquet``, as Hugging Face's hub names them.

    Attributes:
        rows: rows that were written.
        nbytes: what they take in memory, as `datasets` counts it.
    """

    def __init__(self, box: Outbox, split: str, schema: pa.Schema, file_bytes: int = FILE_BYTES) -> None:
        self.rows = self.nbytes = 0
        self._split = split
        self._box, self._schema, self._most = box, schema, file_bytes
        self._names: list[str] = []
        self._pending: list[Mapping[str, Any]] = []
        self._heavy = 0
        self._open: tuple[Written, pq.ParquetWriter] | None = None

    def add(self, row: Mapping[str, Any], heavy: int = 0) -> None:
        """Append a row, ``heavy`` bytes of which are sound."""
        self._pending.append(row)
        self._heavy += heavy
        if len(self._pending) >= _GROUP_ROWS or self._heavy >= _GROUP_BYTES:
            self._flush()

    def close(self) -> list[str]:
        """Write what is left and return the files, under names that tell how many there are."""
        self._flush()
        self._end()
        found = []
        for number, name in enumerate(self._names):
            found.append(f"data/{self._split}-{number:05d}-of-{len(self._names):05d}.parquet")
            self._box.rename(name, found[-1])
        return found

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.Table.from_pylist([dict(row) for row in self._pending], self._schema)
        self._pending.clear()
        self._heavy = 0
        if self._open is None:
            self._names.append(f"data/{self._split}-{len(self._names):05d}.parquet")
            file = self._box.open(self._names[-1])
            self._open = file, pq.ParquetWriter(file, self._schema, compression="zstd")
        file, writer = self._open
        writer.write_table(table, row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows
        self.nbytes += table.nbytes
        if file.size >= self._most:
            self._end()

    def _end(self) -> None:
        if self._open is not None:
            file, writer = self._open
            writer.close()
            file.close()
            self._open = None
