"""Load mixtures from a dataset folder in random order, over workers and ranks, and go on exactly where a training stopped."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from schemas.errors import UserError
from schemas.ids import seed_for
from trainers.memory import Memory
from trainers.shards import Mixture, decoded, group_name
from trainers.workers import plain

_Asked = tuple[int | None, list[int]]
"""What a batch is made of: a piece of memory, and the numbers of its mixtures."""

_BLOCK = 512
_OPEN = 64
"""Tars that a process holds open."""


@dataclass(frozen=True)
class Batch:
    """Mixtures of one length.

    Attributes:
        keys: the samples' keys, B of them.
        queries: what is asked for.
        mixture: float32 in [-1, 1), shape (B, T).
        target: float32 in [-1, 1), shape (B, T).
        records: the samples' whole JSON.
    """

    keys: tuple[str, ...]
    queries: tuple[str, ...]
    mixture: Tensor
    target: Tensor
    records: tuple[dict[str, Any], ...]


class Mixtures(Dataset[Mixture]):
    """The mixtures of one set and split of a dataset folder, by number.

    A sample is one read of its tar, found by the index beside it; a tar's index is read when the first of its samples is asked for. It
    may be given to workers that are forked or spawned.

    Args:
        folder: what ``earloom export --as webdataset`` made.
        split: e.g. ``train``.
        name: the set.

    Raises:
        UserError: the folder is none, or has no such set and split; in reading, a tar or its index is damaged.
    """

    def __init__(self, folder: str | Path, split: str, name: str = "mix") -> None:
        self.folder, self.group = Path(folder), group_name(name, split)
        try:
            sizes = json.loads((self.folder / "sizes.json").read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: holds no sizes.json; name a folder that `earloom export` made") from error
        self._tars = sorted(tar for tar in sizes if tar.rpartition("-")[0] == f"{name}-{split}")
        if not self._tars:
            only = ", ".join(sorted({tar.rpartition("-")[0] for tar in sizes})) or "nothing"
            raise UserError(f"{folder}: holds no {name}-{split}, only {only}")
        self._ends = list(accumulate(sizes[tar] for tar in self._tars))
        self._starts: dict[str, NDArray[np.int64]] = {}
        self._files: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> Mixture:
        """Return a mixture by its number, at least 0; IndexError past the last."""
        return self.read(number)

    def read(self, number: int, room: NDArray[np.float32] | None = None) -> Mixture:
        """Return a mixture as ``[number]`` does, in ``room`` if it fits there: see `trainers.shards.decoded`."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        which = bisect_right(self._ends, number)
        tar = self._tars[which]
        own = number - (self._ends[which - 1] if which else 0)
        starts = self._index(tar)
        data = os.pread(self._file(tar), int(starts[own + 1] - starts[own]), int(starts[own]))
        try:
            key, members = _members(data)
        except (ValueError, tarfile.TarError) as error:
            raise self._damaged(tar) from error
        return decoded(key, members, self.group, f"shard {tar}, sample {key}", room)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: open files stay with this one."""
        return {**self.__dict__, "_files": OrderedDict()}

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        for descriptor in getattr(self, "_files", {}).values():
            close(descriptor)  # by a name of its own: at the end of a process `os` may be gone before

    def _index(self, tar: str) -> NDArray[np.int64]:
        """Return where each sample of a tar begins, and where the last one ends."""
        if tar not in self._starts:
            path = self.folder / "index" / f"{tar.removesuffix('.tar')}.csv"
            try:
                rows = list(csv.DictReader(io.StringIO(path.read_text())))
                firsts = [
                    row for row, last in zip(rows, [None, *rows], strict=False) if not last or row["key"] != last["key"]
                ]
                starts = [int(row["offset"]) - _BLOCK for row in firsts]
                starts.append(int(rows[-1]["offset"]) + int(rows[-1]["size"]) + -int(rows[-1]["size"]) % _BLOCK)
            except (OSError, ValueError, KeyError, IndexError) as error:
                raise self._damaged(path.name) from error
            which = self._tars.index(tar)
            if len(firsts) != self._ends[which] - (self._ends[which - 1] if which else 0):
                raise self._damaged(path.name)
            self._starts[tar] = np.array(starts, np.int64)
        return self._starts[tar]

    def _file(self, tar: str) -> int:
        if tar in self._files:
            self._files.move_to_end(tar)
            return self._files[tar]
        try:
            self._files[tar] = os.open(self.folder / tar, os.O_RDONLY)
        except OSError as error:
            raise self._damaged(tar) from error
        if len(self._files) > _OPEN:
            os.close(self._files.popitem(last=False)[1])
        return self._files[tar]

    def _damaged(self, name: str) -> UserError:
        return UserError(
            f"{self.folder}: {name} is missing or damaged; `earloom shards verify {self.folder}` says more"
        )


class Loader:
    """Batches of a pass over mixtures, for one rank; the next pass goes on with the next epoch.

    The order of an epoch is a function of seed and epoch alone, and step by step the ranks share it out: together they take the
    same samples in the same steps whatever the number of workers. All ranks take equally many steps. So that they do, at most ``world - 1``
    samples are left out of an epoch, others in each; with one rank, none is.

    Attributes:
        epoch: passes that are done.

    Args:
        mixtures: what is loaded.
        batch: mixtures of a batch and rank; the last one of a pass may be smaller.
        seed: of the order.
        rank: this rank, in [0, world).
        world: how many ranks there are.
        workers: processes that read and decode; 0: this one does.
    """

    def __init__(
        self, mixtures: Mixtures, batch: int, seed: int = 0, rank: int = 0, world: int = 1, workers: int = 0
    ) -> None:
        if batch < 1 or not 0 <= rank < world:
            raise UserError(
                f"batch {batch}, rank {rank} of {world}: a batch has 1 at least, and a rank lies in [0, world)"
            )
        if len(mixtures) < world:
            raise UserError(f"{len(mixtures)} mixtures are too few for {world} ranks; use fewer")
        self.mixtures, self.batch, self.seed = mixtures, batch, seed
        self.rank, self.world, self.workers = rank, world, workers
        self.epoch = self._taken = 0
        self._memory: Memory | None = None

    def __len__(self) -> int:
        """Return the steps of a whole pass."""
        return -(-(len(self.mixtures) // self.world) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        """Yield what is left of this pass."""
        epoch, taken = self.epoch, self._taken
        batches = self._batches(epoch, taken)
        if not batches:  # a state of fewer ranks left less than one sample for each
            self.epoch, self._taken = epoch + 1, 0
            return
        memory, self._memory = self._memory or self._new_memory(batches[0][0]), None
        asked: deque[_Asked] = deque()

        def ask() -> Iterator[_Asked]:
            for numbers in batches:
                asked.append((memory.take(), numbers))
                yield asked[-1]

        read = _Read(self.mixtures, memory.arrays)
        loader = DataLoader(read, batch_size=None, sampler=ask(), num_workers=self.workers, collate_fn=_as_it_is)  # type: ignore[arg-type]
        for left, made in zip(range(len(batches) - 1, -1, -1), plain(loader), strict=True):
            piece, numbers = asked.popleft()
            # Counted before it is handed out: whoever saves the state while at work on a batch has had it.
            taken += len(numbers) * self.world
            self.epoch, self._taken = (epoch, taken) if left else (epoch + 1, 0)
            yield made if piece is None or isinstance(made, Batch) else made.with_sounds(memory.given(piece))
        # Of a pass that is left before, workers may still be filling what nobody waits for.
        self._memory = memory

    def _new_memory(self, number: int) -> Memory:
        """Return memory for batches of mixtures as long as this one: for those that workers fill, the last handed out, and the next."""
        shape = (2, self.batch, len(self.mixtures[number].mixture))
        return Memory(2 + 2 * self.workers, shape, shared=self.workers > 0)

    def state_dict(self) -> dict[str, int]:
        """Return where the loader stands, the same on every rank; workers do not matter, and ranks may be others afterwards."""
        return {"seed": self.seed, "epoch": self.epoch, "taken": self._taken, "mixtures": len(self.mixtures)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to where a loader stood; UserError if it loaded other mixtures."""
        if state["mixtures"] != len(self.mixtures):
            raise UserError(
                f"the state is of {state['mixtures']} mixtures, here are {len(self.mixtures)}; load what it was saved with"
            )
        self.seed, self.epoch, self._taken = state["seed"], state["epoch"], state["taken"]

    def _batches(self, epoch: int, taken: int) -> list[list[int]]:
        """Return the numbers of each batch of this rank, from so many samples of all ranks on."""
        order = order_of(len(self.mixtures), self.seed, epoch)[taken:]
        own = order[: len(order) // self.world * self.world][self.rank :: self.world].tolist()
        return [own[start : start + self.batch] for start in range(0, len(own), self.batch)]


def order_of(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of an epoch: a permutation of ``count`` numbers, a function of seed and epoch."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, "trainers.loader", str(epoch)))).permutation(count)


def judged(count: int, most: int, seed: int) -> list[int]:
    """Return which of ``count`` held-out items are judged, ``most`` at most: a function of the training's seed.

    They are drawn, since items that lie together were made together.
    """
    chosen: list[int] = order_of(count, seed_for(seed, "trainers.fit", "held out"), 0)[:most].tolist()
    return chosen


def collated(samples: Sequence[Mixture]) -> Batch:
    """Return mixtures as a batch; UserError where they are not of one length and rate."""
    return _told(samples).with_sounds([np.stack([getattr(each, n) for each in samples]) for n in ("mixture", "target")])


class _Told(NamedTuple):
    """A batch without its sounds."""

    keys: tuple[str, ...]
    queries: tuple[str, ...]
    records: tuple[dict[str, Any], ...]

    def with_sounds(self, sounds: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> Batch:
        """Return the batch; mixture and target may be longer than it."""
        mixture, target = (torch.from_numpy(each[: len(self.keys)]) for each in sounds)
        return Batch(self.keys, self.queries, mixture, target, self.records)


@dataclass
class _Read(Dataset[Batch | _Told]):
    """Batches by the numbers of their mixtures, laid in a piece of memory if there is one and they fit."""

    mixtures: Mixtures
    pieces: list[Tensor]

    def __getitem__(self, asked: _Asked) -> Batch | _Told:
        piece, numbers = asked
        if piece is None:
            return collated([self.mixtures[number] for number in numbers])
        room = self.pieces[piece].numpy()
        samples = [self._laid(number, room[:, row]) for row, number in enumerate(numbers)]
        return _told(samples) if len(samples[0].mixture) == room.shape[2] else collated(samples)

    def _laid(self, number: int, room: NDArray[np.float32]) -> Mixture:
        sample = self.mixtures.read(number, room)
        if len(sample.mixture) != room.shape[1]:
            return sample
        for row, sound in zip(room, (sample.mixture, sample.target), strict=True):
            if not np.may_share_memory(row, sound):
                row[:] = sound
        return replace(sample, mixture=room[0], target=room[1])


def _told(samples: Sequence[Mixture]) -> _Told:
    forms = {(len(sample.mixture), sample.sample_rate) for sample in samples}
    if len(forms) > 1:
        raise UserError(
            f"sample {samples[0].key}: a batch is of one length and rate, here are {sorted(forms)}; load one set at a time"
        )
    return _Told(*(tuple(getattr(sample, name) for sample in samples) for name in ("key", "query", "record")))


def _as_it_is(made: Batch | _Told) -> Batch | _Told:
    return made


def _members(data: bytes) -> tuple[str, dict[str, bytes]]:
    """Return key and members of a sample from its bytes in a tar; ValueError or TarError if they are not one sample."""
    keys, members, at = set(), {}, 0
    while at < len(data):
        info = tarfile.TarInfo.frombuf(data[at : at + _BLOCK], "utf-8", "strict")
        key, _, suffix = info.name.partition(".")
        keys.add(key)
        members[suffix] = data[at + _BLOCK : at + _BLOCK + info.size]
        at += _BLOCK + info.size + -info.size % _BLOCK
    if at != len(data) or len(keys) != 1:
        raise ValueError("is no sample")
    return keys.pop(), members
