"""A measure as tables and training loops read it: rows of items, and how the rows of a set become one number with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.measures.intervals import estimate, of_mean, pivotal

Floats = NDArray[np.float64]
Rows = Floats | list[Floats]
"""One per item, shape (items, ...); a list where items have rows of unequal length."""

FEW_RESAMPLES = 200
"""Resamples of a measure that takes up to a third of a second: 1,000 clips of 512 dimensions."""


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        title: as tables print it.
        variant: which of the numbers of that name it is.
        unit: dB, nats, "" for none.
        higher_is_better: the direction.
        function: makes rows of what it needs.
        needs: names out of :data:`trainers.measures.registry.NEEDS`, the function's arguments.
        source: the paper or the tool that defines it; "Earloom" where we do.
        column: where the function's rows hold several measures' values, this one's place.
        pool: makes one number of rows; None: rows are values, and the number is their mean.
        pivot: of a measure that few items bias, the biased one whose pivotal interval is given.
        enough: of a measure with a pivot, whether rows are so many that the interval holds.
        detail: what else is said of a set of rows, such as how many embeddings it holds.
        whole: each row depends on the whole set, which has to be given in one call.
        on_device: the function takes tensors, and works on the device that they are on.
    """

    title: str
    variant: str
    unit: str
    higher_is_better: bool
    function: Callable[..., Any]
    needs: tuple[str, ...]
    source: str
    column: int | None = None
    pool: Callable[[Floats], float] | None = None
    pivot: Callable[[Floats], float] | None = None
    enough: Callable[[Floats], bool] | None = None
    detail: Callable[[Floats], dict[str, Any]] | None = None
    whole: bool = False
    on_device: bool = False

    def rows(self, given: Mapping[str, Any]) -> Rows:
        """Return a row per item; KeyError where something that it needs is not given."""
        return self.own(self.function(**{need: given[need] for need in self.needs}))

    def own(self, made: Rows) -> Rows:
        """Return this measure's part of what its function made."""
        return made if self.column is None else np.asarray(made)[..., self.column]

    def value(self, rows: Rows) -> float:
        """Return the number of a set of rows: pooled, or the mean of the finite values; NaN where there is none."""
        if self.pool is not None:
            return self.pool(joined(rows)) if len(rows) else float("nan")
        finite = np.asarray(rows)[np.isfinite(rows)]
        return float(finite.mean()) if len(finite) else float("nan")

    def summary(self, rows: Rows, seed: int = 0) -> dict[str, Any]:
        """Return the number of a set with its interval, and what is left out of it.

        Args:
            rows: of the set's items, which are taken as independent of one another.
            seed: of the bootstrap.

        Returns:
            ``value``, None where there is none; ``ci95``, its bootstrap interval over items, or None; ``n``, the items that it is
            of. Where rows are values also ``unknown``, how many are NaN (the target is silent, say), ``below`` and ``above``, how
            many are -inf (silence as an answer) and +inf (a perfect one), which no mean holds, and ``median``, of all that are not
            NaN, None where it is infinite. The value of a system with many ``below`` flatters it; the median does not.
        """
        if self.pool is None:
            return _of_values(np.asarray(rows, dtype=np.float64), seed)
        pool, items = self.pool, len(rows)
        biased = self.pivot
        if biased is None:
            return estimate(lambda drawn: pool(joined(rows, drawn)), items, seed)
        number = self.value(rows)
        ci95 = None
        if items and (self.enough is None or self.enough(joined(rows))):
            ci95 = pivotal(lambda drawn: biased(joined(rows, drawn)), items, seed, FEW_RESAMPLES)
        detail = self.detail(joined(rows)) if self.detail and items else {}
        return {"value": number if np.isfinite(number) else None, "ci95": ci95, "n": items} | detail


def joined(rows: Rows, drawn: NDArray[np.int64] | None = None) -> Floats:
    """Return the rows of all items, or of those that are drawn, as one array; rows of unequal length one after the other."""
    if isinstance(rows, np.ndarray):
        return rows if drawn is None else rows[drawn]
    return np.concatenate(rows if drawn is None else [rows[place] for place in drawn])


def _of_values(values: Floats, seed: int) -> dict[str, Any]:
    finite, known = values[np.isfinite(values)], values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # the median of -inf and +inf is none
        median = float(np.median(known)) if len(known) else float("nan")
    return of_mean(finite, seed) | {
        "unknown": len(values) - len(known),
        "below": int(np.sum(values == -np.inf)),
        "above": int(np.sum(values == np.inf)),
        "median": median if np.isfinite(median) else None,
    }
