"""The one loop that drives a run, whatever engine serves it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipelines.core.commit import Marker
from pipelines.core.graph import Node
from pipelines.core.progress import Progress
from pipelines.core.stop import check_stop
from pipelines.core.work import Work
from pipelines.core.worker import Task
from schemas.errors import RunStopped

MOST_LOSSES = 5
"""Workers that one partition may lose, without any row being found at fault, before the run stops."""


@dataclass(frozen=True)
class WorkerLost:
    """A worker died (killed, out of memory, crashed in native code) before it could commit."""

    reason: str


class Executor(Protocol):
    """What an engine offers to the loop."""

    def room(self, node: Node) -> bool:
        """Say whether one more task of this stage may be submitted now."""

    def submit(self, tasks: tuple[Task, ...]) -> None:
        """Start the tasks of one bundle."""

    def wait(self) -> Sequence[tuple[Task, Marker | WorkerLost]]:
        """Wait for a bundle to end, a second at most; return the tasks that have; raises what a stage's own fault raises."""

    def release(self, node: Node) -> None:
        """Give back what the workers of a stage held, once all that they serve is finished."""


@dataclass
class _Losses:
    count: int = 0
    before_its_turn: int = 0
    suspects: Counter[str] = field(default_factory=Counter)
    poisoned: frozenset[str] = frozenset()


def drive(work: Work, executor: Executor, progress: Progress) -> None:
    """Run all tasks that are ready until every stage is finished.

    Later stages go first, so that a partition flows to its end while others still begin. A task that loses its worker is
    served again row by row; a row that loses its worker twice in this way is rejected, and the others are served.

    Raises:
        RunStopped: a partition keeps losing workers and no row can be blamed.
        KeyboardInterrupt: a stop was asked for.
    """
    losses: dict[tuple[str, int], _Losses] = {}
    again: list[Task] = []
    running = 0
    progress.start(work)
    while True:
        check_stop()
        for task in [task for task in again if executor.room(task.node)]:
            again.remove(task)
            executor.submit((task,))
            running += 1
        for node in reversed(work.nodes):
            queue = work.ready[node.stage.name]
            while queue and executor.room(node):
                bundle = work.bundle(node, queue.popleft())
                executor.submit(bundle)
                running += len(bundle)
        if not running:
            break
        for task, outcome in executor.wait():
            running -= 1
            node = task.node
            if isinstance(outcome, Marker):
                work.commit(node, outcome)
                progress.committed(node, outcome)
                crew = (other for other in work.nodes if other.stage.workers == node.stage.workers)
                if all(work.finished(other) for other in crew):
                    executor.release(node)
                continue
            record = losses.setdefault((node.stage.name, task.partition), _Losses())
            again.append(_retry(task, outcome, record, work))
            progress.say(
                f"{node.stage.name}, partition {task.partition}: a worker died ({outcome.reason}); serving it again"
            )
    progress.finish()
    if not all(work.finished(node) for node in work.nodes):
        raise RunStopped("the run ended with work undone and nothing to do; this is a fault in Earloom")


def _retry(task: Task, lost: WorkerLost, record: _Losses, work: Work) -> Task:
    """Return the careful task that follows a lost one, with the rows that are now known to be at fault."""
    if not task.careful:
        record.count += 1
    else:
        try:
            key = json.loads(work.context.workspace.read(task.trail))
        except FileNotFoundError:
            # It had begun no row: its worker died of another task before its turn came, or while it was set up.
            key = None
            record.before_its_turn += 1
        if key is not None:
            record.count += 1
            record.suspects[key] += 1
            if record.suspects[key] >= 2:
                record.poisoned |= {key}
                record.count = 0
            work.context.workspace.remove(task.trail)
    if record.count > MOST_LOSSES or record.before_its_turn > MOST_LOSSES * MOST_LOSSES:
        deaths = record.count + record.before_its_turn
        raise RunStopped(
            f"stage {task.node.stage.name}, partition {task.partition}: {deaths} workers died one after the other "
            f"({lost.reason}); give them more memory or fewer at once (--workers), and run the same command again"
        )
    return replace(task, careful=True, poisoned=record.poisoned)
