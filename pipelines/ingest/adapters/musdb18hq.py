"""MUSDB18-HQ (Rafii et al., 2019): 150 songs as stems, of which drums, bass and vocals are single sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import AUDIO, File, Source
from schemas.errors import UserError
from schemas.ids import record_id, slug

PAGE = "https://zenodo.org/records/3338373"
WHOLE_LICENCE = "academic purposes only"
_SINGLE = ("bass", "drums", "vocals")
_OURS = {"train": "train", "dev": "train", "valid": "val", "test": "test"}
"""The publisher has train and test, earlier called dev; valid is where others put the 14 songs that musdb names."""


def metadata_files(source: Source) -> list[Path]:
    """Return none: the folders say all there is."""
    return []


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    """Yield a row per single-source stem of every song, there or not; the other files of a song are left out.

    The stems of a song are one recording: what one of them gives away of the song, the others do.
    """
    for (published, song), stems in _songs(source).items():
        split = source.split(published, _OURS[published])
        artist, _, title = song.partition(" - ")
        for stem in sorted({*_SINGLE, *stems}):
            key = record_id(source.name, f"{stem} {song}")
            if stem not in _SINGLE:
                yield key, "not_a_single_source"
                continue
            yield source.row(
                key,
                stems.get(stem),
                f"{published}/{song}/{stem}.wav",
                split,
                licence=WHOLE_LICENCE,
                recording_id=f"musdb:{slug(song)}",
                labels=[{"name": stem, "class_id": None}],
                attribution=artist if title else None,
            )


def _songs(source: Source) -> dict[tuple[str, str], dict[str, File]]:
    """Return the files of each song by their stem, by the publisher's split and the song's folder."""
    songs: dict[tuple[str, str], dict[str, File]] = {}
    for file in source.files:
        *_, part, song, _ = ["", "", *file.path.split("/")]
        if part.lower() in _OURS and file.suffix in AUDIO and file.size is not None:
            songs.setdefault((part.lower(), song), {}).setdefault(file.stem.lower(), file)
    if not songs and any(file.path.endswith(".stem.mp4") for file in source.files):
        words = "holds .stem.mp4 files, which are MUSDB18; this adapter reads the WAV files of MUSDB18-HQ"
        raise UserError(f"dataset {source.name}: {source.folder} {words} (musdb18hq.zip), from {PAGE}")
    if not songs:
        raise source.lacks("train/<song>/drums.wav or test/<song>/drums.wav", PAGE)
    return songs
