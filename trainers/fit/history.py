"""The history of a training: a line of JSON per event, without times of day, so that equal trainings have equal bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipelines.core.workspace import Workspace
from schemas.ids import canonical_json

NAME = "history.jsonl"


class History:
    """Lines of ``history.jsonl``, each with the ``step`` after which it was written.

    Args:
        workspace: the training's folder, of this machine.
        step: steps that are done; lines of later ones, which a training that was stopped had written, are cut off.
    """

    def __init__(self, workspace: Workspace, step: int) -> None:
        self.path = Path(workspace.path(NAME))
        kept = [line for line in _whole_lines(self.path) if json.loads(line)["step"] <= step]
        # Also where nothing changes: a disk that is full or cannot be written to is told of before anything is begun.
        with workspace.create(NAME) as file:
            file.write("".join(kept).encode())

    def write(self, line: dict[str, Any]) -> None:
        """Append a line, durably: a checkpoint that follows counts on it. ValueError for a number that JSON does not have."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(canonical_json(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_history(folder: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a training's history."""
    return [json.loads(line) for line in _whole_lines(Path(folder) / NAME)]


def _whole_lines(path: Path) -> list[str]:
    """Return the lines that were written to their end."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith("\n")]
