"""Lines that outlive the process: appended to a file of its own, whole on the disk before anyone goes on."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator
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


@dataclass
class _Waiting:
    """A line on its way to the disk: who is told of it, the file that is to be synchronised, and its place there."""

    line: bytes
    written: Callable[[], None]
    done: asyncio.Future[Line]
    file: int = -1
    place: Line = Line("", 0, 0)


class Journal:
    """All files ``<folder>/<stem>-*.jsonl`` of a workspace; this process appends to one of its own, made with its first line.

    On a local disk a file grows by whole lines, each on the disk before :meth:`append` returns. A process that is killed
    leaves at most one torn line, the last of its file, which readers pass over. In an object store, where nothing can be
    appended, the lines that came while the last object was being written become the next one.

    A line is given to the system at once, which keeps it whatever becomes of the process; one fsync, which keeps it whatever
    becomes of the machine, serves all that came while the last one was under way. It belongs to one event loop.
    """

    def __init__(self, workspace: Workspace, folder: str, stem: str) -> None:
        self.workspace, self.folder, self.stem = workspace, folder, stem
        self._name = f"{folder}/{stem}-{uuid.uuid4().hex[:12]}"
        self._parts = 0
        self._file = -1
        self._size = 0
        self._waiting: list[_Waiting] = []
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

    async def append(self, line: bytes, written: Callable[[], None] = lambda: None) -> Line:
        """Append a line, given without its newline; return its place when it is on the disk.

        Args:
            line: what is appended.
            written: called when no kill of this process can take the line away; this returns when nothing can.

        Raises:
            RunStopped: it cannot be written.
        """
        waiting = _Waiting(line + b"\n", written, asyncio.get_running_loop().create_future())
        if self.workspace.local:
            try:
                waiting.place = self._append(waiting.line)
            except OSError as error:
                raise _stopped(self.workspace.path(self.folder), error) from error
            waiting.file = self._file
            written()
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._keep_all())
        return await waiting.done

    def check(self) -> None:
        """Make the file of this process now. Raises RunStopped: nothing can be written there."""
        if self.workspace.local and self._file < 0:
            try:
                self._open()
            except OSError as error:
                raise _stopped(self.workspace.path(self.folder), error) from error

    def _raw(self, name: str) -> Iterator[bytes]:
        if self.workspace.local:
            with open(self.workspace.path(name), "rb") as file:
                yield from file
        else:
            yield from self.workspace.read(name).splitlines(keepends=True)

    async def _keep_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._keep, batch)
            except Exception as error:
                self._turn()
                for each in batch:
                    if not each.done.done():
                        each.done.set_exception(_stopped(self.workspace.path(self.folder), error))
                continue
            for each in batch:
                if not self.workspace.local:
                    each.written()
                if not each.done.done():
                    each.done.set_result(each.place)

    def _keep(self, batch: list[_Waiting]) -> None:
        """Bring lines to the disk, or to the object store."""
        if self.workspace.local:
            for descriptor in {each.file for each in batch}:
                os.fsync(descriptor)
            return
        name, offset = f"{self._name}-{self._parts:06d}.jsonl", 0
        self._parts += 1
        with self.workspace.create(name) as file:
            file.write(b"".join(each.line for each in batch))
        for each in batch:
            each.place = Line(name, offset, len(each.line))
            offset += len(each.line)

    def _append(self, data: bytes) -> Line:
        """Append to the file of this process."""
        if self._file < 0:
            self._open()
        line, rest = Line(f"{self._name}-{self._parts:06d}.jsonl", self._size, len(data)), memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._turn()
            raise
        self._size += len(data)
        return line

    def _turn(self) -> None:
        """Begin another file with the next line: what stands after a torn one would be lost with it.

        The old one is not closed: a thread may be about to synchronise it, and the run stops in any case.
        """
        self._file, self._parts = -1, self._parts + 1

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
