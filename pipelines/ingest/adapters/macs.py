"""MACS (Martín-Morató and Mesaros, DCASE 2021): captions and tags by crowds for TAU Urban Acoustic Scenes 2019."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_text
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://zenodo.org/records/5114771"
WHOLE_LICENCE = "non-commercial academic use"
_NAME = re.compile(r"([a-z_]+)-([a-z]+)-(\d+)-\d+-[a-z]\d?\.\w+", re.ASCII)
"""``<scene>-<city>-<location>-<segment>-<device>.wav``."""
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""Every value as its text: a caption that reads "no" or "12" is no boolean and no number."""


def metadata_files(source: Source) -> list[Path]:
    """Return the annotations; how competent each annotator is (MACS_competence.csv) is not used."""
    found = source.metadata("MACS.yaml")
    if not found:
        raise source.lacks("MACS.yaml", PAGE)
    return found[:1]


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per file, with the sentence of every annotator.

    The recording is the location: its segments of ten seconds were cut from a few recordings of some minutes, made
    within steps of one another, and the names do not say which is from which. The publisher's own split keeps
    locations together too.
    """
    (path,) = metadata_files(source)
    for number, entry in enumerate(_files(path), 1):
        annotations = _annotations(entry)
        if annotations is None:
            yield bad_row(source.name, path, number, "is not a file name with sentences", "entry")
            continue
        name = entry["filename"]
        place = _NAME.fullmatch(name)
        tags = [place[1].replace("_", " ")] if place else []
        tags += [tag for one in annotations for tag in _texts(one.get("tags"))]
        yield source.row(
            record_id(source.name, Path(name).stem),
            source.audio((Path(name).stem,)),
            name,
            source.split("development", "train"),
            licence=WHOLE_LICENCE,
            recording_id=f"tau:{place[1]}-{place[2]}-{place[3]}" if place else None,
            captions=[one["sentence"] for one in annotations],
            keywords=list(dict.fromkeys(tags)),
        )


def _files(path: Path) -> list[Any]:
    try:
        whole = yaml.load(read_text(path), Loader=_LOADER)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    files = whole.get("files") if isinstance(whole, dict) else None
    if not isinstance(files, list):
        raise UserError(f"{path}: has no list `files`; it comes from {PAGE}")
    return files


def _annotations(entry: Any) -> list[dict[str, Any]] | None:
    """Return an entry's annotations that have a sentence; None: it is no entry, or has none."""
    if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str) or not entry["filename"]:
        return None
    found = entry.get("annotations")
    told = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [one for one in told if isinstance(one.get("sentence"), str) and one["sentence"]] or None


def _texts(found: Any) -> list[str]:
    return [text for text in found if isinstance(text, str) and text] if isinstance(found, list) else []
