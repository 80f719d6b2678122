"""Mixtures of dataset folders and of finished runs, by number, as `trainers.loader` takes them, and excerpts of their batches."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.core.commit import parse_marker
from pipelines.core.workspace import Workspace
from pipelines.seal import finished_seal
from schemas.errors import UserError
from schemas.ids import seed_for
from trainers.loader import Batch, Mixtures
from trainers.shards import Mixture, group_name

_BLOCK = 512


class RunMixtures(Mixtures):
    """The mixtures of one set and split of a finished run, by number, read where the run keeps them.

    Args:
        folder: a run folder of this machine.
        split: e.g. ``train``.
        name: the set.

    Raises:
        UserError: the run is not finished, makes no mixtures or none of this set and split; in reading, a shard or its index is damaged.
    """

    def __init__(self, folder: str | Path, split: str, name: str = "mix") -> None:
        workspace = Workspace(str(folder))
        try:
            seal = finished_seal(workspace)
        except ValueError as error:
            raise UserError(f"{folder}: {error}; `earloom verify {folder}` says more") from None
        if "mixtures" not in seal["stages"]:
            raise UserError(f"{folder}: the run makes no mixtures; name one whose recipe has the part mix")
        self.folder, self.group = Path(folder, seal["stages"]["mixtures"]), group_name(name, split)
        self._starts, self._files = {}, OrderedDict()
        sizes: dict[str, dict[str, int]] = defaultdict(dict)
        # What the commits name, not what lies in the folder: a tar that is lost would not be missed.
        for path in sorted(path for path in seal["files"] if Path(path).parent == Path(seal["stages"]["mixtures"])):
            if (marker := parse_marker(workspace.read(path))) is not None:
                for file, facts in marker.files.items():
                    tar = file.rpartition("/")[2]
                    if tar.endswith((".tar", ".idx")):
                        sizes[tar.rsplit("-", 2)[0]][tar] = facts["bytes"]
        if self.group not in sizes:
            raise UserError(
                f"{folder}: holds no mixtures of {self.group}, only of {', '.join(sorted(sizes)) or 'none'}"
            )
        for file, size in sizes[self.group].items():
            if not (self.folder / file).is_file() or (self.folder / file).stat().st_size != size:
                raise self._damaged(file)
        self._tars = sorted(file for file in sizes[self.group] if file.endswith(".tar"))
        self._ends = list(accumulate(self._count(tar) for tar in self._tars))

    def _count(self, tar: str) -> int:
        try:
            with self._beside(tar).open() as file:
                version, count = file.readline().split()
            return int(count) if version == "v1.2" else -1
        except (OSError, ValueError) as error:
            raise self._damaged(self._beside(tar).name) from error

    def _index(self, tar: str) -> NDArray[np.int64]:
        if tar not in self._starts:
            try:
                lines = [line.split() for line in self._beside(tar).read_text().splitlines()[1:]]
                starts = [int(line[1]) - _BLOCK for line in lines]
                starts.append(int(lines[-1][-3]) + int(lines[-1][-2]) + -int(lines[-1][-2]) % _BLOCK)
            except (OSError, ValueError, IndexError) as error:
                raise self._damaged(self._beside(tar).name) from error
            if len(lines) != self._count(tar):
                raise self._damaged(self._beside(tar).name)
            self._starts[tar] = np.array(starts, np.int64)
        return self._starts[tar]

    def _beside(self, tar: str) -> Path:
        return (self.folder / tar).with_suffix(".idx")

    def _damaged(self, name: str) -> UserError:
        run = self.folder.parents[1]
        return UserError(f"{run}: {name} is missing or damaged; `earloom verify {run}` says more")


class Joined(Mixtures):
    """The mixtures of several folders, one after the other.

    Args:
        parts: those of each folder, at least one.
    """

    def __init__(self, parts: Sequence[Mixtures]) -> None:
        self.parts, self._ends = tuple(parts), list(accumulate(map(len, parts)))

    def read(self, number: int, room: NDArray[np.float32] | None = None) -> Mixture:
        """Return a mixture by its number, at least 0; IndexError past the last. See :meth:`Mixtures.read`."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        which = bisect_right(self._ends, number)
        return self.parts[which].read(number - (self._ends[which - 1] if which else 0), room)


def mixtures_of(folders: Sequence[str], split: str, name: str, rate: int) -> Mixtures:
    """Return the mixtures of one set and split of dataset folders and run folders, in this order.

    Raises:
        UserError: a folder is neither, has no such set and split, or its first mixture is not at this rate or as long as the others'.
    """
    parts: list[Mixtures] = []
    lengths: dict[int, str] = {}
    for text in folders:
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise UserError(f"{text}: no such folder; name a dataset folder or a run folder")
        parts.append((RunMixtures if (folder / "run.json").exists() else Mixtures)(folder, split, name))
        first = parts[-1][0]
        if first.sample_rate != rate:
            raise UserError(
                f"{text}: its mixtures are at {first.sample_rate} Hz, the separator at {rate}; set separator.sample_rate"
            )
        lengths.setdefault(len(first.mixture), text)
    if len(lengths) > 1:
        told = ", ".join(f"{text} {length / rate:g} s" for length, text in lengths.items())
        raise UserError(f"mixtures of several lengths cannot share a batch: {told}; train on folders of one length")
    return parts[0] if len(parts) == 1 else Joined(parts)


def excerpt(batch: Batch, samples: int, seed: int, epoch: int) -> Batch:
    """Return a random excerpt of each mixture, the same of its target: a function of seed, epoch and key.

    ValueError if the mixtures are shorter.

    Args:
        batch: of mixtures of one length.
        samples: length of the excerpts.
        seed: of the training.
        epoch: passes that are done; each draws anew.
    """
    length = batch.mixture.shape[1]
    if length < samples:
        raise ValueError(f"an excerpt of {samples} samples of mixtures of {length}")
    starts = [seed_for(seed, "trainers.lass.excerpt", f"{epoch}:{key}") % (length - samples + 1) for key in batch.keys]

    def cut(sounds: Tensor) -> Tensor:
        return torch.stack([row[at : at + samples] for row, at in zip(sounds, starts, strict=True)])

    return replace(batch, mixture=cut(batch.mixture), target=cut(batch.target))
