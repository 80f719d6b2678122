"""The windows of a long waveform cover all of it and nothing beyond."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taggers.windows import starts

RATE = 48000


@pytest.mark.parametrize(
    ("duration_s", "window_s", "hop_s", "expected"),
    [
        (10.0, 10.0, 1.0, [0.0]),
        (3.0, 10.0, 1.0, [0.0]),
        (12.0, 10.0, 1.0, [0.0, 1.0, 2.0]),
        (12.5, 10.0, 1.0, [0.0, 1.0, 2.0, 2.5]),
        (25.0, 10.0, 10.0, [0.0, 10.0, 15.0]),
        (0.4, 0.1, 0.1, [0.0, 0.1, 0.2, 0.3]),  # 0.1 has no exact binary form
        (10.0000001, 10.0, 1.0, [0.0]),
        (31.0, 1.0, 10.0, [0.0, 10.0, 20.0, 30.0]),  # a hop that is longer than the window leaves gaps, as it was asked
    ],
)
def test_windows_are_where_they_are_expected(
    duration_s: float, window_s: float, hop_s: float, expected: list[float]
) -> None:
    assert starts(duration_s, window_s, hop_s) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(
    samples=st.integers(1, 60 * RATE),
    window=st.integers(1, 20 * RATE),
    hop=st.integers(RATE // 20, 10 * RATE),
)
def test_windows_cover_the_waveform_to_the_sample(samples: int, window: int, hop: int) -> None:
    begins = [round(start * RATE) for start in starts(samples / RATE, window / RATE, hop / RATE)]
    assert begins[0] == 0
    steps = [after - before for before, after in pairwise(begins)]
    assert all(0 < step <= hop for step in steps)
    assert all(step == hop for step in steps[:-1])
    if samples > window:
        assert begins[-1] + window == samples
    else:
        assert begins == [0]


@settings(deadline=None)
@given(
    duration_s=st.floats(0.01, 600.0),
    window_s=st.floats(0.01, 60.0),
    hop_s=st.floats(0.05, 60.0),
)
def test_windows_of_any_lengths_keep_within_a_microsecond_of_the_waveform(
    duration_s: float, window_s: float, hop_s: float
) -> None:
    found = starts(duration_s, window_s, hop_s)
    assert found[0] == 0.0
    assert found == sorted(set(found))
    if duration_s > window_s:
        assert found[-1] + window_s == pytest.approx(duration_s, abs=1.1e-6)
