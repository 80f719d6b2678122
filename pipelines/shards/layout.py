"""How a dataset folder is laid out: its names, and which samples go into which tar."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.errors import UserError

MANIFEST = "manifest.json"
SIZES = "sizes.json"
INDEX = "index"
TAR_END = bytes(1024)
"""What ends a tar: two blocks of zeros (POSIX)."""

_TAR = re.compile(r"(\w+)-(\w+)-(\d{6,})\.tar")


class Group(NamedTuple):
    """The samples of one set and split, which tars of their own hold."""

    set: str
    split: str


class Piece(NamedTuple):
    """Where the bytes of one sample lie, headers and padding included: whole members of a tar, one after the other."""

    key: str
    tar: str
    offset: int
    size: int


class Samples(Protocol):
    """Samples in an order of their own: a finished run's, or those of a dataset folder."""

    def groups(self) -> list[Group]:
        """Return the groups, sorted."""

    def pieces(self, group: Group) -> Iterator[Piece]:
        """Yield the samples of a group in their order."""

    def read(self, piece: Piece) -> bytes:
        """Return a sample's bytes; RunStopped where they are not those that were sealed."""


@dataclass(frozen=True)
class Bounds:
    """How large a tar may grow: samples, and bytes of the whole file. A single sample may be larger."""

    samples: int
    bytes: int

    def __post_init__(self) -> None:
        if self.samples < 1 or self.bytes < 1:
            raise UserError("a tar must have room for 1 sample and 1 byte at least; give larger bounds")


def tar_name(group: Group, number: int) -> str:
    """Return the name of a tar: ``<set>-<split>-<number>.tar``; its number has six digits, so that names sort as numbers do."""
    return f"{group.set}-{group.split}-{number:06d}.tar"


def group_of(tar: str) -> Group:
    """Return the group that a tar's name tells; ValueError if it is no such name."""
    match = _TAR.fullmatch(tar)
    if match is None:
        raise ValueError(f"{tar}: is no name of a tar of a dataset folder")
    return Group(match[1], match[2])


def index_name(tar: str) -> str:
    """Return the name of a tar's index: a line of CSV per member."""
    return f"{INDEX}/{tar.removesuffix('.tar')}.csv"


def dali_name(tar: str) -> str:
    """Return the name of a tar's index in the form of NVIDIA DALI."""
    return f"{INDEX}/{tar.removesuffix('.tar')}.idx"


def packed(pieces: Iterable[Piece], bounds: Bounds) -> Iterator[list[Piece]]:
    """Yield the samples of each tar: as many, in order, as the bounds allow. The same samples and bounds give the same tars."""
    batch: list[Piece] = []
    size = len(TAR_END)
    for piece in pieces:
        if batch and (len(batch) >= bounds.samples or size + piece.size > bounds.bytes):
            yield batch
            batch, size = [], len(TAR_END)
        batch.append(piece)
        size += piece.size
    if batch:
        yield batch
