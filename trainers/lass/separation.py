"""The task of separating what a query asks for: mixtures in, the answers' losses, SDRi of held-out mixtures, and sounds to listen to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import UserError
from trainers.fit.task import Batches, Row, Sound
from trainers.lass.config import SeparatorTraining, build
from trainers.lass.mixtures import excerpt, mixtures_of
from trainers.lass.objective import Objective
from trainers.lass.queries import Embedded, Stored, queries
from trainers.lass.spectra import window_and_hop
from trainers.lass.tasks import EXTRACTION, REMOVAL, answers, drawn
from trainers.loader import Batch, Loader, collated, judged
from trainers.measures.registry import MEASURES
from trainers.shards import embedder_of

JUDGED = 8
"""Mixtures that are judged together."""

MEASURED = ("sdri", "si_sdri")


class Separation:
    """The training of a separator, as `trainers.fit.task.Task` says.

    Held-out mixtures are asked for by words, whatever share of the training is asked for by sound, and are heard whole.

    Args:
        training: its configuration.
        folder: of the training; embeddings of words are kept in it.
        device: where the model that embeds is loaded.

    Raises:
        UserError: there are no such mixtures, their rate is not the separator's, or their queries' embeddings cannot be had or
            are of another length than the separator's.
    """

    def __init__(self, training: SeparatorTraining, folder: str | Path, device: str) -> None:
        self.training, data = training, training.data
        rate = training.separator.sample_rate
        self.mixtures = mixtures_of(data.folders, data.split, data.set, rate)
        self.held_out = mixtures_of(
            data.held_out or data.folders, data.held_out_split, data.held_out_set or data.set, rate
        )
        self.judged = judged(len(self.held_out), data.held_out_mixtures, training.seed)
        self.queries: Embedded | Stored = queries(training.queries, Path(folder) / "embeddings", device, training.seed)
        if isinstance(self.queries, Stored):
            self.queries = replace(self.queries, revision=embedder_of(self.mixtures[0].record))
        self.told = {"query_encoder": self.queries.revision} if self.queries.revision else {}
        self._check()

    def build(self) -> nn.Module:
        """Return the separator with its losses."""
        return Objective(build(self.training.separator), self.training.loss)

    def kept(self, module: nn.Module) -> nn.Module:
        """Return the separator."""
        assert isinstance(module, Objective)
        return module.separator

    def batches(self, size: int, rank: int, world: int, workers: int) -> Batches:
        """Return the batches of a rank."""
        return Loader(self.mixtures, size, self.training.seed, rank, world, workers)

    def losses(self, module: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Return the losses of a batch; queries and tasks are drawn anew in each epoch, as are the excerpts."""
        training, device = self.training, next(module.parameters()).device
        if training.data.crop_s is not None:
            batch = excerpt(batch, round(training.data.crop_s * training.separator.sample_rate), training.seed, epoch)
        task = drawn(batch.records, training.removal, training.seed, epoch)
        condition = self._fitting(self.queries(batch.records, epoch, batch.target))
        heard = self.queries.heard(batch.records, batch.target) if training.separator.guided else None
        wanted = None if heard is None else self._fitting(heard)
        given = (batch.mixture, condition, task, answers(batch.mixture, batch.target, task), wanted)
        losses: dict[str, Tensor] = module(*(each if each is None else each.to(device) for each in given))
        return losses

    def judge(self, module: nn.Module, rank: int, world: int) -> list[Row]:
        """Return a row per held-out mixture of this rank: number, classes, and what is measured of it, in dB."""
        own = self.judged[rank::world]
        return [row for at in range(0, len(own), JUDGED) for row in self._rows(module, own[at : at + JUDGED])]

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return each measure with its interval, over all mixtures and, without one, for each class; SDRi is watched."""
        rows = sorted(rows, key=lambda row: int(row["number"]))
        names = [name for name in rows[0] if name not in ("number", "classes")]
        whole = {
            name: MEASURES[name.removeprefix("removal_")].summary(
                np.array([row[name] for row in rows]), self.training.seed
            )
            for name in names
        }
        own: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            for each in row["classes"]:
                own[each].append(row)
        classes = {
            each: {name: _mean([row[name] for row in of]) for name in names} | {"mixtures": len(of)}
            for each, of in sorted(own.items())
        }
        return {"watched": whole["sdri"]["value"], **whole, "classes": classes}

    def sounds(self, module: nn.Module) -> Iterator[Sound]:
        """Yield the first held-out mixtures with their targets and answers."""
        for number in self.judged[: self.training.data.sounds]:
            batch = collated([self.held_out[number]])
            made = {"answer": self._answers(module, batch, EXTRACTION)[0].numpy()}
            if self.training.removal:
                made["without"] = self._answers(module, batch, REMOVAL)[0].numpy()
            given = {"mixture": batch.mixture[0].numpy(), "target": batch.target[0].numpy()}
            yield Sound(batch.keys[0], batch.queries[0], self.training.separator.sample_rate, given, made)

    def _rows(self, module: nn.Module, numbers: Sequence[int]) -> list[Row]:
        batch = collated([self.held_out[number] for number in numbers])
        columns: dict[str, Any] = {}
        for prefix, task in (("", EXTRACTION), ("removal_", REMOVAL)) if self.training.removal else (("", EXTRACTION),):
            answer = answers(batch.mixture, batch.target, torch.full((len(numbers),), task))
            given = {
                "estimate": self._answers(module, batch, task),
                "reference": answer,
                "mixture": batch.mixture,
            }
            columns |= {f"{prefix}{name}": MEASURES[name].rows(given) for name in MEASURED}
        return [
            {"number": number, "classes": list(dict.fromkeys(record.get("target_class_names", [])))}
            | {name: float(values[at]) for name, values in columns.items()}
            for at, (number, record) in enumerate(zip(numbers, batch.records, strict=True))
        ]

    def _answers(self, module: nn.Module, batch: Batch, task: int) -> Tensor:
        separator, by_words = self.kept(module), replace(self.queries, text=1.0)
        device = next(separator.parameters()).device
        tasks = torch.full((len(batch.keys),), task)
        given = (batch.mixture, self._fitting(by_words(batch.records, 0)), tasks)
        answer: Tensor = separator(*(each.to(device) for each in given))
        return answer.float().cpu()

    def _check(self) -> None:
        """Refuse excerpts that cannot be had, and queries that have no embeddings or those of another length."""
        first, separator, crop_s = self.mixtures[0], self.training.separator, self.training.data.crop_s
        least = window_and_hop(separator.sample_rate)[0]
        if crop_s is not None and not least <= round(crop_s * separator.sample_rate) <= len(first.mixture):
            bounds = [f"{samples / separator.sample_rate:g}" for samples in (least, len(first.mixture))]
            raise UserError(
                f"data.crop_s: {crop_s:g} will not do: excerpts are of {bounds[0]} s, a window of the STFT, at least, and the "
                f"mixtures have {bounds[1]} s"
            )
        self._fitting(replace(self.queries, text=1.0)([first.record], 0))

    def _fitting(self, embeddings: Tensor) -> Tensor:
        """Return embeddings; UserError if they are of another length than the separator's."""
        wanted, found = self.training.separator.embedding, embeddings.shape[1]
        if wanted != found:
            raise UserError(f"separator.embedding: {wanted} will not do: the queries' embeddings have {found} numbers")
        return embeddings


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None
