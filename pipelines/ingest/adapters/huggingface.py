"""A dataset of Hugging Face on the disk: as `datasets` saves it (Arrow), or as its hub holds it (Parquet)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.core.stage import Refusal
from pipelines.ingest.columnar import BROKEN, Columnar, Leaf, broken, bytes_leaf, leaf_values, open_columnar
from pipelines.ingest.columns import VARIANTS, facts, places
from pipelines.ingest.listing import File, Source, is_text, list_files
from pipelines.ingest.member import in_row
from pipelines.ingest.naming import Named, our_split, split_of_shard
from pipelines.ingest.texts import read_json
from schemas.errors import UserError
from schemas.ids import record_id

_SUFFIXES = (".arrow", ".parquet")
_ROWS, _FEW = 1024, 8
"""Rows that are read at once, and how many if their sound is among them."""


def metadata_files(source: Source) -> list[Path]:
    """Return none: what is told of a row lies beside its sound, in a file whose name and size stand for it.

    Raises:
        UserError: there is no file of this kind.
    """
    _files(source)
    return []


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per row, in the files' order; a file that cannot be read, or not to its end, gives one refusal.

    A row is named by its number and its file. A column of the type ``Audio`` holds bytes, or the name of a file below
    the dataset's folder; numbers of a ``ClassLabel`` become its names. No sound is read, but for Parquet files whose
    statistics do not tell where there is none.
    """
    named = Named(source)
    for file in _files(source):
        below, path, served = source.below(file), source.root / file.path, 0
        if not is_text(file.path):  # which is refused
            yield source.row(record_id(source.name, below), file, "", "")
            continue
        try:
            for row in _rows(source, file, open_columnar(path), named):
                yield row
                served += 1
        except BROKEN as error:
            words = f"{below}: {broken(error)}; {served} rows before that are served, what follows is lost"
            yield Refusal(record_id(source.name, below), "corrupt_shard", words, file.path)


def _files(source: Source) -> list[File]:
    """Return the tables; of a folder that `datasets` saved, those that its state names: others are its caches.

    Raises:
        UserError: there is none, or one that a state names is not there.
    """
    # A listing that was spared, since no audio is looked for, is made here: the metadata lie in these very files.
    files = source.files or list_files(source.folder, source.root)
    states = [source.root / file.path for file in files if f"/{file.path}".endswith("/state.json")]
    saved = {path.parent: _state(path) for path in states}
    found = [
        file
        for file in files
        if file.suffix in _SUFFIXES and file.size is not None
        for path in [source.root / file.path]
        if path.name in saved.get(path.parent, {path.name})
    ]
    if not found:
        mend = "mend the dataset's path; audio files with a table metadata.csv are for the adapter `folder`"
        raise UserError(f"dataset {source.name}: there is no *.parquet or *.arrow in {source.folder} or below; {mend}")
    return found


def _state(path: Path) -> set[str]:
    try:
        names = {str(file["filename"]) for file in read_json(path)["_data_files"]}
    except (TypeError, KeyError):
        raise UserError(f"{path}: does not name its data files; save the dataset again with save_to_disk") from None
    for name in sorted(names):
        if not (path.parent / name).is_file():
            raise UserError(f"{path}: names {name!r}, which is not there; copy it there, or save the dataset again")
    return names


def _rows(source: Source, file: File, table: Columnar, named: Named) -> Iterator[dict[str, Any] | Refusal]:
    features = _features(table.schema)
    column = _audio_column(source.root / file.path, table.schema, features)
    others = [name for name in table.schema.names if name != column]
    wanted = [name for columns in places(tuple(others)).values() for name in columns]
    classes = {name: names for name in wanted if (names := _class_names(features.get(name)))}
    below = source.below(file)
    shown = split_of_shard(below)
    for number, name, held, row in _cells(table, column, list(dict.fromkeys(wanted))):
        own = record_id(source.name, f"{number} of {below}")
        row |= {each: _in_words(row[each], names) for each, names in classes.items()}
        try:
            told = facts(row, source.name)
            apart = None if held or not name else named.find(name)
        except ValueError as error:
            yield Refusal(own, "bad_row", f"{below}, row {number}: {error}", file.path)
            continue
        yield source.row(
            own,
            file if held else apart,
            name or f"{below}, row {number}",
            our_split(source, told.split or shown),
            licence=told.licence,
            member=in_row(number, column) if held else None,
            **told.columns,
        )


def _cells(table: Columnar, column: str, wanted: list[str]) -> Iterator[tuple[int, str, bool, dict[str, Any]]]:
    """Yield of each row its number, the name of its audio, whether its bytes are there, and the wanted columns."""
    bytes_, path = bytes_leaf(table.schema, column), _path_leaf(table.schema, column)
    leaves: list[Leaf] = [(name,) for name in wanted] + ([path] if path else [])
    for group, number in enumerate(table.starts):
        nulls = table.nulls(bytes_, group) if bytes_ else None
        told = bytes_ is None or nulls == 0
        sought = leaves if told else [*leaves, *([bytes_] if bytes_ else [])]
        for batch in table.batches(sought, group, _ROWS if told else _FEW):
            held = (
                [bytes_ is not None] * batch.num_rows
                if told
                else leaf_values(batch, bytes_ or ()).is_valid().to_pylist()
            )
            names = leaf_values(batch, path).to_pylist() if path else [None] * batch.num_rows
            rows = batch.select(wanted).to_pylist() if wanted else [{} for _ in held]
            for name, is_held, row in zip(names, held, rows, strict=True):
                yield number, name or "", is_held, row
                number += 1


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return what `datasets` wrote of the columns into the schema: name -> feature; empty: it did not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _type(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def _audio_column(path: Path, schema: pa.Schema, features: dict[str, Any]) -> str:
    """Return the column that is of the type ``Audio``, or where no column says so the one that holds bytes.

    Raises:
        UserError: there is none, or several and none of them is called like a file's column.
    """
    found = [name for name in schema.names if _type(features.get(name)) == "Audio"]
    found = found or [
        name for name in schema.names if bytes_leaf(schema, name) and _type(features.get(name)) in ("", "Value")
    ]
    if len(found) > 1:
        found = [name for name in VARIANTS["file"].split() if name in found][:1]
    if not found:
        there = ", ".join(f"{field.name!r} ({field.type})" for field in schema)
        raise UserError(f"{path}: no column, or more than one, holds audio; there are {there or 'none'}; mend the path")
    return found[0]


def _path_leaf(schema: pa.Schema, column: str) -> Leaf | None:
    kind = schema.field(column).type
    if pa.types.is_struct(kind):
        return (column, "path") if kind.get_field_index("path") >= 0 else None
    return None if bytes_leaf(schema, column) else (column,)


def _class_names(feature: Any) -> list[str]:
    """Return the names of a ClassLabel, or of a list of them; empty: it is another feature."""
    if isinstance(feature, list) and feature:
        feature = feature[0]
    if isinstance(feature, dict) and _type(feature) != "ClassLabel" and "feature" in feature:
        return _class_names(feature["feature"])
    names = feature.get("names") if _type(feature) == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _in_words(value: Any, names: list[str]) -> Any:
    """Return numbers of classes as names; one beyond the names, such as -1 for none, is nothing."""
    if isinstance(value, list):
        return [_in_words(each, names) for each in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
