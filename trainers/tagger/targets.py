"""What a labelled clip teaches a tagger: which classes it holds, which it lacks, which are unknown, and when they are heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
from numpy.typing import NDArray

from schemas.ontology import default_ontology
from taggers.demo_tagger import specific
from trainers.clips.shards import Clip

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """The truth about one clip, over the classes of a tagger.

    Attributes:
        holds: whether the clip holds a class, shape (classes,).
        known: whether that is known, shape (classes,).
        frames: whether a frame holds a class, shape (frames, classes); None: no label is timed.
        timed: whether that is known, shape (classes,); False throughout where ``frames`` is None.
    """

    holds: Bools
    known: Bools
    frames: Bools | None
    timed: Bools


def classes_of(labels: Iterable[Collection[str]], least: int) -> tuple[str, ...]:
    """Return the classes that a tagger can learn, sorted.

    Those that at least ``least`` clips have as one of their most specific labels, and at least half as many as have one of
    its kinds: what nearly all clips name more closely is a heading, such as "Alarm" over sirens and telephones.

    Args:
        labels: of each clip, as ids of the ontology.
        least: clips per class, >= 1.
    """
    ontology = default_ontology()
    counts, kinds = Counter[str](), Counter[str]()
    for own in labels:
        counts.update(specific(own))
        kinds.update(ontology.class_ids(reduce(or_, (ontology.ancestors(label) for label in specific(own)), 0)))
    return tuple(sorted(label for label, count in counts.items() if count >= max(least, kinds[label] / 2)))


def target(clip: Clip, classes: Sequence[str], frames: int, frame_s: float) -> Target:
    """Return what a clip whose labels are known teaches.

    What is labelled holds also all that it is a kind of. A label that is the most specific one leaves open which of its
    kinds it is, so these are unknown; any other class is absent. In time, a class is unknown where it is labelled but not
    timed.

    Args:
        clip: its ``labels`` are not None.
        classes: ids of the ontology.
        frames: frames that the clip has.
        frame_s: seconds of each.
    """
    ontology = default_ontology()
    assert clip.labels is not None
    places = {class_id: place for place, class_id in enumerate(classes)}
    every = ontology.bits(classes)

    def those(bits: int) -> list[int]:
        return [places[class_id] for class_id in ontology.class_ids(bits & every)]

    def upwards(label: str) -> list[int]:
        return those(ontology.ancestors(label) | ontology.bits([label]))

    holds, known = np.zeros(len(classes), bool), np.ones(len(classes), bool)
    for label in specific(clip.labels):
        known[those(ontology.descendants(label))] = False
    for label in clip.labels:
        holds[upwards(label)] = True
    known |= holds
    if clip.events is None:
        return Target(holds, known, None, np.zeros(len(classes), bool))
    heard = np.zeros((frames, len(classes)), bool)
    for event in clip.events:
        first = min(round(event.onset_s / frame_s), frames - 1)
        heard[first : max(first + 1, round(event.offset_s / frame_s)), upwards(event.class_id)] = True
    return Target(holds, known, heard, known & (heard.any(axis=0) | ~holds))
