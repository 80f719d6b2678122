"""The demo's models are trained on whole worlds and measured on others; their cards say what the trainer wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
from pipelines.core.stage import Context
from pipelines.core.workspace import Workspace
from pipelines.ingest.index import Index
from schemas.ontology import configs_dir
from schemas.recipe import load_recipe
from trainers.cards import card
from trainers.demo_models import MEASURED_ON, RECIPE, TRAINED_ON, all_test

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
        **{"weights": 12345, "epochs": 6, "batch": 5, "seed": 9, "words": 77},
    }
    text = card(kind, report)
    assert "| some_measure | 0.123 [0.100, 0.200] | 7 | 0.010 |" in text
    assert "12,345 weights" in text
    assert "3 sample worlds (seeds 1, 2, 3)" in text
    assert "On the further world (seed 4)" in text
    assert "It knows 77 words." in text
    assert "**and nothing else**" in text
