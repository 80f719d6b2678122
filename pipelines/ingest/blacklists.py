"""The blacklists of WavCaps: what its authors left out of training, as canonical recordings instead of file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.ingest.adapters import youtube
from pipelines.ingest.texts import read_json
from schemas.errors import UserError

PAGE = "https://huggingface.co/datasets/cvssp/WavCaps"
_SOURCES = {"AudioSet": "yt", "BBC_Sound_Effects": "bbc", "FreeSound": "fs", "SoundBible": "sb"}
"""WavCaps' word for a source -> the prefix of its recordings."""
_OWN = {"bbc": re.compile("[A-Za-z0-9]+"), "fs": re.compile("[0-9]+"), "sb": re.compile("[0-9]+")}
"""What a source's own ids are; those of YouTube are the adapters' to know."""
_UNKNOWN = "Not found"
"""Clotho's word for a sound whose id its authors do not know; it stands in two of the published lists."""


@dataclass(frozen=True)
class Blacklist:
    """One blacklist.

    Attributes:
        recordings: the recordings that it names.
        unnamed: entries of it that name none.
    """

    recordings: frozenset[str]
    unnamed: int


def read_blacklists(folder: Path) -> dict[str, Blacklist]:
    """Return each blacklist of a dataset by its name, e.g. ``exclude_test_ac``; none if it has none.

    A name there is ``Y<YouTube id>.wav`` or a number of FreeSound's, with or without an extension. By file names a list
    silently does nothing where the files are FLAC; by recordings it holds. Lists of one name are one list.

    Args:
        folder: the dataset's folder, with ``blacklist/`` in it or one folder below.

    Raises:
        UserError: a list is not ``{source: [names]}`` of the sources of WavCaps, or a name is none of its source's.
    """
    lists: dict[str, Blacklist] = {}
    for path in sorted(folder.glob("blacklist/*.json")) or sorted(folder.glob("*/blacklist/*.json")):
        name, found = path.stem.removeprefix("blacklist_"), _read(path)
        before = lists.get(name, Blacklist(frozenset(), 0))
        lists[name] = Blacklist(before.recordings | found.recordings, before.unnamed + found.unnamed)
    return lists


def _read(path: Path) -> Blacklist:
    listed: Any = read_json(path)
    if not isinstance(listed, dict) or not all(
        source in _SOURCES and isinstance(names, list) for source, names in listed.items()
    ):
        raise UserError(f"{path}: does not list names by {', '.join(_SOURCES)}; it comes from {PAGE}")
    names = [(source, str(name)) for source, each in listed.items() for name in each]
    known = [(source, name) for source, name in names if name != _UNKNOWN]
    return Blacklist(frozenset(_recording(path, *name) for name in known), len(names) - len(known))


def _recording(path: Path, source: str, name: str) -> str:
    """Return the recording that a source's own name of a file means."""
    prefix, stem = _SOURCES[source], name.partition(".")[0]
    if prefix == "yt":
        clip = youtube.clip(name)
        own = clip.ytid if clip else None
    else:
        own = stem if _OWN[prefix].fullmatch(stem) else None
    if own is None:
        raise UserError(f"{path}: {name!r} is no name of {source}'s; mend it, every name on a list counts")
    return f"{prefix}:{own}"
