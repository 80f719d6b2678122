"""A column and a table's schema: what each holds, its unit, its range, and what null means."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

VERSION = 5
"""Version of the tables; a workspace of another version is refused, not guessed at."""

STRINGS = pa.list_(pa.string())


@dataclass(frozen=True)
class Column:
    """One column: its name, arrow type, meaning, and whether null is a value of it."""

    name: str
    type: pa.DataType
    doc: str
    null: bool = False


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, column.type, nullable=column.null, metadata={"doc": column.doc})


def describe(name: str, doc: str, *columns: Column) -> pa.Schema:
    """Return the schema of a table from the descriptions of its columns."""
    metadata = {"earloom.table": name, "earloom.version": str(VERSION), "earloom.doc": doc}
    return pa.schema([_field(column) for column in columns], metadata=metadata)


STRING, DOUBLE, INT = pa.string(), pa.float64(), pa.int64()

PLACE = (
    Column("tar", STRING, "tar file, relative to the run folder"),
    Column("offset", INT, "first byte in the tar"),
    Column("size", INT, "bytes from `offset`"),
)

LICENCE = (
    Column(
        "licence",
        STRING,
        "normalised, a name of `schemas.licences.LICENCES`; `unknown`, which is not free, if not told",
    ),
    Column("licence_text", STRING, "licence as published; null: none is told", True),
    Column("attribution", STRING, "who made the recording; null: unknown", True),
)

ORIGIN = (
    Column("dataset", STRING, "name of the dataset in the recipe"),
    Column(
        "split", STRING, "`train`, `val`, `test`, or the publisher's own name where the recipe maps it to none of these"
    ),
)
