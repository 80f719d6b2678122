"""Train and measure a small CLAP on caption shards: ``python -m trainers.clap SHARDS... --out DIR``.

What it is: transformers' ``ClapModel`` with half a million weights, trained with the symmetric InfoNCE of CLIP and CLAP
(Radford et al. 2021, Wu et al. 2023): of each batch of clips, each with one of its captions, which belong together. Two
clips of the same sounds are not held against each other. Some clips of one sound are heard with another, over it or after
it, and their captions joined, so that words such as "then" are learnt from. What it is not: trained on anything else, so
that it knows the words and sounds of these shards alone. Same seed and machine: same weights, bit for bit.
"""

from __future__ import annotations

import logging
import math
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
from taggers.demo_tagger import specific
from taggers.logmel import FLOOR, LogMel
from trainers.captions import Captioned, held_out, made, of_folders
from trainers.clap_parts import HOP, LONGEST_S, RATE, Parts, hear_silence_apart, parts
from trainers.command import command, write_report
from trainers.features import at_rate, louder, overlaid, repeatable
from trainers.judge_clap import VARIANTS, judge
from trainers.judge_tagger import table

BATCH, LEARNING_RATE, WEIGHT_DECAY = 32, 1e-3, 0.02
FRAMES = LONGEST_S * RATE // HOP
JOINED = 0.3
"""Share of the clips of one sound that are heard with another one."""

STEEPEST = 50.0
"""Most that cosines are multiplied with; CLIP's bound is 100."""

THEN = ("{a}, then {b}", "{a}, followed by {b}", "{a} before {b}", "after {a}, {b}")
WHILE = ("{a} while {b}", "{a} and {b}", "{a} as {b}", "{b} while {a}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A clip to learn from.

    Attributes:
        power: spectrogram, shape (frames, bands).
        texts: what may be said of it.
        sounds: the classes that it holds: clips of the same ones are not told apart.
    """

    power: Tensor
    texts: tuple[str, ...]
    sounds: frozenset[str]


def train(clips: Iterable[Captioned], epochs: int, seed: int = 0) -> Parts:
    """Return a CLAP, trained for so many passes over the clips.

    Raises:
        UserError: there are fewer clips than a batch has, or a shard breaks the format.
    """
    every = list(clips)
    if len(every) < BATCH:
        raise UserError(f"shards: split train has {len(every)} captioned clips; {BATCH} are needed at least")
    texts = [_texts(clip) for clip in every]
    rng = np.random.default_rng(seed_for(seed, "trainers.clap", "examples"))
    with repeatable(seed_for(seed, "trainers.clap", "weights")):
        made = parts(text for own in texts for text in own)
        model, spectrogram = made.model, LogMel(made.extractor, 1, "cpu")
        powers = [_power(spectrogram, clip) for clip in every]
        examples = [Example(power, own, _sounds(clip)) for clip, own, power in zip(every, texts, powers, strict=True)]
        alone = [index for index, clip in enumerate(every) if clip.labels and len(specific(clip.labels)) == 1]
        hear_silence_apart(model, _decibels(torch.cat(powers)))
        steps = epochs * (len(examples) // BATCH)
        _log.info(
            "%d clips, %d texts, %d words, %d steps", len(every), sum(map(len, texts)), len(made.tokenizer), steps
        )
        optimiser, schedule = _optimiser(model, steps)
        model.train()
        model.audio_model.audio_encoder.batch_norm.eval()
        for epoch in range(epochs):
            losses = []
            for batch in _batches(examples, alone, rng):
                loss = _loss(made, batch)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                with torch.no_grad():
                    model.logit_scale_a.clamp_(max=math.log(STEEPEST))
                losses.append(loss.item())
            _log.info("epoch %d of %d: loss %.4f", epoch + 1, epochs, np.mean(losses))
        model.eval()
    return made


def _texts(clip: Captioned) -> tuple[str, ...]:
    """Return a clip's captions and, where it is labelled, the names of its classes: both are asked for later."""
    names = [default_ontology()[label].name.lower() for label in sorted(specific(clip.labels or ()))]
    return (*clip.captions, " and ".join(names)) if names else clip.captions


def _sounds(clip: Captioned) -> frozenset[str]:
    return frozenset(specific(clip.labels or clip.record["classes"]))


def _power(spectrogram: LogMel, clip: Captioned) -> Tensor:
    """Return a clip's power spectrogram, shape (frames, bands), without the frame that is centred on its end."""
    samples = torch.from_numpy(at_rate(clip, RATE)[: LONGEST_S * RATE])
    frames = -(-len(samples) // HOP)
    if frames < 2:  # the spectrogram mirrors half a window at either end
        samples = functional.pad(samples, (0, 2 * HOP - len(samples)))
    with torch.inference_mode():
        return (10.0 ** (spectrogram(samples[None])[0, 0, :frames] / 10.0)).clone()


def _decibels(power: Tensor) -> Tensor:
    return 10.0 * power.clamp_min(FLOOR).log10()


def _optimiser(model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW, which lets matrices alone decay, and a rate that rises for 15% of the steps and then falls."""
    groups = [
        {"params": [w for w in model.parameters() if (w.ndim > 1) == wide], "weight_decay": WEIGHT_DECAY * wide}
        for wide in (True, False)
    ]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15)


def _batches(examples: Sequence[Example], alone: Sequence[int], rng: np.random.Generator) -> Iterator[list[Example]]:
    """Yield a pass in random order, each example with one text; what fills no batch is left for another pass."""
    order, single = rng.permutation(len(examples)), frozenset(alone)
    for start in range(0, len(order) - BATCH + 1, BATCH):
        batch = []
        for index in order[start : start + BATCH]:
            example = _one_text(examples[index], rng)
            if int(index) in single and rng.random() < JOINED:
                other = _one_text(examples[alone[int(rng.integers(len(alone)))]], rng)
                example = _joined(example, other, rng) if example.sounds != other.sounds else example
            batch.append(example)
        yield batch


def _one_text(example: Example, rng: np.random.Generator) -> Example:
    text = example.texts[int(rng.integers(len(example.texts)))]
    return Example(louder(example.power, rng), (text,), example.sounds)


def _joined(first: Example, second: Example, rng: np.random.Generator) -> Example:
    """Return one sound and then another, or both at once, with a sentence that says so."""
    in_turn = rng.random() < 0.5
    power = first.power[: 2 * FRAMES // 3] if in_turn else first.power
    phrases = THEN if in_turn else WHILE
    a, b = (example.texts[0].rstrip(".") for example in (first, second))
    text = phrases[int(rng.integers(len(phrases)))].format(a=a, b=b[:1].lower() + b[1:])
    both = overlaid(power, second.power, len(power) if in_turn else 0)[:FRAMES]
    return Example(both, (f"{text}.",), first.sounds | second.sounds)


def _loss(made: Parts, batch: Sequence[Example]) -> Tensor:
    """Return the symmetric InfoNCE of a batch, in which clips of the same sounds are no negatives of one another."""
    features = torch.stack([_filled(example.power) for example in batch])[:, None]
    tokens = made.tokenizer([example.texts[0] for example in batch], padding=True, truncation=True, return_tensors="pt")
    heard = functional.normalize(made.model.get_audio_features(input_features=features).pooler_output, dim=1)
    read = functional.normalize(made.model.get_text_features(**tokens).pooler_output, dim=1)
    logits = heard @ read.T * made.model.logit_scale_a.exp()
    same = torch.tensor([[a.sounds == b.sounds for b in batch] for a in batch]).fill_diagonal_(False)
    logits, own = logits.masked_fill(same, -1e4), torch.arange(len(batch))
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2.0


def _filled(power: Tensor) -> Tensor:
    """Return decibels of as many frames as the network hears: a short sound as often as it fits whole, then silence."""
    repeated = power.repeat(FRAMES // len(power), 1)
    return _decibels(functional.pad(repeated, (0, 0, 0, FRAMES + 1 - len(repeated))))


def main(argv: Sequence[str] | None = None) -> int:
    """Train on ``train``, measure on ``test`` (else ``val``), print a table, write model and measures; return exit code."""
    return command("clap", "a small CLAP", 22, _run, argv)


def _run(shards: Sequence[str], epochs: int, out: Path, seed: int) -> None:
    # What can fail is tried before minutes of training, not after.
    split = held_out(shards)
    tested = list(of_folders(shards, split))
    made(out)
    trained = train(of_folders(shards, "train"), epochs, seed)
    trained.write(out)
    measures = judge(out, tested, seed)
    print(table(measures))
    report = {
        "split": split,
        "epochs": epochs,
        "batch": BATCH,
        "seed": seed,
        "weights": sum(weight.numel() for weight in trained.model.parameters()),
        "torch": torch.__version__,
        "words": len(trained.tokenizer),
        "variants": VARIANTS,
        "measures": measures,
    }
    write_report(report, out)


if __name__ == "__main__":
    sys.exit(main())
