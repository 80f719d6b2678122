"""Landmarks of many clips -> the pairs of clips that hold the same sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError

FRAME_S = 0.064
"""Seconds of one frame of `times`: 65,536 of them are 70 minutes."""
NEAR_SCORE, NEAR_SHARED = 0.05, 8
"""Least score and least number of shared landmarks of near duplicates, chosen by `benchmarks/fingerprint.py`.

A score of 0.03 and 5 landmarks would find one clip in a hundred more, but join 21 pairs of unrelated clips in 202 million
instead of 3. Five peaks that agree share up to ten landmarks.
"""
REPEATS = 8
"""Of a hash that recurs in a clip only so many are compared, the first: an hour of one loop would match itself too often."""
NEXT = 64
"""In the join, a landmark is compared with so many others of its hash, the next in order of clip."""
_BESIDE = 2
"""Frames by which offsets may differ and still be one."""
_AT_ONCE = 1 << 22
"""Pairs of landmarks that the join holds at once, of about 60 bytes each."""
_CLIP_BITS, _PLACE_BITS = 22, 32
"""Bits in which the join numbers clips and landmarks, beside what else it packs into 64 bits."""

Landmarks = tuple[NDArray[np.uint32], NDArray[np.uint16]]
"""Hashes and times of one clip, equally long, in any order."""


@dataclass(frozen=True)
class Match:
    """How two clips agree at the offset where they agree best.

    Attributes:
        score: ``shared`` as a share of the distinct hashes of the clip that has fewer, in [0, 1].
        offset_s: how much later the second clip begins in the sound that they share, in seconds; 0 where nothing is shared.
        shared: distinct hashes shared at that offset, less those shared at the best of all other offsets: what repeats
            itself, such as two recordings of one hum or of a beep, agrees at many and is no duplicate for that.
    """

    score: float
    offset_s: float
    shared: int

    @property
    def near(self) -> bool:
        """Whether the clips are near duplicates."""
        return self.score >= NEAR_SCORE and self.shared >= NEAR_SHARED


@dataclass(frozen=True, order=True)
class Pair:
    """Two near duplicates, ``clip_a`` before ``clip_b`` in order of code points; the rest as in :class:`Match`."""

    clip_a: str
    clip_b: str
    score: float
    offset_s: float


def score(a: Landmarks, b: Landmarks) -> Match:
    """Return how two clips agree; a pure function of two clips.

    Equal hashes vote for the difference of their times. Times are whole frames, so that one true offset gives two
    differences, which are next to each other; they are counted together.
    """
    (hashes_a, times_a), (hashes_b, times_b) = _firsts(*a), _firsts(*b)
    fewest = min(len(np.unique(hashes_a)), len(np.unique(hashes_b)))
    first, stop = np.searchsorted(hashes_b, hashes_a, "left"), np.searchsorted(hashes_b, hashes_a, "right")
    one, two = _expand(first, stop - first)
    if not len(one):
        return Match(0.0, 0.0, 0)
    hashes, offsets = hashes_a[one].astype(np.int64), times_a[one].astype(np.int64) - times_b[two]
    votes = np.unique(np.concatenate([((offsets - late) << 32) + hashes for late in (0, 1)]))
    places, counts = np.unique(votes >> 32, return_counts=True)
    best = places[np.lexsort((places, np.abs(2 * places + 1), -counts))[0]]
    shared = int(counts.max() - counts[np.abs(places - best) > _BESIDE].max(initial=0))
    agreeing = offsets[(offsets == best) | (offsets == best + 1)]
    return Match(shared / fewest, round(float(agreeing.mean()) * FRAME_S, 3), shared)


def near_duplicates(
    clip_ids: Sequence[str], hashes: Sequence[NDArray[np.uint32]], times: Sequence[NDArray[np.uint16]]
) -> list[Pair]:
    """Return all near duplicates among many clips, sorted, whatever the order of the clips.

    Only clips that share `NEAR_SHARED` landmarks at about one offset are scored. A hash that stands in very many clips
    would cost the square of their number: each landmark is therefore compared with the next `NEXT` of its hash alone, in
    order of clip. Of a sound that more clips hold than that, not every pair is found, but as a rule a chain that binds them.

    Args:
        clip_ids: distinct.
        hashes: landmarks of each clip.
        times: as long as ``hashes``.

    Raises:
        ValueError: the three are not equally long, or an id comes twice.
        UserError: they are too many; see :func:`check_size`.
    """
    if not len(clip_ids) == len(hashes) == len(times) or len(set(clip_ids)) < len(clip_ids):
        raise ValueError("every clip needs an id of its own, hashes and times")
    check_size(len(clip_ids), sum(map(len, hashes)))
    order = sorted(range(len(clip_ids)), key=lambda n: clip_ids[n])
    clips = [(hashes[n], times[n]) for n in order]
    found = []
    for a, b in _candidates(clips):
        match = score(clips[a], clips[b])
        if match.near:
            found.append(Pair(clip_ids[order[a]], clip_ids[order[b]], match.score, match.offset_s))
    return sorted(found)


def check_size(clips: int, landmarks: int) -> None:
    """Raise UserError for more clips or landmarks than the join can number: beyond that it would mix them up.

    Args:
        clips: how many clips; fewer than 2^22.
        landmarks: how many landmarks they have together; fewer than 2^32, which are about 19,000 hours of sound.
    """
    for count, what, bits in ((clips, "clips", _CLIP_BITS), (landmarks, "landmarks", _PLACE_BITS)):
        if count >> bits:
            raise UserError(
                f"groups: {count} {what} are too many for one run, which takes fewer than 2^{bits}; "
                "make several runs and hold them against each other with `earloom catalog build`"
            )


def _candidates(clips: list[Landmarks]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of clips, each once and the lesser first, that share enough landmarks at about one offset."""
    kept = [_firsts(*clip) for clip in clips]
    starts = np.cumsum([0, *(len(hashes) for hashes, _ in kept)])
    if not starts[-1]:
        return
    clip = np.repeat(np.arange(len(kept), dtype=np.int32), np.diff(starts))
    # Hash above, place below: one sort of plain integers puts equal hashes side by side, in order of clip.
    sorted_ = np.concatenate([hashes for hashes, _ in kept]).astype(np.uint64) << np.uint64(32)
    sorted_ |= np.arange(len(sorted_), dtype=np.uint64)
    sorted_.sort()
    place = (sorted_ & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    time = np.concatenate([times for _, times in kept])[place]
    clip = clip[place]
    rank = np.empty(len(place), np.uint32)
    rank[place] = np.arange(len(place), dtype=np.uint32)
    partners = _partners(sorted_ >> np.uint64(32))
    del sorted_, place, kept
    ends = np.concatenate([[0], np.cumsum(partners[rank], dtype=np.int64)])[starts]
    first = 0
    while first < len(clips):
        last = max(int(np.searchsorted(ends, ends[first] + _AT_ONCE, "right")) - 1, first + 1)
        mine = rank[starts[first] : starts[last]].astype(np.int64)
        one, two = _expand(mine + 1, partners[mine].astype(np.int64))
        yield from _agreeing(clip, time, mine[one], two)
        first = last


def _agreeing(
    clip: NDArray[np.int32], time: NDArray[np.uint16], one: NDArray[np.int64], two: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of clips among pairs of landmarks that agree often enough on two neighbouring offsets."""
    a, b = clip[one].astype(np.int64), clip[two].astype(np.int64)
    votes = (a << 41) | (b << 18) | (time[one].astype(np.int64) - time[two] + (1 << 17))
    votes = np.sort(votes[a < b])
    enough = votes[NEAR_SHARED - 1 :] - votes[: len(votes) - NEAR_SHARED + 1] <= 1
    for pair in np.unique(votes[: len(enough)][enough] >> 18).tolist():
        yield pair >> 23, pair & ((1 << 23) - 1)


def _partners(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return for each of the sorted hashes how many of those behind it are its equals, at most `NEXT`."""
    last = np.flatnonzero(np.append(hashes[1:] != hashes[:-1], True))
    sizes = np.diff(last, prepend=-1)
    behind = np.repeat(last, sizes) - np.arange(len(hashes))
    return np.minimum(behind, NEXT).astype(np.uint8)


def _firsts(hashes: NDArray[np.uint32], times: NDArray[np.uint16]) -> Landmarks:
    """Return the first `REPEATS` landmarks of each hash, sorted by hash and time."""
    order = np.lexsort((times, hashes))
    hashes, times = hashes[order], times[order]
    early = np.arange(len(hashes)) - np.searchsorted(hashes, hashes) < REPEATS
    return hashes[early], times[early]


def _expand(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for runs of ``counts`` from ``first`` on, the run's number and each place in it."""
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts) + first[run]
