"""``manifest.json`` of a dataset folder: what it was made of, its bounds, and the sha256 of each file, of the manifest's own words too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.shards.layout import INDEX, MANIFEST, SIZES, Bounds, Group, group_of
from schemas.errors import UserError
from schemas.ids import fingerprint

FORMAT = "webdataset"


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        told: all of it, without the digest.
    """

    told: dict[str, Any]

    @property
    def bounds(self) -> Bounds:
        """How large its tars may be."""
        return Bounds(self.told["bounds"]["samples"], self.told["bounds"]["bytes"])

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Name -> ``bytes`` and ``sha256`` of every file but the manifest; of a tar its ``samples`` too."""
        return dict(self.told["files"])

    @property
    def tars(self) -> dict[Group, list[str]]:
        """The tars of each group, in order."""
        found: dict[Group, list[str]] = {}
        for name in sorted(self.files):
            if name.endswith(".tar"):
                found.setdefault(group_of(name), []).append(name)
        return found

    @property
    def documents(self) -> list[str]:
        """The files that say what the dataset is: they do not depend on which tar holds which sample."""
        return sorted(
            name
            for name in self.files
            if name != SIZES and not name.endswith(".tar") and not name.startswith(f"{INDEX}/")
        )

    def sizes(self) -> bytes:
        """Return ``sizes.json``: how many samples each tar holds, as loaders of WebDataset folders look for it."""
        return (
            json.dumps({n: facts["samples"] for n, facts in self.files.items() if "samples" in facts}) + "\n"
        ).encode()

    def to_bytes(self) -> bytes:
        """Return the file."""
        return (
            json.dumps({**self.told, "digest": fingerprint(self.told)}, indent=1, ensure_ascii=False) + "\n"
        ).encode()


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest; ValueError if the bytes are not those that were written."""
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ValueError("is no manifest")
    told.pop("digest", None)
    manifest = Manifest(told)
    if told.get("format") != FORMAT or manifest.to_bytes() != data:
        raise ValueError("was altered")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a dataset folder; UserError if there is none, or it was altered."""
    try:
        return parse_manifest((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(
            f"{folder}: holds no {MANIFEST}; name a folder that `earloom export --as {FORMAT}` made"
        ) from None
    except ValueError:
        raise UserError(
            f"{folder / MANIFEST}: was altered; `earloom shards repair` takes it from another copy"
        ) from None


def with_files(told: Mapping[str, Any], files: Mapping[str, Any]) -> Manifest:
    """Return a manifest over these files."""
    return Manifest({**told, "files": {name: files[name] for name in sorted(files)}})
