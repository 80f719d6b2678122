"""Publishers' tables as they are found: unknown encodings, spaces in headers, columns under several names."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from schemas.errors import UserError
from schemas.ids import record_id

csv.field_size_limit(1 << 24)
_PIECE = 1 << 20
_LONGEST = 1 << 24
"""Longest entry of a JSON array, in characters: a fault early in a large file is told before all of it is held."""
_BETWEEN = re.compile(r"[\s,]*")


def read_text(path: Path) -> str:
    """Return a file's text: UTF-8 with or without a byte order mark, else latin-1, which any bytes are."""
    try:
        return path.read_bytes().decode(_encoding(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _encoding(path: Path) -> str:
    """Return the encoding of a file, which is read whole but never held whole."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            for piece in iter(partial(file.read, _PIECE), b""):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def read_lines(path: Path, delimiter: str = ",", spaced: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not empty, while the file is read.

    Args:
        path: the table.
        delimiter: what stands between two fields.
        spaced: spaces after a delimiter are no part of the field.

    Raises:
        UserError: the file cannot be read, or is no table.
    """
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=spaced)
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except csv.Error as error:
        raise UserError(f"{path}: is no table from line {reader.line_num} on ({error})") from None


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
        UserError: the file cannot be read, is no table, or lacks a column.
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


def read_entries(path: Path, name: str) -> Iterator[Any]:
    """Yield the entries of the array ``name`` of the object that a JSON file holds, while the file is read.

    Args:
        path: a file whose array may be larger than memory; it begins in the first 2^20 characters.
        name: the array's key.

    Raises:
        UserError: the file cannot be read, has no such array, or is no JSON up to the array's end.
    """
    decode, entries = json.JSONDecoder().raw_decode, 0
    try:
        with path.open(encoding=_encoding(path)) as file:
            text = file.read(_PIECE)
            array = re.search(rf'"{name}"\s*:\s*\[', text)
            if array is None:
                raise UserError(f'{path}: is not {{"{name}": [...]}}')
            at = array.end()
            while not text.startswith("]", at := _past(text, at)):
                try:
                    entry, end = decode(text, at)
                except ValueError:
                    entry, end = None, len(text)
                if end < len(text):
                    yield entry
                    at, entries = end, entries + 1
                    continue
                # What ends with the text may go on in the next piece.
                more = file.read(_PIECE)
                if not more or end - at > _LONGEST:
                    raise UserError(f"{path}: is not JSON after entry {entries} of {name!r}")
                text, at = text[at:] + more, 0
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _past(text: str, at: int) -> int:
    """Return where in ``text`` the next entry begins, or the array's end stands."""
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def bad_row(dataset: str, path: Path, number: int, what: str, unit: str = "line") -> Refusal:
    """Return the refusal of a line (or other unit, counted from 1) of metadata that cannot be understood."""
    key = record_id(dataset, f"{path.stem}-{unit}{number}")
    return Refusal(key, "bad_row", f"{path.name}, {unit} {number}: {what}")
