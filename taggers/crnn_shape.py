"""What a small framewise tagger is, beside its weights: told without torch, since a run is planned without it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
STRIDE = 4
"""Frames of the spectrogram in a step of the recurrent layer, which gives two frames of scores."""


@dataclass(frozen=True)
class Shape:
    """What determines a tagger's network, beside its weights.

    Attributes:
        classes: AudioSet ontology ids, in the order of the scores.
        sample_rate: samples per second that it hears.
        window, hop: of the spectrogram, in samples.
        bands: mel bands from `low_hz` to `high_hz`.
        channels: of the four convolutions.
        units: of the recurrent layer, per direction.

    """

    classes: tuple[str, ...]
    sample_rate: int = 16000
    window: int = 1024
    hop: int = 320
    bands: int = 64
    low_hz: float = 20.0
    high_hz: float = 8000.0
    channels: tuple[int, int, int, int] = (24, 32, 48, 64)
    units: int = 64

    @property
    def frame(self) -> int:
        """Samples of one frame of scores."""
        return self.hop * STRIDE // 2

    @property
    def frame_s(self) -> float:
        """Seconds of one frame of scores."""
        return self.frame / self.sample_rate


def read_shape(folder: Path) -> Shape:
    """Return the shape that `write` wrote; UserError if it is none."""
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return Shape(**told | {"classes": tuple(told["classes"]), "channels": tuple(told["channels"])})
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{folder / CONFIG}: does not describe a tagger ({type(error).__name__}); train it again"
        ) from None
