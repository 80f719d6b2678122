"""Finished runs whose tables are given, sealed as every run is, for tests of what an export makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipelines.catalog.views import views_sql
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Blob, Context, Result, Stage
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.ingest.store import encode_flac
from pipelines.seal import write_seal
from schemas import tables
from schemas.ids import canonical_json
from schemas.load import parse_recipe

Row = dict[str, Any]
RATE = 8000


@dataclass(frozen=True)
class Given(Stage):
    """A stage that writes the rows that it is given."""

    called: str
    table: str
    rows: tuple[Row, ...]
    told: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.called

    @property
    def writes(self) -> str:
        return self.table

    @property
    def out_key(self) -> str:
        return tables.schema(self.table).names[0]

    @property
    def places(self) -> str:
        return "clip_id" if "clip_id" in tables.schema(self.table).names else "record_id"

    @property
    def room(self) -> str:
        return "store" if self.table == "clips" else "tables"

    def revisions(self) -> dict[str, str]:
        return dict(self.told)

    def process(self, batch: Batch, context: Context) -> Result:
        rows = [filled(self.table, row) for row in self.rows]
        if self.table != "clips":
            return Result(rows=rows, drops=list(self.dropped))
        return Result(rows=rows, blobs=[Blob("clips", row["clip_id"], {"flac": flac(row["clip_id"])}) for row in rows])


def filled(table: str, given: Row) -> Row:
    """Return a row of a table: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0, "bool": False}
    return {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)} | given


def flac(clip_id: str) -> bytes:
    """Return the sound of a clip: a noise of its own."""
    rng = np.random.default_rng(list(clip_id.encode()))
    return encode_flac(rng.integers(-8000, 8000, RATE // 4, dtype=np.int16), RATE)


def clip(clip_id: str, recording_id: str, **more: Any) -> dict[str, Row]:
    """Return the rows of ``records``, ``clips`` and ``captions`` of an accepted clip; ``more`` goes to those that have the column."""
    own = {"record_id": clip_id, "clip_id": clip_id, "recording_id": recording_id, "dataset": "mine", "split": "train"}
    own |= {"source_path": f"{clip_id}.wav", "licence": "by", "duration_s": 0.25, "sample_rate": RATE}
    own |= {"decision": "accepted", "caption": f"Sound of {clip_id}.", "candidate_id": f"{clip_id}:w:0"}
    own |= {"sha256": hashlib.sha256(flac(clip_id)).hexdigest(), "attribution": "Zoë", "score": 1.0, "method": "w"}
    own |= more
    return {
        table: {key: value for key, value in own.items() if key in tables.schema(table).names}
        for table in ("records", "clips", "captions")
    }


def candidate(clip_id: str, number: int, text: str, **more: Any) -> Row:
    """Return a row of ``candidates``."""
    own = {"candidate_id": f"{clip_id}:w:{number}", "clip_id": clip_id, "method": "w", "style": "short", "round": 1}
    return own | {"language": "en", "text": text} | more


Make = Callable[..., Workspace]
"""Seals a run of given clips in a test's own folder; see :func:`sealed`."""


def sealed(
    folder: Path,
    *clips: dict[str, Row],
    root: str = "run",
    partitions: int = 1,
    recipe: Row | None = None,
    revisions: dict[str, Row] | None = None,
    dropped: tuple[tuple[str, str], ...] = (),
    **others: Any,
) -> Workspace:
    """Return a run in ``folder / root`` whose tables hold what is given.

    Args:
        folder: where it is made.
        clips: clips as :func:`clip` gives them.
        root: the run folder's name.
        partitions: of the run; a clip's record has the clip's own name, if there are several.
        recipe: parts of the recipe.
        revisions: of stages, by their names.
        dropped: keys and reasons of what the stage ``index`` leaves out.
        others: tables by name, each its rows, or a dict of stage names and rows. A candidate of each caption is there unless
            others are given.
    """
    stages = {
        name: (table, [each[table] for each in clips])
        for name, table in (("index", "records"), ("ingest", "clips"), ("decide", "captions"))
    }
    own = [candidate(c["clips"]["clip_id"], 0, c["captions"]["caption"]) for c in clips if c["captions"]["caption"]]
    for table, rows in ({"candidates": own} | others).items():
        named = rows if isinstance(rows, dict) else {f"make_{table}": rows}
        stages |= {stage: (table, each) for stage, each in named.items()}
    told = {stage: tuple(words.items()) for stage, words in (revisions or {}).items()}
    given = [
        Given(name, table, tuple(rows), told.get(name, ()), dropped if name == "index" else ())
        for name, (table, rows) in stages.items()
    ]
    graph = build_graph(given, 1)
    work = Work(graph, Context(Workspace(str(folder / root)), str(folder), 1, partitions))
    work.sweep()
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    base = {"name": "made", "partitions": partitions, "data": {"datasets": [{"adapter": "folder", "name": "mine"}]}}
    resolved = parse_recipe(base | (recipe or {}), "test")
    workspace = work.context.workspace
    frozen = {"name": "made", "partitions": partitions, "tables": tables.VERSION}
    workspace.write("run.json", (canonical_json(frozen) + "\n").encode())
    workspace.write("recipe.yaml", yaml.safe_dump(resolved.model_dump(mode="json")).encode())
    workspace.write("views.sql", views_sql(work).encode())
    write_seal(work)
    return workspace
