"""The inline engine: this process, one task after the other; for debugging and for machines without Ray."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.core.commit import Marker
from pipelines.core.drive import WorkerLost
from pipelines.core.graph import Node
from pipelines.core.stage import Context
from pipelines.core.worker import Task, run_task


class InlineEngine:
    """Serves each task when it is waited for. A crash in native code ends the run; the Ray engine survives it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._task: Task | None = None
        self._ready: set[str] = set()

    def room(self, node: Node) -> bool:
        """One task at a time."""
        return self._task is None

    def submit(self, task: Task) -> None:
        """Take the task; it is served in ``wait``."""
        self._task = task

    def wait(self) -> Sequence[tuple[Task, Marker | WorkerLost]]:
        """Serve the task that was submitted."""
        task, self._task = self._task, None
        if task is None:
            return []
        name = task.node.stage.name
        if name not in self._ready:
            task.node.stage.setup(self.context)
            self._ready.add(name)
        return [(task, run_task(task, self.context))]

    def release(self, node: Node) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing to close."""
