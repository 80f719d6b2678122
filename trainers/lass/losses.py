"""What a separator is trained by: losses of waveforms, and of the guide's embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]

BOUND = 1e-8
"""SI-SDR is held within about 80 dB of zero: nothing is learnt from what is nearer to the answer, or farther from it."""


def losses(name: Literal["l1", "si_sdr"]) -> Loss:
    """Return a loss: from estimates and answers, float32, shape (B, T), to a number that training makes small."""
    return {"l1": l1, "si_sdr": negative_si_sdr}[name]


def l1(estimate: Tensor, answer: Tensor) -> Tensor:
    """Return the mean absolute difference of two batches of waveforms, shape (B, T): AudioSep's loss."""
    return functional.l1_loss(estimate, answer)


def negative_si_sdr(estimate: Tensor, answer: Tensor) -> Tensor:
    """Return the mean of minus SI-SDR in dB, of zero-mean signals (Le Roux et al. 2019), within :data:`BOUND`.

    A silent answer has no SI-SDR: it has no part in the mean, and where all are silent the loss is 0 and moves nothing. Use L1
    to learn silence.

    Args:
        estimate: shape (B, T).
        answer: shape (B, T).
    """
    estimate, answer = (signal - signal.mean(dim=1, keepdim=True) for signal in (estimate.float(), answer.float()))
    energy = answer.square().sum(dim=1)
    known = energy > 0
    safe = torch.where(known, energy, torch.ones_like(energy))
    wanted = ((estimate * answer).sum(dim=1) / safe)[:, None] * answer
    unwanted = (estimate - wanted).square().sum(dim=1)
    ratio = (unwanted + BOUND * safe) / (wanted.square().sum(dim=1) + BOUND * safe)
    return torch.where(known, 10.0 * ratio.log10(), 0.0).sum() / known.sum().clamp_min(1)


def embedding_l1(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of embeddings, shape (B, E): the loss of Hybrid-Sep's first stage.

    Args:
        predicted: by the guide.
        wanted: of the targets' sound; NaN where it is not known, as of a silent target: such rows have no part in the mean.
    """
    known = wanted.isfinite().all(dim=1, keepdim=True)
    difference = (predicted - torch.where(known, wanted, predicted.detach())).abs().mean(dim=1)
    return difference.sum() / known.sum().clamp_min(1)
