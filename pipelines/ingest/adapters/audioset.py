"""AudioSet (Gemmeke et al., ICASSP 2017): segments of ten seconds, with strong labels if there are any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_lines, read_table
from schemas.errors import UserError
from schemas.ids import record_id

PAGE = "https://research.google.com/audioset/download.html"
_SEGMENTS = "_segments.csv"
_OURS = {"balanced_train": "train", "unbalanced_train": "train", "eval": "test"}
_EVENT = {"segment": "segment_id", "onset": "start_time_seconds", "offset": "end_time_seconds", "mid": "label"}
_STRONG = ("audioset_train_strong.tsv", "audioset_eval_strong.tsv")


def metadata_files(source: Source) -> list[Path]:
    """Return the segment lists, and the strong labels (Hershey et al., ICASSP 2021) if they are there."""
    lists = [name + _SEGMENTS for name in _OURS]
    found = source.metadata(*lists)
    if not found:
        raise source.lacks(" or ".join(lists), PAGE)
    return found + source.metadata(*_STRONG)


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per segment, with its place in the video, though its file may be cut to it already."""
    files = metadata_files(source)
    names = _class_names()
    events = _events([path for path in files if path.name in _STRONG], names)
    for path in files:
        if path.name in _STRONG:
            continue
        published = path.name.removesuffix(_SEGMENTS)
        split = source.split(published, _OURS[published])
        for number, fields in read_lines(path, spaced=True):
            if fields[0].startswith("#"):
                continue
            segment = _segment(fields)
            if segment is None:
                yield bad_row(source.name, path, number, 'is not `YTID, start, end, "labels"`')
                continue
            ytid, start_s, end_s, mids = segment
            start_ms = round(start_s * 1000)
            yield source.row(
                record_id(source.name, ytid, start_ms),
                source.audio(_stems(ytid, start_s, end_s)),
                ytid,
                split,
                recording_id=f"yt:{ytid}",
                start_s=start_s,
                end_s=end_s,
                labels=[{"name": names.get(mid, mid), "class_id": mid} for mid in mids],
                events=events.get(f"{ytid}_{start_ms}", []),
            )


def _segment(fields: list[str]) -> tuple[str, float, float, list[str]] | None:
    try:
        ytid, start, end, mids = (field.strip() for field in fields)
        start_s, end_s = float(start), float(end)
    except ValueError:
        return None
    return (ytid, start_s, end_s, mids.split(",") if mids else []) if ytid and 0 <= start_s < end_s else None


def _stems(ytid: str, start_s: float, end_s: float) -> Iterator[str]:
    """Yield the names that download tools give a segment's file, those that name the segment first."""
    starts = (f"{start_s:g}", f"{start_s:.3f}", f"{start_s * 1000:.0f}")
    ends = (f"{end_s:g}", f"{end_s:.3f}", f"{end_s * 1000:.0f}")
    for base in (f"Y{ytid}", ytid):
        for start, end in zip(starts, ends, strict=True):
            yield f"{base}_{start}_{end}"
            yield f"{base}_{start}"
    yield f"Y{ytid}"
    yield ytid


def _events(paths: list[Path], names: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the timed labels by ``<YTID>_<start ms>``, in seconds from there, in order of onset."""
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in paths:
        for number, row in read_table(path, "\t", **_EVENT):
            try:
                onset_s, offset_s = (float(row[key]) if row else float("nan") for key in ("onset", "offset"))
            except ValueError:
                onset_s = offset_s = float("nan")
            if row is None or not 0 <= onset_s <= offset_s:
                words = f"line {number} is not a segment with start, end and label; it comes from {PAGE}"
                raise UserError(f"{path}: {words}")
            name = names.get(row["mid"], row["mid"])
            events[row["segment"]].append({"name": name, "onset_s": onset_s, "offset_s": offset_s})
    for segment in events.values():
        segment.sort(key=lambda event: (event["onset_s"], event["offset_s"], event["name"]))
    return events


def _class_names() -> dict[str, str]:
    from schemas.ontology import default_ontology

    return {node.class_id: node.name for node in default_ontology().classes}
