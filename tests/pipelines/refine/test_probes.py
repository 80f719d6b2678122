"""Probes: true captions of clips that may teach, and the same made wrong; each wrong one is wrong of its clip."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from refine_rows import clip_row, group_row

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.refine.claims import orders, sources
from pipelines.refine.corruptions import absent
from pipelines.refine.probes import Probes
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables

INDEX = default_index()
STAGE = Probes("prompts/grammar.yaml")
SOUNDS = ("Bark", "Siren", "Rain", "Violin, fiddle", "Applause", "Helicopter", "Typing", "Church bell")


def caption(text: str) -> dict[str, Any]:
    return {"kind": "caption", "name": "caption", "text": text}


def tag(name: str, listener: str = "publisher") -> dict[str, Any]:
    known = INDEX.lookup(name)
    return {"kind": "tag", "name": name, "listener": listener, "class_id": known.class_id if known else None}


def event(name: str, onset_s: float, offset_s: float) -> dict[str, Any]:
    return {"kind": "event", "name": name, "onset_s": onset_s, "offset_s": offset_s}


def labelled() -> dict[str, list[dict[str, Any]]]:
    return {f"d-{n}": [tag(name)] for n, name in enumerate(SOUNDS)}


def serve(
    clips: dict[str, list[dict[str, Any]]],
    groups: dict[str, dict[str, Any]] | None = None,
    seed: int = 3,
    rows: int = 256,
) -> Result:
    """Return what the stage makes of clips with such evidence, all of the split train unless said otherwise."""
    said = {
        clip_id: [
            evidence_row(clip_id, item.pop("listener", "publisher"), "1", n, **item)
            for n, item in enumerate(map(dict, items))
        ]
        for clip_id, items in clips.items()
    }
    known = [row for clip_id, items in said.items() for row in classes_of(clip_id, "d", items, INDEX)]
    record = {"dataset": "d", "split": "train", "source_path": "a.wav", "file_bytes": 1, "labels": [], "events": [],
              "keywords": [], "captions": [], "licence": "cc0"}  # fmt: skip
    sides = {
        "groups": [group_row(clip_id) | {"split": "train"} | (groups or {}).get(clip_id, {}) for clip_id in clips],
        "records": [record | {"record_id": clip_id} for clip_id in clips],
        "evidence": [row for items in said.values() for row in items],
        "classes": known,
    }
    primary = tables.from_rows("clips", [clip_row(clip_id) for clip_id in clips])
    whole = Batch(primary, {name: tables.from_rows(name, each) for name, each in sides.items()})
    result = Result()
    for piece in whole.slices(rows):
        result.extend(STAGE.process(piece, Context(Workspace("unused"), ".", seed, 1)))
    conserve(STAGE, list(clips), result)
    tables.from_rows("probes", result.rows)
    return result


def by_kind(result: Result, clip_id: str) -> dict[str, str]:
    return {row["kind"]: row["text"] for row in result.rows if row["clip_id"] == clip_id}


def test_every_labelled_clip_gets_a_true_caption_and_three_wrong_ones_that_name_what_is_not_there():
    result = serve(labelled())
    assert Counter(row["kind"] for row in result.rows) == {"true": 8, "shuffled": 8, "swapped": 8, "added": 8}
    for n, name in enumerate(SOUNDS):
        own, texts = {INDEX.lookup(name).class_id}, by_kind(result, f"d-{n}")
        said = {kind: {each.class_id for each in sources(text, INDEX)} for kind, text in texts.items()}
        assert not any(absent(each, own, INDEX.ontology) for each in said["true"])
        for kind in ("shuffled", "swapped", "added"):
            assert any(absent(each, own, INDEX.ontology) for each in said[kind]), texts
        assert texts["added"].startswith(texts["true"].rstrip("."))
    assert {row["method"] for row in result.rows} == {"grammar"}
    assert all(row["evidence_ids"] == [f"{row['clip_id']}:publisher:0"] for row in result.rows)


def test_a_published_caption_is_the_true_one_and_all_kinds_are_judged_as_its_copy():
    clips = labelled() | {"d-9": [tag("Gunshot, gunfire"), caption("Shots ring out."), caption("A gun fires.")]}
    rows = [row for row in serve(clips).rows if row["clip_id"] == "d-9"]
    assert {row["method"] for row in rows} == {"published"}
    assert len({tuple(row["evidence_ids"]) for row in rows}) == 1
    assert by_kind(Result(rows), "d-9")["true"] in ("Shots ring out.", "A gun fires.")


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ({"split": "test"}, "split_test"),
        ({"split": "dev"}, "split_dev"),
        ({"withheld": "leaks_into_val", "split": "val"}, "leaks_into_val"),
    ],
)
def test_clips_that_may_not_teach_are_left_out_and_lend_no_words(group, reason):
    clips = labelled() | {"d-9": [caption("A cow moos at night.")]}
    result = serve(clips, {"d-9": group})
    assert result.drops == [("d-9", reason)]
    assert not any("cow" in row["text"].lower() for row in result.rows)


def test_a_clip_of_which_not_all_is_known_has_no_true_caption():
    clips = labelled() | {"d-9": [], "d-10": [tag("no class of this name"), tag("Bark")], "d-11": [tag("Bark", "ear")]}
    assert serve(clips).drops == [(clip_id, "no_true_caption") for clip_id in ("d-9", "d-10", "d-11")]


def test_what_a_listener_hears_is_not_taken_for_absent():
    """Every sound that other clips could lend is heard by somebody: nothing is surely wrong."""
    clips = labelled() | {"d-9": [tag("Gunshot, gunfire"), *(tag(name, "ear") for name in SOUNDS)]}
    assert set(by_kind(serve(clips), "d-9")) == {"true"}


def test_clips_of_one_group_lend_each_other_nothing():
    groups = {f"d-{n}": {"group_id": "one"} for n in range(8)}
    assert {row["kind"] for row in serve(labelled(), groups).rows} == {"true"}


def test_an_order_is_turned_round_only_where_the_publisher_times_it():
    timed = [event("Siren", 0.0, 3.0), event("Bark", 4.0, 5.0)]
    told = by_kind(serve(labelled() | {"d-9": timed}), "d-9")
    (true,), (wrong,) = (orders(told[kind], sources(told[kind], INDEX)) for kind in ("true", "reversed"))
    assert (true.first, true.second) == (wrong.second, wrong.first)
    said = caption("A siren wails, then a dog barks.")
    assert "reversed" in by_kind(serve(labelled() | {"d-9": [*timed, said]}), "d-9")
    assert "reversed" not in by_kind(serve(labelled() | {"d-9": [said]}), "d-9")
    wrong_already = caption("A dog barks, then a siren wails.")
    assert "reversed" not in by_kind(serve(labelled() | {"d-9": [*timed, wrong_already]}), "d-9")


def test_rows_depend_on_seed_and_clip_and_not_on_what_is_served_together():
    assert serve(labelled()).rows == serve(labelled(), rows=1).rows
    assert serve(labelled()).rows != serve(labelled(), seed=4).rows
