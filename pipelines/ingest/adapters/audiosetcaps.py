"""AudioSetCaps (Bai et al., TASLP 2025): captions made by models for clips of AudioSet, VGGSound and YouTube-8M.

The tables of the release have the columns ``id`` and ``caption``, and hold ``Y<id>`` for AudioSet's clips, ``<id>_<start in six
digits>`` for VGGSound's and ``<id>_<start>_<length>`` for YouTube-8M's, as published programs show that read them. The
answers in ``*_Q&A.csv``, of which the captions were made, are not read.
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
    "https://huggingface.co/datasets/baijs/AudioSetCaps",
    {
        "AudioSetCaps_caption.csv": ("AudioSet", "train"),
        "VGGSound_AudioSetCaps_caption.csv": ("VGGSound", "train"),
        "YouTube-8M_AudioSetCaps_caption.csv": ("YouTube-8M", "train"),
    },
)


def metadata_files(source: Source) -> list[Path]:
    """Return the tables, and AudioSet's segment lists if they are there."""
    return _TABLES.files(source) + segment_lists(source)


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip, all for training: there is no split, and evaluation clips of AudioCaps and VGGSound are among them.

    The captions' licence, CC BY 4.0, is not that of the audio, which is unknown.
    """
    return _TABLES.rows(source, _TABLES.files(source))
