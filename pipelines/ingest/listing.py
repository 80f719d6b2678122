"""What lies in a dataset's folder: one listing, in which audio is found by its name without the extension."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipelines.core.stage import Refusal
from schemas import tables
from schemas.errors import UserError

AUDIO = frozenset(
    "." + name
    for name in (
        "3gp",
        "aac",
        "ac3",
        "aif",
        "aifc",
        "aiff",
        "amr",
        "ape",
        "asf",
        "au",
        "avi",
        "caf",
        "dsf",
        "dts",
        "flac",
        "flv",
        "m4a",
        "m4b",
        "m4v",
        "mka",
        "mkv",
        "mov",
        "mp2",
        "mp3",
        "mp4",
        "mpc",
        "mpeg",
        "mpg",
        "oga",
        "ogg",
        "ogv",
        "opus",
        "rf64",
        "snd",
        "spx",
        "tak",
        "tta",
        "w64",
        "wav",
        "wave",
        "weba",
        "webm",
        "wma",
        "wmv",
        "wv",
    )
)
"""Extensions under which sound is published, lower case."""
_LOSSLESS = (".wav", ".flac", ".aiff", ".aif")


@dataclass(frozen=True, slots=True)
class File:
    """A file: its POSIX path relative to ``data.root`` and its size in bytes; None: it is no regular file."""

    path: str
    size: int | None

    @property
    def stem(self) -> str:
        """The name without its last extension, composed as Unicode's NFC: file systems differ."""
        return unicodedata.normalize("NFC", PurePosixPath(self.path).stem)

    @property
    def suffix(self) -> str:
        """The extension, lower case."""
        return PurePosixPath(self.path).suffix.lower()


@dataclass(frozen=True)
class Source:
    """One dataset as an adapter sees it.

    Attributes:
        name: the dataset's name in identifiers.
        root: ``data.root``.
        folder: the dataset's folder, in ``root``.
        splits: publisher's split -> our split, as far as the recipe names them.
        files: every file below the folder, in order of folders and names.
    """

    name: str
    root: Path
    folder: Path
    splits: dict[str, str]
    files: tuple[File, ...]

    def split(self, published: str, default: str) -> str:
        """Return the recipe's word for a publisher's split, else ``default``."""
        return self.splits.get(published, default)

    @cached_property
    def _by_stem(self) -> dict[str, list[File]]:
        found: dict[str, list[File]] = {}
        for file in self.files:
            if file.suffix in AUDIO and file.size is not None:
                found.setdefault(file.stem, []).append(file)
        return found

    def audio(self, stems: Iterable[str], folders: tuple[str, ...] = (), foreign: tuple[str, ...] = ()) -> File | None:
        """Return the audio file whose name without extension is the first of ``stems`` that there is.

        Args:
            stems: names without extension, the most telling first.
            folders: of several files, those below a folder with one of these words in its name come first.
            foreign: files below a folder with one of these words in its name belong to someone else.
        """
        for stem in stems:
            named = self._by_stem.get(unicodedata.normalize("NFC", stem), ())
            own = [file for file in named if not self._lies(file, foreign)]
            if own:
                return min(own, key=lambda file: self._rank(file, folders))
        return None

    def _rank(self, file: File, folders: tuple[str, ...]) -> tuple[bool, bool, str]:
        return not self._lies(file, folders), file.suffix not in _LOSSLESS, file.path

    def _lies(self, file: File, words: tuple[str, ...]) -> bool:
        above = self.below(file).rpartition("/")[0]
        return any(word in above for word in words)

    def below(self, file: File) -> str:
        """Return a file's path relative to the dataset's folder, POSIX."""
        return file.path[len(self._prefix) :]

    @cached_property
    def _prefix(self) -> str:
        base = self.folder.relative_to(self.root).as_posix()
        return "" if base == "." else base + "/"

    def metadata(self, *names: str) -> list[Path]:
        """Return the metadata files of these names in the folder, else a folder below; ``*`` is any text."""
        here = {name: sorted(self.folder.glob(name)) for name in names}
        return [path for name in names for path in here[name] or sorted(self.folder.glob(f"*/{name}"))]

    def lacks(self, names: str, page: str) -> UserError:
        """Return the error that says which metadata file is missing, where, and where it comes from."""
        where = f"{self.folder} or the folders in it"
        return UserError(f"dataset {self.name}: there is no {names} in {where}; it comes from {page}")

    def row(
        self, record_id: str, file: File | None, wanted: str, split: str, **columns: object
    ) -> dict[str, object] | Refusal:
        """Return a row of ``records``, or the refusal of a row whose audio file ``wanted`` is not there.

        Args:
            record_id: the row's identifier.
            file: what :meth:`audio` found.
            wanted: the file's name as the publisher gives it.
            split: our split.
            columns: the other columns; lists are empty and the rest is null unless given.
        """
        if file is None:
            words = f"no audio file of the name {wanted!r}, whatever its extension, in this dataset"
            return Refusal(record_id, "missing_audio", words)
        if not is_text(file.path):
            return Refusal(record_id, "bad_file_name", f"the file's name is not UTF-8: {file.path!r}")
        row: dict[str, object] = dict.fromkeys(tables.schema("records").names)
        row |= {"labels": [], "events": [], "keywords": [], "captions": []}
        row |= {"record_id": record_id, "dataset": self.name, "split": split}
        return row | {"source_path": file.path, "file_bytes": file.size} | columns


def is_text(name: str) -> bool:
    """Say whether a file name is text that a table can hold; on POSIX it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path, root: Path, without: Path | None = None) -> tuple[File, ...]:
    """Return every file below ``folder``, hidden ones left out, with paths relative to ``root``.

    Links to folders are followed after all real folders; no folder is entered twice, whatever leads to it.

    Args:
        folder: where to look, in ``root``.
        root: what paths are relative to.
        without: a folder that is left out, e.g. the run's own.

    Raises:
        UserError: a folder cannot be read.
    """
    base = folder.relative_to(root).as_posix()
    found = _walk(folder, "" if base == "." else base + "/", without)
    return tuple(sorted(found, key=lambda file: file.path.split("/")))


def _walk(folder: Path, prefix: str, without: Path | None) -> Iterator[File]:
    entered = {_identity(without)} if without is not None and without.is_dir() else set()
    folders, links = [(os.fspath(folder), prefix)], list[tuple[str, str]]()
    while folders or links:
        path, prefix = folders.pop() if folders else links.pop(0)
        identity = _identity(path)
        if identity in entered:
            continue
        entered.add(identity)
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append((entry.path, f"{prefix}{entry.name}/"))
            else:
                yield File(prefix + entry.name, entry.stat().st_size if entry.is_file() else None)


def _identity(path: str | Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
