"""The DNS Challenge's training material (Reddy et al., 2020 to 2023): noises, and clean speech and singing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import AUDIO, Source
from schemas.ids import record_id

PAGE = "https://github.com/microsoft/DNS-Challenge"
_KINDS = {"noise": "noise", "noise_fullband": "noise", "clean": "clean", "clean_fullband": "clean"}
_FREESOUND = re.compile(r"([A-Za-z][A-Za-z_]*?)_Freesound_validated_(.+?)(?:_\d+)?")
"""``<word>_Freesound_validated_<sound>_<piece>``; a few sounds have no number: nobody says whence they come."""
_YOUTUBE = re.compile(r"Y?([A-Za-z0-9_-]{10}[AEIMQUYcgkosw048])(?:[_-]\d[\d._-]*)?")
"""An id is 64 bits in 11 characters of 6 bits, so that the last one is one of 16."""
_DEMAND = re.compile(r"[A-Z]+_ch\d\d", re.ASCII)
"""A channel of DEMAND: ``NFIELD_ch08`` has the form of an id of YouTube."""
_CHAPTER = re.compile(r"book_\d+_chp_\d+_reader_\d+(?=_)", re.ASCII)


@dataclass(frozen=True)
class _Told:
    """What a file's place and name tell; the licences are those that the challenge's README gives."""

    recording_id: str | None = None
    label: str | None = None
    licence: str | None = None


def metadata_files(source: Source) -> list[Path]:
    """Return none: the folders and names say all there is."""
    return []


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    """Yield a row per file below ``noise`` or ``clean``, under any of the names that the challenges gave them.

    There is no published split. ``clean`` and ``noise`` may be named in ``splits``. Test sets, impulse responses
    and mixtures are left out.
    """
    found = False
    for file in source.files:
        if file.suffix not in AUDIO or file.size is None:
            continue
        folders = file.path.lower().split("/")[:-1]
        kind = next((_KINDS[folder] for folder in reversed(folders) if folder in _KINDS), None)
        key = record_id(source.name, source.below(file))
        if any("testset" in folder.replace("_", "") for folder in folders):
            yield key, "part_of_a_test_set"
            continue
        if kind is None:
            yield key, "neither_noise_nor_clean"
            continue
        found = True
        told = _noise(file.stem) if kind == "noise" else _clean(file.stem, folders)
        yield source.row(
            key,
            file,
            file.path,
            source.split(kind, "train"),
            licence=told.licence,
            recording_id=told.recording_id,
            labels=[{"name": told.label, "class_id": None}] if told.label else [],
        )
    if not found:
        raise source.lacks("audio below noise/, noise_fullband/, clean/ or clean_fullband/", PAGE)


def _sung(folder: str) -> bool:
    return folder == "singing_voice" or folder.startswith("vocalset")


def _noise(stem: str) -> _Told:
    """Return what a noise's name tells. AudioSet's CC BY 4.0 is for its labels: the licence of a video is unknown."""
    if named := _FREESOUND.fullmatch(stem):
        word, sound = named.groups()
        if sound.isdecimal():
            return _Told(f"fs:{sound}", word, "CC0 1.0")
        return _Told(f"dns:{word}_{sound}", word)
    if (video := _YOUTUBE.fullmatch(stem)) and not _DEMAND.match(stem):
        return _Told(f"yt:{video[1]}")
    return _Told()


def _clean(stem: str, folders: list[str]) -> _Told:
    """Return what a clean file's place and name tell; the pieces of a chapter are one recording."""
    if any(map(_sung, folders)):
        return _Told(None, "Singing", "CC BY 4.0")
    if chapter := _CHAPTER.match(stem):
        return _Told(f"dns:{chapter[0]}", "Speech", "public domain")
    return _Told(None, "Speech")
