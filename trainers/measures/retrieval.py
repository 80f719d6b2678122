"""Retrieval: ranks of what a query asks for among all items, recall at 1, 5 and 10, and the mean rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ranks(similarities: ArrayLike, relevant: ArrayLike) -> NDArray[np.int64]:
    """Return, per query, the rank of the best item that it asks for: 1 is the first, shape (queries,).

    Ties count against: an item that is as near as the wanted one, and not asked for, stands before it. So a model that
    finds everything equally near has the last rank, not the first.

    Args:
        similarities: shape (queries, items), the higher the nearer; a NaN is nearest of all, unless it is the wanted one's.
        relevant: whether a query asks for an item, same shape, at least one per query.

    Raises:
        ValueError: the shapes differ, or a query asks for no item.
    """
    near, wanted = np.asarray(similarities, dtype=np.float64), np.asarray(relevant, dtype=bool)
    if near.shape != wanted.shape or near.ndim != 2:
        raise ValueError(f"both must have one shape (queries, items), not {near.shape} and {wanted.shape}")
    if not wanted.any(axis=1).all():
        raise ValueError(f"query {int(np.argmin(wanted.any(axis=1)))} asks for no item")
    best = np.where(wanted & ~np.isnan(near), near, -np.inf).max(axis=1, keepdims=True)
    before = ~wanted & ~(near < best)
    return 1 + before.sum(axis=1)


def recall_at(ranked: ArrayLike, most: int) -> float:
    """Return the share of the queries whose rank is ``most`` or better, in [0, 1]; NaN without queries."""
    values = np.asarray(ranked)
    return float(np.mean(values <= most)) if values.size else float("nan")


def mean_rank(ranked: ArrayLike) -> float:
    """Return the mean rank, 1 at best; NaN without queries."""
    values = np.asarray(ranked)
    return float(np.mean(values)) if values.size else float("nan")
