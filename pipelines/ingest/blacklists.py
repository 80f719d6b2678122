"""The blacklists of WavCaps: what its authors left out of training, as canonical recordings instead of file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.ingest.texts import read_json
from schemas.errors import UserError

PAGE = "https://huggingface.co/datasets/cvssp/WavCaps"
_SOURCES = {"AudioSet": "yt", "BBC_Sound_Effects": "bbc", "FreeSound": "fs", "SoundBible": "sb"}
"""WavCaps' word for a source -> the prefix of its recordings."""


def read_blacklists(folder: Path) -> dict[str, frozenset[str]]:
    """Return the recordings on each blacklist of a dataset, by the list's name, e.g. ``exclude_test_ac``; none if it has none.

    A name there is ``Y<YouTube id>.wav`` or a number of FreeSound's, with or without an extension. By file names a list
    silently does nothing where the files are FLAC; by recordings it holds.

    Args:
        folder: the dataset's folder, with ``blacklist/`` in it or one folder below.

    Raises:
        UserError: a list is not ``{source: [names]}`` of the sources of WavCaps.
    """
    found = sorted(folder.glob("blacklist/*.json")) or sorted(folder.glob("*/blacklist/*.json"))
    lists: dict[str, frozenset[str]] = {}
    for path in found:
        name = path.stem.removeprefix("blacklist_")
        lists[name] = lists.get(name, frozenset()) | _recordings(path)
    return lists


def _recordings(path: Path) -> set[str]:
    listed: Any = read_json(path)
    if not isinstance(listed, dict) or not all(
        source in _SOURCES and isinstance(names, list) for source, names in listed.items()
    ):
        raise UserError(f"{path}: does not list names by {', '.join(_SOURCES)}; it comes from {PAGE}")
    return {f"{_SOURCES[source]}:{_own(source, str(name))}" for source, names in listed.items() for name in names}


def _own(source: str, name: str) -> str:
    """Return a source's own id of a file, as in ``recording_id``."""
    stem = name.removesuffix(".wav").removesuffix(".flac")
    return stem.removeprefix("Y") if source == "AudioSet" else stem
