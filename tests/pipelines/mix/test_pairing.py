"""Who is mixed with whom: against every combination of small catalogues, and each clip an interferer as often as another."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from mix_world import clashes, plan, source, world


def together(rows: tuple[dict[str, Any], ...], uploaders: bool = True) -> bool:
    """Say whether clips may be mixed, pair by pair."""
    return not any(
        clashes(a, b)
        or a["group_id"] == b["group_id"]
        or (uploaders and a["attribution"] is not None and a["attribution"] == b["attribution"])
        for a, b in itertools.combinations(rows, 2)
    )


def crowded(seed: int, count: int) -> list[dict[str, Any]]:
    """Return clips of few classes, groups and uploaders, so that little fits."""
    rng = np.random.default_rng(seed)
    names = [
        "Dog",
        "Bark",
        "Animal",
        "Rain",
        "Thunder",
        "Speech",
        "Male speech, man speaking",
        "Music",
        "Guitar",
        "Wind",
    ]
    return [
        source(
            f"c{number}",
            rng.choice(names, rng.integers(1, 4), replace=False).tolist(),
            group_id=f"g{rng.integers(6)}",
            attribution=[None, "ann", "bob", "cy"][rng.integers(4)],
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("sources", [2, 3, 4])
def test_a_mixture_is_refused_exactly_where_no_choice_of_sources_fits(sources: int):
    refused = served = 0
    for seed in range(25):
        rows = crowded(seed, 5 + 2 * sources)
        by_id = {row["clip_id"]: row for row in rows}
        for row in plan(rows, sources=(sources, sources), seed=seed):
            target = by_id[row["target_clip_id"]]
            possible = any(
                together((target, *rest)) for rest in itertools.combinations(rows, sources - 1) if target not in rest
            )
            if row["refused"] is None:
                chosen = tuple(by_id[each["clip_id"]] for each in row["sources"])
                assert len(chosen) == sources
                assert chosen[0] is target
                assert together(chosen)
                served += 1
            else:
                assert row["refused"] == "no_disjoint_partner"
                refused += 1
            assert possible == (row["refused"] is None)
    assert refused > 10
    assert served > 10


def test_uploaders_may_be_the_same_where_a_recipe_says_so():
    rows = [source("a", ["Dog"], attribution="ann"), source("b", ["Rain"], attribution="ann")]
    assert {row["refused"] for row in plan(rows)} == {"no_disjoint_partner"}
    assert {row["refused"] for row in plan(rows, apart=["group"])} == {None}
    unknown = [row | {"attribution": None} for row in rows]
    assert {row["refused"] for row in plan(unknown)} == {None}


def test_every_clip_is_an_interferer_equally_often_where_conflicts_allow_it():
    rows = world(300, most=2, split="train")
    made = plan(rows, per_clip=40, sources=(3, 3))
    uses = np.unique([each for row in made for each in row["interferer_clip_ids"]], return_counts=True)[1]
    assert len(uses) == 300
    assert uses.sum() == 300 * 40 * 2
    assert (uses == 80).mean() > 0.9


def test_a_common_class_does_not_keep_partners_from_being_found():
    # Speech is in nine of ten clips: each of these needs one of the tenth, and the tenth cannot be dealt equally.
    rows = [source(f"s{number}", ["Speech"]) for number in range(180)] + [
        source(f"r{number}", ["Rain"]) for number in range(20)
    ]
    made = plan(rows)
    assert {row["refused"] for row in made} == {None}
    assert all((row["target_clip_id"][0] == "s") != (row["interferer_clip_ids"][0][0] == "s") for row in made)


def test_one_that_fits_among_many_is_found():
    rows = [source(f"s{number}", ["Speech"]) for number in range(4000)] + [source("rain", ["Rain"])]
    assert {row["interferer_clip_ids"][0] for row in plan(rows) if row["target_clip_id"] != "rain"} == {"rain"}
