"""Running a network over inputs of many lengths: one by one on a CPU, in batches of equal length on an accelerator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taggers.batches import by_length, halving

if TYPE_CHECKING:
    import torch


def serve(
    lengths: Sequence[int],
    take: Callable[[int], NDArray[Any]],
    device: str,
    most: int,
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> list[NDArray[np.float32]]:
    """Return what a network makes of each input, in order, whatever else is among the inputs.

    Args:
        lengths: length of each input.
        take: from an input's place to the input, an array of shape (length,).
        device: where `forward` computes.
        most: sum of the lengths of one batch on an accelerator.
        forward: from (batch, length) on the device to (batch, ...) of floats.

    """
    return run(plan(lengths, device, most), take, device, forward)


def plan(lengths: Sequence[int], device: str, most: int) -> list[list[int]]:
    """Return which inputs are computed together.

    On a CPU a batch is no faster than its parts (measured), and one by one each answer is the same to the bit, whatever
    else there is. On an accelerator a batch's sums may round otherwise than one input's alone.
    """
    import torch

    alone = torch.device(device).type == "cpu"
    return [[index] for index in range(len(lengths))] if alone else by_length(lengths, most)


def run(
    batches: Sequence[Sequence[int]],
    take: Callable[[int], NDArray[Any]],
    device: str,
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> list[NDArray[np.float32]]:
    """Return what a network makes of each input, batch by batch; halves of a batch where memory is not enough."""
    import torch

    def together(indices: Sequence[int]) -> list[NDArray[np.float32]]:
        stacked = torch.from_numpy(np.stack([take(index) for index in indices]))
        return list(forward(stacked.to(device)).float().cpu().numpy())

    answers: dict[int, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for batch in batches:
            answers |= dict(zip(batch, halving(together, batch), strict=True))
    return [answers[index] for index in range(len(answers))]
