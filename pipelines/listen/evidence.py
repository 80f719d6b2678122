"""One row of evidence, in one place."""

from __future__ import annotations

from typing import Any


def evidence_row(
    clip_id: str,
    listener: str,
    revision: str,
    number: int,
    *,
    kind: str,
    name: str,
    value: float | None = None,
    unit: str | None = None,
    text: str | None = None,
    class_id: str | None = None,
    onset_s: float | None = None,
    offset_s: float | None = None,
    confidence: float | None = None,
) -> dict[str, Any]:
    """Return a row of table ``evidence``; ``number`` counts what this listener said of this clip, from 0."""
    return {
        "evidence_id": f"{clip_id}:{listener}:{number}",
        "clip_id": clip_id,
        "listener": listener,
        "revision": revision,
        "kind": kind,
        "name": name,
        "value": value,
        "unit": unit,
        "text": text,
        "class_id": class_id,
        "onset_s": onset_s,
        "offset_s": offset_s,
        "confidence": confidence,
    }
