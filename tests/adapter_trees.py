"""Small datasets in publishers' layouts, and what an adapter makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import adapter
from pipelines.ingest.listing import Source, list_files
from schemas import tables

SOUND = b"RIFF\x24\x00\x00\x00WAVE"
AUDIOSET = "# made\n# num\n# YTID, start_seconds, end_seconds, positive_labels\n"


@dataclass
class Listed:
    """What an adapter yields: rows by identifier, each told once, and by key refusals and the reasons of drops."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> dict[str, str]:
        return {key: refusal.error for key, refusal in self.refused.items()}

    def values(self, column: str) -> dict[str, Any]:
        return {key: row[column] for key, row in self.rows.items()}

    @property
    def only(self) -> dict[str, Any]:
        (row,) = self.rows.values()
        return row


def tree(root: Path, files: dict[str, str | bytes], *sounds: str) -> Path:
    """Write files, and others that begin like audio; return ``root``."""
    for name, content in {**files, **dict.fromkeys(sounds, SOUND)}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def source(root: Path, name: str, path: str = "", splits: dict[str, str] | None = None) -> Source:
    """Return the dataset in ``root / path`` under the name of its adapter."""
    folder = root / path
    return Source(name, root, folder, splits or {}, list_files(folder, root))


def listed(root: Path, name: str, path: str = "", splits: dict[str, str] | None = None) -> Listed:
    """Return what the adapter ``name`` yields; every row has the columns of ``records``, and is one where audio is."""
    found, keys = Listed(), set()
    for row in adapter(name).rows(source(root, name, path, splits)):
        if isinstance(row, tuple):
            key, reason = row
            found.dropped[key] = reason
        elif isinstance(row, Refusal):
            key = row.key
            found.refused[key] = row
        else:
            key = row["record_id"]
            found.rows[key] = row
        assert key not in keys, "no two rows have one identifier"
        keys.add(key)
    columns = {*tables.schema("records").names, "wanted"}
    assert all(row.keys() == columns and row["wanted"] for row in found.rows.values())
    served = [row for row in found.rows.values() if row["source_path"]]
    tables.from_rows("records", [{name: row[name] for name in columns - {"wanted"}} for row in served])
    return found


def read(root: Path, name: str, **splits: str) -> tuple[dict[str, dict[str, Any]], dict[str, str], dict[str, str]]:
    """Return what the adapter ``name`` yields of ``root``: rows, the messages of refusals, and the reasons of drops."""
    found = listed(root, name, splits=splits)
    return found.rows, {key: refusal.message for key, refusal in found.refused.items()}, found.dropped
