"""Tables of captions for YouTube clips that others published, as Auto-ACD, AudioSetCaps and Sound-VECaps are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import youtube
from pipelines.ingest.adapters.audioset import SEGMENT_S, segment_lists, segments
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import Line, bad_row, read_table
from schemas.ids import record_id

_COLUMNS = {"clip": "id youtube_id ytid YTID audio_id file_name filename", "caption": "caption captions text"}


@dataclass(frozen=True)
class CaptionTables:
    """The tables of one publication.

    Attributes:
        page: where they come from.
        parts: a table's file name -> its published split, or what else its publisher calls that part, and our split.
    """

    page: str
    parts: dict[str, tuple[str, str]]

    def files(self, source: Source) -> list[Path]:
        """Return the tables that are there, in the order of ``parts``; UserError if none is."""
        found = source.metadata(*self.parts)
        if not found:
            raise source.lacks(" or ".join(self.parts), self.page)
        return found

    def rows(self, source: Source, files: list[Path]) -> Iterator[dict[str, Any] | Refusal]:
        """Yield a row per clip of these tables, with its captions; lines of one clip that follow each other are one row.

        A clip is named ``<YouTube id>`` or ``Y<YouTube id>``, which is AudioSet's segment of that video, or with
        a start, ``<id>_<start>``, and lasts ten seconds. AudioSet's segment is known where its segment lists lie in
        the dataset's folder or a folder there; else start and end are null.
        """
        spans, find = _spans(segment_lists(source)), youtube.Finder(source)
        splits = {name: source.split(*self.parts[name]) for name in dict.fromkeys(path.name for path in files)}
        for path in files:
            for clip, lines in groupby(read_table(path, **_COLUMNS), key=_clip):
                if clip is None:
                    words = "is not the name of a YouTube clip and a caption"
                    yield from (bad_row(source.name, path, number, words) for number, _ in lines)
                    continue
                start_s, end_s = spans.get(clip.ytid, (None, None))
                if clip.start_s is not None:
                    start_s, end_s = clip.start_s, clip.start_s + SEGMENT_S
                file, film = find(clip.ytid, start_s, end_s, first=(clip.stem,))
                yield source.row(
                    record_id(source.name, clip.ytid, None if clip.start_s is None else round(clip.start_s * 1000)),
                    file,
                    clip.stem,
                    splits[path.name],
                    film=film,
                    recording_id=f"yt:{clip.ytid}",
                    start_s=start_s,
                    end_s=end_s,
                    captions=[fields["caption"] for _, fields in lines if fields],
                )


def _clip(line: Line) -> youtube.Clip | None:
    fields = line[1]
    return youtube.clip(fields["clip"]) if fields and fields["caption"] else None


def _spans(lists: list[Path]) -> dict[str, tuple[float, float]]:
    """Return the place of AudioSet's segment of each video, in seconds; few places are shared by millions of videos."""
    places: dict[tuple[float, float], tuple[float, float]] = {}
    found = (segment for path in lists for _, segment in segments(path) if segment)
    return {ytid: places.setdefault((start_s, end_s), (start_s, end_s)) for ytid, start_s, end_s, _ in found}
