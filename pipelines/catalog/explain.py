"""``earloom explain``: the whole story of one clip or mixture, from the file to the byte in the shard."""

from __future__ import annotations

import difflib
from typing import Any

from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace
from schemas.errors import UserError


def explain(workspace: Workspace, key: str) -> dict[str, Any]:
    """Return every row that speaks of a clip, record, recording or mixture, by table; of a mixture also where it could not be had.

    Raises:
        UserError: no such identifier in the run; near misses are named.
    """
    if plans := dicts(workspace, "SELECT * FROM plan WHERE mixture_id = ?", [key]):
        return _mixture(workspace, key, plans[0])
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
    for table in ("evidence", "classes", "sources", "candidates", "scores", "claims", "verdicts", "captions"):
        story[table] = _where(workspace, table, "clip_id", ids)
    candidates = [row["candidate_id"] for row in story["candidates"]]
    for table in ("rejects", "drops"):
        story[table] = _where(workspace, table, "clip_id", sorted({*ids, *records, *candidates}))
    story["samples"] = dicts(
        workspace, "SELECT * FROM samples WHERE kind = 'caption' AND list_contains($1, clip_id)", [ids]
    )
    story["mixtures"] = dicts(
        workspace,
        "SELECT mixture_id, set, split, policy, source.role, refused FROM (SELECT *, unnest(sources) AS source FROM plan) "
        "WHERE list_contains($1, source.clip_id) UNION ALL SELECT mixture_id, set, split, policy, 'words', refused FROM plan "
        "WHERE list_contains($1, target_clip_id) AND NOT list_contains(target_clip_ids, target_clip_id) ORDER BY ALL",
        [ids],
    )
    if not any(value for name, value in story.items() if name not in ("id", "kind")):
        raise UserError(f"explain {key}: no such clip, record, recording or mixture here{_near(workspace, key)}")
    return story


def _mixture(workspace: Workspace, key: str, plan: dict[str, Any]) -> dict[str, Any]:
    ids = sorted({plan["target_clip_id"], *(source["clip_id"] for source in plan["sources"])})
    return {
        "id": key,
        "kind": "mixture",
        "mixtures": _where(workspace, "mixtures", "mixture_id", [key]),
        "plan": [plan],
        "rejects": _where(workspace, "rejects", "clip_id", [key]),
        "drops": _where(workspace, "drops", "clip_id", [key]),
        "sources": _where(workspace, "sources", "clip_id", ids),
        "clips": _where(workspace, "clips", "clip_id", ids),
        "classes": _where(workspace, "classes", "clip_id", ids),
        "captions": _where(workspace, "captions", "clip_id", ids),
    }


def _where(workspace: Workspace, table: str, column: str, keys: list[str]) -> list[dict[str, Any]]:
    return dicts(workspace, f"SELECT * FROM {table} WHERE list_contains(?, {column}) ORDER BY ALL", [keys])


def _near(workspace: Workspace, key: str) -> str:
    everything = "SELECT clip_id AS id FROM clips UNION ALL SELECT mixture_id FROM plan ORDER BY 1 LIMIT 200000"
    ids = [row["id"] for row in dicts(workspace, everything)]
    near = difflib.get_close_matches(key, ids, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


_OF_CANDIDATES = ("scores", "claims", "verdicts")
"""Tables that speak of candidates, and are told with them."""


def tell(story: dict[str, Any]) -> str:
    """Return a story as text: one paragraph per table, one line per row, nulls left out.

    Each candidate is told with its verdict, its claims and its scores, which have no paragraphs of their own.
    """
    lines = [f"{story['kind']} {story['id']}"]
    for table, found in story.items():
        if table in ("id", "kind", *_OF_CANDIDATES) or not found:
            continue
        lines += ["", f"{table} ({len(found)})"]
        for row in found:
            lines += _candidate(row, story) if table == "candidates" else [f"  {_pairs(row)}"]
    return "\n".join(lines)


def _candidate(row: dict[str, Any], story: dict[str, Any]) -> list[str]:
    """Return the lines of one candidate: its text, what was decided and why, its claims, its scores, how it was written."""
    own = {
        table: [each for each in story[table] if each["candidate_id"] == row["candidate_id"]]
        for table in _OF_CANDIDATES
    }
    verdict: dict[str, Any] = own["verdicts"][0] if own["verdicts"] else {"decision": "not judged", "reasons": []}
    told = _pairs({key: verdict.get(key) for key in ("probability", "stratum")})
    lines = [f"  {row['candidate_id']}  {verdict['decision']}  {told}".rstrip(), f"    {row['text']}"]
    lines += [f"    because  {reason}" for reason in verdict["reasons"]]
    for claim in sorted(own["claims"], key=lambda claim: (claim["start"], claim["end"], claim["claim_id"])):
        words = f"{claim['kind']} {_short(claim['text'])!r}: {claim['reason']}"
        lines.append(f"    claim    {claim['verdict']}  {words}{_evidence(claim)}")
    scores = [
        f"{each['scorer']}={'unknown' if each['score'] is None else _short(each['score'])}" for each in own["scores"]
    ]
    lines += [f"    scores   {'  '.join(scores)}"] if scores else []
    written = {
        key: value for key, value in row.items() if key not in ("candidate_id", "clip_id", "text", "evidence_ids")
    }
    return [*lines, f"    written  {_pairs(written)}{_evidence(row)}"]


def _evidence(row: dict[str, Any]) -> str:
    """Return the first of a row's evidence, by what its names have beside their clip's."""
    ids = [key.removeprefix(f"{row['clip_id']}:") for key in row["evidence_ids"]]
    more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
    return f"  [{', '.join(ids[:4])}{more}]" if ids else ""


def _pairs(row: dict[str, Any]) -> str:
    return "  ".join(f"{name}={_short(value)}" for name, value in row.items() if value is not None and value != [])


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 160 else text[:157] + "..."
