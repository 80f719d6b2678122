"""FSD50K (Fonseca et al., TASLP 2022): 51,197 Freesound clips with labels of the AudioSet ontology."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_json, read_table
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://zenodo.org/records/4060432"
_OURS = {"train": "train", "val": "val", "eval": "test"}


def metadata_files(source: Source) -> list[Path]:
    """Return the ground truth, and the files of titles, tags and licences if they are there."""
    truth = source.metadata("dev.csv", "eval.csv")
    if not truth:
        raise source.lacks("dev.csv or eval.csv (published in FSD50K.ground_truth/)", PAGE)
    return truth + source.metadata("*clips_info*.json")


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip; one whose own licence is not told has none, though the whole is CC BY 4.0."""
    files = metadata_files(source)
    infos = [_clips_info(path) for path in files if path.suffix == ".json"]
    about = {clip: facts for clips in infos for clip, facts in clips.items()}
    for path in files:
        if path.suffix == ".json":
            continue
        for number, row in read_table(path, name="fname", labels="labels", mids="mids", split="split?"):
            labels, mids = (row[key].split(",") if row and row[key] else [] for key in ("labels", "mids"))
            if row is None or not row["name"] or len(labels) != len(mids):
                yield bad_row(source.name, path, number, "is not a file name with as many labels as mids")
                continue
            name, published = row["name"], row["split"] or path.stem
            facts = about.get(name, {})
            yield source.row(
                record_id(source.name, name),
                source.audio((name,)),
                name,
                source.split(published, _OURS.get(published, published)),
                recording_id=f"fs:{name}",
                labels=[{"name": label, "class_id": mid} for label, mid in zip(labels, mids, strict=True)],
                keywords=[str(tag) for tag in facts.get("tags") or []],
                licence=facts.get("license") or None,
                attribution=facts.get("uploader") or None,
            )


def _clips_info(path: Path) -> dict[str, dict[str, Any]]:
    """Return what is told of each clip, by its Freesound id."""
    clips = read_json(path)
    if not isinstance(clips, dict) or not all(isinstance(facts, dict) for facts in clips.values()):
        raise UserError(f"{path}: does not list clips by their ids; it comes from {PAGE}")
    return clips
