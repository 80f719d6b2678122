"""What a worker does with one partition: read, serve batch by batch, enforce the law, commit."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from threadpoolctl import threadpool_limits

from pipelines.core.commit import ALL, Commit, Marker, marker_name, table_name, tabled
from pipelines.core.graph import Node, read_of, spans_all
from pipelines.core.stage import Batch, Context, Refusal, Result, Stage, conserve
from pipelines.core.stop import check_stop
from pipelines.core.workspace import Workspace, is_host_fault
from schemas import __version__
from schemas.errors import Reject, RunStopped, UserError

MOST_THREADS = 8
"""Threads that prepare batches ahead of the model that hears them."""

AHEAD_S = 6400.0
"""Seconds of sound that wait prepared at most, beside those of one batch: 1.2 GB as 32-bit samples at 48 kHz."""


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
    return pa.concat_tables(parts) if parts else node.stage.schema().empty_table()


def load_batch(task: Task, context: Context) -> Batch:
    """Read the primary table and the side tables of a task."""
    stage, read = task.node.stage, {}
    for table in stage.reads:
        parts = [
            read_table(context.workspace, node, read_of(task.node, node, task.partition), context.partitions)
            for node in task.node.inputs
            if node.stage.writes == table
        ]
        read[table] = pa.concat_tables(parts)
    return Batch(read.pop(stage.reads[0]) if stage.reads else stage.schema().empty_table(), read)


def run_task(task: Task, context: Context) -> Marker:
    """Serve and commit one task; see :func:`run_tasks`."""
    return run_tasks((task,), context)[0]


def run_tasks(tasks: Sequence[Task], context: Context) -> list[Marker]:
    """Serve and commit the tasks of one bundle, batch by batch beside each other; ``setup`` of their stages has been called.

    Args:
        tasks: one task, or tasks of one partition whose stages read the same rows and prepare the same.
        context: what the stages may know.

    Raises:
        ConservationError: a stage lost or invented a row.
        RunStopped: the machine cannot go on (disk full, read-only, out of memory).
    """
    try:
        # One thread of linear algebra: a sum in another order is another sum, and the number of threads is the machine's.
        with threadpool_limits(1), contextlib.ExitStack() as stack:
            servings = [_Serving(task, context, stack) for task in tasks]
            if spans_all(tasks[0].node):
                servings[0].serve_whole()
            else:
                batches = zip(*(serving.batches() for serving in servings), strict=True)
                for beside in stack.enter_context(contextlib.closing(_prepared(tasks[0], batches, context))):
                    check_stop()
                    for serving, batch in zip(servings, beside, strict=True):
                        serving.serve(batch)
                        batch.ahead = None  # what was prepared goes before more is
        return [serving.finish() for serving in servings]
    except Exception as error:
        if is_host_fault(error):
            words = getattr(error, "strerror", None) or "out of memory"
            names = ", ".join(task.node.stage.name for task in tasks)
            raise RunStopped(
                f"stage {names}, partition {tasks[0].partition}: {words}; mend it and run the same command again"
            ) from error
        raise


def _prepared(
    task: Task, batches: Iterable[tuple[Batch, ...]], context: Context
) -> Generator[tuple[Batch, ...], None, None]:
    """Yield batches while those that follow are prepared on threads, each once for all the tasks of the bundle.

    Nothing is prepared ahead of a careful task, so that what ends its process is the row at hand.
    """
    stage = task.node.stage
    if not stage.prepares or task.careful:
        yield from batches
        return
    threads = max(1, min(MOST_THREADS, len(os.sched_getaffinity(0)) // 2))
    waiting: deque[tuple[Batch, ...]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for beside in batches:
                ahead = pool.submit(stage.prepare, beside[0], context)
                for batch in beside:
                    batch.ahead = ahead
                waiting.append(beside)
                while len(waiting) > threads or (
                    len(waiting) > 1 and sum(each[0].seconds for each in waiting) > AHEAD_S
                ):
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for beside in waiting:
                if beside[0].ahead:
                    beside[0].ahead.cancel()


class _Serving:
    """One task while it is served: its rows, its commit, and the seconds that it takes."""

    def __init__(self, task: Task, context: Context, stack: contextlib.ExitStack) -> None:
        stage, node = task.node.stage, task.node
        if (stage.revisions(), stage.version) != (node.identity["revisions"], node.identity["version"]):
            raise RunStopped(
                f"stage {stage.name}: its prompts, tables, models or code are not those that the run was planned with; "
                "run the same command again and it is planned anew"
            )
        began = time.perf_counter()
        self.task, self.stage, self.context = task, stage, context
        # A commit of an older input may stand here; its marker must be gone before its files are.
        context.workspace.remove(marker_name(node.folder, task.partition))
        self.rows = load_batch(task, context)
        self.commit = stack.enter_context(Commit(stage, context, node.folder, task.partition))
        self.seconds = time.perf_counter() - began

    def batches(self) -> Iterable[Batch]:
        return self.rows.slices(1 if self.task.careful else self.stage.batch_rows, self.stage.batch_s)

    def serve(self, batch: Batch) -> None:
        began = time.perf_counter()
        self.commit.add(batch.rows.num_rows, _serve(self.stage, batch, self.context, self.task))
        self.seconds += time.perf_counter() - began

    def serve_whole(self) -> None:
        began = time.perf_counter()
        _serve_whole(self.stage, self.rows, self.context, self.commit)
        self.seconds += time.perf_counter() - began

    def finish(self) -> Marker:
        """Write the commit; the tars are closed."""
        task, began = self.task, time.perf_counter()
        if task.careful:  # no row is at hand any more, and none may be blamed for what happens from here on
            self.context.workspace.remove(task.trail)
        inputs = dict(task.inputs) | ({"source": task.source} if task.source else {})
        seconds = self.seconds + time.perf_counter() - began
        return self.commit.finish(task.node.fingerprint, inputs, seconds, versions())


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
        # Here, so that a value that no table can hold costs its own row.
        result.tables = tabled(stage, result)
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
