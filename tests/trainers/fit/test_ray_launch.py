"""A training on Ray: two workers on a cluster of its own have the loss curve of one process, and mistakes arrive as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from schemas.errors import UserError
from trainers.fit.config import Training
from trainers.fit.history import read_history
from trainers.fit.ray_launch import launch
from trainers.fit.read import parse_training
from trainers.fit.run import fabric_of, run_rank


def training(made: Path, batch: int = 4) -> Training:
    return parse_training(
        {
            "task": "separation",
            "name": "ray",
            "data": {"folders": [str(made)], "held_out_mixtures": 4, "crop_s": 0.5},
            "separator": {"sample_rate": 16000, "embedding": 128},
            "fit": {"steps": 3, "batch": batch, "warm_up": {"steps": 3}, "log_every": 1},
        },
        "test",
    )


@pytest.mark.slow
def test_two_workers_on_ray_have_the_loss_curve_of_one_process(made, tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    run_rank(fabric_of("cpu", 1, bf16=True), training(made), str(alone), 0, quiet=True)
    launch(training(made), str(shared), "cpu", 2, 0, None)
    losses = [[line["loss"] for line in read_history(out) if "loss" in line] for out in (alone, shared)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    judged = [line["judged"] for line in read_history(shared) if "judged" in line]
    assert len(judged) == 1
    assert judged[0]["sdri"]["n"] + judged[0]["sdri"]["unknown"] == 4
    assert (shared / "last.safetensors").exists()
    # What was begun otherwise is the user's mistake also where a worker finds it.
    other = json.loads(json.dumps(training(made).model_dump(mode="json"))) | {"seed": 1}
    with pytest.raises(UserError, match=r"was begun otherwise \(seed: 0 then, 1 now\)"):
        launch(parse_training(other, "test"), str(shared), "cpu", 2, 0, None)
