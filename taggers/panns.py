"""PANNs (Kong et al., IEEE/ACM TASLP 2020) through panns-inference: tags of a sound, and the events in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from taggers.audioset import classes
from taggers.base import Finding, Listener, Settings, Waveform
from taggers.checkpoints import load_into, read_checkpoint, revision
from taggers.containment import IMPORTS, StandIn, needed, stand_ins
from taggers.hysteresis import events
from taggers.serving import serve
from taggers.weights import Weights, locate

if TYPE_CHECKING:
    import torch

needed("torch", "panns_inference")

RATE = 32000
HOP = 320
"""Samples from one frame of the spectrogram, and of the framewise scores, to the next."""

STEP = 32 * HOP
"""Samples in which the framewise scores stay the same: five poolings halve the frames, then each is repeated."""

LEAST = 31 * HOP
"""Samples of the shortest sound of which five poolings leave anything; what is shorter is followed by silence."""

LONGEST = 192 * STEP
"""Samples heard at once (61 s): the networks were trained on 10 s, and an hour at once takes tens of gigabytes."""

ARGUMENTS = {
    "sample_rate": RATE,
    "window_size": 1024,
    "hop_size": HOP,
    "mel_bins": 64,
    "fmin": 50,
    "fmax": 14000,
    "classes_num": 527,
}


class TagSettings(Settings):
    """What a recipe may set of `panns_tags`.

    Attributes:
        weights: the checkpoint, or the folder that holds it; None: the models' folder.
        threshold: a class is a tag where its score reaches it. Small, so that what is done with the scores later decides;
            they are not calibrated, and a good threshold differs from class to class.
        top: tags of one sound, the best, at most.

    """

    weights: str | None = None
    threshold: float = Field(0.05, ge=0.0, le=1.0)
    top: int = Field(20, ge=1)


class EventSettings(Settings):
    """What a recipe may set of `panns_events`; see `taggers.hysteresis.events`. The scores change every 0.32 s.

    Attributes:
        weights: the checkpoint, or the folder that holds it; None: the models' folder.
        high: score that an event must reach; chosen by us, not calibrated.
        low: score that it keeps from its onset to its offset.
        median_s: length of the median filter in seconds; by default three of the network's steps.
        least_s: shorter events are dropped.
        gap_s: events of a class with no more than this between them are one; by default one step.

    """

    weights: str | None = None
    high: float = Field(0.5, gt=0.0, le=1.0)
    low: float = Field(0.2, ge=0.0, le=1.0)
    median_s: float = Field(0.96, ge=0.0)
    least_s: float = Field(0.0, ge=0.0)
    gap_s: float = Field(0.32, ge=0.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class _Panns(Listener):
    """What both networks share: their weights, and how sounds of any length go through them."""

    sample_rate = RATE
    gpus = 0.5
    stateful = True
    weights: Weights
    network: str
    output: str

    def __init__(self, settings: TagSettings | EventSettings) -> None:
        found = locate(self.name, self.weights, settings.weights)
        self._path = found if found.is_file() else found / self.weights.files[0]
        self.revision = revision(self.name, 1, (self._path,), settings, "weights")

    def load(self, device: str) -> None:
        """Load the network on `device`; UserError if the weights are not its own."""
        network = getattr(library(), self.network)(**ARGUMENTS)
        load_into(network, read_checkpoint(self._path, "model"), self._path)
        self._network, self._device = network.to(device).eval(), device

    def _heard(self, batch: Sequence[Waveform]) -> list[list[NDArray[np.float32]]]:
        """Return the network's answer to each piece of each waveform."""
        parts = [pieces(waveform.samples) for waveform in batch]
        flat = [piece for own in parts for piece in own]
        lengths, most = [len(piece) for piece in flat], int(self.batch_s * RATE)
        answers = iter(serve(lengths, flat.__getitem__, self._device, most, self._forward))
        return [[next(answers) for _ in own] for own in parts]

    def _forward(self, samples: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self._network(samples, None)[self.output]
        return answer


class PannsTags(_Panns):
    """Cnn14: for each of AudioSet's 527 classes, whether the sound holds it.

    A sound of more than a minute is heard in pieces; a class's score is the best of theirs.
    """

    name = "panns_tags"
    settings_type = TagSettings
    network, output = "Cnn14", "clipwise_output"
    weights = Weights(
        folder="panns",
        files=("Cnn14_mAP=0.431.pth",),
        place="https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1",
        licence="CC-BY-4.0",
        digests=(("Cnn14_mAP=0.431.pth", "md5:541141fa2ee191a88f24a3219fff024e"),),
    )

    def __init__(self, settings: TagSettings | None = None) -> None:
        self._settings = settings or TagSettings()
        super().__init__(self._settings)

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """Return each waveform's tags, best first."""
        return [self._tags(scores) for scores in self.scores(batch)]

    def scores(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Return each waveform's score of each class: shape (527,), in [0, 1]."""
        return [np.max(parts, axis=0) for parts in self._heard(batch)]

    def _tags(self, scores: NDArray[np.float32]) -> list[Finding]:
        best = np.argsort(-scores, kind="stable")[: self._settings.top]
        return [
            Finding(
                "tag", classes()[index].name, class_id=classes()[index].class_id, confidence=_rounded(scores[index])
            )
            for index in best
            if scores[index] >= self._settings.threshold
        ]


class PannsEvents(_Panns):
    """Cnn14_DecisionLevelMax: which of AudioSet's 527 classes the sound holds, and from when to when."""

    name = "panns_events"
    settings_type = EventSettings
    network, output = "Cnn14_DecisionLevelMax", "framewise_output"
    weights = Weights(
        folder="panns",
        files=("Cnn14_DecisionLevelMax_mAP=0.385.pth",),
        place="https://zenodo.org/records/3987831/files/Cnn14_DecisionLevelMax_mAP%3D0.385.pth?download=1",
        licence="CC-BY-4.0",
        digests=(("Cnn14_DecisionLevelMax_mAP=0.385.pth", "md5:70539c43c18b6a289b3199c503a82c5a"),),
    )

    def __init__(self, settings: EventSettings | None = None) -> None:
        self._settings = settings or EventSettings()
        super().__init__(self._settings)

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """Return each waveform's events by onset; their confidence is the mean score from onset to offset."""
        every = zip(batch, self._heard(batch), strict=True)
        return [self._events(parts, waveform) for waveform, parts in every]

    def scores(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Return each waveform's score of each class over time: shape (frames of 10 ms, 527), in [0, 1]."""
        every = zip(batch, self._heard(batch), strict=True)
        return [framewise(parts, len(waveform.samples)) for waveform, parts in every]

    def _forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return one of each `STEP` of equal scores: of an hour, the 32 of them take 0.76 GB."""
        return super()._forward(samples)[:, :: STEP // HOP].contiguous()

    def _events(self, parts: Sequence[NDArray[np.float32]], waveform: Waveform) -> list[Finding]:
        chosen, duration_s = self._settings, waveform.duration_s
        # A class that never reaches `high` has no event; few of hundreds are spread out over time.
        live = np.flatnonzero(np.max([part.max(axis=0) for part in parts], axis=0) >= chosen.high)
        scores = framewise([part[:, live] for part in parts], len(waveform.samples))
        found = events(scores, HOP / RATE, chosen.high, chosen.low, chosen.median_s, chosen.least_s, chosen.gap_s)
        return [
            Finding(
                "event",
                classes()[live[index]].name,
                class_id=classes()[live[index]].class_id,
                onset_s=round(onset_s, 3),
                offset_s=round(min(offset_s, duration_s), 3),
                confidence=_rounded(score),
            )
            for index, onset_s, offset_s, score in found
        ]


def pieces(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Cut samples into pieces of `LONGEST`, the last between `LEAST` and both together; what is too short is padded."""
    if len(samples) < LEAST:
        return [np.pad(samples, (0, LEAST - len(samples)))]
    count = 1 + max(0, len(samples) - LEAST) // LONGEST
    return [samples[n * LONGEST : (n + 1) * LONGEST if n + 1 < count else None] for n in range(count)]


def framewise(parts: Sequence[NDArray[np.float32]], samples: int) -> NDArray[np.float32]:
    """Join the scores of a waveform's pieces, one of each `STEP`, and spread them: shape (ceil(samples / HOP), classes).

    The network gives one frame more than a piece has hops, since its first is centred on the first sample.
    """
    whole = [part[: LONGEST // STEP] for part in parts[:-1]]
    return np.repeat(np.concatenate([*whole, parts[-1]]), STEP // HOP, axis=0)[: -(-samples // HOP)]


@cache
def library() -> ModuleType:
    """Return the package's module of networks, without the download that importing it starts.

    The package asks a shell to fetch AudioSet's list of labels into the home folder, and keeps an empty one when that
    fails. It finds our list in its place. Of matplotlib, which writes to the home folder too, it uses nothing.
    """
    import librosa  # noqa: F401 - before there is a stand-in that it could meet
    import torchlibrosa  # noqa: F401

    config: Any = ModuleType("panns_inference.config")
    config.sample_rate, config.classes_num = RATE, len(classes())
    config.labels, config.ids = [node.name for node in classes()], [node.class_id for node in classes()]
    plots = {name: StandIn(name) for name in ("matplotlib", "matplotlib.pyplot")}
    with IMPORTS, stand_ins({"panns_inference.config": config} | plots):
        from panns_inference import models
    return models


def _rounded(score: float) -> float:
    return round(float(score), 4)
