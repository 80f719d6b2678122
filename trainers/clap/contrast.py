"""The task of learning which words go with which sound: captioned clips in, one contrastive loss, and what captions find."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor, nn
from transformers import ClapModel

from taggers.clap import ClapSettings
from taggers.clap_transformers import TransformersClap
from trainers.clap.config import ClapTraining
from trainers.clap.examples import CaptionedBatch, CaptionedExamples, decibels, texts_of
from trainers.clap.judge import RECALLS, embedded, measured, recordings_of
from trainers.clap.objective import ClapObjective
from trainers.clap.parts import hear_silence_apart, network, tokenizer, write
from trainers.clips.batches import ClipBatches
from trainers.clips.shards import Clips
from trainers.fit.task import Batches, Row, Sound
from trainers.loader import judged

WATCHED = tuple(f"{way}_r{most}" for way in ("text_to_audio", "audio_to_text") for most in RECALLS)


class Contrast:
    """The training of a small CLAP, as `trainers.fit.task.Task` says.

    It is made of transformers' ``ClapModel``, half a million weights, and learns from captions and, of labelled clips, the names of their
    classes. Some clips of one class are heard with another, over it or after it, and their captions joined, so that words such as "then"
    are learnt from. It knows the words and sounds of its clips alone. It is judged as `taggers` serves it.

    Args:
        training: its configuration.
        folder: of the training; nothing is kept in it.
        device: where it is judged.

    Raises:
        UserError: there are no such clips, or fewer than two held-out recordings.
    """

    told: Mapping[str, str] = MappingProxyType({})

    def __init__(self, training: ClapTraining, folder: str | Path, device: str) -> None:
        self.training, self.device, data = training, device, training.data
        clips, self.held_out = (
            Clips(data.folders, data.split),
            Clips(data.held_out or data.folders, data.held_out_split),
        )
        self.tokenizer = tokenizer(text for clip in clips.told for text in texts_of(clip))
        self.examples = CaptionedExamples(
            clips, self.tokenizer, training.joined, training.negatives.hard, training.seed
        )
        copies = recordings_of(self.held_out.told)
        self.judged = [copies[place] for place in judged(len(copies), data.held_out_clips, training.seed)]

    def build(self) -> nn.Module:
        """Return a CLAP with its loss; its bands have the mean and variance of the clips to train on."""
        clap = network(len(self.tokenizer))
        numbers = range(len(self.examples))
        hear_silence_apart(clap, *self.examples.spectra.survey(numbers, self.training.seed, decibels))
        return ClapObjective(clap, self.training.negatives.related)

    def kept(self, module: nn.Module) -> nn.Module:
        """Return the CLAP."""
        assert isinstance(module, ClapObjective)
        return module.clap

    def batches(self, size: int, rank: int, world: int, workers: int) -> Batches:
        """Return the batches of a rank."""
        return ClipBatches(self.examples, size, rank, world, workers)

    def losses(self, module: nn.Module, batch: CaptionedBatch, epoch: int) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        device = next(module.parameters()).device
        losses: dict[str, Tensor] = module(*(each.to(device) for each in batch))
        return losses

    def judge(self, module: nn.Module, rank: int, world: int) -> list[Row]:
        """Return a row per held-out recording of this rank: its place, and its embeddings by the CLAP that is served."""
        with self._served(module) as model:
            places = range(len(self.judged))[rank::world]
            return [
                {"place": place, "recording": embedded(model, self.held_out, self.judged[place])} for place in places
            ]

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the measures of `trainers.clap.judge`; the mean of all recalls, both ways, is watched (VSE++'s sum, as a mean)."""
        rows = sorted(rows, key=lambda row: int(row["place"]))
        found = measured([row["recording"] for row in rows], self.training.seed)
        return {"watched": float(np.mean([found[name]["value"] for name in WATCHED])), **found}

    def sounds(self, module: nn.Module) -> Iterator[Sound]:
        """Yield the first held-out clips with their caption, and that of them all which is nearest."""
        with self._served(module) as model:
            first = [embedded(model, self.held_out, copies) for copies in self.judged[: self.training.data.sounds]]
            for own, copies in zip(first, self.judged, strict=False):
                near = max(first, key=lambda other: float(np.max(other.words @ own.sound)))
                text = f"{own.captions[0]} Nearest of {len(first)}: {near.captions[0]}"
                yield Sound(own.clip.key, text, own.clip.sample_rate, {"clip": self.held_out[copies[0]]})

    def write(self, module: nn.Module, folder: Path) -> None:
        """Write a CLAP into a folder that is there, as `taggers` serves it."""
        assert isinstance(module, ClapModel)
        write(module, self.tokenizer, folder)

    @contextmanager
    def _served(self, module: nn.Module) -> Iterator[TransformersClap]:
        """Give the CLAP as it is served, read back from what is written of it."""
        with tempfile.TemporaryDirectory(prefix="earloom-") as folder:
            self.write(self.kept(module), Path(folder))
            model = TransformersClap(ClapSettings(weights=folder))
            model.load(self.device)
            yield model
