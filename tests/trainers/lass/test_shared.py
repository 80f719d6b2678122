"""Trainings of the real separator shared by two processes have the gradients and the losses of one process with the same batch."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
import torch
from separator_trainings import begun, ended, processes, shared_gradients, words

from trainers.fit.history import read_history

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")

STEPS = 4


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_gradients_and_weights_of_two_ranks_are_those_of_one_in_double_precision(tmp_path: Path) -> None:
    """One rank has a silent target, which has neither SI-SDR nor embedding: its mean is not the other rank's."""
    port = free_port()
    ranks = [(1, 0), (2, 0), (2, 1)]
    children = [
        processes().Process(target=shared_gradients, args=(rank, world, port, tmp_path)) for world, rank in ranks
    ]
    for child in children:
        child.start()
    assert [ended(child) for child in children] == [0] * 3
    alone, shared = (torch.load(tmp_path / f"{world}.pt", weights_only=True) for world in (1, 2))
    assert alone.keys() == shared.keys()
    for case, found in alone.items():
        for kind in ("gradients", "weights"):
            assert found[kind].keys() == shared[case][kind].keys()
            for name, value in found[kind].items():
                torch.testing.assert_close(
                    shared[case][kind][name], value, rtol=0, atol=1e-10, msg=f"{case} {kind} {name}"
                )


def test_two_processes_of_the_command_have_the_losses_of_one_with_the_same_batch(made: Path, tmp_path: Path) -> None:
    """From the third step on AdamW has made steps of noise where a gradient is nothing but rounding: hence two tolerances."""
    told = (f"fit.steps={STEPS}", "fit.batch=4", "queries.text=0.5", "removal=0.3", "separator.guided=true")
    one, two = tmp_path / "one", tmp_path / "two"
    command = [*words(tmp_path, two, made, *told), "--devices", "2"]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "NODE_RANK": "0"}
    children = [begun(words(tmp_path, one, made, *told))]
    children += [begun(command, **world, LOCAL_RANK=str(rank)) for rank in range(2)]
    assert [ended(child) for child in children] == [0] * 3
    alone, shared = ([line for line in read_history(out) if "losses" in line] for out in (one, two))
    assert [line["step"] for line in alone] == [line["step"] for line in shared] == [*range(1, STEPS + 1)]
    for step, (own, both) in enumerate(zip(alone, shared, strict=True), 1):
        within = 1e-4 if step < 3 else 2e-2
        assert both["losses"] == pytest.approx(own["losses"], rel=within)
        assert both["epoch"] == own["epoch"]
    assert shared[0]["gradient"] == pytest.approx(alone[0]["gradient"], rel=1e-4)
    (judged,) = (line["judged"] for line in read_history(two) if "judged" in line)
    assert judged["sdri"]["n"] + judged["sdri"]["unknown"] == 3, "held-out mixtures are shared, none counts twice"
