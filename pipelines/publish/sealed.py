"""A finished run as an export reads it: table by table, partition by partition, each file with the bytes that were sealed."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipelines.core.commit import ALL, Marker, marker_name, parse_marker, table_name
from pipelines.core.workspace import Workspace
from pipelines.seal import NAME, finished_seal
from schemas.errors import RunStopped
from schemas.ids import fingerprint
from schemas.load import parse_recipe
from schemas.recipe import Recipe

_VIEW = re.compile(r"^CREATE OR REPLACE VIEW (\w+) AS SELECT \* FROM read_parquet\(\[(.*)\]\);$", re.MULTILINE)
_FOLDER = re.compile(r"'([^']+)/p\?{5}\.parquet'")


@dataclass(frozen=True)
class SealedRun:
    """A run and its seal.

    Attributes:
        workspace: the run folder.
        seal: what the seal says.
        sha256: of the seal's file, in hexadecimal: the state of the run.
    """

    workspace: Workspace
    seal: dict[str, Any]
    sha256: str
    _markers: dict[str, Marker] = field(default_factory=dict, repr=False)

    @property
    def partitions(self) -> int:
        """How many partitions its tables have."""
        return int(self.seal["partitions"])

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it was resolved."""
        return parse_recipe(yaml.safe_load(self.read("recipe.yaml")), "recipe.yaml")

    def read(self, name: str) -> bytes:
        """Return the bytes of a file that the seal names; RunStopped if they are others, or gone."""
        return self._checked(name, str(self.seal["files"][name]))

    def lines(self, name: str) -> Iterator[list[str]]:
        """Yield the lines of a CSV file that the seal names, while it is read; RunStopped as :meth:`read`."""
        try:
            altered = self.workspace.sha256(name) != self.seal["files"][name]
        except FileNotFoundError:
            raise self._gone(name) from None
        if altered:
            raise self._altered(name)
        with fsspec.open(self.workspace.path(name), "rt", encoding="utf-8", newline="") as file:
            yield from csv.reader(file)

    @cached_property
    def writers(self) -> dict[str, tuple[str, ...]]:
        """The folders of each table that a stage of the run writes, in the order of its stages.

        ``views.sql`` tells it, which no later change of code or recipe alters.
        """
        found = _VIEW.findall(self.read("views.sql").decode())
        return {name: tuple(_FOLDER.findall(files)) for name, files in found}

    def table(
        self, folder: str, partition: int, columns: tuple[str, ...], only: tuple[str, str] | None = None
    ) -> pa.Table:
        """Return columns of one partition of a stage's table; ``only`` is a column and the value that is wanted of it."""
        name = table_name(folder, partition)
        data = self._checked(name, str(self._marker(folder, partition).files[name]["sha256"]))
        filters = [(only[0], "==", only[1])] if only else None
        return pq.read_table(pa.BufferReader(data), columns=list(columns), filters=filters)

    def dropped(self, stage: str) -> Counter[str]:
        """Return how many rows a stage left out on purpose, by reason; of a stage that is one task over all partitions."""
        found = Counter[str]()
        folder = self.seal["stages"][stage]
        for name, facts in self._marker(folder, ALL).files.items():
            if name.endswith(".drops.parquet"):
                data = self._checked(name, str(facts["sha256"]))
                found.update(pq.read_table(pa.BufferReader(data), columns=["reason"]).column("reason").to_pylist())
        return found

    def identity(self, stage: str) -> dict[str, Any]:
        """Return what determined a stage: version, part of the recipe, revisions, inputs."""
        return dict(json.loads(self.read(f"{self.seal['stages'][stage]}/stage.json")))

    def content(self, table: str) -> str:
        """Return the hash of a table's commits, which repeat the hashes of all that they were made from.

        It is the same for every run of the same recipe on the same recordings, which the seal, that also names seconds, is not.
        """
        folders = self.writers.get(table, ())
        return fingerprint([self._marker(folder, p).content for folder in folders for p in range(self.partitions)])

    def _marker(self, folder: str, partition: int) -> Marker:
        name = next(
            name for p in (ALL, partition) if (name := marker_name(folder, p)) in self.seal["files"] or p == partition
        )
        if name not in self._markers:
            marker = parse_marker(self.read(name))
            if marker is None:
                raise self._altered(name)
            if not name.endswith("/all.json"):
                return marker
            self._markers[name] = marker
        return self._markers[name]

    def _checked(self, name: str, sha256: str) -> bytes:
        try:
            data = self.workspace.read(name)
        except FileNotFoundError:
            raise self._gone(name) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self._altered(name)
        return data

    def _gone(self, name: str) -> RunStopped:
        return RunStopped(f"{self.workspace.path(name)}: is missing; run the same recipe into that folder again")

    def _altered(self, name: str) -> RunStopped:
        return RunStopped(f"{self.workspace.path(name)}: was altered; `earloom verify` says more")


def open_sealed(workspace: Workspace) -> SealedRun:
    """Return a run that is finished.

    Raises:
        UserError: there is no run, it is not finished, or its tables are of another version.
        RunStopped: its seal was altered.
    """
    try:
        seal = finished_seal(workspace)
    except ValueError:
        raise RunStopped(f"{workspace.root}: its seal was altered; `earloom verify` says more") from None
    return SealedRun(workspace, seal, workspace.sha256(NAME))
