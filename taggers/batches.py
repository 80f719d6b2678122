"""Batches for a model: equal lengths together, up to a budget of seconds; half as many when memory is not enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

OF_ACCELERATOR = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What a RuntimeError of torch says where the accelerator's memory is not enough: for what torch allocates itself it has a class."""

OF_HOST = ("DefaultCPUAllocator",)
"""What it says where the machine's is not: on Linux `can't allocate memory`, on Windows `not enough memory`."""


def by_length(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Return indices in batches of equal length, so that nothing is padded and a batch hears what each hears alone.

    Args:
        lengths: samples of each waveform.
        most: samples that a batch may hold; one that is longer is a batch of its own.

    """
    groups: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        groups[length].append(index)
    out = []
    for length, indices in groups.items():
        size = max(1, most // max(1, length))
        out += [indices[start : start + size] for start in range(0, len(indices), size)]
    return out


def halving(serve: Callable[[Sequence[int]], list[T]], indices: Sequence[int]) -> list[T]:
    """Serve a batch; where memory is not enough, serve its halves, down to one by one.

    Raises:
        torch.OutOfMemoryError: one alone does not fit on the accelerator.
        MemoryError: one alone does not fit into the machine's own memory.

    """
    import torch

    try:
        return serve(indices)
    except RuntimeError as error:
        words = str(error)
        of_host = any(phrase in words for phrase in OF_HOST)
        if not (
            of_host or isinstance(error, torch.OutOfMemoryError) or any(phrase in words for phrase in OF_ACCELERATOR)
        ):
            raise
        if len(indices) == 1:
            raise (MemoryError if of_host else torch.OutOfMemoryError)(words.splitlines()[0]) from error
    # Outside of the handler: the traceback holds the tensors that did not fit.
    torch.cuda.empty_cache()
    half = len(indices) // 2
    return halving(serve, indices[:half]) + halving(serve, indices[half:])
