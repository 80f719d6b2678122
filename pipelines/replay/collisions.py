"""What the two sounds of each published pair share: a label, a class above or below, or the recording itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.replay.classes import NOTHING, Known, keys_of, known_of, origin_of
from pipelines.replay.lists import Listing, recording
from schemas.ontology import Ontology, default_ontology

Shared = Literal["equal", "ancestor", "descendant", "none", "unknown"]


@dataclass(frozen=True)
class Collision:
    """What one pair shares.

    Attributes:
        number: the pair's number.
        shared: ``equal``: a label or class; ``ancestor``, ``descendant``: a class of the target is above or below one of the
            other's; ``none``; ``unknown``: one of the two has no label or class.
        target_class, other_class: the classes that say so; a label's name where it maps to no class; empty: none.
        same_recording: whether both are of one recording, by their names.
    """

    number: int
    shared: Shared
    target_class: str
    other_class: str
    same_recording: bool


@dataclass(frozen=True)
class Collisions:
    """All pairs of a list, and what their classes are known by: ``labels``, ``tags``, ``words`` or ``none``."""

    by: str
    pairs: tuple[Collision, ...]
    also_named: int
    """Pairs whose target's recording is that of a further file that the line names and that is not mixed."""

    def facts(self) -> dict[str, Any]:
        """Return the counts and shares. Shares are of the pairs of which both are labelled; null: there are none."""
        counts = Counter(pair.shared for pair in self.pairs)
        labelled = len(self.pairs) - counts["unknown"]
        related = counts["equal"] + counts["ancestor"] + counts["descendant"]
        return {
            "classes_by": self.by,
            "pairs": len(self.pairs),
            "labelled": labelled,
            "unknown": counts["unknown"],
            "equal": counts["equal"],
            "equal_or_related": related,
            "equal_share": round(counts["equal"] / labelled, 4) if labelled else None,
            "equal_or_related_share": round(related / labelled, 4) if labelled else None,
            "same_recording": sum(pair.same_recording for pair in self.pairs),
            "same_recording_as_unmixed": self.also_named,
        }


def collisions(listing: Listing) -> Collisions:
    """Return what the pairs of a list share. No audio is read.

    Labels that map to no class still collide with equal ones. Classes conflict as everywhere in Earloom: equal, or one above the
    other along a path without an abstract node (`schemas.ontology`).
    """
    ontology, known, form = default_ontology(), known_of(listing), listing.form
    found, also = [], 0
    for pair in listing.pairs:
        target, other = (known.get(key, NOTHING) for key in keys_of(listing, pair))
        own = recording(form, pair.target)
        # Both stems of a VGGSound mixture have the mixture's name, `<first>+++<second>`, and an AudioSet mixture its target's.
        same = form.rule == "snr" and own == recording(form, pair.other)
        also += any(own == recording(form, file) for file in pair.more)
        found.append(Collision(pair.number, *_shared(ontology, target, other), same))
    return Collisions(origin_of(listing), tuple(found), also)


def _shared(ontology: Ontology, target: Known, other: Known) -> tuple[Shared, str, str]:
    if not any(target) or not any(other):
        return "unknown", "", ""
    for one, two in ((target.class_ids, other.class_ids), (target.names, other.names)):
        if both := sorted(one & two):
            return "equal", both[0], both[0]
    for a in sorted(target.class_ids):
        for b in sorted(other.class_ids):
            if (relation := ontology.conflict(a, b)) is not None:
                return relation, a, b
    return "none", "", ""
