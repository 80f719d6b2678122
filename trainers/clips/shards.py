"""Captioned clips of caption shards, by number: captions, labels and timed labels in memory, sound when it is asked for."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from pipelines.core.workspace import Workspace
from pipelines.seal import finished_seal
from schemas.errors import UserError
from trainers.shards import _check_end, _flac, find_shards

_REMAKE = "run its recipe again"


@dataclass(frozen=True)
class Event:
    """A class of the ontology, heard from ``onset_s`` to ``offset_s`` seconds after the clip's start."""

    class_id: str
    onset_s: float
    offset_s: float


@dataclass(frozen=True)
class Clip:
    """What is known of one clip of a caption shard.

    Attributes:
        key: the sample's key in its shard.
        sample_rate: samples per second.
        captions: the accepted caption, then others that were scored as high.
        labels: the classes that the publisher's labels name, as ontology ids; None where what is not among them is unknown.
        events: the publisher's timed labels by onset; None where it timed none.
        record: the sample's whole JSON.
    """

    key: str
    sample_rate: int
    captions: tuple[str, ...]
    labels: tuple[str, ...] | None
    events: tuple[Event, ...] | None
    record: dict[str, Any]


@dataclass(frozen=True)
class _Place:
    """Where a clip's sound lies: a tar, and the first byte and size in it."""

    tar: Path
    offset: int
    size: int


class Clips(Dataset[NDArray[np.float32]]):
    """The clips of a split of several folders, one folder after the other, as they are stored.

    All JSON is read at once, some kilobytes a clip; sound is read and decoded when it is asked for. It may be given to workers that
    are forked or spawned.

    Attributes:
        told: what is known of each clip.

    Args:
        folders: of caption shards, ``<split>-00000-000.tar``, or finished runs that have such; those without the split are passed over.
        split: e.g. ``train``; None: all of them.

    Raises:
        UserError: a folder is none, none has the split, or a shard is cut short or breaks the format; in reading, its sound does.
    """

    def __init__(self, folders: Sequence[str | Path], split: str | None) -> None:
        found = [find_shards(_shards_of(folder)) for folder in folders]
        tars = [(tar, name) for shards in found for name in shards if split in (None, name) for tar in shards[name]]
        if not tars:
            only = ", ".join(sorted({name for shards in found for name in shards}))
            listed = ", ".join(map(str, folders))
            raise UserError(f"shards {listed}: no shard of split {split!r}, only of {only}; name a folder that has one")
        read = [sample for tar, name in tars for sample in _samples(tar, name)]
        self.told = tuple(clip for clip, _ in read)
        self._places = tuple(place for _, place in read)

    def __len__(self) -> int:
        return len(self.told)

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        """Return the sound of a clip, float32 samples in [-1, 1), shape (T,), T > 0, at the clip's own rate."""
        place, clip = self._places[number], self.told[number]
        file = os.open(place.tar, os.O_RDONLY)
        try:
            data = os.pread(file, place.size, place.offset)
        finally:
            os.close(file)
        return _flac(data, clip.sample_rate, f"shard {place.tar.name}, sample {clip.key}.flac")


def _shards_of(folder: str | Path) -> Path:
    """Return the folder of caption shards that a path means: itself, or that of a finished run."""
    path = Path(folder).expanduser()
    if not (path / "run.json").exists():
        return path
    try:
        seal = finished_seal(Workspace(str(path)))
    except ValueError as error:
        raise UserError(f"{folder}: {error}; `earloom verify {folder}` says more") from None
    return Path(path, seal["stages"]["captions"])


def _samples(path: Path, split: str) -> Iterator[tuple[Clip, _Place]]:
    _check_end(path)
    last = "at its beginning"
    try:
        with tarfile.open(path, "r:") as tar:
            members: dict[str, dict[str, Any]] = {}
            for info in tar:
                key, _, kind = info.name.partition(".")
                file = tar.extractfile(info) if kind == "json" else None
                held = file.read() if file is not None else _Place(path, info.offset_data, info.size)
                members.setdefault(key, {})[kind] = held
                last = f"after sample {key}"
    except tarfile.TarError as error:
        raise UserError(f"shard {path.name}: cannot be read {last} ({error}); {_REMAKE}") from error
    for key, sample in members.items():
        yield _told(key, sample, split, f"shard {path.name}, sample {key}"), sample["flac"]


def _told(key: str, sample: dict[str, Any], split: str, where: str) -> Clip:
    for member in ("json", "flac"):
        if member not in sample:
            raise UserError(f"{where}: has no member {key}.{member}; {_REMAKE}")
    try:
        record = json.loads(sample["json"])
        stored, rate = record["split"], record["sample_rate"]
        captions, labels = tuple(record["captions"]), tuple(record["labels"])
        events = tuple(Event(each["class_id"], each["onset_s"], each["offset_s"]) for each in record["events"])
        known = record["state"] == "labelled"
    except (ValueError, KeyError, TypeError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(f"{where}: its JSON lacks something ({fault}); {_REMAKE}") from error
    if stored != split:
        raise UserError(f"{where}: belongs to split {stored!r} but lies in a shard of {split!r}; {_REMAKE}")
    return Clip(key, rate, captions, labels if known else None, events or None, record)
