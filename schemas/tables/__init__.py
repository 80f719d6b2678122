"""Every table that Earloom writes, as a versioned pyarrow schema whose columns say what they hold.

A column's metadata carries ``doc``: its meaning, unit, range, and what null means. A column without a word about null
is never null, and a table that breaks this is refused before it is written.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from schemas.tables import accounts, captions, corpus, listening, mixtures
from schemas.tables.column import STRINGS, VERSION, Column, describe

__all__ = ["STRINGS", "TABLES", "VERSION", "Column", "describe", "from_rows", "page", "schema"]

TABLES: dict[str, pa.Schema] = {
    **corpus.TABLES,
    **listening.TABLES,
    **captions.TABLES,
    **mixtures.TABLES,
    **accounts.TABLES,
}


def schema(table: str) -> pa.Schema:
    """Return the schema of ``table``; KeyError names the tables there are."""
    if table not in TABLES:
        raise KeyError(f"no table {table!r}; there are {', '.join(TABLES)}")
    return TABLES[table]


def from_rows(table: str, rows: list[dict[str, Any]], wanted: pa.Schema | None = None) -> pa.Table:
    """Return ``rows`` as a table of the named schema, or of ``wanted`` where a column's type is not the same everywhere.

    Raises:
        ValueError: a key that the schema lacks, a null where the schema has none, or a value of another type.
    """
    wanted = wanted or schema(table)
    names = set(wanted.names)
    for row in rows:
        if not names.issuperset(row):
            raise ValueError(f"{table}: no column {min(row.keys() - names)!r}")
    try:
        made = pa.Table.from_pylist(rows, schema=wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{table}: {error}") from error
    for field in wanted:
        if not field.nullable and made.column(field.name).null_count:
            raise ValueError(f"{table}.{field.name}: null, which this column cannot be")
    return made


def page() -> str:
    """Return the documentation of all tables as Markdown."""
    lines = ["# Tables", "", f"Version {VERSION}. Made by `python -m schemas.tables > docs/tables.md`.", ""]
    for name, wanted in TABLES.items():
        lines += [
            f"## {name}",
            "",
            wanted.metadata[b"earloom.doc"].decode(),
            "",
            "| column | type | holds |",
            "|---|---|---|",
        ]
        for field in wanted:
            kind = (
                "list of struct"
                if "struct" in str(field.type)
                else str(field.type).replace("<element: ", " of ").rstrip(">")
            )
            lines.append(f"| `{field.name}` | {kind} | {field.metadata[b'doc'].decode()} |")
        lines.append("")
    return "\n".join(lines)
