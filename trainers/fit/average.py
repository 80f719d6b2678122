"""An exponential moving average of a module's weights, which is what is judged and kept."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average:
    """The average of a module's weights over its steps; of what is no weight (batch statistics), the latest.

    After ``n`` steps it forgets by ``min(decay, (1 + n) / (10 + n))``, so that the first weights, which are drawn, are soon forgotten.

    Attributes:
        module: in evaluation mode, on the device of the module that it follows.

    Args:
        module: what is trained.
        decay: in [0, 1); 0: the latest weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after so many steps."""
        kept = min(self.decay, (1 + step) / (10 + step))
        own: list[Tensor] = list(self.module.parameters())
        new: list[Tensor] = list(module.parameters())
        torch._foreach_lerp_(own, new, 1.0 - kept)
        for held, latest in zip(self.module.buffers(), module.buffers(), strict=True):
            held.copy_(latest)
