"""A piece of memory is given again when the last array, view or tensor of it is gone, and not before."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
import torch

from trainers.memory import Memory


@pytest.mark.parametrize("shared", [False, True])
def test_a_piece_is_taken_again_only_when_nothing_refers_to_it(shared):
    memory = Memory(1, (2, 3), shared)
    piece = memory.take()
    assert piece is not None
    assert memory.take() is None, "it is being filled"
    memory.arrays[piece].fill_(7)
    for view in (
        lambda array: array,
        lambda array: array[0],
        lambda array: array.T[1:][:1],
        lambda array: torch.from_numpy(array),
        lambda array: torch.from_numpy(array[1, :2])[1:].view(1, 1),
        lambda array: torch.from_numpy(array[0])[:1].numpy()[:1],
        lambda array: torch.from_numpy(array).detach().unbind()[1],
    ):
        held = view(memory.given(piece))
        assert memory.take() is None
        assert held.min() == held.max() == 7
        del held
        assert memory.take() == piece


def test_what_is_given_is_what_was_filled_without_a_copy():
    memory = Memory(3, (4,), shared=True)
    pieces = [memory.take() for _ in range(3)]
    assert sorted(pieces) == [0, 1, 2]
    for piece in pieces:
        memory.arrays[piece].fill_(piece)
        assert memory.given(piece).tolist() == [float(piece)] * 4
        assert memory.arrays[piece].is_shared()
