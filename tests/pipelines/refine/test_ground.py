"""Stage ``ground``: every claim of every candidate has a verdict, a reason and its evidence, whoever told of the clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.refine.ground import Ground
from pipelines.refine.score import Score
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables
from schemas.ontology import default_ontology

ONTOLOGY = default_ontology()
Item = dict[str, Any]


def says(listener: str, kind: str, name: str, text: str | None = None, **values: Any) -> Item:
    return {"listener": listener, "kind": kind, "name": name, "text": text, **values}


def label(name: str) -> Item:
    return says("publisher", "tag", name)


def event(name: str, onset_s: float, offset_s: float) -> Item:
    return says("publisher", "event", name, onset_s=onset_s, offset_s=offset_s)


def clip_row() -> Item:
    return {
        "clip_id": "d-1", "record_id": "d-1", "dataset": "d", "split": "test", "recording_id": "fs:1", "duration_s": 10.0,
        "sample_rate": 32000, "source_path": "a.wav", "source_start_s": 0.0, "source_rate": 32000, "source_channels": 1,
        "source_decoder": "soundfile", "claimed_s": 10.0, "decoded_s": 10.0, "note": None, "gain_db": 0.0, "excerpt_s": 0.0,
        "sha256": "0", "licence": "cc0", "channel": "mean", "dc_offset": 0.0, "clipped_share": 0.0, "attribution": None,
        "tar": "x.tar", "offset": 0, "size": 1,
    }  # fmt: skip


def candidate(number: int, text: str, **values: Any) -> Item:
    return {
        "candidate_id": f"d-1:w:{number}", "clip_id": "d-1", "method": "writer", "style": "short", "language": "en",
        "round": 1, "text": text, "model": "m", "prompt_hash": None, "seed": None, "request": None, "request_id": None,
        "tokens_in": None, "tokens_out": None, "usd": None, "evidence_ids": [], **values,
    }  # fmt: skip


def batch(items: list[Item], rows: list[Item], table: str = "candidates") -> Batch:
    numbers: dict[str, int] = {}
    evidence = []
    for item in items:
        listener = item["listener"]
        numbers[listener] = numbers.get(listener, -1) + 1
        rest = {key: value for key, value in item.items() if key != "listener"}
        evidence.append(evidence_row("d-1", listener, "1", numbers[listener], **rest))
    sides = {
        "clips": [clip_row()],
        "classes": classes_of("d-1", "d", evidence, default_index()),
        "evidence": evidence,
    }
    return Batch(tables.from_rows(table, rows), {name: tables.from_rows(name, side) for name, side in sides.items()})


def context(root: Path) -> Context:
    return Context(Workspace(str(root)), str(root), 3, 1)


@pytest.fixture
def verdicts(tmp_path: Path) -> Any:
    """Return a function: the evidence of a clip and a caption -> the caption's words -> kind, verdict and reason."""

    def judge(items: list[Item], text: str, **fields: Any) -> dict[str, tuple[str, str, str]]:
        stage = Ground(**fields)
        result = stage.process(batch(items, [candidate(0, text)]), context(tmp_path))
        conserve(stage, ["d-1:w:0"], result)
        tables.from_rows("claims", result.rows)
        for row in result.rows:
            assert row["text"] == text[row["start"] : row["end"]]
            assert (row["verdict"] in ("supported", "visual_only")) == bool(row["evidence_ids"])
        return {f"{row['kind']} {row['text']}": (row["verdict"], row["reason"]) for row in result.rows}

    return judge


def test_a_claim_has_its_words_its_class_its_verdict_and_its_evidence(tmp_path: Path) -> None:
    items = [event("Siren", 0.0, 3.0), event("Bark", 5.0, 6.0)]
    text = "A dog barks, then a siren wails in a kitchen."
    rows = Ground().process(batch(items, [candidate(0, text)]), context(tmp_path)).rows
    assert [(row["kind"], row["text"], row["verdict"]) for row in rows] == [
        ("source", "dog", "supported"),
        ("action", "dog barks", "supported"),
        ("order", "dog barks, then a siren wails", "unsupported"),
        ("source", "siren", "supported"),
        ("action", "siren wails", "unknown"),
        ("place", "in a kitchen", "unknown"),
    ]
    assert [ONTOLOGY[row["class_id"]].name if row["class_id"] else None for row in rows] == [
        "Dog", "Bark", None, "Siren", None, None,
    ]  # fmt: skip
    assert rows[0]["evidence_ids"] == ["d-1:publisher:1"]
    assert rows[0]["reason"] == "Bark, event of publisher"
    assert rows[2]["reason"] == "by their times, the sounds do not follow one another so"
    assert [row["claim_id"] for row in rows] == [f"d-1:w:0:{number}" for number in range(6)]


def test_a_candidate_without_a_claim_has_a_row_that_says_so(tmp_path: Path) -> None:
    rows = [candidate(0, "It is a lovely day."), candidate(1, "Un chien aboie.", language="fr")]
    found = Ground().process(batch([label("Bark")], rows), context(tmp_path)).rows
    assert [(row["kind"], row["verdict"], row["reason"]) for row in found] == [
        ("none", "unknown", "nothing that the rules can read"),
        ("none", "unknown", "written in fr; the rules read English"),
    ]
    scores = Score().process(batch([label("Bark")], rows), context(tmp_path)).rows
    assert [(row["score"], row["claims"]) for row in scores] == [(None, 0), (None, 0)]


def test_an_answer_supports_and_what_it_leaves_out_is_unknown(verdicts: Any) -> None:
    found = verdicts([says("alm", "answer", "sounds", "A dog barks loudly nearby.")], "A distant cat and a loud dog.")
    assert found["source dog"] == ("supported", "Bark, answer of alm")
    assert found["source cat"] == ("unknown", "nothing names it, and nothing lists all that is heard")
    assert found["attribute loud"] == ("supported", "said in answer of alm")
    assert found["attribute distant"][0] == "unknown"


def test_who_was_asked_and_denies_makes_the_claim_unsupported(verdicts: Any) -> None:
    items = [says("alm", "answer", "speech"), says("alm", "answer", "music")]
    found = verdicts(items, "A man speaks while a violin plays and a dog barks.")
    assert found["source man speaks"] == ("unsupported", "alm was asked and hears no Speech")
    assert found["source violin"] == ("unsupported", "alm was asked and hears no Music")
    assert found["action dog barks"][0] == "unknown"
    assert found["speech man"] == ("unsupported", "alm was asked and hears no speech")


def test_what_pictures_show_is_visual_only_and_denies_nothing(verdicts: Any) -> None:
    seen = [says("vlm", "answer", "seen", "A dog runs in a park."), says("vlm", "answer", "speech")]
    text = "A dog barks in a park while a man speaks."
    found = verdicts([label("Rain"), *seen], text, eyes=("vlm",))
    assert found["source dog"] == ("visual_only", "only pictures show it")
    assert found["place in a park"] == ("visual_only", "only pictures show it")
    assert found["source man speaks"] == ("unsupported", "the publisher labels other sounds: Rain")
    assert verdicts([label("Rain"), *seen], text)["source dog"][0] == "supported"  # not known to be eyes: it hears
    assert verdicts([label("Bark"), *seen], text, eyes=("vlm",))["source dog"][0] == "supported"


def test_a_transcript_is_speech_and_tells_its_language(verdicts: Any) -> None:
    items = [says("transcribe", "transcript", "speech", value=7.0), says("transcribe", "transcript", "language", "fr")]
    assert verdicts(items, "A woman speaks French.") == {
        "source woman speaks": ("supported", "Speech, transcript of transcribe"),
        "speech woman": ("unknown", "nothing tells it of the speaker"),
        "speech speaks French": ("supported", "said in transcript of transcribe"),
    }
    spoken = [says("transcribe", "transcript", "speech", "ignore that, a dog barks in the kitchen", value=8.0)]
    found = verdicts(spoken, "A dog barks in a kitchen.")
    assert {verdict for verdict, _ in found.values()} == {"unknown"}  # what is said in a clip is not said of it
    found = verdicts(items, "A woman speaks in German.")
    assert found["speech in German"] == ("unsupported", "transcribe says french")


@pytest.mark.parametrize(
    ("told", "text", "words", "verdict"),
    [
        ({"gender": "male"}, "A man speaks.", "speech man", "supported"),
        ({"gender": "male"}, "A woman speaks.", "speech woman", "unsupported"),
        ({"gender": "both"}, "A woman speaks.", "speech woman", "supported"),
        ({"gender": "child"}, "A woman speaks.", "speech woman", "unknown"),
        ({"emotion": "furious"}, "A man speaks angrily.", "speech angrily", "supported"),
        ({"emotion": "happy"}, "A man speaks angrily.", "speech angrily", "unsupported"),
        ({"emotion": "excited"}, "A man speaks angrily.", "speech angrily", "unknown"),
        ({"language": "English"}, "A man speaks in Spanish.", "speech in Spanish", "unsupported"),
        ({}, "A man speaks in a calm voice.", "speech calm", "unknown"),
    ],
)
def test_what_is_said_of_a_speaker_is_held_against_answers(
    verdicts: Any, told: dict[str, str], text: str, words: str, verdict: str
) -> None:
    items = [says("alm", "answer", f"speech.{name}", value) for name, value in told.items()]
    assert verdicts(items, text)[words][0] == verdict


def test_a_label_tells_who_speaks(verdicts: Any) -> None:
    items = [label("Female speech, woman speaking")]
    assert verdicts(items, "A woman speaks.")["speech woman"][0] == "supported"
    assert verdicts(items, "A man speaks.") == {
        "source man speaks": ("supported", "Female speech, woman speaking, tag of publisher"),
        "speech man": ("unsupported", "the publisher labels Female speech, woman speaking"),
    }
    assert "speech man" not in verdicts(items, "A man walks.")


def test_instruments_and_genre_of_an_answer_are_classes(verdicts: Any) -> None:
    items = [
        says("alm", "answer", "music.instruments", "piano, double bass"),
        says("alm", "answer", "music.genre", "jazz"),
    ]
    found = verdicts(items, "Jazz music with a piano and a trumpet.")
    assert {words: verdict for words, (verdict, _) in found.items()} == {
        "source Jazz music": "supported", "source piano": "supported", "source trumpet": "unknown",
    }  # fmt: skip


def test_places_are_held_against_words_and_labels(verdicts: Any) -> None:
    title = [says("publisher", "text", "title", "Dog in my kitchen")]
    assert verdicts(title, "A dog barks in a kitchen.")["place in a kitchen"] == (
        "supported",
        "said in text of publisher",
    )
    assert verdicts(title, "A dog barks indoors.")["place indoors"][0] == "supported"
    assert verdicts(title, "A dog barks in a forest.")["place in a forest"][0] == "unknown"
    room = [label("Bark"), label("Inside, small room")]
    found = verdicts(room, "A dog barks in a forest.")
    assert found["place in a forest"] == ("unsupported", "the publisher labels it as Inside, small room")
    assert verdicts(room, "A dog barks in a small room.")["place in a small room"][0] == "supported"


@pytest.mark.parametrize(
    ("onsets", "text", "verdict"),
    [
        (2.0, "A dog barks twice.", "supported"),
        (1.0, "A dog barks twice.", "unknown"),
        (4.0, "A dog barks twice.", "unknown"),
        (0.0, "A dog barks twice.", "unsupported"),
        (9.0, "A dog barks twice.", "unsupported"),
        (4.0, "Four beeps sound.", "supported"),
        (2.0, "A dog barks twice while rain falls.", "unknown"),
    ],
)
def test_a_number_is_held_against_onsets_where_one_sound_makes_them(
    verdicts: Any, onsets: float, text: str, verdict: str
) -> None:
    found = verdicts([says("facts", "fact", "onset_count", value=onsets)], text)
    ((words, (told, _)),) = [item for item in found.items() if item[0].startswith("count")]
    assert words in ("count twice", "count Four beeps")
    assert told == verdict


def test_timed_events_count_and_dogs_are_not_counted(verdicts: Any) -> None:
    twice = [event("Bark", 0.0, 1.0), event("Bark", 2.0, 3.0)]
    assert verdicts(twice, "A dog barks twice while rain falls.")["count twice"] == ("supported", "2 events are timed")
    assert verdicts(twice, "A dog barks three times while it rains.")["count three times"][0] == "unknown"
    assert not any(words.startswith("count") for words in verdicts(twice, "Two dogs bark."))


def test_probes_are_scored_by_the_same_code_under_a_name_of_their_own(tmp_path: Path) -> None:
    text = "A dog barks while a violin plays."
    probe = {
        "candidate_id": "d-1:w:0", "clip_id": "d-1", "kind": "added", "text": text, "method": "grammar", "evidence_ids": [],
    }  # fmt: skip
    stage = Score(of="probes", round=1)
    assert (stage.name, stage.writes, stage.reads[0]) == ("score_probes", "probe_scores", "probes")
    rows = stage.process(batch([label("Bark")], [probe], "probes"), context(tmp_path)).rows
    assert rows == Score().process(batch([label("Bark")], [candidate(0, text)]), context(tmp_path)).rows
    assert (rows[0]["score"], rows[0]["unsupported"]) == (0.5, ["violin"])
    later = Score(round=2, writers=("write_a_2",))
    assert (later.name, later.writes, later.reads_from()) == ("score_2", "scores", {"candidates": ("write_a_2",)})
    assert (Score.name, Score().reads_from()) == ("score", {})
