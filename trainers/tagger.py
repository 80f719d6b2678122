"""Train and measure a small framewise tagger on caption shards: ``python -m trainers.tagger SHARDS... --out DIR``.

What it learns from: publishers' labels, of clips where they are all known, and their times where they are given. What a
clip was labelled with holds somewhere in it, and timed labels hold where they say; half of the clips are heard over or
after another one, so that the tagger learns to hear two sounds and which is first. What it is not: trained on anything
else, so that it knows the sounds of these shards alone. Same seed and machine: same weights, bit for bit.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import UserError
from schemas.ids import seed_for
from schemas.ontology import default_ontology
from taggers.crnn import Crnn, padded, write
from taggers.crnn_shape import STRIDE, Shape
from trainers.captions import Captioned, held_out, made, of_folders
from trainers.command import command, write_report
from trainers.features import at_rate, louder, overlaid, repeatable
from trainers.judge_tagger import VARIANTS, judge, table
from trainers.targets import Target, classes_of, target

BATCH, LEARNING_RATE, WEIGHT_DECAY = 16, 3e-3, 1e-3
LEAST = 8
"""Clips that a class needs in training to be one of the tagger's."""

LONGEST_S = 10.0
"""Seconds of the longest example; a longer clip teaches with its beginning."""

OVERLAID = 0.5
"""Share of the examples that are two clips, one over or after the other."""

SORTED = 8
"""Batches whose examples are put in order of length, so that little is padded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """The power spectrogram of a clip, shape (frames, bands), and its truth."""

    power: Tensor
    truth: Target


def train(clips: Iterable[Captioned], epochs: int, seed: int = 0, least: int = LEAST) -> Crnn:
    """Return a tagger of the classes that have ``least`` clips, trained for so many passes over all labelled clips.

    Raises:
        UserError: no clip has labels, no class has clips enough, or a shard breaks the format.
    """
    labelled = [clip for clip in clips if clip.labels]
    if not labelled:
        raise UserError("shards: no clip of split train has publishers' labels that are all known; a tagger needs some")
    classes = classes_of((clip.labels or () for clip in labelled), least)
    if not classes:
        raise UserError(f"shards: no class has {least} clips in split train; a tagger needs more clips")
    rng = np.random.default_rng(seed_for(seed, "trainers.tagger", "examples"))
    with repeatable(seed_for(seed, "trainers.tagger", "weights")):
        model = Crnn(Shape(classes))
        examples = [_example(model, clip) for clip in labelled]
        _standardise(model, examples)
        steps = epochs * len(list(_sizes(len(examples))))
        _log.info("%d clips, %d classes, %d steps", len(examples), len(classes), steps)
        optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.2)
        for epoch in range(epochs):
            losses = []
            for batch in _batches(examples, model.shape, rng):
                loss = _loss(model, batch)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                losses.append(loss.item())
            _log.info("epoch %d of %d: loss %.4f", epoch + 1, epochs, np.mean(losses))
    return model.eval()


def _example(model: Crnn, clip: Captioned) -> Example:
    shape = model.shape
    samples = at_rate(clip, shape.sample_rate)[: round(LONGEST_S * shape.sample_rate)]
    with torch.inference_mode():
        power = model.powers(torch.from_numpy(samples)[None])[0].clone()
    return Example(power, target(clip, shape.classes, 2 * -(-len(power) // STRIDE), shape.frame_s))


def _standardise(model: Crnn, examples: Sequence[Example]) -> None:
    """Set what brings each band to mean 0 and deviation 1 over all frames, and the heads' bias to rare classes."""
    with torch.no_grad():
        bels = model.bels(torch.cat([example.power for example in examples])[None])[0]
        model.mean.copy_(bels.mean(dim=0))
        model.scale.copy_(1.0 / bels.std(dim=0).clamp_min(1e-3))
        model.heads.bias.fill_(-3.0)


def _sizes(count: int) -> Iterator[int]:
    """Yield the size of each batch of a pass: the last one takes what is left."""
    for start in range(0, count, BATCH):
        yield min(BATCH, count - start)


def _batches(examples: Sequence[Example], shape: Shape, rng: np.random.Generator) -> Iterator[list[Example]]:
    """Yield a pass over the examples in random order, each batch of about one length."""
    order = rng.permutation(len(examples))
    for start in range(0, len(order), BATCH * SORTED):
        drawn = [_drawn(examples, int(index), shape, rng) for index in order[start : start + BATCH * SORTED]]
        drawn.sort(key=lambda example: len(example.power))
        batches = [drawn[at : at + BATCH] for at in range(0, len(drawn), BATCH)]
        yield from (batches[index] for index in rng.permutation(len(batches)))


def _drawn(examples: Sequence[Example], index: int, shape: Shape, rng: np.random.Generator) -> Example:
    """Return an example at a level of its own, with another one over or after it as often as :data:`OVERLAID` says."""
    first = Example(louder(examples[index].power, rng), examples[index].truth)
    if rng.random() >= OVERLAID:
        return first
    second = examples[int(rng.integers(len(examples)))]
    longest = round(LONGEST_S * shape.sample_rate / shape.hop)
    at = 2 * int(rng.integers(min(len(first.power), longest) // 2 + 1))
    kept = min(len(second.power), longest - at)
    # Of what is cut off, the labels of the whole would not hold.
    if kept < 0.6 * len(second.power):
        return first
    power = overlaid(first.power, louder(second.power[:kept], rng), at)
    return Example(power, _union(first.truth, second.truth, at // 2, 2 * -(-len(power) // STRIDE)))


def _union(first: Target, second: Target, at: int, frames: int) -> Target:
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


def _loss(model: Crnn, batch: Sequence[Example]) -> Tensor:
    """Return the mean binary cross-entropy of what is known of whole clips, plus that of what is known of frames."""
    powers, mask = padded([example.power for example in batch])
    frames, wholes = model(powers, mask)
    holds, known, timed = (
        torch.from_numpy(np.stack([getattr(example.truth, name) for example in batch]))
        for name in ("holds", "known", "timed")
    )
    heard = torch.zeros_like(frames)
    for row, example in zip(heard, batch, strict=True):
        if example.truth.frames is not None:
            row[: len(example.truth.frames)] = torch.from_numpy(example.truth.frames)
    return _mean_loss(wholes, holds, known) + _mean_loss(frames, heard, mask[:, :, None] & timed[:, None])


def _mean_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    losses = functional.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Train on ``train``, measure on ``test`` (else ``val``), print a table, write model and measures; return exit code."""
    return command("tagger", "a small framewise tagger", 13, _run, argv)


def _run(shards: Sequence[str], epochs: int, out: Path, seed: int) -> None:
    # What can fail is tried before minutes of training, not after.
    split = held_out(shards)
    if not any(clip.labels for clip in of_folders(shards, split)):
        raise UserError(f"shards: no clip of split {split} has publishers' labels that are all known")
    made(out)
    model = train(of_folders(shards, "train"), epochs, seed)
    write(model, out)
    measures = judge(out, of_folders(shards, split), seed)
    print(table(measures))
    weights = sum(parameter.numel() for parameter in model.parameters())
    report = {
        "split": split,
        "epochs": epochs,
        "batch": BATCH,
        "seed": seed,
        "weights": weights,
        "torch": torch.__version__,
        "classes": [default_ontology()[class_id].name for class_id in model.shape.classes],
        "variants": VARIANTS,
        "measures": measures,
    }
    write_report(report, out)


if __name__ == "__main__":
    sys.exit(main())
