"""The blocks of the ResUNet (Kong et al. 2021), to each of whose activations the query adds a bias of its own (FiLM)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.lass.sizes import Step

SLOPE = 0.01
"""Of the leaky ReLU where its input is negative."""


class Asked(nn.Module):
    """Batch normalisation, then the query's bias of each channel, then the leaky ReLU.

    This is FiLM (Perez et al. 2018) without its scale, as in AudioSep.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.bias = nn.Linear(condition, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return what shape ``x`` has, (B, channels, frames, bins), for conditions (B, E)."""
        # In place: neither the normalisation nor the sum is looked at again, and these maps are what takes a step's memory and time.
        return functional.leaky_relu_(self.norm(x).add_(self.bias(condition)[:, :, None, None]), SLOPE)


class Residual(nn.Module):
    """Two convolutions of 3 x 3, each after its activation, and what came in beside them."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.first, self.second = Asked(inputs, condition), Asked(outputs, condition)
        self.into = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.on = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.beside: nn.Module = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return (B, outputs, frames, bins) of (B, inputs, frames, bins)."""
        made = self.into(self.first(x, condition))
        return self.beside(x) + self.on(self.second(made, condition))


class Down(nn.Module):
    """A residual block, whose result is kept for the decoder, then means over ``step`` frames and bins."""

    def __init__(self, inputs: int, outputs: int, step: Step, condition: int) -> None:
        super().__init__()
        self.block, self.step = Residual(inputs, outputs, condition), step

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return what goes on, (B, outputs, frames / step[0], bins / step[1]), and what is kept."""
        kept = self.block(x, condition)
        return functional.avg_pool2d(kept, self.step), kept


class Up(nn.Module):
    """A transposed convolution that undoes ``step``, then a residual block over its result and what the encoder kept, as many channels."""

    def __init__(self, inputs: int, outputs: int, step: Step, condition: int) -> None:
        super().__init__()
        self.asked = Asked(inputs, condition)
        self.widen = nn.ConvTranspose2d(inputs, outputs, step, stride=step, bias=False)
        self.block = Residual(2 * outputs, outputs, condition)

    def forward(self, x: Tensor, kept: Tensor, condition: Tensor) -> Tensor:
        """Return (B, outputs, frames, bins) of the size that ``kept`` has."""
        widened = self.widen(self.asked(x, condition))
        return self.block(torch.cat([widened, kept], dim=1), condition)
