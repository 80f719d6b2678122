"""Audio that lies inside another file: a member of a tar, or a value in a Parquet or Arrow file."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

import pyarrow as pa

from pipelines.ingest.columnar import BROKEN, Columnar, Leaf, broken, bytes_leaf, leaf_values, open_columnar
from schemas.errors import Reject

_PLACE = re.compile(r"bytes:(?P<offset>\d+)\+(?P<size>\d+)|row:(?P<row>\d+)/(?P<column>.+)", re.DOTALL)
_BLOCK = 1 << 20
_ROWS = 8


def in_tar(offset: int, size: int) -> str:
    """Return the ``member`` of ``size`` bytes that begin ``offset`` bytes into a file."""
    return f"bytes:{offset}+{size}"


def in_row(number: int, column: str) -> str:
    """Return the ``member`` that is a column's value in a row, counted from 0."""
    return f"row:{number}/{column}"


@contextlib.contextmanager
def located(root: Path, source_path: str, member: str | None) -> Iterator[Path]:
    """Give the path of a file that holds a record's audio and nothing else.

    Without a ``member`` that is the file itself; else a temporary copy, which is removed at the end.

    Args:
        root: ``data.root``.
        source_path: the file, relative to it.
        member: where in that file the audio lies, as in ``records``.

    Raises:
        Reject: ``corrupt_member``: there is no such place in the file, or nothing can be read there.
    """
    path = root / source_path
    if member is None:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="earloom-") as copy:
        _copy(path, member, copy)
        copy.flush()
        yield Path(copy.name)


def _copy(path: Path, member: str, to: IO[bytes]) -> None:
    place = _PLACE.fullmatch(member)
    if place is None:
        raise Reject("corrupt_member", f"{member!r} names no place in a file")
    if place["row"] is None:
        _copy_bytes(path, int(place["offset"]), int(place["size"]), to)
    else:
        to.write(_value(path, int(place["row"]), place["column"]))


def _copy_bytes(path: Path, offset: int, size: int, to: IO[bytes]) -> None:
    with path.open("rb") as file:
        file.seek(offset)
        left = size
        while left and (block := file.read(min(left, _BLOCK))):
            to.write(block)
            left -= len(block)
    if left:
        words = f"it should lie at bytes {offset} to {offset + size}, but the file ends {left} bytes before that"
        raise Reject("corrupt_member", words)


def _value(path: Path, row: int, column: str) -> pa.Buffer:
    """Return the bytes of one row, without a copy."""
    found = path.stat()
    try:
        return _opened(path, column, found.st_mtime_ns, found.st_size).value(row)
    except BROKEN as error:
        _opened.cache_clear()
        raise Reject("corrupt_member", f"row {row} cannot be read: {broken(error)}") from error


# The rows of a file are spread over all partitions, and each partition asks for its own in the file's order. So one file
# is kept open per process, with the batch of rows that was read last, and is read forwards. An Arrow file is mapped, and
# nothing but the asked row is read. Of a Parquet row group all sound up to the asked row is decoded, once per partition:
# N partitions read the file up to N times, and a row that lies before the last one costs its row group anew. What is held
# are eight rows and a page with its dictionary; pyarrow writes pages as large as row groups, so that this is up to twice
# the sound of a row group.
@lru_cache(maxsize=1)
def _opened(path: Path, column: str, mtime_ns: int, size: int) -> _Column:
    table = open_columnar(path)
    leaf = bytes_leaf(table.schema, column)
    if leaf is None:
        words = f"no column {column!r} of bytes; there are {', '.join(map(repr, table.schema.names)) or 'none'}"
        raise Reject("corrupt_member", words)
    return _Column(table, leaf)


class _Column:
    """A column of bytes that is read forwards; going back costs reading the group from its start."""

    def __init__(self, table: Columnar, leaf: Leaf) -> None:
        self._table, self._leaf = table, leaf
        self._group, self._first, self._rows = -1, 0, 0
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._values: pa.Array = pa.array([])

    def value(self, row: int) -> pa.Buffer:
        group = self._table.group_of(row)
        if group != self._group or row < self._first:
            self._batches = self._table.batches([self._leaf], group, _ROWS)
            self._group, self._first, self._rows = group, self._table.starts[group], 0
        while row >= self._first + self._rows:
            batch = next(self._batches, None)
            self._first += self._rows
            if batch is None:
                self._group = -1
                raise Reject("corrupt_member", f"there is no row {row}: the file has {self._first}, counted from 0")
            self._rows, self._values = batch.num_rows, leaf_values(batch, self._leaf)
        value = self._values[row - self._first]
        if not value.is_valid:
            raise Reject("corrupt_member", f"row {row} holds no bytes in {self._leaf[0]!r}")
        return value.as_buffer()
