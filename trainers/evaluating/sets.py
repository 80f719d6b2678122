"""Sets of mixtures to evaluate on: those of a run, of an exported dataset folder, and of a published list that was replayed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipelines.core.workspace import Workspace
from pipelines.replay.lists import FORMS
from pipelines.seal import finished_seal
from schemas.errors import UserError
from schemas.ids import slug
from trainers.evaluating.items import Item, Items, Samples
from trainers.lass.mixtures import RunMixtures
from trainers.loader import Mixtures
from trainers.shards import find_shards

KINDS = "a finished run, a folder that `earloom export --as webdataset` made, or one that `earloom replay` wrote"

_NAMED = {form.name for form in FORMS if form.labels in ("number", "query")}
"""Lists whose queries are names of classes."""


@dataclass(frozen=True)
class OfShards:
    """The mixtures of one set and split of a run or of a dataset folder."""

    label: str
    kind: str
    mixtures: Mixtures

    def __len__(self) -> int:
        return len(self.mixtures)

    def __iter__(self) -> Iterator[Item]:
        for number in range(len(self.mixtures)):
            sample = self.mixtures[number]
            classes = tuple(dict.fromkeys(sample.record.get("target_class_names") or ()))
            known = (sample.key, sample.query, sample.mixture, sample.target, sample.sample_rate)
            yield Item(self.label, *known, classes, sample.record.get("policy"), sample.record)


@dataclass(frozen=True)
class OfList:
    """The mixtures of a replayed list; key is ``mixture-<number>``, the name of the mixture's file."""

    label: str
    kind: str
    folder: Path
    rate: int
    rows: tuple[dict[str, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Item]:
        for row in self.rows:
            key, query = f"mixture-{row['number']}", row["query"]
            mixture, target = self._read(f"{key}.wav"), self._read(f"segment-{row['number']}.wav")
            if len(mixture) != len(target) or not len(mixture):
                raise _damaged(self.folder, f"{key}.wav has {len(mixture)} samples and its target {len(target)}")
            record = {"mixture_id": key, "query": query, "sample_rate": self.rate, **row}
            classes = (query,) if self.label in _NAMED else ()
            yield Item(self.label, key, query, mixture, target, self.rate, classes, f"shares {row['shared']}", record)

    def _read(self, name: str) -> Samples:
        try:
            samples, rate = soundfile.read(self.folder / name, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _damaged(self.folder, f"{name} cannot be read") from error
        if rate != self.rate or samples.shape[1] != 1:
            raise _damaged(self.folder, f"{name} is not one channel at {self.rate} Hz")
        return np.ascontiguousarray(samples[:, 0])


def open_sets(folders: Sequence[str], split: str) -> list[Items]:
    """Return the sets of folders, in this order: of runs and dataset folders all that have the split.

    Labels are ``<folder's name>/<set>/<split>``, and of a list its own name.

    Raises:
        UserError: a folder is none of these, holds no such split, or two sets have one label.
    """
    found: list[Items] = [each for folder in folders for each in _open(folder, split)]
    labels = [each.label for each in found]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"--set: two sets are called {label}; evaluate them one at a time, or rename a folder")
    return found


def _open(text: str, split: str) -> list[Items]:
    folder = Path(text).expanduser().absolute()
    if (folder / "run.json").is_file():
        try:
            stages = finished_seal(Workspace(str(folder)))["stages"]
        except ValueError as error:
            raise UserError(f"--set {text}: {error}; `earloom verify {text}` says more") from None
        if "mixtures" not in stages:
            raise UserError(f"--set {text}: the run makes no mixtures; name one whose recipe has the part mix")
        return _of_shards(text, folder, list(find_shards(folder / stages["mixtures"])), split, "run")
    if (folder / "sizes.json").is_file():
        return _of_shards(text, folder, list(find_shards(folder)), split, "dataset folder")
    if (folder / "list.csv").is_file():
        return [_of_list(text, folder)]
    raise UserError(f"--set {text}: is no set of mixtures; name {KINDS}")


def _of_shards(text: str, folder: Path, groups: list[str], split: str, kind: str) -> list[Items]:
    # The set `mix` is not named in its shards.
    names = {group: group.removesuffix(split).removesuffix("_") or "mix" for group in groups}
    wanted = [(name, group) for group, name in names.items() if group in (split, f"{name}_{split}")]
    if not wanted:
        raise UserError(f"--set {text}: holds no split {split!r}, only {', '.join(groups)}; choose with --split")
    made = RunMixtures if kind == "run" else Mixtures
    return [OfShards(f"{slug(folder.name)}/{name}/{split}", kind, made(folder, split, name)) for name, _ in wanted]


def _of_list(text: str, folder: Path) -> OfList:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        with (folder / "list.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = tuple(csv.DictReader(file))
        label, rate = slug(manifest["list"]), int(manifest["sample_rate"])
        if lacking := {"number", "query", "shared"} - set(rows[0] if rows else ("number", "query", "shared")):
            raise KeyError(*sorted(lacking))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(Path(text), f"list.csv or manifest.json cannot be used ({type(error).__name__})") from None
    if not rows:
        raise UserError(f"--set {text}: holds no mixture; its rejects.csv says why of each line")
    return OfList(label, "list", folder, rate, rows)


def _damaged(folder: Path, words: str) -> UserError:
    return UserError(f"{folder}: {words}; write the folder again with `earloom replay`")
