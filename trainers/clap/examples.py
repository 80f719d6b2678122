"""What a CLAP learns from: spectrograms of captioned clips, each with one of its texts, some joined with another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from schemas.ids import seed_for
from schemas.ontology import default_ontology
from taggers.demo_tagger import specific
from taggers.logmel import FLOOR, LogMel
from trainers.clap.negatives import class_words, together
from trainers.clap.parts import HOP, LONGEST_S, RATE, extractor
from trainers.clips.shards import Clip, Clips
from trainers.clips.spectra import Spectra, louder, overlaid

FRAMES = LONGEST_S * RATE // HOP

THEN = ("{a}, then {b}", "{a}, followed by {b}", "{a} before {b}", "after {a}, {b}")
WHILE = ("{a} while {b}", "{a} and {b}", "{a} as {b}", "{b} while {a}")


@dataclass(frozen=True)
class Example:
    """A sound to learn from.

    Attributes:
        power: spectrogram, shape (frames, bands).
        text: what is said of it.
        classes: that it holds, empty where none is known.
    """

    power: Tensor
    text: str
    classes: frozenset[str]


class CaptionedBatch(NamedTuple):
    """Examples of one length, B of them.

    Attributes:
        features: decibels, float32, shape (B, 1, frames, bands).
        ids: numbers of the texts' words, int64, shape (B, words).
        mask: which of them are words, int64, likewise.
        words: classes as bits, see `trainers.clap.negatives.class_words`, shape (B, 2, W).
    """

    features: Tensor
    ids: Tensor
    mask: Tensor
    words: Tensor


class CaptionedExamples:
    """Captioned clips as a CLAP learns from them, as `trainers.clips.batches.Examples`.

    Args:
        clips: of the split.
        tokenizer: of the texts.
        joined: share of the clips of one class that are heard with another one.
        hard: share of the clips that are put into a batch with one that sounds alike.
        seed: of the training.
    """

    def __init__(self, clips: Clips, tokenizer: PreTrainedTokenizerFast, joined: float, hard: float, seed: int) -> None:
        self.clips, self.tokenizer, self.joined, self.hard, self.seed = clips, tokenizer, joined, hard, seed
        spectrogram = LogMel(extractor(), 1, "cpu")
        self.spectra = Spectra(clips, RATE, LONGEST_S, lambda samples: power_of(spectrogram, samples))
        self.classes = [classes_of(clip) for clip in clips.told]
        # Of what is not labelled it is not known that it is one sound alone.
        self.alone = [
            number for number, clip in enumerate(clips.told) if clip.labels and len(self.classes[number]) == 1
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: tuple[int, int]) -> Example:
        """Return a clip at a level of its own with one of its texts, joined with another one as often as was asked for."""
        epoch, number = item
        rng = np.random.default_rng(seed_for(self.seed, "trainers.clap", f"{epoch}:{number}"))
        example = self._drawn(number, rng)
        if len(self.classes[number]) == 1 and self.clips.told[number].labels and rng.random() < self.joined:
            other = self._drawn(self.alone[int(rng.integers(len(self.alone)))], rng)
            return joined(example, other, rng) if example.classes != other.classes else example
        return example

    def collated(self, examples: Sequence[Example]) -> CaptionedBatch:
        """Return examples as a batch."""
        # One text after the other: a tokenizer with threads of its own must not be forked.
        texts = [self.tokenizer(example.text, truncation=True)["input_ids"] for example in examples]
        longest = max(map(len, texts))
        ids = torch.tensor([text + [self.tokenizer.pad_token_id] * (longest - len(text)) for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
        features = torch.stack([filled(example.power) for example in examples])[:, None]
        return CaptionedBatch(features, ids, mask, class_words([example.classes for example in examples]))

    def order(self, epoch: int, size: int) -> list[int]:
        """Return a random order, in which some clips follow others that sound alike."""
        rng = np.random.default_rng(seed_for(self.seed, "trainers.clap", f"order:{epoch}"))
        drawn: list[int] = rng.permutation(len(self)).tolist()
        return together(drawn, self.classes, self.hard, rng) if self.hard else drawn

    def _drawn(self, number: int, rng: np.random.Generator) -> Example:
        texts = texts_of(self.clips.told[number])
        text = texts[int(rng.integers(len(texts)))]
        return Example(louder(self.spectra[number], rng), text, self.classes[number])


def classes_of(clip: Clip) -> frozenset[str]:
    """Return the most specific classes that a clip is known to hold: of its labels, or else of what was heard in it."""
    return frozenset(specific(clip.labels or clip.record["classes"]))


def texts_of(clip: Clip) -> tuple[str, ...]:
    """Return a clip's captions and, where it is labelled, the names of its classes: both are asked for later."""
    names = [default_ontology()[label].name.lower() for label in sorted(specific(clip.labels or ()))]
    return (*clip.captions, " and ".join(names)) if names else clip.captions


def power_of(spectrogram: LogMel, samples: NDArray[np.float32]) -> Tensor:
    """Return the power spectrogram of samples, shape (frames, bands), without the frame that is centred on their end."""
    sound, frames = torch.from_numpy(samples), -(-len(samples) // HOP)
    if frames < 2:  # the spectrogram mirrors half a window at either end
        sound = functional.pad(sound, (0, 2 * HOP - len(sound)))
    return 10.0 ** (spectrogram(sound[None])[0, 0, :frames] / 10.0)


def decibels(power: Tensor) -> Tensor:
    """Return the decibels of powers, none below transformers' floor."""
    return 10.0 * power.clamp_min(FLOOR).log10()


def filled(power: Tensor) -> Tensor:
    """Return decibels of as many frames as the network hears: a short sound as often as it fits whole, then silence."""
    repeated = power.repeat(FRAMES // len(power), 1)
    return decibels(functional.pad(repeated, (0, 0, 0, FRAMES + 1 - len(repeated))))


def joined(first: Example, second: Example, rng: np.random.Generator) -> Example:
    """Return one sound and then another, or both at once, with a sentence that says so."""
    in_turn = rng.random() < 0.5
    power = first.power[: 2 * FRAMES // 3] if in_turn else first.power
    phrases = THEN if in_turn else WHILE
    a, b = (example.text.rstrip(".") for example in (first, second))
    text = phrases[int(rng.integers(len(phrases)))].format(a=a, b=b[:1].lower() + b[1:])
    both = overlaid(power, second.power, len(power) if in_turn else 0)[:FRAMES]
    return Example(both, f"{text}.", first.classes | second.classes)
