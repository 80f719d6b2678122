"""A checkpoint of `trainers.fit` as a system: it separates at its own rate, asked by words."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path

import soxr
import torch

from schemas.errors import UserError
from taggers.base import Embedder
from trainers.evaluating.fitting import Given
from trainers.evaluating.items import REMOVAL, Item
from trainers.fit.checkpoint import read_weights
from trainers.fit.read import parse_training
from trainers.lass.config import SeparatorTraining, build
from trainers.lass.queries import Embedded, queries
from trainers.lass.tasks import TASKS
from trainers.shards import embedder_of


class Checkpoint:
    """A trained separator; a mixture at another rate than its own is resampled to it (soxr, HQ), and the answer back.

    Args:
        name: as the user calls it.
        path: its weights.
        device: where it works.

    Raises:
        UserError: the file is none that a training wrote, or the model of its queries cannot be had.
    """

    kind: str = "checkpoint"
    keeps: bool = True

    def __init__(self, name: str, path: Path, device: str) -> None:
        config, told, weights = read_weights(path)
        training = parse_training(config, str(path))
        if not isinstance(training, SeparatorTraining):
            raise UserError(f"{path}: is of a training of task {training.task}; name one of task separation")
        self.name, self.device = name, device
        self.revision: str | None = hashlib.sha256(path.read_bytes()).hexdigest()
        self.separator = build(training.separator)
        try:
            self.separator.load_state_dict(weights)
        except RuntimeError as error:
            words = str(error).splitlines()[0]
            raise UserError(f"{path}: its weights are not of the separator that it names ({words})") from None
        self.separator.eval().to(device)
        # Answers are what an evaluation keeps; the words' embeddings last as long as this process.
        self._words = tempfile.TemporaryDirectory(prefix="earloom-")
        self.queries = replace(queries(training.queries, self._words.name, device, training.seed), text=1.0)
        own = self.queries
        self.query_encoder: Embedder | None = own.model if isinstance(own, Embedded) else None
        self.stored, self.trained_with = self.query_encoder is None, told.get("query_encoder")
        self.removes = training.removal > 0

    def __call__(self, item: Item) -> Given:
        """Return its answer, at its own rate.

        Raises:
            UserError: it was not trained for the task, or was trained with embeddings that shards hold, and the mixture has none, or
                one of another model's.
        """
        if item.task == REMOVAL and not self.removes:
            raise UserError(f"--system {self.name}: was trained for extraction alone; leave --task {REMOVAL} out")
        theirs = embedder_of(item.record) if self.stored else None
        if theirs and self.trained_with and theirs != self.trained_with:
            raise UserError(
                f"--system {self.name}: was trained with embeddings of {self.trained_with}, and {item.set} holds those of {theirs}; "
                "mix the set with that embedder"
            )
        self.trained_with = self.trained_with or theirs
        rate = self.separator.sample_rate
        mixture = item.mixture if item.rate == rate else soxr.resample(item.mixture, item.rate, rate, "HQ")
        condition = self.queries([item.record], 0)
        task = torch.tensor([TASKS.index(item.task)])
        # A copy: a set's samples may be read-only, of which torch warns.
        sound = torch.from_numpy(mixture.copy())[None]
        with torch.inference_mode():
            answer = self.separator(*(each.to(self.device) for each in (sound, condition, task)))[0]
        return Given(answer.float().cpu().numpy(), rate)
