"""What is heard surely counts as present: by the calibrated probability of the class, and only where it tells something new."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.listen.evidence import evidence_row
from pipelines.mix.veto import Sure, further, heard, span, sure
from schemas.ontology import SILENCE, default_ontology

ONTOLOGY = default_ontology()
IDS = {node.name: node.class_id for node in reversed(ONTOLOGY.classes)}
DOG, BARK, RAIN, ANIMAL = (IDS[name] for name in ("Dog", "Bark", "Rain", "Animal"))

class_ids = st.lists(st.sampled_from([node.class_id for node in ONTOLOGY.classes]), max_size=6)


def calibration(class_id: str | None, *knots: tuple[float, float], method: str = "isotonic") -> dict[str, Any]:
    confidences, probabilities = [x for x, _ in knots], [y for _, y in knots]
    said = {"listener": "ear", "class_id": class_id, "method": method}
    return said | {"confidences": confidences, "probabilities": probabilities}


def item(
    class_id: str | None, confidence: float | None, kind: str = "tag", who: str = "ear", **more: Any
) -> dict[str, Any]:
    return evidence_row("c", who, "1", 0, kind=kind, name="x", class_id=class_id, confidence=confidence, **more)


CALIBRATIONS = [
    calibration(None, (0.2, 0.1), (0.8, 0.9), method="pooled"),
    calibration(DOG, (0.1, 0.5), (0.4, 0.7)),
    calibration(RAIN, (0.5, 0.2), (0.9, 0.4)),
]
EAR = sure(CALIBRATIONS, 0.5)


@pytest.mark.parametrize(
    ("class_id", "confidence", "heard"),
    [
        (DOG, 0.1, True),  # exactly the least probability
        (DOG, 0.0, True),  # below the first knot the curve is level
        (RAIN, 0.99, False),  # its own curve never comes to a half
        (BARK, 0.5, True),  # no curve of its own: that of all classes, 0.5 at 0.5
        (BARK, 0.49, False),
        (DOG, None, False),
    ],
)
def test_a_confidence_counts_by_what_it_is_worth_in_its_class(
    class_id: str, confidence: float | None, heard: bool
) -> None:
    assert EAR.hears("ear", class_id, confidence) is heard


def test_what_was_never_calibrated_is_never_sure() -> None:
    assert not sure([calibration(None, method="none"), calibration(DOG, method="none")], 0.01).hears("ear", DOG, 1.0)
    assert not EAR.hears("another ear", DOG, 1.0)
    assert not sure(CALIBRATIONS, None).hears("ear", DOG, 1.0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_more_confidence_never_makes_a_class_less_present(low: float, high: float, least: float) -> None:
    surely = sure(CALIBRATIONS, least)
    low, high = sorted((low, high))
    for class_id in (DOG, RAIN, BARK):
        assert surely.hears("ear", class_id, high) >= surely.hears("ear", class_id, low)


def test_tags_and_timed_events_of_listeners_are_heard_and_nothing_else_is() -> None:
    evidence = [
        item(DOG, 0.3),
        item(BARK, 0.9, "event", onset_s=1.0, offset_s=2.0),
        item(RAIN, 0.9),
        item(IDS["Cat"], 0.9, "answer"),
        item(IDS["Siren"], 0.9, who="publisher"),
        item(SILENCE, 0.99),
        item("/m/nothing", 0.9),
        item(None, 0.9, "event", onset_s=0.0, offset_s=9.0),
    ]
    assert heard(evidence, EAR, ONTOLOGY) == {DOG, BARK}


def test_only_what_does_not_follow_from_what_is_known_is_further() -> None:
    assert further([DOG, ANIMAL, RAIN], [BARK], ONTOLOGY) == [RAIN]
    assert further([BARK, DOG], [ANIMAL], ONTOLOGY) == [BARK]
    assert further([DOG, ANIMAL], [], ONTOLOGY) == [DOG]
    # An abstract heading joins these two, so that neither follows from the other.
    assert further([IDS["Music"]], [IDS["Pop music"]], ONTOLOGY) == [IDS["Music"]]


@given(class_ids, class_ids)
def test_what_is_left_out_follows_from_what_is_kept_and_what_is_known(named: list[str], known: list[str]) -> None:
    new = further(named, known, ONTOLOGY)
    assert not set(new) & set(known)
    assert set(named) <= set(ONTOLOGY.class_ids(ONTOLOGY.implied([*new, *known])))
    assert not any(ONTOLOGY.conflict(a, b) for a, b in combinations(new, 2))


def test_the_publishers_times_win_and_listeners_times_count_only_where_they_are_sure() -> None:
    times = [
        item(BARK, 0.9, "event", onset_s=1.0, offset_s=2.0),
        item(DOG, 0.3, "event", onset_s=3.0, offset_s=4.0),
        item(RAIN, 0.9, "event", onset_s=0.0, offset_s=9.0),
        item(None, None, "event", onset_s=0.0, offset_s=10.0),
    ]
    assert span(times, EAR, ONTOLOGY) == (1.0, 4.0)
    assert span(times, sure(CALIBRATIONS, None), ONTOLOGY) == (None, None)
    published = item(None, None, "event", who="publisher", onset_s=5.0, offset_s=6.0)
    assert span([*times, published], EAR, ONTOLOGY) == (5.0, 6.0)
    assert span([item(DOG, 0.9)], EAR, ONTOLOGY) == (None, None)


def test_the_curve_is_read_as_numpy_reads_it() -> None:
    for confidence in np.linspace(0, 1, 51):
        expected = np.interp(confidence, [0.2, 0.8], [0.1, 0.9]) >= 0.5
        assert Sure(EAR.curves, 0.5).hears("ear", BARK, float(confidence)) == expected
