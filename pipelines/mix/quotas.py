"""Whose turn it is to be the target: every clip equally often, or a count that is spread over strata."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.mix.draws import Purpose, permutation

Ints = NDArray[np.int64]


def largest_remainder(shares: Sequence[float], count: int) -> Ints:
    """Return ``count`` divided by shares that sum to 1 (Hamilton's method; equal remainders go to the first)."""
    exact = np.asarray(shares, np.float64) * count
    whole = np.floor(exact + 1e-9).astype(np.int64)
    whole[np.argsort(-(exact - whole), kind="stable")[: count - whole.sum()]] += 1
    return whole


def even(count: int, room: Ints) -> Ints:
    """Return ``count`` divided as equally as ``room`` allows: none gets more than its room, and no more is given than fits.

    What does not divide goes to the first that have room.
    """
    count = min(count, int(room.sum()))
    low, high = 0, int(room.max(initial=0))
    while low < high:  # the highest level to which all can be filled
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(room, level).sum() <= count else (low, level - 1)
    given = np.minimum(room, low)
    given[np.flatnonzero(room > low)[: count - given.sum()]] += 1
    return given


def spread(count: int, strata: Sequence[Ints], size: int, most: int) -> Ints:
    """Return how often each of ``size`` clips is a target, none more than ``most`` times, ``count`` in all where that fits.

    Args:
        count: targets in all.
        strata: codes of shape (size,), at least 0: the count is divided equally over the values of the first, each part over those of the
            second within it, and so on, and last over the clips. What does not fit into a stratum goes to the others.
        size: number of clips.
        most: most uses of one clip.
    """
    if not strata:
        return even(count, np.full(size, most, np.int64))
    uses = np.zeros(size, np.int64)
    order = np.argsort(strata[0], kind="stable")
    _, begins = np.unique(strata[0][order], return_index=True)
    members = np.split(order, begins[1:])
    parts = even(count, np.array([most * len(each) for each in members], np.int64))
    for part, each in zip(parts.tolist(), members, strict=True):
        uses[each] = spread(part, [stratum[each] for stratum in strata[1:]], len(each), most)
    return uses


def turns(uses: Ints) -> Ints:
    """Return the clips in order of their turns: each that has a first turn, then each that has a second, and so on."""
    clips = np.repeat(np.arange(len(uses)), uses)
    rounds = np.arange(len(clips)) - np.repeat(np.cumsum(uses) - uses, uses)
    return clips[np.argsort(rounds, kind="stable")]


def counted(
    count: int, datasets: Ints, shares: dict[int, float], strata: Sequence[Ints], most: int, seed: int
) -> tuple[Ints, int]:
    """Return the targets of ``count`` mixtures, and how many of them can be had.

    Args:
        count: mixtures in all.
        datasets: code of each clip's dataset, shape (n,), n at least 1.
        shares: dataset -> share of the targets; datasets without clips are left out and the others' shares raised alike. Empty: no quotas.
        strata: see :func:`spread`; within each dataset that has a share.
        most: most uses of one clip.
        seed: draws which clips get what does not divide.

    Returns:
        The clip of each mixture, shape (count,), and how many are within the rules: those that follow have a clip that
        has been a target ``most`` times already, for there is no other.
    """
    drawn = permutation(seed, len(datasets), Purpose.TURNS)
    uses = np.zeros(len(datasets), np.int64)
    there = {code: share for code, share in shares.items() if share and (datasets == code).any()}
    parts = [(drawn, count)]
    if there:
        total = sum(there.values())
        divided = largest_remainder([share / total for share in there.values()], count).tolist()
        parts = [(drawn[datasets[drawn] == code], part) for code, part in zip(there, divided, strict=True)]
    for clips, part in parts:
        uses[clips] = spread(part, [stratum[clips] for stratum in strata], len(clips), most)
    served = turns(uses)
    some = np.flatnonzero(uses) if len(served) else np.arange(len(datasets))
    return np.concatenate([served, np.resize(some, count - len(served))]), len(served)


def rarest(codes: Ints, counts: Ints, size: int) -> Ints:
    """Return, of each of n sets of codes, the code that the fewest sets have, the lower where equal; ``size`` of an empty set.

    Args:
        codes: the sets one after the other, in [0, size).
        counts: how many codes each set has, shape (n,).
        size: number of codes.
    """
    made = np.full(len(counts), size, np.int64)
    some = counts > 0
    if len(codes):
        ranked = np.bincount(codes, minlength=size)[codes] * (size + 1) + codes
        made[some] = np.minimum.reduceat(ranked, (np.cumsum(counts) - counts)[some]) % (size + 1)
    return made


def tenths(values: NDArray[np.float64]) -> Ints:
    """Return the tenth of the distribution, 0 to 9, in which each value begins; equal values are in one tenth."""
    return np.searchsorted(np.sort(values), values, side="left") * 10 // len(values)
