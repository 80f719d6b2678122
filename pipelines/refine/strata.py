"""Strata: captions that are judged by one line, since scores of one kind of clip say little of another."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from pipelines.core.stage import Batch, Context, Result, Stage

ALL = "all"

DURATIONS_S = ((0.0, "under 5 s"), (5.0, "5 to 15 s"), (15.0, "15 s and more"))
"""Least seconds of a clip in each bin, the first one's being 0."""

WORDS = ((0, "under 8 words"), (8, "8 to 15 words"), (16, "16 words and more"))
"""Least words of a caption in each bin."""


@dataclass(frozen=True)
class Strata(Stage):
    """Stage ``strata``: a row per stratum that a caption of this run may fall into, each with the one that it is a part of.

    Strata lie within each other: all captions; those of one dataset; of these, by the clip's duration; of these, by the
    caption's length. As the row of a sum is no caption's row, what is summed is keyed by stratum.

    Args:
        datasets: names of the recipe's datasets.
    """

    datasets: tuple[str, ...]

    name = "strata"
    writes = "strata"
    key = out_key = "stratum"

    def process(self, batch: Batch, context: Context) -> Result:
        """List them, those that hold others first."""
        seen = {ALL: None} | {
            part: whole
            for dataset in self.datasets
            for seconds, _ in DURATIONS_S
            for words, _ in WORDS
            for part, whole in _pairs(strata_of(dataset, seconds, words))
        }
        return Result(rows=[{"stratum": part, "parent": whole} for part, whole in seen.items()])


def strata_of(dataset: str, duration_s: float, words: int) -> tuple[str, ...]:
    """Return the strata of a caption, the smallest first.

    Args:
        dataset: the clip's dataset.
        duration_s: the clip's seconds.
        words: words of the caption, as white space parts them.
    """
    of_dataset = f"dataset={dataset}"
    of_duration = f"{of_dataset}, {_bin(duration_s, DURATIONS_S)}"
    return f"{of_duration}, {_bin(words, WORDS)}", of_duration, of_dataset, ALL


def _bin(value: float, bins: tuple[tuple[float, str], ...]) -> str:
    return bins[bisect_right([least for least, _ in bins], value) - 1][1]


def _pairs(strata: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(strata[-2::-1], strata[:0:-1], strict=True))
