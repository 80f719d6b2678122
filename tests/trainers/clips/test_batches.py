"""Batches of clips: every clip once, the same over one rank and over two, and gone on with exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
from schemas.errors import UserError
from trainers.clips.batches import ClipBatches

Drawn = list[tuple[int, int]]


class Numbers:
    """Examples that are the pass and the number that were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: tuple[int, int]) -> tuple[int, int]:
        return item

    def collated(self, examples: Sequence[tuple[int, int]]) -> Drawn:
        return list(examples)

    def order(self, epoch: int, size: int) -> list[int]:
        return np.random.default_rng(epoch).permutation(self.count).tolist()


def taken(batches: ClipBatches, steps: int) -> list[Drawn]:
    found: list[Drawn] = []
    while True:
        for batch in batches:
            found.append(batch)
            if len(found) == steps:
                return found


def test_a_pass_takes_each_clip_once_and_leaves_what_fills_no_batch_for_another() -> None:
    found = taken(ClipBatches(Numbers(23), 4, 0, 1, 0), 10)
    for epoch in range(2):
        numbers = [number for batch in found[5 * epoch : 5 * epoch + 5] for _, number in batch]
        assert len(set(numbers)) == len(numbers) == 20
        assert {each for batch in found[5 * epoch : 5 * epoch + 5] for each, _ in batch} == {epoch}
    assert found[:5] != found[5:]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_take_together_what_one_takes_in_equally_many_steps(world: int) -> None:
    whole = taken(ClipBatches(Numbers(40), 12, 0, 1, 0), 7)
    shares = [taken(ClipBatches(Numbers(40), 12 // world, rank, world, 0), 7) for rank in range(world)]
    for step, batch in enumerate(whole):
        own = [set(share[step]) for share in shares]
        assert {len(each) for each in own} == {12 // world}
        assert set.union(*own) == set(batch)


@pytest.mark.parametrize("stop", [1, 4, 5, 7, 10])
@pytest.mark.parametrize("workers", [0, 2])
def test_from_where_they_stood_others_go_on(stop: int, workers: int) -> None:
    every = taken(ClipBatches(Numbers(23), 4, 0, 1, 0), 12)
    first = ClipBatches(Numbers(23), 4, 0, 1, workers)
    assert taken(first, stop) == every[:stop]
    # Workers may be others afterwards, and ranks too.
    shares = [ClipBatches(Numbers(23), 2, rank, 2, 0) for rank in range(2)]
    for share in shares:
        share.load_state_dict(first.state_dict())
    rest = [taken(share, 12 - stop) for share in shares]
    assert [set(one) | set(other) for one, other in zip(*rest, strict=True)] == [set(batch) for batch in every[stop:]]


def test_too_few_clips_and_a_state_of_others_are_refused() -> None:
    with pytest.raises(UserError, match=r"fit.batch: 8 are more than the 7 clips to train on"):
        ClipBatches(Numbers(7), 4, 0, 2, 0)
    state = ClipBatches(Numbers(8), 4, 0, 1, 0).state_dict()
    with pytest.raises(UserError, match=r"the checkpoint is of 8 clips, here are 9"):
        ClipBatches(Numbers(9), 4, 0, 1, 0).load_state_dict(state)
