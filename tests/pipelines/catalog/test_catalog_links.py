"""Tests of the blocking join on landmarks: the pairs that the join within one process finds, with the same scores."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.catalog.links import BLOCKS, Print, agreeing, alike_rows, best_row, blocks, equal_rows, numbered, votes
from pipelines.identity.near import near_duplicates

Known = dict[tuple[str, str], tuple[float, str]]


def joined(prints: list[Print], at_once: int) -> Known:
    """Run the steps of the join as the graph does, with so many clips in a batch."""
    numbers = numbered(key for key, _, _ in prints)
    by_block: dict[int, list] = {}
    for start in range(0, len(prints), at_once):
        for block, part in blocks(prints[start : start + at_once], numbers):
            by_block.setdefault(block, []).append(part)
    by_clip: dict[int, list] = {}
    for block, parts in by_block.items():
        for first, cast in votes(block, parts):
            by_clip.setdefault(first, []).append(cast)
    pairs = [pair for first, parts in by_clip.items() for pair in agreeing(first, parts)]
    assert len(pairs) == len(set(pairs))
    print_of = {numbers[each[0]]: each for each in prints}
    rows = [row for a, b in pairs for row in alike_rows((a, b), [print_of[b], print_of[a]])]
    return {(row["clip_a"], row["clip_b"]): (row["score"], row["by"]) for row in rows}


def drawn(seed: int, clips: int, hashes: int) -> list[Print]:
    """Return clips of which some hold a part of an earlier one, some repeat themselves, and all share a few hashes."""
    rng = np.random.default_rng(seed)
    prints: list[Print] = []
    for number in range(clips):
        own, times = rng.integers(0, hashes, 60).astype(np.uint32), np.sort(rng.integers(0, 900, 60)).astype(np.uint16)
        if number % 3 == 2:
            _, _, (other, when) = prints[rng.integers(number)]
            begins = int(rng.integers(0, 40))
            own, times = np.append(own, other[begins:]), np.append(times, when[begins:] + np.uint16(begins))
        if number % 5 == 0:
            own, times = np.append(own, [7] * 12), np.append(times, np.arange(12))
        popular = np.arange(6) + 1
        own, times = np.append(own, popular), np.append(times, popular * 10 + rng.integers(0, 3))
        order = np.argsort(times, kind="stable")
        landmarks = own[order].astype(np.uint32), times[order].astype(np.uint16)
        prints.append(((f"d-{number:04d}", "run"), f"fs:{number:04d}", landmarks))
    return prints


@pytest.mark.parametrize(
    ("seed", "clips", "hashes", "at_once"), [(1, 40, 2**32, 7), (2, 150, 4000, 64), (3, 90, 300, 1000)]
)
def test_the_join_finds_what_the_join_within_one_process_finds(
    seed: int, clips: int, hashes: int, at_once: int
) -> None:
    prints = drawn(seed, clips, hashes)
    shuffled = [prints[n] for n in np.random.default_rng(9).permutation(len(prints))]
    found = joined(shuffled, at_once)
    columns = list(zip(*(landmarks for _, _, landmarks in prints), strict=True))
    expected = near_duplicates([key[0] for key, _, _ in prints], *columns)
    assert {pair: score for pair, (score, _) in found.items()} == {(p.clip_a, p.clip_b): p.score for p in expected}
    assert len(found) > 10
    assert {by for _, by in found.values()} == {"fingerprint"}


def test_clips_of_one_recording_are_no_link_and_neither_are_strangers() -> None:
    (key, _, landmarks), (other, _, strange) = drawn(1, 2, 2**32)
    assert alike_rows((0, 1), [(key, "fs:1", landmarks), (other, "fs:1", landmarks)]) == []
    assert alike_rows((0, 1), [(key, "fs:1", landmarks), (other, "fs:2", strange)]) == []
    (row,) = alike_rows((0, 1), [(key, "fs:2", landmarks), (other, "fs:1", landmarks)])
    assert (row["recording_a"], row["clip_a"], row["score"] > 0.9) == ("fs:1", other[0], True)


def test_a_clip_that_stands_in_two_runs_is_two_clips_of_one_recording() -> None:
    _, _, landmarks = drawn(1, 1, 2**32)[0]
    prints: list[Print] = [((clip, run), "fs:1", landmarks) for clip in ("a", "b") for run in ("x", "y")]
    assert joined(prints, 2) == {}
    prints.append((("c", "x"), "fs:2", landmarks))
    assert joined(prints, 2).keys() == {("a", "c"), ("b", "c")}


def test_clips_without_landmarks_cost_nothing() -> None:
    none = np.zeros(0, np.uint32), np.zeros(0, np.uint16)
    assert joined([(("a", "x"), "fs:1", none), (("b", "x"), "fs:2", none)], 5) == {}


def test_a_block_has_the_hashes_that_belong_to_it() -> None:
    prints = drawn(4, 9, 2**32)
    whole = sorted(hash_ for _, _, (hashes, _) in prints for hash_ in hashes.tolist())
    parts = dict(blocks(prints, numbered(key for key, _, _ in prints)))
    assert all((hashes % BLOCKS == block).all() for block, (hashes, _, _) in parts.items())
    assert sorted(hash_ for hashes, _, _ in parts.values() for hash_ in hashes.tolist()) == whole


def test_equal_samples_are_told_of_the_least_recording_that_has_them() -> None:
    rows = equal_rows("sha", [("yt:b", "x-2"), ("fs:a", "x-9"), ("fs:a", "x-1"), ("yt:c", "x-3")])
    assert [(row["recording_a"], row["recording_b"], row["clip_a"], row["clip_b"]) for row in rows] == [
        ("fs:a", "yt:b", "x-1", "x-2"),
        ("fs:a", "yt:c", "x-1", "x-3"),
    ]
    assert equal_rows("sha", [("fs:a", "x-1"), ("fs:a", "y-1")]) == []


def test_the_surest_link_stands_for_two_recordings() -> None:
    (equal,) = equal_rows("sha", [("a", "1"), ("b", "2")])
    heard = equal | {"by": "fingerprint", "score": 0.4}
    surer = heard | {"score": 0.5, "clip_a": "9"}
    assert best_row(("a", "b"), [heard, surer]) == surer
    assert best_row(("a", "b"), [surer, equal, heard]) == equal
