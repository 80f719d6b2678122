"""UrbanSound8K (Salamon et al., ACM MM 2014): 8,732 slices of Freesound recordings in ten classes and ten folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_table
from schemas.ids import record_id

PAGE = "https://urbansounddataset.weebly.com/urbansound8k.html"
WHOLE_LICENCE = "CC BY-NC 3.0"
_OURS = {f"fold{n}": "train" for n in range(1, 9)} | {"fold9": "val", "fold10": "test"}
"""UrbanSound8K has no official split; its authors ask for cross-validation over the folds: ``splits`` may say which."""
SPLITS = tuple(_OURS)
_RATING = {"1": 1.0, "2": 0.5}
"""Salience, foreground or background, as a rating: predominant or present."""
_TABLE = {"name": "slice_file_name", "sound": "fsID", "salience": "salience", "fold": "fold", "label": "class"}


def metadata_files(source: Source) -> list[Path]:
    """Return the table of slices."""
    table = source.metadata("UrbanSound8K.csv")
    if not table:
        raise source.lacks("UrbanSound8K.csv (published in metadata/)", PAGE)
    return table[:1]


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per slice.

    The file is the slice, so its place in the recording is left out, as for every dataset of excerpts that were
    cut by their publisher: a slice of 0.3 s that someone padded to 4 s must not be cut once more.
    """
    (table,) = metadata_files(source)
    for number, row in read_table(table, **_TABLE):
        fold = f"fold{row['fold']}" if row else ""
        if row is None or not (row["name"] and row["label"]) or fold not in _OURS or row["salience"] not in _RATING:
            yield bad_row(
                source.name, table, number, "is not a file name with its salience (1, 2), fold (1-10) and class"
            )
            continue
        stem = Path(row["name"]).stem
        yield source.row(
            record_id(source.name, stem),
            source.audio((stem,)),
            row["name"],
            source.split(fold, _OURS[fold]),
            licence=WHOLE_LICENCE,
            recording_id=f"fs:{row['sound']}" if row["sound"] else None,
            labels=[{"name": row["label"], "class_id": None, "rating": _RATING[row["salience"]]}],
        )
