"""Events from scores: known answers, and the same as a plain walk over the frames for any scores."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taggers.hysteresis import events


def column(*scores: float) -> np.ndarray:
    return np.array(scores, np.float32)[:, None]


def plain(
    scores: np.ndarray, hop: float, high: float, low: float, median: int, least: int, gap: int
) -> list[tuple[int, float, float, float]]:
    """Find the events by walking frame by frame; the lengths are in frames."""
    out = []
    count = len(scores)
    for index in range(scores.shape[1]):
        given_scores = [float(score) for score in scores[:, index]]
        half = median // 2
        mirrored = [mirror(place, count) for place in range(-half, count + half)]
        smooth = [
            statistics.median(given_scores[place] for place in mirrored[i : i + 2 * half + 1]) for i in range(count)
        ]
        found: list[list[int]] = []
        i = 0
        while i < count:
            if smooth[i] < low:
                i += 1
                continue
            end = i
            while end < count and smooth[end] >= low:
                end += 1
            if max(smooth[i:end]) >= high:
                if found and i - found[-1][1] <= gap:
                    found[-1][1] = end
                else:
                    found.append([i, end])
            i = end
        for start, end in found:
            if end - start >= least:
                out.append((index, start * hop, end * hop, statistics.fmean(given_scores[start:end])))
    return sorted(out, key=lambda event: (event[1], event[0]))


def mirror(place: int, count: int) -> int:
    place %= max(1, 2 * count)
    return place if place < count else 2 * count - 1 - place


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(st.integers(0, 30), st.integers(0, 4)).flatmap(
        # Few values, all exact in binary, so that scores often equal a threshold and runs are long.
        lambda shape: arrays.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.375, 0.5, 0.75, 1.0]))
    ),
    st.sampled_from([0.01, 0.1, 0.32]),
    st.sampled_from([(0.5, 0.25), (0.75, 0.75), (0.5, 0.0), (1.0, 0.375)]),
    st.sampled_from([1, 3, 5, 9, 41]),
    st.integers(0, 5),
    st.integers(0, 4),
)
def test_any_scores_give_the_events_that_a_plain_walk_finds(
    scores: np.ndarray, hop: float, thresholds: tuple[float, float], median: int, least: int, gap: int
) -> None:
    high, low = thresholds
    found = events(scores, hop, high, low, median * hop, least * hop, gap * hop)
    expected = plain(scores, hop, high, low, median, least, gap)
    assert [event[:3] for event in found] == [event[:3] for event in expected]
    assert [event[3] for event in found] == pytest.approx([event[3] for event in expected], abs=1e-9)


def test_an_event_reaches_high_and_lasts_on_both_sides_while_it_stays_at_low() -> None:
    scores = column(0.1, 0.3, 0.3, 0.8, 0.4, 0.3, 0.1, 0.4, 0.4)
    assert events(scores, 0.5, 0.8, 0.3, 0.0) == [(0, 0.5, 3.0, pytest.approx(0.42))]


def test_a_spike_that_is_shorter_than_half_the_median_is_no_event_even_at_the_ends() -> None:
    spikes = column(1, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    assert len(events(spikes, 0.1, 0.5, 0.5, 0.0)) == 3
    assert events(spikes, 0.1, 0.5, 0.5, 0.5) == []


def test_a_gap_is_closed_before_short_events_are_dropped() -> None:
    scores = column(0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0)
    found = events(scores, 0.1, 0.5, 0.5, 0.0, least_s=0.3, gap_s=0.1)
    assert found == [(0, 0.1, pytest.approx(0.6), pytest.approx(0.8))]


def test_seconds_that_are_whole_frames_are_whole_frames_in_spite_of_binary_fractions() -> None:
    three = column(0, 1, 1, 1, 0, 0, 0, 1, 0)
    assert 0.3 / 0.1 != 3.0
    assert [event[1:3] for event in events(three, 0.1, 0.5, 0.5, 0.0, least_s=0.3)] == [(0.1, pytest.approx(0.4))]
    assert len(events(three, 0.1, 0.5, 0.5, 0.0, gap_s=0.3)) == 1


def test_events_come_by_onset_and_then_by_class() -> None:
    scores = np.zeros((6, 3), np.float32)
    scores[0:2, 2] = scores[0:1, 1] = scores[3:4, 0] = scores[5:6, 2] = 1.0
    assert [(event[0], event[1]) for event in events(scores, 1.0, 0.5, 0.5, 0.0)] == [(1, 0), (2, 0), (0, 3), (2, 5)]


@pytest.mark.parametrize(("high", "low"), [(0.2, 0.5), (1.5, 0.5), (0.0, 0.0), (0.5, -0.1), (float("nan"), 0.1)])
def test_thresholds_that_make_no_sense_are_refused(high: float, low: float) -> None:
    with pytest.raises(ValueError, match="thresholds must keep 0 <= low <= high <= 1"):
        events(column(1.0), 0.1, high, low, 0.0)


def test_a_hop_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="hop_s must be above 0"):
        events(column(1.0), 0.0, 0.5, 0.2, 0.0)
