"""The seal: one file that names every other file of a finished run with its hash, and so notices when one is missing."""

from __future__ import annotations

import json
from typing import Any

from pipelines.attribution import write_attribution
from pipelines.core.commit import marker_name
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from schemas import tables
from schemas.errors import UserError
from schemas.ids import canonical_json, fingerprint

NAME = "seal.json"
ROOMS = ("tables", "store", "shards")
"""Folders of a run that hold the folders of stages."""


def write_seal(work: Work) -> None:
    """Seal a finished run: write whom to credit, then hashes of its markers, of the files that describe it, and of the seal."""
    workspace = work.context.workspace
    names = ["run.json", "recipe.yaml", "views.sql", write_attribution(work)]
    for node in work.nodes:
        names.append(f"{node.folder}/stage.json")
        names += [marker_name(node.folder, p) for p in work.partitions(node)]
    body: dict[str, Any] = {
        "stages": {node.stage.name: node.folder for node in work.nodes},
        "files": {name: workspace.sha256(name) for name in names},
        "partitions": work.context.partitions,
    }
    workspace.write(NAME, sealed_bytes(body))


def sealed_bytes(body: dict[str, Any]) -> bytes:
    """Return the bytes of a seal; they hold the hash of the rest of them."""
    return (canonical_json({**body, "digest": fingerprint(body)}) + "\n").encode()


def read_seal(workspace: Workspace) -> dict[str, Any] | None:
    """Return the seal of a finished run; None if there is none.

    Raises:
        ValueError: the seal's bytes are not those that were written.
    """
    try:
        return parse_seal(workspace.read(NAME))
    except FileNotFoundError:
        return None


def finished_seal(workspace: Workspace) -> dict[str, Any]:
    """Return the seal of a run that is finished and whose tables are of this version.

    Raises:
        UserError: there is no run, it is not finished, or its tables are of another version.
        ValueError: ``run.json`` or the seal was altered.
    """
    try:
        frozen = json.loads(workspace.read("run.json"))
    except FileNotFoundError:
        raise UserError(f"{workspace.root}: holds no run; name the folder that was given as --out") from None
    seal = read_seal(workspace)
    if seal is None:
        raise UserError(f"{workspace.root}: the run is not finished; the same `earloom run` goes on from there")
    if frozen["tables"] != tables.VERSION:
        raise UserError(
            f"{workspace.root}: its tables are of version {frozen['tables']}, not {tables.VERSION}; run it anew"
        )
    return seal


def seal_folder(workspace: Workspace, folder: str) -> None:
    """Write ``<folder>/seal.json`` over all other files of a folder that is derived from a run, such as its report.

    It also names the state of the run that the folder was derived from.
    """
    own = f"{folder}/{NAME}"
    names = sorted(name for name in workspace.sizes(folder) if name != own)
    of = workspace.sha256(NAME) if workspace.exists(NAME) else None
    workspace.write(own, sealed_bytes({"files": {name: workspace.sha256(name) for name in names}, "of": of}))


def parse_seal(data: bytes) -> dict[str, Any]:
    """Return what a seal's bytes say; ValueError if they are not those that were written."""
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("the seal itself was altered")
    body.pop("digest", None)
    if sealed_bytes(body) != data:
        raise ValueError("the seal itself was altered")
    return body
