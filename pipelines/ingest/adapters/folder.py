"""Any folder of recordings: nothing is known of them but their names and what can be heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.headers import read_header
from pipelines.ingest.listing import AUDIO, File, Source
from schemas.ids import record_id


def metadata_files(source: Source) -> list[Path]:
    """Return none: there is no metadata."""
    return []


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    """Yield a row per file that is called like audio, or begins like it; the others are left out by name."""
    split = source.split("all", "train")
    for file in source.files:
        key = record_id(source.name, source.below(file))
        if file.size is None:
            yield Refusal(key, "missing_audio", "not a regular file: a broken link, a pipe or a device")
        elif file.suffix in AUDIO or _begins_like_audio(source, file):
            yield source.row(key, file, file.path, split)
        else:
            yield key, "not_an_audio_file_name"


def _begins_like_audio(source: Source, file: File) -> bool:
    with (source.root / file.path).open("rb") as opened:
        return read_header(opened, file.size or 0).family is not None
