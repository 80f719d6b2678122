"""Runs with a judge and without: the gate learns from the probes what the judge is worth."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from llm_server import Answer, Asked, serving

from pipelines.assemble import stages_of
from pipelines.catalog import query
from pipelines.cli import main
from pipelines.core.graph import build_graph
from pipelines.core.workspace import Workspace
from pipelines.estimate import estimates
from pipelines.llm import service as service_module
from pipelines.run import prepare
from schemas.errors import UserError
from schemas.load import load_recipe

SOUNDS = {"koira": "A dog barks.", "kissa": "A cat meows.", "sade": "Rain falls.", "sireeni": "A siren wails.",
          "viulu": "A violin plays.", "juna": "A train passes.", "kello": "A bell rings.", "tuuli": "The wind blows."}  # fmt: skip
"""What an uploader calls a sound in Finnish, which the rules do not read, and a caption of it."""

MEANT = {"koira": "dog", "kissa": "cat", "sade": "rain", "sireeni": "siren", "viulu": "violin", "juna": "train", "kello": "bell",
         "tuuli": "wind"}  # fmt: skip
CLIPS = 96


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe over short noises with a caption and two keywords each."""
    root = tmp_path_factory.mktemp("finnish")
    lines = ["file,caption,keywords,split"]
    for number in range(CLIPS):
        word = list(SOUNDS)[number % len(SOUNDS)]
        samples = np.random.default_rng(number).uniform(-0.3, 0.3, 4000)
        soundfile.write(root / f"{number}.wav", samples, 8000)
        lines.append(f'{number}.wav,{SOUNDS[word]},"{word}, otos{number}",train')
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    written = {
        "name": "judged",
        "partitions": 1,
        "endpoints": {"llm": {"base_url": "http://127.0.0.1:9/v1", "model": "toy"}},
        "data": {"root": str(root), "datasets": [{"adapter": "folder", "name": "finnish"}]},
        "audio": {"sample_rate": 8000, "clip_s": 1},
        "listen": {"listeners": ["facts"]},
        "describe": {"styles": []},
        "refine": {"false_accepts": 0.25},
        "mix": {"per_clip": 0},
    }
    file = root / "judged.yaml"
    file.write_text(json.dumps(written))
    return file


def reads_finnish(asked: Asked) -> Answer:
    """Tell of nine claims in ten what is right, by the keyword; of the tenth the opposite."""
    word = next(word for word in SOUNDS if word in asked.text)
    claims = re.findall(r"^(\d+)\. \w+: (.*)$", asked.text, re.MULTILINE)
    named = [{each for each in MEANT.values() if each in claim.lower()} for _, claim in claims]
    told = {}
    for (number, claim), sounds in zip(claims, named, strict=True):
        wrong = int(hashlib.sha256(f"{asked.what} {claim}".encode()).hexdigest(), 16) % 10 == 0
        told[f"claim_{number}"] = "supported" if (sounds == {MEANT[word]}) != wrong else "contradicted"
    return Answer(json.dumps(told))


def run(recipe: Path, out: Path, *sets: str) -> dict[str, dict[str, Any]]:
    """Run the recipe to its end; return the gate of all captions, and how many verdicts of each kind there are."""
    words = [word for each in sets for word in ("--set", each)]
    assert main(["run", str(recipe), "--out", str(out), "--engine", "inline", "--quiet", *words]) == 0
    (gate,) = ask(out, "SELECT * FROM gates WHERE stratum = 'all'")
    return {"gate": gate, "decisions": {
        row["decision"]: row["n"] for row in ask(out, "SELECT decision, count(*) AS n FROM verdicts GROUP BY decision")}}  # fmt: skip


def ask(out: Path, sql: str) -> list[dict[str, Any]]:
    return query.dicts(Workspace(str(out)), sql)


def test_a_judge_that_is_right_nine_times_in_ten_draws_a_line_where_there_was_none_and_is_paid_once(
    recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(service_module, "_service", None)
    without = run(recipe, tmp_path / "without")
    assert without["gate"]["keep_rate"] is None
    assert "accepted" not in without["decisions"]
    with serving(reads_finnish) as server:
        sets = ("refine.judge={endpoint: llm}", f"endpoints.llm.base_url={server.base_url}")
        judged = run(recipe, tmp_path / "judged", *sets)
        paid = server.paid.total()
        assert paid == len(server.paid)
        monkeypatch.setattr(service_module, "_service", None)
        again = run(recipe, tmp_path / "judged", "refine.false_accepts=0.3", *sets)
        assert server.paid.total() == paid
    gate = judged["gate"]
    assert gate["state"] == "certified"
    assert {"judge", "judge:supported"} <= set(gate["scorers"])
    assert gate["false_accept_high"] <= 0.25
    assert gate["keep_low"] > 0.5
    assert judged["decisions"]["accepted"] >= 0.65 * CLIPS
    assert again["gate"]["state"] == "certified"
    weights = dict(zip(gate["scorers"], json.loads(gate["model"])["weights"], strict=True))
    assert weights["judge"] + weights["judge:supported"] > 1.0
    rows = ask(tmp_path / "judged", "SELECT count(*) AS n, count(score) AS told FROM scores WHERE scorer = 'judge'")
    assert rows == [{"n": CLIPS, "told": CLIPS}]
    probes = "SELECT count(DISTINCT candidate_id) AS n FROM probe_scores WHERE scorer = 'judge'"
    assert ask(tmp_path / "judged", probes) == ask(tmp_path / "judged", "SELECT count(*) AS n FROM probes")
    # A true probe is asked about in the words of the candidate that it is: both are one request.
    assert paid <= ask(tmp_path / "judged", "SELECT count(*) AS n FROM probes")[0]["n"]


def test_each_round_has_its_judge_whom_its_weighing_reads(recipe):
    writer = "describe.write=[{name: w, endpoint: llm}]"
    sets = ("refine.judge={endpoint: llm}", writer, "describe.rounds=3", "refine.trim=true")
    nodes = {node.stage.name: node.stage for node in build_graph(stages_of(load_recipe(recipe, sets)), 1)}
    assert {name for name in nodes if name.startswith("judge")} >= {"judge", "judge_probes", "judge_2", "judge_3"}
    assert nodes["judge_3"].reads_from() == {"candidates": ("write_w_3",)}
    assert "judge_3" in nodes["weigh_3"].reads_from()["scores"]
    assert not any(name.startswith("judge") for name in (stage.name for stage in stages_of(load_recipe(recipe))))


def test_a_plan_asks_nothing_of_captions_that_nobody_has_written(recipe, tmp_path):
    job = prepare(load_recipe(recipe, ("refine.judge={endpoint: llm}",)), str(tmp_path / "run"), make=False)
    told = dict(estimates(job.recipe, job.nodes, job.context))
    assert told == {"judge": None, "judge_probes": None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{endpoint: lmm}", "refine.judge: no endpoint is named 'lmm'; did you mean 'llm'?"),
        ("{endpoint: llm, prompt: prompts/jugde.yaml}", "refine.judge: prompts/jugde.yaml cannot be read"),
        ("{endpoint: llm, promt: x}", "refine.judge.promt: unknown key (value 'x'); did you mean 'prompt'?"),
        ("llm", "refine.judge: 'llm' will not do: write settings"),
    ],
)
def test_a_mistake_in_the_recipe_is_told_before_anything_runs(recipe, given, words):
    with pytest.raises(UserError) as told:
        stages_of(load_recipe(recipe, (f"refine.judge={given}",)))
    assert words in str(told.value)
