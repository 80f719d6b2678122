"""Similarity: four ways to say how near a caption lies to a sound, each known where it can be known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy_models
from refine_rows import clip_row

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.listen.models import chosen
from pipelines.refine.similarity import Similarity
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables
from schemas.recipe import ModelChoice
from taggers import registry
from taggers.base import Embedder


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {"pitch": toy_models.Pitch})


def stage(**more: Any) -> Similarity:
    return Similarity(chosen(ModelChoice(use="pitch", name="ear"), Embedder, "cpu"), **more)


def embedding(clip_id: str, number: int, span: str, where: float) -> dict[str, Any]:
    vector = toy_models.direction(where)
    return {"embedding_id": f"{clip_id}:ear:{number}", "clip_id": clip_id, "embedder": "ear", "revision": "1", "span": span,
            "start_s": 0.0, "end_s": 1.0, "vector": np.asarray(vector, np.float16)}  # fmt: skip


def serve(texts: dict[str, str], rows: int = 512, of: str = "candidates") -> Result:
    """Judge captions of `d-0`, a low sound that is labelled a dog's; others hear sirens and tell of them.

    `d-1` has two windows, low and high, and no label; `d-9` no embedding.
    """
    clips = ["d-0", "d-1", *(f"d-{n}" for n in range(2, 6)), "d-9"]
    said = {"d-0": [{"kind": "tag", "name": "dog"}], "d-1": [], "d-9": []}
    said |= {
        f"d-{n}": [{"kind": "caption", "name": "caption", "text": f"A siren wails high as number {n} of them."}]
        for n in range(2, 6)
    }
    evidence = {
        clip_id: [evidence_row(clip_id, "publisher", "1", n, **item) for n, item in enumerate(said[clip_id])]
        for clip_id in clips
    }
    spans = [embedding("d-0", 0, "clip", 0.05), embedding("d-1", 0, "clip", 0.5)]
    spans += [embedding("d-1", 1, "window", 0.05), embedding("d-1", 2, "window", 0.95)]
    wanted = dict.fromkeys(tables.schema(of).names) | {
        "method": "m",
        "style": "s",
        "round": 1,
        "kind": "true",
        "evidence_ids": [],
    }
    asked = [wanted | {"candidate_id": key, "clip_id": key.split(":")[0], "text": text} for key, text in texts.items()]
    asked = [{name: row[name] for name in tables.schema(of).names} for row in asked]
    sides = {
        "embeddings": spans,
        "clips": [clip_row(clip_id) for clip_id in clips],
        "evidence": [row for each in evidence.values() for row in each],
        "classes": [row for c, each in evidence.items() for row in classes_of(c, "d", each, default_index())],
    }
    made = stage(of=of)
    result = Result()
    batch = Batch(tables.from_rows(of, asked), {name: tables.from_rows(name, each) for name, each in sides.items()})
    for piece in batch.slices(rows):
        result.extend(made.process(piece, Context(Workspace("unused"), ".", 0, 1)))
    conserve(made, list(texts), result)
    tables.from_rows(made.writes, result.rows)
    return result


def scores(result: Result, key: str) -> dict[str, float | None]:
    return {row["scorer"]: row["score"] for row in result.rows if row["candidate_id"] == key}


def near(a: float, b: float) -> float:
    return float(np.dot(toy_models.direction(a), toy_models.direction(b)))


def test_a_caption_is_held_against_the_clip_its_labels_and_other_clips_captions():
    result = serve({"d-0:low": "a low dog", "d-0:high": "a high dog", "d-9:x": "a low dog"})
    low, high = scores(result, "d-0:low"), scores(result, "d-0:high")
    assert low["ear"] == pytest.approx(near(0.05, 0.05), abs=2e-3)
    assert high["ear"] == pytest.approx(near(0.05, 0.95), abs=2e-3)
    assert low["ear:window"] == low["ear"], "the clip has one window"
    assert low["ear:relative"] == pytest.approx(near(0.05, 0.05) - near(0.05, 0.5), abs=2e-3)
    assert low["ear:margin"] == pytest.approx(near(0.05, 0.05) - near(0.05, 0.95), abs=2e-3)
    assert high["ear:margin"] == pytest.approx(0.0, abs=2e-3)
    assert result.drops == [("d-9:x", "not_embedded")]


def test_the_nearest_window_counts_and_without_labels_nothing_is_relative():
    found = scores(serve({"d-1:high": "a high dog"}), "d-1:high")
    assert found["ear"] == pytest.approx(near(0.5, 0.95), abs=2e-3)
    assert found["ear:window"] == pytest.approx(near(0.95, 0.95), abs=2e-3)
    assert found["ear:relative"] is None


def test_candidates_and_probes_are_judged_alike_and_whatever_is_served_with_them():
    texts = {"d-0:low": "a low dog", "d-0:high": "a high dog", "d-1:x": "a siren"}
    whole = serve(texts)
    assert serve(texts, rows=1).rows == whole.rows
    assert serve(texts, of="probes").rows == whole.rows


def test_names_tell_what_is_judged_and_a_round_reads_its_own_writers():
    assert (stage().name, stage().writes) == ("similarity_ear", "scores")
    probes, later = stage(of="probes"), stage(round=2, writers=("write_a_2",))
    assert (probes.name, probes.writes, probes.reads[0]) == ("similarity_ear_probes", "probe_scores", "probes")
    assert later.name == "similarity_ear_2"
    assert later.reads_from() == {"embeddings": ("embed_ear",), "candidates": ("write_a_2",)}
