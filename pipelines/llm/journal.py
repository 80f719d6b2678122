"""Lines that outlive the process: appended to a file of its own, whole on the disk before anyone goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.workspace import Workspace
from schemas.errors import RunStopped


@dataclass(frozen=True)
class Line:
    """Where a line lies: file, first byte, bytes with its newline."""

    file: str
    offset: int
    size: int


class Journal:
    """All files ``<folder>/<stem>-*.jsonl`` of a workspace; this process appends to one of its own, made with its first line.

    On a local disk a file grows by whole lines, each on the disk before :meth:`append` returns. A process that is killed
    leaves at most one torn line, the last of its file, which readers pass over. In an object store, where nothing can be
    appended, the lines that came while the last object was being written become the next one.

    Lines that wait are written together, so that one fsync serves all of them. It belongs to one event loop.
    """

    def __init__(self, workspace: Workspace, folder: str, stem: str) -> None:
        self.workspace, self.folder, self.stem = workspace, folder, stem
        self._name = f"{folder}/{stem}-{uuid.uuid4().hex[:12]}"
        self._parts = 0
        self._file = -1
        self._size = 0
        self._waiting: list[tuple[bytes, asyncio.Future[Line]]] = []
        self._writer: asyncio.Task[None] | None = None

    def lines(self) -> Iterator[tuple[Line, bytes]]:
        """Yield all whole lines that lie there, without their newline; a torn last line is left out."""
        for name in sorted(self.workspace.sizes(self.folder)):
            base = name.rsplit("/", 1)[-1]
            if base.startswith(f"{self.stem}-") and base.endswith(".jsonl"):
                offset = 0
                for line in self._raw(name):
                    if line.endswith(b"\n"):
                        yield Line(name, offset, len(line)), line[:-1]
                    offset += len(line)

    def read(self, line: Line) -> bytes:
        """Return one line, without its newline."""
        return self.workspace.read_range(line.file, line.offset, line.size)[:-1]

    async def append(self, line: bytes) -> Line:
        """Append a line, given without its newline; return its place when it is on the disk.

        Raises:
            RunStopped: it cannot be written.
        """
        done: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        self._waiting.append((line + b"\n", done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        return await done

    def _raw(self, name: str) -> Iterator[bytes]:
        if self.workspace.local:
            with open(self.workspace.path(name), "rb") as file:
                yield from file
        else:
            yield from self.workspace.read(name).splitlines(keepends=True)

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                places = await asyncio.to_thread(self._write, [line for line, _ in batch])
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(_stopped(self.workspace.path(self.folder), error))
                continue
            for (_, done), place in zip(batch, places, strict=True):
                if not done.done():
                    done.set_result(place)

    def _write(self, lines: list[bytes]) -> list[Line]:
        if not self.workspace.local:
            name, offset = f"{self._name}-{self._parts:06d}.jsonl", 0
            self._parts += 1
            with self.workspace.create(name) as file:
                file.write(b"".join(lines))
        else:
            name, offset = self._append(b"".join(lines))
        places = []
        for line in lines:
            places.append(Line(name, offset, len(line)))
            offset += len(line)
        return places

    def _append(self, data: bytes) -> tuple[str, int]:
        """Append to the file of this process; return its name and where the data begins in it."""
        if self._file < 0:
            self._open()
        name, offset, rest = f"{self._name}-{self._parts:06d}.jsonl", self._size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            # What stands after a torn line would be lost with it: the next line begins a new file.
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file, self._parts = -1, self._parts + 1
            raise
        self._size += len(data)
        return name, offset

    def _open(self) -> None:
        path = Path(self.workspace.path(f"{self._name}-{self._parts:06d}.jsonl"))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._size = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644), 0
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _stopped(place: str, error: Exception) -> RunStopped:
    words = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return RunStopped(f"{place}: cannot be written ({words}); mend it and run the same command again")
