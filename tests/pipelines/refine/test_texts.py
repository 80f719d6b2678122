"""Checks of the text alone: each failure is named, and ordinary captions pass."""

from __future__ import annotations

import pytest

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.refine.texts import TextChecks, failures, label_names
from schemas import tables
from schemas.ontology import default_ontology


@pytest.mark.parametrize(
    "text",
    [
        "A dog barks.",
        "Rain",
        "A clock goes tick-tock while a man's voice is heard over the hum of an engine, then a door slams shut.",
        "The sound of a siren and the sound of a dog.",
        "Knock, knock.",
        "A sound at about 440 Hz; then 3 beeps (high-pitched).",
    ],
)
def test_an_ordinary_caption_passes_all(text):
    assert failures(text, ("video",), {"crackling_fire", "Chirp, tweet"}, "en") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "length: 0 words"),
        (" ".join(f"word{n}" for n in range(61)), "length: 61 words"),
        ("A Video of a dog.", "banned: video"),
        ("A dog in an audio clip barks.", "banned: audio clip"),
        ("The sound of crackling_fire.", "label: crackling_fire"),
        ("Chirp, tweet is heard.", "label: Chirp, tweet"),
        ("A dog barks barks barks.", "repetition: barks barks barks"),
        ("A dog barks at a cat, then a dog barks at a cat.", "repetition: a dog barks at a"),
        ("Here is a caption: a dog barks.", "readable: 'Here is'"),
        ("**A dog barks.**", "readable: '*'"),
        ("A dog barks, see https://example.org", "readable: 'https://'"),
        ("A dog\x07 barks.", r"readable: '\x07'"),
        ("狗在叫。", "language: not in Latin letters"),
        ("Ein Hund bellt laut im Garten nebenan, und eine Sirene heult dazu.", "language: no English"),
    ],
)
def test_what_fails_is_named(text, expected):
    assert expected in failures(text, ("video", "audio clip"), {"crackling_fire", "Chirp, tweet"}, "en")


def test_a_language_is_checked_where_it_is_told():
    assert failures("Ein Hund bellt laut im Garten nebenan.", (), set(), None) == []
    assert failures("Ein Hund bellt laut im Garten nebenan.", (), set(), "de") == []
    assert failures("A dog barks and the rain is falling.", (), set(), "de") == ["language: English, not de"]
    assert failures("狗在叫。", (), set(), "zh") == []


def test_only_names_that_are_no_english_leak():
    ontology = default_ontology()
    plain = evidence_row("c", "publisher", "1", 0, kind="tag", name="dog", class_id="/m/0bt9lr")
    copied = evidence_row("c", "publisher", "1", 0, kind="tag", name="Chirp_and_tweet", class_id="/m/07pggtn")
    assert label_names(plain, ontology) == {"/m/0bt9lr"}
    assert label_names(copied, ontology) == {"Chirp_and_tweet", "/m/07pggtn", ontology["/m/07pggtn"].name}


def test_every_caption_has_a_row_and_the_stage_is_named_after_what_it_judges():
    probe = {"clip_id": "c", "kind": "true", "method": "grammar", "evidence_ids": []}
    rows = [
        probe | {"candidate_id": "a", "text": "A dog barks."},
        probe | {"candidate_id": "b", "text": "A film of <b>."},
    ]
    stage = TextChecks(("film",), "probes")
    batch = Batch(tables.from_rows("probes", rows), {"evidence": tables.schema("evidence").empty_table()})
    result = stage.process(batch, Context(Workspace("unused"), ".", 0, 1))
    conserve(stage, ["a", "b"], result)
    tables.from_rows("probe_scores", result.rows)
    assert [(row["score"], row["unsupported"]) for row in result.rows] == [
        (1.0, []),
        (pytest.approx(4 / 6, abs=1e-4), ["banned: film", "readable: '<'"]),
    ]
    assert (stage.name, stage.writes, stage.reads) == ("texts_probes", "probe_scores", ("probes", "evidence"))
    later = TextChecks((), "candidates", 2, ("write_a_2",))
    assert (later.name, later.writes, later.reads_from()) == ("texts_2", "scores", {"candidates": ("write_a_2",)})
