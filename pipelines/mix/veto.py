"""Which classes are heard in a clip surely enough to count as present, though nobody labelled them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from pipelines.listen.isotonic import Curve
from pipelines.listen.publisher import LISTENER as PUBLISHER
from schemas.ontology import SILENCE, Ontology

CURVE = ("listener", "class_id", "method", "confidences", "probabilities")
"""Columns of ``calibrations`` that tell what a confidence is worth."""


@dataclass(frozen=True)
class Sure:
    """What a confidence must come to.

    Attributes:
        curves: (listener, class) -> its calibration, with None in place of the class for all classes of the listener.
        least: least calibrated probability, in (0, 1); None: nothing is sure.
    """

    curves: Mapping[tuple[str, str | None], Curve]
    least: float | None

    def hears(self, listener: str, class_id: str, confidence: float | None) -> bool:
        """Say whether a listener's confidence, in [0, 1], is worth ``least`` at least.

        The curve is that of the class or, where the listener's confidences in it could not be set against labels, that of all
        its classes. What is not calibrated, or stated without a confidence, is never sure.
        """
        if self.least is None or confidence is None:
            return False
        curve = self.curves.get((listener, class_id)) or self.curves.get((listener, None))
        return curve is not None and bool(curve.at(np.array([confidence]))[0] >= self.least)


def sure(calibrations: Iterable[Mapping[str, Any]], least: float | None) -> Sure:
    """Compile rows of ``calibrations``, of which the columns ``CURVE`` are read."""
    return Sure(
        {
            (row["listener"], row["class_id"]): Curve(np.array(row["confidences"]), np.array(row["probabilities"]))
            for row in calibrations
            if row["method"] != "none" and least is not None
        },
        least,
    )


def heard(evidence: Iterable[Mapping[str, Any]], surely: Sure, ontology: Ontology) -> set[str]:
    """Return the classes that a listener hears surely in one clip, by its tags or its timed events; Silence is none."""
    return {
        item["class_id"]
        for item in evidence
        if item["kind"] in ("tag", "event") and _by_ear(item, ontology) and surely.hears(*_stated(item))
    }


def further(class_ids: Iterable[str], known: Iterable[str], ontology: Ontology) -> list[str]:
    """Return what these classes tell beside known ones, sorted: neither a known one, nor above one, nor above each other.

    Above is along paths without abstract headings, as for conflicts: who is known to bark is a dog, which tells nothing
    new, but a clip of "Pop music" in which music is heard has "Music" in it too.
    """
    implied = ontology.implied(known)
    new = {class_id for class_id in class_ids if not implied >> ontology.index(class_id) & 1}
    above = reduce(or_, (ontology.implied([class_id]) ^ ontology.bits([class_id]) for class_id in new), 0)
    return sorted(class_id for class_id in new if not above >> ontology.index(class_id) & 1)


def span(evidence: Iterable[Mapping[str, Any]], surely: Sure, ontology: Ontology) -> tuple[float | None, float | None]:
    """Return where the first timed event of one clip begins and the last ends, in seconds; None: nothing is timed.

    The publisher's events; where it gives none, those that a listener hears surely.
    """
    timed = [item for item in evidence if item["kind"] == "event" and item["onset_s"] is not None]
    published = [item for item in timed if item["listener"] == PUBLISHER]
    chosen = published or [item for item in timed if _by_ear(item, ontology) and surely.hears(*_stated(item))]
    if not chosen:
        return None, None
    return min(item["onset_s"] for item in chosen), max(item["offset_s"] for item in chosen)


def _by_ear(item: Mapping[str, Any], ontology: Ontology) -> bool:
    return item["listener"] != PUBLISHER and item["class_id"] in ontology and item["class_id"] != SILENCE


def _stated(item: Mapping[str, Any]) -> tuple[str, str, float | None]:
    return item["listener"], item["class_id"], item["confidence"]
