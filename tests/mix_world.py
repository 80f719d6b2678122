"""Clips that may be mixed, as rows of ``sources``, and plans of them, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.mix.conflict import specific
from pipelines.mix.naming import phrase
from pipelines.mix.patterns import Patterns
from pipelines.mix.plan import PlanMixtures
from schemas import tables
from schemas.mixing import MixtureSet
from schemas.ontology import default_ontology

ONTOLOGY = default_ontology()
IDS = {node.name: node.class_id for node in reversed(ONTOLOGY.classes)}
RATE = 8000
TEMPLATES = "prompts/instructions.yaml"


def source(clip_id: str, class_ids: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return a clip of ten seconds in ``train``, alone in its group, labelled with these classes, or with these names of classes."""
    class_ids = [IDS.get(each, each) for each in class_ids]
    names = [ONTOLOGY[each].name for each in specific(ONTOLOGY, class_ids)]
    row = {
        "clip_id": clip_id, "recording_id": f"fs:{clip_id}", "group_id": clip_id, "dataset": "t", "split": "train", "state": "labelled",
        "class_ids": sorted(class_ids), "class_names": names, "said_class_ids": [], "heard_class_ids": [], "caption": None,
        "label": phrase(names), "spoken": [f"the {phrase([name])}" for name in names], "onset_s": None, "offset_s": None,
        "duration_s": 10.0, "sample_rate": RATE, "sha256": clip_id, "licence": "cc0", "licence_text": None, "attribution": None,
        "tar": "store/x.tar", "offset": 0, "size": 1,
    }  # fmt: skip
    return row | more


def world(count: int, seed: int = 0, most: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Return clips of one to ``most`` classes each, of 1 to 20 s, in three splits."""
    rng = np.random.default_rng(seed)
    leaves = [node.class_id for node in ONTOLOGY.classes if not node.abstract]
    return [
        source(
            f"c{number:04d}",
            rng.choice(leaves, rng.integers(1, most + 1), replace=False).tolist(),
            split=("train", "val", "test")[number % 3],
            duration_s=float(rng.integers(1000, 20_000) / 1000),
        )
        | more
        for number in range(count)
    ]


def table_of(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Return rows of ``sources`` as a table."""
    return tables.from_rows("sources", list(rows))


def patterns() -> pa.Table:
    """Return the table ``patterns`` of the file that recipes use."""
    stage = Patterns((TEMPLATES,))
    return tables.from_rows("patterns", stage.process(Batch(stage.schema().empty_table(), {}), context()).rows)


def context(seed: int = 3, root: str = ".") -> Context:
    """Return a context without a workspace."""
    return Context(Workspace("unused"), root, seed, 4)


def planned(rows: Sequence[dict[str, Any]], *sets: MixtureSet, seed: int = 3, root: str = ".") -> Result:
    """Return what the stage makes of these clips, as rows too, and see that no clip is lost."""
    stage = PlanMixtures(sets, RATE)
    result = stage.process(Batch(table_of(rows), {"patterns": patterns()}), context(seed, root))
    conserve(stage, [row["clip_id"] for row in rows], result)
    result.rows = [row for made in result.tables for row in made.to_pylist()]
    return result


def plan(rows: Sequence[dict[str, Any]], seed: int = 3, **rules: Any) -> list[dict[str, Any]]:
    """Return the rows of a plan of one set."""
    return planned(rows, MixtureSet(**rules), seed=seed).rows


def clashes(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Say whether two clips have classes that conflict, class by class."""
    names = ("class_ids", "said_class_ids", "heard_class_ids")
    first, second = ([c for name in names for c in row[name]] for row in (a, b))
    return any(ONTOLOGY.conflict(x, y) for x in first for y in second)
