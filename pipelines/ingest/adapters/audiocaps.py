"""AudioCaps (Kim et al., NAACL-HLT 2019), 1.0 and 2.0: AudioSet's segments of ten seconds with captions written by people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import youtube
from pipelines.ingest.adapters.audioset import SEGMENT_S
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_table
from schemas.ids import record_id

PAGE = "https://github.com/cdjkim/audiocaps"
LICENCE = "academic use"
_OURS = {"test": "test", "val": "val", "train": "train"}
"""The lists for evaluation come first: a clip that two lists hold is a row of the first, and refused in the second."""
SPLITS = tuple(_OURS)
_TABLE = {
    "caption_id": "audiocap_id audiocaps_id",
    "ytid": "youtube_id",
    "start": "start_time",
    "caption": "caption",
}


def metadata_files(source: Source) -> list[Path]:
    """Return the lists of captions."""
    lists = [f"{part}.csv" for part in _OURS]
    found = source.metadata(*lists)
    if not found:
        raise source.lacks(f"{' or '.join(lists)} (published in dataset/)", PAGE)
    return found


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip, with all captions that it has, one in training and five in evaluation.

    The lines of a clip do not follow each other. Lists of one name, such as those of 1.0 and 2.0, are one list, in
    which a caption is known by its ``audiocap_id``; mirrors name files by that too.
    """
    files, find = metadata_files(source), youtube.Finder(source)
    for part, ours in _OURS.items():
        split = source.split(part, ours)
        clips: dict[tuple[str, float], dict[str, str]] = {}
        for path in files:
            if path.stem != part:
                continue
            for number, line in read_table(path, **_TABLE):
                start_s = youtube.seconds(line["start"]) if line else None
                if line is None or start_s is None or not youtube.is_id(line["ytid"]) or not line["caption"]:
                    yield bad_row(source.name, path, number, "is not a YouTube id, a start in seconds and a caption")
                    continue
                clips.setdefault((line["ytid"], start_s), {})[line["caption_id"]] = line["caption"]
        for (ytid, start_s), captions in clips.items():
            file, film = find(ytid, start_s, start_s + SEGMENT_S, last=captions)
            yield source.row(
                record_id(source.name, ytid, round(start_s * 1000)),
                file,
                ytid,
                split,
                LICENCE,
                film,
                recording_id=f"yt:{ytid}",
                start_s=start_s,
                end_s=start_s + SEGMENT_S,
                captions=list(captions.values()),
            )
