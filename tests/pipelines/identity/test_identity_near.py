"""The score of two clips and the join of many: known answers, the rule by pairs, order, and many clips of one sound."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

from pipelines.identity import near
from pipelines.identity.near import FRAME_S, NEAR_SHARED, Landmarks, Pair, check_size, near_duplicates, score
from schemas.errors import UserError


def clip(seed: int, count: int = 200, frames: int = 160, space: int = 1 << 24) -> Landmarks:
    rng = np.random.default_rng(seed)
    return rng.integers(0, space, count).astype(np.uint32), np.sort(rng.integers(0, frames, count)).astype(np.uint16)


def part(of: Landmarks, share: float, seed: int, late: int = 0) -> Landmarks:
    """Return a share of a clip's landmarks, later by some frames, among others of its own."""
    rng, (hashes, times), (own, when) = np.random.default_rng(seed), of, clip(1000 + seed)
    kept = rng.uniform(size=len(hashes)) < share
    return (
        np.concatenate([hashes[kept], own[~kept]]),
        np.concatenate([times[kept] + np.uint16(late), when[~kept]]).astype(np.uint16),
    )


def test_a_shifted_copy_scores_one_at_its_offset():
    hashes, times = clip(0)
    match = score((hashes, times + np.uint16(25)), (hashes, times))
    assert match.score == pytest.approx(1.0, abs=0.02)
    assert match.offset_s == pytest.approx(25 * FRAME_S, abs=1e-3)
    assert score((hashes, times), (hashes, times + np.uint16(25))).offset_s == -match.offset_s


def test_half_of_a_clip_and_a_clip_with_half_its_landmarks_score_by_the_rule():
    hashes, times = clip(1)
    assert score((hashes, times), (hashes[:100], times[:100])).score == pytest.approx(1.0, abs=0.02)
    match = score((hashes, times), part((hashes, times), 0.5, 2))
    assert match.shared == pytest.approx(100, abs=25)
    assert match.score == pytest.approx(match.shared / 200, abs=0.01)


def test_an_offset_between_two_frames_is_found_as_one():
    hashes, times = clip(2)
    late = times + (np.arange(len(times)) % 2).astype(np.uint16) + np.uint16(10)
    match = score((hashes, late), (hashes, times))
    assert match.score > 0.95
    assert match.offset_s == pytest.approx(10.5 * FRAME_S, abs=0.01)


def test_equal_hashes_at_scattered_offsets_are_no_agreement():
    hashes, times = clip(3)
    match = score((hashes, times), (hashes, np.random.default_rng(0).permutation(times)))
    assert not match.near


def test_one_hash_however_often_is_one_vote():
    times = np.arange(300, dtype=np.uint16)
    match = score((np.full(300, 7, np.uint32), times), (np.full(300, 7, np.uint32), times))
    assert (match.shared, match.near) == (0, False)


def test_what_repeats_itself_agrees_at_every_offset_and_is_no_duplicate():
    rng = np.random.default_rng(4)
    period = rng.integers(0, 1 << 24, 12).astype(np.uint32)
    hashes, times = np.tile(period, 20), np.repeat(np.arange(0, 200, 10), 12).astype(np.uint16)
    assert not score((hashes, times), (hashes, times + np.uint16(10))).near


def test_times_from_one_end_of_their_range_to_the_other_do_not_wrap():
    hashes, times = clip(5, frames=100)
    match = score((hashes, times + np.uint16(65400)), (hashes, times))
    assert match.score > 0.95
    assert match.offset_s == pytest.approx(65400 * FRAME_S, abs=1e-3)
    assert len(near_duplicates(["a", "b"], [hashes, hashes], [times + np.uint16(65400), times])) == 1


def test_a_clip_without_landmarks_is_like_no_other():
    empty = np.zeros(0, np.uint32), np.zeros(0, np.uint16)
    assert score(empty, clip(6)) == score(clip(6), empty) == score(empty, empty) == near.Match(0.0, 0.0, 0)
    assert near_duplicates([], [], []) == []
    assert near_duplicates(["a", "b"], [empty[0], empty[0]], [empty[1], empty[1]]) == []


def test_few_shared_landmarks_are_too_few_however_short_the_clips():
    few = clip(7, count=NEAR_SHARED - 1)
    assert score(few, few).score == 1.0
    assert not score(few, few).near


def small_world() -> dict[str, Landmarks]:
    """Return clips of which some share landmarks, from nearly all down to too few, and many share hashes by chance."""
    clips = {f"own-{n}": clip(n, space=1 << 12) for n in range(20)}
    for n, share in enumerate((1.0, 0.6, 0.3, 0.15, 0.1, 0.07, 0.05, 0.03)):
        clips[f"part-{n}"] = part(clips["own-3"], share, n, late=3 * n)
        clips[f"bit-{n}"] = part(clips[f"own-{n + 5}"], share, 50 + n)
    return clips


def test_the_join_finds_what_comparing_every_pair_finds():
    clips = small_world()
    by_pairs = []
    for a, b in itertools.combinations(sorted(clips), 2):
        match = score(clips[a], clips[b])
        if match.near:
            by_pairs.append(Pair(a, b, match.score, match.offset_s))
    assert len(by_pairs) > 12
    assert near_duplicates(list(clips), *zip(*clips.values(), strict=True)) == sorted(by_pairs)


@pytest.mark.parametrize("seed", range(3))
def test_neither_the_order_of_the_clips_nor_of_their_landmarks_matters(seed):
    rng, clips = np.random.default_rng(seed), small_world()
    expected = near_duplicates(list(clips), *zip(*clips.values(), strict=True))
    ids = rng.permutation(list(clips)).tolist()
    orders = [rng.permutation(len(clips[name][0])) for name in ids]
    shuffled = [(clips[name][0][order], clips[name][1][order]) for name, order in zip(ids, orders, strict=True)]
    assert near_duplicates(ids, *zip(*shuffled, strict=True)) == expected


def test_the_size_of_the_pieces_that_the_join_works_in_does_not_matter(monkeypatch):
    clips = small_world()
    expected = near_duplicates(list(clips), *zip(*clips.values(), strict=True))
    monkeypatch.setattr(near, "_AT_ONCE", 50)
    assert near_duplicates(list(clips), *zip(*clips.values(), strict=True)) == expected


def test_a_sound_that_very_many_clips_hold_binds_them_all_without_comparing_every_pair(monkeypatch):
    monkeypatch.setattr(near, "NEXT", 12)
    original, count = clip(8), 120
    clips = {f"c{n:03d}": part(original, 0.4, n) for n in range(count)}
    pairs = near_duplicates(list(clips), *zip(*clips.values(), strict=True))
    assert len(pairs) < count * (count - 1) / 2 * 0.8
    reached, waiting = {"c000"}, ["c000"]
    friends: dict[str, list[str]] = {name: [] for name in clips}
    for pair in pairs:
        friends[pair.clip_a].append(pair.clip_b)
        friends[pair.clip_b].append(pair.clip_a)
    while waiting:
        found = set(friends[waiting.pop()]) - reached
        reached |= found
        waiting += found
    assert len(reached) == count


def test_clips_that_share_no_sound_are_no_pairs_though_there_are_many():
    clips = {f"c{n}": clip(n) for n in range(2000)}
    assert near_duplicates(list(clips), *zip(*clips.values(), strict=True)) == []


def test_a_clip_that_comes_twice_or_lacks_its_landmarks_is_a_mistake():
    hashes, times = clip(9)
    with pytest.raises(ValueError, match="an id of its own"):
        near_duplicates(["a", "a"], [hashes, hashes], [times, times])
    with pytest.raises(ValueError, match="hashes and times"):
        near_duplicates(["a", "b"], [hashes, hashes], [times])


@pytest.mark.parametrize(
    ("clips", "landmarks", "words"), [(1 << 22, 0, "4194304 clips"), (2, 1 << 32, "4294967296 landm")]
)
def test_what_the_join_cannot_number_is_refused_in_one_line(clips, landmarks, words):
    check_size((1 << 22) - 1, (1 << 32) - 1)
    with pytest.raises(UserError, match=rf"groups: {words}.* too many for one run, .*; make several runs") as caught:
        check_size(clips, landmarks)
    assert "\n" not in str(caught.value)


def test_the_join_is_refused_before_anything_is_copied(monkeypatch):
    monkeypatch.setattr(near, "_PLACE_BITS", 8)
    hashes, times = clip(9, count=128)
    assert len(near_duplicates(["a"], [hashes], [times])) == 0
    with pytest.raises(UserError, match="256 landmarks are too many"):
        near_duplicates(["a", "b"], [hashes, hashes], [times, times])


def test_scores_and_pairs_travel_between_processes():
    match = score(clip(0), clip(0))
    assert pickle.loads(pickle.dumps((score, match))) == (score, match)
    assert sorted([Pair("b", "c", 1.0, 0.0), Pair("a", "z", 0.5, 1.0)])[0].clip_a == "a"
