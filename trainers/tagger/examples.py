"""What a tagger learns from: spectrograms of labelled clips, some over or after another one, with what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from schemas.ids import seed_for
from taggers.crnn import mel_filters, mel_powers, padded
from taggers.crnn_shape import STRIDE, Shape
from trainers.clips.shards import Clip, Clips
from trainers.clips.spectra import Spectra, louder, overlaid
from trainers.tagger.targets import Target, target

LONGEST_S = 10.0
"""Seconds of the longest example; a longer clip teaches with its beginning."""

SORTED = 8
"""Batches whose examples are put in order of length, so that little is padded."""

LEFT = 0.6
"""Share of a clip that has to be heard for the labels of the whole to hold."""


@dataclass(frozen=True)
class Example:
    """The power spectrogram of a clip, shape (frames, bands), and its truth."""

    power: Tensor
    truth: Target


class LabelledBatch(NamedTuple):
    """Examples of about one length, with silence behind the shorter ones; B of them, T frames, F = T / 2 frames of scores.

    Attributes:
        powers: shape (B, T, bands).
        mask: which frames of scores are sound, shape (B, F).
        holds: whether a clip holds a class, shape (B, classes).
        known: whether that is known, likewise.
        heard: whether a frame of scores holds a class, shape (B, F, classes).
        timed: whether that is known, shape (B, classes).
    """

    powers: Tensor
    mask: Tensor
    holds: Tensor
    known: Tensor
    heard: Tensor
    timed: Tensor


class LabelledExamples:
    """Labelled clips as a tagger learns from them, as `trainers.clips.batches.Examples`.

    Args:
        clips: of the split.
        labelled: numbers of those clips whose labels are all known.
        shape: the tagger's.
        overlaid: share of the examples that are two clips.
        seed: of the training.
    """

    def __init__(self, clips: Clips, labelled: Sequence[int], shape: Shape, overlaid: float, seed: int) -> None:
        self.clips, self.labelled, self.shape, self.overlaid, self.seed = clips, labelled, shape, overlaid, seed
        filters = mel_filters(shape)
        self.spectra = Spectra(
            clips,
            shape.sample_rate,
            LONGEST_S,
            lambda samples: mel_powers(torch.from_numpy(samples)[None], shape, filters)[0],
        )

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, item: tuple[int, int]) -> Example:
        """Return a clip at a level of its own, with another one over or after it as often as was asked for."""
        epoch, number = item
        rng = np.random.default_rng(seed_for(self.seed, "trainers.tagger", f"{epoch}:{number}"))
        first = self._whole(number)
        first = Example(louder(first.power, rng), first.truth)
        if rng.random() >= self.overlaid:
            return first
        second = self._whole(int(rng.integers(len(self))))
        longest = round(LONGEST_S * self.shape.sample_rate / self.shape.hop)
        at = 2 * int(rng.integers(min(len(first.power), longest) // 2 + 1))
        kept = min(len(second.power), longest - at)
        if kept < LEFT * len(second.power):
            return first
        power = overlaid(first.power, louder(second.power[:kept], rng), at)
        return Example(power, union(first.truth, second.truth, at // 2, 2 * -(-len(power) // STRIDE)))

    def collated(self, examples: Sequence[Example]) -> LabelledBatch:
        """Return examples as a batch, its frames a multiple of the network's stride."""
        powers, mask = padded([example.power for example in examples])
        powers = functional.pad(powers, (0, 0, 0, -powers.shape[1] % STRIDE))
        holds, known, timed = (
            torch.from_numpy(np.stack([getattr(example.truth, name) for example in examples]))
            for name in ("holds", "known", "timed")
        )
        heard = torch.zeros((*mask.shape, holds.shape[1]), dtype=torch.bool)
        for row, example in zip(heard, examples, strict=True):
            if example.truth.frames is not None:
                row[: len(example.truth.frames)] = torch.from_numpy(example.truth.frames)
        return LabelledBatch(powers, mask, holds, known, heard, timed)

    def order(self, epoch: int, size: int) -> list[int]:
        """Return a random order, in which the clips of a batch are of about one length."""
        rng = np.random.default_rng(seed_for(self.seed, "trainers.tagger", f"order:{epoch}"))
        drawn = rng.permutation(len(self)).tolist()
        batches = []
        for start in range(0, len(drawn), size * SORTED):
            alike = sorted(
                drawn[start : start + size * SORTED],
                key=lambda number: self._clip(number).record.get("duration_s", 0.0),
            )
            batches += [alike[at : at + size] for at in range(0, len(alike), size)]
        # The one batch that is not full must stay the last.
        full = [batch for batch in batches if len(batch) == size]
        rest = [number for batch in batches if len(batch) < size for number in batch]
        return [number for place in rng.permutation(len(full)) for number in full[place]] + rest

    def _clip(self, number: int) -> Clip:
        return self.clips.told[self.labelled[number]]

    def _whole(self, number: int) -> Example:
        power, shape = self.spectra[self.labelled[number]], self.shape
        return Example(power, target(self._clip(number), shape.classes, 2 * -(-len(power) // STRIDE), shape.frame_s))


def union(first: Target, second: Target, at: int, frames: int) -> Target:
    """Return the truth about two clips, the second of which begins at frame ``at`` of so many frames."""
    holds = first.holds | second.holds
    known = holds | first.known & second.known
    timed = first.timed & second.timed
    if first.frames is None or second.frames is None:
        return Target(holds, known, None, np.zeros_like(timed))
    heard = np.zeros((frames, len(holds)), bool)
    heard[: len(first.frames)] |= first.frames[:frames]
    heard[at : at + len(second.frames)] |= second.frames[: frames - at]
    return Target(holds, known, heard, timed)
