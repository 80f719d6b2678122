"""The mixtures of a finished run as samples for a dataset folder: which are exported, which are left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.commit import ALL, Marker, marker_name, parse_marker
from pipelines.publish.sealed import SealedRun
from pipelines.shards.layout import Group, Piece
from schemas.errors import RunStopped, UserError
from schemas.licences import COMMERCIAL

TABLE = "mixtures"
_COLUMNS = ("mixture_id", "set", "split", "licence", "tar", "offset", "size")


@dataclass(frozen=True)
class Choice:
    """Which mixtures are wanted.

    Attributes:
        licence: ``commercial`` keeps those under one of :data:`schemas.licences.COMMERCIAL`, by what binds their sources together.
        splits: splits that are kept; empty: all.
    """

    licence: Literal["any", "commercial"] = "any"
    splits: tuple[str, ...] = ()

    def barred(self, split: str, licence: str) -> str | None:
        """Return why a mixture is left out; None: it is not."""
        if self.splits and split not in self.splits:
            return f"split:{split}"
        if self.licence == "commercial" and licence not in COMMERCIAL:
            return f"licence:{licence}"
        return None


@dataclass
class RunSamples:
    """The mixtures of a run in the order of its partitions and of the table ``mixtures``."""

    run: SealedRun
    choice: Choice
    _tars: dict[str, str] = field(default_factory=dict, repr=False)
    _checked: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def counted(self) -> Counter[tuple[str, str, str]]:
        """How many mixtures the run has, by set, split and licence."""
        found = Counter[tuple[str, str, str]]()
        for part in self._parts(("set", "split", "licence")):
            rows = part.group_by(["set", "split", "licence"]).aggregate([([], "count_all")]).to_pylist()
            found.update({(row["set"], row["split"], row["licence"]): row["count_all"] for row in rows})
        return found

    @property
    def content(self) -> str:
        """What the mixtures are: the same for every run of the same recipe on the same recordings."""
        return self.run.content(TABLE)

    def check(self) -> None:
        """Refuse a choice that cannot be had: UserError."""
        if not self.run.writers.get(TABLE):
            raise UserError("--as webdataset: the run makes no mixtures; give its recipe a part `mix`")
        splits = {split for _, split, _ in self.counted}
        if missing := set(self.choice.splits) - splits:
            there = ", ".join(sorted(splits)) or "none"
            raise UserError(f"--split {min(missing)}: the run has no mixture of it; it has {there}")

    def left_out(self) -> dict[str, int]:
        """Return how many mixtures are left out, by reason."""
        found = Counter[str]()
        for (_, split, licence), count in self.counted.items():
            if reason := self.choice.barred(split, licence):
                found[reason] += count
        return dict(sorted(found.items()))

    def groups(self) -> list[Group]:
        """Return the groups that have a mixture, sorted."""
        return sorted(
            {Group(name, split) for name, split, licence in self.counted if not self.choice.barred(split, licence)}
        )

    def pieces(self, group: Group) -> Iterator[Piece]:
        """Yield the mixtures of a group in their order."""
        for part in self._parts(_COLUMNS):
            chosen = pc.and_(pc.equal(part["set"], group.set), pc.equal(part["split"], group.split))
            for key, _, split, licence, tar, offset, size in zip(
                *part.filter(chosen).to_pydict().values(), strict=True
            ):
                if not self.choice.barred(split, licence):
                    yield Piece(key, tar, offset, size)

    def read(self, piece: Piece) -> bytes:
        """Return a sample's bytes; RunStopped where its tar was altered."""
        if piece.tar not in self._checked:
            try:
                altered = self.run.workspace.sha256(piece.tar) != self._tars.get(piece.tar)
            except FileNotFoundError:
                altered = True
            if altered:
                raise RunStopped(
                    f"{self.run.workspace.path(piece.tar)}: was altered or is missing; `earloom verify` says more"
                )
            self._checked.add(piece.tar)
        return self.run.workspace.read_range(piece.tar, piece.offset, piece.size)

    def _parts(self, columns: tuple[str, ...]) -> Iterator[pa.Table]:
        for folder in self.run.writers.get(TABLE, ()):
            for partition in range(self.run.partitions):
                files = self._marker(folder, partition).files
                self._tars |= {name: facts["sha256"] for name, facts in files.items() if name.endswith(".tar")}
                yield self.run.table(folder, partition, columns)

    def _marker(self, folder: str, partition: int) -> Marker:
        names = [marker_name(folder, number) for number in (ALL, partition)]
        name = next((name for name in names if name in self.run.seal["files"]), names[1])
        marker = parse_marker(self.run.read(name))
        if marker is None:
            raise RunStopped(f"{self.run.workspace.path(name)}: was altered; `earloom verify` says more")
        return marker
