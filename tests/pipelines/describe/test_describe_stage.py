"""Stage ``describe``: candidates with the evidence they rest on, and a declared drop without any."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.describe.phrases import phrase_path
from pipelines.describe.stage import Describe
from pipelines.listen.evidence import evidence_row
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables
from schemas.errors import UserError

STAGE = Describe("prompts/grammar.yaml", ("short", "detailed", "temporal"), 2)


def clip_row(clip_id: str) -> dict[str, Any]:
    return {
        "clip_id": clip_id, "record_id": clip_id, "dataset": clip_id.split("-")[0], "split": "test",
        "recording_id": f"fs:{clip_id}", "duration_s": 10.0, "sample_rate": 32000, "source_path": "a.wav",
        "source_start_s": 0.0, "source_rate": 32000, "source_channels": 1, "source_decoder": "soundfile",
        "claimed_s": 10.0, "decoded_s": 10.0, "note": None, "gain_db": 0.0, "excerpt_s": 0.0, "sha256": "0", "licence": "cc0",
        "channel": "mean", "dc_offset": 0.0, "clipped_share": 0.0,
        "attribution": None, "tar": "x.tar", "offset": 0, "size": 1,
    }  # fmt: skip


def run(root: Path, clips: dict[str, list[dict[str, Any]]], stage: Describe = STAGE, seed: int = 7) -> Result:
    rows = [clip_row(clip_id) for clip_id in clips]
    evidence = [
        evidence_row(clip_id, item.pop("listener", "publisher"), "1", n, **item)
        for clip_id, items in clips.items()
        for n, item in enumerate({**item} for item in items)
    ]
    classes = [
        row
        for clip in rows
        for row in classes_of(
            clip["clip_id"],
            clip["dataset"],
            [e for e in evidence if e["clip_id"] == clip["clip_id"]],
            default_index(),
        )
    ]
    sides = {
        "classes": tables.from_rows("classes", classes),
        "evidence": tables.from_rows("evidence", evidence),
    }
    batch = Batch(tables.from_rows("clips", rows), sides)
    result = stage.process(batch, Context(Workspace(str(root)), str(root), seed, 1))
    conserve(stage, list(clips), result)
    tables.from_rows("candidates", result.rows)
    return result


def tag(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "tag", "name": name, **more}


def event(name: str, onset: float, offset: float, **more: Any) -> dict[str, Any]:
    return {"kind": "event", "name": name, "onset_s": onset, "offset_s": offset, **more}


def fact(name: str, value: float) -> dict[str, Any]:
    return {"kind": "fact", "name": name, "value": value, "listener": "facts"}


def test_labels_in_a_datasets_own_names_become_sentences(tmp_path: Path) -> None:
    result = run(tmp_path, {"esc50-1": [tag("crying_baby")], "esc50-2": [tag("washing_machine")]})
    texts = {row["text"] for row in result.rows if row["clip_id"] == "esc50-1"}
    assert texts
    assert all("baby" in text.lower() for text in texts)
    assert any("washing machine" in row["text"].lower() for row in result.rows)


def test_a_candidate_names_exactly_the_evidence_that_it_rests_on(tmp_path: Path) -> None:
    said = [
        tag("Siren"),
        tag("Animal"),
        tag("Bark"),
        event("Siren", 0, 3),
        event("Bark", 4, 5),
        fact("lufs", -10.0),
    ]
    said += [fact("duration_s", 10.0), event("active_span", 0, 5, listener="facts")]
    rows = {row["style"]: row for row in run(tmp_path, {"d-1": said}).rows}
    assert rows["temporal"]["evidence_ids"] == ["d-1:publisher:3", "d-1:publisher:4"]
    assert rows["short"]["evidence_ids"] == [
        "d-1:publisher:0",
        "d-1:publisher:2",
        "d-1:publisher:3",
        "d-1:publisher:4",
    ]
    assert "loud recording" in rows["detailed"]["text"]
    assert "d-1:facts:5" in rows["detailed"]["evidence_ids"]
    assert "d-1:publisher:1" not in rows["detailed"]["evidence_ids"]  # that it is an animal, nobody said


def test_every_candidate_says_where_it_comes_from(tmp_path: Path) -> None:
    result = run(tmp_path, {"d-1": [tag("Siren"), {"kind": "caption", "name": "caption", "text": "A siren!"}]})
    published, *written = result.rows
    assert (published["method"], published["style"], published["text"]) == (
        "published",
        "published",
        "A siren!",
    )
    assert published["evidence_ids"] == ["d-1:publisher:1"]
    assert published["model"] is published["prompt_hash"] is published["seed"] is None
    digest = hashlib.sha256(phrase_path("prompts/grammar.yaml").read_bytes()).hexdigest()
    assert STAGE.revisions()["phrases"] == digest
    for row in written:
        assert (row["model"], row["prompt_hash"]) == ("grammar-2", digest)
        assert 0 <= row["seed"] < 2**63
    ids = [row["candidate_id"] for row in result.rows]
    assert len(set(ids)) == len(ids)
    assert ids[:2] == ["d-1:published:0", "d-1:grammar-short:0"]


def test_candidates_are_distinct_and_no_more_than_asked_for(tmp_path: Path) -> None:
    stage = Describe("prompts/grammar.yaml", ("short",), 50)
    texts = [row["text"] for row in run(tmp_path, {"d-1": [tag("Siren")]}, stage).rows]
    assert len(set(texts)) == len(texts)
    assert 2 < len(texts) < 50
    assert len(run(tmp_path, {"d-1": [tag("Siren")]}, Describe("prompts/grammar.yaml", ("short",), 1)).rows) == 1


def test_a_style_and_a_neighbour_change_nothing_in_another_row(tmp_path: Path) -> None:
    timed = [event("Siren", 0, 3), event("Bark", 4, 5)]
    alone = run(tmp_path, {"d-1": timed}, Describe("prompts/grammar.yaml", ("temporal",), 2)).rows
    among = run(tmp_path, {"d-0": [tag("Rain")], "d-1": timed}).rows
    assert alone == [row for row in among if row["clip_id"] == "d-1" and row["style"] == "temporal"]
    other = run(tmp_path, {"d-1": timed}, seed=8).rows
    assert {row["seed"] for row in other}.isdisjoint(row["seed"] for row in alone)


def test_a_clip_of_which_nothing_is_known_is_dropped_with_its_reason(tmp_path: Path) -> None:
    result = run(tmp_path, {"d-1": [], "d-2": [tag("quux")], "d-3": [fact("duration_s", 5.0)]})
    assert result.rows == []
    assert result.drops == [(clip_id, "nothing_known") for clip_id in ("d-1", "d-2", "d-3")]


def test_keywords_speak_only_where_no_label_does(tmp_path: Path) -> None:
    keyword = {"kind": "keyword", "name": "thunder"}
    assert all("hunder" not in row["text"] for row in run(tmp_path, {"d-1": [tag("Siren"), keyword]}).rows)
    assert all("hunder" in row["text"] for row in run(tmp_path, {"d-1": [keyword]}).rows)


def test_the_grammar_does_not_rewrite_a_published_caption(tmp_path: Path) -> None:
    caption = {"kind": "caption", "name": "caption", "text": "Thunder rolls over the hills"}
    facts = [fact("duration_s", 5.0), fact("lufs", -8.0)]
    assert [row["method"] for row in run(tmp_path, {"d-1": [caption, *facts]}).rows] == ["published"]


def test_a_finding_of_little_confidence_is_not_said(tmp_path: Path) -> None:
    weak = {"kind": "tag", "name": "Siren", "class_id": "/m/03kmc9", "confidence": 0.2, "listener": "panns"}
    assert run(tmp_path, {"d-1": [weak]}).drops == [("d-1", "nothing_known")]
    assert run(tmp_path, {"d-1": [weak | {"confidence": 0.8}]}).rows


def test_unnamed_sounds_are_described_from_their_spans(tmp_path: Path) -> None:
    said = [
        fact("duration_s", 4.0),
        fact("spectral_flatness", 0.6),
        event("active_span", 1.0, 1.5, listener="facts"),
    ]
    said += [
        event("silence_span", 0.0, 1.0, listener="facts"),
        event("silence_span", 1.5, 4.0, listener="facts"),
    ]
    rows = run(tmp_path, {"d-1": said}).rows
    assert {row["text"] for row in rows} <= {
        f"A {length}, noisy {noun}{end}."
        for end in ("", " is heard")
        for length in ("short", "brief")
        for noun in ("burst", "sound")
    }
    assert rows[0]["evidence_ids"] == ["d-1:facts:2", "d-1:facts:0", "d-1:facts:1"]


def test_a_missing_phrase_file_stops_the_run_before_it_starts() -> None:
    with pytest.raises(UserError, match="configs/ has no file"):
        Describe("prompts/missing.yaml", ("short",), 1).check()
