"""What a rendered mixture is kept as: its row, its JSON, and the members of its sample."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipelines.ingest.store import encode_flac
from pipelines.mix.levels import Mixed
from pipelines.mix.placing import overlap
from pipelines.mix.stems import Stem
from schemas.ids import canonical_json
from schemas.licences import most_restrictive
from schemas.recipe import Shards

Clips = Mapping[str, Mapping[str, Any]]
"""clip_id -> row of ``sources``."""

PLANNED = (
    "mixture_id",
    "set",
    "split",
    "policy",
    "target_clip_id",
    "target_clip_ids",
    "interferer_clip_ids",
    "snr_db",
    "sample_rate",
    "query",
    "query_origin",
    "negative",
    "prompt",
    "instruction_extract",
    "instruction_remove",
    "seed",
)
"""Columns of ``plan`` that a row of ``mixtures`` repeats."""

LAID = ("clip_id", "role", "start", "at", "length", "level_db", "rir")
CREDIT = ("recording_id", "dataset", "licence", "licence_text", "attribution")


def group_of(name: str, split: str) -> str:
    """Return the beginning of the names of a set's shards: the split, and before it the set's name unless that is ``mix``."""
    return split if name == "mix" else f"{name}_{split}"


def mixture_row(plan: Mapping[str, Any], mixed: Mixed, clips: Clips) -> dict[str, Any]:
    """Return the row of ``mixtures`` for a rendered mixture; its place in the shard is filled in by the commit."""
    used = [clips[source["clip_id"]] for source in plan["sources"]]
    wanted = plan["target_clip_ids"] or [plan["target_clip_id"]]
    others = [s["clip_id"] for s in plan["sources"] if s["role"] != "target"]
    return {key: plan[key] for key in PLANNED} | {
        "target_class_ids": _classes(wanted, clips),
        "interferer_class_ids": _classes(others, clips),
        "achieved_snr_db": mixed.achieved_snr_db,
        "input_sdr_db": mixed.input_sdr_db,
        "gains": mixed.gains,
        "achieved_db": mixed.achieved_db,
        "overlap": overlap_of(plan["sources"]),
        "turned_down_db": mixed.turned_down_db,
        "peak": mixed.peak,
        "duration_s": plan["length"] / plan["sample_rate"],
        "licence": most_restrictive(clip["licence"] for clip in used),
        "tar": "",
        "offset": 0,
        "size": 0,
    }


def overlap_of(sources: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of the shortest source that lies together with another one, in [0, 1]; the background does not count."""
    laid = [(source["at"], source["length"]) for source in sources if source["role"] != "background"]
    at, length = np.array([laid], np.int64).transpose(2, 0, 1)
    return float(overlap(np.ones_like(at, np.bool_), at, length)[0])


def sample_json(
    plan: Mapping[str, Any], row: Mapping[str, Any], clips: Clips, embedder: Mapping[str, str] | None = None
) -> bytes:
    """Return the ``json`` member of a sample: all that a trainer or a careful reader needs, with its sources.

    ``embedder``, name and revision of the model that made the sample's embeddings, is in it where there is one: a sample tells it
    wherever it goes. ``pipelines.mix.remix`` reads ``length``, ``sample_rate`` and of each source ``role``, ``start``, ``at``,
    ``length``, ``gain`` and ``rir``.
    """
    wanted = plan["target_clip_ids"] or [plan["target_clip_id"]]
    others = [s["clip_id"] for s in plan["sources"] if s["role"] != "target"]
    achieved = ("achieved_snr_db", "input_sdr_db", "overlap", "turned_down_db", "peak", "licence")
    facts = {key: row[key] for key in (*PLANNED, *achieved)} | {
        "length": plan["length"],
        "target_classes": row["target_class_ids"],
        "target_class_names": [name for clip_id in wanted for name in clips[clip_id]["class_names"]],
        "interferer_classes": row["interferer_class_ids"],
        "interferer_class_names": [name for clip_id in others for name in clips[clip_id]["class_names"]],
        "sources": [
            {key: source[key] for key in LAID}
            | {key: clips[source["clip_id"]][key] for key in CREDIT}
            | {"gain": gain, "achieved_db": achieved_db}
            for source, gain, achieved_db in zip(plan["sources"], row["gains"], row["achieved_db"], strict=True)
        ],
    }
    return canonical_json(facts | ({"embedder": dict(embedder)} if embedder else {})).encode()


def sample_members(
    plan: Mapping[str, Any],
    row: Mapping[str, Any],
    mixed: Mixed,
    stems: Sequence[Stem],
    clips: Clips,
    shards: Shards,
    embedder: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Return the members of a sample by suffix, in order, without embeddings."""
    rate, facts = plan["sample_rate"], sample_json(plan, row, clips, embedder)
    if shards.mixtures == "recipe":
        members = [member for member, _ in sounds_of(shards, len(stems))]
        return {member: _source(stem, plan, i) for i, (member, stem) in enumerate(zip(members, stems, strict=True))} | {
            "json": facts
        }
    encode = encode_flac if shards.encoding == "flac" else encode_wav
    sounds = {"mixture": mixed.mixture, "target": mixed.target, "residual": mixed.residual}
    sounds |= {f"stem{i}": stem for i, stem in enumerate(mixed.stems)}
    wanted = sounds_of(shards, len(mixed.stems))
    return {member: encode(sounds[name], rate) for member, name in wanted} | {"json": facts}


def sounds_of(shards: Shards, sources: int) -> list[tuple[str, str]]:
    """Return the members of a sample that hold sound, and what each holds: ``("target.flac", "target")``."""
    if shards.mixtures == "recipe":
        return [(f"source{i}.flac", f"source{i}") for i in range(sources)]
    names = ["mixture", *(name for name in ("target", "residual") if name in shards.members)]
    names += [f"stem{i}" for i in range(sources)] if "stems" in shards.members else []
    return [(f"{name}.{shards.encoding}", name) for name in names]


def encode_wav(samples: NDArray[np.int16], rate: int) -> bytes:
    """Return int16 samples of shape (n,) as 16-bit WAV; equal samples give equal bytes."""
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format="WAV", subtype="PCM_16")
    return sink.getvalue()


def _source(stem: Stem, plan: Mapping[str, Any], number: int) -> bytes:
    """Return a source of a recipe shard: the clip store's bytes, or what is heard in its room."""
    return encode_flac(stem.samples, plan["sample_rate"]) if plan["sources"][number]["rir"] else stem.flac


def _classes(clip_ids: Sequence[str], clips: Clips) -> list[str]:
    return sorted({class_id for clip_id in clip_ids for class_id in clips[clip_id]["class_ids"]})
