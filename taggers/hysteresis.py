"""Events from scores over time: two thresholds, a median filter, short gaps closed, short events dropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLACK = 1e-6
"""Frames by which seconds may miss a whole number of frames: 0.3 s are three hops of 0.1 s, though not in binary."""


def events(
    scores: NDArray[np.float32],
    hop_s: float,
    high: float,
    low: float,
    median_s: float,
    least_s: float = 0.0,
    gap_s: float = 0.0,
) -> list[tuple[int, float, float, float]]:
    """Return the events in the scores of a waveform, by double threshold (Dinkel and Yu, ICASSP 2020).

    Per class, after a median filter, a stretch of frames that are all at `low` or over is an event if one of
    them is at `high` or over: the score must reach `high`, and the event lasts on both sides while it stays at
    `low`. Then events with a short gap between them become one, then short events are dropped.

    Args:
        scores: shape (frames, classes), in [0, 1]; frame i is the time from i to i + 1 hops.
        hop_s: seconds from one frame to the next, > 0.
        high: score that an event must reach, in (0, 1].
        low: score that it must keep, in [0, high].
        median_s: length of the median filter; the odd number of frames that is nearest to it is taken, the upper one
            of two. Beyond its ends the waveform is mirrored, so that one frame there does not become many. 0: none.
        least_s: shorter events are dropped.
        gap_s: events of one class with no more than this between them are one.

    Returns:
        (class index, onset in s, offset in s, confidence) by onset, then class. The confidence is the mean of the
        scores, as they were given, from onset to offset, gaps included: it does not hang on one frame, as a peak does.

    Raises:
        ValueError: `hop_s` or a threshold is out of its range.

    """
    if not hop_s > 0:
        raise ValueError(f"hop_s must be above 0, not {hop_s}")
    if not 0.0 <= low <= high <= 1.0 or high == 0.0:
        raise ValueError(f"thresholds must keep 0 <= low <= high <= 1, high above 0; they are {low} and {high}")
    # A median is one of the scores, so a class that never reaches `high` has no event: few of hundreds are left.
    live = np.flatnonzero((scores >= high).any(axis=0))
    if not len(live):
        return []
    kept = np.ascontiguousarray(scores[:, live].T)
    half = int(median_s / hop_s / 2.0 + SLACK)
    start, end, row = _runs(_median(kept >= low, half))
    reached = _sums(_median(kept >= high, half))
    peaked = reached[row, end] > reached[row, start]
    start, end, row = start[peaked], end[peaked], row[peaked]
    if not len(start):
        return []
    joined = (row[1:] == row[:-1]) & (start[1:] - end[:-1] <= int(gap_s / hop_s + SLACK))
    first, last = np.r_[True, ~joined], np.r_[~joined, True]
    start, end, row = start[first], end[last], row[first]
    long = end - start >= least_s / hop_s - SLACK
    start, end, row = start[long], end[long], row[long]
    total = _sums(kept)
    mean = (total[row, end] - total[row, start]) / (end - start)
    order = np.lexsort((row, start))
    return [
        (int(live[row[i]]), float(start[i] * hop_s), float(end[i] * hop_s), float(np.clip(mean[i], 0.0, 1.0)))
        for i in order
    ]


def _sums(rows: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return shape (rows, n + 1): the sum of each row before each place."""
    return np.pad(np.cumsum(rows, axis=1, dtype=np.float64), ((0, 0), (1, 0)))


def _median(over: NDArray[np.bool_], half: int) -> NDArray[np.bool_]:
    """Return whether the median of 2 * half + 1 scores is over a threshold, given which of the scores are.

    Thresholds and medians change places: a median is over where most of its window is. Sums then do what sorting
    every window would.
    """
    if not half:
        return over
    sums = _sums(np.pad(over, ((0, 0), (half, half)), mode="symmetric"))
    width = 2 * half + 1
    return sums[:, width:] - sums[:, :-width] > half


def _runs(holds: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return where each run of True begins, where it has ended, and in which row, by row and then start."""
    edge = np.diff(np.pad(holds, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edge == 1)
    return start, np.nonzero(edge == -1)[1], row
