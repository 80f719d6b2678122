"""What sets of members share: recordings, groups, and segments of recordings that overlap in time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import combinations_with_replacement

from pipelines.catalog.groups import Group, by_recording
from pipelines.catalog.members import Row, Set, sets_of
from pipelines.catalog.tables import ALL

Pair = tuple[Set, Set]
"""Two sets, the lesser first; or one with itself."""
Span = tuple[float, float] | None
"""Where a member begins and ends in its recording, in seconds; None: not known."""
Shared = tuple[int, int, int, int]
"""Recordings, groups, segments and untimed, as in the table ``overlap``."""

_NOTHING: Shared = (0, 0, 0, 0)


def pairs_of(sets: Collection[Set]) -> list[Pair]:
    """Return every pair of sets that is compared: splits with splits, datasets with datasets."""
    wholes = sorted(each for each in sets if each[1] == ALL)
    splits = sorted(each for each in sets if each[1] != ALL)
    return [*combinations_with_replacement(wholes, 2), *combinations_with_replacement(splits, 2)]


def shared_in(group: Group) -> dict[Pair, Shared]:
    """Return what the pairs of sets share in one group."""
    shared: Counter[tuple[Pair, int]] = Counter()
    for rows in by_recording(group).values():
        spans = _spans(rows)
        for pair in pairs_of(spans):
            segments, untimed = _within(spans[pair[0]]) if pair[0] == pair[1] else _between(spans, pair)
            shared[pair, 0] += 1
            shared[pair, 2] += segments
            shared[pair, 3] += untimed
    for pair in pairs_of({each for row in group.members for each in sets_of(row)}):
        shared[pair, 1] += 1
    pairs = {pair for pair, _ in shared}
    return {pair: (shared[pair, 0], shared[pair, 1], shared[pair, 2], shared[pair, 3]) for pair in pairs}


def add(shared: Iterable[Shared]) -> Shared:
    """Return the sum."""
    total = _NOTHING
    for each in shared:
        total = (total[0] + each[0], total[1] + each[1], total[2] + each[2], total[3] + each[3])
    return total


def overlap_row(pair: Pair, named: bool, shared: Iterable[Shared]) -> Row:
    """Return the row of ``overlap``.

    Args:
        pair: the two sets.
        named: whether each of the two has a member that names a recording; if not, nothing is known.
        shared: what they share.
    """
    counts = add(shared) if named else (None, None, None, None)
    (dataset_a, published_a), (dataset_b, published_b) = pair
    return {
        "dataset_a": dataset_a,
        "published_a": published_a,
        "dataset_b": dataset_b,
        "published_b": published_b,
        **dict(zip(("recordings", "groups", "segments", "untimed"), counts, strict=True)),
    }


def _spans(rows: list[Row]) -> dict[Set, dict[str, Span]]:
    """Return the times of the members of each set: one that stands in several runs counts once, at its longest."""
    found: dict[Set, dict[str, Span]] = {}
    for row in rows:
        span = _span(row["start_s"], row["end_s"])
        for each in sets_of(row):
            members = found.setdefault(each, {})
            members[row["member_id"]] = max(members.get(row["member_id"]), span, key=_length)
    return found


def _span(start_s: float | None, end_s: float | None) -> Span:
    known = start_s is not None and end_s is not None and start_s < end_s
    return (start_s, end_s) if known else None  # type: ignore[return-value]


def _length(span: Span) -> tuple[float, float]:
    return (span[1] - span[0], -span[0]) if span else (-1.0, 0.0)


def _between(spans: dict[Set, dict[str, Span]], pair: Pair) -> tuple[int, int]:
    """Return the pairs of members of two sets that overlap, and those that may.

    A dataset's name begins each of its members' names, so that two sets can share a member only where a run and a
    recipe call one split by two words; such a member is no pair with itself.
    """
    first, second = spans[pair[0]], spans[pair[1]]
    both = first.keys() & second.keys()
    overlapping = crossings([s for s in first.values() if s], [s for s in second.values() if s])
    untimed = len(first) * len(second) - _timed(first) * _timed(second)
    for name in both:
        a, b = first[name], second[name]
        if a and b:
            overlapping -= crossings([a], [b])
        else:
            untimed -= 1
    return overlapping, untimed


def _within(members: dict[str, Span]) -> tuple[int, int]:
    """Return the pairs of members of one set that overlap, and those that may."""
    if len(members) == 1:  # as almost always
        return 0, 0
    known = [span for span in members.values() if span]
    overlapping = (crossings(known, known) - len(known)) // 2
    return overlapping, pairs_among(len(members)) - pairs_among(len(known))


def _timed(members: dict[str, Span]) -> int:
    return sum(span is not None for span in members.values())


def pairs_among(count: int) -> int:
    """Return how many pairs ``count`` things make."""
    return count * (count - 1) // 2


def crossings(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> int:
    """Return how many pairs of a span of each overlap by more than a point; each begins before it ends.

    Of all pairs, those are left out whose one ends before the other begins; sorted, these are counted at once.
    """
    starts, ends = sorted(start for start, _ in second), sorted(end for _, end in second)
    before = sum(bisect_right(ends, start) for start, _ in first)
    after = sum(len(starts) - bisect_left(starts, end) for _, end in first)
    return len(first) * len(second) - before - after
