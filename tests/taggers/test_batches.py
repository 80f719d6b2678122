"""Batches hold equal lengths within a budget, and where memory is not enough, halves of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taggers.batches import by_length, halving


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 12), max_size=40), most=st.integers(1, 60))
def test_batches_hold_each_waveform_once_in_order_equal_lengths_together_within_the_budget(
    lengths: list[int], most: int
) -> None:
    batches = by_length(lengths, most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert batch == sorted(batch)
        assert len({lengths[index] for index in batch}) == 1
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= most
    for length in set(lengths):  # and no more of them than the budget needs
        own = [batch for batch in batches if lengths[batch[0]] == length]
        assert len(own) == -(-lengths.count(length) // max(1, most // length))


@settings(deadline=None)
@given(count=st.integers(1, 33), fits=st.integers(1, 40))
def test_halves_answer_in_order_as_the_whole_would(count: int, fits: int) -> None:
    served: list[int] = []

    def serve(indices: object) -> list[int]:
        given = list(indices)  # type: ignore[call-overload]
        if len(given) > fits:
            raise torch.OutOfMemoryError("too many")
        served.append(len(given))
        return [10 * index for index in given]

    indices = list(range(100, 100 + count))
    assert halving(serve, indices) == [10 * index for index in indices]
    assert sum(served) == count  # nothing is served twice
    assert max(served) <= fits
    assert 2 * max(served) > min(fits, count)  # and nothing is halved without need


def test_one_that_does_not_fit_alone_is_raised_and_other_errors_at_once() -> None:
    sizes: list[int] = []

    def serve(indices: object) -> list[int]:
        sizes.append(len(indices))  # type: ignore[arg-type]
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError, match="too large"):
        halving(serve, range(4))
    assert sizes == [4, 2, 1]

    def fail(indices: object) -> list[int]:
        sizes.append(0)
        raise RuntimeError("another")

    with pytest.raises(RuntimeError, match="another"):
        halving(fail, range(4))
    assert sizes[3:] == [0]


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_what_a_library_of_the_accelerator_cannot_allocate_is_out_of_memory_too(words: str) -> None:
    def serve(indices: Sequence[int]) -> list[int]:
        if len(indices) > 2:
            raise RuntimeError(words)
        return list(indices)

    assert halving(serve, range(9)) == list(range(9))

    def never(indices: Sequence[int]) -> list[int]:
        raise RuntimeError(words)

    with pytest.raises(torch.OutOfMemoryError) as caught:
        halving(never, range(4))
    assert str(caught.value) == words.splitlines()[0]


def test_where_the_machines_own_memory_is_not_enough_for_one_no_clip_is_to_blame() -> None:
    def serve(indices: Sequence[int]) -> list[int]:
        torch.empty(len(indices) * 10**15)
        return []

    with pytest.raises(MemoryError, match="DefaultCPUAllocator"):
        halving(serve, range(2))


def test_what_did_not_fit_is_let_go_before_its_halves_are_served() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def serve(indices: object) -> list[int]:
        gc.collect()
        assert all(tensor() is None for tensor in held)
        tensor = torch.zeros(len(indices))  # type: ignore[arg-type]
        held.append(weakref.ref(tensor))
        if len(tensor) > 1:
            raise torch.OutOfMemoryError("too many")
        return [0]

    assert halving(serve, range(4)) == [0, 0, 0, 0]
    assert len(held) == 7
