"""The validation set of DCASE 2024 task 9, language-queried separation: 1,000 Freesound clips, three captions each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_json, read_table
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://zenodo.org/records/10886481"
_CLIPS, _MIXTURES = "lass_validation.json", "lass_synthetic_validation.csv"
_INDEX = re.compile(r"(\d+)_\d+(?:-[hl]q)?", re.ASCII)
"""``<sound>_<user>-hq``, as Freesound names its previews."""

Clip = tuple[str, list[str], list[str]]
"""A clip's index, captions and tags."""


def metadata_files(source: Source) -> list[Path]:
    """Return the list of clips, else the list of mixtures, which names the same clips and has no tags."""
    found = source.metadata(_CLIPS) or source.metadata(_MIXTURES)
    if not found:
        raise source.lacks(f"{_CLIPS} or {_MIXTURES}", PAGE)
    return found[:1]


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip. Its split, the publisher's ``validation``, is for testing: not for choosing a model."""
    (path,) = metadata_files(source)
    split = source.split("validation", "test")
    for clip in _clips(source, path) if path.name == _CLIPS else _mixed(source, path):
        if isinstance(clip, Refusal):
            yield clip
            continue
        index, captions, tags = clip
        sound = _INDEX.fullmatch(index)
        yield source.row(
            record_id(source.name, index),
            source.audio((index,)),
            f"{index}.wav",
            split,
            recording_id=f"fs:{sound[1]}" if sound else None,
            captions=captions,
            keywords=tags,
        )


def _clips(source: Source, path: Path) -> Iterator[Clip | Refusal]:
    whole = read_json(path)
    if not isinstance(whole, list):
        raise UserError(f"{path}: is no list of clips; it comes from {PAGE}")
    for number, entry in enumerate(whole, 1):
        found = entry if isinstance(entry, dict) else {}
        index = found.get("Index")
        if isinstance(index, str) and index:
            yield index, _texts(found.get("Captions")), _texts(found.get("Tags"))
        else:
            yield bad_row(source.name, path, number, "has no Index", "entry")


def _texts(found: Any) -> list[str]:
    """Return the texts with a letter in them: one of the published captions is the number 0."""
    texts = found if isinstance(found, list) else []
    return [text for text in texts if isinstance(text, str) and any(map(str.isalpha, text))]


def _mixed(source: Source, path: Path) -> Iterator[Clip | Refusal]:
    captions: dict[str, list[str]] = {}
    for number, row in read_table(path, source="source", noise="noise", caption="caption"):
        clip, noise = (row[key].strip() for key in ("source", "noise")) if row else ("", "")
        if row is None or not (clip and noise):
            yield bad_row(source.name, path, number, "is not a source, a noise and a caption")
            continue
        captions.setdefault(noise, [])
        captions.setdefault(clip, []).append(row["caption"])
    yield from ((clip, _texts(list(dict.fromkeys(texts))), []) for clip, texts in captions.items())
