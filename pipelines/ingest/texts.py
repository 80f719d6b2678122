"""Publishers' tables as they are found: unknown encodings, spaces in headers, columns under several names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from schemas.errors import UserError
from schemas.ids import record_id

csv.field_size_limit(1 << 24)


def read_text(path: Path) -> str:
    """Return a file's text: UTF-8 with or without a byte order mark, else latin-1, which any bytes are."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_lines(path: Path, delimiter: str = ",", spaced: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not empty.

    Args:
        path: the table.
        delimiter: what stands between two fields.
        spaced: spaces after a delimiter are no part of the field.
    """
    text = io.StringIO(read_text(path), newline="")
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=spaced)
    for fields in reader:
        if fields:
            yield reader.line_num, fields


Line = tuple[int, dict[str, str] | None]
"""A line's number and its values; None: it has too few or too many fields."""


def read_table(path: Path, delimiter: str = ",", **columns: str) -> Iterator[Line]:
    """Yield the lines below the header.

    Args:
        path: a table whose first line names its columns.
        delimiter: what stands between two fields.
        columns: our name = the names that the column may have there, separated by spaces; with ``?`` at the
            end it may be absent, which gives empty values.

    Raises:
        UserError: the file cannot be read, or lacks a column.
    """
    lines = read_lines(path, delimiter)
    header = [name.strip() for name in next(lines, (0, list[str]()))[1]]
    places: dict[str, int | None] = {}
    for ours, theirs in columns.items():
        names = theirs.removesuffix("?").split()
        places[ours] = next((header.index(name) for name in names if name in header), None)
        if places[ours] is None and not theirs.endswith("?"):
            wanted, there = " or ".join(map(repr, names)), ", ".join(map(repr, header))
            raise UserError(f"{path}: has no column {wanted}; it has {there or 'none'}")
    for number, fields in lines:
        if len(fields) != len(header):
            yield number, None
        else:
            yield number, {name: "" if place is None else fields[place] for name, place in places.items()}


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; UserError if it is none."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error})") from None


def bad_row(dataset: str, path: Path, number: int, what: str, unit: str = "line") -> Refusal:
    """Return the refusal of a line (or other unit, counted from 1) of metadata that cannot be understood."""
    key = record_id(dataset, f"{path.stem}-{unit}{number}")
    return Refusal(key, "bad_row", f"{path.name}, {unit} {number}: {what}")
