"""What a catalogue is built from: finished runs, and the metadata that recipes name, which are listed beforehand."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from pipelines.catalog.members import COLUMNS, Listed, Partition, Piece, Row, member_of_record
from pipelines.catalog.tables import CATALOG_TABLES
from pipelines.core.commit import parquet_bytes, table_name
from pipelines.core.stage import Refusal
from pipelines.core.workspace import Workspace, open_workspace
from pipelines.ingest.adapters import Adapter
from pipelines.ingest.blacklists import read_blacklists
from pipelines.ingest.index import Index, listed
from pipelines.ingest.listing import Source
from pipelines.ingest.splits import Verbatim
from pipelines.seal import finished_seal
from schemas.errors import UserError
from schemas.load import load_recipe
from schemas.recipe import Dataset, Recipe

LISTED = "listed"
"""Folder of the catalogue that holds the listing of recipes while it is built."""
STAGES = {
    "records": "index",
    "clips": "ingest",
    "fingerprints": "fingerprint",
    "groups": "groups",
    "captions": "decide",
    "classes": "unify",
}
"""The stage that writes each table that is read of a run."""
_PIECE = 8192
"""Rows of a file of the listing."""


@dataclass
class Sources:
    """What a catalogue is built from.

    Attributes:
        pieces: what workers read.
        refused: rows of ``refused``.
        blacklists: recordings by the blacklist that names them.
    """

    pieces: list[Piece] = field(default_factory=list)
    refused: list[pa.Table] = field(default_factory=list)
    blacklists: dict[str, set[str]] = field(default_factory=dict)


def is_recipe(source: str) -> bool:
    """Say whether a source is a recipe file: any other is a run."""
    return source.endswith((".yaml", ".yml"))


def read_runs(runs: Sequence[str]) -> dict[str, list[Partition]]:
    """Return the partitions of finished runs, by the runs' names.

    Raises:
        UserError: no such run, or one that is not finished, not whole, or of another version.
    """
    spaces = sorted({_open_run(run) for run in runs}, key=lambda workspace: workspace.root)
    names = _names([workspace.root for workspace in spaces])
    return {name: _partitions(name, workspace) for name, workspace in zip(names, spaces, strict=True)}


def read_recipes(recipes: Sequence[str], overrides: Sequence[str]) -> dict[str, Recipe]:
    """Return recipes by their names.

    Raises:
        UserError: a recipe cannot be read, two have one name, or two of its datasets have.
    """
    found: dict[str, Recipe] = {}
    for path in sorted({os.path.abspath(os.path.expanduser(recipe)) for recipe in recipes}):
        recipe = load_recipe(path, tuple(overrides))
        if recipe.name in found:
            raise UserError(f"recipe {path}: another recipe here is named {recipe.name!r} too; give it another name")
        Index(recipe.data).check()
        found[recipe.name] = recipe
    return found


def list_recipe(name: str, recipe: Recipe, out: Workspace, into: Sources) -> None:
    """Read the metadata of a recipe's datasets and write their members to files in ``<out>/listed``, piece by piece.

    Raises:
        UserError: ``data.root``, a dataset's folder or a metadata file is not there.
    """
    for dataset, adapter, source in listed(recipe.data.datasets, recipe.data.root or ""):
        if dataset.adapter == "wavcaps":
            for called, blacklist in read_blacklists(source.folder).items():
                into.blacklists.setdefault(called, set()).update(blacklist.recordings)
        members: list[Row] = []
        refused: list[Row] = []
        for row in _told(name, dataset, adapter, source):
            (refused if "error" in row else members).append(row)
            if len(members) == _PIECE:
                _flush(members, out, into)
            if len(refused) == _PIECE:
                _refuse(refused, into)
        _flush(members, out, into)
        _refuse(refused, into)


def _told(run: str, dataset: Dataset, adapter: Adapter, source: Source) -> Iterator[Row]:
    """Yield the rows of a dataset as rows of ``members``, or of ``refused``.

    Of rows with one key the first is a member; so is one that stands in another published split, under
    ``<record_id>#2`` and so on, for that is a leak of the publisher's own.
    """
    seen: dict[str, tuple[str, ...]] = {}
    base = {"run": run, "dataset": source.name}
    for row in adapter.rows(replace(source, splits=Verbatim(source.splits))):
        key, refused = _outcome(row)
        before = seen.get(key, ())
        own = f"{key}#{len(before) + 1}" if before else key
        published = ""
        if isinstance(row, dict):
            member = member_of_record(row, run, dataset.adapter)
            published = sys.intern(member["published"])
            if published in before:
                refused = {"error": "duplicate_id", "message": f"the dataset has a row {key} already"}
            else:
                yield member | {"member_id": own}
        seen[key] = (*before, published)
        if refused:
            yield base | {"record_id": own} | refused


def _outcome(row: Row | Refusal | tuple[str, str]) -> tuple[str, Row]:
    """Return a row's key, and why it is no member, if it is none."""
    if isinstance(row, dict):
        return row["record_id"], {}
    if isinstance(row, Refusal):
        return row.key, {"error": row.error, "message": row.message}
    return row[0], {"error": row[1], "message": None}


def _flush(members: list[Row], out: Workspace, into: Sources) -> None:
    if members:
        file = f"{LISTED}/{len(into.pieces):06d}.parquet"
        out.write(file, parquet_bytes(pa.Table.from_pylist(members, LISTING)))
        into.pieces.append(Listed(out.root, file))
        members.clear()


def _refuse(refused: list[Row], into: Sources) -> None:
    into.refused.append(pa.Table.from_pylist(refused, CATALOG_TABLES["refused"]))
    refused.clear()


LISTING = pa.schema([f for f in CATALOG_TABLES["members"] if f.name != "group_id"]).append(
    pa.field("sha256", pa.string())
)
"""The schema of a file of the listing."""


def _partitions(name: str, workspace: Workspace) -> list[Partition]:
    seal = _seal(workspace)
    files: dict[str, list[str]] = {}
    for table in COLUMNS:
        folder = seal["stages"].get(STAGES[table])
        if folder is None:
            raise UserError(f"{workspace.root}: has no table {table}; it is of another version: run it anew")
        files[table] = [table_name(folder, p) for p in range(seal["partitions"])]
        if gone := sorted(set(files[table]) - workspace.sizes(folder).keys()):
            raise UserError(f"{workspace.root}: {gone[0]} is missing; see `earloom verify`")
    return [
        Partition(name, workspace.root, {table: names[p] for table, names in files.items()})
        for p in range(seal["partitions"])
    ]


def _open_run(run: str) -> Workspace:
    if "://" not in run and not os.path.isdir(os.path.expanduser(run)):
        raise UserError(f"{run}: is neither a run folder, what was given as --out, nor a recipe, *.yaml")
    return open_workspace(run, make=False)


def _seal(workspace: Workspace) -> dict[str, Any]:
    try:
        return finished_seal(workspace)
    except ValueError:
        raise UserError(f"{workspace.root}: its run or seal file was altered; see `earloom verify`") from None


def _names(roots: list[str]) -> list[str]:
    """Return the ends of the paths that tell them apart: moving all of them together changes none."""
    parts = [root.split("/") for root in roots]
    common = 0
    while parts and all(len(part) > common + 1 and part[common] == parts[0][common] for part in parts):
        common += 1
    return ["/".join(part[common:]) for part in parts]
