"""The stage that lists the datasets of a recipe, so that what is summed over a dataset's clips is keyed by it."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.stage import Batch, Context, Result, Stage


@dataclass(frozen=True)
class Datasets(Stage):
    """Stage ``datasets``: a row per dataset of the recipe, also of one that turns out to be empty.

    Args:
        datasets: name in the recipe and adapter of each.
    """

    datasets: tuple[tuple[str, str], ...]

    name = "datasets"
    writes = "datasets"
    key = out_key = "dataset"

    def process(self, batch: Batch, context: Context) -> Result:
        """List them."""
        return Result(rows=[{"dataset": dataset, "adapter": adapter} for dataset, adapter in self.datasets])
