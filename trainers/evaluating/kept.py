"""Answers of a system, kept on the disk as they come: an evaluation that was stopped goes on from there."""

from __future__ import annotations

import os
from pathlib import Path

import soundfile

from pipelines.core.workspace import Workspace
from pipelines.replay.wav import float_wav
from schemas.ids import fingerprint
from trainers.evaluating.fitting import Estimate
from trainers.evaluating.items import Item
from trainers.evaluating.systems import System

FOLDER = "estimates"
LEDGER = f"{FOLDER}/kept.txt"


class Kept:
    """Estimates below ``estimates/``, ``<set's label>/<key>.wav``, of 32-bit float.

    A ledger beside them says of which system, mixture and query each is; one of others is made anew. A line is written after its
    file is whole, so that a kill leaves at most one file without a line.

    Args:
        workspace: of this machine.
        system: whose answers they are.
    """

    def __init__(self, workspace: Workspace, system: System) -> None:
        self._workspace = workspace
        self._of = [system.kind, system.name, system.revision]
        self._known: dict[str, tuple[str, tuple[str, ...]]] = {}
        path = Path(workspace.path(LEDGER))
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = [line for line in _lines(path) if line.endswith("\n") and line.count(" ") == 2]
        workspace.write(LEDGER, "".join(whole).encode())
        for line in whole:
            name, made_of, notes = line[:-1].split(" ")
            self._known[name] = made_of, tuple(filter(None, notes.split(",")))
        self._ledger = path.open("a", encoding="utf-8")

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()

    def get(self, item: Item) -> Estimate | None:
        """Return the estimate of a mixture; None if there is none, or it is of another system, query or sound."""
        made_of, notes = self._known.get(_name(item), ("", ()))
        if made_of != self._made_of(item):
            return None
        try:
            samples, rate = soundfile.read(self._workspace.path(_name(item)), dtype="float32")
        except soundfile.LibsndfileError:
            return None
        return Estimate(samples, notes) if (samples.shape, rate) == (item.mixture.shape, item.rate) else None

    def put(self, item: Item, estimate: Estimate) -> None:
        """Keep the estimate of a mixture."""
        name = _name(item)
        with self._workspace.create(name) as file:
            file.write(float_wav(estimate.samples, item.rate))
        self._known[name] = self._made_of(item), estimate.notes
        self._ledger.write(f"{name} {self._known[name][0]} {','.join(estimate.notes)}\n")
        self._ledger.flush()
        os.fsync(self._ledger.fileno())

    def _made_of(self, item: Item) -> str:
        return fingerprint([self._of, item.given()])


def _name(item: Item) -> str:
    return f"{FOLDER}/{item.set}/{item.key}.wav"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.exists() else []
