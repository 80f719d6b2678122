"""What the publisher of a dataset states about a clip, as evidence: labels, timed labels, keywords, captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.listen.evidence import evidence_row

LISTENER = "publisher"


@dataclass(frozen=True)
class Publisher(Stage):
    """Stage ``publisher``: the labels, events, keywords, captions and texts of ``records``, moved to the clip's own time.

    A timed label that lies wholly outside the clip is left out, since it is not heard in it. A clip of which nothing is
    published is dropped with the reason ``nothing_published``.
    """

    name = "publisher"
    version = 3
    reads = ("clips", "records")
    writes = "evidence"
    batch_rows = 512

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        records = batch.grouped("records", "record_id")
        result = Result()
        for clip in batch.rows.to_pylist():
            (record,) = records[clip["record_id"]]
            rows = [
                evidence_row(clip["clip_id"], LISTENER, "1", n, **found)
                for n, found in enumerate(_published(clip, record))
            ]
            result.rows += rows
            if not rows:
                result.drops.append((clip["clip_id"], "nothing_published"))
        return result


def _published(clip: dict[str, Any], record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a record states, as keyword arguments of :func:`evidence_row`.

    Events count from the excerpt's start; a clip that was cut later in the excerpt moves them.
    """
    out: list[dict[str, Any]] = [
        {"kind": "tag", "name": label["name"], "class_id": label["class_id"], "value": label["rating"]}
        for label in record["labels"]
    ]
    shift = clip["source_start_s"] - clip["excerpt_s"]
    for event in record["events"]:
        onset, offset = max(0.0, event["onset_s"] - shift), min(clip["duration_s"], event["offset_s"] - shift)
        if offset > onset:
            name = event["name"]
            out.append(
                {
                    "kind": "event",
                    "name": name,
                    "class_id": name if name.startswith("/") else None,
                    "onset_s": onset,
                    "offset_s": offset,
                }
            )
    out += [{"kind": "keyword", "name": word} for word in record["keywords"]]
    out += [{"kind": "caption", "name": "caption", "text": text} for text in record["captions"]]
    out += [{"kind": "text", "name": name, "text": record[name]} for name in ("title", "description") if record[name]]
    return out
