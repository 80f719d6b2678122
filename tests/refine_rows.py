"""Rows of tables as the stages of refining read them, for tests."""

from __future__ import annotations

from typing import Any


def clip_row(clip_id: str) -> dict[str, Any]:
    """Return a clip of ten seconds; its dataset is what stands before the hyphen."""
    return {
        "clip_id": clip_id, "record_id": clip_id, "dataset": clip_id.split("-")[0], "split": "test",
        "recording_id": f"fs:{clip_id}", "duration_s": 10.0, "sample_rate": 32000, "source_path": "a.wav",
        "source_start_s": 0.0, "source_rate": 32000, "source_channels": 1, "source_decoder": "soundfile",
        "claimed_s": 10.0, "decoded_s": 10.0, "note": None, "gain_db": 0.0, "excerpt_s": 0.0, "sha256": "0", "licence": "cc0",
        "channel": "mean", "dc_offset": 0.0, "clipped_share": 0.0,
        "attribution": None, "tar": "x.tar", "offset": 0, "size": 1,
    }  # fmt: skip


def group_row(clip_id: str) -> dict[str, Any]:
    """Return a group of one clip, in the split ``test``."""
    return {
        "clip_id": clip_id, "record_id": clip_id, "group_id": clip_id, "recordings": 1, "links": [], "split": "test",
        "withheld": None,
    }  # fmt: skip


def score_row(candidate_id: str, clip_id: str, scorer: str, score: float | None, **more: Any) -> dict[str, Any]:
    """Return what a scorer says of a caption."""
    row = {"claims": None, "supported": None, "unsupported": [], "evidence_ids": []}
    return (
        {"candidate_id": candidate_id, "clip_id": clip_id, "scorer": scorer, "revision": "1", "score": score}
        | row
        | more
    )
