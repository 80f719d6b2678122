"""The demo's models are trained on whole worlds and measured on others; their cards say what the trainer wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
from pipelines.core.stage import Context
from pipelines.core.workspace import Workspace
from pipelines.ingest.index import Index
from schemas.errors import RunStopped, UserError
from schemas.load import load_recipe
from schemas.ontology import configs_dir
from trainers import demo_models
from trainers.cards import card, cell
from trainers.demo_models import MEASURED_ON, RECIPE, TRAINED_ON, TRAININGS, all_test
from trainers.fit.read import load_training

MODELS = Path(__file__).parents[2] / "taggers" / "demo"


def splits(sample: Path, tmp_path: Path, settings: list[str]) -> set[str]:
    recipe = load_recipe(configs_dir() / RECIPE, (f"data.root={sample}", *settings))
    context = Context(Workspace(str(tmp_path)), str(sample), recipe.seed, 1)
    return {row["split"] for result in Index(recipe.data).stream(context) for row in result.rows}


def test_a_world_is_trained_on_or_held_out_as_a_whole(sample: Path, tmp_path: Path) -> None:
    assert splits(sample, tmp_path, []) == {"train"}
    assert splits(sample, tmp_path, all_test(configs_dir() / RECIPE)) == {"test"}


def test_no_world_is_both_and_the_demos_is_neither() -> None:
    measured = {seed for seeds in MEASURED_ON.values() for seed in seeds}
    assert len({*TRAINED_ON, *measured, 0}) == len(TRAINED_ON) + len(measured) + 1


@pytest.mark.parametrize("kind", ["tagger", "clap"])
def test_a_card_takes_its_figures_from_the_measures(kind: str) -> None:
    row = {"value": 0.12345, "ci95": [0.1, 0.2], "n": 7, "chance": 0.01}
    report = {
        "worlds": {"trained_on": [1, 2, 3], "measured_on": [4]},
        "measures": {"some_measure": row},
        "variants": {"some_measure": "what it is"},
        **{"task": "clap", "weights": 12345, "steps": 6000, "batch": 5, "seed": 9, "words": 77},
    }
    text = card(kind, report)
    assert "| some_measure | 0.123 [0.100, 0.200] | 7 | 0.010 |" in text
    assert "12,345 weights" in text
    assert "3 sample worlds (seeds 1, 2, 3)" in text
    assert "On the further world (seed 4)" in text
    assert "It knows 77 words." in text
    assert "6,000 steps, batches of 5, seed 9" in text
    assert "**and nothing else**" in text


@pytest.mark.parametrize(("error", "code"), [(RunStopped("a run failed"), 1), (UserError("no such folder"), 2)])
def test_what_goes_wrong_is_one_line_and_leaves_the_models_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(demo_models, "make", fail)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert demo_models.main(["--out", str(tmp_path), "--work", str(tmp_path)]) == code
    assert capsys.readouterr().err == f"demo_models: {error}\n"


def test_a_run_that_does_not_end_well_stops_the_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_models, "write_corpora", lambda world, seed: None)
    monkeypatch.setattr(demo_models, "earloom", lambda arguments: 1)
    with pytest.raises(RunStopped, match=r"the run of demo_models.yaml on the sample world of seed 5 did not end well"):
        demo_models.caption_shards(tmp_path, 5, held_out=False)


def test_a_measure_that_nothing_can_give_is_shown_as_none() -> None:
    row = {"value": 0.12345, "ci95": [0.1, 0.2], "n": 7, "chance": 0.01}
    none = {"value": None, "ci95": None, "n": 0, "chance": None}
    assert (cell(row), cell(row | {"ci95": None}), cell(none)) == ("0.123 [0.100, 0.200]", "0.123", "none")


def test_a_training_that_fails_stops_the_making(tmp_path: Path) -> None:
    shards = dict.fromkeys((*TRAINED_ON, *MEASURED_ON["clap"]), tmp_path / "nowhere")
    with pytest.raises(RunStopped, match="the training of training/clap_demo.yaml ended with exit code 2"):
        demo_models._train("clap", shards, tmp_path / "clap")
    assert not (tmp_path / "clap").exists()


@pytest.mark.parametrize("kind", ["tagger", "clap"])
def test_the_models_are_trained_as_the_configurations_say_and_judged_once(kind: str) -> None:
    training = load_training(configs_dir() / TRAININGS[kind])
    assert training.fit.judge_every == training.fit.steps, (
        "no weights are chosen by the worlds that they are measured on"
    )
    report = json.loads((MODELS / kind / "measures.json").read_text())
    assert (report["steps"], report["batch"], report["task"]) == (training.fit.steps, training.fit.batch, training.task)
