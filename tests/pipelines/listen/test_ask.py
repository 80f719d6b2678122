"""Asking about clips: one conversation each, questions only where they are worth it, an outcome for every clip, nothing paid twice."""

from __future__ import annotations

import base64
import io
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile
from asked_clips import MUSIC, SPEECH, Given, clips, facts, frames, heard, serve
from llm_server import Answer, Asked, Server, endpoint, error, serving

from pipelines.core import stop
from pipelines.core.graph import Node
from pipelines.core.stage import Batch, Context
from pipelines.core.worker import Task, _serve, run_tasks
from pipelines.core.workspace import Workspace
from pipelines.listen import ask as ask_module
from pipelines.listen.ask import Ask
from pipelines.llm import client as client_module
from pipelines.llm import service as service_module
from schemas import endpoints, tables
from schemas.errors import RunStopped, UserError


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test has a process's own service, and little patience."""
    monkeypatch.setattr(service_module, "_service", None)
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def context(tmp_path) -> Context:
    return Context(Workspace(str(tmp_path)), ".", 0, 1)


def ask(server: Server, settings: dict | None = None, **given) -> Ask:
    return Ask(endpoints.Ask(name="alm", endpoint="toy", **given), endpoint(server, **settings or {}))


def topic(asked: Asked) -> str:
    """Return which of the chain's questions was asked."""
    return next(name for name in ("speech", "music", "sounds") if name in asked.text)


SAID = {
    "sounds": "A woman talks over a piano.",
    "speech": '{"emotion": "calm", "gender": "female", "language": "English"}',
    "music": '{"genre": "jazz", "instruments": "piano"}',
}


def test_a_conversation_asks_what_was_heard_and_sends_the_sound_once_at_its_own_rate(context):
    batch = Batch(clips(context.workspace, 1, 0.5), {"evidence": heard({"c000": [SPEECH, MUSIC]})})
    with serving(lambda asked: Answer(SAID[topic(asked)])) as server:
        stage = ask(server)
        result = serve(stage, batch, context)
        first, _, last = (asked.body["messages"] for asked in server.asked)
    assert [message["role"] for message in last] == ["system", *["user", "assistant"] * 2, "user"]
    assert last[2]["content"] == SAID["sounds"]
    assert last[:2] == first
    sound, words = first[1]["content"]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["input_audio"]["data"])), dtype="int16")
    assert (sound["input_audio"]["format"], rate, samples.shape) == ("wav", 16000, (8000,))
    assert "0.5 seconds long" in words["text"]
    assert isinstance(last[5]["content"], str)
    assert [facts(row, "listener", "kind", "name", "text") for row in result.rows] == [
        ("alm", "answer", "sounds", "A woman talks over a piano."),
        ("alm", "answer", "speech", "emotion: calm; gender: female; language: English"),
        ("alm", "answer", "speech.emotion", "calm"),
        ("alm", "answer", "speech.gender", "female"),
        ("alm", "answer", "speech.language", "English"),
        ("alm", "answer", "music", "genre: jazz; instruments: piano"),
        ("alm", "answer", "music.genre", "jazz"),
        ("alm", "answer", "music.instruments", "piano"),
    ]
    assert {row["revision"] for row in result.rows} == {f"toy-{stage.revisions()['chain'][:12]}"}


def test_the_stored_rate_is_sent_as_it_is_stored_sample_by_sample(context):
    table = clips(context.workspace, 1)
    with serving() as server:
        serve(ask(server, sample_rate=32000, encoding="flac"), Batch(table, {"evidence": heard({})}), context)
        sound = server.asked[0].body["messages"][1]["content"][0]["input_audio"]
    place = table.to_pylist()[0]
    stored = context.workspace.read_range(place["tar"], place["offset"], place["size"])
    sent, kept = (soundfile.read(io.BytesIO(data), dtype="int16") for data in (base64.b64decode(sound["data"]), stored))
    assert sound["format"] == "flac"
    assert (sent[0] == kept[0]).all()
    assert sent[1] == kept[1] == 32000


def test_questions_are_asked_only_where_their_gate_is_open(context):
    classes = {"c000": [], "c001": [SPEECH], "c002": [MUSIC]}
    batch = Batch(clips(context.workspace, 3), {"evidence": heard(classes)})
    with serving(lambda asked: Answer(SAID[topic(asked)])) as server:
        rows = serve(ask(server), batch, context).rows
        assert len(server.asked) == 5
    named = [(row["clip_id"], row["name"]) for row in rows if "." not in row["name"]]
    assert sorted(named) == [
        ("c000", "sounds"), ("c001", "sounds"), ("c001", "speech"), ("c002", "music"), ("c002", "sounds")]  # fmt: skip


def test_a_denial_is_a_row_without_words_and_a_refusal_is_none(context):
    said = {"sounds": "I'm sorry, I can't help with that.", "speech": "I'm sorry, but there is no speech."}
    classes = {"c000": [SPEECH], "c001": []}
    with serving(lambda asked: Answer(said[topic(asked)])) as server:
        batch = Batch(clips(context.workspace, 2), {"evidence": heard(classes)})
        result = serve(ask(server), batch, context)
        assert server.asked[-1].body["messages"][2]["content"] == said["sounds"]
    assert [facts(row, "clip_id", "name", "text") for row in result.rows] == [("c000", "speech", None)]
    assert result.drops == [("c001", "refused")]


def test_a_refusal_without_words_leaves_a_conversation_that_servers_accept(context):
    script = {"sounds": Answer(None, refusal="no"), "speech": Answer(SAID["speech"])}
    with serving(lambda asked: script[topic(asked)]) as server:
        batch = Batch(clips(context.workspace, 1), {"evidence": heard({"c000": [SPEECH]})})
        serve(ask(server), batch, context)
        assert [message["content"] for message in server.asked[1].body["messages"][2:3]] == ["(no answer)"]


def test_a_clip_whose_later_question_fails_is_rejected_and_asking_again_pays_for_that_question_alone(context):
    classes = {"c000": [SPEECH], "c001": [SPEECH]}
    batch = Batch(clips(context.workspace, 2), {"evidence": heard(classes)})
    broken = True

    def script(asked: Asked) -> Answer:
        poisoned = broken and topic(asked) == "speech" and "first" in asked.body["messages"][2]["content"]
        words = "the first" if not server.chats[1:] else "another"
        return (
            error(400, "bad", "cannot") if poisoned else Answer(words if topic(asked) == "sounds" else SAID["speech"])
        )

    with serving(script) as server:
        stage = ask(server, {"in_flight": 1})
        result = serve(stage, batch, context)
        (reject,) = result.rejects
        assert (reject.error, reject.message, reject.attempt) == ("bad_request", "HTTP 400: bad error cannot", 1)
        assert reject.source in ("0.wav", "1.wav")
        assert {row["clip_id"] for row in result.rows} == {"c000", "c001"} - {reject.key}
        asked, broken = len(server.asked), False
        result = serve(stage, batch, context)
        assert len(server.asked) == asked + 1
    assert result.rejects == []
    assert {row["clip_id"] for row in result.rows} == {"c000", "c001"}


FAULTS = {
    "c000": (error(400), "bad_request"),
    "c001": (error(500), "server_error"),
    "c002": (Answer(fault="reset"), "connection_failed"),
    "c003": (Answer(fault="no_json"), "broken_response"),
    "c004": (Answer("\ufffd\ufffd"), "unreadable"),
    "c005": (error(400, "content_filter"), "refused"),
}


def test_every_clip_has_one_outcome_whatever_the_server_does(context):
    table = clips(context.workspace, 60)
    by_sound: dict[str, str] = {}
    with serving() as server:
        for number in range(len(FAULTS)):
            serve(ask(server), Batch(table.slice(number, 1), {"evidence": heard({})}), context)
            by_sound[server.asked[-1].body["messages"][1]["content"][0]["input_audio"]["data"]] = f"c{number:03d}"
    for path in Path(context.workspace.path("llm")).iterdir():
        path.unlink()
    service_module._service = None

    def script(asked: Asked) -> Answer:
        sound = asked.body["messages"][1]["content"][0]["input_audio"]["data"]
        return FAULTS[by_sound[sound]][0] if sound in by_sound else Answer(latency_s=0.05)

    with serving(script) as server:
        stage = ask(server, {"deadline_s": 0.4, "in_flight": 8})
        result = serve(stage, Batch(table, {"evidence": heard({})}), context)
    assert {r.key: r.error for r in result.rejects} == {key: error for key, (_, error) in FAULTS.items()}
    assert len({row["clip_id"] for row in result.rows}) == 60 - len(FAULTS)


def test_pictures_go_in_order_of_time_and_a_clip_without_them_is_left_out(context):
    table, shown = clips(context.workspace, 2), frames(context.workspace, ["c001"])
    chain = {"chain": "prompts/sound_vecaps_look.yaml", "attach": "pictures"}
    with serving(lambda asked: Answer('{"place": "street"}' if "Where" in asked.text else "A bus.")) as server:
        stage = ask(server, **chain)
        assert stage.reads == ("clips", "evidence", "frames")
        result = serve(stage, Batch(table, {"evidence": heard({}), "frames": shown}), context)
        first = server.asked[0].body["messages"][1]["content"]
    urls = [part["image_url"]["url"].removeprefix("data:image/jpeg;base64,") for part in first[:2]]
    assert [base64.b64decode(url) for url in urls] == [b"c001 0", b"c001 1"]
    assert "These 2 pictures" in first[2]["text"]
    assert result.drops == [("c000", "no_pictures")]
    assert [facts(row, "name", "text") for row in result.rows] == [
        ("seen", "A bus."), ("place", "place: street"), ("place.place", "street")]  # fmt: skip


def test_a_clip_that_cannot_be_decoded_is_rejected_and_the_others_are_asked_about(context):
    rows = clips(context.workspace, 2).to_pylist()
    rows[0]["size"] = 10
    with serving() as server:
        result = serve(ask(server), Batch(tables.from_rows("clips", rows), {"evidence": heard({})}), context)
    assert [(r.key, r.error) for r in result.rejects] == [("c000", "unreadable_clip")]
    assert {row["clip_id"] for row in result.rows} == {"c001"}


def test_a_fault_of_ours_costs_the_clip_alone_that_shows_it(context, monkeypatch):
    real = ask_module.sound

    def faulty(clip: dict, *given: object) -> object:
        if clip["clip_id"] == "c003":
            raise ZeroDivisionError("a fault that no rule foresaw")
        return real(clip, *given)

    monkeypatch.setattr(ask_module, "sound", faulty)
    batch = Batch(clips(context.workspace, 6), {"evidence": heard({})})
    with serving() as server:
        stage = ask(server)
        stage.setup(context)
        result = _serve(stage, batch, context, Task(node=None, partition=0, inputs=()))  # type: ignore[arg-type]
        assert server.paid.total() == len(server.asked) == 5
    assert [(reject.key, reject.error) for reject in result.rejects] == [("c003", "unexpected_ZeroDivisionError")]
    assert len(result.rows) == 5


def test_where_a_server_is_and_how_fast_and_dear_it_is_changes_no_answer():
    def identity(**settings) -> tuple[dict, dict]:
        given = {"base_url": "http://one/v1", "model": "toy", **settings}
        stage = Ask(endpoints.Ask(name="alm", endpoint="toy"), endpoints.Endpoint.model_validate(given))
        return stage.params(), stage.revisions()

    free = {"base_url": "http://two/v1", "key_env": "K", "in_flight": 9, "requests_per_minute": 5, "timeout_s": 7.0}
    priced = {"max_usd": 1.0, "usd_per_million_in": 1.0, "usd_per_million_out": 1.0, "tokens_per_minute": 9}
    assert identity(**free, **priced, responses="/x", deadline_s=3.0, tokens_per_second=1.0) == identity()
    for bound in ({"model": "other"}, {"temperature": 0.5}, {"seed": 1}, {"max_tokens": 9}, {"extra": {"top_p": 0.5}}):
        assert identity(**bound) != identity()


def test_mistakes_are_the_users_before_anything_is_asked(monkeypatch):
    place = endpoints.Endpoint(base_url="http://one/v1", model="toy")
    with pytest.raises(UserError, match="listen.ask alm: prompts/none.yaml cannot be read"):
        Ask(endpoints.Ask(name="alm", endpoint="toy", chain="prompts/none.yaml"), place).check()
    with pytest.raises(UserError, match="listen.ask: no endpoint is named 'tyo'; did you mean 'toy'"):
        endpoints.endpoint_of({"toy": place}, "tyo", "listen.ask")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"listen.ask alm: endpoints need 'openai': pip install 'earloom\[llm\]'"):
        Ask(endpoints.Ask(name="alm", endpoint="toy"), place).check()


def commit(stage: Ask, context: Context, monkeypatch) -> None:
    """Serve one partition as a worker does: batch by batch, the next one begun while one is waited for."""
    monkeypatch.setattr(Node, "folder", property(lambda node: f"tables/{node.stage.name}-0"))
    monkeypatch.setattr(Given, "writes", property(lambda given: given.table))
    inputs = tuple(Node(Given(table), (), {}) for table in stage.reads)
    identity = {"revisions": stage.revisions(), "version": stage.version}
    stage.setup(context)
    run_tasks([Task(Node(stage, inputs, identity), 0, ())], context)


@pytest.fixture
def partition(context, tmp_path):
    for name, table in (("clips", clips(context.workspace, 40)), ("evidence", heard({}))):
        (tmp_path / f"tables/given_{name}-0").mkdir(parents=True)
        pq.write_table(table, tmp_path / f"tables/given_{name}-0/p00000.parquet")
    return tmp_path / "tables/ask_alm-0"


def test_a_run_that_is_stopped_commits_and_sends_nothing_more_and_then_pays_for_the_rest(
    context, partition, monkeypatch
):
    monkeypatch.setattr(Ask, "batch_rows", 8)
    with serving(lambda asked: error(401) if asked.number == 10 else Answer(latency_s=0.02)) as server:
        stage = ask(server, {"in_flight": 4})
        with pytest.raises(RunStopped, match="does not let us in"):
            commit(stage, context, monkeypatch)
        assert not list(partition.glob("*.json"))
        asked, paid = len(server.asked), server.paid.total()
        time.sleep(0.1)
        assert len(server.asked) == asked < 20
        server.script = lambda asked: Answer()
        commit(stage, context, monkeypatch)
        assert server.paid.total() == 40
        assert paid == asked - 1
    assert pq.read_table(partition / "p00000.parquet").num_rows == 40


def test_the_next_batch_is_under_way_while_one_is_waited_for(context, partition, monkeypatch):
    monkeypatch.setattr(Ask, "batch_rows", 8)
    with serving() as server:
        server.script = lambda asked: Answer(ready=lambda: server.most_open >= 16)
        commit(ask(server, {"in_flight": 16}), context, monkeypatch)
        assert server.most_open == 16


def test_a_stop_that_the_user_asks_for_is_heard_while_answers_are_waited_for_and_keeps_them(context, monkeypatch):
    monkeypatch.setattr(stop, "_requested", threading.Event())
    batch = Batch(clips(context.workspace, 12), {"evidence": heard({})})

    def script(asked: Asked) -> Answer:
        if asked.number == 3:
            stop._requested.set()
        if asked.number < 4:
            return Answer(ready=lambda: service_module.service()._halted)
        return Answer()

    with serving(script) as server:
        stage = ask(server, {"in_flight": 4})
        with pytest.raises(KeyboardInterrupt):
            serve(stage, batch, context)
        assert len(server.asked) == server.paid.total() == 4
        stop._requested.clear()
        serve(stage, batch, context)
        assert server.paid.total() == 12
