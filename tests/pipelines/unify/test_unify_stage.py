"""Unification: the state of a clip says what may be concluded from its classes, and unknown is a state."""

from __future__ import annotations

import pytest

from pipelines.listen.evidence import evidence_row
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables

DOG, RAIN, WHITE = "/m/0bt9lr", "/m/06mb1", "/m/0chx_"


def tag(name: str, class_id: str | None = None, number: int = 0, listener: str = "publisher", **more: object) -> dict:
    return evidence_row("c", listener, "1", number, kind="tag", name=name, class_id=class_id, **more)  # type: ignore[arg-type]


def unified(*evidence: dict, dataset: str = "d") -> tuple[str, dict[str | None, str]]:
    rows = classes_of("c", dataset, list(evidence), default_index())
    tables.from_rows("classes", rows)
    (state,) = {row["state"] for row in rows}
    return state, {row["class_id"]: row["origin"] for row in rows}


def test_labels_that_all_map_make_a_clip_labelled():
    assert unified(tag("Dog"), tag("x", RAIN)) == ("labelled", {DOG: "label:name", RAIN: "label:mid"})


def test_one_label_that_maps_to_nothing_makes_it_partial_and_is_kept_by_name():
    rows = classes_of("c", "d", [tag("Dog"), tag("Zorblatting")], default_index())
    assert [(row["class_id"], row["class_name"], row["state"]) for row in rows] == [
        (DOG, "Dog", "partial"), (None, "Zorblatting", "partial")]  # fmt: skip


def test_a_datasets_own_table_goes_before_the_general_names():
    assert unified(tag("crackling_fire"), dataset="esc50")[0] == "labelled"
    assert unified(tag("crackling_fire"), dataset="esc50")[1] != {None: "none"}


@pytest.mark.parametrize(("evidence", "origin"), [
    (evidence_row("c", "publisher", "1", 0, kind="keyword", name="rain"), "keyword:"),
    (evidence_row("c", "publisher", "1", 0, kind="caption", name="caption", text="Rain falls on a roof."), "caption:"),
    (tag("White noise", WHITE, listener="signal", confidence=0.9), "signal"),
])  # fmt: skip
def test_words_and_listeners_alone_make_it_inferred(evidence, origin):
    state, classes = unified(evidence)
    assert state == "inferred"
    assert any(found.startswith(origin) for found in classes.values())


def test_a_denied_sound_is_no_class():
    assert unified(
        evidence_row("c", "publisher", "1", 0, kind="caption", name="caption", text="There is no rain.")
    ) == ("unknown", {None: "none"})


def test_a_clip_of_which_nothing_is_known_has_one_row_that_says_so():
    assert unified() == ("unknown", {None: "none"})


def test_what_a_listener_hears_in_a_labelled_clip_counts_as_present_and_leaves_it_labelled():
    state, classes = unified(tag("Dog"), tag("White noise", WHITE, 0, "signal", confidence=0.9))
    assert (state, set(classes)) == ("labelled", {DOG, WHITE})


def named(name: str, origin: str, *class_ids: str) -> dict[str, list[dict]]:
    """Return what `names` says of one name of dataset `d`."""
    sure = None if origin == "none" else 0.9
    return {f"d:{name}": [{"class_ids": list(class_ids), "origin": origin, "confidence": sure}]}


def with_names(names: dict[str, list[dict]], *evidence: dict) -> tuple[str, dict[str | None, str]]:
    rows = classes_of("c", "d", list(evidence), default_index(), names)
    tables.from_rows("classes", rows)
    (state,) = {row["state"] for row in rows}
    return state, {row["class_id"]: row["origin"] for row in rows}


def test_what_names_says_of_a_label_goes_before_the_tables():
    assert with_names(named("Dog", "review", RAIN, WHITE), tag("Dog")) == (
        "labelled", {RAIN: "label:review", WHITE: "label:review"})  # fmt: skip
    assert with_names(named("koira", "embedding", DOG), tag("koira")) == ("labelled", {DOG: "label:embedding"})
    assert with_names(named("outo", "none"), tag("outo")) == ("partial", {None: "none"})


def test_the_id_beside_this_very_label_goes_before_its_names_meaning_but_not_before_a_person():
    assert with_names(named("x", "mid", DOG), tag("x", RAIN)) == ("labelled", {RAIN: "label:mid"})
    assert with_names(named("x", "review", DOG), tag("x", RAIN)) == ("labelled", {DOG: "label:review"})


def test_a_label_that_names_no_sound_is_as_if_it_were_not_there():
    assert with_names(named("kaunis", "no_sound"), tag("kaunis")) == ("unknown", {None: "none"})
    assert with_names(named("kaunis", "no_sound"), tag("kaunis"), tag("Dog")) == ("labelled", {DOG: "label:name"})


def test_words_that_nearly_say_it_and_what_a_model_reads_out_of_captions_are_inferred_and_say_so():
    caption = evidence_row("c", "publisher", "1", 0, kind="caption", name="caption", text="A mutt in the rain.")
    rows = classes_of("c", "d", [caption], default_index(), {}, {"mutt": DOG}.get, [{"class_id": WHITE}])
    tables.from_rows("classes", rows)
    assert {(row["class_id"], row["origin"], row["state"]) for row in rows} == {
        (DOG, "caption:embedding", "inferred"), (RAIN, "caption:alias", "inferred"),
        (WHITE, "caption:extract_tags", "inferred")}  # fmt: skip


def test_a_class_that_several_name_stands_once_with_the_most_confident_origin():
    keyword = evidence_row("c", "publisher", "1", 1, kind="keyword", name="dog")
    assert unified(keyword, tag("x", DOG)) == ("labelled", {DOG: "label:mid"})
