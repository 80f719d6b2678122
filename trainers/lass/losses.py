"""What a separator is trained by: losses of waveforms, and of the guide's embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from trainers.lass.spectra import unhalved

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

    A silent answer has no SI-SDR: it counts as 0 and moves nothing. Use L1 to learn silence. It is not left out of the mean, since
    ranks have different numbers of them, and the mean of their means would not be the whole batch's.

    Args:
        estimate: shape (B, T).
        answer: shape (B, T).
    """
    estimate, answer = (signal - signal.mean(dim=1, keepdim=True) for signal in (unhalved(estimate), unhalved(answer)))
    energy = answer.square().sum(dim=1)
    known = energy > 0
    safe = torch.where(known, energy, torch.ones_like(energy))
    wanted = ((estimate * answer).sum(dim=1) / safe)[:, None] * answer
    unwanted = (estimate - wanted).square().sum(dim=1)
    ratio = (unwanted + BOUND * safe) / (wanted.square().sum(dim=1) + BOUND * safe)
    return torch.where(known, 10.0 * ratio.log10(), 0.0).mean()


def embedding_l1(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of embeddings, shape (B, E): the loss of Hybrid-Sep's first stage.

    Args:
        predicted: by the guide.
        wanted: of the targets' sound; NaN where it is not known, as of a silent target: such rows count as 0 and move nothing.
    """
    known = wanted.isfinite().all(dim=1, keepdim=True)
    return functional.l1_loss(predicted, torch.where(known, wanted, predicted.detach()))
