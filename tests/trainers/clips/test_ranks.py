"""Losses that look at the examples of all ranks have the gradients of one process with the same batch."""

from __future__ import annotations

import multiprocessing
import socket
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
import torch
from clip_trainings import loss_of, rank_of_two

from trainers.clips.ranks import gathered, largest_over_ranks, mean_over_ranks


def test_two_ranks_have_loss_and_gradient_of_one(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    rows, weight = torch.randn(6, 5, generator=draw).double(), torch.randn(5, 4, generator=draw).double()
    torch.save((rows, weight), tmp_path / "given.pt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=rank_of_two, args=(rank, port, tmp_path)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0
    alone = weight.clone().requires_grad_(True)
    # In the order in which ranks are gathered.
    loss = loss_of(torch.cat([rows[::2], rows[1::2]]), alone)
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(found["loss"], loss.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(found["gradient"], alone.grad, rtol=1e-10, atol=1e-12)
        assert (found["longest"], found["mean"].item()) == (4, 0.5)


def test_one_process_is_all_ranks() -> None:
    own = torch.randn(3, 2, requires_grad=True)
    assert gathered(own) is own
    assert torch.equal(mean_over_ranks(own), own)
    assert not mean_over_ranks(own).requires_grad
    assert largest_over_ranks(7, torch.device("cpu")) == 7
