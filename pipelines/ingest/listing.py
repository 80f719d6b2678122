"""What lies in a dataset's folder: one listing, in which audio is found by its name without the extension."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from pipelines.core.stage import Refusal
from schemas import tables
from schemas.errors import UserError
from schemas.licences import normalise

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
VIDEO = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"}
)
"""Those under which films are published, which have sound too."""
CONTAINERS = frozenset({".arrow", ".parquet", ".tar"})
"""Those of files in which the audio of many records lies."""
_LOSSLESS = (".wav", ".flac", ".aiff", ".aif")
_EMPTY = dict.fromkeys(tables.schema("records").names)
_licence = lru_cache(1024)(normalise)


@dataclass(frozen=True, slots=True)
class File:
    """A file: its POSIX path relative to ``data.root`` and its size in bytes; None: it is no regular file."""

    path: str
    size: int | None

    @property
    def stem(self) -> str:
        """The name without its last extension, composed as Unicode's NFC."""
        name = self.path[self.path.rfind("/") + 1 :]
        dot = name.rfind(".")
        return composed(name[:dot] if dot > 0 else name)

    @property
    def suffix(self) -> str:
        """The extension, lower case."""
        name = self.path[self.path.rfind("/") + 1 :]
        dot = name.rfind(".")
        return name[dot:].lower() if dot > 0 else ""


def composed(name: str) -> str:
    """Return a name composed as Unicode's NFC: file systems and tables differ."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def rank(suffix: str) -> tuple[bool, bool]:
    """Return where a format stands among several of one recording: sound before films, lossless before the rest."""
    return suffix in VIDEO, suffix not in _LOSSLESS


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
    def _audio(self) -> _ByStem:
        return _by_stem(self.files, AUDIO)

    @cached_property
    def _films(self) -> _ByStem:
        return _by_stem(self.files, VIDEO)

    @property
    def stems(self) -> Collection[str]:
        """The names without extension of the files that may be audio."""
        return self._audio.keys()

    def audio(self, stems: Iterable[str], folders: tuple[str, ...] = (), foreign: tuple[str, ...] = ()) -> File | None:
        """Return the audio file whose name without extension is the first of ``stems`` that there is.

        A film has sound too, and is taken where no other file has that name.

        Args:
            stems: names without extension, the most telling first.
            folders: of several files, those below a folder with one of these words in its name come first.
            foreign: files below a folder with one of these words in its name belong to someone else.
        """
        for files in _named(self._audio, stems):
            own = [file for file in files if not self._lies(file, foreign)] if foreign else files
            if own:
                return own[0] if len(own) == 1 else min(own, key=lambda file: self._rank(file, folders))
        return None

    def video(self, stems: Iterable[str]) -> File | None:
        """Return the film whose name without extension is the first of ``stems`` that there is."""
        for files in _named(self._films, stems):
            films = [file for file in files if is_text(file.path)]
            if films:
                return min(films, key=lambda film: film.path)
        return None

    def _rank(self, file: File, folders: tuple[str, ...]) -> tuple[bool, bool, bool, str]:
        return not self._lies(file, folders), *rank(file.suffix), file.path

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
        """Return the metadata files of these names in the folder, else the folders in it; ``*`` is any text."""
        here = {name: sorted(self.folder.glob(name)) for name in names}
        return [
            path
            for name in names
            for path in here[name] or [each for folder in self._folders for each in sorted(folder.glob(name))]
        ]

    @cached_property
    def _folders(self) -> list[Path]:
        """The folders in the folder, by name: its files, which may be millions, are gone through once."""
        try:
            with os.scandir(self.folder) as entries:
                found = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be read ({error.strerror})") from None
        return [self.folder / name for name in sorted(found)]

    def lacks(self, names: str, page: str) -> UserError:
        """Return the error that says which metadata file is missing, where, and where it comes from."""
        where = f"{self.folder} or the folders in it"
        return UserError(f"dataset {self.name}: there is no {names} in {where}; it comes from {page}")

    def row(
        self,
        record_id: str,
        file: File | None,
        wanted: str,
        split: str,
        licence: str | None = None,
        film: File | None = None,
        **columns: object,
    ) -> dict[str, object] | Refusal:
        """Return a row of ``records``; or the refusal of a row whose file's name is not text.

        A row whose audio is not there has a null ``source_path``, and ``wanted`` says which file it was: who is
        in a dataset can be told without its audio.

        Args:
            record_id: the row's identifier.
            file: what :meth:`audio` found.
            wanted: the file's name as the publisher gives it.
            split: our split.
            licence: the licence as published; None: not told.
            film: what :meth:`video` found; it need not be given where ``file`` is a film itself.
            columns: the other columns; lists are empty and the rest is null unless given.
        """
        if file is not None and not is_text(file.path):
            return Refusal(record_id, "bad_file_name", f"the file's name is not UTF-8: {file.path!r}")
        row: dict[str, object] = {
            **_EMPTY,
            "record_id": record_id,
            "dataset": self.name,
            "split": split,
            "wanted": wanted,
            "labels": [],
            "events": [],
            "keywords": [],
            "captions": [],
            "licence": _licence(licence),
            "licence_text": licence or None,
        }
        if file is not None:
            film = file if file.suffix in VIDEO else film
            row["source_path"], row["file_bytes"] = file.path, file.size
            row["video_path"] = film.path if film else None
        row.update(columns)
        return row


_ByStem = dict[str, File | list[File]]
"""Files by the name without extension; as most names are one file's alone, that file stands there without a list."""


def _by_stem(files: Iterable[File], suffixes: frozenset[str]) -> _ByStem:
    found: _ByStem = {}
    for file in files:
        if file.size is None or file.suffix not in suffixes:
            continue
        others = found.setdefault(file.stem, file)
        if isinstance(others, list):
            others.append(file)
        elif others is not file:
            found[file.stem] = [others, file]
    return found


def _named(files: _ByStem, stems: Iterable[str]) -> Iterator[list[File]]:
    """Yield the files of each stem that there is."""
    for stem in stems if files else ():
        if found := files.get(stem if stem.isascii() else composed(stem)):
            yield [found] if isinstance(found, File) else found


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
    # No name holds a NUL, which sorts before all that a name may hold: so folders are ordered, and then their names.
    return tuple(sorted(found, key=lambda file: file.path.replace("/", "\0")))


def _walk(folder: Path, prefix: str, without: Path | None) -> Iterator[File]:
    entered = {_identity(without)} if without is not None and without.is_dir() else set()
    folders, links = [(os.fspath(folder), prefix)], list[tuple[str, str]]()
    while folders or links:
        path, prefix = folders.pop() if folders else links.pop(0)
        below, linked = list[str](), list[str]()
        try:
            identity = _identity(path)
            if identity in entered:
                continue
            entered.add(identity)
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        (linked if entry.is_symlink() else below).append(entry.name)
                    else:
                        yield File(prefix + entry.name, entry.stat().st_size if entry.is_file() else None)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        # Which of two links to one folder is followed must not depend on the file system.
        folders += [(os.path.join(path, name), f"{prefix}{name}/") for name in sorted(below)]
        links += [(os.path.join(path, name), f"{prefix}{name}/") for name in sorted(linked)]


def _identity(path: str | Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
