"""Any folder of recordings, alone or with a table in the manner of Hugging Face's `audiofolder`."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.core.stage import Refusal
from pipelines.ingest.columnar import BROKEN, broken
from pipelines.ingest.columns import VARIANTS, Facts, facts, places
from pipelines.ingest.headers import read_header
from pipelines.ingest.listing import AUDIO, File, Source
from pipelines.ingest.naming import Named, our_split, shown, split_of_folders
from pipelines.ingest.texts import bad_row, read_lines, read_text
from schemas.errors import UserError
from schemas.ids import record_id

_TABLES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
_Line = tuple[int, Facts | str]
"""A line's number and what it says, or what is wrong with it."""


def metadata_files(source: Source) -> list[Path]:
    """Return the tables; there may be none."""
    return source.metadata(*_TABLES)


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    """Yield a row per file where there is no table, else a row per recording or excerpt that the tables name.

    Without a table a file is served that is called like audio, or begins like it; the others are left out by name.
    With one, a row keeps its identity whether its audio is there or not, and audio that no row names is left out.
    Rows of one file and one start are one record: its labels, keywords and captions are all of theirs, and a row
    that contradicts the first in anything else is refused.
    """
    tables = metadata_files(source)
    yield from _described(source, tables) if tables else _heard(source)


def _heard(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    split = source.split("all", "train")
    for file in source.files:
        key = record_id(source.name, source.below(file))
        if file.size is None:
            yield Refusal(key, "missing_audio", "not a regular file: a broken link, a pipe or a device")
        elif file.suffix in AUDIO or _begins_like_audio(source, file):
            yield source.row(key, file, file.path, split)
        else:
            yield key, "not_an_audio_file_name"


def _begins_like_audio(source: Source, file: File) -> bool:
    with (source.root / file.path).open("rb") as opened:
        return read_header(opened, file.size or 0).family is not None


def _described(source: Source, tables: list[Path]) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    named, used = Named(source), set[str]()
    # Read twice, so that only rows that have to wait for others are held in memory.
    folders = {path: path.relative_to(source.folder).parent.as_posix() for path in tables}
    left = Counter(_key(source, folders[path], line) for path in tables for _, line in _lines(source, path))
    held: dict[str, Facts] = {}
    for path in tables:
        folder = folders[path]
        for number, line in _lines(source, path):
            key = _key(source, folder, line)
            left[key] -= 1
            words = line if isinstance(line, str) else ""
            if isinstance(line, Facts):
                try:
                    held[key] = _joined(held[key], line) if key in held else line
                except ValueError as error:
                    words = str(error)
            if words:
                yield bad_row(source.name, _called(source, path), number, words)
            if left[key] or not key:
                continue
            told = held.pop(key)
            try:
                file = named.find(told.file, folder)
            except ValueError as error:
                yield Refusal(key, "bad_row", str(error))
                continue
            if file is not None:
                used.add(file.path)
            split = our_split(source, told.split or split_of_folders(f"{folder}/{told.file}"))
            yield source.row(key, file, told.file, split, licence=told.licence, **told.columns)
    for file in source.files:
        if file.suffix in AUDIO and file.path not in used:
            yield record_id(source.name, source.below(file)), "not_in_table"


def _key(source: Source, folder: str, line: Facts | str) -> str:
    """Return a row's identifier, the same whether its audio is there or not; empty for a row that says nothing."""
    if isinstance(line, str):
        return ""
    own = posixpath.normpath(posixpath.join(folder, line.file))
    start_s = line.columns["start_s"]
    return record_id(source.name, own, None if start_s is None else round(start_s * 1000))


def _called(source: Source, path: Path) -> Path:
    """Return a name by which a table is known among others of its name in other folders."""
    return Path(shown("_".join(path.relative_to(source.folder).parts)))


def _joined(first: Facts, other: Facts) -> Facts:
    """Return what two rows say together; ValueError if they contradict each other."""
    columns, told = (
        dict(first.columns),
        {"split": (first.split, other.split), "licence": (first.licence, other.licence)},
    )
    for name, value in other.columns.items():
        if isinstance(value, list):
            columns[name] = [*columns[name], *(each for each in value if each not in columns[name])]
        else:
            told[name] = (columns[name], value)
    for name, (one, two) in told.items():
        if one and two and one != two:
            raise ValueError(f"says {name} {two!r}, but an earlier row of the same file and start says {one!r}")
        columns[name] = two if one is None or one == "" else one
    return replace(first, split=columns.pop("split"), licence=columns.pop("licence"), columns=columns)


def _lines(source: Source, path: Path) -> Iterator[_Line]:
    """Yield what each row of a table says.

    Raises:
        UserError: the table cannot be read, or no column of it names files.
    """
    checked = False
    for number, row in _table(path):
        if row is None:
            yield number, "has another number of fields than the header, or is no object of JSON"
            continue
        if not checked and "file" not in places(tuple(row)):
            wanted, there = ", ".join(VARIANTS["file"].split()), ", ".join(map(repr, row))
            raise UserError(f"{path}: no column names the audio files ({wanted}); it has {there or 'none'}")
        checked = True
        try:
            told = facts(row, source.name)
        except ValueError as error:
            yield number, str(error)
            continue
        yield number, told if told.file else "names no audio file"


def _table(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the number and the values of each row; None: it is malformed."""
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix == ".jsonl":
        for number, line in enumerate(read_text(path).split("\n"), 1):
            if line.strip():
                yield number, _object(line)
    else:
        lines = read_lines(path, "\t" if path.suffix == ".tsv" else ",")
        header = next(lines, (0, list[str]()))[1]
        for number, fields in lines:
            row: dict[str, Any] = {}
            for name, field in zip(header, fields, strict=False):
                row.setdefault(name, field)
            yield number, row if len(fields) == len(header) else None


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with pq.ParquetFile(path) as file:
            stated = places(tuple(file.schema_arrow.names))
            wanted = [column for columns in stated.values() for column in columns] if "file" in stated else None
            batches = file.iter_batches(columns=wanted)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except BROKEN as error:
        raise UserError(f"{path}: is not Parquet that can be read ({broken(error)})") from None
