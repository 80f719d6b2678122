"""Whole runs that ask a server: through Ray, stopped by their budget, resumed, and proved from the files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from llm_server import Answer, Asked, Server

from kill import data_files
from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace

ROOT = Path(__file__).parents[3]
CLIPS = 6


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe without its endpoints' addresses, over six noises."""
    root = tmp_path_factory.mktemp("noises")
    for number in range(CLIPS):
        samples = np.random.default_rng(number).uniform(-0.3, 0.3, 8000)
        soundfile.write(root / f"{number}.wav", samples, 16000)
    file = tmp_path_factory.mktemp("recipes") / "asked.yaml"
    place = {"model": "toy", "usd_per_million_in": 0.0, "usd_per_million_out": 1000.0, "max_tokens": 20, "in_flight": 2}
    written = {
        "name": "asked",
        "partitions": 2,
        "endpoints": {"ear": {"base_url": "http://127.0.0.1:9/v1", **place}},
        "data": {"root": str(root), "datasets": [{"adapter": "folder", "name": "noises"}]},
        "audio": {"sample_rate": 16000, "clip_s": 1},
        "mix": {"per_clip": 0},
        "listen": {
            "listeners": ["facts"],
            "ask": [{"name": "alm", "endpoint": "ear"}],
            "transcribe": {"endpoint": "ear", "gate": "always", "privacy": "withhold", "timed": False},
        },
    }
    file.write_text(json.dumps(written))
    return file


def earloom(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def script(asked: Asked) -> Answer:
    return Answer(text="hello there" if asked.path.endswith("/transcriptions") else "A hiss.")


def test_a_run_on_ray_stops_at_its_budget_goes_on_with_a_larger_one_and_pays_each_question_once(recipe, tmp_path):
    server = Server(script)
    try:
        address = ["--set", f"endpoints.ear.base_url={server.base_url}"]
        run = ["run", recipe, "--out", tmp_path / "run", "--quiet", *address]
        # An answer may cost two cents and costs one, so that five cents allow for three questions or four.
        poor = earloom(*run, "--set", "endpoints.ear.max_usd=0.05")
        assert (poor.returncode, len(poor.stderr.strip().splitlines())) == (1, 1)
        assert "endpoints.ear.max_usd" in poor.stderr
        assert 3 <= sum(server.paid.values()) <= 4
        rich = earloom(*run, "--set", "endpoints.ear.max_usd=5.0")
        assert rich.returncode == 0, rich.stderr
        assert set(server.paid.values()) == {1}
        assert len(server.paid) == 2 * CLIPS
        again = earloom("run", recipe, "--out", tmp_path / "again", "--quiet", *address, "--engine", "inline")
        assert again.returncode == 0, again.stderr
        assert set(server.paid.values()) == {2}
    finally:
        server.close()
    made = [data_files(tmp_path / name) for name in ("run", "again")]
    # The ledger tells when each answer came, and the recipe what might be spent; nothing that is made of the answers does.
    own = ("tables/", "store/", "shards/")
    first, second = ({name: sha for name, sha in files.items() if name.startswith(own)} for files in made)
    assert first == second != {}
    proved = earloom("verify", tmp_path / "run")
    assert proved.returncode == 0, proved.stdout + proved.stderr
    asked = "SELECT kind, name, text, value, count(*) AS n FROM evidence WHERE kind <> 'fact' GROUP BY ALL ORDER BY 1"
    found = [row for row in dicts(Workspace(str(tmp_path / "run")), asked) if row["kind"] in ("answer", "transcript")]
    assert found == [
        {"kind": "answer", "name": "sounds", "text": "A hiss.", "value": None, "n": CLIPS},
        {"kind": "transcript", "name": "speech", "text": None, "value": 2.0, "n": CLIPS},
    ]
    assert b"hello there" not in b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_an_endpoint_that_is_not_there_is_told_in_one_line(recipe, tmp_path):
    named = earloom("run", recipe, "--out", tmp_path / "run", "--set", "listen.ask.0.endpoint=eer")
    assert (named.returncode, named.stderr) == (
        2, "earloom: listen.ask alm: no endpoint is named 'eer'; did you mean 'ear'?\n",
    )  # fmt: skip
    down = earloom(
        "run", recipe, "--out", tmp_path / "down", "--quiet", "--engine", "inline",
        "--set", "endpoints.ear.deadline_s=1.0",
    )  # fmt: skip
    assert down.returncode == 1
    assert "http://127.0.0.1:9/v1" in down.stderr
    assert "start the server or mend" in down.stderr
    assert len(down.stderr.strip().splitlines()) == 1
