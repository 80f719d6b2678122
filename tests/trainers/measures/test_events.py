"""Event-based F1: collars to the millisecond, one partner each, the most pairs there can be."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from trainers.measures.events import Counts, Timed, _agrees, counts, macro_f1, matched, micro_f1

DOG, CAT = "dog", "cat"


def test_an_exact_event_is_right_and_another_class_is_not() -> None:
    assert micro_f1([counts([(DOG, 1.0, 2.0)], [(DOG, 1.0, 2.0)])]) == 1.0
    assert counts([(DOG, 1.0, 2.0)], [(CAT, 1.0, 2.0)]) == {DOG: Counts(0, 1, 0), CAT: Counts(0, 0, 1)}


@pytest.mark.parametrize(
    ("onset", "offset", "right"),
    [
        (1.19, 3.0, True),
        (0.81, 3.0, True),
        (1.21, 3.0, False),
        (1.0, 3.39, True),  # 20% of two seconds
        (1.0, 2.61, True),
        (1.0, 3.41, False),
        (1.0, 2.59, False),
    ],
)
def test_the_collar_of_the_onset_is_200_ms_and_that_of_the_offset_grows_with_the_length(
    onset: float, offset: float, right: bool
) -> None:
    assert matched([(DOG, 1.0, 3.0)], [(DOG, onset, offset)]) == right


@pytest.mark.parametrize(("offset", "right"), [(1.49, True), (1.51, False)])
def test_the_offset_of_a_short_event_has_200_ms_too(offset: float, right: bool) -> None:
    assert matched([(DOG, 1.0, 1.3)], [(DOG, 1.0, offset)]) == right


def test_the_length_that_counts_is_the_references() -> None:
    assert matched([(DOG, 0.0, 10.0)], [(DOG, 0.0, 8.1)]) == 1
    assert matched([(DOG, 0.0, 8.1)], [(DOG, 0.0, 10.0)]) == 0


def test_one_event_is_the_partner_of_one() -> None:
    assert matched([(DOG, 1.0, 2.0)], [(DOG, 1.0, 2.0), (DOG, 1.1, 2.0)]) == 1
    assert matched([(DOG, 1.0, 2.0), (DOG, 1.1, 2.0)], [(DOG, 1.0, 2.0)]) == 1


def test_pairs_are_as_many_as_there_can_be() -> None:
    """The first estimate agrees with both references, the second with the first alone: greedy choice would lose one."""
    reference, estimated = [(DOG, 1.0, 2.0), (DOG, 1.3, 2.0)], [(DOG, 1.15, 2.0), (DOG, 0.85, 2.0)]
    assert matched(reference, estimated) == 2


def test_matching_agrees_with_trying_every_assignment() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        draws = [[(DOG, float(on), float(on + 1)) for on in rng.uniform(0, 1, rng.integers(1, 5))] for _ in range(2)]
        reference, estimated = draws
        assert matched(reference, estimated) == by_hand(reference, estimated)


def by_hand(reference: list[Timed], estimated: list[Timed]) -> int:
    few, many = sorted((reference, estimated), key=len)
    pairs = [zip(few, chosen, strict=True) for chosen in permutations(many, len(few))]
    asked = few is reference
    return max(sum(_agrees(*((a, b) if asked else (b, a))) for a, b in pair) for pair in pairs)


def test_micro_counts_events_and_macro_counts_classes() -> None:
    clips = [
        counts([(DOG, 1.0, 2.0)], [(DOG, 1.0, 2.0)]),
        counts([(DOG, 5.0, 6.0)], [(DOG, 5.0, 6.0)]),
        counts([(CAT, 1.0, 2.0)], [(CAT, 3.0, 4.0)]),
    ]
    assert micro_f1(clips) == pytest.approx(2 * 2 / (3 + 3))
    assert macro_f1(clips) == pytest.approx((1.0 + 0.0) / 2)


def test_a_false_alarm_counts_and_is_no_class_of_the_macro_average() -> None:
    clips = [counts([(DOG, 1.0, 2.0)], [(DOG, 1.0, 2.0), (CAT, 0.0, 9.0)])]
    assert micro_f1(clips) == pytest.approx(2 / 3)
    assert macro_f1(clips) == 1.0


def test_without_events_there_is_no_f1() -> None:
    assert np.isnan(micro_f1([counts([], [])]))
    assert np.isnan(macro_f1([counts([], [(DOG, 0.0, 1.0)])]))
    assert micro_f1([counts([], [(DOG, 0.0, 1.0)])]) == 0.0
