"""Sound-VECaps (Yuan et al., ICASSP 2025): captions made by models, of what is seen and heard in AudioSet's clips.

The tables of the release have the columns ``id`` and ``caption``, and ids that begin with ``Y``, as published programs show
that read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters.audioset import segment_lists
from pipelines.ingest.adapters.caption_tables import CaptionTables
from pipelines.ingest.listing import Source

_TABLES = CaptionTables(
    "https://zenodo.org/records/12606207",
    {"Sound-VECaps_audio.csv": ("train", "train"), "Sound-VECaps_full.csv": ("train", "train")},
)


def metadata_files(source: Source) -> list[Path]:
    """Return the table, and AudioSet's segment lists if they are there.

    Where both tables lie there, it is the one whose captions say what can be heard, ``Sound-VECaps_audio.csv``; those of
    ``Sound-VECaps_full.csv`` also say what can only be seen, and are read where it lies alone.
    """
    return _TABLES.files(source)[:1] + segment_lists(source)


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip, all for training: there is no split. The audio's licence is unknown."""
    return _TABLES.rows(source, _TABLES.files(source)[:1])
