"""Which clips may be mixed: each served or dropped with its reason, and what sounds in it from labels, words and listeners."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from asked_clips import serve
from refine_rows import clip_row, group_row

from pipelines.core.stage import Batch, Context, Result
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.mix.sources import Sources
from schemas import tables
from schemas.errors import UserError
from schemas.ontology import SILENCE, default_ontology

ONTOLOGY = default_ontology()
IDS = {node.name: node.class_id for node in reversed(ONTOLOGY.classes)}
DOG, BARK, RAIN, SPEECH, MUSIC, POP = (IDS[name] for name in ("Dog", "Bark", "Rain", "Speech", "Music", "Pop music"))
PHRASES = "prompts/grammar.yaml"
SURE = [("ear", None, 0.5), ("ear", RAIN, 0.9)]
"""Listener, class (None: all), and the confidence that is worth 0.5."""


def known(
    clip_id: str, class_ids: Sequence[str | None], state: str = "labelled", origin: str = "label:mid"
) -> list[dict]:
    return [
        {
            "clip_id": clip_id,
            "class_id": c,
            "class_name": ONTOLOGY[c].name if c else None,
            "origin": origin if c else "none",
            "confidence": 1.0 if c else None,
            "state": state,
        }
        for c in class_ids
    ]


def caption(clip_id: str, text: str | None = None, method: str = "published", decision: str = "accepted") -> dict:
    empty = dict.fromkeys(tables.schema("captions").names)
    said = {"clip_id": clip_id, "dataset": "toy", "split": "train", "caption": text, "method": method}
    return empty | said | {"decision": decision, "reasons": [], "licence": "cc0"}


def heard(clip_id: str, listener: str, class_id: str | None) -> dict:
    return {
        "clip_id": clip_id, "listener": listener, "class_id": class_id, "confidence": None, "labelled": None, "fold": None,
    }  # fmt: skip


def calibration(listener: str, class_id: str | None, half: float) -> dict:
    empty = dict.fromkeys(tables.schema("calibrations").names)
    curve = {"method": "isotonic", "confidences": [0.0, 2 * half], "probabilities": [0.0, 1.0], "reliability": []}
    stated = {"listener": listener, "class_id": class_id, "revisions": "{}", "positives": 99, "negatives": 99}
    return empty | stated | curve


def said(clip_id: str, *items: dict[str, Any]) -> list[dict]:
    """Return rows of evidence of one clip; the publisher's where no listener is named."""
    rows = []
    for n, item in enumerate(items):
        stated = {"listener": "publisher", "kind": "tag", "name": "x"} | item
        rows.append(evidence_row(clip_id, stated.pop("listener"), "1", n, **stated))
    return rows


def sources(clips: Sequence[str], stage: Sources | None = None, **sides: Any) -> Result:
    """Serve clips with the rows of their side tables; by itself each has a group, a caption of ours, and what it is labelled."""
    stage = stage or Sources(False, 0.5, PHRASES)
    given = {"groups": [group_row(c) for c in clips], "captions": [caption(c, "Ours.", "grammar") for c in clips]}
    given |= {"calibrations": [calibration(*each) for each in SURE]}
    given["heard"] = [
        heard(row["clip_id"], "publisher", row["class_id"])
        for row in sides["classes"]
        if row["origin"] == "label:mid" or row["class_id"] is None or row["state"] != "labelled"
    ]
    given |= sides
    batch = Batch(
        tables.from_rows("clips", [clip_row(c) for c in clips]),
        {name: tables.from_rows(name, given.get(name, [])) for name in stage.reads[1:]},
    )
    return serve(stage, batch, Context(Workspace("unused"), ".", 1, 4))


def only(clip_id: str, stage: Sources | None = None, **sides: Any) -> dict[str, Any]:
    (row,) = sources([clip_id], stage, **sides).rows
    return row


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        (known("a", [None], "unknown"), "classes_unknown"),
        (known("a", [DOG, None], "partial"), "classes_partial"),
        (known("a", [DOG], "inferred", "caption:alias"), "classes_inferred"),
        (known("a", [SILENCE]), "classes_silence"),
        (known("a", [SILENCE]) + known("a", [DOG], origin="ear"), "classes_silence"),
        (known("a", [DOG], "inferred", "ear") + known("a", [SILENCE], "inferred", "ear"), "classes_inferred"),
        (known("a", [None], "labelled"), "classes_unknown"),
        ([], "not_served_before"),
    ],
)
def test_a_clip_of_which_too_little_is_known_is_dropped_with_the_reason(classes: list[dict], reason: str) -> None:
    result = sources(["a"], classes=classes)
    assert result.rows == []
    assert result.drops == [("a", reason)]


def test_a_clip_whose_group_is_better_protected_elsewhere_is_withheld() -> None:
    withheld = group_row("a") | {"withheld": "leaks_into_test"}
    assert sources(["a"], classes=known("a", [DOG]), groups=[withheld]).drops == [("a", "leaks_into_test")]


@pytest.mark.parametrize("missing", ["captions", "groups", "heard"])
def test_a_clip_that_an_earlier_stage_rejected_is_dropped(missing: str) -> None:
    sides: dict[str, Any] = {"classes": known("a", [DOG]), missing: []}
    assert sources(["a"], **sides).drops == [("a", "not_served_before")]


def test_inferred_classes_are_all_present_where_a_recipe_wants_them() -> None:
    classes = known("a", [DOG], "inferred", "caption:alias") + known("a", [RAIN], "inferred", "ear")
    row = only("a", Sources(True, 0.5, PHRASES), classes=classes)
    assert (row["state"], row["class_ids"]) == ("inferred", sorted([DOG, RAIN]))


def test_labels_are_what_the_publisher_says_and_not_what_listeners_or_words_do() -> None:
    classes = known("a", [DOG]) + known("a", [RAIN], origin="ear") + known("a", [SPEECH], origin="caption:alias")
    row = only("a", classes=classes)
    assert row["class_ids"] == [DOG]
    assert (row["label"], row["class_names"], row["spoken"]) == ("dog", ["Dog"], ["the dog"])


def test_a_label_of_which_a_listener_is_surer_is_still_a_label() -> None:
    classes = known("a", [DOG]) + known("a", [RAIN], origin="ear")
    named = [heard("a", "publisher", RAIN), heard("a", "publisher", DOG), heard("a", "ear", SPEECH)]
    assert only("a", classes=classes, heard=named)["class_ids"] == sorted([DOG, RAIN])


def test_what_a_caption_or_keyword_of_the_publisher_mentions_is_said_unless_it_follows_from_the_labels() -> None:
    evidence = said(
        "a",
        {"kind": "caption", "name": "caption", "text": "A dog barks while it rains."},
        {"kind": "caption", "name": "caption", "text": "An animal and a man speaking, then silence."},
        {"kind": "keyword", "name": "church-bell"},
        {"kind": "keyword", "name": "field_recording_2014"},
        {"kind": "caption", "name": "caption", "text": "A siren.", "listener": "ours"},
    )
    row = only("a", classes=known("a", [BARK]), evidence=evidence)
    said_by_words = [RAIN, IDS["Male speech, man speaking"], IDS["Church bell"]]
    assert set(said_by_words) <= set(row["said_class_ids"])
    assert not {DOG, BARK, IDS["Siren"]} & set(row["said_class_ids"])
    assert row["heard_class_ids"] == []


def test_what_a_language_model_found_in_captions_is_said_where_one_was_asked() -> None:
    assert "caption_tags" not in Sources(False, 0.5, PHRASES).reads
    tag = {
        "tag_id": "a:0", "clip_id": "a", "evidence_id": "e", "class_id": RAIN, "answer": "rain", "model": "m",
        "prompt_hash": "p", "request": "r",
    }  # fmt: skip
    row = only("a", Sources(False, 0.5, PHRASES, tags=True), classes=known("a", [DOG]), caption_tags=[tag])
    assert row["said_class_ids"] == [RAIN]


def test_what_a_listener_hears_surely_is_present_also_as_a_timed_event() -> None:
    event = {"kind": "event", "onset_s": 2.0, "offset_s": 3.5, "class_id": SPEECH, "confidence": 0.6, "listener": "ear"}
    unsure = {"class_id": RAIN, "confidence": 0.8, "listener": "ear"}
    stranger = {"class_id": MUSIC, "confidence": 1.0, "listener": "uncalibrated"}
    implied = {"class_id": DOG, "confidence": 0.9, "listener": "ear"}
    evidence = said("a", event, unsure, stranger, implied)
    row = only("a", classes=known("a", [BARK]), evidence=evidence)
    assert row["heard_class_ids"] == [SPEECH]
    assert (row["onset_s"], row["offset_s"]) == (2.0, 3.5)
    deaf = only("a", Sources(False, None, PHRASES), classes=known("a", [BARK]), evidence=evidence)
    assert (deaf["heard_class_ids"], deaf["onset_s"]) == ([], None)


def test_music_that_is_heard_in_pop_music_counts_since_an_abstract_heading_lies_between() -> None:
    evidence = said("a", {"class_id": MUSIC, "confidence": 0.9, "listener": "ear"})
    assert only("a", classes=known("a", [POP]), evidence=evidence)["heard_class_ids"] == [MUSIC]


@pytest.mark.parametrize(
    ("decided", "kept"),
    [
        (caption("a", "A dog."), "A dog."),
        (caption("a", "A dog.", decision="refused"), None),
        (caption("a", "A loud dog.", method="grammar"), None),
    ],
)
def test_a_caption_is_kept_where_it_is_the_publishers_and_good_enough(decided: dict, kept: str | None) -> None:
    assert only("a", classes=known("a", [DOG]), captions=[decided])["caption"] == kept


def test_rows_stand_in_order_and_say_where_the_clip_lies() -> None:
    classes = [row for c in ("b", "a") for row in known(c, [RAIN])]
    first, second = sources(["b", "a"], classes=classes).rows
    assert (first["clip_id"], second["clip_id"]) == ("a", "b")
    assert (first["group_id"], first["split"], first["tar"], first["recording_id"]) == ("a", "test", "x.tar", "fs:a")


def test_a_phrase_file_that_is_missing_is_named_before_anything_runs() -> None:
    with pytest.raises(UserError, match="none.yaml"):
        Sources(False, 0.5, "prompts/none.yaml").check()


def test_the_sources_of_audiocaps_keep_every_label_and_hold_what_their_captions_tell(shared: Path) -> None:
    with (shared / "audioset/class_labels_indices.csv").open(newline="") as lines:
        mids = {row["display_name"]: row["mid"] for row in csv.DictReader(lines)}
    name = re.compile("|".join(re.escape(name) for name in sorted(mids, key=len, reverse=True)))
    with (shared / "lass/audiosep_eval/audiocaps_eval.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    labels = {row["src_wav"][:-4]: [mids[each] for each in name.findall(row["labels"])] for row in rows}
    captions = [{"clip": row["src_wav"][:-4], "text": row["caption"]} for row in rows]
    result = sources(
        list(labels),
        classes=[each for clip_id, class_ids in labels.items() for each in known(clip_id, class_ids)],
        evidence=[
            evidence_row(each["clip"], "publisher", "1", n, kind="caption", name="caption", text=each["text"])
            for n, each in enumerate(captions)
        ],
    )
    assert len(result.rows) == 964 - sum(class_ids == [SILENCE] for class_ids in labels.values())
    assert all(row["class_ids"] == sorted(labels[row["clip_id"]]) for row in result.rows)
    more = [len(row["said_class_ids"]) for row in result.rows]
    assert sum(map(bool, more)) > 0.7 * len(more)
    for row in result.rows:
        implied = ONTOLOGY.implied(row["class_ids"])
        assert not any(implied >> ONTOLOGY.index(class_id) & 1 for class_id in row["said_class_ids"])
