"""Read separation mixtures back from WebDataset shards, in an order that seed and epoch determine."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import webdataset as wds
from numpy.typing import NDArray

from schemas.errors import UserError
from schemas.ids import seed_for

SHUFFLE = 200
"""Samples, still encoded, among which the next is drawn in random order: some 100 MB of ten-second clips."""

_SHARD = re.compile(r"(?P<split>.+)-\d+-\d+\.tar")
_TAR_END = bytes(1024)
_REMAKE = "write the shard again"


@dataclass(frozen=True)
class Mixture:
    """One mixture with its target, as stored: ``mixture`` minus ``target`` is exactly everything else.

    Attributes:
        key: the sample's key in its shard.
        query: caption or label of the target.
        mixture: float32 samples in [-1, 1), shape (T,), T > 0.
        target: float32 samples in [-1, 1), shape (T,); all zero where nothing answers the query.
        sample_rate: samples per second.
        record: the sample's whole JSON (classes, instructions, SNR asked and achieved in dB, ...).
    """

    key: str
    query: str
    mixture: NDArray[np.float32]
    target: NDArray[np.float32]
    sample_rate: int
    record: dict[str, Any]


def find_shards(folder: str | Path) -> dict[str, list[Path]]:
    """Return the shards of each split in ``folder``, sorted by name.

    Raises:
        UserError: there is no such folder, or no shard in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"shards {folder}: no such folder; give the one that holds train-00000-000.tar")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := _SHARD.fullmatch(path.name):
            found.setdefault(match["split"], []).append(path)
    if not found:
        raise UserError(f"shards {folder}: holds no shard; give the folder that holds train-00000-000.tar")
    return found


def mixtures(folder: str | Path, split: str, seed: int | None = None, epoch: int = 0) -> wds.DataPipeline:
    """Return an iterable over the :class:`Mixture` samples of ``split``, each exactly once.

    The iterable is a torch ``IterableDataset``: given to a ``DataLoader`` with workers, it is divided among
    them by whole shards. It is not divided among the ranks of a distributed training.

    Args:
        folder: folder of ``<split>-<partition>-<number>.tar`` files.
        split: e.g. ``train``.
        seed: order of shards and, through a buffer of :data:`SHUFFLE` samples, of what is in them; None: as
            stored.
        epoch: each epoch of a seed has an order of its own; the same pair always has the same.

    Raises:
        UserError: folder or split is missing, or a shard is cut short; in iteration, a sample is broken.
    """
    shards = find_shards(folder)
    if split not in shards:
        only = ", ".join(shards)
        raise UserError(f"shards {folder}: no shard of split {split!r}, only of {only}; mix that split too")
    for path in shards[split]:
        _check_end(path)
    draw = None if seed is None else seed_for(seed, "trainers.shards", str(epoch))
    stages = [
        wds.SimpleShardList([path.resolve().as_uri() for path in shards[split]], seed=draw),
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        _name_faults,
        None if draw is None else wds.shuffle(SHUFFLE, initial=SHUFFLE, seed=draw),
        wds.map(partial(_decode, split)),
    ]
    return wds.DataPipeline(*stages)


def _check_end(path: Path) -> None:
    """Refuse a shard without the two zero blocks that end a tar (POSIX): it would read as a shorter one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_TAR_END)))
        if file.read() != _TAR_END:
            raise UserError(f"shard {path.name}: is cut short, or not a tar; {_REMAKE}")


def _name_faults(samples: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    last = "at its beginning"
    try:
        for sample in samples:
            last = f"after sample {sample['__key__']}"
            yield sample
    except (tarfile.TarError, ValueError) as error:
        raise UserError(f"shard cannot be read {last} ({error.args[0]}); {_REMAKE}") from error


def _decode(split: str, sample: dict[str, Any]) -> Mixture:
    key = sample["__key__"]
    where = f"shard {sample['__url__'].rpartition('/')[2]}, sample {key}"
    for member in ("json", "mixture.flac", "target.flac"):
        if member not in sample:
            raise UserError(f"{where}: has no member {key}.{member}; {_REMAKE}")
    try:
        record = json.loads(sample["json"])
        query, rate, stored = record["query"], record["sample_rate"], record["split"]
    except (ValueError, KeyError, TypeError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(f"{where}: its JSON lacks something ({fault}); {_REMAKE}") from error
    if stored != split:
        raise UserError(f"{where}: belongs to split {stored!r} but lies in a shard of {split!r}; {_REMAKE}")
    mixture = _flac(sample["mixture.flac"], rate, f"{where}.mixture.flac")
    target = _flac(sample["target.flac"], rate, f"{where}.target.flac")
    if len(mixture) != len(target):
        raise UserError(f"{where}: mixture has {len(mixture)} samples, target {len(target)}; {_REMAKE}")
    return Mixture(key, query, mixture, target, rate, record)


def _flac(data: bytes, rate: int, where: str) -> NDArray[np.float32]:
    try:
        samples, actual = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise UserError(f"{where}: cannot be decoded ({error.error_string}); {_REMAKE}") from error
    if actual != rate or samples.shape[1] != 1 or len(samples) == 0:
        found = f"{len(samples)} samples, {samples.shape[1]} channels, {actual} Hz"
        raise UserError(f"{where}: holds {found}, not one channel at {rate} Hz; {_REMAKE}")
    return samples[:, 0]
