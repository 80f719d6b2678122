"""A training on Ray: two workers on a cluster of its own have the loss curve of one process, and mistakes arrive as they are."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from separator_trainings import begun, ended, left_behind, steps_of, words

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


def worker(mark: str) -> int:
    """Return a process that trains on the cluster whose driver has a mark in its environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::RayTrainWorker"):
                # It writes its title over its own environment; that of the node which began it is whole.
                node = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if mark.encode() in Path("/proc", node, "environ").read_bytes():
                    return int(process.name)
        except OSError:  # ended meanwhile
            continue
    raise AssertionError("nobody trains")


def until(process, out: Path, step: int) -> None:
    while steps_of(out) < step:
        assert process.is_alive(), "it ended before it could be disturbed"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_killed_driver_and_a_killed_worker_cost_no_more_than_the_steps_since_the_newest_checkpoint(made, tmp_path):
    told = ("fit.steps=14", "fit.batch=4", "queries.text=0.5", "separator.guided=true")
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "NODE_RANK": "0"}
    command = [*words(tmp_path, whole, made, *told), "--devices", "2"]
    assert [ended(rank) for rank in [begun(command, **world, LOCAL_RANK=str(rank)) for rank in range(2)]] == [0, 0]
    command = [*words(tmp_path, torn, made, *told), "--devices", "2", "--ray"]
    driver = begun(command, tmp_path / "said")
    until(driver, torn, 4)
    os.kill(driver.pid, signal.SIGKILL)
    ended(driver)
    driver = begun(command, tmp_path / "said", EARLOOM_TEST=str(tmp_path))
    until(driver, torn, 9)
    os.kill(worker(f"EARLOOM_TEST={tmp_path}"), signal.SIGKILL)
    assert ended(driver) == 0, (tmp_path / "said").read_text()[-2000:]
    expected, found = left_behind(whole), left_behind(torn)
    found = {name: data for name, data in found.items() if not name.startswith("ray/")}
    assert [name for name in expected if expected[name] != found[name]] == []
    assert expected.keys() == found.keys()
