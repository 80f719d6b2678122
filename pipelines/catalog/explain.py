"""``earloom explain``: the whole story of one clip or mixture, from the file to the byte in the shard."""

from __future__ import annotations

import difflib
from typing import Any

from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace
from schemas.errors import UserError


def explain(workspace: Workspace, key: str) -> dict[str, Any]:
    """Return every row that speaks of a clip, record, recording or mixture, by table.

    Raises:
        UserError: no such identifier in the run; near misses are named.
    """
    if mixtures := dicts(workspace, "SELECT * FROM mixtures WHERE mixture_id = ?", [key]):
        return _mixture(workspace, key, mixtures[0])
    clips = dicts(
        workspace,
        "SELECT * FROM clips WHERE clip_id = $1 OR record_id = $1 OR recording_id = $1 ORDER BY clip_id",
        [key],
    )
    ids = [clip["clip_id"] for clip in clips] or [key]
    records = sorted({clip["record_id"] for clip in clips} | {key})
    story: dict[str, Any] = {
        "id": key,
        "kind": "clip",
        "records": _where(workspace, "records", "record_id", records),
        "clips": clips,
    }
    for table in ("evidence", "classes", "candidates", "scores", "captions", "rejects", "drops"):
        story[table] = _where(
            workspace, table, "clip_id", sorted({*ids, *(records if table in ("rejects", "drops") else ())})
        )
    story["samples"] = dicts(
        workspace, "SELECT * FROM samples WHERE kind = 'caption' AND list_contains($1, clip_id)", [ids]
    )
    story["mixtures"] = dicts(
        workspace,
        "SELECT mixture_id, split, CASE WHEN list_contains($1, target_clip_id) THEN 'target' ELSE 'interferer' END AS role, "
        'tar, "offset", size FROM mixtures WHERE list_contains($1, target_clip_id) OR list_has_any(interferer_clip_ids, $1) ORDER BY ALL',
        [ids],
    )
    if not any(value for name, value in story.items() if name not in ("id", "kind")):
        raise UserError(f"explain {key}: no such clip, record, recording or mixture here{_near(workspace, key)}")
    return story


def _mixture(workspace: Workspace, key: str, mixture: dict[str, Any]) -> dict[str, Any]:
    ids = [mixture["target_clip_id"], *mixture["interferer_clip_ids"]]
    return {
        "id": key,
        "kind": "mixture",
        "mixtures": [mixture],
        "plan": dicts(workspace, "SELECT * FROM plan WHERE mixture_id = ?", [key]),
        "clips": _where(workspace, "clips", "clip_id", ids),
        "classes": _where(workspace, "classes", "clip_id", ids),
        "captions": _where(workspace, "captions", "clip_id", ids),
    }


def _where(workspace: Workspace, table: str, column: str, keys: list[str]) -> list[dict[str, Any]]:
    return dicts(workspace, f"SELECT * FROM {table} WHERE list_contains(?, {column}) ORDER BY ALL", [keys])


def _near(workspace: Workspace, key: str) -> str:
    everything = "SELECT clip_id AS id FROM clips UNION ALL SELECT mixture_id FROM mixtures ORDER BY 1 LIMIT 200000"
    ids = [row["id"] for row in dicts(workspace, everything)]
    near = difflib.get_close_matches(key, ids, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


def tell(story: dict[str, Any]) -> str:
    """Return a story as text: one paragraph per table, one line per row, nulls left out."""
    lines = [f"{story['kind']} {story['id']}"]
    for table, found in story.items():
        if table in ("id", "kind") or not found:
            continue
        lines += ["", f"{table} ({len(found)})"]
        for row in found:
            lines.append(
                "  "
                + "  ".join(
                    f"{name}={_short(value)}" for name, value in row.items() if value is not None and value != []
                )
            )
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 160 else text[:157] + "..."
