"""What a tagger is said to achieve is what one counts by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
from caption_worlds import NOISE, POLICE, RATE, SINE, SIREN

import trainers.tagger.judge
from schemas.errors import UserError
from schemas.ontology import default_ontology
from taggers.base import Finding, Waveform
from taggers.crnn_shape import Shape
from trainers.clips.shards import Clip, Event
from trainers.tagger.judge import Heard, _crossed, _labels, _order, _tags, judge
from trainers.tagger.targets import target

CLASSES = (SINE, NOISE, SIREN, POLICE)
Timed = tuple[str, float, float]


def event(class_id: str, onset_s: float, offset_s: float) -> Finding:
    name = default_ontology()[class_id].name
    return Finding("event", name, class_id=class_id, onset_s=onset_s, offset_s=offset_s, confidence=0.9)


def clip_of(key: str, labels: Sequence[str] | None, events: Sequence[Timed]) -> Clip:
    timed = tuple(Event(*each) for each in events) or None
    return Clip(key, RATE, ("x",), None if labels is None else tuple(labels), timed, {})


class Keyed(list[NDArray[np.float32]]):
    """Clips of four seconds whose first sample tells their key."""

    def __init__(self, told: Sequence[Clip]) -> None:
        super().__init__(np.eye(1, 4 * RATE, dtype=np.float32)[0] * (ord(clip.key) / 256) for clip in told)
        self.told = tuple(told)


def said(tags: Sequence[str], events: Sequence[Timed]) -> list[Finding]:
    named = [Finding("tag", default_ontology()[tag].name, class_id=tag, confidence=0.9) for tag in tags]
    return [*named, *(event(*each) for each in events)]


def heard(
    labels: Sequence[str], events: Sequence[Timed] = (), tags: Sequence[str] = (), heard: Sequence[Timed] = ()
) -> Heard:
    clip = clip_of("x", labels, events)
    return Heard(clip, target(clip, CLASSES, 100, 0.04), np.zeros(len(CLASSES), np.float32), said(tags, heard))


@pytest.mark.parametrize(
    ("events", "found", "order"),
    [
        ([(SINE, 0, 1), (NOISE, 1, 2)], [(SINE, 0.1, 1), (NOISE, 1.1, 2)], 1),
        ([(NOISE, 1, 2), (SINE, 0, 1)], [(SINE, 0.1, 1), (NOISE, 1.1, 2)], 1),  # however they are listed
        ([(SINE, 0, 1), (NOISE, 1, 2)], [(NOISE, 0, 1), (SINE, 1, 2)], 0),
        ([(SINE, 0, 1), (NOISE, 1, 2)], [(NOISE, 1, 2), (SINE, 1, 2)], 0),  # at once is not first
        (
            [(SINE, 0, 1), (NOISE, 1, 2)],
            [(SINE, 1.5, 2), (NOISE, 1, 2), (SINE, 0, 0.5)],
            1,
        ),  # the earliest of each counts
        ([(SINE, 0, 1), (NOISE, 1, 2)], [(SINE, 0, 1)], -1),
        ([(SINE, 0, 1), (NOISE, 1, 2)], [(NOISE, 0, 1)], -1),
        ([(SIREN, 0, 1), (NOISE, 1, 2)], [(POLICE, 0, 1), (NOISE, 1, 2)], 1),  # a police car's siren is a siren,
        ([(POLICE, 0, 1), (NOISE, 1, 2)], [(SIREN, 0, 1), (NOISE, 1, 2)], -1),  # and not every siren a police car's
        ([(SINE, 0, 1), (NOISE, 0.2, 2)], [(SINE, 0, 1), (NOISE, 0.2, 2)], 1),
        ([(SINE, 0, 1), (NOISE, 0.19, 2)], [(SINE, 0, 1), (NOISE, 0.19, 2)], None),
        ([(SIREN, 0, 1), (POLICE, 1, 2)], [(SIREN, 0, 1), (POLICE, 1, 2)], None),  # one is a kind of the other
        ([(SINE, 0, 1)], [(SINE, 0, 1)], None),
        ([(SINE, 0, 1), (NOISE, 1, 2), (SINE, 2, 3)], [(SINE, 0, 1), (NOISE, 1, 2)], None),
    ],
)
def test_an_order_is_right_wrong_unheard_or_not_asked_for(
    events: list[Timed], found: list[Timed], order: int | None
) -> None:
    assert _order(heard(sorted({each[0] for each in events}), events, heard=found)) == order


@pytest.mark.parametrize(
    ("labels", "tags", "found", "wanted"),
    [
        ([SINE], [SINE], 1, 1),
        ([SINE], [NOISE], 0, 1),
        ([SINE, NOISE], [NOISE], 1, 2),
        ([SIREN], [POLICE], 1, 1),  # tagged as one of its kinds
        ([SIREN, POLICE], [SIREN], 0, 1),  # the most specific label alone is asked for
        ([SIREN, POLICE], [POLICE], 1, 1),
        ([SINE, "/m/09x0r"], [SINE], 1, 1),  # speech is none of its classes
        ([SINE], [], 0, 1),
    ],
)
def test_a_label_is_found_by_itself_or_by_one_of_its_kinds(
    labels: list[str], tags: list[str], found: int, wanted: int
) -> None:
    assert _labels(heard(labels, tags=tags), CLASSES) == (found, wanted)


def test_a_tag_is_right_wrong_or_not_known() -> None:
    # Of what is labelled a siren it is not known whether it is a police car's; that it is no sine is.
    assert _tags(heard([SIREN], tags=[SIREN, POLICE, SINE]), CLASSES) == (1, 2)
    assert _tags(heard([POLICE], tags=[SIREN, POLICE]), CLASSES) == (2, 2)
    assert _tags(heard([SINE], tags=[]), CLASSES) == (0, 0)


def test_by_chance_is_each_clips_truth_against_what_is_heard_in_the_next() -> None:
    first = heard([SINE], [(SINE, 0, 1)], heard=[(NOISE, 0, 1)])
    second = heard([NOISE], [(NOISE, 0, 1)], heard=[(SINE, 0, 1)])
    third = heard([SIREN], [(SIREN, 0, 1)], heard=[])
    crossed = _crossed([first, second, third])
    assert [sum(each.right for each in counts.values()) for counts in crossed] == [1, 0, 0]
    assert [sum(each.estimated for each in counts.values()) for counts in crossed] == [1, 0, 1]


@dataclass
class Scripted:
    """A tagger of two classes that says what it is told to, by the clip's key."""

    folder: Path
    shape = Shape((SINE, NOISE))
    script = {
        "A": ([0.90, 0.10], said([SINE], [(SINE, 0, 1)])),
        "B": ([0.80, 0.70], said([SINE, NOISE], [(SINE, 0, 1)])),
        "C": ([0.50, 0.60], said([NOISE], [(NOISE, 1, 2)])),
        "D": ([0.95, 0.05], said([], [(SINE, 2, 3)])),
        "E": ([0.90, 0.90], said([SINE, NOISE], [(NOISE, 0, 1), (SINE, 1, 2)])),
        "F": ([0.90, 0.90], said([SINE, NOISE], [(NOISE, 0, 1), (SINE, 1, 2)])),
    }

    def load(self, device: str) -> None:
        assert device == "cpu"

    def scores(self, batch: Sequence[Waveform]) -> list[Any]:
        (waveform,) = batch
        self.key = chr(round(float(waveform.samples[0]) * 256))
        return [np.tile(np.array(self.script[self.key][0], np.float32), (101, 1))]

    def findings(self, scores: Any, duration_s: float) -> list[Finding]:
        assert duration_s == 4.0
        return self.script[self.key][1]


TRUTH = {
    "A": ([SINE], [(SINE, 0, 1)]),
    "B": ([NOISE], [(NOISE, 0, 1)]),
    "C": ([SINE, NOISE], [(SINE, 0, 1), (NOISE, 1, 2)]),
    "D": ([SINE], [(SINE, 0.5, 1.5)]),
    "E": ([SINE, NOISE], [(NOISE, 0, 1), (SINE, 1, 2)]),
    "F": ([SINE, NOISE], [(SINE, 0, 1), (NOISE, 1, 2)]),
}


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function from clips to what is measured on them."""
    monkeypatch.setattr(trainers.tagger.judge, "DemoTagger", Scripted)
    return lambda keys: judge(Path("nowhere"), Keyed([clip_of(key, *TRUTH[key]) for key in keys]))


def test_every_measure_is_what_one_counts_by_hand(judged: Any) -> None:
    found = judged("ABCD")
    value = {name: row["value"] for name, row in found.items()}
    chance = {name: row["chance"] for name, row in found.items()}
    count = {name: row["n"] for name, row in found.items()}
    # Sine: by score D+, A+, B-, C+, so (1 + 1 + 3/4) / 3; noise: B+, C+ lead.
    assert value["tag_map"] == pytest.approx((11 / 12 + 1) / 2)
    assert chance["tag_map"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert value["tag_precision"] == pytest.approx(3 / 4)  # B is no sine
    assert value["tag_recall"] == pytest.approx(3 / 5)  # C's sine and D's are not tagged
    # A's sine and C's noise, of 5 events there are and 4 that are heard.
    assert value["event_f1"] == pytest.approx(2 * 2 / (5 + 4))
    assert value["event_f1_macro"] == pytest.approx((2 * 1 / (3 + 3) + 2 * 1 / (2 + 1)) / 2)
    # A's sine is where B's is heard; nothing else agrees.
    assert chance["event_f1"] == pytest.approx(2 * 1 / (5 + 4))
    assert chance["event_f1_macro"] == pytest.approx((2 * 1 / (3 + 3) + 0) / 2)
    assert (value["order"], count["order"]) == (0.0, 1)  # C holds two, of which one is heard
    assert (value["order_where_both_heard"], count["order_where_both_heard"]) == (None, 0)
    assert {name: count[name] for name in ("tag_map", "tag_recall", "event_f1")} == {
        "tag_map": 4, "tag_recall": 4, "event_f1": 4,
    }  # fmt: skip


def test_an_order_that_is_not_heard_counts_as_wrong_in_one_measure_and_not_in_the_other(judged: Any) -> None:
    found = judged("CEF")
    assert (found["order"]["value"], found["order"]["n"], found["order"]["chance"]) == (pytest.approx(1 / 3), 3, 0.5)
    both = found["order_where_both_heard"]
    assert (both["value"], both["n"], both["chance"]) == (0.5, 2, 0.5)


def test_a_clip_counts_for_the_classes_alone_of_which_it_is_known_whether_it_holds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Sirens(Scripted):
        shape = Shape((SIREN, POLICE))
        script = {"A": ([0.9, 0.9], []), "B": ([0.8, 0.8], []), "C": ([0.1, 0.1], [])}

    monkeypatch.setattr(trainers.tagger.judge, "DemoTagger", Sirens)
    labels = {"A": [SIREN], "B": [POLICE], "C": [SINE]}
    found = judge(Path("nowhere"), Keyed([clip_of(key, own, []) for key, own in labels.items()]))["tag_map"]
    # Whose siren A is, nobody says: of police cars there is one in two, and it is found first; of sirens two in three.
    assert found["chance"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["value"] == 1.0


def test_clips_without_labels_are_not_measured_on(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUTH, "Z", (None, []))  # type: ignore[misc]
    assert judged("AZB") == judged("AB")
    with pytest.raises(UserError, match="no clip to judge on has publishers' labels"):
        judged("Z")
