"""The user's audio: the file that a list names, found and decoded to one channel at the list's rate."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import soxr

from pipelines.ingest.adapters.youtube import Finder
from pipelines.ingest.decode import decode
from pipelines.ingest.listing import File, Source, list_files
from pipelines.replay.lists import Form, recording
from pipelines.replay.mixing import Samples
from schemas.errors import Reject, UserError

ROLES = ("s0_wav", "s1_wav", "mix_wav")
"""Folders of VGGSound's list, in which the files of a mixture have one name."""
_KEPT = 64
"""Files that stay decoded: a list's lines with one target stand together, and each is of some 1 MB."""


class Audio:
    """What lies in a folder, as far as one list may ask for it.

    Args:
        folder: all files below it are looked through.
        form: the list.

    Raises:
        UserError: the folder is not there.
    """

    def __init__(self, folder: str, form: Form) -> None:
        root = Path(folder).expanduser().absolute()
        if not root.is_dir():
            raise UserError(f"--audio {folder}: no such folder; name the one that holds the sounds of the list")
        self.root, self.form = root, form
        self._source = Source("replay", root, root, {}, list_files(root, root))
        self._youtube = Finder(self._source)
        self._decoded = lru_cache(_KEPT)(self._decode)

    def find(self, file: PurePosixPath) -> str | None:
        """Return where a file of the list lies, relative to the folder; None: nowhere.

        Found is a file of its name with any extension of audio; a YouTube clip also without the ``Y`` before its id.
        """
        role = file.parent.name
        others = tuple(each for each in ROLES if each != role) if role in ROLES else ()
        found = self._source.audio((file.stem,), (), others)
        if found is None and self.form.youtube:
            ytid, whole = recording(self.form, file), file.stem.removeprefix("Y")
            found = self._youtube(ytid, None, None)[0] if whole == ytid else self._source.audio((whole,))
        return _path(found)

    def named(self, stem: str) -> str | None:
        """Return where the file of a name without extension lies, relative to the folder; None: nowhere."""
        return _path(self._source.audio((stem,), (), ROLES))

    def read(self, path: str, seconds: float | None) -> Samples:
        """Return a file's samples, float32 of shape (n,): the mean of its channels at the list's rate, from its start.

        A file that is longer than ``seconds`` is cut, a shorter one padded with zeros at its end; None: all of it.

        Raises:
            Reject: it cannot be decoded, for one of the reasons of `pipelines.ingest.decode`.
        """
        return self._decoded(path, seconds)

    def _decode(self, path: str, seconds: float | None) -> Samples:
        decoded = decode(self.root / path, 0.0, seconds)
        samples = decoded.samples
        if decoded.rate != self.form.rate:
            samples = soxr.resample(samples, decoded.rate, self.form.rate, quality="HQ")
        if seconds is not None:
            length = round(seconds * self.form.rate)
            samples = np.pad(samples[:length], (0, max(0, length - len(samples))))
        if not len(samples):
            raise Reject("too_short", f"{path}: less than one sample is left at {self.form.rate} per second")
        samples.flags.writeable = False
        return samples


def _path(file: File | None) -> str | None:
    return file.path if file is not None else None
