"""Tars of samples and their indices: written from samples' bytes as they are, and read back from a tar alone."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from pipelines.core.tar import BLOCK
from pipelines.shards.layout import TAR_END, Piece

COLUMNS = ("key", "member", "offset", "size", "sha256")


class Member(NamedTuple):
    """One member of a sample: the sample's key, what follows it in the name, first byte and bytes of its data, their sha256."""

    key: str
    member: str
    offset: int
    size: int
    sha256: str


@dataclass
class Index:
    """What lies in one tar, in its order."""

    members: list[Member] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The samples' keys, each once."""
        return list(dict.fromkeys(member.key for member in self.members))

    def csv(self) -> bytes:
        """Return the index as CSV: a header, a line per member."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(COLUMNS)
        lines.writerows(self.members)
        return text.getvalue().encode()

    def dali(self) -> bytes:
        """Return the index as NVIDIA DALI's WebDataset reader takes it, version 1.2; as :class:`pipelines.core.tar.Packer` writes it."""
        lines: dict[str, list[str]] = {}
        for key, name, offset, size, _ in self.members:
            lines.setdefault(key, []).append(f"{name} {offset} {size} {key}.{name}")
        return "".join([f"v1.2 {len(lines)}\n", *(" ".join(parts) + "\n" for parts in lines.values())]).encode()

    def pieces(self, tar: str) -> Iterator[Piece]:
        """Yield where each sample lies in the tar of that name."""
        start, last = 0, None
        for member in self.members:
            if last is not None and member.key != last.key:
                end = _end(last)
                yield Piece(last.key, tar, start, end - start)
                start = end
            last = member
        if last is not None:
            yield Piece(last.key, tar, start, _end(last) - start)


def parse_index(data: bytes) -> Index:
    """Return the index that a CSV file holds; ValueError if it is none."""
    lines = csv.reader(io.StringIO(data.decode()))
    if tuple(next(lines, ())) != COLUMNS:
        raise ValueError("is no index")
    return Index([Member(key, name, int(offset), int(size), sha256) for key, name, offset, size, sha256 in lines])


def write_tar(file: Any, samples: Iterable[bytes]) -> Iterator[list[tuple[Member, bytes]]]:
    """Write samples, headers and all, as a tar; yield after each its members with their data.

    Raises:
        ValueError: bytes that are no whole members of one sample.
    """
    at = 0
    for data in samples:
        file.write(data)
        found = list(members_of(data, at))
        if not found or len({member.key for member, _ in found}) != 1:
            raise ValueError("a sample's bytes are not the members of one sample")
        yield found
        at += len(data)
    file.write(TAR_END)


def read_tar(file: BinaryIO) -> tuple[Index, str]:
    """Return what lies in a tar, read once from front to end, and its sha256.

    Raises:
        ValueError: it is cut short, no tar, or holds something else than files whose names have a key and a suffix.
    """
    sha256, index, at = hashlib.sha256(), Index(), 0
    while True:
        header = file.read(BLOCK)
        sha256.update(header)
        if header == bytes(BLOCK):
            rest = file.read(BLOCK + 1)
            sha256.update(rest)
            if rest != bytes(BLOCK):
                raise ValueError("does not end as a tar does")
            return index, sha256.hexdigest()
        info = _header(header)
        data = file.read(info.size + -info.size % BLOCK)
        if len(data) != info.size + -info.size % BLOCK:
            raise ValueError("is cut short")
        sha256.update(data)
        index.members.append(_member(info, data[: info.size], at + BLOCK))
        at += BLOCK + len(data)


def members_of(data: bytes, start: int) -> Iterator[tuple[Member, bytes]]:
    """Yield the members, each with its data, that lie in ``data``, which begins at byte ``start`` of its tar.

    Raises:
        ValueError: they are no whole members.
    """
    at = 0
    while at < len(data):
        info = _header(data[at : at + BLOCK])
        body = data[at + BLOCK : at + BLOCK + info.size]
        if len(body) != info.size:
            raise ValueError("a sample is cut short")
        yield _member(info, body, start + at + BLOCK), body
        at += BLOCK + info.size + -info.size % BLOCK
    if at != len(data):
        raise ValueError("a sample is cut short")


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except tarfile.HeaderError as error:
        raise ValueError(f"has a broken header ({error})") from None
    if not info.isreg():
        raise ValueError(f"holds {info.name!r}, which is no file")
    return info


def _member(info: tarfile.TarInfo, data: bytes, offset: int) -> Member:
    key, dot, name = info.name.partition(".")
    if not (key and dot and name):
        raise ValueError(f"holds {info.name!r}, a name without a key or a suffix")
    return Member(key, name, offset, info.size, hashlib.sha256(data).hexdigest())


def _end(last: Member) -> int:
    return last.offset + last.size + -last.size % BLOCK
