"""Auto-ACD (Sun et al., ACM MM 2024): captions made by models for clips of AudioSet and VGGSound.

The tables of the release have the columns ``youtube_id`` and ``caption``, and hold ``Y<id>`` for AudioSet's
clips and ``<id>_<start in six digits>`` for VGGSound's, as a published notebook shows that reads them. ``val.csv`` is
accepted though none was seen.
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
    "https://huggingface.co/datasets/Loie/Auto-ACD",
    {"train.csv": ("train", "train"), "val.csv": ("val", "val"), "test.csv": ("test", "test")},
)


def metadata_files(source: Source) -> list[Path]:
    """Return the tables, and AudioSet's segment lists if they are there."""
    return _TABLES.files(source) + segment_lists(source)


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip; the captions' licence is not that of the audio, which is unknown."""
    return _TABLES.rows(source, _TABLES.files(source))
