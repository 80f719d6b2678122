"""The samples of a dataset folder, tar by tar, each of which is checked before anything is taken from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.shards.layout import Group, Piece, index_name
from pipelines.shards.manifest import Manifest, read_manifest
from pipelines.shards.tars import parse_index
from schemas.errors import RunStopped


@dataclass
class FolderSamples:
    """The samples of a dataset folder in their order."""

    root: Path
    manifest: Manifest
    _checked: set[str] = field(default_factory=set, repr=False)

    def groups(self) -> list[Group]:
        """Return the groups, sorted."""
        return sorted(self.manifest.tars)

    def pieces(self, group: Group) -> Iterator[Piece]:
        """Yield the samples of a group in their order; RunStopped where an index was altered."""
        for tar in self.manifest.tars[group]:
            yield from parse_index(self.file(index_name(tar))).pieces(tar)

    def read(self, piece: Piece) -> bytes:
        """Return a sample's bytes; RunStopped where its tar was altered."""
        path = self.root / piece.tar
        try:
            with path.open("rb") as file:
                if piece.tar not in self._checked:
                    if hashlib.file_digest(file, "sha256").hexdigest() != self.manifest.files[piece.tar]["sha256"]:
                        raise self._altered(piece.tar)
                    self._checked.add(piece.tar)
                file.seek(piece.offset)
                return file.read(piece.size)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise self._altered(piece.tar) from None

    def file(self, name: str) -> bytes:
        """Return the bytes of another file; RunStopped where they are not those that were written."""
        try:
            data = (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise self._altered(name) from None
        if hashlib.sha256(data).hexdigest() != self.manifest.files[name]["sha256"]:
            raise self._altered(name)
        return data

    def _altered(self, name: str) -> RunStopped:
        return RunStopped(
            f"{self.root / name}: was altered or is missing; `earloom shards verify {self.root}` says more"
        )


def open_folder(root: Path) -> FolderSamples:
    """Return the samples of a dataset folder; UserError if it is none."""
    return FolderSamples(root, read_manifest(root))
