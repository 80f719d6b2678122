"""Tests of what sets of members share, and of groups: known answers, and counting beside comparing all pairs."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest

from pipelines.catalog.groups import group_of, group_row, listed_in, recording_rows, settle
from pipelines.catalog.overlap import Shared, add, crossings, overlap_row, pairs_of, shared_in

Row = dict[str, Any]


def member(
    member_id: str, published: str, start_s: float | None, end_s: float | None, recording: str = "yt:x", **more: Any
) -> Row:
    """Return a row of `members`, as far as groups look at it."""
    return {
        "member_id": member_id, "dataset": member_id.split("-")[0], "published": published, "split": published,
        "recording_id": recording, "start_s": start_s, "end_s": end_s, "seconds": None, "withheld": None,
    } | more  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_crossings_are_those_of_all_pairs(seed: int) -> None:
    draw = random.Random(seed)
    spans = [
        [(s := draw.randrange(12) / 2, s + draw.randrange(1, 8) / 2) for _ in range(draw.randrange(40))]
        for _ in range(2)
    ]
    expected = sum(a[0] < b[1] and b[0] < a[1] for a in spans[0] for b in spans[1])
    assert crossings(*spans) == expected


def test_segments_that_overlap_those_that_touch_and_those_of_unknown_times() -> None:
    rows = [
        member("a-1", "train", 0.0, 10.0), member("b-1", "test", 5.0, 15.0),
        member("b-2", "test", 10.0, 20.0), member("b-3", "test", None, None),
    ]  # fmt: skip
    shared = shared_in(settle("yt:x", rows, []))
    assert shared[("a", "train"), ("b", "test")] == shared[("a", "*"), ("b", "*")] == (1, 1, 1, 1)
    assert shared[("b", "test"), ("b", "test")] == (1, 1, 1, 2)
    assert shared[("a", "train"), ("a", "train")] == (1, 1, 0, 0)
    assert shared.keys() == set(pairs_of([("a", "train"), ("b", "test"), ("a", "*"), ("b", "*")]))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_shared_is_what_comparing_all_pairs_finds(seed: int) -> None:
    draw = random.Random(seed)
    rows = []
    for number in range(draw.randrange(1, 25)):
        start = draw.randrange(10)
        times = draw.choice([(None, None), (start, start + draw.randrange(5)), (start, None)])
        name = f"{draw.choice('ab')}-{number}"
        rows.append(member(name, draw.choice(["p", "q"]), *times, recording=f"yt:{draw.randrange(3)}"))
    shared = shared_in(settle("yt:0", rows, []))
    expected: dict[Any, list[int]] = {}
    for column in ("published", "all"):
        each = [((row["dataset"], row["published"] if column == "published" else "*"), row) for row in rows]
        for first, second in {tuple(sorted((x[0], y[0]))) for x in each for y in each}:
            pairs = [
                (x, y) if a == first else (y, x)
                for (a, x), (b, y) in combinations(each, 2)
                if {a, b} == {first, second} and x["recording_id"] == y["recording_id"]
            ]
            known = [(x, y) for x, y in pairs if timed(x) and timed(y)]
            both = {x["recording_id"] for s, x in each if s == first} & {
                x["recording_id"] for s, x in each if s == second
            }
            segments = sum(x["start_s"] < y["end_s"] and y["start_s"] < x["end_s"] for x, y in known)
            expected[first, second] = [len(both), 1, segments, len(pairs) - len(known)]
    assert {pair: list(counts) for pair, counts in shared.items()} == expected


def timed(row: Row) -> bool:
    return row["start_s"] is not None and row["end_s"] is not None and row["start_s"] < row["end_s"]


def test_a_member_of_two_runs_counts_once_at_its_longest() -> None:
    rows = [member("a-1", "train", 0.0, 1.0), member("a-1", "train", 0.0, 5.0), member("b-1", "train", 4.0, 9.0)]
    shared = shared_in(settle("yt:x", rows, []))
    assert shared[("a", "train"), ("b", "train")] == (1, 1, 1, 0)
    # Two runs may use one clip in two splits: that is no pair of members.
    shared = shared_in(settle("yt:x", [member("a-1", "train", 0.0, 5.0), member("a-1", "test", 0.0, 5.0)], []))
    assert shared[("a", "test"), ("a", "train")] == (1, 1, 0, 0)
    shared = shared_in(settle("yt:x", [member("a-1", "train", None, None), member("a-1", "test", 0.0, 5.0)], []))
    assert shared[("a", "test"), ("a", "train")] == (1, 1, 0, 0)


def test_sets_that_name_no_recording_share_an_unknown_number() -> None:
    pair = ("a", "x"), ("b", "y")
    assert overlap_row(pair, False, [])["recordings"] is overlap_row(pair, False, [])["untimed"] is None
    assert overlap_row(pair, True, [])["recordings"] == 0
    nothing: list[Shared] = []
    assert add([(1, 2, 3, 4), (1, 1, 1, 1)]) == (2, 3, 4, 5)
    assert add(nothing) == (0, 0, 0, 0)


def test_recordings_that_are_one_are_one_group_in_its_best_protected_split() -> None:
    assert group_of([("b", "c"), ("c", "a"), ("x", "y")]) == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "x"}
    rows = [
        member("a-1", "train", None, None, "yt:b", seconds=2.0), member("a-2", "extra", None, None, "yt:b"),
        member("b-1", "val", None, None, "fs:a", seconds=1.0),
    ]  # fmt: skip
    group = settle("fs:a", rows, [("yt:b", "list"), ("yt:b", "list"), ("zz", "other")])
    assert [(row["group_id"], row["withheld"]) for row in group.members] == [
        ("fs:a", "leaks_into_val"), ("fs:a", "leaks_into_val"), ("fs:a", None),
    ]  # fmt: skip
    assert group_row(group) == {
        "group_id": "fs:a", "recordings": ["fs:a", "yt:b"], "datasets": ["a", "b"], "splits": ["extra", "train", "val"],
        "split": "val", "members": 3, "withheld": 2, "leaks": True,
    }  # fmt: skip
    first, second = recording_rows(group)
    assert (first["recording_id"], first["seconds"], first["blacklists"], first["leaks"]) == (
        "yt:b",
        2.0,
        ["list"],
        False,
    )
    assert (second["recording_id"], second["seconds"], second["blacklists"]) == ("fs:a", 1.0, [])
    assert dict(listed_in(group)) == {
        ("list", ("a", "train")): 1, ("list", ("a", "extra")): 1, ("list", ("a", "*")): 1,
    }  # fmt: skip


def test_a_group_that_its_runs_withhold_whole_still_has_a_split() -> None:
    group = settle("yt:x", [member("a-1", "train", None, None, withheld="leaks_into_val")], [])
    assert (group_row(group)["split"], group_row(group)["splits"], group_row(group)["withheld"]) == ("train", [], 1)
