"""Judge a framewise tagger on held-out clips, through the very listener that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from schemas.ontology import default_ontology
from taggers.base import Finding, Waveform
from taggers.demo_tagger import DemoTagger, specific
from trainers.clips.shards import Clip, Clips
from trainers.clips.spectra import at_rate
from trainers.measures.events import Counts, Timed, counts, macro_f1, micro_f1
from trainers.measures.intervals import estimate
from trainers.measures.tagging import mean_average_precision
from trainers.tagger.targets import Target, target

APART_S = 0.2
"""Seconds between two onsets, at least, for their order to be told: the collar of event-based F1."""

VARIANTS = {
    "tag_map": "macro-average of non-interpolated average precisions, over the classes that a clip holds; AudioSet's mAP",
    "tag_precision": "share of the tags that hold, of those of which it is known",
    "tag_recall": "share of the most specific labels that are tagged, as themselves or as one of their kinds",
    "event_f1": "event-based F1 as in sed_eval, onset within 200 ms, offset within max(200 ms, 20% of the length), all events "
    "of all classes together, on clips with timed labels",
    "event_f1_macro": "likewise, mean over the classes that have an event",
    "order": "share of the clips with two timed events of unrelated classes, onsets 200 ms apart or more, in which both are "
    "heard as events and the right one is first",
    "order_where_both_heard": "likewise, of the clips in which both are heard as events",
    "chance": "tag_map: the mean share of clips that hold a class; event_f1: each clip's events against the next clip's; order: "
    "a coin",
    "ci95": "percentile bootstrap over clips",
}


@dataclass(frozen=True)
class Heard:
    """One clip, its truth, the scores of the whole clip, shape (classes,), and what the listener says of it."""

    clip: Clip
    truth: Target
    scores: NDArray[np.float32]
    findings: list[Finding]

    @property
    def tags(self) -> list[str]:
        """The classes that it is tagged with."""
        return [str(finding.class_id) for finding in self.findings if finding.kind == "tag"]

    @property
    def events(self) -> list[Timed]:
        """The events that are heard in it."""
        return [
            (str(f.class_id), f.onset_s, f.offset_s)
            for f in self.findings
            if f.onset_s is not None and f.offset_s is not None
        ]

    @property
    def published(self) -> list[Timed]:
        """The events that the publisher timed."""
        return [(event.class_id, event.onset_s, event.offset_s) for event in self.clip.events or ()]


def judge(folder: Path, clips: Clips, seed: int = 0) -> dict[str, Any]:
    """Return what the tagger in a folder achieves on the labelled clips of a split, as :data:`VARIANTS` says.

    Returns:
        as :func:`measured`.

    Raises:
        UserError: no clip has labels, or a shard breaks the format.
    """
    listener = DemoTagger(folder)
    listener.load("cpu")
    rows = [heard(listener, clip, clips[number]) for number, clip in enumerate(clips.told) if clip.labels]
    if not rows:
        raise UserError("shards: no clip to judge on has publishers' labels that are all known")
    return measured(rows, listener.shape.classes, seed)


def heard(listener: DemoTagger, clip: Clip, samples: NDArray[np.float32]) -> Heard:
    """Return what a listener says of a labelled clip, whose samples are at its own rate."""
    rate = listener.shape.sample_rate
    waveform = Waveform(at_rate(samples, clip.sample_rate, rate), rate)
    (scores,) = listener.scores([waveform])
    truth = target(clip, listener.shape.classes, len(scores) - 1, listener.shape.frame_s)
    return Heard(clip, truth, scores[0], listener.findings(scores, waveform.duration_s))


def measured(every: Sequence[Heard], classes: tuple[str, ...], seed: int = 0) -> dict[str, Any]:
    """Return what was heard of clips as measures, as :data:`VARIANTS` says.

    Args:
        every: the clips, at least one.
        classes: the tagger's.
        seed: of the bootstrap.

    Returns:
        ``{measure: {"value", "ci95", "n", "chance"}}``; a value is None where no clip can give it.
    """
    scores, holds, known = (
        np.stack(rows) for rows in zip(*((h.scores, h.truth.holds, h.truth.known) for h in every), strict=True)
    )
    right, said = (np.array(column) for column in zip(*(_tags(h, classes) for h in every), strict=True))
    found, wanted = (np.array(column) for column in zip(*(_labels(h, classes) for h in every), strict=True))
    timed = [h for h in every if h.clip.events]
    agreed, by_chance = [counts(h.published, h.events) for h in timed], _crossed(timed)
    orders = [both for h in every if (both := _order(h)) is not None]
    heard_both = [first for first in orders if first >= 0]

    def estimated(measure: Any, units: int, chance: float | None = None) -> dict[str, Any]:
        return estimate(measure, units, seed) | {"chance": chance}

    prevalence = [float(np.mean(holds[known[:, c], c])) for c in range(len(classes)) if holds[:, c].any()]
    return {
        "tag_map": estimated(
            lambda i: mean_average_precision(scores[i], holds[i], known[i]),
            len(every),
            float(np.mean(prevalence)) if prevalence else None,
        ),
        "tag_precision": estimated(lambda i: _share(right[i], said[i]), len(every)),
        "tag_recall": estimated(lambda i: _share(found[i], wanted[i]), len(every)),
        "event_f1": estimated(lambda i: micro_f1([agreed[k] for k in i]), len(timed), _known(micro_f1(by_chance))),
        "event_f1_macro": estimated(
            lambda i: macro_f1([agreed[k] for k in i]), len(timed), _known(macro_f1(by_chance))
        ),
        "order": estimated(lambda i: float(np.mean([orders[k] > 0 for k in i])), len(orders), 0.5),
        "order_where_both_heard": estimated(lambda i: float(np.mean([heard_both[k] for k in i])), len(heard_both), 0.5),
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tags(heard: Heard, classes: tuple[str, ...]) -> tuple[int, int]:
    """Return how many tags hold, and of how many it is known."""
    places = [classes.index(tag) for tag in heard.tags]
    return int(heard.truth.holds[places].sum()), int(heard.truth.known[places].sum())


def _labels(heard: Heard, classes: tuple[str, ...]) -> tuple[int, int]:
    """Return how many of the most specific labels are tagged, and how many the tagger has a class for."""
    wanted = [label for label in specific(heard.clip.labels or ()) if label in classes]
    return sum(any(_is_a(tag, label) for tag in heard.tags) for label in wanted), len(wanted)


def _crossed(timed: list[Heard]) -> list[dict[str, Counts]]:
    return [counts(h.published, other.events) for h, other in zip(timed, timed[1:] + timed[:1], strict=True)]


def _order(heard: Heard) -> int | None:
    """Return 1 where the order of two events is heard rightly, 0 where it is not, -1 where one is not heard at all.

    None: the clip does not hold two timed events of unrelated classes that begin one after the other.
    """
    events = heard.published
    if len(events) != 2 or default_ontology().conflict(events[0][0], events[1][0]):
        return None
    if abs(events[0][1] - events[1][1]) < APART_S:
        return None
    first, second = sorted(events, key=lambda event: event[1])
    onsets = [[onset for class_id, onset, _ in heard.events if _is_a(class_id, event[0])] for event in (first, second)]
    return int(min(onsets[0]) < min(onsets[1])) if all(onsets) else -1


def _is_a(class_id: str, other: str) -> bool:
    return class_id == other or bool(default_ontology().ancestors(class_id) & default_ontology().bits([other]))


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else float("nan")
