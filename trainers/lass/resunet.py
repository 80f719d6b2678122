"""The separator: AudioSep's ResUNet, written anew from its description (Liu et al. 2023, "Separate anything you describe")."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from trainers.lass.blocks import Down, Residual, Up
from trainers.lass.guide import Guide
from trainers.lass.sizes import Size
from trainers.lass.spectra import Spectra, filled, levelled, masked
from trainers.lass.tasks import TASKS


class Separator(nn.Module):
    """Estimates what a query's embedding asks for, or all but that, by a mask and a rotation for each bin of the mixture's spectrum.

    Other than AudioSep it hears every mixture at the same level, so that what it answers follows the mixture's gain; the task is
    a learnt vector that is added to the query (HSM-TSS); and ``guide``, where there is one, puts the target's predicted audio
    embedding in the query's place (Hybrid-Sep).

    Attributes:
        sample_rate: Hz.
        embedding: length E of a query's embedding.
        guide: None unless the separator is guided.
    """

    def __init__(self, size: Size, sample_rate: int, embedding: int, guided: bool) -> None:
        super().__init__()
        self.sample_rate, self.embedding, self.size = sample_rate, embedding, size
        self.spectra = Spectra(sample_rate)
        bins = self.spectra.bins
        self.task = nn.Embedding(len(TASKS), embedding)
        nn.init.normal_(self.task.weight, std=1.0 / math.sqrt(embedding))  # as long as a query's embedding
        self.norm = nn.BatchNorm1d(bins)
        self.first = nn.Conv2d(1, size.first, size.patch, stride=size.patch)
        widths = (size.first, *size.channels)
        self.down = nn.ModuleList(
            [Down(*ends, step, embedding) for ends, step in zip(pairwise(widths), size.steps, strict=True)]
        )
        self.middle = Residual(widths[-1], widths[-1], embedding)
        self.up = nn.ModuleList(
            [
                Up(*ends, step, embedding)
                for ends, step in zip(pairwise((widths[-1], *widths[:0:-1])), size.steps[::-1], strict=True)
            ]
        )
        self.last = nn.ConvTranspose2d(size.channels[0], 3, size.patch, stride=size.patch)
        _begin_plain(self.last)
        # Drawn last, so that with and without a guide the other weights begin alike.
        self.guide = Guide(bins, embedding, size.guide, size.layers) if guided else None
        # Convolutions are faster where a place's channels lie together, on a CPU as on a GPU.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mixture: Tensor, condition: Tensor, task: Tensor) -> Tensor:
        """Return the estimated answers, float32, shape (B, T).

        Args:
            mixture: float32, shape (B, T), T >= 1, at ``sample_rate``, of any level.
            condition: float32, shape (B, E): embeddings of the queries, of unit length.
            task: int64, shape (B,): 0, the sound that is asked for, or 1, the mixture without it.

        Raises:
            ValueError: the shapes are others.
        """
        return self.guided(mixture, condition, task)[0]

    def guided(self, mixture: Tensor, condition: Tensor, task: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the answers and, where there is a guide, the audio embeddings (B, E) that it predicts; see :meth:`forward`.

        No gradient flows from an answer into the guide, which learns from embeddings alone: this is Hybrid-Sep's two stages
        side by side in one training.
        """
        _check(mixture, condition, task, self.embedding)
        level_one, level = levelled(mixture)
        spectra = self.spectra(level_one)
        magnitudes = spectra.abs()[..., :-1]
        predicted = self.guide(magnitudes, condition) if self.guide is not None else None
        asked = (condition if predicted is None else predicted.detach()) + self.task(task)
        # A unit vector's numbers are small: left so, a layer's drawn weights would make hardly any difference between two queries.
        maps = self._maps(magnitudes, asked * math.sqrt(self.embedding))
        # The bin at half the sample rate is not looked at; it is treated as its neighbour is.
        answers = masked(spectra, torch.cat([maps, maps[..., -1:]], dim=-1))
        return self.spectra.back(answers, mixture.shape[1]) * level, predicted

    def _maps(self, magnitudes: Tensor, condition: Tensor) -> Tensor:
        """Return three unbounded maps, shape (B, 3, frames, bins), of magnitudes (B, frames, bins)."""
        frames, bins = magnitudes.shape[1:]
        x = self.norm(magnitudes.transpose(1, 2)).transpose(1, 2)[:, None]
        x = self.first(filled(x, self.size.multiple)).contiguous(memory_format=torch.channels_last)
        kept = []
        for down in self.down:
            x, skip = down(x, condition)
            kept.append(skip)
        x = self.middle(x, condition)
        for up, skip in zip(self.up, reversed(kept), strict=True):
            x = up(x, skip, condition)
        return self.last(x)[:, :, :frames, :bins].contiguous()


def _begin_plain(last: nn.ConvTranspose2d) -> None:
    """Let the first answers be about half of the mixture: masks and turns of phase at random would have to be unlearnt."""
    assert last.bias is not None
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))


def _check(mixture: Tensor, condition: Tensor, task: Tensor, embedding: int) -> None:
    count = len(mixture)
    if mixture.ndim != 2 or not mixture.numel():
        raise ValueError(f"mixtures must have shape (B, T), neither of them 0, not {tuple(mixture.shape)}")
    if condition.shape != (count, embedding) or task.shape != (count,):
        shapes = f"{tuple(condition.shape)} and {tuple(task.shape)}"
        raise ValueError(f"condition and task must have shapes ({count}, {embedding}) and ({count},), not {shapes}")
