"""Taggers that `earloom train` has trained: the small one that this package brings, and a user's own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from schemas.ontology import default_ontology
from taggers.base import Finding, Listener, Settings, Waveform
from taggers.checkpoints import revision
from taggers.containment import needed
from taggers.crnn_shape import CONFIG, WEIGHTS, read_shape
from taggers.hysteresis import events
from taggers.serving import serve
from taggers.weights import MissingWeights

needed("torch", "safetensors")

DEMO = Path(__file__).parent / "demo" / "tagger"

TAG = 0.6
"""Score of the whole sound that makes a class a tag: rather silent than wrong, since captions are written from tags."""

HIGH, LOW = 0.5, 0.2
"""Scores of a frame between which an event begins and lasts; see `taggers.hysteresis.events`."""

MEDIAN_S, LEAST_S, GAP_S = 0.2, 0.12, 1.0
"""Seconds: of the median filter, of the shortest event, and of the longest pause within one."""


class DemoTagger(Listener):
    """A tagger that `earloom train` has trained: by default the one that this package brings.

    A class is a tag where the score of the whole sound says so; its events are where the scores of the frames do. A class that is
    heard as one of its own kinds, such as an alarm as a siren, is not said again.

    Args:
        folder: `model` in the folder of a training of task `tagging`.

    Raises:
        MissingWeights: it is not there.
        UserError: it does not describe a tagger, or one of classes that the ontology does not have.

    """

    name = "demo_tagger"
    gpus = 0.1
    stateful = True
    mend = "make them with `make demo-models`"

    def __init__(self, folder: Path = DEMO) -> None:
        files = (folder / CONFIG, folder / WEIGHTS)
        if absent := [file.name for file in files if not file.is_file()]:
            raise MissingWeights(f"{self.name!r}: its weights are not in {folder} ({', '.join(absent)}); {self.mend}")
        self._folder, self.shape = folder, read_shape(folder)
        if unknown := [class_id for class_id in self.shape.classes if class_id not in default_ontology()]:
            raise UserError(f"{folder / CONFIG}: {unknown[0]!r} is no class of the ontology; train it again")
        self.sample_rate = self.shape.sample_rate
        self.revision = revision(self.name, 1, files, Settings())

    def load(self, device: str) -> None:
        """Load the network on `device`; UserError if the weights are not its own."""
        from taggers.crnn import read

        self._model, self._device = read(self._folder, device), device

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        """Return each waveform's tags, best first, then its events by onset."""
        every = zip(batch, self.scores(batch), strict=True)
        return [self.findings(scores, waveform.duration_s) for waveform, scores in every]

    def scores(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Return each waveform's scores, shape (1 + frames, classes), in [0, 1]: of the whole, then of frames of `shape.frame_s`."""
        lengths, most = [len(waveform.samples) for waveform in batch], int(self.batch_s * self.shape.sample_rate)
        return serve(lengths, lambda index: batch[index].samples, self._device, most, self._model.hear)

    def findings(self, scores: NDArray[np.float32], duration_s: float) -> list[Finding]:
        """Return what one waveform's `scores` say: tags, best first, then events by onset."""
        heard = [index for index in np.argsort(-scores[0], kind="stable") if scores[0, index] >= TAG]
        said = specific({self.shape.classes[index] for index in heard})
        heard = [index for index in heard if self.shape.classes[index] in said]
        found = events(scores[1:, heard], self.shape.frame_s, HIGH, LOW, MEDIAN_S, LEAST_S, GAP_S)
        tags = [self._finding("tag", index, scores[0, index]) for index in heard]
        return tags + [
            self._finding("event", heard[place], score, round(onset_s, 3), round(min(offset_s, duration_s), 3))
            for place, onset_s, offset_s, score in found
        ]

    def _finding(self, kind: str, index: int, score: float, *span: float) -> Finding:
        class_id = self.shape.classes[index]
        name, confidence = default_ontology()[class_id].name, round(float(score), 4)
        if kind == "tag":
            return Finding("tag", name, class_id=class_id, confidence=confidence)
        onset_s, offset_s = span
        return Finding("event", name, None, None, None, class_id, onset_s, offset_s, confidence)


class TrainedSettings(Settings):
    """What a recipe must set of `trained_tagger`.

    Attributes:
        weights: folder `model` in that of a training of task `tagging`; it has no default.

    """

    weights: str | None = None


class TrainedTagger(DemoTagger):
    """A user's own tagger: it hears the classes of its folder, by the thresholds of the one that this package brings."""

    name = "trained_tagger"
    settings_type = TrainedSettings
    mend = "set `weights` to the folder `model` that `earloom train` wrote for task `tagging`"

    def __init__(self, settings: TrainedSettings | None = None) -> None:
        if settings is None or settings.weights is None:
            raise MissingWeights(f"{self.name!r} has no weights of its own; {self.mend}")
        super().__init__(Path(settings.weights).expanduser())


def specific(classes: Collection[str]) -> set[str]:
    """Return the classes of which none of the others is a kind."""
    ontology = default_ontology()
    every = ontology.bits(classes)
    return {class_id for class_id in classes if not ontology.descendants(class_id) & every}
