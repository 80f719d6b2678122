"""Clotho (Drossos et al., ICASSP 2020): Freesound excerpts of 15 to 30 s with five captions each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_table
from schemas.ids import record_id

PAGE = "https://zenodo.org/records/4783391"
_OURS = {"development": "train", "validation": "val", "evaluation": "test"}
SPLITS = tuple(_OURS)
_CAPTIONS = {"file": "file_name"} | {f"caption_{i}": f"caption_{i}" for i in range(1, 6)}
_METADATA = {
    "file": "file_name",
    "keywords": "keywords",
    "sound": "sound_id",
    "author": "manufacturer?",
    "licence": "license licence?",
}


def metadata_files(source: Source) -> list[Path]:
    """Return the caption files, and the metadata files if they are there."""
    lists = [f"clotho_captions_{part}.csv" for part in _OURS]
    captions = source.metadata(*lists)
    if not captions:
        raise source.lacks(" or ".join(lists), PAGE)
    return captions + source.metadata(*(f"clotho_metadata_{part}.csv" for part in _OURS))


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip, under its recording's own licence; the captions are for academic use.

    A clip is named by its Freesound id, where the publisher found it and no other clip has it; else by its
    file; and where two parts have a file of one name, by part and file.
    """
    tables = {
        path.name: list(read_table(path, **(_METADATA if "_metadata_" in path.name else _CAPTIONS)))
        for path in metadata_files(source)
    }
    captions = {part: tables.get(f"clotho_captions_{part}.csv", []) for part in _OURS}
    metadata = {part: tables.get(f"clotho_metadata_{part}.csv", []) for part in _OURS}
    about = {part: {row["file"]: row for _, row in lines if row} for part, lines in metadata.items()}
    sounds = Counter(facts["sound"] for part in about.values() for facts in part.values())
    names = Counter(row["file"] for part in captions.values() for _, row in part if row)
    for part, lines in captions.items():
        split = source.split(part, _OURS[part])
        others = tuple(other for other in _OURS if other != part)
        for number, row in lines:
            if row is None or not row["file"]:
                table = Path(f"clotho_captions_{part}.csv")
                yield bad_row(source.name, table, number, "is not a file name and five captions")
                continue
            # Three names begin with a space, which archivers and file systems may drop.
            name, stem = row["file"], Path(row["file"]).stem
            facts = about[part].get(name, {})
            sound = facts.get("sound", "")
            known = sound.isdecimal()
            own = sound if known and sounds[sound] == 1 else name if names[name] == 1 else f"{part}-{name}"
            yield source.row(
                record_id(source.name, own),
                source.audio((stem, stem.strip()), (part,), others),
                name,
                split,
                facts.get("licence") or None,
                recording_id=f"fs:{sound}" if known else None,
                captions=[text for column, text in row.items() if column != "file" and text],
                keywords=[word for word in facts.get("keywords", "").split(";") if word],
                title=stem.strip(),
                attribution=facts.get("author") or None,
            )
