"""The stage `groups`: what belongs together, and the one split of each group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.identity.fingerprint import landmarks
from pipelines.identity.groups import Groups, components, strictest
from schemas import tables

RATE = 16000


def babble(seed: int, seconds: float = 4.0) -> np.ndarray:
    """Return short tones at random places, no two alike: (n,) float32 at RATE."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros_like(time)
    for onset in rng.uniform(0, seconds, 40):
        envelope = np.exp(-(((time - onset) / 0.04) ** 2))
        sound += envelope * np.sin(2 * np.pi * rng.uniform(300, 3500) * time)
    return (0.1 * sound).astype(np.float32)


def clip(clip_id: str, recording: str, split: str, sha: str | None = None) -> dict[str, Any]:
    return {
        "clip_id": clip_id,
        "record_id": clip_id,
        "recording_id": recording,
        "split": split,
        "sha256": sha or clip_id,
    }


def grouped(
    clips: list[dict[str, Any]], sounds: dict[str, np.ndarray] | None = None, val: float = 0.0, test: float = 0.0
) -> dict[str, dict[str, Any]]:
    rows = []
    for name, sound in (sounds or {}).items():
        hashes, times = landmarks(sound, RATE)
        rows.append({"clip_id": name, "hashes": hashes, "times": times})
    batch = Batch(pa.Table.from_pylist(clips), {"fingerprints": tables.from_rows("fingerprints", rows)})
    stage = Groups(val, test)
    result = stage.process(batch, Context(Workspace("/nowhere"), "", 3, 2))
    conserve(stage, [row["clip_id"] for row in clips], result)
    tables.from_rows("groups", result.rows)
    return {row["clip_id"]: row for row in result.rows}


def test_clips_of_one_recording_belong_together_whatever_the_dataset():
    rows = grouped([clip("a-1", "fs:1", "train"), clip("b-1", "fs:1", "train"), clip("a-2", "fs:2", "train")])
    assert [rows[key]["group_id"] for key in ("a-1", "b-1", "a-2")] == ["fs:1", "fs:1", "fs:2"]
    assert all(row["withheld"] is None and row["links"] == [] for row in rows.values())


def test_a_recording_in_train_and_test_is_used_in_test_alone():
    rows = grouped([clip("a-1", "fs:1", "train"), clip("b-1", "fs:1", "test"), clip("c-1", "fs:1", "val")])
    assert {key: row["split"] for key, row in rows.items()} == dict.fromkeys(rows, "test")
    assert {key: row["withheld"] for key, row in rows.items()} == {
        "a-1": "leaks_into_test",
        "b-1": None,
        "c-1": "leaks_into_test",
    }


def test_equal_samples_under_two_names_are_one_group_named_by_the_least_recording():
    rows = grouped([clip("b-9", "yt:z", "train", "same"), clip("a-1", "fs:1", "val", "same")])
    assert {row["group_id"] for row in rows.values()} == {"fs:1"}
    assert rows["b-9"]["withheld"] == "leaks_into_val"
    assert rows["b-9"]["links"] == [{"clip_id": "a-1", "by": "audio", "score": 1.0}]
    assert rows["a-1"]["recordings"] == 2


def test_clips_that_sound_the_same_are_one_group_and_others_are_not():
    copy = 0.3 * babble(1)[4000:] + 0.001 * np.random.default_rng(0).standard_normal(4 * RATE - 4000).astype(np.float32)
    rows = grouped(
        [clip("a", "fs:1", "test"), clip("b", "yt:1", "train"), clip("c", "fs:3", "train")],
        {"a": babble(1), "b": copy, "c": babble(2)},
    )
    assert rows["a"]["group_id"] == rows["b"]["group_id"] == "fs:1"
    assert rows["c"]["group_id"] == "fs:3"
    (link,) = rows["b"]["links"]
    assert (link["clip_id"], link["by"]) == ("a", "fingerprint")
    assert 0 < link["score"] <= 1
    assert (rows["b"]["withheld"], rows["c"]["withheld"]) == ("leaks_into_test", None)


def test_links_are_followed_from_clip_to_clip():
    clips = [clip("a", "r:1", "test", "x"), clip("b", "r:2", "train", "x"), clip("c", "r:2", "train", "y")]
    rows = grouped([*clips, clip("d", "r:3", "train", "y")])
    assert {row["group_id"] for row in rows.values()} == {"r:1"}
    assert [rows[key]["withheld"] for key in "abcd"] == [None, *["leaks_into_test"] * 3]


def test_held_out_shares_are_drawn_per_group_and_touch_no_published_split():
    clips = [clip(f"t-{n}-{k}", f"fs:{n}", "train") for n in range(600) for k in range(2)]
    rows = grouped([*clips, clip("p", "fs:p", "test"), clip("q", "fs:q", "extra")], val=0.1, test=0.2)
    assert (rows["p"]["split"], rows["q"]["split"]) == ("test", "extra")
    assert all(rows[f"t-{n}-0"]["split"] == rows[f"t-{n}-1"]["split"] for n in range(600))
    share = {
        split: sum(rows[f"t-{n}-0"]["split"] == split for n in range(600)) / 600 for split in ("train", "val", "test")
    }
    # Three standard deviations of a binomial share of 600.
    assert share["val"] == pytest.approx(0.1, abs=0.04)
    assert share["test"] == pytest.approx(0.2, abs=0.05)
    assert all(row["withheld"] is None for row in rows.values())


def test_the_order_of_the_clips_changes_nothing():
    clips = [clip(f"c{n}", f"fs:{n % 7}", ("train", "test")[n % 3 == 0], f"s{n % 5}") for n in range(40)]
    assert grouped(clips) == grouped(clips[::-1])


def test_components_are_those_of_a_search_from_every_node():
    rng = np.random.default_rng(5)
    nodes = [f"n{n:02d}" for n in range(60)]
    edges = [(nodes[a], nodes[b]) for a, b in rng.integers(0, 60, (35, 2))]
    found = components(nodes, edges)
    for node in nodes:
        reached, new = {node}, {node}
        while new:
            new = {b for e in edges for a, b in (e, e[::-1]) if a in new} - reached
            reached |= new
        assert found[node] == min(reached)


def test_test_is_stricter_than_val_than_any_other_name_than_train():
    assert strictest({"train", "val", "test", "a"}) == "test"
    assert strictest({"train", "val"}) == "val"
    assert strictest({"b", "train"}) == "b"
    assert strictest({"b", "val"}) == "val"
    assert strictest({"b", "a"}) == "a"


def test_the_partition_of_a_group_row_is_that_of_its_record(tmp_path: Path):
    assert Groups.places == "record_id"
