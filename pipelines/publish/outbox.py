"""The folder that an export writes: it appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.workspace import TMP
from schemas.errors import UserError


class Written(io.BufferedIOBase):
    """A file that is written once, front to back; its length and sha256 are known as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=1 << 20)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        """Append bytes."""
        self._sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def writable(self) -> bool:
        """True: pyarrow asks."""
        return True

    def close(self) -> None:
        """Close the file; it is no error to close it twice."""
        self._file.close()
        super().close()

    def facts(self) -> dict[str, Any]:
        """Return what a manifest says of the file."""
        return {"bytes": self.size, "sha256": self._sha256.hexdigest()}


class Outbox:
    """The files of an export that is being written.

    Attributes:
        root: the folder that they lie in for the time being.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, Written] = {}

    def open(self, name: str, listed: bool = True) -> Written:
        """Open a new file; ``listed``: the manifest names it, and not another table of the export."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        file = Written(path)
        if listed:
            self._files[name] = file
        return file

    def rename(self, old: str, new: str) -> None:
        """Give a closed file another name."""
        os.rename(self.root / old, self.root / new)
        self._files[new] = self._files.pop(old)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return what a manifest says of each file."""
        return {name: self._files[name].facts() for name in sorted(self._files)}

    def close(self) -> None:
        """Close what is still open."""
        for file in self._files.values():
            file.close()


@contextlib.contextmanager
def new_folder(out: str) -> Iterator[Outbox]:
    """Give a folder to write to, which becomes ``out`` when the block ends well, and else is removed.

    A process that is killed leaves a hidden folder beside ``out``, which the next export to ``out`` removes.

    Raises:
        UserError: ``out`` holds something, lies in a run, is no folder of this machine, cannot be made, or is being written.
    """
    final = _checked(out)
    temporary = final.parent / f"{TMP}{final.name}"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made ({error.strerror}); name a folder that you can write") from None
    try:
        _hold(descriptor, out)
        _clear(temporary)
        box = Outbox(temporary)
        try:
            yield box
            box.close()
            os.sync()  # a power cut after the rename must not leave files without their bytes
            os.replace(temporary, final)
        except BaseException:
            box.close()
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _checked(out: str) -> Path:
    if not out or "://" in out:
        raise UserError(f"--out {out}: must be a folder of this machine; write it there and copy it")
    final = Path(os.path.abspath(os.path.expanduser(out)))
    try:
        if any((folder / "run.json").exists() for folder in (final, *final.parents)):
            raise UserError(f"--out {out}: lies in a run folder; name one outside of it")
        if final.exists() and not final.is_dir():
            raise UserError(f"--out {out}: is a file; name a folder")
        if final.exists() and any(final.iterdir()):
            raise UserError(f"--out {out}: is not empty; name a new folder, or remove this one first")
    except OSError as error:  # a name that is too long, a folder that may not be listed
        raise UserError(f"--out {out}: cannot be looked at ({error.strerror}); name another folder") from None
    return final


def _hold(descriptor: int, out: str) -> None:
    """Take the kernel's lock on the folder; it goes with the process, however that ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"--out {out}: another export writes there; wait for it, or name another folder") from None


def _clear(folder: Path) -> None:
    """Remove what a killed export left."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
