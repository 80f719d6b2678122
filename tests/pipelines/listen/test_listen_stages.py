"""Listening stages: what a publisher states is moved to the clip's time, and a listener's fault costs one clip."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.listen.publisher import Publisher
from pipelines.listen.stage import Listen
from schemas import tables
from schemas.errors import UserError
from taggers import base
from taggers.base import Finding


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


class Picky(base.Listener):
    """Hears the loudness of a clip, and cannot stand a loud one."""

    name, revision = "picky", "1"

    def listen(self, batch):
        if any(np.abs(wave.samples).max() > 0.5 for wave in batch):
            raise RuntimeError("too loud")
        return [[Finding("fact", "peak", float(np.abs(wave.samples).max()))] for wave in batch]


@pytest.fixture
def picky(monkeypatch):
    monkeypatch.setitem(base._registered, "picky", Picky)


def test_a_clip_that_a_listener_cannot_serve_costs_that_clip_alone(picky, tmp_path):
    from pipelines.core.worker import Task, _serve

    workspace, clips = Workspace(str(tmp_path)), []
    with Packer(workspace, "store", 0, 100, 10**9) as packer:
        for number, level in enumerate((1000, 30000, 2000)):
            samples = np.full(16000, level, np.int16)
            clips.append(
                clip(f"c{number}", place=packer.add("clips", f"c{number}", {"flac": encode_flac(samples, 16000)}))
            )
    stage, context = Listen("picky"), Context(workspace, ".", 0, 1)
    stage.setup(context)
    task = Task(node=None, partition=0, inputs=())  # type: ignore[arg-type]
    result = _serve(stage, Batch(tables.from_rows("clips", clips), {}), context, task)
    assert {row["clip_id"]: round(row["value"], 3) for row in result.rows} == {"c0": 0.031, "c2": 0.061}
    assert [(r.key, r.error, r.message) for r in result.rejects] == [
        ("c1", "listener_failed", "RuntimeError: too loud")
    ]


def test_a_listener_that_there_is_not_is_the_users_mistake():
    with pytest.raises(UserError, match="did you mean 'facts'"):
        Listen("fatcs").check()


def test_the_device_is_not_part_of_what_is_heard():
    assert Listen("facts", "cpu").params() == Listen("facts", "cuda").params()
    assert Listen("facts").revisions() == {"facts": "facts-1"}
