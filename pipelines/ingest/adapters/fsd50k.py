"""FSD50K (Fonseca et al., TASLP 2022): 51,197 Freesound clips with labels of the AudioSet ontology."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_json, read_table
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://zenodo.org/records/4060432"
_OURS = {"train": "train", "val": "val", "eval": "test", "dev": "train"}
SPLITS = ("train", "val", "eval")
_TRUTH = ("dev.csv", "eval.csv")
_INFOS = ("dev_clips_info_FSD50K.json", "eval_clips_info_FSD50K.json")
_RATINGS = "pp_pnp_ratings*.json"


def metadata_files(source: Source) -> list[Path]:
    """Return the ground truth, and the files of titles, tags and licences and of ratings if they are there.

    ``vocabulary.csv`` is not read: it has no header, and each row of the ground truth gives names and MIDs itself.
    """
    truth = source.metadata(*_TRUTH)
    if not truth:
        raise source.lacks("dev.csv or eval.csv (published in FSD50K.ground_truth/)", PAGE)
    return truth + (source.metadata(*_INFOS) or source.metadata("*clips_info*.json")) + source.metadata(_RATINGS)


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip; one whose own licence is not told has none, though the whole is CC BY 4.0.

    A label's rating is the mean of those that people gave it; labels that follow from others were never rated.
    A title or description is no caption: both are kept as the uploader wrote them.
    """
    files = metadata_files(source)
    told = [(path.match(_RATINGS), _by_clip(path)) for path in files if path.suffix == ".json"]
    about = {clip: facts for ratings, clips in told if not ratings for clip, facts in clips.items()}
    rated = {clip: facts for ratings, clips in told if ratings for clip, facts in clips.items()}

    @cache
    def split(published: str) -> str:
        return source.split(published, _OURS.get(published, published))

    for path in files:
        if path.name not in _TRUTH:
            continue
        for number, row in read_table(path, name="fname", labels="labels", mids="mids", split="split?"):
            labels, mids = (row[key].split(",") if row and row[key] else [] for key in ("labels", "mids"))
            if row is None or not row["name"] or len(labels) != len(mids):
                yield bad_row(source.name, path, number, "is not a file name with as many labels as mids")
                continue
            name = row["name"]
            facts, ratings = about.get(name, {}), rated.get(name, {})
            yield source.row(
                record_id(source.name, name),
                source.audio((name,)),
                name,
                split(row["split"] or path.stem),
                facts.get("license") or None,
                recording_id=f"fs:{name}",
                labels=[
                    {"name": label, "class_id": mid, "rating": _mean(ratings.get(mid))}
                    for label, mid in zip(labels, mids, strict=True)
                ],
                keywords=[str(tag) for tag in facts.get("tags") or []],
                title=facts.get("title") or None,
                description=facts.get("description") or None,
                attribution=facts.get("uploader") or None,
            )


def _by_clip(path: Path) -> dict[str, dict[str, Any]]:
    """Return what is told of each clip, by its Freesound id."""
    clips = read_json(path)
    if not isinstance(clips, dict) or not all(isinstance(facts, dict) for facts in clips.values()):
        raise UserError(f"{path}: does not list clips by their ids; it comes from {PAGE}")
    return clips


def _mean(ratings: list[float] | None) -> float | None:
    return fmean(ratings) if ratings else None
