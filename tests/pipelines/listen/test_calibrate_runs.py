"""A whole run with a listener whose confidences are a known distortion: stored, asked, reported, the same on both engines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import level_ear
import numpy as np
import pytest

from kill import data_files
from pipelines.catalog.query import dicts
from pipelines.cli import main
from pipelines.core.workspace import Workspace
from pipelines.report.page import write_report
from pipelines.verify import verify
from taggers import registry

TESTS = Path(level_ear.__file__).parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of the run on each engine; every law holds in it."""
    root = tmp_path_factory.mktemp("worth")
    data, package = root / "data", root / "package"
    data.mkdir()
    level_ear.write_sounds(data)
    level_ear.install(package)
    recipe = {
        "name": "worth",
        "partitions": 2,
        "data": {"root": str(data), "datasets": [{"adapter": "fsd50k"}]},
        "audio": {"sample_rate": 8000, "clip_s": 1},
        "mix": {"per_clip": 0},
        "listen": {"listeners": ["facts", "level", {"use": "level", "name": "again"}]},
    }
    file = root / "recipe.yaml"
    file.write_text(json.dumps(recipe))
    words = ["run", str(file), "--quiet", "--out"]
    # Ray's workers are processes of their own, which find the listener as an installed package alone.
    ran = subprocess.run(
        [sys.executable, "-m", "pipelines", *words, str(root / "ray"), "--engine", "ray"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(TESTS)])},
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
    )
    assert ran.returncode == 0, ran.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {"level": level_ear.Level})
        assert main([*words, str(root / "inline"), "--engine", "inline"]) == 0
        assert verify(Workspace(str(root / "inline"))).problems == []
    return {engine: root / engine for engine in ("inline", "ray")}


def ask(runs: dict[str, Path], sql: str) -> list[dict]:
    return dicts(Workspace(str(runs["ray"])), sql)


def test_both_engines_give_the_same_bytes(runs):
    files = data_files(runs["inline"])
    assert files == data_files(runs["ray"])
    for stage in ("listeners", "heard", "calibrate", "agree"):
        assert any(f"tables/{stage}-" in str(name) for name in files)


def test_every_listener_has_an_outcome_and_test_clips_calibrate_nothing(runs):
    counted = ask(
        runs, "SELECT stage, rows_in, rows_out, drops FROM markers WHERE stage IN ('calibrate', 'agree') ORDER BY 1"
    )
    assert counted == [
        {"stage": "agree", "rows_in": 4, "rows_out": 3, "drops": 1},
        {"stage": "calibrate", "rows_in": 4, "rows_out": 2, "drops": 2},
    ]
    sums = ask(
        runs,
        "SELECT listener, class_id, positives + negatives AS n FROM calibrations WHERE class_id IS NOT NULL ORDER BY ALL",
    )
    used = level_ear.CLIPS - 20
    assert [row["n"] for row in sums] == [used] * 4
    assert ask(runs, "SELECT DISTINCT split FROM heard JOIN groups USING (clip_id) WHERE fold IS NOT NULL ORDER BY 1") == [
        {"split": "train"}, {"split": "val"}]  # fmt: skip


def test_probabilities_are_nearer_to_the_truth_than_confidences(runs):
    rows = ask(runs, "SELECT class_id, confidence, probability, calibration FROM calibrated WHERE listener = 'level'")
    assert len(rows) == 2 * level_ear.CLIPS
    assert {row["calibration"] for row in rows} == {"isotonic"}
    said, told = (np.array([row[key] for row in rows]) for key in ("confidence", "probability"))
    dog = np.array([row["class_id"] == level_ear.DOG for row in rows])
    truth = np.where(dog, said**2, 1 - (1 - said) ** 2)
    # The distortion by itself is 1 / sqrt(30) = 0.18 where confidences are spread evenly.
    assert np.sqrt(np.mean((told - truth) ** 2)) < 0.1 < 0.17 < np.sqrt(np.mean((said - truth) ** 2))


def test_a_listener_agrees_with_itself_and_with_the_publisher_by_chance(runs):
    rows = ask(runs, "SELECT * FROM agreements WHERE class_id IS NULL")
    found = {(row["listener"], row["other"]): row for row in rows}
    both = found["level", "again"]
    assert (both["only_listener"], both["only_other"], both["jaccard"], both["kappa"]) == (0, 0, 1.0, None)
    # It names both classes in every clip, of which one is labelled in each.
    assert found["level", "publisher"]["kappa"] == 0.0
    assert found["level", "publisher"]["jaccard"] == 0.5


def test_the_report_draws_what_was_measured(runs):
    workspace = Workspace(str(runs["inline"]))
    page = workspace.read(write_report(workspace)).decode()
    assert page.count('aria-label="Reliability of ') == 2
    (row,) = dicts(
        workspace, "SELECT ece, ece_calibrated FROM calibrations WHERE listener = 'level' AND class_id IS NULL"
    )
    words = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))
    assert f"{row['ece']:.3f} → {row['ece_calibrated']:.3f}" in words
    assert row["ece_calibrated"] < row["ece"]
    assert "level: tags, confidence → probability" in words
