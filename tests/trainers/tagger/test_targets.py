"""What labels teach: what they name, what that is a kind of, and what they leave open."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
from caption_worlds import NOISE, POLICE, SINE, SIREN

from trainers.clips.shards import Clip, Event
from trainers.tagger.targets import Target, classes_of, target

ALARM = "/m/07pp_mv"
CLASSES = (SINE, NOISE, SIREN, POLICE)


def truth(labels: tuple[str, ...], events: tuple[Event, ...] | None = None) -> Target:
    clip = Clip("a", 16000, (), labels, events, {})
    return target(clip, CLASSES, 50, 0.04)


def test_what_is_not_labelled_is_absent() -> None:
    found = truth((SINE,))
    assert found.holds.tolist() == [True, False, False, False]
    assert found.known.all()
    assert found.frames is None
    assert not found.timed.any()


def test_a_label_holds_for_what_it_is_a_kind_of() -> None:
    assert truth((POLICE,)).holds.tolist() == [False, False, True, True]


def test_a_label_leaves_open_which_of_its_kinds_it_is() -> None:
    assert truth((SIREN,)).known.tolist() == [True, True, True, False]
    assert truth((ALARM,)).known.tolist() == [True, True, False, False]
    assert truth((SIREN, POLICE)).known.all()  # ancestors stand beside the label, as in FSD50K


def test_frames_are_those_of_the_timed_labels_and_of_what_these_are_kinds_of() -> None:
    found = truth((POLICE, SINE), (Event(POLICE, 0.4, 0.8), Event(SINE, 0.0, 9.0)))
    assert found.frames is not None
    np.testing.assert_array_equal(np.flatnonzero(found.frames[:, 3]), np.arange(10, 20))
    np.testing.assert_array_equal(found.frames[:, 2], found.frames[:, 3])
    assert found.frames[:, 0].all()
    assert not found.frames[:, 1].any()
    assert found.timed.all()


def test_an_event_shorter_than_a_frame_is_one_frame_also_at_the_end() -> None:
    found = truth((SINE,), (Event(SINE, 1.0, 1.001), Event(SINE, 1.999, 2.0)))
    assert found.frames is not None
    np.testing.assert_array_equal(np.flatnonzero(found.frames[:, 0]), [25, 49])


def test_a_label_that_is_not_timed_is_unknown_in_time() -> None:
    found = truth((SINE, NOISE), (Event(SINE, 0.0, 1.0),))
    assert found.timed.tolist() == [True, False, True, True]


def test_the_classes_are_those_with_clips_enough() -> None:
    assert classes_of([(SINE,)] * 3 + [(NOISE,)] * 2, 3) == (SINE,)
    assert classes_of([(SINE,)] * 3 + [(NOISE,)] * 2, 1) == tuple(sorted((SINE, NOISE)))
    assert classes_of([], 1) == ()


def test_a_label_beside_one_of_its_kinds_is_none_of_its_own() -> None:
    assert classes_of([(POLICE, SIREN, ALARM)] * 5, 1) == (POLICE,)


def test_a_heading_that_most_clips_name_more_closely_is_left_out() -> None:
    assert classes_of([(SIREN,)] * 3 + [(POLICE,)] * 2, 1) == tuple(sorted((SIREN, POLICE)))
    assert classes_of([(SIREN,)] * 2 + [(POLICE,)] * 4, 1) == tuple(sorted((SIREN, POLICE)))
    assert classes_of([(SIREN,)] * 2 + [(POLICE,)] * 5, 1) == (POLICE,)
    assert classes_of([(ALARM,)] * 2 + [(SIREN,)] * 3 + [(POLICE,)] * 2, 1) == tuple(sorted((SIREN, POLICE)))
