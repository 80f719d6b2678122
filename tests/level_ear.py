"""A listener whose confidence is a known distortion of the truth, as a package of its own, and the sounds that it hears."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from taggers.base import Finding, Listener, Waveform

DOG, RAIN = "/m/0bt9lr", "/m/06mb1"
CLIPS = 160


class Level(Listener):
    """Is as sure of a dog as a clip is loud, and of rain as it is quiet."""

    name, revision = "level", "1"

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        peaks = [min(1.0, round(float(np.abs(wave.samples).max()), 2)) for wave in batch]
        return [
            [
                Finding("tag", "Dog", class_id=DOG, confidence=peak),
                Finding("event", "Rain", class_id=RAIN, onset_s=0.0, offset_s=0.1, confidence=round(1 - peak, 2)),
            ]
            for peak in peaks
        ]


def write_sounds(root: Path) -> None:
    """Write noises in the layout of FSD50K: a dog as often as the square of the level says, else rain; the last are a test."""
    rng = np.random.default_rng(11)
    truth, audio = root / "FSD50K.ground_truth", root / "FSD50K.dev_audio"
    truth.mkdir()
    audio.mkdir()
    lines = {"dev": ["fname,labels,mids,split"], "eval": ["fname,labels,mids"]}
    for number in range(CLIPS):
        level = rng.uniform(0.1, 0.99)
        noise = rng.uniform(-1, 1, 1200)
        soundfile.write(audio / f"{number}.wav", level * noise / np.abs(noise).max(), 8000, subtype="PCM_16")
        label = f"Dog,{DOG}" if rng.random() < level**2 else f"Rain,{RAIN}"
        if number < CLIPS - 20:
            lines["dev"].append(f"{number},{label},{'val' if number % 4 == 0 else 'train'}")
        else:
            lines["eval"].append(f"{number},{label}")
    for name, rows in lines.items():
        (truth / f"{name}.csv").write_text("\n".join(rows) + "\n")


def install(folder: Path) -> None:
    """Lay the listener out as an installed package does, for processes that have ``folder`` on their path."""
    info = folder / "level_ear-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: level_ear\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[earloom.listeners]\nlevel = level_ear:Level\n")
