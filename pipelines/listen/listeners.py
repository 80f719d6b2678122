"""The stage that lists who listens in a run, so that each of them has an outcome wherever what was heard is summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from schemas.errors import UserError
from schemas.ids import canonical_json

PREFIXES = ("listen_", "ask_")
"""What stages put before the name of their listener."""


@dataclass(frozen=True)
class Listeners(Stage):
    """Stage ``listeners``: a row per stage that writes evidence, also where it then says nothing.

    A sum over many clips is no clip's row. The stages that sum what was heard are keyed by the listener instead, so that
    the law of conservation holds for them as for any other: each listener has rows, or a drop that says why not.

    Args:
        stages: the stages of the run that write evidence; each is named as its listener is, or that with ``listen_`` or
            ``ask_`` before it.
    """

    stages: tuple[Stage, ...]

    name = "listeners"
    writes = "listeners"
    key = out_key = "listener"

    def params(self) -> dict[str, Any]:
        """The parts of the recipe that these stages have, by listener."""
        return {listener_of(stage): stage.params() for stage in self.stages}

    def revisions(self) -> dict[str, str]:
        """Their revisions, by listener, as JSON."""
        return {listener_of(stage): canonical_json(stage.revisions()) for stage in self.stages}

    def check(self) -> None:
        """Raise UserError where two stages speak under one name."""
        for name, count in Counter(map(listener_of, self.stages)).items():
            if count > 1:
                raise UserError(f"listen: {count} listeners are named {name!r} in the tables; give one another name")

    def process(self, batch: Batch, context: Context) -> Result:
        """List them."""
        return Result(
            rows=[
                {
                    "listener": listener_of(stage),
                    "stage": stage.name,
                    "settings": canonical_json(stage.params()),
                    "revisions": canonical_json(stage.revisions()),
                }
                for stage in self.stages
            ]
        )


def listener_of(stage: Stage) -> str:
    """Return the name under which a stage speaks in ``evidence``."""
    for prefix in PREFIXES:
        if stage.name.startswith(prefix):
            return stage.name.removeprefix(prefix)
    return stage.name
