"""What is wrong with the sample of a mixture: its sound is made again from the clip store and held against what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.stage import Context
from pipelines.ingest.store import from_store
from pipelines.mix.gains import FULL_SCALE, CannotMix
from pipelines.mix.levels import ratio_db
from pipelines.mix.remix import remix, scaled
from pipelines.mix.render import Render, render
from pipelines.mix.samples import Clips, mixture_row, sample_json, sounds_of
from pipelines.mix.stems import Stem

Row = Mapping[str, Any]
Wide = NDArray[np.int64]

MEASURED = ("gains", "achieved_db", "achieved_snr_db", "input_sdr_db", "turned_down_db", "peak", "overlap")
"""Columns that the level rule and the samples determine."""


def wrong_with_sample(
    row: Row, plan: Row, members: Mapping[str, bytes], stage: Render, clips: Clips, context: Context
) -> Iterator[str]:
    """Yield what is wrong with one sample, in words.

    Each stem is its clip times its gain, rounded; the stems sum to the mixture, and the targets' to the target, without any
    error; the gains are those that the level rule and the peak rule give; the achieved levels are those of the samples; the
    JSON says what the tables say; a recipe sample holds the clip store's bytes, and mixes to the same.

    Args:
        row: of ``mixtures``.
        plan: its row of ``plan``.
        members: of its sample, by suffix.
        stage: the run's stage ``mixtures``.
        clips: clip_id -> row of ``sources``, of its clips.
        context: where clips and rooms are.
    """
    try:
        stems, mixed = render(plan, stage.by_name[row["set"]], clips, context)
    except (CannotMix, ValueError) as error:
        yield f"cannot be made again ({error})"
        return
    if len(row["gains"]) != len(stems):
        yield "it has not a gain for each of its sources"
        return
    wanted = [name for name, _ in sounds_of(stage.shards, len(stems))]
    vectors = ["query.npy", *(["target.npy"] if mixed.target.any() else [])] if stage.embedder else []
    if sorted(members) != sorted([*wanted, "json", *vectors]):
        yield f"its sample has members {sorted(members)}"
        return
    told = [scaled(stem.samples, gain).astype(np.int64) for stem, gain in zip(stems, row["gains"], strict=True)]
    made = mixture_row(plan, mixed, clips)
    if any(row[key] != made[key] for key in MEASURED):
        different = " and ".join(key for key in MEASURED if row[key] != made[key])
        yield f"{different}: not what the level rule and its samples give"
    if stage.shards.mixtures == "recipe":
        yield from _recipe(members, stems, told, plan)
    else:
        yield from _stored(row, members, told, plan["sources"])
    # Which model it was is told by the JSON alone; to check it here would take its weights.
    embedder = _embedder(members["json"])
    if (embedder is None) != (stage.embedder is None) or members["json"] != sample_json(plan, row, clips, embedder):
        yield "its json says something else than the tables"


def _embedder(data: bytes) -> Any:
    """Return what a sample's JSON says of the model that made its embeddings; None if it says nothing that can be read."""
    try:
        told = json.loads(data)["embedder"]
    except (ValueError, KeyError, TypeError):
        return None
    return told if isinstance(told, dict) else None


def _stored(row: Row, members: Mapping[str, bytes], told: Sequence[Wide], sources: Sequence[Row]) -> Iterator[str]:
    """Yield what is wrong with the sound of a stored sample."""
    sounds = {name.split(".")[0]: _samples(data) for name, data in members.items() if name.endswith((".flac", ".wav"))}
    targets = [stem for stem, source in zip(told, sources, strict=True) if source["role"] == "target"]
    mixture = np.sum(told, axis=0)
    target = np.sum(targets, axis=0) if targets else np.zeros_like(mixture)
    if not np.array_equal(sounds["mixture"], mixture):
        yield "its stems do not sum to the mixture"
        return
    if "target" in sounds and not np.array_equal(sounds["target"], target):
        yield "its target is not its clips times their gains"
    if "residual" in sounds and not np.array_equal(sounds["residual"], mixture - target):
        yield "its residual is not the mixture without the target"
    if any(not np.array_equal(sounds.get(f"stem{i}", stem), stem) for i, stem in enumerate(told)):
        yield "a stem is not its clip times its gain"
    if np.abs(mixture).max() / FULL_SCALE != row["peak"]:
        yield "its peak is not that of its samples"
    if ratio_db(target.astype(np.int16), (mixture - target).astype(np.int16)) != row["input_sdr_db"]:
        yield "its SDR as an estimate is not that of its samples"


def _recipe(members: Mapping[str, bytes], stems: Sequence[Stem], told: Sequence[Wide], plan: Row) -> Iterator[str]:
    """Yield what is wrong with the sources of a recipe sample."""
    for number, (stem, source) in enumerate(zip(stems, plan["sources"], strict=True)):
        member = members[f"source{number}.flac"]
        same = np.array_equal(_samples(member), stem.samples) if source["rir"] else member == stem.flac
        if not same:
            yield f"source {number}: its bytes are not its clip's"
            return
    if not np.array_equal(remix(members)[0], np.sum(told, axis=0)):
        yield "its sources do not mix to what its gains say"


def _samples(data: bytes) -> Wide:
    samples, _ = from_store(data)
    return samples.astype(np.int64)
