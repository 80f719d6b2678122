"""Models that failed on every clip of a run: then it is the model that is at fault, and not the clips."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.commit import marker_name
from pipelines.core.work import Work
from pipelines.listen.stage import FAILED


def deaf(work: Work) -> list[str]:
    """Return a line per stage of a finished run that rejected every clip it read because its model failed, with the first reason.

    A model that has words of its own for what it cannot hear has not failed, and nor has one that hears nothing.
    """
    lines = []
    for node in work.nodes:
        markers = list(work.markers(node))
        read, rejected = sum(marker.rows_in for marker in markers), sum(marker.rejects for marker in markers)
        if not read or rejected < read:
            continue
        rejects = [
            row for table in _rejects(work, node.folder, [m.partition for m in markers]) for row in table.to_pylist()
        ]
        if {row["error"] for row in rejects} == {FAILED}:
            lines.append(f"{node.stage.name} failed on each of its {read} clips, first with: {rejects[0]['message']}")
    return lines


def _rejects(work: Work, folder: str, partitions: list[int]) -> Iterator[pa.Table]:
    for partition in partitions:
        name = f"{marker_name(folder, partition).removesuffix('.json')}.rejects.parquet"
        if work.context.workspace.exists(name):
            yield pq.read_table(pa.BufferReader(work.context.workspace.read(name)))
