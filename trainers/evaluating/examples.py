"""Mixtures to listen to: drawn by hash before anything is known of their answers, and spread over sets and policies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.ingest.store import encode_flac
from pipelines.report.sound import AUDIO_BYTES, VIEW_S, Sound, level, views
from schemas.errors import Reject
from trainers.evaluating.items import Item, Samples
from trainers.evaluating.summary import SYSTEM

SHOWN = 8
"""Mixtures on the page."""

HEARD = ("mixture", "target", SYSTEM, "ideal_ratio_mask")
"""What is heard of each, in this order."""


@dataclass(frozen=True, eq=False)
class Example:
    """A mixture with its answers.

    Attributes:
        item: the mixture.
        estimates: system -> its answer, of those that are heard.
        reject: why the system has none; None: it has one.
        rank: hash of the mixture's name.
    """

    item: Item
    estimates: Mapping[str, Samples]
    reject: Reject | None
    rank: str


@dataclass
class Examples:
    """Keeps the examples while mixtures pass by."""

    _best: dict[tuple[str, str | None], list[Example]] = field(default_factory=dict)

    def offer(self, item: Item, estimates: Mapping[str, Samples], reject: Reject | None) -> None:
        """Keep a mixture if its hash is among the first of its set and policy."""
        rank = hashlib.sha256(f"{item.set}/{item.key}".encode()).hexdigest()
        own = self._best.setdefault((item.set, item.policy), [])
        if len(own) == SHOWN and rank > own[-1].rank:
            return
        kept = {name: samples for name, samples in estimates.items() if name in HEARD}
        own.append(Example(item, kept, reject, rank))
        own.sort(key=lambda each: each.rank)
        del own[SHOWN:]

    def chosen(self) -> list[Example]:
        """Return the examples: the first of each set and policy, then the second of each, and so on."""
        turns = [(turn, each.rank, each) for own in self._best.values() for turn, each in enumerate(own)]
        return [each for _, _, each in sorted(turns, key=lambda entry: entry[:2])[:SHOWN]]


def shown(examples: list[Example]) -> list[dict[str, Any]]:
    """Return the examples as the page shows them, all of their sound together within `pipelines.report.sound.AUDIO_BYTES`."""
    sounds = [_sounds(each) for each in examples]
    cap = level([len(sound.flac) for own in sounds for sound in own], AUDIO_BYTES)
    return [
        {
            "key": each.item.key,
            "set": each.item.set,
            "query": each.item.query,
            "policy": each.item.policy,
            "classes": each.item.classes,
            "reject": each.reject,
            "sounds": views(own, own[1], cap),
        }
        for each, own in zip(examples, sounds, strict=True)
    ]


def _sounds(example: Example) -> list[Sound]:
    item = example.item
    given = {"mixture": item.mixture, "target": item.target, **example.estimates}
    return [_sound(name, given[name], item.rate) for name in HEARD if name in given]


def _sound(name: str, samples: Samples, rate: int) -> Sound:
    heard = samples[: round(VIEW_S * rate)]
    loud = bool(np.abs(heard).max() > 1)
    label = {"target": "the true answer", "system": "the system's answer", "ideal_ratio_mask": "ideal ratio mask"}.get(
        name, name
    )
    steps = np.rint(np.clip(heard.astype(np.float64) * 32768, -32768, 32767)).astype(np.int16)
    label += ", clipped at full scale" if loud else ""
    return Sound(label, steps, rate, encode_flac(steps, rate), len(samples) / rate)
