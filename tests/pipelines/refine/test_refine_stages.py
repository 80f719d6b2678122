"""Stages ``score`` and ``decide``: every candidate has a score, every clip a decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from refine_rows import clip_row, group_row

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.describe.stage import Describe
from pipelines.listen.evidence import evidence_row
from pipelines.refine.decide import Decide
from pipelines.refine.score import Score
from pipelines.refine.texts import TextChecks
from pipelines.refine.weigh import Weigh
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables


def run(root: Path, clips: dict[str, list[dict[str, Any]]], min_agreement: float = 0.75) -> dict[str, dict[str, Any]]:
    """Describe, score and decide; return everything by candidate_id, and the decisions by clip_id."""
    context = Context(Workspace(str(root)), str(root), 3, 1)
    rows = [clip_row(clip_id) for clip_id in clips]
    said = {
        clip_id: [evidence_row(clip_id, "publisher", "1", n, **item) for n, item in enumerate(items)]
        for clip_id, items in clips.items()
    }
    known = {c: classes_of(c, c.split("-")[0], items, default_index()) for c, items in said.items()}
    side = {
        "clips": tables.from_rows("clips", rows),
        "evidence": tables.from_rows("evidence", [row for items in said.values() for row in items]),
        "classes": tables.from_rows("classes", [row for items in known.values() for row in items]),
    }

    side["groups"] = tables.from_rows("groups", [group_row(clip_id) for clip_id in clips])

    def serve(stage: Any, keys: str) -> Result:
        batch = Batch(side[stage.reads[0]], {name: side[name] for name in stage.reads[1:]})
        result = stage.process(batch, context)
        conserve(stage, side[stage.reads[0]].column(keys).to_pylist(), result)
        made = tables.from_rows(stage.writes, result.rows)
        side[stage.writes] = pa.concat_tables([side[stage.writes], made]) if stage.writes in side else made
        return result

    serve(Describe("prompts/grammar.yaml", ("short", "detailed", "temporal"), 2), "clip_id")
    scores = serve(Score(), "candidate_id").rows
    serve(TextChecks(), "candidate_id")
    side["gates"] = tables.schema("gates").empty_table()
    serve(Weigh(min_agreement, None), "candidate_id")
    captions = serve(Decide(), "clip_id").rows
    return {row["candidate_id"]: row for row in scores} | {row["clip_id"]: row for row in captions}


def caption(text: str) -> dict[str, Any]:
    return {"kind": "caption", "name": "caption", "text": text}


def test_every_clip_has_one_decision_also_without_a_candidate(tmp_path: Path) -> None:
    found = run(tmp_path, {"esc50-1": [{"kind": "tag", "name": "dog"}], "esc50-2": []})
    assert found["esc50-1"]["decision"] == "accepted"
    assert found["esc50-1"]["score"] == 1.0
    assert (found["esc50-1"]["licence"], found["esc50-1"]["split"]) == ("cc0", "test")
    none = found["esc50-2"]
    assert (none["decision"], none["reasons"]) == ("abstained", ["no candidate"])
    assert none["caption"] is none["candidate_id"] is none["method"] is none["score"] is None


def test_a_published_caption_alone_is_abstained_from_and_kept(tmp_path: Path) -> None:
    row = run(tmp_path, {"d-1": [caption("A dog barks.")]})["d-1"]
    assert (row["decision"], row["caption"], row["method"]) == ("abstained", "A dog barks.", "published")
    assert row["reasons"] == ["no claim can be checked"]


def test_five_captions_of_a_clip_check_one_another(tmp_path: Path) -> None:
    texts = [
        "A dog barks.",
        "The dog is barking.",
        "A dog barks as a violin plays.",
        "A dog barks in a yard.",
    ]
    found = run(tmp_path, {"d-1": [caption(text) for text in texts]})
    assert found["d-1:published:0"]["score"] == 1.0
    assert found["d-1:published:2"]["unsupported"] == []  # captions are no full account of what is heard
    assert (found["d-1:published:2"]["supported"], found["d-1:published:2"]["claims"]) == (1, 4)
    assert found["d-1:published:2"]["evidence_ids"] == [
        "d-1:publisher:0",
        "d-1:publisher:1",
        "d-1:publisher:3",
    ]
    assert found["d-1"]["decision"] == "accepted"


def test_a_label_in_the_datasets_own_name_supports_a_caption(tmp_path: Path) -> None:
    labelled = [{"kind": "tag", "name": "crackling_fire"}, caption("A fire crackles and a cat meows.")]
    found = run(tmp_path, {"esc50-1": labelled})
    assert found["esc50-1:published:0"]["score"] == 0.5
    assert found["esc50-1"]["method"] == "grammar"
    assert found["esc50-1"]["decision"] == "accepted"


def test_reversed_order_costs_a_published_caption_its_place(tmp_path: Path) -> None:
    timed = [
        {"kind": "event", "name": "Siren", "onset_s": 0.0, "offset_s": 3.0},
        {"kind": "event", "name": "Bark", "onset_s": 5.0, "offset_s": 6.0},
    ]
    found = run(tmp_path, {"d-1": [*timed, caption("A dog barks, then a siren wails.")]})
    assert found["d-1:published:0"]["unsupported"] == ["dog barks, then a siren wails"]
    assert found["d-1"]["candidate_id"].startswith("d-1:grammar-temporal:")
    assert found["d-1"]["reasons"] == ["4 of 4 claims supported"]
