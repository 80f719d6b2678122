"""Judge a CLAP on held-out clips, through the very embedder that serves it: which clip a caption finds, and the reverse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from taggers.base import Waveform, embed
from taggers.clap import Clap, ClapSettings
from taggers.clap_transformers import TransformersClap
from taggers.demo_tagger import specific
from trainers.clips.shards import Clip, Clips
from trainers.clips.spectra import at_rate
from trainers.measures.intervals import Measure, estimate
from trainers.measures.retrieval import ranks

RECALLS = (1, 5, 10)

VARIANTS = {
    "text_to_audio": "each caption asks for the recording that it tells of, among all recordings; ties count against",
    "audio_to_text": "each recording asks for one of its captions, among the captions of all",
    "same_labels_at_1": "share of the captions of labelled recordings whose nearest labelled recording has the same most "
    "specific labels",
    "r1, r5, r10, mean_rank": "share of the queries whose rank is 1, at most 5, at most 10; mean of the ranks",
    "chance": "of a random order; same_labels_at_1: of a random recording",
    "ci95": "percentile bootstrap over the recordings that queries come from; what is searched stays whole",
}


@dataclass(frozen=True)
class Recording:
    """A recording among those that are looked for.

    Attributes:
        clip: what is known of its first copy, which is heard.
        sound: embedding, unit length, shape (E,).
        captions: of all copies, each once.
        words: their embeddings, unit length, shape (captions, E).
    """

    clip: Clip
    sound: NDArray[np.float32]
    captions: tuple[str, ...]
    words: NDArray[np.float32]


def recordings_of(clips: Sequence[Clip]) -> list[list[int]]:
    """Return the numbers of the copies of each recording, in the order of the first ones; UserError if there are fewer than two."""
    copies: dict[str, list[int]] = {}
    for number, clip in enumerate(clips):
        copies.setdefault(clip.record["recording_id"], []).append(number)
    if len(copies) < 2:
        raise UserError("data: fewer than two recordings to judge retrieval on; name more held-out clips")
    return list(copies.values())


def judge(folder: Path, clips: Clips, seed: int = 0) -> dict[str, Any]:
    """Return how well the CLAP in a folder finds recordings by their captions, as :data:`VARIANTS` says.

    Returns:
        as :func:`measured`.

    Raises:
        UserError: there are fewer than two recordings, or a shard breaks the format.
    """
    model = TransformersClap(ClapSettings(weights=str(folder)))
    model.load("cpu")
    return measured([embedded(model, clips, copies) for copies in recordings_of(clips.told)], seed)


def embedded(model: Clap, clips: Clips, copies: Sequence[int]) -> Recording:
    """Return a recording with its embeddings; of a sound that is longer than the network hears, the windows' mean.

    Args:
        model: loaded.
        clips: where the copies are.
        copies: numbers of the recording's copies: the first is heard, and the captions of all are asked for.
    """
    clip = clips.told[copies[0]]
    rate = model.sample_rate or clip.sample_rate
    (windows,) = embed(model, [Waveform(at_rate(clips[copies[0]], clip.sample_rate, rate), rate)])
    mean = windows.mean(axis=0)
    captions = tuple(dict.fromkeys(text for number in copies for text in clips.told[number].captions))
    return Recording(clip, mean / np.linalg.norm(mean), captions, model.embed_text(captions))


def measured(recordings: Sequence[Recording], seed: int = 0) -> dict[str, Any]:
    """Return how well recordings are found by their captions, as :data:`VARIANTS` says.

    Args:
        recordings: at least two.
        seed: of the bootstrap.

    Returns:
        ``{measure: {"value", "ci95", "n", "chance"}}``.
    """
    owner = np.repeat(np.arange(len(recordings)), [len(own.captions) for own in recordings])
    near = np.concatenate([own.words for own in recordings]) @ np.stack([own.sound for own in recordings]).T
    asked = owner[:, None] == np.arange(len(recordings))
    alike = np.array([[_same_labels(own.clip, other.clip) for other in recordings] for own in recordings])

    def estimated(values: NDArray[np.float64], owners: NDArray[np.int64], chance: float) -> dict[str, Any]:
        return estimate(_mean_of_owned(values, owners, len(recordings)), len(recordings), seed) | {"chance": chance}

    out: dict[str, Any] = {}
    for name, found, owners, wanted in (
        ("text_to_audio", ranks(near, asked), owner, asked),
        ("audio_to_text", ranks(near.T, asked.T), np.arange(len(recordings)), asked.T),
    ):
        for most in RECALLS:
            chance = float(np.mean([_found_by_chance(row.sum(), row.size, most) for row in wanted]))
            out[f"{name}_r{most}"] = estimated((found <= most).astype(np.float64), owners, chance)
        first = float(np.mean((wanted.shape[1] + 1.0) / (wanted.sum(axis=1) + 1.0)))
        out[f"{name}_mean_rank"] = estimated(found.astype(np.float64), owners, first)
    labelled = np.flatnonzero(alike.any(axis=1))
    told = np.isin(owner, labelled)
    if not told.any():
        return out | {"same_labels_at_1": {"value": None, "ci95": None, "n": 0, "chance": None}}
    best = labelled[np.argmax(near[told][:, labelled], axis=1)]
    right = alike[owner[told], best].astype(np.float64)
    chance = float(np.mean(alike[owner[told]][:, labelled]))
    return out | {"same_labels_at_1": estimated(right, owner[told], chance)}


def _same_labels(clip: Clip, other: Clip) -> bool:
    """Say whether two clips are labelled, and have the same most specific labels."""
    return bool(clip.labels and other.labels) and specific(clip.labels or ()) == specific(other.labels or ())


def _found_by_chance(wanted: int, items: int, most: int) -> float:
    """Return the probability that one of the wanted is among the first ``most`` in a random order."""
    drawn = min(most, items)
    return 1.0 - math.comb(items - wanted, drawn) / math.comb(items, drawn)


def _mean_of_owned(values: NDArray[np.float64], owners: NDArray[np.int64], count: int) -> Measure:
    """Return the mean over the queries of the recordings that are drawn, as a function of these."""
    sums, sizes = (np.bincount(owners, weights, count) for weights in (values, None))
    return lambda drawn: float(sums[drawn].sum() / sizes[drawn].sum()) if sizes[drawn].sum() else float("nan")
