"""The inline engine: this process, one task after the other; for debugging and for machines without Ray."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.core.commit import Marker
from pipelines.core.drive import WorkerLost
from pipelines.core.graph import Node
from pipelines.core.stage import Context
from pipelines.core.worker import Task, run_tasks


class InlineEngine:
    """Serves each task when it is waited for. A crash in native code ends the run; the Ray engine survives it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._tasks: tuple[Task, ...] = ()
        self._ready: set[str] = set()

    def room(self, node: Node) -> bool:
        """One bundle at a time."""
        return not self._tasks

    def submit(self, tasks: tuple[Task, ...]) -> None:
        """Take the tasks; they are served in ``wait``."""
        self._tasks = tasks

    def wait(self) -> Sequence[tuple[Task, Marker | WorkerLost]]:
        """Serve the tasks that were submitted."""
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            if task.node.stage.name not in self._ready:
                task.node.stage.setup(self.context)
                self._ready.add(task.node.stage.name)
        return list(zip(tasks, run_tasks(tasks, self.context), strict=True))

    def release(self, node: Node) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing to close."""
