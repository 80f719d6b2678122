"""Classes that a language model reads out of captions: each caption is asked once, every clip has an outcome."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pytest
from llm_server import Answer, Asked, Server, endpoint, error, serving

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.llm import client as client_module
from pipelines.llm import service as service_module
from pipelines.unify import asking
from pipelines.unify.extract import ExtractTags
from schemas import tables
from schemas.recipe import Unify

BARK, RAIN, DOG = "/m/05tny_", "/m/06mb1", "/m/0bt9lr"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test has a process's own service, and little patience."""
    monkeypatch.setattr(service_module, "_service", None)
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def context(tmp_path) -> Context:
    return Context(Workspace(str(tmp_path / "run")), str(tmp_path), 7, 1)


def texts(asked: Asked) -> list[str]:
    whole = asked.turns[0]
    return re.findall(r"^\d+\. (.*)$", whole.partition("<texts>")[2].partition("</texts>")[0], re.MULTILINE)


def script(asked: Asked) -> Answer:
    """Read captions as one does who knows three words."""
    known = {"barks": "Bark", "rain": "Rain", "dog": "Dog"}
    told = ["; ".join(name for word, name in known.items() if word in text.lower()) for text in texts(asked)]
    return Answer(json.dumps({f"text_{n}": each or "no sound" for n, each in enumerate(told, 1)}))


def batch(captions: dict[str, list[str]]) -> Batch:
    rows = [{"clip_id": clip, "source_path": f"{clip}.wav"} for clip in captions]
    said = [
        evidence_row(clip, "publisher", "1", n, kind="caption", name="caption", text=text)
        for clip, each in captions.items()
        for n, text in enumerate(each)
    ]
    said += [evidence_row("c0", "publisher", "1", 9, kind="tag", name="Cat")]
    return Batch(pa.Table.from_pylist(rows), {"evidence": tables.from_rows("evidence", said)})


def serve(server: Server, given: Batch, context: Context) -> Result:
    stage = ExtractTags(Unify(tags="toy"), endpoint(server))
    stage.check()
    stage.setup(context)
    result = stage.process(given, context)
    conserve(stage, given.rows.column("clip_id").to_pylist(), result)
    tables.from_rows("caption_tags", result.rows)
    return result


def tags(result: Result) -> set[tuple[str, str]]:
    return {(row["evidence_id"], row["class_id"]) for row in result.rows}


def test_every_caption_tells_its_classes_and_every_clip_has_an_outcome(context):
    given = batch({"c0": ["A dog barks.", "Rain."], "c1": [], "c2": ["A lovely day."], "c3": ["Rain."]})
    with serving(script) as server:
        result = serve(server, given, context)
        (asked,) = server.chats
    assert texts(asked) == ["A dog barks.", "Rain.", "A lovely day."]
    assert tags(result) == {
        ("c0:publisher:0", BARK), ("c0:publisher:0", DOG), ("c0:publisher:1", RAIN), ("c3:publisher:0", RAIN)}  # fmt: skip
    assert [row["tag_id"] for row in result.rows] == ["c0:0", "c0:1", "c0:2", "c3:0"]
    assert dict(result.drops) == {"c1": "no_caption", "c2": "no_tags"}


def test_a_clip_that_is_served_again_alone_finds_the_same_answer_in_the_ledger(context, monkeypatch):
    given = batch({f"c{n}": [f"Rain number {n}."] for n in range(asking.PACK + 3)})
    with serving(script) as server:
        whole = serve(server, given, context)
        paid = server.paid.total()
        monkeypatch.setattr(service_module, "_service", None)
        alone = [serve(server, piece, context) for piece in given.slices(1)]
        assert (paid, server.paid.total()) == (2, 2)
    assert [row for result in alone for row in result.rows] == whole.rows


def test_a_clip_of_which_one_request_fails_is_a_reject_and_others_are_served(context):
    def failing(asked: Asked) -> Answer:
        return error(400, "bad_request", "no") if any("thunder" in text for text in texts(asked)) else script(asked)

    with serving(failing) as server:
        result = serve(server, batch({"c0": ["A dog barks."], "c1": ["Rain.", "thunder"]}), context)
    assert tags(result) == {("c0:publisher:0", BARK), ("c0:publisher:0", DOG)}
    assert [(refusal.key, refusal.error, refusal.source) for refusal in result.rejects] == [
        ("c1", "bad_request", "c1.wav")
    ]


@pytest.mark.parametrize(("answer", "reason"), [(Answer("No."), "unreadable"), (Answer(refusal="no"), "refused")])
def test_a_caption_that_comes_to_nothing_is_a_drop_that_says_why(context, answer, reason):
    with serving(lambda asked: answer) as server:
        result = serve(server, batch({"c0": ["A dog barks."]}), context)
    assert dict(result.drops) == {"c0": reason}


def test_an_estimate_asks_as_the_stage_does(context):
    with serving(script) as server:
        stage = ExtractTags(Unify(tags="toy"), endpoint(server))
        captions: dict[str, Any] = {f"c{n}": [f"Rain {n}."] for n in range(2 * asking.PACK)}
        assert len(stage.requests(batch(captions), context)) == 2
        assert (stage.asked[0], stage.reads_from()) == ("toy", {"evidence": ("publisher",)})
