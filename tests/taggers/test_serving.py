"""Inputs go through a network alone or in batches, and answers come back in their order."""

from __future__ import annotations

import numpy as np
import torch

from taggers.serving import plan, run, serve

LENGTHS = [3, 5, 3, 3, 5, 9]
INPUTS = [np.full(length, number, np.float32) for number, length in enumerate(LENGTHS)]


def total(rows: torch.Tensor) -> torch.Tensor:
    assert torch.is_inference_mode_enabled()
    return rows.sum(dim=1, keepdim=True)


def test_on_a_cpu_each_is_computed_alone_on_an_accelerator_equal_lengths_together() -> None:
    assert plan(LENGTHS, "cpu", 100) == [[0], [1], [2], [3], [4], [5]]
    assert plan(LENGTHS, "cuda:0", 6) == [[0, 2], [3], [1], [4], [5]]


def test_answers_come_in_the_order_of_the_inputs_whatever_the_batches() -> None:
    expected = [[each.sum()] for each in INPUTS]
    assert [list(each) for each in serve(LENGTHS, INPUTS.__getitem__, "cpu", 6, total)] == expected
    batches = plan(LENGTHS, "cuda", 6)
    assert [list(each) for each in run(batches, INPUTS.__getitem__, "cpu", total)] == expected
    assert serve([], INPUTS.__getitem__, "cpu", 6, total) == []


def test_a_batch_that_does_not_fit_is_halved() -> None:
    sizes = []

    def forward(rows: torch.Tensor) -> torch.Tensor:
        sizes.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("too much")
        return total(rows)

    found = run([[0, 2, 3], [1, 4], [5]], INPUTS.__getitem__, "cpu", forward)
    assert [each[0] for each in found] == [each.sum() for each in INPUTS]
    assert sizes == [3, 1, 2, 1, 1, 2, 1, 1, 1]
