"""Which samples go into which tar is a function of their order, their sizes and the bounds, and of nothing else."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.shards.layout import TAR_END, Bounds, Group, Piece, dali_name, group_of, index_name, packed, tar_name
from schemas.errors import UserError

SIZES = st.lists(st.integers(1, 40), max_size=60)


def pieces(sizes: list[int]) -> list[Piece]:
    return [Piece(f"k{number}", "a.tar", 0, 512 * size) for number, size in enumerate(sizes)]


@given(SIZES, st.integers(1, 9), st.integers(1, 60_000))
def test_every_sample_lies_in_one_tar_in_order_and_no_tar_is_too_large(sizes, samples, size):
    given_, bounds = pieces(sizes), Bounds(samples, size)
    batches = list(packed(given_, bounds))
    assert [piece for batch in batches for piece in batch] == given_
    for batch in batches:
        assert 0 < len(batch) <= samples
        assert len(batch) == 1 or sum(piece.size for piece in batch) + len(TAR_END) <= size


@given(SIZES, st.integers(1, 9), st.integers(1, 60_000))
def test_a_tar_ends_only_where_the_next_sample_does_not_fit(sizes, samples, size):
    batches = list(packed(pieces(sizes), Bounds(samples, size)))
    for batch, following in pairwise(batches):
        more = sum(piece.size for piece in batch) + following[0].size + len(TAR_END)
        assert len(batch) == samples or more > size


def test_names_sort_as_numbers_do_and_tell_their_group():
    group = Group("hard_2", "train")
    names = [tar_name(group, number) for number in (0, 9, 10, 99_999, 100_000)]
    assert names == sorted(names)
    assert names[0] == "hard_2-train-000000.tar"
    assert {group_of(name) for name in names} == {group}
    assert (index_name(names[0]), dali_name(names[0])) == (
        "index/hard_2-train-000000.csv",
        "index/hard_2-train-000000.idx",
    )
    with pytest.raises(ValueError, match="is no name of a tar"):
        group_of("train-00000-000.tar")


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0)])
def test_bounds_that_hold_nothing_are_refused(bounds):
    with pytest.raises(UserError, match="room for 1 sample and 1 byte at least"):
        Bounds(*bounds)
