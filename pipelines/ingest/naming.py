"""What names tell where no publisher's layout does: which file a table means, and which split a file is of."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from pathlib import PurePosixPath

from pipelines.ingest.listing import AUDIO, File, Source, composed, rank

OURS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "dev": "dev",
    "development": "development",
}
"""Publishers' splits -> ours. What `dev` is differs: a recipe's ``splits`` may say; until then it is a split of its own."""


def our_split(source: Source, published: str) -> str:
    """Return our name for a publisher's split; empty: none is told, so that all is ``train`` unless the recipe says."""
    return (
        source.split(published, OURS.get(published.lower(), published)) if published else source.split("all", "train")
    )


def split_of_folders(path: str) -> str:
    """Return the nearest folder in a path that is called like a split; empty: none is."""
    return next((name for name in reversed(PurePosixPath(path).parts[:-1]) if name.lower() in OURS), "")


def split_of_shard(path: str) -> str:
    """Return the split that a shard's name begins with, as ``train-000.tar`` does, else its folders'; empty: none."""
    word = re.match(r"[A-Za-z]*", PurePosixPath(path).name)
    return word[0] if word and word[0].lower() in OURS else split_of_folders(path)


def shown(name: str) -> str:
    """Return a file's name as text that a table can hold; what is no text there becomes escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


class Named:
    """Finds the audio files of a dataset by what a table calls them, whatever the extension."""

    def __init__(self, source: Source) -> None:
        self._by_stem: dict[str, list[tuple[tuple[str, ...], File]]] = {}
        self._folders: set[tuple[str, ...]] = set()
        for file in source.files:
            if file.suffix in AUDIO and file.size is not None:
                parts = _parts(source.below(file))
                self._by_stem.setdefault(parts[-1], []).append((parts, file))
                self._folders.update(parts[:end] for end in range(len(parts)))

    def find(self, wanted: str, folder: str = "") -> File | None:
        """Return the file that a table in ``folder`` calls ``wanted``; both relative to the dataset's folder.

        It lies where the name leads from there; else anywhere below at the end of a path that ends so; else, if there is
        no audio below the table's folder, anywhere in the dataset. A path of another machine finds the file whose own
        path is the longest end of it.

        Raises:
            ValueError: several files may be meant that do not differ in the extension alone.
        """
        parts, base = tuple(part for part in _parts(wanted) if part != ".."), _folders(folder)
        named = self._by_stem.get(parts[-1], []) if parts else []
        if parts[:1] == ("/",):
            ends = [(found, file) for found, file in named if parts[-len(found) :] == found]
            longest = max((len(found) for found, _ in ends), default=0)
            return self._best([(found, file) for found, file in ends if len(found) == longest], wanted)
        led = _parts(posixpath.normpath(posixpath.join(folder, wanted)))
        exact = [(found, file) for found, file in named if found == led]
        ends = [(found, file) for found, file in named if found[-len(parts) :] == parts]
        below = [(found, file) for found, file in ends if found[: len(base)] == base]
        elsewhere = [] if base in self._folders else ends
        return self._best(exact or below or elsewhere, wanted)

    @staticmethod
    def _best(found: list[tuple[tuple[str, ...], File]], wanted: str) -> File | None:
        if len(found) < 2:
            return found[0][1] if found else None
        files, suffix = [file for _, file in found], PurePosixPath(wanted).suffix.lower()
        if len({parts for parts, _ in found}) > 1:
            raise ValueError(f"{wanted!r} may be {len(files)} files, e.g. {files[0].path!r} and {files[1].path!r}")
        return min(files, key=lambda file: (file.suffix != suffix, rank(file.suffix), file.path))


def _parts(path: str) -> tuple[str, ...]:
    """Return a path's parts, composed as Unicode's NFC, the last without the extension of an audio file.

    That of an absolute path begins with ``/``. A table may have millions of names, for which `pathlib` is slow.
    """
    *folders, name = composed(path).split("/")
    stem, _, extension = name.rpartition(".")
    parts = [part for part in (*folders, stem if f".{extension}".lower() in AUDIO else name) if part not in ("", ".")]
    return ("/", *parts) if path.startswith("/") else tuple(parts)


@lru_cache(maxsize=64)
def _folders(path: str) -> tuple[str, ...]:
    return PurePosixPath(composed(path)).parts
