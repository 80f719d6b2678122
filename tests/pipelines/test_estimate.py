"""What a plan says of its endpoints is what the run then asks them, where nothing depends on what is heard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from llm_server import Answer, Asked, serving

from pipelines.cli import main
from pipelines.estimate import estimates
from pipelines.llm import service as service_module
from pipelines.run import prepare
from schemas.load import load_recipe

CLIPS = 5


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return a recipe over five noises: a chain about each, a transcript, and a writer who names captions alone."""
    root = tmp_path / "noises"
    root.mkdir()
    lines = ["file,caption"]
    for number in range(CLIPS):
        soundfile.write(root / f"{number}.wav", np.random.default_rng(number).uniform(-0.3, 0.3, 16000), 16000)
        lines.append(f"{number}.wav,Noise number {number} hisses.")
    (root / "captions.csv").write_text("\n".join(lines) + "\n")
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 2.0}
    written = {
        "name": "estimated",
        "partitions": 1,
        "endpoints": {
            "ear": {"base_url": "http://127.0.0.1:9/v1", "model": "toy", "max_tokens": 20, **prices},
            "asr": {"base_url": "http://127.0.0.1:9/v1", "model": "toy", "usd_per_minute": 6.0},
        },
        "data": {"root": str(root), "datasets": [{"adapter": "folder", "name": "noises"}]},
        "audio": {"sample_rate": 16000, "clip_s": 1},
        "mix": {"per_clip": 0},
        "listen": {
            "listeners": ["facts"],
            "ask": [{"name": "alm", "endpoint": "ear"}],
            "transcribe": {"endpoint": "asr", "gate": "always", "timed": False},
        },
        "describe": {"write": [{"name": "ours", "endpoint": "ear", "styles": ["short", "detailed"]}]},
    }
    file = tmp_path / "estimated.yaml"
    file.write_text(json.dumps(written))
    return file


def script(asked: Asked) -> Answer:
    return Answer(
        text="hello" if asked.path.endswith("/transcriptions") else "White noise hisses on and on without a break.",
        usage=(50, 5),
    )


def told(recipe: Path, out: Path, *sets: str) -> dict:
    job = prepare(load_recipe(recipe, sets), str(out), make=False)
    return dict(estimates(job.recipe, job.nodes, job.context))


def test_the_requests_are_as_many_as_the_run_then_asks_and_what_they_cost_is_below_the_bound(
    recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(service_module, "_service", None)
    out = tmp_path / "run"
    before = told(recipe, out)
    with serving(script) as server:
        sets = [f"endpoints.{name}.base_url={server.base_url}" for name in ("ear", "asr")]
        words = [word for each in sets for word in ("--set", each)]
        assert main(["run", str(recipe), "--out", str(out), "--engine", "inline", "--quiet", *words]) == 0
        chats = [asked for asked in server.asked if asked.path.endswith("/chat/completions")]
        writing = [asked for asked in chats if "<clip" in asked.text]
        assert before["write_ours"].requests == len(writing) == 2 * CLIPS
        assert before["ask_alm"].requests == len(chats) - len(writing) == CLIPS
        assert before["transcribe"].requests == len(server.asked) - len(chats) == CLIPS
        after = told(recipe, out, *sets)
    assert before["transcribe"].usd == pytest.approx(CLIPS * 6.0 / 60)
    assert 0 < before["write_ours"].usd <= before["write_ours"].most_usd
    # What was measured takes the place of what was assumed.
    assert before["ask_alm"].tokens_out == 20 * CLIPS
    assert after["ask_alm"].tokens_out == 5 * CLIPS
    assert after["ask_alm"].measured.answers == 3 * CLIPS


def test_a_plan_says_it_in_words_and_makes_nothing(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["plan", str(recipe), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "ask_alm, of the whole run: 5 requests" in printed
    assert "dollars expected" in printed
    assert not out.exists()


def test_a_recipe_without_endpoints_has_nothing_to_estimate(tmp_path, small):
    recipe = Path(__file__).parents[2] / "configs" / "fsd50k.yaml"
    job = prepare(load_recipe(recipe, (f"data.root={small}",)), str(tmp_path / "run"), make=False)
    assert estimates(job.recipe, job.nodes, job.context) == []
