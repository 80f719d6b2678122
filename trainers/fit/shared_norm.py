"""Batch normalisation over the batches of all ranks together, so that a training does not depend on how many share a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all ranks; each rank's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        whole = own.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone()
        distributed.all_reduce(whole)
        return whole


class SharedBatchNorm(_BatchNorm):
    """A batch normalisation whose statistics, in training, are those of all ranks: what ``nn.SyncBatchNorm`` does on a GPU alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, shape (B, C, ...), normalised; in evaluation mode as a batch normalisation does."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        count = _summed(x.new_full((1,), x.numel() / x.shape[1]))
        mean = _summed(x.sum(dim=axes)) / count
        # The mean first: a difference of large sums would lose the digits of a small variance.
        centred = x - mean.view(shape)
        variance = _summed(centred.square().sum(dim=axes)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum or 0.0)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        normed = centred * torch.rsqrt(variance + self.eps).view(shape)
        return normed * self.weight.view(shape) + self.bias.view(shape) if self.affine else normed

    def _check_input_dim(self, x: Tensor) -> None:
        """Take any number of dimensions."""


def _summed(own: Tensor) -> Tensor:
    whole: Tensor = _Sum.apply(own)
    return whole


def shared(module: nn.Module, device: str) -> nn.Module:
    """Return a module whose batch normalisations are shared by all ranks of a process group; others stay as they are.

    Args:
        module: what is trained; its batch normalisations have a momentum.
        device: kind of device that it is trained on.
    """
    if device == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            own = SharedBatchNorm(
                child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
            )
            own.load_state_dict(child.state_dict())
            setattr(module, name, own)
        else:
            shared(child, device)
    return module
