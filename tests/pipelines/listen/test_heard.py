"""What listeners name beside what publishers label: yes, no, and not known; folds of groups; who listens at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.stage import Batch, Context, Result, Stage, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.listen.heard import FOLDS, Heard, fold_of
from pipelines.listen.listeners import Listeners
from schemas import tables
from schemas.errors import UserError

BARK, DOG, ANIMAL, RAIN, MUSIC, POP = "/m/05tny_", "/m/0bt9lr", "/m/0jbk", "/m/06mb1", "/m/04rlf", "/m/064t9"
CONTEXT = Context(Workspace("unused"), ".", 0, 1)


def said(listener: str, *items: dict[str, Any], clip_id: str = "c") -> list[dict[str, Any]]:
    return [
        evidence_row(clip_id, listener, "1", number, **({"kind": "tag", "name": "x"} | item))
        for number, item in enumerate(items)
    ]


def heard(
    evidence: list[dict[str, Any]],
    groups: dict[str, tuple[str, str]] | None = None,
    dataset: str = "d",
    names: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    groups = groups or {"c": ("fs:1", "train")}
    clips = pa.table({"clip_id": list(groups), "dataset": [dataset] * len(groups)})
    rows = [{"clip_id": clip, "group_id": group, "split": split} for clip, (group, split) in groups.items()]
    sides = {
        "evidence": tables.from_rows("evidence", evidence),
        "groups": pa.Table.from_pylist(rows),
        "names": tables.from_rows("names", names or []),
    }
    result = Heard().process(Batch(clips, sides), CONTEXT)
    conserve(Heard(), list(groups), result)
    tables.from_rows("heard", result.rows)
    return result.rows


def labelled(evidence: list[dict[str, Any]], dataset: str = "d") -> dict[str, bool | None]:
    """Return what is said of the classes that the listener `ear` names."""
    return {row["class_id"]: row["labelled"] for row in heard(evidence, None, dataset) if row["listener"] == "ear"}


EARS = said("ear", *({"class_id": c, "confidence": 0.5} for c in (BARK, DOG, ANIMAL, RAIN, POP, MUSIC)))


@pytest.mark.parametrize(
    ("labels", "yes", "no", "open_"),
    [
        ((DOG,), {DOG, ANIMAL}, {RAIN, POP, MUSIC}, {BARK}),
        ((BARK,), {BARK, DOG, ANIMAL}, {RAIN, POP, MUSIC}, set()),
        ((ANIMAL, RAIN), {ANIMAL, RAIN}, {POP, MUSIC}, {DOG, BARK}),
        ((BARK, ANIMAL), {BARK, DOG, ANIMAL}, {RAIN, POP, MUSIC}, set()),
        # A heading lies between music and pop music: the label tells nothing of the one below it all the same.
        ((MUSIC,), {MUSIC}, {RAIN, ANIMAL, DOG, BARK}, {POP}),
    ],
)
def test_a_class_is_labelled_with_those_above_it_not_known_below_and_else_not(labels, yes, no, open_):
    found = labelled([*said("publisher", *({"class_id": c} for c in labels)), *EARS])
    assert {c for c, has in found.items() if has} == yes
    assert {c for c, has in found.items() if has is False} == no
    assert {c for c, has in found.items() if has is None} == open_


def test_a_clip_that_nobody_labels_or_with_a_label_without_a_class_denies_nothing():
    assert set(labelled(EARS).values()) == {None}
    keyword = said(
        "publisher", {"kind": "keyword", "name": "dog"}, {"kind": "caption", "name": "caption", "text": "Rain."}
    )
    assert set(labelled([*keyword, *EARS]).values()) == {None}
    partial = labelled([*said("publisher", {"class_id": BARK}, {"name": "Zorblatting"}), *EARS])
    assert {c for c, has in partial.items() if has} == {BARK, DOG, ANIMAL}
    assert {c for c, has in partial.items() if has is None} == {RAIN, POP, MUSIC}


def test_a_label_is_not_lost_where_a_listener_is_surer_than_the_match_of_its_name():
    label = said("publisher", {"name": "dog"})
    assert labelled([*label, *said("ear", {"class_id": DOG, "confidence": 1.0})], "esc50") == {DOG: True}


def test_a_label_counts_as_what_names_says_that_it_means():
    name = {"name_id": "d:koira", "dataset": "d", "name": "koira", "published_id": None, "clips": 1, "near": []}
    known = [name | {"class_ids": [DOG], "origin": "review", "confidence": 1.0}]
    rows = heard([*said("publisher", {"name": "koira"}), *EARS], names=known)
    assert {row["class_id"]: row["labelled"] for row in rows if row["listener"] == "ear"}[DOG] is True
    assert set(labelled([*said("publisher", {"name": "koira"}), *EARS]).values()) == {None}


def test_of_tags_and_events_the_highest_confidence_stands_and_none_stated_is_not_0():
    event = {"kind": "event", "onset_s": 0.0, "offset_s": 1.0}
    rows = heard(
        said(
            "ear",
            {"class_id": DOG, "confidence": 0.25},
            {"class_id": DOG, "confidence": 0.75} | event,
            {"class_id": DOG},
            {"class_id": RAIN},
            {"class_id": "/no/class", "confidence": 1.0},
            {"class_id": None, "confidence": 1.0},
            {"kind": "fact", "name": "lufs", "value": -20.0},
        )
    )
    assert [(row["listener"], row["class_id"], row["confidence"]) for row in rows] == [
        ("publisher", None, None), ("ear", RAIN, None), ("ear", DOG, 0.75)]  # fmt: skip


def test_every_clip_has_a_row_of_the_publisher_and_one_without_class_unless_all_of_its_labels_are_known():
    rows = heard(
        [
            *said("publisher", {"class_id": DOG}, {"class_id": BARK}, {"class_id": DOG}, clip_id="a"),
            *said("publisher", {"class_id": DOG}, {"name": "Zorblatting"}, clip_id="b"),
        ],
        {clip: (f"fs:{clip}", "train") for clip in "abc"},
    )
    assert [(row["clip_id"], row["class_id"], row["labelled"]) for row in rows] == [
        ("a", BARK, True), ("a", DOG, True), ("b", DOG, True), ("b", None, None), ("c", None, None)]  # fmt: skip


SPLITS = ("train", "val", "test", "eval", "extra")


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(SPLITS)), min_size=1, max_size=60))
def test_a_group_has_one_fold_and_a_clip_of_no_other_split_than_train_and_val_has_any(drawn):
    split_of = {f"fs:{number}": split for number, split in drawn}
    groups = {f"c{n}": (f"fs:{number}", split_of[f"fs:{number}"]) for n, (number, _) in enumerate(drawn)}
    folds: dict[str, set[int]] = {}
    for row in heard([], groups):
        group, split = groups[row["clip_id"]]
        assert (row["fold"] is None) == (split not in ("train", "val"))
        folds.setdefault(group, set()).add(row["fold"])
    assert all(len(found) == 1 for found in folds.values())


def test_folds_are_of_about_equal_size():
    counts = [sum(fold_of(f"fs:{n}") == fold for n in range(5000)) for fold in range(FOLDS)]
    assert max(abs(count - 1000) for count in counts) < 4 * (5000 * 0.2 * 0.8) ** 0.5


@dataclass(frozen=True)
class Says(Stage):
    """A stage that writes evidence under a name."""

    called: str

    writes = "evidence"

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.called

    def revisions(self) -> dict[str, str]:
        return {"model": "7"}

    def process(self, batch: Batch, context: Context) -> Result:
        raise AssertionError("nobody asks it")


def test_listeners_are_listed_by_the_name_that_they_have_in_the_evidence():
    stage = Listeners(tuple(map(Says, ("publisher", "listen_ear", "listen_ask_ear", "zero_shot_ear", "ask_many"))))
    rows = stage.process(Batch(tables.schema("listeners").empty_table(), {}), CONTEXT).rows
    tables.from_rows("listeners", rows)
    assert [(row["listener"], row["stage"]) for row in rows] == [
        ("publisher", "publisher"), ("ear", "listen_ear"), ("ask_ear", "listen_ask_ear"),
        ("zero_shot_ear", "zero_shot_ear"), ("many", "ask_many")]  # fmt: skip
    assert {row["revisions"] for row in rows} == {'{"model":"7"}'}
    assert stage.revisions() == {row["listener"]: row["revisions"] for row in rows}


def test_two_listeners_of_one_name_are_the_users_to_mend():
    with pytest.raises(UserError, match="2 listeners are named 'publisher' in the tables; give one another name"):
        Listeners((Says("publisher"), Says("listen_publisher"))).check()
