"""Read captioned clips back from WebDataset shards: sound, captions, labels and timed labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import webdataset as wds
from numpy.typing import NDArray

from schemas.errors import UserError
from trainers.shards import _check_end, _flac, _name_faults, find_shards

_REMAKE = "run its recipe again"


@dataclass(frozen=True)
class Event:
    """A class of the ontology, heard from ``onset_s`` to ``offset_s`` seconds after the clip's start."""

    class_id: str
    onset_s: float
    offset_s: float


@dataclass(frozen=True)
class Captioned:
    """One clip of a caption shard.

    Attributes:
        key: the sample's key in its shard.
        samples: float32 samples in [-1, 1), shape (T,), T > 0.
        sample_rate: samples per second.
        captions: the accepted caption, then others that were scored as high.
        labels: the classes that the publisher's labels name, as ontology ids; None where what is not among them is unknown.
        events: the publisher's timed labels by onset; None where it timed none.
        record: the sample's whole JSON.
    """

    key: str
    samples: NDArray[np.float32]
    sample_rate: int
    captions: tuple[str, ...]
    labels: tuple[str, ...] | None
    events: tuple[Event, ...] | None
    record: dict[str, Any]


def captioned(folder: str | Path, split: str) -> wds.DataPipeline:
    """Return an iterable over the :class:`Captioned` clips of ``split``, each exactly once, as they are stored.

    Raises:
        UserError: folder or split is missing, or a shard is cut short; in iteration, a sample is broken.
    """
    shards = find_shards(folder)
    if split not in shards:
        only = ", ".join(shards)
        raise UserError(f"shards {folder}: no shard of split {split!r}, only of {only}; name a folder that has it")
    for path in shards[split]:
        _check_end(path)
    stages = [
        wds.SimpleShardList([path.resolve().as_uri() for path in shards[split]]),
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        _name_faults,
        wds.map(partial(_decode, split)),
    ]
    return wds.DataPipeline(*stages)


def of_folders(folders: Sequence[str | Path], split: str) -> Iterator[Captioned]:
    """Yield the clips of ``split`` of those folders that have it, one folder after the other.

    Raises:
        UserError: none has it; else as :func:`captioned`.
    """
    having = [folder for folder in folders if split in find_shards(folder)]
    if not having:
        raise UserError(f"shards {_listed(folders)}: no shard of split {split!r}; name a folder that has one")
    for folder in having:
        yield from captioned(folder, split)


def held_out(folders: Sequence[str | Path]) -> str:
    """Return the split to measure on, ``test`` or else ``val``, that one of the folders has.

    Raises:
        UserError: none has one.
    """
    found = {split for folder in folders for split in find_shards(folder)}
    for split in ("test", "val"):
        if split in found:
            return split
    raise UserError(f"shards {_listed(folders)}: no split test or val to measure on; name a folder that has one")


def made(folder: Path) -> None:
    """Make the folder that a trainer writes to; UserError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be made ({error.strerror}); name another folder") from error


def _listed(folders: Sequence[str | Path]) -> str:
    return ", ".join(map(str, folders))


def _decode(split: str, sample: dict[str, Any]) -> Captioned:
    key = sample["__key__"]
    where = f"shard {sample['__url__'].rpartition('/')[2]}, sample {key}"
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
    samples = _flac(sample["flac"], rate, f"{where}.flac")
    return Captioned(key, samples, rate, captions, labels if known else None, events or None, record)
