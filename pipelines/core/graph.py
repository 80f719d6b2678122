"""The stage graph: who reads whom, and the fingerprints that name the folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.core.commit import ALL
from pipelines.core.stage import Stage
from schemas import tables
from schemas.errors import UserError
from schemas.ids import fingerprint


@dataclass(frozen=True)
class Node:
    """A stage in its graph. ``inputs`` are the earlier nodes whose tables it reads, the primary table's first."""

    stage: Stage
    inputs: tuple[Node, ...]
    identity: dict[str, object]

    @property
    def fingerprint(self) -> str:
        """Hash of version, recipe part, revisions, seed if it draws, and the inputs' fingerprints."""
        return fingerprint(self.identity)[:12]

    @property
    def folder(self) -> str:
        """The stage's folder, relative to the workspace."""
        return f"{self.stage.room}/{self.stage.name}-{self.fingerprint}"


def spans_all(node: Node) -> bool:
    """Say whether a stage is one task over all partitions."""
    return node.stage.waits or not node.stage.reads


def read_of(reader: Node, source: Node, partition: int) -> int:
    """Return the partition of an input that a task reads: its own, or -1, all of them, of a table that is read whole."""
    return ALL if source.stage.writes in reader.stage.whole else partition


def build_graph(
    stages: list[Stage], run_seed: int, revisions: Callable[[Stage], dict[str, str]] | None = None
) -> list[Node]:
    """Wire ``stages``, given in the order of the data's flow: each reads what earlier ones write.

    ``revisions`` tells a stage's revisions; None: the stage itself does.

    Raises:
        UserError: two stages of one name, or a table that no earlier stage writes.
    """
    nodes: list[Node] = []
    for stage in stages:
        if any(node.stage.name == stage.name for node in nodes):
            raise UserError(f"stage {stage.name}: stands twice in the recipe; name each listener once")
        inputs: list[Node] = []
        for table in stage.reads:
            only = stage.reads_from().get(table)
            writers = [
                node for node in nodes if node.stage.writes == table and (only is None or node.stage.name in only)
            ]
            if not writers:
                raise UserError(f"stage {stage.name}: reads {table!r}, which no earlier stage writes")
            inputs += writers
        identity: dict[str, object] = {
            "name": stage.name,
            "version": stage.version,
            "tables": tables.VERSION,
            "params": stage.params(),
            "revisions": revisions(stage) if revisions else stage.revisions(),
            "inputs": [node.fingerprint for node in inputs],
        }
        if stage.seeded:
            identity["seed"] = run_seed
        nodes.append(Node(stage, tuple(inputs), identity))
    return nodes
