"""VGGSound (Chen et al., ICASSP 2020): films of ten seconds, each with one of 309 labels in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import youtube
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_lines
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/vggsound/"
SEGMENT_S = 10.0
_OURS = {"train": "train", "test": "test"}
SPLITS = tuple(_OURS)
_WHOLE = "vggsound.csv"
_FILE = re.compile(r"([A-Za-z0-9_-]{11})_(\d+)(?:\.\w+)?")


def metadata_files(source: Source) -> list[Path]:
    """Return the list of all clips, else the older lists of the training and of the test clips."""
    found = source.metadata(_WHOLE)[:1] or source.metadata(*(f"{part}.csv" for part in _OURS))
    if not found:
        raise source.lacks(f"{_WHOLE}, train.csv or test.csv (published in data/)", PAGE)
    return found


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip.

    The licence of the list, CC BY 4.0, is not that of the films, which is unknown.

    Raises:
        UserError: no line of a file is a clip.
    """

    @cache
    def split(published: str) -> str:
        return source.split(published, _OURS.get(published, published))

    find = youtube.Finder(source)
    for path in metadata_files(source):
        bad = good = 0
        for number, fields in read_lines(path):
            clip = _clip(fields, path.stem)
            if clip is None:
                bad += 1
                words = "is not `YouTube id,start,label,split`, nor `<id>_<start>.mp4,label`"
                yield bad_row(source.name, path, number, words)
                continue
            good += 1
            ytid, start_s, label, published = clip
            file, film = find(ytid, start_s, start_s + SEGMENT_S)
            yield source.row(
                record_id(source.name, ytid, round(start_s * 1000)),
                file,
                f"{ytid}_{int(start_s):06d}",
                split(published),
                film=film,
                recording_id=f"yt:{ytid}",
                start_s=start_s,
                end_s=start_s + SEGMENT_S,
                labels=[{"name": label, "class_id": None, "rating": None}],
            )
        if bad and not good:
            words = "no line is `YouTube id,start in seconds,label,split`, nor `<id>_<start>.mp4,label`"
            raise UserError(f"{path}: {words}; it comes from {PAGE}")


def _clip(fields: list[str], part: str) -> tuple[str, float, str, str] | None:
    """Return YouTube id, start in seconds, label and published split; None: the line is no clip."""
    if len(fields) == 2 and (named := _FILE.fullmatch(fields[0])):
        return (named[1], float(named[2]), fields[1], part) if fields[1] else None
    if len(fields) != 4:
        return None
    ytid, start, label, published = (field.strip() for field in fields)
    start_s = youtube.seconds(start)
    return (ytid, start_s, label, published) if youtube.is_id(ytid) and start_s is not None and label else None
