"""Which clips are held against one another: none of equal, wider or narrower classes, and more of those that sound alike."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
import torch
from caption_worlds import NOISE, POLICE, SINE, SIREN

from schemas.ontology import default_ontology
from trainers.clap.negatives import class_words, no_negatives, together

ALARM, DOG, BARK, RAIN, SPEECH = "/m/07pp_mv", "/m/0bt9lr", "/m/05tny_", "/m/06mb1", "/m/09x0r"


@pytest.mark.parametrize(
    ("one", "other", "left_out"),
    [
        ([SINE], [SINE], True),
        ([SIREN], [POLICE], True),
        ([ALARM], [POLICE], True),
        ([SINE], [NOISE], False),
        ([DOG], [BARK], True),
        ([DOG, RAIN], [BARK, RAIN], True),
        ([DOG, RAIN], [BARK], False),  # a caption of both is wrong of the one
        ([DOG, BARK], [DOG], True),
        ([], [SINE], False),
        ([], [], False),
    ],
)
def test_clips_are_no_negatives_where_each_class_of_either_is_equal_to_above_or_below_one_of_the_other(
    one: list[str], other: list[str], left_out: bool
) -> None:
    found = no_negatives(class_words([one, other]))
    assert found.tolist() == [[False, left_out], [left_out, False]]


def test_it_is_what_the_ontology_says_of_each_pair() -> None:
    ontology, draw = default_ontology(), np.random.default_rng(0)
    every = [node.class_id for node in ontology.classes]
    sets = [list(draw.choice(every, size, replace=False)) for size in draw.integers(0, 3, 60)]
    sets += [[SIREN], [POLICE], [POLICE, DOG], [DOG, SIREN], [DOG, ALARM]]

    def covers(one: list[str], other: list[str]) -> bool:
        return all(any(ontology.conflict(a, b) for b in other) for a in one)

    wanted = [
        [i != j and bool(a and b) and covers(a, b) and covers(b, a) for j, b in enumerate(sets)]
        for i, a in enumerate(sets)
    ]
    assert no_negatives(class_words(sets)).tolist() == wanted
    assert sum(map(sum, wanted)) >= 6


def met(order: list[int], sets: list[list[str]], pair: set[str]) -> int:
    return sum({*sets[a], *sets[b]} == pair for a, b in pairwise(order))


def test_clips_that_sound_alike_follow_one_another_as_often_as_is_asked_for() -> None:
    # Rain and white noise stand in one row of confusable.csv; speech is like neither.
    sets = [[(RAIN, NOISE, SPEECH, SPEECH)[n % 4]] for n in range(400)]
    order = np.random.default_rng(0).permutation(400).tolist()
    assert together(order, sets, 0.0, np.random.default_rng(0)) == order
    counts = []
    for share in (0.0, 0.5, 1.0):
        made = together(order, sets, share, np.random.default_rng(0))
        assert sorted(made) == list(range(400))
        counts.append(met(made, sets, {RAIN, NOISE}))
    assert counts[0] < 60 < counts[1] < counts[2]
    assert counts[2] >= 95, "all but the last ones have found another"


def test_clips_without_classes_or_of_related_ones_are_led_to_none() -> None:
    sets: list[list[str]] = [[], [POLICE], [SIREN], [], [POLICE, RAIN], [NOISE, SIREN]]
    order = list(range(6))
    assert together(order, sets, 1.0, np.random.default_rng(0)) == order, (
        "what shares a siren is no negative to look for"
    )


def test_siblings_are_taken_for_one_another() -> None:
    ontology = default_ontology()
    parent = ontology[DOG]
    first, second = (child for child in parent.children[:2])
    sets = [[first], [SPEECH], [SPEECH], [second]]
    assert together([0, 1, 2, 3], sets, 1.0, np.random.default_rng(0)) == [0, 3, 1, 2]


def test_words_are_the_ontologys_bits() -> None:
    ontology = default_ontology()
    own, related = class_words([[POLICE, SINE]])[0]
    bits = [sum(int(word) % (1 << 64) << 64 * n for n, word in enumerate(words)) for words in (own, related)]
    assert bits[0] == ontology.bits([POLICE, SINE])
    assert bits[1] == ontology.related_mask(POLICE) | ontology.related_mask(SINE)
    assert own.dtype == torch.int64
