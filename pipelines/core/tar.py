"""Byte-stable tars: ustar headers without times or owners, bounded in size, with an index of every member beside them."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO

from pipelines.core.workspace import Workspace

BLOCK = 512


@dataclass(frozen=True)
class Place:
    """Where something lies: tar relative to the run folder, first byte, number of bytes."""

    tar: str
    offset: int
    size: int


class _Tee:
    """Counts and hashes what is written: a second pass over a file of 500 MB would cost as much as writing it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.bytes, self.sha = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.sha.update(data)
        self.bytes += len(data)


def member(name: str, data: bytes) -> bytes:
    """Return one tar member: header, data, padding to 512 bytes. ValueError if the name is over 100 bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), 0, 0o644
    if len(name.encode()) > 100:
        raise ValueError(f"{name}: over the 100 bytes that a ustar member name may have")
    return info.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % BLOCK)


@dataclass
class Packer:
    """Packs samples into ``<folder>/<group>-<partition>-<number>.tar``, a new number whenever one is full.

    The index beside each tar (``.idx``) is NVIDIA DALI's WebDataset index, version 1.2: a line ``v1.2 <samples>``, then a line
    per sample of ``<extension> <offset of the data> <bytes> <member name>`` for each of its members.
    """

    workspace: Workspace
    folder: str
    partition: int
    max_samples: int
    max_bytes: int
    written: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open: dict[str, tuple[str, _Tee, list[str], ExitStack]] = {}
        self._count: dict[str, int] = {}

    def __enter__(self) -> Packer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for group in list(self._open):
                self._close(group)
        else:
            with contextlib.suppress(kind):
                for _, _, _, stack in self._open.values():
                    stack.__exit__(kind, error, trace)
            self._open.clear()

    def add(self, group: str, key: str, members: dict[str, bytes]) -> Place:
        """Append a sample; return the place of its bytes: of the data alone if it has one member, else headers and all."""
        built = [
            (suffix, f"{key}.{suffix}", member(f"{key}.{suffix}", data), len(data)) for suffix, data in members.items()
        ]
        total = sum(len(chunk) for _, _, chunk, _ in built)
        if group in self._open:
            _, tee, lines, _ = self._open[group]
            if len(lines) >= self.max_samples or (tee.bytes + total > self.max_bytes and lines):
                self._close(group)
        if group not in self._open:
            self._start(group)
        name, tee, lines, _ = self._open[group]
        start, line = tee.bytes, []
        for suffix, full, chunk, size in built:
            line.append(f"{suffix} {tee.bytes + BLOCK} {size} {full}")
            tee.write(chunk)
        lines.append(" ".join(line))
        if len(built) == 1:
            return Place(name, start + BLOCK, built[0][3])
        return Place(name, start, total)

    def _start(self, group: str) -> None:
        number = self._count.get(group, 0)
        self._count[group] = number + 1
        name = f"{self.folder}/{group}-{self.partition:05d}-{number:03d}.tar"
        stack = ExitStack()
        file = stack.enter_context(self.workspace.create(name))
        self._open[group] = (name, _Tee(file), [], stack)

    def _close(self, group: str) -> None:
        name, tee, lines, stack = self._open.pop(group)
        tee.write(b"\0" * 2 * BLOCK)
        stack.close()
        self.written[name] = (tee.bytes, tee.sha.hexdigest())
        index = f"v1.2 {len(lines)}\n{''.join(line + chr(10) for line in lines)}".encode()
        beside = name.removesuffix(".tar") + ".idx"
        with self.workspace.create(beside) as file:
            file.write(index)
        self.written[beside] = (len(index), hashlib.sha256(index).hexdigest())
