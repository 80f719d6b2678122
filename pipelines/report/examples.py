"""The examples of the page: drawn by hash and spread evenly, neither the first nor the best."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace
from pipelines.report.sound import AUDIO_BYTES, clip_sound, level, mixture_sounds, views

Row = dict[str, Any]

CAPTIONS, MIXTURES = 12, 8
LANES = 6
"""Most names that are drawn on a time line; the others are listed."""

VERDICTS = ("supported", "unknown", "visual_only", "unsupported")
"""Verdicts on claims, the worst last."""

_SHARES = {"accepted": 6, "refused": 3, "abstained": 3}


def examples(workspace: Workspace) -> tuple[list[Row], list[Row]]:
    """Return the examples of captions and of mixtures with all that the page shows of them."""
    captions, mixtures = _captions(workspace), _mixtures(workspace)
    clips = [clip_sound(workspace, row, "clip") for row in captions]
    triples = [mixture_sounds(workspace, row) for row in mixtures]
    cap = level([len(sound.flac) for sounds in [clips, *triples] for sound in sounds], AUDIO_BYTES)
    for row, clip in zip(captions, clips, strict=True):
        (row["sound"],) = views([clip], clip, cap)
        row["lanes"], row["unseen"] = lanes(row["events"], row["sound"]["seconds"])
    for row, sounds in zip(mixtures, triples, strict=True):
        row["sounds"] = views(sounds, sounds[1], cap)
    return captions, mixtures


def _captions(workspace: Workspace) -> list[Row]:
    drawn = dicts(
        workspace,
        f"""
        SELECT captions.*, clips.tar, clips."offset", clips."size", clips.source_path, clips.attribution,
               row_number() OVER (PARTITION BY decision, captions.dataset
                                  ORDER BY md5(clip_id), clip_id) AS turn
        FROM captions JOIN clips USING (clip_id)
        QUALIFY turn <= {CAPTIONS} ORDER BY turn, md5(clip_id), clip_id""",
    )
    chosen = [row for decision, share in _quota(drawn).items() for row in _of(drawn, decision)[:share]]
    ids = [row["clip_id"] for row in chosen]
    number = "CAST(regexp_extract(evidence_id, '[0-9]+$') AS BIGINT)"
    said = _grouped(workspace, "evidence", f"listener, {number}", ids)
    worth = _grouped(workspace, "calibrated", "evidence_id", ids)
    known = _grouped(workspace, "classes", "class_name, class_id", ids)
    judged = _grouped(workspace, "scores", "scorer, candidate_id", ids)
    claimed = _grouped(workspace, "claims", '"start", "end", claim_id', ids)
    for row in chosen:
        clip_id = row["clip_id"]
        row["scores"] = [item for item in judged[clip_id] if item["candidate_id"] == row["candidate_id"]]
        row["claims"] = [item for item in claimed[clip_id] if item["candidate_id"] == row["candidate_id"]]
        row["marked"] = marked(row["caption"] or "", row["claims"])
        support = {key for item in (*row["scores"], *row["claims"]) for key in item["evidence_ids"]}
        calibrated = {item["evidence_id"]: item["probability"] for item in worth[clip_id]}
        evidence = [
            {**item, "supports": (key := item["evidence_id"]) in support, "probability": calibrated.get(key)}
            for item in said[clip_id]
        ]
        row["classes"] = known[clip_id]
        row["events"] = [item for item in evidence if item["onset_s"] is not None]
        untimed = [item for item in evidence if item["onset_s"] is None]
        row["tags"] = [
            {**item, "says": f"{item['listener']}: {item['kind']}s{_worth(item)}"}
            for item in untimed
            if item["kind"] in ("tag", "keyword")
        ]
        row["facts"] = [item for item in evidence if item["kind"] == "fact"]
        row["published"] = [item for item in evidence if item["kind"] == "caption"]
    return chosen


def _worth(item: Row) -> str:
    """Return in words what the number beside a tag is."""
    if item["confidence"] is None:
        return ""
    return ", uncalibrated" if item["probability"] is None else ", confidence → probability"


def _quota(drawn: list[Row]) -> dict[str, int]:
    """Return how many examples of each decision to show; what one cannot fill goes to the others."""
    there = {decision: len(_of(drawn, decision)) for decision in _SHARES}
    quota = {decision: min(share, there[decision]) for decision, share in _SHARES.items()}
    for decision in quota:
        quota[decision] += min(CAPTIONS - sum(quota.values()), there[decision] - quota[decision])
    return quota


def _of(rows: list[Row], decision: str) -> list[Row]:
    return [row for row in rows if row["decision"] == decision]


def _mixtures(workspace: Workspace) -> list[Row]:
    chosen = dicts(
        workspace,
        f"""
        SELECT mixtures.*, clips.dataset
        FROM mixtures LEFT JOIN clips ON clips.clip_id = mixtures.target_clip_id
        ORDER BY row_number() OVER (PARTITION BY mixtures.split, clips.dataset
                                    ORDER BY md5(mixture_id), mixture_id),
                 md5(mixture_id), mixture_id LIMIT {MIXTURES}""",
    )
    ids = [row["mixture_id"] for row in chosen]
    plans = {
        row["mixture_id"]: row["sources"]
        for row in dicts(workspace, "SELECT mixture_id, sources FROM plan WHERE list_contains(?, mixture_id)", [ids])
    }
    used = sorted({source["clip_id"] for sources in plans.values() for source in sources})
    known = dicts(
        workspace, "SELECT clip_id, class_names, licence FROM sources WHERE list_contains(?, clip_id)", [used]
    )
    clips = {row["clip_id"]: row for row in known}
    for row in chosen:
        rate = row["sample_rate"]
        row["sources"] = [
            {
                **source,
                **clips[source["clip_id"]],
                "seconds": source["length"] / rate,
                "start_s": source["start"] / rate,
                "at_s": source["at"] / rate,
            }
            for source in plans[row["mixture_id"]]
        ]
    return chosen


def _grouped(workspace: Workspace, view: str, order: str, clip_ids: list[str]) -> dict[str, list[Row]]:
    """Return the rows of a view by clip, for these clips alone."""
    groups: dict[str, list[Row]] = {clip_id: [] for clip_id in clip_ids}
    sql = f"SELECT * FROM {view} WHERE list_contains(?, clip_id) ORDER BY clip_id, {order}"
    for row in dicts(workspace, sql, [clip_ids]):
        groups[row["clip_id"]].append(row)
    return groups


def marked(text: str, claims: list[Row]) -> list[tuple[str, Row | None]]:
    """Return a caption in pieces, each with the claim that it is part of; None: with none.

    Where claims overlap, a word belongs to the shortest, and of equally long ones to the one that is worst off. White space
    is part of a claim only between words of it.
    """
    owners: list[Row | None] = [None] * len(text)
    said = [claim for claim in claims if claim["kind"] != "none"]
    for claim in sorted(said, key=lambda claim: (claim["start"] - claim["end"], VERDICTS.index(claim["verdict"]))):
        places = range(len(text))[claim["start"] : claim["end"]]
        for place in places:
            owners[place] = claim
    inside = [n > 0 and owners[n - 1] is owners[min(n + 1, len(text) - 1)] for n in range(len(text))]
    held = [owners[n] if inside[n] or not text[n].isspace() else None for n in range(len(text))]
    pieces = groupby(zip(text, held, strict=True), key=lambda pair: id(pair[1]))
    found = [list(piece) for _, piece in pieces]
    return [("".join(letter for letter, _ in piece), piece[0][1]) for piece in found]


def lanes(events: list[Row], seconds: float) -> tuple[list[Row], list[Row]]:
    """Return a lane per listener and name, its spans in percent of ``seconds``, and events without a lane.

    An event that ends after ``seconds`` is drawn up to there; one that begins later is not drawn.
    """
    found: dict[tuple[str, str], Row] = {}
    unseen = []
    for event in events:
        key = (event["listener"], event["name"])
        if event["onset_s"] >= seconds or (key not in found and len(found) == LANES):
            unseen.append(event)
            continue
        lane = found.setdefault(key, {"listener": key[0], "name": key[1], "supports": False, "spans": []})
        lane["supports"] |= event["supports"]
        onset, offset = event["onset_s"], event["offset_s"]
        offset = onset if offset is None else offset
        left, width = 100 * onset / seconds, 100 * (min(offset, seconds) - onset) / seconds
        lane["spans"].append({"left": left, "width": width, "onset_s": onset, "offset_s": offset})
    return list(found.values()), unseen
