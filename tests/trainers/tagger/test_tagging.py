"""The training of a tagger learns from caption shards, goes on after a kill with the same bytes, and says what it cannot learn from."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from caption_worlds import NOISE, SINE, clip, members, world, write
from clip_trainings import train, train_alone

from schemas.errors import UserError
from taggers import Listener, Waveform, create
from taggers.base import hear
from trainers.clips.shards import Clips
from trainers.fit.history import read_history
from trainers.tagger.judge import judge


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder of shards and what the command made of it."""
    shards = world(tmp_path_factory.mktemp("tagger"), {"train": 64, "val": 16})
    return shards, train(shards, "tagging")


def test_it_learns_two_sounds_their_times_and_their_order(trained: tuple[Path, Path]) -> None:
    shards, out = trained
    listener: Any = create("trained_tagger", Listener, {"weights": str(out / "model")})
    listener.load("cpu")
    assert set(listener.shape.classes) == {SINE, NOISE}
    clips = Clips([shards], "val")
    for number, own in enumerate(clips.told):
        (findings,) = hear(listener, [Waveform(clips[number], own.sample_rate)])
        events = [finding for finding in findings if finding.kind == "event"]
        assert [event.class_id for event in events] == [event.class_id for event in own.events or ()]
        for event, true in zip(events, own.events or (), strict=True):
            assert event.onset_s == pytest.approx(true.onset_s, abs=0.2)
            assert event.offset_s == pytest.approx(true.offset_s, abs=0.2)


def test_its_judgement_is_that_of_the_listener_that_is_served(trained: tuple[Path, Path]) -> None:
    (judged,) = (line["judged"] for line in read_history(trained[1]) if "judged" in line)
    assert judged["watched"] == judged["tag_map"]["value"] == 1.0
    assert judged["tag_map"] == {"value": 1.0, "ci95": [1.0, 1.0], "n": 16, "chance": pytest.approx(0.75)}
    assert judged["event_f1"]["value"] == 1.0
    assert judged["event_f1"]["chance"] < 0.5
    assert (judged["order"]["n"], judged["order"]["value"]) == (8, 1.0)
    found = judge(trained[1] / "model", Clips([trained[0]], "val"))
    assert {name: row["value"] for name, row in found.items()} == {name: judged[name]["value"] for name in found}


def test_held_out_clips_are_kept_to_listen_to_with_what_is_heard_in_them(trained: tuple[Path, Path]) -> None:
    folders = sorted((trained[1] / "sounds").iterdir())
    assert len(folders) == 3
    told = (folders[0] / "asked.txt").read_text().strip()
    published, heard = told.removeprefix("published: ").split("; heard: ")
    assert set(published.split(", ")) == set(heard.split(", "))


def test_killed_in_the_middle_of_a_pass_and_begun_again_it_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    shards = world(tmp_path, {"train": 24, "val": 4})
    settings = ("fit.steps=10", "fit.batch=8", "fit.save_every=2", "fit.log_every=1", "fit.judge_every=5")
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clip_trainings"])

    def begun(out: str, taken: Any = None) -> Any:
        child = context.Process(target=train_alone, args=(shards, "tagging", settings, out, taken))
        child.start()
        return child

    whole = begun("whole")
    whole.join()
    assert whole.exitcode == 0
    taken = context.Value("i", 0)
    child = begun("killed", taken)
    while taken.value < 6 and child.is_alive():
        time.sleep(0.001)  # not for nothing: a core that only looks is one that does not train
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL, "it was killed at work"
    assert not (shards / "killed" / "model").exists()
    rest = begun("killed")
    rest.join()
    assert rest.exitcode == 0
    for name in ("history.jsonl", "best.safetensors", "last.safetensors", "model/model.safetensors"):
        assert (shards / "killed" / name).read_bytes() == (shards / "whole" / name).read_bytes(), name
    assert sorted(path.name for path in (shards / "killed" / "model").iterdir()) == ["config.json", "model.safetensors"]


def test_clips_at_another_rate_are_resampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        clips = {f"c{n}": members(f"c{n}", clip((SINE,), rng, split, 32000)) for n in range(8)}
        write(tmp_path / f"{split}-00000-000.tar", clips)
    out = train(tmp_path, "tagging", "fit.steps=1", "fit.batch=8", "fit.warm_up.steps=1")
    listener: Any = create("trained_tagger", Listener, {"weights": str(out / "model")})
    assert listener.shape.classes == (SINE,)


def bad_input(kind: str, folder: Path) -> Path:
    counts = {"train": 8 if kind == "fewer than a batch" else 16, "val": 2}
    if kind == "no labels":
        return world(folder, counts, state="inferred")
    if kind == "no labels to judge on":
        return world(world(folder, {"train": 16}), {"val": 2}, state="unknown")
    if kind == "few clips":
        return world(folder, {"train": 4, "val": 2})
    if kind == "no split to judge on":
        return world(folder, {"train": 16})
    world(folder, counts)
    if kind == "damaged":
        (folder / "train-00000-000.tar").write_bytes(b"no tar")
    return folder


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no labels", "data: no clip of split train has publishers' labels that are all known"),
        ("no labels to judge on", "data: no clip of split val has publishers' labels that are all known"),
        ("few clips", "least: no class has 8 clips in split train; lower it, or add clips"),
        ("no split to judge on", "no shard of split 'val', only of train; name a folder that has one"),
        ("damaged", "is cut short, or not a tar"),
        ("fewer than a batch", "fit.batch: 16 are more than the 8 clips to train on"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, kind: str, says: str) -> None:
    shards = bad_input(kind, tmp_path)
    with pytest.raises(UserError, match=says) as told:
        train(shards, "tagging", *(["least=2"] if kind == "fewer than a batch" else []))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out" / "model").exists()
