"""Random draws as functions of a seed and a purpose, for millions of rows at once: any part of a plan can be made alone."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Seeds = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Purpose(IntEnum):
    """What is drawn; two purposes of one seed are independent. A number is never given to another purpose."""

    ROW = 0
    TURNS = 1
    POLICY = 2
    SOURCES = 3
    TARGETS = 4
    ORDER = 5
    AGAIN = 6
    SWAP = 7
    PARTNER = 8
    SEARCH = 9
    LEVEL = 10
    START = 11
    AT = 12
    OVERLAP = 13
    ROOM = 14
    WORDS = 15


def mixed(values: Seeds) -> Seeds:
    """Return the output function of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64 bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def bits(seeds: Seeds, *purpose: int) -> Seeds:
    """Return 64 random bits per seed; every number of ``purpose``, each at least 0, is one more step of the counter."""
    for each in purpose:
        seeds = mixed(seeds + GOLDEN * np.array([each + 1], np.uint64))
    return seeds


def row_seeds(seed: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the seed of each number, in [0, 2^63)."""
    steps = bits(np.array([seed], np.uint64), Purpose.ROW) + GOLDEN * (numbers.astype(np.uint64) + np.uint64(1))
    return (mixed(steps) >> np.uint64(1)).astype(np.int64)


def uniform(seeds: Seeds, *purpose: int) -> NDArray[np.float64]:
    """Return one number per seed, uniform in [0, 1), of 53 bits."""
    return (bits(seeds, *purpose) >> np.uint64(11)) * 2.0**-53


def below(limits: int | NDArray[np.int64], seeds: Seeds, *purpose: int) -> NDArray[np.int64]:
    """Return one whole number per seed, uniform in [0, limit) but for a share of limit / 2^53; limits are at least 1."""
    return np.asarray(uniform(seeds, *purpose) * limits).astype(np.int64)


def permutation(seed: int, count: int, *purpose: int) -> NDArray[np.int64]:
    """Return the whole numbers in [0, count) in a drawn order."""
    keys = mixed(bits(np.array([seed], np.uint64), *purpose) + GOLDEN * np.arange(1, count + 1, dtype=np.uint64))
    return np.argsort(keys, kind="stable")
