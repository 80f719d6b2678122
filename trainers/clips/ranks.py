"""What a loss needs that looks at the examples of all ranks together, so that it does not depend on how many ranks there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


class _Gathered(torch.autograd.Function):
    """The rows of all ranks; each rank's loss depends on them, so the gradient of its own is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        ctx.rows = len(own)
        every = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(every, own.contiguous())
        return torch.cat(every)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone()
        distributed.all_reduce(whole)
        return whole.split(ctx.rows)[distributed.get_rank()]


def gathered(own: Tensor) -> Tensor:
    """Return the rows of all ranks one after the other, shape (ranks * B, ...), of each rank's own (B, ...).

    Where each rank makes the same loss of them all, the mean of the ranks' gradients is that of one process.
    """
    if not _shared():
        return own
    made: Tensor = _Gathered.apply(own)
    return made


def mean_over_ranks(own: Tensor) -> Tensor:
    """Return the mean of a tensor over all ranks, without a gradient."""
    whole = own.detach().clone()
    if _shared():
        distributed.all_reduce(whole)
        whole /= distributed.get_world_size()
    return whole


def largest_over_ranks(own: int, device: torch.device) -> int:
    """Return the largest of the ranks' numbers."""
    if not _shared():
        return own
    most = torch.tensor(own, device=device)
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    return int(most)


def _shared() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
