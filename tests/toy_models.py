"""Small models behind the seam of ``taggers``, for tests of the stages that use them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taggers.base import Embedder, Finding, Listener, Settings, Waveform
from taggers.chat import Answer, Chat, Conversation, NoAnswer
from taggers.windows import starts


class Picky(Listener):
    """Hears the loudness of a clip, and cannot stand a loud one."""

    name, revision = "picky", "1"

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        if any(np.abs(wave.samples).max() > 0.5 for wave in batch):
            raise RuntimeError("too loud")
        return [[Finding("fact", "peak", float(np.abs(wave.samples).max()))] for wave in batch]


class Rate(Listener):
    """Tells the rate at which it hears, and how long."""

    name, revision, sample_rate, stateful = "rate", "1", 8000, True

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        return [[Finding("fact", "rate", wave.rate), Finding("fact", "s", wave.duration_s)] for wave in batch]


class PoisonSettings(Settings):
    """What may be set of ``Poisoned``."""

    peak: float = 0.5


class Poisoned(Listener):
    """Ends its own process, as a crash in native code does, on a clip that is louder than ``peak``."""

    settings_type = PoisonSettings
    name, revision, stateful = "poisoned", "1", True

    def __init__(self, settings: PoisonSettings) -> None:
        self.settings = settings

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        if any(np.abs(wave.samples).max() > self.settings.peak for wave in batch):
            os.kill(os.getpid(), signal.SIGKILL)
        return [[Finding("fact", "heard", 1.0)] for _ in batch]


class Pitch(Embedder):
    """Puts a window where its mean frequency lies between 0 and 4 kHz, and a text where "low" and "high" say."""

    name, revision, stateful = "pitch", "1", True
    sample_rate, dimension, window_s, hop_s = 8000, 2, 1.0, 0.5

    def embed_audio(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        out = []
        for wave in batch:
            rows = []
            for begin in starts(wave.duration_s, self.window_s, self.hop_s):
                first = round(begin * wave.rate)
                power = np.abs(np.fft.rfft(wave.samples[first : first + wave.rate])) ** 2
                rows.append(direction(float(power @ np.linspace(0, 1, len(power)) / max(float(power.sum()), 1e-9))))
            out.append(np.array(rows, np.float32))
        return out

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        where = {"low": 0.05, "high": 0.95}
        found = [[where[word] for word in text.split() if word in where] for text in texts]
        return np.array([direction(float(np.mean(each)) if each else 0.5) for each in found], np.float32)


class Parrot(Chat):
    """Answers how long the sound is, denies speech, and has nothing to say of what is shorter than half a second."""

    name, revision, sample_rate, stateful = "parrot", "1", 8000, True

    def converse(self, batch: Sequence[Conversation]) -> list[list[Answer] | NoAnswer]:
        out: list[list[Answer] | NoAnswer] = []
        for talk in batch:
            assert talk.sound is not None
            if talk.sound.duration_s < 0.5:
                out.append(NoAnswer("too_short", "half a second at least"))
                continue
            words = [f"A tone of {talk.sound.duration_s:g} s at {talk.sound.rate} Hz.", "There is no speech."]
            out.append([Answer(word, "parrot") for word in words[: len(talk.turns)]])
        return out


def direction(share: float) -> tuple[float, float]:
    return float(np.cos(share * np.pi / 2)), float(np.sin(share * np.pi / 2))


def install(folder: Path) -> None:
    """Lay these models out as an installed package does, for processes that have ``folder`` on their path."""
    info = folder / "toy_ears-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_ears\nVersion: 1.0\n")
    lines = [f"{kind.name} = toy_models:{kind.__name__}" for kind in (Picky, Rate, Poisoned, Pitch, Parrot)]
    (info / "entry_points.txt").write_text("[earloom.listeners]\n" + "\n".join(lines) + "\n")
