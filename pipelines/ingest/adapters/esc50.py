"""ESC-50 (Piczak, ACM MM 2015): 2,000 Freesound excerpts of 5 s in 50 classes and five folds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_table, read_text
from schemas.ids import record_id

PAGE = "https://github.com/karolpiczak/ESC-50"
WHOLE_LICENCE = "CC BY-NC 3.0"
_OURS = {"fold1": "train", "fold2": "train", "fold3": "train", "fold4": "val", "fold5": "test"}
"""ESC-50 has folds for cross-validation and no official split: a recipe's ``splits`` may say otherwise."""
SPLITS = tuple(_OURS)
_LICENCE = re.compile(r"^- \[(\d-\d+-[A-Z])[a-z]?\.\w+\]:.* by (.+) \[([^\]]+)\]\s*$", re.MULTILINE)
"""A clip, its author and its licence; the file calls one clip, ``5-141683-A``, ``5-141683-Ad``."""
_TABLE = {"name": "filename", "fold": "fold", "category": "category", "sound": "src_file"}


def metadata_files(source: Source) -> list[Path]:
    """Return the table of clips, and the licences per clip if they are there."""
    table = source.metadata("esc50.csv")
    if not table:
        raise source.lacks("esc50.csv (published in meta/)", PAGE)
    return table[:1] + [path for path in source.metadata("LICENSE*") if path.is_file()]


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip, under its own licence where the licence file names one, else under that of the whole."""
    table, *licences = metadata_files(source)
    entries = [entry for path in licences for entry in _LICENCE.findall(read_text(path))]
    about = {clip: (author, licence) for clip, author, licence in entries}

    @cache
    def split(fold: str) -> str:
        return source.split(fold, _OURS.get(fold, fold))

    for number, row in read_table(table, **_TABLE):
        if row is None or not row["name"] or not row["category"]:
            yield bad_row(source.name, table, number, "is not a file name with its fold and category")
            continue
        # `<fold>-<Freesound id>-<take>-<target>`; the licences leave the target out.
        stem = Path(row["name"]).stem
        author, licence = about.get(stem.rpartition("-")[0], (None, WHOLE_LICENCE))
        yield source.row(
            record_id(source.name, stem),
            source.audio((stem,)),
            row["name"],
            split(f"fold{row['fold']}"),
            licence,
            attribution=author,
            recording_id=f"fs:{row['sound']}" if row["sound"] else None,
            labels=[{"name": row["category"], "class_id": None, "rating": None}],
        )
