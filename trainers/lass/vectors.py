"""Embeddings kept on disk, by what was embedded: one file per revision of a model, which processes of one machine share."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RunStopped
from schemas.ids import digest

_KEY = 32
"""Bytes of a key, a sha256."""

_ROWS = 4096
"""Rows that are read at once."""


class Vectors:
    """Vectors of one length by text.

    The file is rows of equal size, each a key and float32 numbers, and only grows. A row that was cut off by a kill is cut away
    before the next is written; a row whose numbers have no length of 1, as of a disk that lost power, counts as absent. What comes
    back has the very bits that were put in.

    Args:
        folder: of the files; made where it is not there.
        revision: of the model; other revisions have other files.
        dimension: length of a vector.

    Raises:
        RunStopped: the folder cannot be made or written to.
    """

    def __init__(self, folder: str | Path, revision: str, dimension: int) -> None:
        name = hashlib.sha256(f"{revision}\x1f{dimension}".encode()).hexdigest()
        self._path, self._dimension = Path(folder) / f"{name[:32]}.vectors", dimension
        self._row = _KEY + 4 * dimension
        self._rows: dict[bytes, int] = {}
        self._read = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            raise RunStopped(f"{folder}: embeddings cannot be kept there ({error.strerror})") from error

    def __len__(self) -> int:
        """Return how many vectors are known, those of other processes as of the last :meth:`of`."""
        return len(self._rows)

    def of(self, texts: Sequence[str], embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the vectors of texts, shape (n, dimension), float32.

        Args:
            texts: any, the same one more than once too.
            embed: gives the vectors of those that are not kept, all at once and each of them once; of unit length.
        """
        keys = [digest("text", text) for text in texts]
        if any(key not in self._rows for key in keys):
            self._catch_up()
        absent = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        if absent:
            self._keep(list(absent), np.asarray(embed(list(absent.values())), np.float32))
        with self._path.open("rb") as file:
            found = [os.pread(file.fileno(), 4 * self._dimension, self._rows[key] + _KEY) for key in keys]
        return np.frombuffer(b"".join(found), "<f4").reshape(len(texts), self._dimension).astype(np.float32)

    def _catch_up(self) -> None:
        """Learn of the rows that were written since the last time, by whatever process."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            while len(data := file.read(_ROWS * self._row)) >= self._row:
                self._learn(data[: len(data) // self._row * self._row])
                file.seek(self._read)  # the last row may just be being written

    def _learn(self, data: bytes) -> None:
        rows = np.frombuffer(data, np.uint8).reshape(-1, self._row)
        lengths = np.linalg.norm(np.ascontiguousarray(rows[:, _KEY:]).view("<f4"), axis=1)
        for number in np.flatnonzero(np.abs(lengths - 1.0) < 1e-3):
            self._rows[rows[number, :_KEY].tobytes()] = self._read + int(number) * self._row
        self._read += len(data)

    def _keep(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        if vectors.shape != (len(keys), self._dimension):
            raise ValueError(f"vectors must have shape ({len(keys)}, {self._dimension}), not {vectors.shape}")
        data = b"".join(key + vector.astype("<f4").tobytes() for key, vector in zip(keys, vectors, strict=True))
        try:
            with self._path.open("r+b") as file, _locked(file.fileno()):
                end = file.seek(0, os.SEEK_END) // self._row * self._row
                file.truncate(end)
                file.seek(end)
                file.write(data)
                file.flush()
        except OSError as error:
            raise RunStopped(f"{self._path.parent}: embeddings cannot be kept there ({error.strerror})") from error
        self._rows |= {key: end + number * self._row for number, key in enumerate(keys)}


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    # The lock goes with the process, so that a kill leaves none behind.
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
