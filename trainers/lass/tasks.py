"""What is asked of a separator beside the query (HSM-TSS): the sound that it names, or the mixture without that sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from schemas.ids import seed_for

EXTRACTION, REMOVAL = 0, 1
TASKS = ("extraction", "removal")
"""Names of the tasks, in the order of their numbers."""


def drawn(records: Sequence[dict[str, Any]], removal: float, seed: int, epoch: int) -> Tensor:
    """Return a task for each sample, int64, shape (B,): a function of seed, epoch and sample, not of order or batch.

    Args:
        records: the samples' JSON, of which ``mixture_id`` is read.
        removal: share of removals, in [0, 1].
        seed: of the training.
        epoch: passes that are done; each draws anew.
    """
    return torch.tensor(
        [
            REMOVAL if share_of(seed, "tasks", epoch, record["mixture_id"]) < removal else EXTRACTION
            for record in records
        ],
        dtype=torch.int64,
    )


def answers(mixture: Tensor, target: Tensor, task: Tensor) -> Tensor:
    """Return what a separator should answer: shape (B, T), the target where ``task`` (B,) is extraction, else all but it."""
    return torch.where((task == REMOVAL)[:, None], mixture - target, target)


def share_of(seed: int, what: str, epoch: int, key: str) -> float:
    """Return a number in [0, 1) for a sample of an epoch, drawn uniformly."""
    return seed_for(seed, f"trainers.lass.{what}", f"{epoch}:{key}") / 2.0**63
