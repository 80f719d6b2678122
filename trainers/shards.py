"""Read separation mixtures back from the shards of a run or of a dataset folder, in an order that seed and epoch determine."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import webdataset as wds
from numpy.typing import NDArray

from pipelines.mix.remix import remix
from schemas.errors import UserError
from schemas.ids import seed_for

SHUFFLE = 200
"""Samples, still encoded, among which the next is drawn in random order: some 100 MB of ten-second clips."""

EMBEDDINGS = ("query.npy", "target.npy")
"""Members with an embedder's vectors of query and target, where the recipe asked for them."""

Row = NDArray[np.float32] | None
"""Where a sound is laid if it is as long."""

_OF_RUN = re.compile(r"(?P<group>.+)-\d{5}-\d{3,}\.tar")
_OF_FOLDER = re.compile(r"(?P<set>\w+)-(?P<split>\w+)-\d{6,}\.tar")
_TAR_END = bytes(1024)
_REMAKE = "write the shard again"


@dataclass(frozen=True)
class Mixture:
    """One mixture with its target, as stored or as its recipe says: ``mixture`` minus ``target`` is exactly everything else.

    Attributes:
        key: the sample's key in its shard.
        query: caption or label of the target.
        mixture: float32 samples in [-1, 1), shape (T,), T > 0.
        target: float32 samples in [-1, 1), shape (T,); all zero where nothing answers the query.
        sample_rate: samples per second.
        record: the sample's whole JSON (classes, instructions, SNR asked and achieved in dB, ...), and the bytes of its ``EMBEDDINGS``.
    """

    key: str
    query: str
    mixture: NDArray[np.float32]
    target: NDArray[np.float32]
    sample_rate: int
    record: dict[str, Any]


def embedder_of(record: Mapping[str, Any]) -> str | None:
    """Return the revision of the model that made the embeddings of a sample with this JSON; None: it holds none, or does not say."""
    told = record.get("embedder")
    return str(told["revision"]) if isinstance(told, dict) and "revision" in told else None


def find_shards(folder: str | Path) -> dict[str, list[Path]]:
    """Return the shards of each split in ``folder``, sorted by name.

    A split of the set ``mix`` has its own name, e.g. ``train``; one of another set ``<set>_<split>``.

    Raises:
        UserError: there is no such folder, or no shard in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"shards {folder}: no such folder; give the one that holds train-00000-000.tar")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := _OF_RUN.fullmatch(path.name):
            found.setdefault(match["group"], []).append(path)
        elif match := _OF_FOLDER.fullmatch(path.name):
            found.setdefault(group_name(match["set"], match["split"]), []).append(path)
    if not found:
        raise UserError(f"shards {folder}: holds no shard; give the folder that holds train-00000-000.tar")
    return found


def group_name(name: str, split: str) -> str:
    """Return what the shards of a set and split are found under."""
    return split if name == "mix" else f"{name}_{split}"


def mixtures(folder: str | Path, split: str, seed: int | None = None, epoch: int = 0) -> wds.DataPipeline:
    """Return an iterable over the :class:`Mixture` samples of ``split``, each exactly once.

    The iterable is a torch ``IterableDataset``: given to a ``DataLoader`` with workers, it is divided among
    them by whole shards. It is not divided among the ranks of a distributed training.

    Args:
        folder: folder of a run's ``<split>-<partition>-<number>.tar``, or of an export's ``<set>-<split>-<number>.tar``.
        split: e.g. ``train``; of another set than ``mix``, ``<set>_<split>``.
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
    where = f"shard {sample['__url__'].rpartition('/')[2]}, sample {sample['__key__']}"
    return decoded(sample["__key__"], sample, split, where)


def decoded(
    key: str, members: Mapping[str, Any], split: str, where: str, room: NDArray[np.float32] | None = None
) -> Mixture:
    """Return a sample, whose sources are mixed if it holds these alone.

    Args:
        key: the sample's key.
        members: what follows the key in a member's name -> its bytes.
        split: the split that it is of, as :func:`find_shards` calls it.
        where: shard and sample, in words.
        room: where mixture and target are laid if they are T samples long, float32 of shape (2, T); it loses what it held in any case.

    Raises:
        UserError: it breaks the format.
    """
    try:
        record = json.loads(_member(members, "json", key, where))
        query, rate = record["query"], record["sample_rate"]
        stored = group_name(record.get("set", "mix"), record["split"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(f"{where}: its JSON lacks something ({fault}); {_REMAKE}") from error
    if stored != split:
        raise UserError(f"{where}: belongs to split {stored!r} but lies in a shard of {split!r}; {_REMAKE}")
    rows = (None, None) if room is None else (room[0], room[1])
    if "source0.flac" in members:
        mixture, target = _remixed(members, where, rows)
    else:
        mixture = _sound(members, "mixture", rate, key, where, rows[0])
        target = _target(members, mixture, record, key, where, rows[1])
    if len(mixture) != len(target):
        raise UserError(f"{where}: mixture has {len(mixture)} samples, target {len(target)}; {_REMAKE}")
    vectors = {name: bytes(members[name]) for name in EMBEDDINGS if name in members}
    return Mixture(key, query, mixture, target, rate, record | vectors)


def _member(members: Mapping[str, Any], name: str, key: str, where: str) -> bytes:
    if name not in members:
        raise UserError(f"{where}: has no member {key}.{name}; {_REMAKE}")
    return bytes(members[name])


def _target(
    members: Mapping[str, Any],
    mixture: NDArray[np.float32],
    record: dict[str, Any],
    key: str,
    where: str,
    row: Row,
) -> NDArray[np.float32]:
    """Return the target as it is stored or, exactly, what the residual leaves or what the targets' stems sum to."""
    rate, kinds = record["sample_rate"], ("flac", "wav")
    if any(f"target.{kind}" in members for kind in kinds):
        return _sound(members, "target", rate, key, where, row)
    if any(f"residual.{kind}" in members for kind in kinds):
        residual = _sound(members, "residual", rate, key, where)
        return mixture - residual if len(residual) == len(mixture) else residual
    if any(f"stem0.{kind}" in members for kind in kinds):
        roles = [source["role"] for source in record["sources"]]
        stems = [_sound(members, f"stem{n}", rate, key, where) for n, role in enumerate(roles) if role == "target"]
        return np.sum(stems, axis=0, dtype=np.float32) if stems else np.zeros_like(mixture)
    raise UserError(f"{where}: has no member {key}.target.flac; {_REMAKE}")


def _remixed(
    members: Mapping[str, Any], where: str, rows: tuple[Row, Row]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    try:
        mixture, target, _ = remix(members)
    except (ValueError, KeyError, sf.LibsndfileError) as error:
        raise UserError(f"{where}: cannot be mixed ({type(error).__name__}: {error}); {_REMAKE}") from error
    return _float(mixture, rows[0]), _float(target, rows[1])


def _float(samples: NDArray[np.int16], row: Row) -> NDArray[np.float32]:
    """Return 16-bit samples as libsndfile gives them as floats."""
    return np.multiply(samples, np.float32(1 / 32768), out=_fitting(row, len(samples)))


def _sound(
    members: Mapping[str, Any], name: str, rate: int, key: str, where: str, row: Row = None
) -> NDArray[np.float32]:
    kind = "wav" if f"{name}.wav" in members else "flac"
    return _flac(_member(members, f"{name}.{kind}", key, where), rate, f"{where}.{name}.{kind}", row)


def _flac(data: bytes, rate: int, where: str, row: Row = None) -> NDArray[np.float32]:
    try:
        with sf.SoundFile(io.BytesIO(data)) as file:
            count, channels, actual = file.frames, file.channels, file.samplerate
            if (actual, channels) == (rate, 1) and count:
                samples: NDArray[np.float32] = file.read(out=_fitting(row, count))
                return samples
    except sf.LibsndfileError as error:
        raise UserError(f"{where}: cannot be decoded ({error.error_string}); {_REMAKE}") from error
    raise UserError(
        f"{where}: holds {count} samples, {channels} channels, {actual} Hz, not one channel at {rate} Hz; {_REMAKE}"
    )


def _fitting(row: Row, length: int) -> NDArray[np.float32]:
    return np.empty(length, np.float32) if row is None or len(row) != length else row
