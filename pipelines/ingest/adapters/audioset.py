"""AudioSet (Gemmeke et al., ICASSP 2017): segments of ten seconds, with strong labels if there are any."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import youtube
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_lines, read_table
from schemas.errors import UserError
from schemas.ids import record_id
from schemas.ontology import default_ontology

PAGE = "https://research.google.com/audioset/download.html"
SEGMENT_S = 10.0
_SEGMENTS = "_segments.csv"
SPLITS = ("balanced_train", "unbalanced_train", "eval")
_OURS = {**dict.fromkeys(SPLITS, "train"), "eval": "test", "train_strong": "train", "eval_strong": "test"}
_STRONG = {"audioset_train_strong.tsv": "train_strong", "audioset_eval_strong.tsv": "eval_strong"}
_EVENT = {
    "segment": "segment_id",
    "onset": "start_time_seconds",
    "offset": "end_time_seconds",
    "mid": "label",
    "present": "present?",
}
_HEARD = ("", "PRESENT")

Segment = tuple[str, float, float, list[str]]
"""YouTube id, start and end in seconds, and MIDs."""
_Event = tuple[float, float, str]
"""Onset and offset in seconds from the segment's start, and the class's name."""


def segment_lists(source: Source) -> list[Path]:
    """Return the segment lists that are there."""
    return source.metadata(*(name + _SEGMENTS for name in SPLITS))


def metadata_files(source: Source) -> list[Path]:
    """Return the segment lists, and the strong labels (Hershey et al., ICASSP 2021) if they are there.

    ``audioset_eval_strong_framed_posneg.tsv`` is not read: what it has beside ``audioset_eval_strong.tsv`` is
    which frames lack a class.
    """
    found = segment_lists(source) + source.metadata(*_STRONG)
    if not found:
        lists = [name + _SEGMENTS for name in SPLITS]
        raise source.lacks(" or ".join([*lists, *_STRONG]), PAGE)
    return found


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per segment, with its place in the video, though its file may be cut to it already.

    A segment that the strong labels alone name is a row too, of ten seconds and without clip labels: users of the
    strong subset often have no segment lists. Its published split is ``train_strong``, since the file does not tell
    which of the two training sets it is from, or ``eval_strong``; that is ``eval`` where the list of ``eval`` lies too.
    """
    files, find = metadata_files(source), youtube.Finder(source)
    splits = {published: source.split(published, ours) for published, ours in _OURS.items()}
    events: dict[str, list[_Event]] = {}
    strong: dict[str, str] = {}
    published = dict(_STRONG)
    if any(path.name == "eval" + _SEGMENTS for path in files):
        published["audioset_eval_strong.tsv"] = "eval"
    for path in files:
        if path.name in _STRONG:
            found = _events(path)
            events |= found
            strong |= dict.fromkeys(found, published[path.name])
    for path in files:
        if path.name in _STRONG:
            continue
        split = splits[path.name.removesuffix(_SEGMENTS)]
        for number, segment in segments(path):
            if segment is None:
                yield bad_row(source.name, path, number, 'is not `YTID, start, end, "labels"`')
                continue
            key = f"{segment[0]}_{round(segment[1] * 1000)}"
            strong.pop(key, None)
            yield _row(find, segment, split, events.get(key, ()) if events else ())
    for key, part in strong.items():
        ytid, _, start_ms = key.rpartition("_")
        start_s = int(start_ms) / 1000
        yield _row(find, (ytid, start_s, start_s + SEGMENT_S, []), splits[part], events[key])


def _row(find: youtube.Finder, segment: Segment, split: str, events: Any) -> dict[str, Any] | Refusal:
    ytid, start_s, end_s, mids = segment
    file, film = find(ytid, start_s, end_s)
    return find.source.row(
        record_id(find.source.name, ytid, round(start_s * 1000)),
        file,
        ytid,
        split,
        film=film,
        recording_id=f"yt:{ytid}",
        start_s=start_s,
        end_s=end_s,
        labels=[_label(mid) for mid in mids],
        events=[{"name": name, "onset_s": onset_s, "offset_s": offset_s} for onset_s, offset_s, name in sorted(events)],
    )


def segments(path: Path) -> Iterator[tuple[int, Segment | None]]:
    """Yield the number of each line of a segment list and its segment; None: it is none.

    Raises:
        UserError: the file cannot be read, or no line of it is a segment.
    """
    lines = good = 0
    for number, fields in read_lines(path, spaced=True):
        # A spreadsheet makes `#NAME?` of an id that begins with `-`: that is a lost id and no comment.
        if fields[0].startswith("#") and fields[0] != "#NAME?":
            continue
        segment = _segment(fields)
        lines, good = lines + 1, good + (segment is not None)
        yield number, segment
    if lines and not good:
        raise UserError(f'{path}: no line is `YTID, start, end, "labels"`; it comes from {PAGE}')


def _segment(fields: list[str]) -> Segment | None:
    try:
        ytid, start, end, mids = fields
        start_s, end_s = float(start), float(end)
    except ValueError:
        return None
    ytid, mids = ytid.strip(), mids.strip()
    if not youtube.is_id(ytid) or not 0 <= start_s < end_s:
        return None
    return ytid, start_s, end_s, mids.split(",") if mids else []


def _events(path: Path) -> dict[str, list[_Event]]:
    """Return the timed labels by ``<YTID>_<start ms>``; a class that a line says is not there is none."""
    events: dict[str, list[_Event]] = {}
    for number, row in read_table(path, "\t", **_EVENT):
        try:
            onset_s, offset_s = (float(row[key]) if row else float("nan") for key in ("onset", "offset"))
        except ValueError:
            onset_s = offset_s = float("nan")
        ytid, _, start_ms = row["segment"].rpartition("_") if row else ("", "", "")
        if row is None or not 0 <= onset_s <= offset_s or not (youtube.is_id(ytid) and start_ms.isdecimal()):
            words = f"line {number} is not a segment with start, end and label; it comes from {PAGE}"
            raise UserError(f"{path}: {words}")
        heard = events.setdefault(row["segment"], [])
        if row["present"].strip().upper() in _HEARD:
            heard.append((onset_s, offset_s, _name(row["mid"])))
    return events


@cache
def _label(mid: str) -> dict[str, str | None]:
    """Return a label, which all segments share that have it: there are millions of them and few classes."""
    return {"name": _name(mid), "class_id": mid, "rating": None}


@cache
def _name(mid: str) -> str:
    ontology = default_ontology()
    return ontology[mid].name if mid in ontology else mid
