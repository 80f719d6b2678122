"""Weights on disk: where they are looked for, what they hash to, and what is said when they are not there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


class MissingWeights(LookupError):
    """A model's weights are not where they are looked for; the message says where, and how they come there."""


@dataclass(frozen=True)
class Weights:
    """The published weights of one model.

    Attributes:
        folder: name of their folder below `models_folder()`.
        files: the files that must be there.
        place: where they come from: `hub:<owner>/<repository>` or an https address of the one file.
        revision: commit of the repository; empty for an address.
        licence: as the publisher states it; empty: it states none.
        digests: file -> `<algorithm>:<hexadecimal>` as the publisher states it; a file that is missing here is not stated.

    """

    folder: str
    files: tuple[str, ...]
    place: str
    revision: str = ""
    licence: str = ""
    digests: tuple[tuple[str, str], ...] = ()


def models_folder() -> Path:
    """Return the folder that weights lie in: `$EARLOOM_MODELS`, else `earloom/models` in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("EARLOOM_MODELS") or f"{cache}/earloom/models").expanduser()


def locate(name: str, weights: Weights, given: str | None) -> Path:
    """Return the folder of a model's weights, or the one file if `given` names a file.

    Args:
        name: the model, for the message.
        weights: what is looked for.
        given: a path that the recipe sets; None: the models' folder.

    Raises:
        MissingWeights: a file is not there.

    """
    path = Path(given).expanduser() if given else models_folder() / weights.folder
    if given and path.is_file():
        return path
    absent = [file for file in weights.files if not (path / file).is_file()]
    if not absent:
        return path
    if given:
        raise MissingWeights(
            f"{name!r}: its weights are not at {given} ({', '.join(absent)}); set `weights` to where they are"
        )
    raise MissingWeights(
        f"{name!r}: its weights are not in {path} ({', '.join(absent)}); fetch them with `earloom models pull {name}`, "
        "or set `weights` to where they are"
    )


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of the names and hashes of a folder's files, in hexadecimal.

    What is hidden, or lies in a hidden folder, is not counted: downloaders keep their notes there.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
        lines = "".join(f"{file.relative_to(path).as_posix()} {digest(file)}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    facts = path.stat()
    return _digest(str(path), facts.st_size, facts.st_mtime_ns)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@lru_cache(maxsize=256)
def _digest(path: str, size: int, changed_ns: int) -> str:
    """Hash a file once per process as long as it stays as it is: weights are hundreds of megabytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
