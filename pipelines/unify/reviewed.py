"""The review file as a person has edited it: what is decided there about a name wins over everything."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.unify.meaning import Review
from pipelines.unify.names import NameIndex, default_index
from schemas.errors import UserError

COLUMNS = ("dataset", "name", "classes")
"""Columns that are read; others are for the eye."""

SILENT = "no sound"
"""In place of classes: the name says nothing about what sounds."""

KEY = "unify.review"


def review_bytes(review: str, data_root: str) -> bytes:
    """Return the bytes of a recipe's review file. Raises UserError if it cannot be read."""
    try:
        return (Path(data_root) / review).read_bytes()
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or "no such name"
        raise UserError(f"{KEY}: {review} cannot be read ({words}); it is looked for in data.root") from None


def review_digest(review: str | None, data_root: str) -> str:
    """Return the sha256 of a recipe's review file, once it was read without a fault; empty where it names none.

    Raises:
        UserError: as :func:`read_review` does.
    """
    if review is None:
        return ""
    data = review_bytes(review, data_root)
    parse_review(data, review)
    return hashlib.sha256(data).hexdigest()


def read_review(review: str | None, data_root: str) -> Review:
    """Return what a recipe's review file decides.

    Raises:
        UserError: in one line, the file, the line, and what is wrong with it.
    """
    return parse_review(review_bytes(review, data_root), review) if review is not None else {}


def parse_review(data: bytes, file: str) -> Review:
    """Return what the bytes of a review file decide; ``file`` is how faults name it. Raises as :func:`read_review` does."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{KEY}: {file} is not UTF-8; save it as CSV in UTF-8") from None
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for line, row in _rows(text, file):
        key, words = (row["dataset"].strip(), row["name"]), row["classes"].strip()
        if not words:
            continue
        place = f"{KEY}: {file}, line {line}"
        if not key[0]:
            raise UserError(f"{place}: {key[1]!r} is of no dataset; name the dataset in the column 'dataset'")
        if key in found:
            raise UserError(f"{place}: {key[1]!r} of {key[0]} stands twice; keep one of them")
        found[key] = () if words.lower() == SILENT else _classes(words, default_index(), place)
    return found


def _rows(text: str, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for column in COLUMNS:
            if (reader.fieldnames or []).count(column) != 1:
                found = "two columns" if column in (reader.fieldnames or ()) else "no column"
                raise UserError(f"{KEY}: {file} has {found} {column!r}; it needs {', '.join(COLUMNS)}")
        for row in reader:
            if any(row[column] is None for column in COLUMNS):
                raise UserError(f"{KEY}: {file}, line {reader.line_num}: has fewer columns than the header")
            if None in row:
                words = "has more columns than the header; write several classes with semicolons between them"
                raise UserError(f"{KEY}: {file}, line {reader.line_num}: {words}")
            yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{KEY}: {file}, line {reader.line_num}: is not CSV ({error})") from None


def _classes(words: str, index: NameIndex, place: str) -> tuple[str, ...]:
    """Return the classes that a cell names, by name or id."""
    found: dict[str, None] = {}
    for word in filter(None, map(str.strip, words.split(";"))):
        match = index.lookup(word)
        if match is None or match.origin not in ("mid", "name"):
            names = {node.name.lower(): node.name for node in index.ontology.classes}
            near = difflib.get_close_matches(word.lower(), names, 1)
            mend = f"did you mean {names[near[0]]!r}?" if near else f"write a class's name or id, or {SILENT!r}"
            raise UserError(f"{place}: {word!r} is no class of the ontology; {mend}")
        found[match.class_id] = None
    if not found:
        raise UserError(f"{place}: names no class; write one, {SILENT!r}, or nothing at all")
    return tuple(found)
