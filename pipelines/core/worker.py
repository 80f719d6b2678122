"""What a worker does with one partition: read, serve batch by batch, enforce the law, commit."""

from __future__ import annotations

import json
import time
import traceback
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from threadpoolctl import threadpool_limits

from pipelines.core.commit import ALL, Commit, Marker, marker_name, table_name
from pipelines.core.graph import Node
from pipelines.core.stage import Batch, Context, Refusal, Result, Stage, conserve, empty
from pipelines.core.stop import check_stop
from pipelines.core.workspace import Workspace, is_host_fault
from schemas import __version__
from schemas.errors import Reject, RunStopped, UserError


@dataclass(frozen=True)
class Task:
    """One partition of one stage, or with partition -1 all of them.

    ``careful``: serve row by row and leave a trail of the row at hand, because a worker died of this partition before.
    ``poisoned``: keys whose serving killed a worker twice; they are rejected unserved.
    """

    node: Node
    partition: int
    inputs: tuple[tuple[str, str], ...]
    source: str = ""
    careful: bool = False
    poisoned: frozenset[str] = frozenset()

    @property
    def trail(self) -> str:
        """File that names the row at hand of a careful task."""
        return f"{self.node.folder}/.tmp-trail-{self.partition}"


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of the libraries whose change could change bytes."""
    names = ("numpy", "pyarrow", "soundfile", "soxr")
    return {"earloom": __version__, "libsndfile": soundfile.__libsndfile_version__} | {
        name: version(name) for name in names
    }


def read_table(workspace: Workspace, node: Node, partition: int, partitions: int) -> pa.Table:
    """Return one partition of a node's table, or with partition -1 the whole table in order of partitions."""
    wanted = range(partitions) if partition == ALL else [partition]
    parts = [pq.read_table(pa.BufferReader(workspace.read(table_name(node.folder, p)))) for p in wanted]
    return pa.concat_tables(parts) if parts else empty(node.stage.writes)


def load_batch(task: Task, context: Context) -> Batch:
    """Read the primary table and the side tables of a task."""
    stage, read = task.node.stage, {}
    for table in stage.reads:
        parts = [
            read_table(context.workspace, node, task.partition, context.partitions)
            for node in task.node.inputs
            if node.stage.writes == table
        ]
        read[table] = pa.concat_tables(parts)
    primary = stage.reads[0] if stage.reads else stage.writes
    return Batch(read.pop(primary) if stage.reads else empty(stage.writes), read)


def run_task(task: Task, context: Context) -> Marker:
    """Serve and commit one task; ``stage.setup`` has been called.

    Raises:
        ConservationError: the stage lost or invented a row.
        RunStopped: the machine cannot go on (disk full, read-only, out of memory).
    """
    stage, began = task.node.stage, time.perf_counter()
    if (stage.revisions(), stage.version) != (task.node.identity["revisions"], task.node.identity["version"]):
        raise RunStopped(
            f"stage {stage.name}: its prompts, tables, models or code are not those that the run was planned with; "
            "run the same command again and it is planned anew"
        )
    try:
        # A commit of an older input may stand here; its marker must be gone before its files are.
        context.workspace.remove(marker_name(task.node.folder, task.partition))
        whole = load_batch(task, context)
        # One thread of linear algebra: a sum in another order is another sum, and the number of threads is the machine's.
        with threadpool_limits(1), Commit(stage, context, task.node.folder, task.partition) as commit:
            if stage.waits or not stage.reads:
                _serve_whole(stage, whole, context, commit)
            else:
                for batch in whole.slices(1 if task.careful else stage.batch_rows):
                    check_stop()
                    commit.add(batch.rows.num_rows, _serve(stage, batch, context, task))
        if task.careful:  # no row is at hand any more, and none may be blamed for what happens from here on
            context.workspace.remove(task.trail)
        inputs = dict(task.inputs) | ({"source": task.source} if task.source else {})
        return commit.finish(task.node.fingerprint, inputs, time.perf_counter() - began, versions())
    except Exception as error:
        if is_host_fault(error):
            words = getattr(error, "strerror", None) or "out of memory"
            raise RunStopped(
                f"stage {stage.name}, partition {task.partition}: {words}; mend it and run the same command again"
            ) from error
        raise


def _serve_whole(stage: Stage, batch: Batch, context: Context, commit: Commit) -> None:
    """Serve a stage that needs everything at once: an exception here is no single record's fault."""
    if stage.reads:
        keys = batch.rows.column(stage.key).to_pylist()
        result = stage.process(batch, context)
        conserve(stage, keys, result)
        commit.add(len(keys), result)
        return
    # A source has no keys but those that it gives; that each stands once is its own to keep.
    for result in stage.stream(context):
        check_stop()
        commit.add(len(result.keys(stage.out_key)), result)


def _serve(stage: Stage, batch: Batch, context: Context, task: Task) -> Result:
    """Serve a batch; if it fails, serve its rows one by one, so that a bad record costs that record alone."""
    keys = batch.rows.column(stage.key).to_pylist()
    if task.careful:
        if keys[0] in task.poisoned:
            message = "serving this row alone ended its worker process twice"
            return Result(rejects=[Refusal(keys[0], "worker_died", message, _source(batch), 2)])
        with context.workspace.create(task.trail) as file:
            file.write(json.dumps(keys[0]).encode())
    try:
        result = stage.process(batch, context)
    except Exception as error:
        if is_host_fault(error) or isinstance(error, (RunStopped, UserError)):
            raise
        if len(keys) > 1:
            result = Result()
            for row in batch.slices(1):
                result.extend(_serve(stage, row, context, task))
            return result
        result = Result(rejects=[_refusal(keys[0], error, _source(batch))])
    conserve(stage, keys, result)
    return result


def _source(batch: Batch) -> str | None:
    names = batch.rows.schema.names
    return batch.rows.column("source_path")[0].as_py() if "source_path" in names else None


def _refusal(key: str, error: Exception, source: str | None) -> Refusal:
    if isinstance(error, Reject):
        return Refusal(key, error.error, error.message, source)
    words: Any = str(error).strip().splitlines()
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
    message = f"{words[0] if words else 'no message'} ({place})"[-500:]
    return Refusal(key, f"unexpected_{type(error).__name__}", message, source)
