"""Trainings of the real separator that are killed with SIGKILL and begun again leave the bytes of undisturbed ones."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from separator_trainings import begun, ended, left_behind, steps_of, words

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")

STEPS = 10


@pytest.fixture(scope="module")
def remade(small_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of recipe shards, whose mixtures are made when they are read."""
    from pipelines.cli import main

    out = tmp_path_factory.mktemp("remade") / "run"
    told = ["--set", "shards.mixtures=recipe", "--engine", "inline", "--quiet"]
    assert main(["run", str(small_recipe), "--out", str(out), *told]) == 0
    return out


@pytest.mark.parametrize(
    ("shards", "overrides", "workers", "kills"),
    [
        ("made", ("removal=0.5", "queries.text=0.5"), 0, 3),
        ("made", ("separator.guided=true", "queries.text=0.3"), 2, 2),
        ("remade", ("queries={embedder: {use: demo_clap}, text: 0.5}", "separator.guided=true", "loss=si_sdr"), 0, 2),
    ],
    ids=["stored queries, removals", "guided, workers", "recipe shards, embedded, guided"],
)
def test_killed_at_random_steps_and_begun_again_it_leaves_the_bytes_of_an_undisturbed_one(
    request, tmp_path, shards, overrides, workers, kills
):
    mixtures, told = request.getfixturevalue(shards), (*overrides, f"fit.steps={STEPS}")
    whole, torn = ((words(tmp_path, tmp_path / out, mixtures, *told, workers=workers)) for out in ("whole", "torn"))
    assert ended(begun(whole)) == 0
    draw = random.Random(shards + str(workers))
    for stop in sorted(draw.sample(range(1, STEPS), kills)):
        process = begun(torn)
        while steps_of(tmp_path / "torn") < stop and process.is_alive():
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        assert ended(process) == -signal.SIGKILL, "it was killed at work"
    assert ended(begun(torn)) == 0
    expected, found = left_behind(tmp_path / "whole"), left_behind(tmp_path / "torn")
    assert expected.keys() == found.keys()
    assert {
        f"checkpoints/step-{STEPS:09d}.pt",
        "best.safetensors",
        "last.safetensors",
        "history.jsonl",
    } <= expected.keys()
    assert [name for name in expected if expected[name] != found[name]] == []
