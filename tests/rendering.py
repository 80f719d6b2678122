"""A small world of stored clips and planned mixtures, without the stages that would plan them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from schemas import tables

RATE = 8000


def noise(seed: int, n: int, level: float) -> np.ndarray:
    """Return Gaussian noise as 16-bit samples."""
    return np.clip(np.rint(np.random.default_rng(seed).normal(0, level, n)), -32768, 32767).astype(np.int16)


def stored(root: Path, clips: dict[str, np.ndarray], rate: int = RATE, **more: dict[str, Any]) -> tuple[Context, list]:
    """Store clips under ``root / 'run'``; return the context and their rows of ``sources``, changed by ``more[clip_id]``."""
    workspace, rows = Workspace(str(root / "run")), []
    with Packer(workspace, "store", 0, 10**6, 10**9) as packer:
        for clip_id, samples in clips.items():
            place = packer.add("clips", clip_id, {"flac": encode_flac(samples, rate)})
            row = {
                "clip_id": clip_id,
                "recording_id": f"sha256:{clip_id}",
                "group_id": clip_id,
                "dataset": "d",
                "split": "train",
                "state": "labelled",
                "class_ids": ["/m/06mb1"],
                "class_names": ["Rain"],
                "said_class_ids": [],
                "heard_class_ids": [],
                "caption": None,
                "label": "rain",
                "spoken": ["the rain"],
                "onset_s": None,
                "offset_s": None,
                "duration_s": len(samples) / rate,
                "sample_rate": rate,
                "sha256": "0",
                "licence": "cc0",
                "licence_text": None,
                "attribution": None,
                "tar": place.tar,
                "offset": place.offset,
                "size": place.size,
            }
            rows.append(row | more.get(clip_id, {}))
    return Context(workspace, str(root), 0, 1), rows


def source(clip_id: str, role: str, length: int, level_db: float | None = None, **more: Any) -> dict[str, Any]:
    """Return one source of a plan."""
    laid = {"start": 0, "at": 0, "length": length, "level_db": level_db, "rir": None}
    return {"role": role, "clip_id": clip_id} | laid | more


def planned(*sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a row of ``plan``."""
    row = {
        "mixture_id": "mix-0000000000000001",
        "set": "mix",
        "split": "train",
        "policy": "disjoint",
        "target_clip_id": sources[0]["clip_id"] if sources else "c0",
        "target_clip_ids": [s["clip_id"] for s in sources if s["role"] == "target"],
        "interferer_clip_ids": [s["clip_id"] for s in sources if s["role"] == "interferer"],
        "number": 0,
        "refused": None,
        "snr_db": None,
        "length": max((s["at"] + s["length"] for s in sources), default=1),
        "sample_rate": RATE,
        "sources": list(sources),
        "query": "rain",
        "query_origin": "label",
        "negative": None,
        "prompt": "positive",
        "instruction_extract": "Extract it.",
        "instruction_remove": "Remove it.",
        "seed": 1,
    }
    return row | more


def batch(plans: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Batch:
    """Return planned mixtures and their sources as the stage is given them."""
    return Batch(tables.from_rows("plan", plans), {"sources": tables.from_rows("sources", rows)})
