"""Mean average precision of tags: AudioSet's, the macro-average of non-interpolated average precisions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return the non-interpolated average precision of one class, in [0, 1].

    The sum over the thresholds, from high to low, of the precision there times the recall gained there; items of one
    score enter together, so that their order says nothing. This is scikit-learn's ``average_precision_score``.

    Args:
        scores: shape (items,), the higher the surer; finite.
        truth: whether each item has the class, shape (items,).

    Returns:
        NaN where no item has the class: there is nothing to find.

    Raises:
        ValueError: the shapes differ.
    """
    values, wanted = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    if values.shape != wanted.shape or values.ndim != 1:
        raise ValueError(f"scores and truth must have one shape (items,), not {values.shape} and {wanted.shape}")
    if not wanted.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    values, found = values[order], np.cumsum(wanted[order])
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    precision, recall = found[last] / (last + 1.0), found[last] / found[-1]
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def average_precisions(scores: ArrayLike, truth: ArrayLike, known: ArrayLike | None = None) -> Floats:
    """Return the average precision of each class, shape (classes,), NaN where no item is known to have it.

    Args:
        scores: shape (items, classes).
        truth: whether each item has each class, same shape.
        known: whether that is known, same shape: an item counts for the classes alone of which it is. None: all is known.

    Raises:
        ValueError: the shapes differ.
    """
    values, wanted = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    told = np.ones_like(wanted) if known is None else np.asarray(known, dtype=bool)
    if not values.shape == wanted.shape == told.shape or values.ndim != 2:
        shapes = ", ".join(str(array.shape) for array in (values, wanted, told))
        raise ValueError(f"scores, truth and known must have one shape (items, classes), not {shapes}")
    columns = zip(values.T, wanted.T, told.T, strict=True)
    return np.array([average_precision(value[own], want[own]) for value, want, own in columns])


def mean_average_precision(scores: ArrayLike, truth: ArrayLike, known: ArrayLike | None = None) -> float:
    """Return the mean of :func:`average_precisions` over the classes that some item has; NaN where none has any."""
    each = average_precisions(scores, truth, known)
    return float(np.mean(each[np.isfinite(each)])) if np.isfinite(each).any() else float("nan")
