"""Parquet and Arrow files: some of their columns, batch by batch, without the rest."""

from __future__ import annotations

import bisect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

Leaf = tuple[str, ...]
"""A column's name, and within a struct the names of the fields that lead to a value."""
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What reading bytes that are missing or not true raises; see :func:`broken`."""
_BUFFER = 1 << 20


class Columnar(ABC):
    """An open file; ``schema`` is its arrow schema.

    Attributes:
        starts: number of the first row of each group, from 0; reading may begin at any of them.
    """

    schema: pa.Schema
    starts: list[int]

    @abstractmethod
    def batches(self, leaves: list[Leaf], group: int, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield one group's rows in order; in them are the columns of ``leaves``, and maybe other fields of these.

        Args:
            leaves: what is wanted of each row.
            group: index into ``starts``.
            rows: most rows of a batch, where the file does not say it itself.
        """

    @abstractmethod
    def nulls(self, leaf: Leaf, group: int) -> int | None:
        """Return how many values of a leaf are null in a group; None: only reading it tells."""

    def group_of(self, row: int) -> int:
        """Return the group that a row lies in; the last one for a row beyond the end."""
        return bisect.bisect_right(self.starts, row) - 1


class _Parquet(Columnar):
    """A group is a row group. Of a column chunk one page is held at a time."""

    def __init__(self, path: Path) -> None:
        # Without a buffer, or with pre-buffering, a whole column chunk is read at once: the sound of a row group.
        self._file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        self.schema, metadata = self._file.schema_arrow, self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self.starts = [0, *itertools.accumulate(sizes)][: len(sizes) or 1]

    def batches(self, leaves: list[Leaf], group: int, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield one row group."""
        if group < self._file.metadata.num_row_groups:
            columns = [".".join(leaf) for leaf in leaves]
            yield from self._file.iter_batches(rows, [group], columns, use_threads=False)

    def nulls(self, leaf: Leaf, group: int) -> int | None:
        """Return what the statistics say, if they do."""
        if group >= self._file.metadata.num_row_groups:
            return None
        chunks = self._file.metadata.row_group(group)
        for number in range(chunks.num_columns):
            chunk = chunks.column(number)
            if chunk.path_in_schema == ".".join(leaf):
                told = chunk.statistics
                return int(told.null_count) if told is not None and told.has_null_count else None
        return None


class _Arrow(Columnar):
    """The whole file is one group. It is mapped into memory: of a batch only what is looked at is read."""

    starts = [0]

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, _magic(path) == b"ARROW1"
        self.schema = self._reader(None).schema

    def _reader(self, fields: list[int] | None) -> pa.RecordBatchReader | ipc.RecordBatchFileReader:
        mapped = pa.memory_map(str(self._path))
        if self._file:  # which, if told what is wanted, copies all of that
            return ipc.open_file(mapped)
        return ipc.open_stream(mapped, options=ipc.IpcReadOptions(included_fields=fields))

    def batches(self, leaves: list[Leaf], group: int, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches as the file has them."""
        reader = self._reader(sorted({self.schema.get_field_index(leaf[0]) for leaf in leaves}) or None)
        for batch in map(reader.get_batch, range(reader.num_record_batches)) if self._file else reader:
            # An offset that is not true leads out of the mapped memory, which would end the process.
            batch.validate(full=True)
            yield batch

    def nulls(self, leaf: Leaf, group: int) -> int | None:
        """Return None: a batch's bitmap tells, without its values."""
        return None


def open_columnar(path: Path) -> Columnar:
    """Open a Parquet file, or an Arrow file or stream; its first bytes decide which it is.

    Raises:
        pyarrow.ArrowInvalid: it is none of these, or is cut short.
    """
    return _Parquet(path) if _magic(path)[:4] == b"PAR1" else _Arrow(path)


def bytes_leaf(schema: pa.Schema, column: str) -> Leaf | None:
    """Return where the bytes of a column lie: in it, or in the field ``bytes`` of its structs; None: nowhere."""
    place = schema.get_field_index(column)
    kind = schema.field(place).type if place >= 0 else None
    if kind is not None and pa.types.is_struct(kind):
        inner = kind.get_field_index("bytes")
        return (column, "bytes") if inner >= 0 and _is_bytes(kind.field(inner).type) else None
    return (column,) if kind is not None and _is_bytes(kind) else None


def leaf_values(batch: pa.RecordBatch, leaf: Leaf) -> pa.Array:
    """Return a leaf's values in a batch that has it."""
    values = batch.column(batch.schema.get_field_index(leaf[0]))
    return pc.struct_field(values, list(leaf[1:])) if leaf[1:] else values


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def broken(error: Exception) -> str:
    """Return in one line what is wrong with a file's bytes, by one of ``BROKEN``; raise it again if the machine is to blame.

    Pyarrow reports bytes that are missing as an OSError as well, but without a number.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)
