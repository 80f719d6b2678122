"""Whole runs with models of an installed package: on both engines, with one that ends its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import toy_models

from kill import data_files
from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace

TESTS = Path(toy_models.__file__).parent
LOUD = "04"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of nine tones, of which one is loud."""
    root = tmp_path_factory.mktemp("tones")
    for number in range(9):
        level = 0.9 if f"{number:02d}" == LOUD else 0.2
        tone = level * np.sin(2 * np.pi * (300 + 400 * number) * np.arange(int(16000 * (1 + number / 4))) / 16000)
        soundfile.write(root / f"{number:02d}.wav", tone, 16000)
    return root


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PYTHONPATH on which the toy models are an installed package."""
    folder = tmp_path_factory.mktemp("package")
    toy_models.install(folder)
    return os.pathsep.join([str(folder), str(TESTS)])


def run(
    package: str, sounds: Path, out: Path, listen: dict[str, object], *words: str
) -> subprocess.CompletedProcess[str]:
    recipe = {
        "name": "tones",
        "seed": 5,
        "partitions": 2,
        "data": {"root": str(sounds), "datasets": [{"adapter": "folder", "name": "tones"}]},
        "audio": {"sample_rate": 16000, "clip_s": 4},
        "mix": {"per_clip": 0},
        "listen": listen,
    }
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "pipelines", *words, str(file), "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": package}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=TESTS.parent)


LISTEN = {
    "listeners": ["facts", "rate", {"use": "rate", "name": "again"}],
    "embedders": ["pitch"],
    "zero_shot": {"classes": ["Speech", "Music"], "least": 0.0},
}


def test_both_engines_give_the_same_bytes_with_listeners_and_embedders(package, sounds, tmp_path):
    for engine in ("inline", "ray"):
        ran = run(package, sounds, tmp_path / engine, LISTEN, "run", "--quiet", "--engine", engine)
        assert ran.returncode == 0, ran.stderr
    assert data_files(tmp_path / "inline") == data_files(tmp_path / "ray") != {}
    workspace = Workspace(str(tmp_path / "ray"))
    spans = dicts(
        workspace, "SELECT span, count(DISTINCT clip_id) AS clips, count(*) AS n FROM embeddings GROUP BY 1 ORDER BY 1"
    )
    assert spans == [{"span": "clip", "clips": 9, "n": 9}, {"span": "window", "clips": 8, "n": 28}]
    rates = dicts(workspace, "SELECT DISTINCT listener, value FROM evidence WHERE name = 'rate' ORDER BY 1")
    assert rates == [{"listener": "again", "value": 8000.0}, {"listener": "rate", "value": 8000.0}]
    verified = subprocess.run(
        [sys.executable, "-m", "pipelines", "verify", str(tmp_path / "ray")],
        env=os.environ | {"PYTHONPATH": package}, capture_output=True, text=True, check=False, cwd=TESTS.parent,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_listener_that_ends_its_own_process_on_one_clip_costs_that_clip_alone(package, sounds, tmp_path):
    listen = {"listeners": ["rate", {"use": "poisoned", "settings": {"peak": 0.5}}]}
    ran = run(package, sounds, tmp_path / "run", listen, "run", "--quiet")
    assert ran.returncode == 0, ran.stderr
    workspace = Workspace(str(tmp_path / "run"))
    (reject,) = dicts(workspace, "SELECT stage, error, attempt, source FROM rejects")
    assert reject == {"stage": "listen_poisoned", "error": "worker_died", "attempt": 2, "source": f"{LOUD}.wav"}
    heard = dicts(
        workspace,
        "SELECT listener, count(DISTINCT clip_id) AS n FROM evidence WHERE kind = 'fact' GROUP BY 1 ORDER BY 1",
    )
    assert heard == [{"listener": "poisoned", "n": 8}, {"listener": "rate", "n": 9}]


def test_a_model_that_is_not_there_or_wrongly_set_is_told_in_one_line_before_anything_is_written(
    package, sounds, tmp_path
):
    for listen, words in (
        ({"listeners": ["pich"]}, "no listener is named 'pich'; did you mean 'pitch'?"),
        ({"listeners": ["pitch"]}, "'pitch' is no listener; it belongs under listen.embedders"),
        ({"embedders": ["rate"]}, "'rate' is no embedder; it belongs under listen.listeners"),
        ({"listeners": [{"use": "poisoned", "settings": {"peek": 1}}]}, "'poisoned' has no setting 'peek'; known: peak"),
        ({"listeners": ["rate", "rate"]}, "2 listeners are named 'rate' in the tables; give one another name"),
    ):  # fmt: skip
        ran = run(package, sounds, tmp_path / "run", listen, "run", "--quiet")
        assert (ran.returncode, len(ran.stderr.strip().splitlines())) == (2, 1)
        assert words in ran.stderr
    assert not (tmp_path / "run").exists()
