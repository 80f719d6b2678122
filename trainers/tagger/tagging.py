"""The task of tagging: labelled clips in, losses of whole clips and of frames, and what the tagger hears in held-out clips."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import UserError
from schemas.ontology import default_ontology
from taggers.crnn import Crnn, write
from taggers.crnn_shape import Shape
from taggers.demo_tagger import DemoTagger
from trainers.clips.batches import ClipBatches
from trainers.clips.ranks import largest_over_ranks
from trainers.clips.shards import Clips
from trainers.clips.spectra import at_rate
from trainers.fit.task import Batches, Row, Sound
from trainers.loader import judged
from trainers.tagger.config import TaggerTraining
from trainers.tagger.examples import LabelledBatch, LabelledExamples
from trainers.tagger.judge import heard, measured
from trainers.tagger.objective import TaggerObjective
from trainers.tagger.targets import classes_of

WATCHED = "tag_map"

RARE = -3.0
"""Logit that the heads begin with: most classes are absent from most clips."""


class Tagging:
    """The training of a framewise tagger, as `trainers.fit.task.Task` says.

    It learns from publishers' labels, of clips where they are all known, and from their times where they are given; what listeners
    heard teaches it nothing. Its classes are those that have clips enough. It is judged as `taggers` serves it.

    Args:
        training: its configuration.
        folder: of the training; nothing is kept in it.
        device: where it is judged.

    Raises:
        UserError: there are no such clips, none has labels that are all known, or no class has clips enough.
    """

    told: Mapping[str, str] = MappingProxyType({})

    def __init__(self, training: TaggerTraining, folder: str | Path, device: str) -> None:
        self.training, self.device, data = training, device, training.data
        clips, self.held_out = (
            Clips(data.folders, data.split),
            Clips(data.held_out or data.folders, data.held_out_split),
        )
        labelled = _labelled(clips, data.split)
        classes = classes_of((clips.told[number].labels or () for number in labelled), training.least)
        if not classes:
            raise UserError(f"least: no class has {training.least} clips in split {data.split}; lower it, or add clips")
        self.shape = Shape(classes)
        self.examples = LabelledExamples(clips, labelled, self.shape, training.overlaid, training.seed)
        asked = _labelled(self.held_out, data.held_out_split)
        self.judged = [asked[place] for place in judged(len(asked), data.held_out_clips, training.seed)]

    def build(self) -> nn.Module:
        """Return a tagger with its losses; its bands have mean 0 and deviation 1 over the clips to train on."""
        tagger = Crnn(self.shape)
        mean, variance = self.examples.spectra.survey(self.examples.labelled, self.training.seed, Crnn.bels)
        with torch.no_grad():
            tagger.mean.copy_(mean)
            tagger.scale.copy_(1.0 / variance.sqrt().clamp_min(1e-3))
            tagger.heads.bias.fill_(RARE)
        return TaggerObjective(tagger)

    def kept(self, module: nn.Module) -> nn.Module:
        """Return the tagger."""
        assert isinstance(module, TaggerObjective)
        return module.tagger

    def batches(self, size: int, rank: int, world: int, workers: int) -> Batches:
        """Return the batches of a rank."""
        return ClipBatches(self.examples, size, rank, world, workers)

    def losses(self, module: nn.Module, batch: LabelledBatch, epoch: int) -> dict[str, Tensor]:
        """Return the losses of a batch, which is as long as the longest of any rank's."""
        device = next(module.parameters()).device
        frames = batch.powers.shape[1]
        more = largest_over_ranks(frames, device) - frames
        # Batch statistics count silence too, so that each rank must add as much of it as one process would.
        powers, heard = (
            functional.pad(each, (0, 0, 0, by)) for each, by in ((batch.powers, more), (batch.heard, more // 2))
        )
        given = batch._replace(powers=powers, heard=heard, mask=functional.pad(batch.mask, (0, more // 2)))
        losses: dict[str, Tensor] = module(*(each.to(device) for each in given))
        return losses

    def judge(self, module: nn.Module, rank: int, world: int) -> list[Row]:
        """Return a row per labelled held-out clip of this rank: its number, and what the tagger that is served says of it."""
        with self._served(module) as listener:
            return [
                {"number": number, "heard": heard(listener, self.held_out.told[number], self.held_out[number])}
                for number in self.judged[rank::world]
            ]

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the measures of `trainers.tagger.judge`; the mean average precision of tags is watched."""
        every = [row["heard"] for row in sorted(rows, key=lambda row: int(row["number"]))]
        found = measured(every, self.shape.classes, self.training.seed)
        return {"watched": found[WATCHED]["value"], **found}

    def sounds(self, module: nn.Module) -> Iterator[Sound]:
        """Yield the first held-out clips with what the publisher says of them, and what is heard in them."""
        with self._served(module) as listener:
            for number in self.judged[: self.training.data.sounds]:
                clip, samples = self.held_out.told[number], self.held_out[number]
                tags = heard(listener, clip, samples).tags
                text = f"published: {_names(clip.labels or ())}; heard: {_names(tags)}"
                rate = self.shape.sample_rate
                yield Sound(clip.key, text, rate, {"clip": at_rate(samples, clip.sample_rate, rate)})

    def write(self, module: nn.Module, folder: Path) -> None:
        """Write a tagger into a folder that is there, as `taggers` serves it."""
        assert isinstance(module, Crnn)
        write(module, folder)

    @contextmanager
    def _served(self, module: nn.Module) -> Iterator[DemoTagger]:
        """Give the tagger as it is served, read back from what is written of it."""
        with tempfile.TemporaryDirectory(prefix="earloom-") as folder:
            self.write(self.kept(module), Path(folder))
            listener = DemoTagger(Path(folder))
            listener.load(self.device)
            yield listener


def _labelled(clips: Clips, split: str) -> list[int]:
    found = [number for number, clip in enumerate(clips.told) if clip.labels]
    if not found:
        raise UserError(
            f"data: no clip of split {split} has publishers' labels that are all known; a tagger needs some"
        )
    return found


def _names(class_ids: Sequence[str]) -> str:
    return ", ".join(default_ontology()[class_id].name for class_id in class_ids) or "nothing"
