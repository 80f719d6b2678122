"""Batches of examples drawn from clips: shared out over ranks, equally many for each, and gone on with exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from torch.utils.data import DataLoader

from schemas.errors import UserError
from trainers.workers import plain


class Examples(Protocol):
    """What is learnt from, by pass and number of a clip.

    All draws follow from seed, pass and the clip's number, so that neither ranks nor workers nor a restart changes them.
    """

    def __len__(self) -> int:
        """Return how many clips there are."""

    def __getitem__(self, item: tuple[int, int]) -> Any:
        """Return the example of a pass and a clip's number."""

    def collated(self, examples: Sequence[Any]) -> Any:
        """Return examples as a batch."""

    def order(self, epoch: int, size: int) -> Sequence[int]:
        """Return the clips' numbers in the order of a pass, for batches of so many over all ranks: a permutation."""


class ClipBatches:
    """The batches of one rank, pass after pass, as `trainers.fit.task.Batches`.

    The batches of all ranks together do not depend on how many ranks share them. What fills no batch at the end of a pass is left
    for another one.

    Attributes:
        epoch: passes that are done.

    Args:
        examples: what is learnt from.
        size: examples of a batch and rank.
        rank: this rank, in [0, world).
        world: how many ranks there are.
        workers: processes that read and draw; 0: this one does.

    Raises:
        UserError: the clips fill no batch.
    """

    def __init__(self, examples: Examples, size: int, rank: int, world: int, workers: int) -> None:
        if len(examples) < size * world:
            raise UserError(
                f"fit.batch: {size * world} are more than the {len(examples)} clips to train on; use fewer, or more clips"
            )
        self.examples, self.whole = examples, size * world
        self.rank, self.world, self.workers = rank, world, workers
        self.epoch = self._step = 0

    def __iter__(self) -> Iterator[Any]:
        """Yield what is left of this pass."""
        epoch, steps = self.epoch, len(self.examples) // self.whole
        order = self.examples.order(epoch, self.whole)
        batches = [
            [(epoch, number) for number in order[step * self.whole : (step + 1) * self.whole][self.rank :: self.world]]
            for step in range(self._step, steps)
        ]
        collated: Callable[[Sequence[Any]], Any] = self.examples.collated
        data: Any = self.examples  # torch takes what has a length and items
        loader = DataLoader(data, batch_sampler=batches, num_workers=self.workers, collate_fn=collated)
        for step, batch in enumerate(plain(loader), self._step + 1):
            # Counted before it is handed out: whoever saves the state while at work on a batch has had it.
            self.epoch, self._step = (epoch, step) if step < steps else (epoch + 1, 0)
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return where the batches stand, the same on every rank; workers do not matter, and ranks may be others afterwards."""
        return {"epoch": self.epoch, "step": self._step, "clips": len(self.examples)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to where other batches stood; UserError if they were of other clips."""
        if state["clips"] != len(self.examples):
            raise UserError(
                f"the checkpoint is of {state['clips']} clips, here are {len(self.examples)}; train on what it was begun with"
            )
        self.epoch, self._step = state["epoch"], state["step"]
