"""Listening stages: what a publisher states is moved to the clip's time, and a listener's fault costs one clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy_models

from pipelines.core.graph import Node
from pipelines.core.stage import Batch, Context, Result, Stage, conserve
from pipelines.core.tar import Packer
from pipelines.core.worker import Task, _serve, run_tasks
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.listen import models, zero_shot
from pipelines.listen.ask_here import AskHere
from pipelines.listen.embed import Embed
from pipelines.listen.evidence import evidence_row
from pipelines.listen.publisher import Publisher
from pipelines.listen.stage import Listen
from pipelines.listen.zero_shot import ZeroShot
from pipelines.refine.similarity import Similarity
from schemas import tables
from schemas.errors import Reject, RunStopped, UserError
from schemas.ontology import configs_dir, default_ontology
from schemas.recipe import ChatChoice, ModelChoice
from schemas.recipe import ZeroShot as ZeroShotSettings
from taggers import registry
from taggers.base import Embedder, Listener
from taggers.chat import Chat


def record(**values: object) -> dict:
    row = dict.fromkeys(tables.schema("records").names) | {"labels": [], "events": [], "keywords": [], "captions": []}
    row |= {"licence": "unknown"}
    return row | {"record_id": "r", "dataset": "d", "split": "train", "source_path": "a.wav", "file_bytes": 1} | values


def clip(clip_id: str = "r", start_s: float = 0.0, place: object = None, excerpt_s: float = 0.0) -> dict:
    row = dict.fromkeys(tables.schema("clips").names) | {
        "clip_id": clip_id,
        "record_id": "r",
        "dataset": "d",
        "split": "train",
    }
    row |= {
        "recording_id": "fs:1",
        "duration_s": 5.0,
        "sample_rate": 16000,
        "source_path": "a.wav",
        "source_start_s": start_s,
    }
    row |= {"source_rate": 16000, "source_channels": 1, "source_decoder": "soundfile", "decoded_s": 5.0, "gain_db": 0.0}
    row |= {"excerpt_s": excerpt_s, "sha256": "0", "channel": "mean", "dc_offset": 0.0, "clipped_share": 0.0}
    row |= {"licence": "unknown"}
    return row | {
        "tar": getattr(place, "tar", ""),
        "offset": getattr(place, "offset", 0),
        "size": getattr(place, "size", 0),
    }


def published(clips: list[dict], row: dict) -> list[dict]:
    batch = Batch(tables.from_rows("clips", clips), {"records": tables.from_rows("records", [row])})
    result = Publisher().process(batch, Context(Workspace("unused"), ".", 0, 1))
    conserve(Publisher(), [c["clip_id"] for c in clips], result)
    tables.from_rows("evidence", result.rows)
    return result.rows


EVENTS = [{"name": "Dog", "onset_s": 1.0, "offset_s": 3.0}, {"name": "Rain", "onset_s": 4.0, "offset_s": 9.0}]


def times(rows: list[dict]) -> list[tuple[str, float, float]]:
    return [(row["name"], row["onset_s"], row["offset_s"]) for row in rows if row["kind"] == "event"]


def test_events_are_cut_to_the_clip_and_those_outside_it_are_left_out():
    assert times(published([clip()], record(events=EVENTS))) == [("Dog", 1.0, 3.0), ("Rain", 4.0, 5.0)]
    assert times(published([clip(start_s=5.0)], record(events=EVENTS))) == [("Rain", 0.0, 4.0)]


def test_events_of_an_excerpt_count_from_its_start_whether_or_not_the_file_was_cut_already():
    excerpt = record(events=EVENTS, start_s=30.0, end_s=40.0)
    assert times(published([clip(start_s=36.0, excerpt_s=30.0)], excerpt)) == [("Rain", 0.0, 3.0)]
    assert times(published([clip(start_s=6.0)], excerpt)) == [("Rain", 0.0, 3.0)]


def test_labels_keywords_and_captions_become_evidence_in_order():
    rows = published(
        [clip()],
        record(labels=[{"name": "Dog", "class_id": "/m/0bt9lr"}], keywords=["park"], captions=["A dog barks."]),
    )
    assert [(row["kind"], row["name"], row["text"]) for row in rows] == [
        ("tag", "Dog", None), ("keyword", "park", None), ("caption", "caption", "A dog barks.")]  # fmt: skip
    assert [row["evidence_id"] for row in rows] == ["r:publisher:0", "r:publisher:1", "r:publisher:2"]


def test_a_clip_of_which_nothing_is_published_is_a_declared_drop():
    assert published([clip()], record()) == []


def tone(hertz: float, seconds: float, rate: int = 16000, level: float = 0.25) -> np.ndarray:
    return np.rint(level * 32767 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def stored(workspace: Workspace, sounds: list[np.ndarray]) -> pa.Table:
    """Return the rows of ``clips`` of sounds at 16 kHz, which lie in the workspace's store."""
    clips = []
    with Packer(workspace, "store", 0, 100, 10**9) as packer:
        for number, samples in enumerate(sounds):
            place = packer.add("clips", f"c{number}", {"flac": encode_flac(samples, 16000)})
            clips.append(clip(f"c{number}", place=place) | {"duration_s": len(samples) / 16000})
    return tables.from_rows("clips", clips)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """Toy models by name; what other tests made of the names is forgotten."""
    kinds = (toy_models.Picky, toy_models.Rate, toy_models.Poisoned, toy_models.Pitch, toy_models.Parrot)
    monkeypatch.setattr(registry, "_registered", {kind.name: kind for kind in kinds})
    for cached in (models._made, models._loaded, zero_shot._directions):
        cached.cache_clear()


def listener(name: str, device: str = "cpu", **settings: object) -> models.Chosen[Listener]:
    return models.chosen(ModelChoice(use=name, settings=settings), Listener, device)


def embedder() -> models.Chosen[Embedder]:
    return models.chosen(ModelChoice(use="pitch", name="ear"), Embedder, "cpu")


def serve(stage: Stage, batch: Batch, context: Context) -> Result:
    stage.setup(context)
    result = _serve(stage, batch, context, Task(node=None, partition=0, inputs=()))  # type: ignore[arg-type]
    tables.from_rows(stage.writes, result.rows, stage.schema())
    return result


def test_a_clip_that_a_listener_cannot_serve_costs_that_clip_alone(tmp_path):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [np.full(16000, level, np.int16) for level in (1000, 30000, 2000)])
    result = serve(Listen(listener("picky")), Batch(clips, {}), context)
    assert {row["clip_id"]: round(row["value"], 3) for row in result.rows} == {"c0": 0.031, "c2": 0.061}
    assert [(r.key, r.error, r.message) for r in result.rejects] == [
        ("c1", "listener_failed", "RuntimeError: too loud")
    ]


def test_a_listeners_own_word_for_what_it_cannot_hear_is_the_rejects(tmp_path, monkeypatch):
    def refuse(self, batch):
        raise Reject("too_quiet", "below -60 dB")

    monkeypatch.setattr(toy_models.Picky, "listen", refuse)
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [np.full(16000, level, np.int16) for level in (1, 2)])
    result = serve(Listen(listener("picky")), Batch(clips, {}), context)
    assert [(r.key, r.error, r.message, r.source) for r in result.rejects] == [
        (key, "too_quiet", "below -60 dB", "a.wav") for key in ("c0", "c1")
    ]


def test_clips_are_heard_in_pieces_of_so_many_seconds_at_most():
    lengths = [300.0, 300.0, 50.0, 3600.0, 10.0]
    clips = tables.from_rows("clips", [clip(f"c{n}") | {"duration_s": s} for n, s in enumerate(lengths)])
    for stage in (Listen(listener("rate")), Embed(embedder())):
        pieces = Batch(clips, {}).slices(stage.batch_rows, stage.batch_s)
        assert [piece.rows.column("duration_s").to_pylist() for piece in pieces] == [[300, 300], [50], [3600], [10]]


def test_a_listener_hears_at_its_own_rate_and_whole_clips(tmp_path):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(440, 1.5), tone(440, 0.25, level=1.0), np.ones(1, np.int16)])
    rows = serve(Listen(listener("rate")), Batch(clips, {}), context).rows
    assert [row["value"] for row in rows] == [8000, 1.5, 8000, 0.25, 8000, 1 / 8000]


def test_a_stored_clip_that_cannot_be_decoded_costs_that_clip_alone(tmp_path):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    rows = stored(context.workspace, [tone(440, 0.5), tone(440, 0.5)]).to_pylist()
    rows[0]["size"] = 10
    result = serve(Listen(listener("rate")), Batch(tables.from_rows("clips", rows), {}), context)
    assert {row["clip_id"] for row in result.rows} == {"c1"}
    assert [(r.key, r.error) for r in result.rejects] == [("c0", "unexpected_LibsndfileError")]


def test_an_embedding_stands_once_per_clip_and_once_per_window_where_there_are_several(tmp_path):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(400, 0.5), np.concatenate([tone(400, 1.0), tone(3600, 1.25)])])
    stage = Embed(embedder())
    rows = serve(stage, Batch(clips, {}), context).rows
    assert [(row["clip_id"], row["span"], row["start_s"], row["end_s"]) for row in rows] == [
        ("c0", "clip", 0.0, 0.5),
        ("c1", "clip", 0.0, 2.25),
        ("c1", "window", 0.0, 1.0), ("c1", "window", 0.5, 1.5), ("c1", "window", 1.0, 2.0), ("c1", "window", 1.25, 2.25),
    ]  # fmt: skip
    assert [row["embedding_id"] for row in rows[:2]] == ["c0:ear:0", "c1:ear:0"]
    made = tables.from_rows("embeddings", rows, stage.schema())
    assert made.schema.field("vector").type == pa.list_(pa.float16(), 2)
    vectors = np.array(made.column("vector").to_pylist(), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    windows = vectors[2:].mean(axis=0)
    np.testing.assert_allclose(vectors[1], windows / np.linalg.norm(windows), atol=1e-3)


def test_zero_shot_tags_are_the_nearest_classes_with_their_share_and_cosine(tmp_path, monkeypatch):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(200, 1.0), tone(3800, 1.0)])
    embedded = tables.from_rows("embeddings", serve(Embed(embedder()), Batch(clips, {}), context).rows)
    names = {"/m/09x0r": "low", "/m/07yv9": "high"}
    renamed = {node.class_id: names.get(node.class_id, node.name) for node in default_ontology().classes}
    monkeypatch.setattr(zero_shot, "_name", lambda class_id: renamed[class_id])
    stage = ZeroShot(embedder(), ZeroShotSettings(classes=[*names], top=2, least=0.6))
    rows = serve(stage, Batch(clips, {"embeddings": embedded}), context).rows
    assert [(row["clip_id"], row["class_id"]) for row in rows] == [("c0", "/m/09x0r"), ("c1", "/m/07yv9")]
    assert all(0.6 <= row["confidence"] <= 1 and 0.9 < row["value"] <= 1 for row in rows)
    assert {row["listener"] for row in rows} == {"zero_shot_ear"}
    nothing = serve(stage, Batch(clips.slice(0, 1), {"embeddings": embedded.slice(0, 0)}), context)
    assert nothing.drops == [("c0", "not_embedded")]


def test_a_candidate_is_scored_by_its_cosine_with_its_own_clip(tmp_path):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(200, 1.0), tone(3800, 1.0)])
    embedded = tables.from_rows("embeddings", serve(Embed(embedder()), Batch(clips, {}), context).rows)
    row = dict.fromkeys(tables.schema("candidates").names) | {"method": "m", "style": "short", "evidence_ids": []}
    row |= {"round": 1}
    said = [("c0", "a low tone"), ("c0", "a high tone"), ("c1", "a high tone"), ("c9", "a low tone")]
    asked = [
        row | {"candidate_id": f"{clip_id}:{n}", "clip_id": clip_id, "text": text}
        for n, (clip_id, text) in enumerate(said)
    ]
    sides = {"embeddings": embedded, "clips": clips} | {
        table: tables.schema(table).empty_table() for table in ("evidence", "classes")
    }
    result = serve(Similarity(embedder()), Batch(tables.from_rows("candidates", asked), sides), context)
    whole = [row for row in result.rows if row["scorer"] == "ear"]
    scores = [row["score"] for row in whole]
    assert [row["candidate_id"] for row in whole] == ["c0:0", "c0:1", "c1:2"]
    assert scores[0] > 0.99
    assert scores[2] > 0.99
    assert scores[1] < 0.3
    assert result.drops == [("c9:3", "not_embedded")]


def test_models_that_there_are_not_or_are_of_another_kind_or_wrongly_set_are_the_users_mistake():
    with pytest.raises(UserError, match="listen.listeners: .*did you mean 'facts'"):
        Listen(listener("fatcs")).check()
    with pytest.raises(UserError, match="'pitch' is no listener; it belongs under listen.embedders"):
        Listen(listener("pitch")).check()
    with pytest.raises(UserError, match="'poisoned' has no setting 'peek'; known: peak"):
        Listen(listener("poisoned", peek=1)).check()
    with pytest.raises(UserError, match="'poisoned', setting 'peak': 'loud' will not do"):
        Listen(listener("poisoned", peak="loud")).check()
    with pytest.raises(UserError, match="zero_shot.classes: 'Dgo' is no class"):
        ZeroShot(embedder(), ZeroShotSettings(classes=["Dgo"])).check()
    with pytest.raises(UserError, match="listen.chats bird: .*: asks about 'transcript', which is not known here"):
        AskHere(
            models.chosen(ChatChoice(use="parrot", name="bird"), Chat, "cpu"), "prompts/summarise_speech.yaml"
        ).check()
    with pytest.raises(UserError, match="zero_shot.prompts: prompts/none.yaml cannot be read"):
        ZeroShot(embedder(), ZeroShotSettings(prompts="prompts/none.yaml")).check()


def test_the_device_and_the_share_of_a_gpu_are_not_part_of_what_is_heard():
    assert Listen(listener("facts", "cpu")).params() == Listen(listener("facts", "cuda")).params()
    assert Listen(listener("facts")).revisions() == {"facts": "facts-1"}
    assert Listen(listener("poisoned")).params() != Listen(listener("poisoned", peak=0.9)).params()


def test_a_model_in_this_process_is_asked_what_the_gates_allow_and_its_answers_are_read_as_a_servers_are(tmp_path):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(440, 1.0), tone(440, 0.75), tone(440, 0.25)])
    speech = evidence_row("c1", "tagger", "1", 0, kind="tag", name="Speech", class_id="/m/09x0r", confidence=0.9)
    chat = models.chosen(ChatChoice(use="parrot", name="bird"), Chat, "cpu")
    stage = AskHere(chat, "prompts/audiosetcaps_listen.yaml")
    result = serve(stage, Batch(clips, {"evidence": tables.from_rows("evidence", [speech])}), context)
    assert [(row["clip_id"], row["listener"], row["kind"], row["name"], row["text"]) for row in result.rows] == [
        ("c0", "bird", "answer", "sounds", "A tone of 1 s at 8000 Hz."),
        ("c1", "bird", "answer", "sounds", "A tone of 0.75 s at 8000 Hz."),
        ("c1", "bird", "answer", "speech", None),
    ]
    assert [(r.key, r.error, r.message) for r in result.rejects] == [("c2", "too_short", "half a second at least")]
    gated = tmp_path / "gated.yaml"
    gated.write_text((configs_dir() / "prompts/audiosetcaps_listen.yaml").read_text().replace(
        "  - name: sounds\n", "  - name: sounds\n    gate: {classes: [Dog]}\n"
    ))  # fmt: skip
    closed = serve(AskHere(chat, str(gated)), Batch(clips, {"evidence": tables.from_rows("evidence", [])}), context)
    assert closed.drops == [("c0", "gate_closed"), ("c1", "gate_closed"), ("c2", "gate_closed")]
    with pytest.raises(UserError, match="'parrot' is no listener; it belongs under listen.chats"):
        Listen(listener("parrot")).check()


def test_weights_that_change_after_planning_stop_the_run_and_so_does_a_device_that_is_not_there(tmp_path, monkeypatch):
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    stage = Listen(listener("rate", "cuda"))
    assert stage.revisions() == {"rate": "1"}
    monkeypatch.setattr(stage.listener.model, "revision", "0")  # of the weights that lay there when it was planned
    with pytest.raises(RunStopped, match="rate: its weights are not those that the run was planned with"):
        stage.setup(context)

    def fail(self: object, device: str) -> None:
        raise AssertionError("no such device")

    monkeypatch.setattr(toy_models.Rate, "load", fail, raising=False)
    models._made.cache_clear()
    with pytest.raises(RunStopped, match="rate: cannot be loaded on cuda"):
        stage.setup(context)


def test_an_accelerator_that_fails_stops_the_run_and_blames_no_clip(tmp_path, monkeypatch):
    def lost(self: object, batch: object) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(toy_models.Rate, "listen", lost)
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(440, 0.1), tone(440, 0.1)])
    with pytest.raises(RunStopped, match="the accelerator failed"):
        serve(Listen(listener("rate")), Batch(clips, {}), context)


def test_two_listeners_of_one_rate_hear_one_decoding(tmp_path, monkeypatch):
    decoded = []
    real = models.from_store
    monkeypatch.setattr(models, "from_store", lambda flac: decoded.append(1) or real(flac))
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    clips = stored(context.workspace, [tone(440, 0.1) for _ in range(2 * models.CLIPS_AT_ONCE + 3)])
    (tmp_path / "tables/clips-0").mkdir(parents=True)
    pq.write_table(clips, tmp_path / "tables/clips-0/p00000.parquet")
    source = Node(Given(), (), {})
    monkeypatch.setattr(Node, "folder", property(lambda node: f"tables/{node.stage.name}-0"))
    choices = [ModelChoice(use="rate"), ModelChoice(use="rate", name="again")]
    stages = [Listen(models.chosen(choice, Listener, "cpu")) for choice in choices]
    identity = [{"revisions": stage.revisions(), "version": stage.version} for stage in stages]
    nodes = [Node(stage, (source,), each) for stage, each in zip(stages, identity, strict=True)]
    markers = run_tasks([Task(node, 0, ()) for node in nodes], context)
    assert [marker.rows_out for marker in markers] == [len(clips)] * 2
    assert len(decoded) == len(clips)
    heard = [
        pq.read_table(tmp_path / f"tables/{name}-0/p00000.parquet").column("value").to_pylist()
        for name in ("listen_rate", "listen_again")
    ]
    assert heard[0] == heard[1] == [8000, 0.1] * len(clips)


@dataclass(frozen=True)
class Given(Stage):
    """Clips that lie there already."""

    name = "clips"
    writes = "clips"

    def process(self, batch: Batch, context: Context) -> Result:
        raise AssertionError("nobody asks for them")
