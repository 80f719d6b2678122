"""The graph of a run that was made before, also where the models, packages or prompts that made it are not here any more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.assemble import stages_of
from pipelines.core.graph import Node, build_graph
from pipelines.core.stage import Stage
from pipelines.core.workspace import Workspace
from schemas.ids import canonical_json
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Made:
    """A run's graph. Of the stages in ``absent`` what made them cannot be asked; it says why, in one line."""

    nodes: list[Node]
    absent: dict[str, str]


def made(workspace: Workspace, recipe: Recipe, sealed: Mapping[str, str]) -> Made:
    """Return the graph of a run by its own recipe.

    A stage whose models or prompts are not here has the revisions that its folder tells: the sealed one, or of an unfinished
    run the ones that were made as the recipe says. Where these tell several, it has none, and its fingerprint is nobody's.

    Args:
        workspace: the run.
        recipe: as it was resolved when the run began.
        sealed: the stages' folders; empty: the run is not finished.
    """
    absent: dict[str, str] = {}

    def revisions(stage: Stage) -> dict[str, str]:
        try:
            return stage.revisions()
        except Exception as error:  # whatever a package does that is half there: it is not what is to be proved
            absent[stage.name] = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            return _told(workspace, stage, sealed)

    return Made(build_graph(stages_of(recipe, check=False), recipe.seed, revisions), absent)


def _told(workspace: Workspace, stage: Stage, sealed: Mapping[str, str]) -> dict[str, str]:
    """Return the revisions that a stage's folders tell, if they tell of one alone; else none."""
    if stage.name in sealed:
        return dict(_identity(workspace, sealed[stage.name])["revisions"])
    here = [f"{stage.room}/{name}" for name in workspace.folders(stage.room) if name.rpartition("-")[0] == stage.name]
    identities = [_identity(workspace, folder) for folder in here if workspace.exists(f"{folder}/stage.json")]
    own = canonical_json(stage.params())
    found = {
        canonical_json(identity["revisions"])
        for identity in identities
        if identity["version"] == stage.version and canonical_json(identity["params"]) == own
    }
    return dict(json.loads(found.pop())) if len(found) == 1 else {}


def _identity(workspace: Workspace, folder: str) -> dict[str, Any]:
    return dict(json.loads(workspace.read(f"{folder}/stage.json")))
