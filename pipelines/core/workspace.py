"""The run folder, on a local disk or (through fsspec) in an object store: whole files appear at once or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from schemas.errors import RunStopped, UserError

TMP = ".tmp-"
"""Prefix of a file that is still being written; a run that starts removes those that a killed one left."""

_HOST_FAULTS = {
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.EAGAIN,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


def is_host_fault(error: BaseException) -> bool:
    """Say whether ``error`` is the machine's fault (disk full, read-only, no memory): no record may be blamed for it."""
    by_kind = isinstance(error, (MemoryError, TimeoutError, ConnectionError))
    return by_kind or (isinstance(error, OSError) and error.errno in _HOST_FAULTS)


@dataclass(frozen=True)
class Workspace:
    """A run folder. ``root`` is a local path or an fsspec URL such as ``s3://bucket/run``; all paths are relative to it."""

    root: str

    @cached_property
    def _fs(self) -> Any:
        return fsspec.core.url_to_fs(self.root)[0]

    @cached_property
    def local(self) -> bool:
        """Whether the folder is on a disk of this machine."""
        return "://" not in self.root

    def path(self, name: str = "") -> str:
        """Return ``name`` as a path or URL that other libraries can open; ValueError if it leads out of the folder."""
        if ".." in name.split("/"):
            raise ValueError(f"{name}: leads out of the run folder")
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; FileNotFoundError if there is none."""
        if self.local:
            return Path(self.path(name)).read_bytes()
        return self._fs.cat_file(self.path(name))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` of a file that was committed.

        Raises:
            RunStopped: it cannot be read, or is shorter than that: no row is to blame for what happened to the workspace.
        """
        try:
            if self.local:
                with open(self.path(name), "rb") as file:
                    file.seek(offset)
                    data = file.read(size)
            else:
                data = self._fs.cat_file(self.path(name), start=offset, end=offset + size)
        except FileNotFoundError as error:
            raise RunStopped(f"{self.path(name)}: is missing; run the same recipe into that folder again") from error
        except Exception as error:
            words = getattr(error, "strerror", None) or error  # the file's name stands before it already
            raise RunStopped(
                f"{self.path(name)}: cannot be read ({words}); mend it and run the same command"
            ) from error
        if len(data) != size:
            raise RunStopped(f"{self.path(name)}: is shorter than it was; run the same recipe into that folder again")
        return data

    def exists(self, name: str) -> bool:
        """Say whether there is such a file or folder."""
        return os.path.exists(self.path(name)) if self.local else self._fs.exists(self.path(name))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the size in bytes of every file below ``folder``, by its path relative to the run folder."""
        if self.local:
            top = self.path(folder) if folder else self.root
            return {
                os.path.relpath(os.path.join(base, name), self.root): os.path.getsize(os.path.join(base, name))
                for base, _, names in os.walk(top)
                for name in names
            }
        base = self._fs._strip_protocol(self.root).rstrip("/") + "/"
        self._fs.invalidate_cache()
        found = self._fs.find(self.path(folder) if folder else self.root, detail=True)
        return {name.removeprefix(base): int(info["size"]) for name, info in found.items()}

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders directly in ``folder``, sorted; none if it is not there."""
        if self.local:
            top = self.path(folder)
            return sorted(entry.name for entry in os.scandir(top) if entry.is_dir()) if os.path.isdir(top) else []
        self._fs.invalidate_cache()
        if not self._fs.exists(self.path(folder)):
            return []
        entries = self._fs.ls(self.path(folder), detail=True)
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory")

    def unfinished(self) -> list[str]:
        """Return the unfinished files that lie in the run folder itself; an object store never shows any."""
        return [name for name in os.listdir(self.root) if name.startswith(TMP)] if self.local else []

    def remove(self, name: str) -> None:
        """Remove a file; it is no error if it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            if self.local:
                os.remove(self.path(name))
            else:
                self._fs.rm_file(self.path(name))

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file for writing; it appears under ``name`` only when the block ends well, whole and on the disk.

        Local: a temporary file in the same folder, fsync, rename, fsync of the folder. Object store: a local temporary
        file, then one upload, which such stores show only when it is complete.
        """
        if self.local:
            final = self.path(name)
            folder = os.path.dirname(final)
            os.makedirs(folder, exist_ok=True)
            temporary = os.path.join(folder, f"{TMP}{uuid.uuid4().hex[:12]}-{os.path.basename(final)}"[:240])
            try:
                with open(temporary, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, final)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.remove(temporary)
                raise
            _fsync_folder(folder)
            return
        with tempfile.NamedTemporaryFile(prefix="earloom-") as file:
            yield file  # type: ignore[misc]
            file.flush()
            self._fs.put_file(file.name, self.path(name))

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file at once, unless it holds these very bytes already."""
        with contextlib.suppress(FileNotFoundError):
            if self.read(name) == data:
                return
        with self.create(name) as file:
            file.write(data)

    def sha256(self, name: str) -> str:
        """Return the sha256 of a file, in hexadecimal."""
        if self.local:
            with open(self.path(name), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        with self._fs.open(self.path(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync_folder(folder: str) -> None:
    """Make a rename durable: without this a power cut may bring back the old name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_workspace(out: str, make: bool = True) -> Workspace:
    """Return the workspace at ``out``, made absolute so that workers with another current folder find it too.

    Args:
        out: a local path or an fsspec URL.
        make: make the folder if it is not there.

    Raises:
        UserError: ``out`` is a file, a folder that cannot be made, or an fsspec protocol that is not installed.
    """
    out = out.removeprefix("file://")
    if "://" in out:
        if out.startswith(("http://", "https://")):
            raise UserError(f"--out {out}: cannot be written over HTTP; name a folder or an object store")
        try:
            fsspec.core.url_to_fs(out)
        except (ImportError, ValueError) as error:
            raise UserError(f"--out {out}: {str(error).splitlines()[0]}") from None
        return Workspace(out.rstrip("/"))
    out = os.path.expanduser(out)
    if not out:
        raise UserError("--out: is empty; name a folder")
    if os.path.exists(out) and not os.path.isdir(out):
        raise UserError(f"--out {out}: is a file; name a folder")
    try:
        if make:
            os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made ({error.strerror}); name a folder that you can write") from None
    return Workspace(os.path.abspath(out))
