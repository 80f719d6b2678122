"""A clip of a sample corpus: who is in it, how it is rendered to a file, and the truth about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipelines.sample import dsp
from pipelines.sample.files import Defect, write_audio, write_broken
from pipelines.sample.phrases import captions
from pipelines.sample.scene import Event, compose, together
from pipelines.sample.synth import BY_MID, SOUNDS, Sound
from schemas.ids import seed_for

Cast = tuple[Sound, ...]

PAIR_SECONDS = 5.0  # two sounds need this long to be told apart
KINDRED = (
    {"Siren", "Police car (siren)", "Civil defense siren"},
    {"Sine wave", "Chirp tone"},
    {"Tick", "Tick-tock"},
)
"""Sounds that share a class, or nearly: never both in one clip."""


@dataclass(frozen=True)
class Clip:
    """A row of a corpus: the sounds that its metadata claims, by onset, and what its file holds.

    ``file`` is relative to the root of all corpora; the clip is ``seconds`` of it from ``start_s`` on.
    ``events``, in seconds from the clip's start, and ``background_db``, in dBFS RMS, are what was
    synthesised: () and None where the ``defect`` leaves nothing to hear.
    """

    corpus: str
    source_id: str
    file: str
    cast: Cast
    seconds: float
    rate: int
    start_s: float
    events: tuple[Event, ...]
    background_db: float | None
    defect: Defect | None

    @property
    def names(self) -> list[str]:
        """Names of the claimed sounds, in order of onset."""
        return [sound.name for sound in self.cast]

    def captions(self, seed: int, count: int) -> list[str]:
        """Return ``count`` different sentences that tell the claimed sounds and their order."""
        rng = generator(seed, f"{self.corpus}/{self.source_id}/captions")
        return captions(rng, self.names, together(self.events), count)

    def truth(self) -> str:
        """Return the clip's line of ``truth.jsonl``."""
        return json.dumps(
            {
                "corpus": self.corpus,
                "id": self.source_id,
                "file": self.file,
                "clip_start_s": self.start_s,
                "seconds": self.seconds,
                "classes": [event.mid for event in self.events],
                "events": [event._asdict() for event in self.events],
                "background_db": self.background_db,
                "defect": self.defect,
            }
        )


def generator(seed: int, key: str) -> np.random.Generator:
    """Return the random generator of the thing named ``key``: a function of the seed and the name alone."""
    return np.random.default_rng(seed_for(seed, "sample", key))


def draw_casts(rng: np.random.Generator, sounds: Sequence[Sound], count: int) -> list[Cast]:
    """Draw who is in each of ``count`` clips: ``sounds`` round after round, a partner in every fourth.

    At most one of two partners is a texture, since two of them blur into one; kindred sounds never meet.
    """
    leads = [sounds[k] for _ in range(-(-count // len(sounds))) for k in rng.permutation(len(sounds))][:count]
    casts: list[Cast] = []
    for number, lead in enumerate(leads):
        partners = [
            sound
            for sound in sounds
            if sound is not lead
            and "event" in (sound.kind, lead.kind)
            and not any({sound.name, lead.name} <= kin for kin in KINDRED)
        ]
        casts.append((lead, partners[rng.integers(len(partners))]) if number % 4 == 3 else (lead,))
    return casts


def draw_seconds(rng: np.random.Generator, cast: Cast, low: float, high: float) -> float:
    """Draw a clip's length in seconds: log-uniform, to a tenth, at least `PAIR_SECONDS` for two sounds."""
    return round(max(dsp.log_uniform(rng, low, high), PAIR_SECONDS * (len(cast) - 1)), 1)


def write_clip(
    root: Path,
    seed: int,
    corpus: str,
    source_id: str,
    file: str,
    cast: Cast,
    seconds: float,
    rate: int,
    channels: int = 1,
    around_s: tuple[float, float] = (0.0, 0.0),
    defect: Defect | None = None,
) -> Clip:
    """Compose a clip, write its file, whole or broken, and return its row.

    ``around_s``: how much of a longer recording, with another sound in it, the file holds before and after.
    """
    rng = generator(seed, f"{corpus}/{source_id}")
    scene = compose(rng, cast, seconds, rate, channels)
    others = [sound for sound in SOUNDS if sound not in cast]
    before, after = (
        [compose(rng, (others[rng.integers(len(others))],), length, rate, channels).audio] if length else []
        for length in around_s
    )
    audio = np.concatenate([*before, scene.audio, *after])
    if defect is None:
        write_audio(root / file, audio, rate)
    else:
        write_broken(root / file, audio, rate, defect)
    heard = defect in (None, "truncated")
    by_onset = tuple(BY_MID[event.mid] for event in scene.events)
    return Clip(
        corpus, source_id, file, by_onset, seconds, rate, around_s[0],
        scene.events if heard else (), scene.background_db if heard else None, defect,
    )  # fmt: skip


def copy_clip(root: Path, original: Clip, corpus: str, source_id: str, file: str, rate: int) -> Clip:
    """Write the recording of another corpus's clip again, mono at ``rate`` Hz, and return its row there."""
    audio, source_rate = soundfile.read(root / original.file, dtype="float32", always_2d=True)
    start = dsp.samples(original.start_s, source_rate)
    mono = audio[start : start + dsp.samples(original.seconds, source_rate)].mean(axis=1)
    converted: NDArray[np.float32] = mono if rate == source_rate else soxr.resample(mono, source_rate, rate)
    write_audio(root / file, np.clip(converted, -1.0, 1.0)[:, None], rate)
    return Clip(
        corpus, source_id, file, original.cast, original.seconds, rate, 0.0,
        original.events, original.background_db, None,
    )  # fmt: skip
