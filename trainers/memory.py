"""Memory for batches that is used again as soon as nothing refers to it, shared with the workers that fill it."""

from __future__ import annotations

import weakref

import numpy as np
import torch
from numpy.typing import NDArray


class Memory:
    """A few pieces of memory, each for one batch.

    Decoding ten seconds of sound takes some 4 ms, the kernel another to give fresh pages for them, and a worker one more to pass them on.

    Args:
        pieces: how many.
        shape: of the float32 array that each holds.
        shared: processes that are begun later share it.

    Attributes:
        arrays: what each holds.
    """

    def __init__(self, pieces: int, shape: tuple[int, ...], shared: bool) -> None:
        tensors = [torch.empty(shape) for _ in range(pieces)]
        self.arrays = [each.share_memory_() if shared else each for each in tensors]
        self._free = list(range(pieces))

    def take(self) -> int | None:
        """Return the number of a piece that nothing refers to, to be filled; None if there is none."""
        return self._free.pop() if self._free else None

    def given(self, piece: int) -> NDArray[np.float32]:
        """Return what was filled. When neither this array nor any view or tensor of it is left, the piece may be taken again."""
        array: NDArray[np.float32] = self.arrays[piece].numpy()
        weakref.finalize(array, self._free.append, piece).atexit = False
        return array
