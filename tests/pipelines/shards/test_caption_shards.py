"""Stage ``captions``: a sample carries its clip's own bytes, its licence in both forms, and whom to credit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.shards.captions import CaptionShards
from schemas import tables

FLAC = encode_flac(np.arange(800, dtype=np.int16), 8000)


def row(table: str, **given: Any) -> dict[str, Any]:
    """Return a row of a table: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0}
    return {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)} | given


def served(
    root: str, clips: list[dict[str, Any]], captions: list[dict[str, Any]], **sides_: list[dict[str, Any]]
) -> Result:
    workspace, stage = Workspace(root), CaptionShards(10, 1)
    workspace.write("store/x.tar", b"head" + FLAC)
    place = {"tar": "store/x.tar", "offset": 4, "size": len(FLAC)}
    sides = {
        "clips": tables.from_rows("clips", [row("clips", **clip, **place) for clip in clips]),
    } | {
        table: tables.from_rows(table, [row(table, **each) for each in sides_.get(table, [])])
        for table in ("classes", "evidence", "candidates", "scores", "verdicts")
    }
    result = stage.process(Batch(tables.from_rows("captions", captions), sides), Context(workspace, ".", 1, 1))
    conserve(stage, [caption["clip_id"] for caption in captions], result)
    return result


def test_a_sample_carries_its_licence_and_whom_to_credit(tmp_path):
    told = {"licence": "by", "licence_text": "http://creativecommons.org/licenses/by/3.0/", "attribution": "Zoë"}
    clips = [{"clip_id": "a", **told}, {"clip_id": "b", "licence": "unknown"}]
    result = served(str(tmp_path), clips, [row("captions", clip_id=key, decision="accepted") for key in "ab"])
    first, second = (json.loads(blob.members["json"]) for blob in result.blobs)
    assert {key: first[key] for key in told} == told
    assert (second["licence"], second["licence_text"], second["attribution"]) == ("unknown", None, None)
    assert all(blob.members["flac"] == FLAC for blob in result.blobs)


def test_what_is_not_accepted_is_dropped_as_what_was_decided(tmp_path):
    captions = [row("captions", clip_id="a", decision="refused"), row("captions", clip_id="b", decision="abstained")]
    result = served(str(tmp_path), [{"clip_id": key, "licence": "by"} for key in "ab"], captions)
    assert result.drops == [("a", "refused"), ("b", "abstained")]
    assert not result.rows


def test_a_sample_tells_what_the_publisher_labelled_and_when_and_every_caption_that_is_as_good(tmp_path):
    dog, bark = "/m/0bt9lr", "/m/05tny_"
    said = [
        {"evidence_id": "a:publisher:0", "listener": "publisher", "kind": "tag", "name": "Dog", "class_id": dog},
        {
            "evidence_id": "a:publisher:1", "listener": "publisher", "kind": "event", "name": "Bark", "class_id": bark,
            "onset_s": 0.02, "offset_s": 0.05,
        },
        {"evidence_id": "a:ear:0", "listener": "ear", "kind": "tag", "name": "Cat", "class_id": "/m/01yrx"},
    ]  # fmt: skip
    known = [{"class_id": class_id, "state": "labelled"} for class_id in (dog, bark, "/m/01yrx")]
    texts = {"a:1": ("A dog barks.", 1.0), "a:2": ("Barking.", 1.0), "a:3": ("A cat.", 0.5)}
    candidates = [{"candidate_id": key, "text": text} for key, (text, _) in texts.items()]
    scores = [{"candidate_id": key, "scorer": "agreement", "score": score} for key, (_, score) in texts.items()]
    accepted = row("captions", clip_id="a", decision="accepted", caption="A dog barks.", score=1.0)
    verdicts = [{"candidate_id": key, "decision": "accepted"} for key in texts]
    sides = {"evidence": said, "classes": known, "candidates": candidates, "scores": scores, "verdicts": verdicts}
    of_clip = {table: [{"clip_id": "a", **each} for each in rows] for table, rows in sides.items()}
    (blob,) = served(str(tmp_path), [{"clip_id": "a", "licence": "by"}], [accepted], **of_clip).blobs
    sample = json.loads(blob.members["json"])
    assert sample["labels"] == sorted([dog, bark])
    assert sample["events"] == [{"class_id": bark, "onset_s": 0.02, "offset_s": 0.05}]
    assert (sample["state"], sample["captions"]) == ("labelled", ["A dog barks.", "Barking."])


SIREN, POLICE = "/m/03kmc9", "/m/04qvtq"


def only(result: Result) -> dict[str, Any]:
    (blob,) = result.blobs
    told: dict[str, Any] = json.loads(blob.members["json"])
    return told


def test_a_sample_carries_the_publishers_labels_and_their_times_and_not_what_a_listener_heard(tmp_path):
    told = {"clip_id": "a", "kind": "event", "onset_s": 1.0, "offset_s": 2.0}
    evidence = [
        told | {"evidence_id": "a:publisher:0", "listener": "publisher", "name": POLICE, "class_id": POLICE},
        told | {"evidence_id": "a:publisher:1", "listener": "publisher", "name": SIREN, "onset_s": 0.5},
        {"evidence_id": "a:publisher:2", "clip_id": "a", "kind": "tag", "listener": "publisher", "name": SIREN},
        told | {"evidence_id": "a:ear:0", "listener": "ear", "name": "Rain", "class_id": "/m/06mb1", "confidence": 0.9},
    ]
    classes = [
        {"clip_id": "a", "class_id": c, "class_name": "x", "state": "labelled"} for c in (SIREN, POLICE, "/m/06mb1")
    ]
    sample = only(
        served(
            str(tmp_path),
            [{"clip_id": "a", "licence": "by"}],
            [row("captions", clip_id="a", decision="accepted")],
            evidence=evidence,
            classes=classes,
        )
    )
    assert sample["classes"] == [SIREN, POLICE, "/m/06mb1"]
    assert (sample["labels"], sample["state"]) == ([SIREN, POLICE], "labelled")
    assert sample["events"] == [
        {"class_id": SIREN, "onset_s": 0.5, "offset_s": 2.0},
        {"class_id": POLICE, "onset_s": 1.0, "offset_s": 2.0},
    ]


def test_a_sample_carries_every_accepted_caption_of_its_language_that_was_scored_as_high_as_its_own(tmp_path):
    texts = {"p:0": "Rain falls.", "g:0": "It rains.", "g:1": "A dog barks.", "g:2": "It rains.", "g:3": "Drops."}
    texts |= {"g:4": "Rain, rain.", "g:5": "Es regnet."}
    scores = {"p:0": 1.0, "g:0": 1.0, "g:1": 0.5, "g:2": 1.0, "g:3": None, "g:4": 1.0, "g:5": 1.0}
    languages = {"p:0": None, "g:5": "de"}
    accepted = row(
        "captions", clip_id="a", decision="accepted", caption="It rains.", candidate_id="g:0", score=1.0, language="en"
    )
    sample = only(
        served(
            str(tmp_path),
            [{"clip_id": "a", "licence": "by"}],
            [accepted],
            candidates=[
                {"candidate_id": key, "clip_id": "a", "text": text, "language": languages.get(key, "en")}
                for key, text in texts.items()
            ],
            scores=[
                {"candidate_id": key, "clip_id": "a", "score": score, "scorer": "agreement"}
                for key, score in scores.items()
            ],
            verdicts=[
                {"candidate_id": key, "clip_id": "a", "decision": "refused" if key == "g:4" else "accepted"}
                for key in texts
            ],
        )
    )
    assert (sample["caption"], sample["captions"]) == ("It rains.", ["It rains.", "Rain falls."])
    assert (sample["state"], sample["labels"], sample["events"]) == ("unknown", [], [])
