"""What the training loop asks of a task: a module, batches of an order that can be gone on with, a loss, and a judgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Row = dict[str, Any]


class Batches(Protocol):
    """Batches of one rank, pass after pass, as `trainers.loader.Loader` gives them.

    Attributes:
        epoch: passes that are done.
    """

    epoch: int

    def __iter__(self) -> Iterator[Any]:
        """Yield what is left of this pass; all ranks take equally many steps."""

    def state_dict(self) -> dict[str, Any]:
        """Return where the batches stand, the same on every rank, the last one handed out being taken."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where other batches stood; UserError where they were of other data."""


@dataclass(frozen=True)
class Sound:
    """Something to listen to.

    Attributes:
        name: of letters, digits, ``-``, ``_``.
        text: what was asked for.
        rate: samples per second.
        given: sounds that stay the same, by name; float32, shape (T,).
        made: sounds that the module has made, likewise.
    """

    name: str
    text: str
    rate: int
    given: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    made: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class Task(Protocol):
    """What is trained, on what, and how it is judged.

    All draws of a task follow from seed, epoch and a sample's key, or from torch's global generator, which the loop seeds at each
    step: then a training that goes on draws what an undisturbed one draws.

    Attributes:
        told: what the weights that are left behind tell beside their configuration.
    """

    told: Mapping[str, str]

    def build(self) -> nn.Module:
        """Return the module to train; its weights come from torch's global generator."""

    def batches(self, size: int, rank: int, world: int, workers: int) -> Batches:
        """Return the batches of a rank, each of so many samples; those of all ranks together do not depend on the number of ranks."""

    def losses(self, module: nn.Module, batch: Any, epoch: int) -> dict[str, Tensor]:
        """Return the mean losses over a batch by name, scalars, whose sum is made small.

        The module itself is called, not a part or a method of it, so that ranks share their gradients.
        """

    def kept(self, module: nn.Module) -> nn.Module:
        """Return the part of the module that a training leaves behind."""

    def judge(self, module: nn.Module, rank: int, world: int) -> list[Row]:
        """Return this rank's share of the rows, one per held-out item, of a module that is in evaluation mode."""

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what the rows of all ranks say, as JSON has it, with a float or None under ``watched``: the higher the better."""

    def sounds(self, module: nn.Module) -> Iterator[Sound]:
        """Yield a few held-out items to listen to."""
