"""What a name means: each name once, by the first rule that applies, and how it is known stands beside it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.unify.names_stage import CATEGORISED, Names
from schemas import tables
from schemas.errors import UserError
from taggers.sentences import PACKAGE

DOG, CAT, RAIN, CHIRP, BICYCLE = "/m/0bt9lr", "/m/01yrx", "/m/06mb1", "/m/07pggtn", "/m/0199g"
needs_text = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="the extra `text` is not installed")


def name(words: str, dataset: str = "d", adapter: str = "folder", published_id: str | None = None) -> dict[str, Any]:
    return {
        "name_id": f"{dataset}:{words}",
        "dataset": dataset,
        "adapter": adapter,
        "name": words,
        "published_id": published_id,
        "clips": 3,
    }


def said(words: str, *class_ids: str) -> dict[str, Any]:
    told = {"answer": "x", "model": "m", "prompt_hash": "p", "request": "r"}
    return {"name_id": f"d:{words}", "class_ids": list(class_ids)} | told


def names(
    stage: Names, rows: list[dict[str, Any]], told: tuple[dict[str, Any], ...] = (), root: str = "."
) -> dict[str, Any]:
    batch = Batch(tables.from_rows("vocabulary", rows), {"categories": tables.from_rows("categories", list(told))})
    result = stage.process(batch, Context(Workspace("unused"), root, 0, 1))
    conserve(stage, [row["name_id"] for row in rows], result)
    tables.from_rows("names", result.rows)
    return {row["name_id"]: (row["class_ids"], row["origin"], row["confidence"]) for row in result.rows}


def test_each_rule_in_its_order_and_unknown_is_a_state():
    rows = [name("Dog"), name("dogs barking"), name("bleep"), name("zork"), name("x", published_id=RAIN)]
    found = names(Names(), rows)
    assert {key: origin for key, (_, origin, _) in found.items()} == {
        "d:Dog": "name", "d:dogs barking": "alias", "d:bleep": "part", "d:zork": "none", "d:x": "mid"}  # fmt: skip
    assert found["d:zork"] == ([], "none", None)


def test_a_datasets_table_is_found_by_its_name_or_else_by_its_adapters():
    rows = [name("chirping_birds", "mine", "esc50"), name("chirping_birds", "esc50"), name("chirping_birds", "other")]
    assert {key: ids for key, (ids, _, _) in names(Names(), rows).items()} == {
        "mine:chirping_birds": [CHIRP], "esc50:chirping_birds": [CHIRP], "other:chirping_birds": []}  # fmt: skip


def test_an_id_that_the_ontology_lacks_leaves_the_name_to_the_rules():
    assert names(Names(), [name("Dog", published_id="/m/elsewhere")])["d:Dog"][:2] == ([DOG], "name")


def test_a_person_wins_over_everything_and_may_say_that_a_name_is_no_sound(tmp_path):
    (tmp_path / "r.csv").write_text("dataset,name,classes\nd,Dog,Cat; Rain\nd,x,no sound\nd,later,\n")
    rows = [name("Dog", published_id=DOG), name("x", published_id=RAIN), name("Dog", "e"), name("later")]
    assert names(Names(review="r.csv"), rows, root=str(tmp_path)) == {
        "d:Dog": ([CAT, RAIN], "review", 1.0),
        "d:x": ([], "no_sound", 1.0),
        "e:Dog": ([DOG], "name", 0.98),
        "d:later": ([], "none", None),
    }


def test_a_model_is_believed_of_what_nothing_else_knows_and_of_nothing_else():
    told = (said("zork", RAIN, DOG), said("Dog", CAT), said("kaunis"))
    assert names(Names(asked=True), [name("zork"), name("Dog"), name("kaunis"), name("outo")], told) == {
        "d:zork": ([RAIN, DOG], "categorise", CATEGORISED),
        "d:Dog": ([DOG], "name", 0.98),
        "d:kaunis": ([], "no_sound", CATEGORISED),
        "d:outo": ([], "none", None),
    }


@needs_text
def test_the_nearest_name_is_taken_from_the_threshold_on_and_told_below_it():
    found = names(Names(embeddings=0.85), [name("pedal_bicycles"), name("a quarrel of lawyers"), name("Dog")])
    assert found["d:pedal_bicycles"][:2] == ([BICYCLE], "embedding")
    assert found["d:a quarrel of lawyers"] == ([], "none", None)
    rows = [name("a quarrel of lawyers"), name("Dog")]
    batch = Batch(tables.from_rows("vocabulary", rows), {})
    result = Names(embeddings=0.85).process(batch, Context(Workspace("unused"), ".", 0, 1))
    near = {row["name"]: row["near"] for row in result.rows}
    scores = [close["score"] for close in near["a quarrel of lawyers"]]
    assert len({close["class_id"] for close in near["a quarrel of lawyers"]}) == len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert near["Dog"] == []


def test_a_review_that_cannot_be_read_stops_the_run_before_it_begins(tmp_path):
    with pytest.raises(UserError, match=r"unify.review: gone.csv cannot be read"):
        Names(review="gone.csv").sources(Context(Workspace("unused"), str(tmp_path), 0, 1))


def test_names_that_no_model_is_asked_about_need_none():
    assert (Names().reads, Names(asked=True).reads) == (("vocabulary",), ("vocabulary", "categories"))
    assert Names().sources(Context(Workspace("unused"), ".", 0, 1)) == ""
