"""The loop's small parts: the warm-up, the average of weights, and the history."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
import torch
from torch import nn

from pipelines.core.workspace import Workspace
from trainers.fit.average import Average
from trainers.fit.history import History, read_history
from trainers.fit.schedule import warm_up


def test_stairs_are_audioseps_and_a_slope_is_a_line():
    assert [warm_up("stairs", 10, step) for step in (0, 9, 10, 19, 20, 29, 30, 99)] == [
        *[1e-3] * 2,
        *[1e-2] * 2,
        *[1e-1] * 2,
        *[1.0] * 2,
    ]
    assert [warm_up("linear", 4, step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warm_up("stairs", 0, 0) == warm_up("linear", 0, 0) == 1.0


def test_the_average_follows_its_definition_and_keeps_batch_statistics():
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average, expected = Average(module, 0.9), module[0].weight.item()
    for step in range(1, 200):
        with torch.no_grad():
            module[0].weight.fill_(float(step % 7))
        module(torch.randn(8, 1))
        average.update(module, step)
        kept = min(0.9, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * (step % 7)
    assert average.module[0].weight.item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(average.module[1].running_var, module[1].running_var)
    assert not average.module.training
    assert not any(weight.requires_grad for weight in average.module.parameters())


def test_a_decay_of_zero_is_the_latest_weights():
    module = nn.Linear(3, 3)
    average = Average(module, 0.0)
    with torch.no_grad():
        module.weight.normal_()
    average.update(module, 1)
    assert torch.equal(average.module.weight, module.weight)


def test_a_history_forgets_what_came_after_the_checkpoint_and_half_a_line(tmp_path):
    workspace = Workspace(str(tmp_path))
    history = History(workspace, 0)
    for step in (3, 6, 9):
        history.write({"step": step, "loss": step / 10})
    with history.path.open("a") as file:
        file.write('{"step":12,"lo')
    History(workspace, 6).write({"step": 9, "loss": 1.5})
    assert read_history(tmp_path) == [{"step": 3, "loss": 0.3}, {"step": 6, "loss": 0.6}, {"step": 9, "loss": 1.5}]
    with pytest.raises(ValueError, match="Out of range"):
        history.write({"step": 10, "loss": float("nan")})
