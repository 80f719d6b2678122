"""Progress: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import defaultdict

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipelines.core.commit import Marker
from pipelines.core.graph import Node
from pipelines.core.work import Tally, Work

EVERY_S = 5.0
"""Seconds between two plain lines of one stage."""


class Progress:
    """Shows per stage: partitions and rows done, rows per second of one worker, time left if all worked on it, rejects.

    Writes to standard error. ``workers`` is set by whoever knows how many there are.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.workers = 1
        self.console = Console(stderr=True, highlight=False)
        self.quiet = quiet
        self._live: Live | None = None
        self._work: Work | None = None
        self._last: dict[str, float] = {}
        self._fresh: dict[str, Tally] = defaultdict(Tally)

    def start(self, work: Work) -> None:
        """Begin to show the state of ``work``."""
        self._work, self._start = work, time.monotonic()
        if not self.quiet and self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
            self._live.start()

    def committed(self, node: Node, marker: Marker) -> None:
        """Take note of a new commit."""
        assert self._work is not None
        name, now = node.stage.name, time.monotonic()
        self._fresh[name].add(marker)
        done = self._work.finished(node)
        if self._live is None and not self.quiet and (done or now - self._last.get(name, 0.0) >= EVERY_S):
            self._last[name] = now
            parts, rows, rate, left, rejects = self._row(node)
            tail = "done" if done else f"about {left} left"
            print(
                f"{time.strftime('%H:%M:%S')} {name}: {parts} partitions, {rows} rows, {rate} rows/s per worker, {rejects} rejects, {tail}",
                file=sys.stderr,
                flush=True,
            )

    def say(self, text: str) -> None:
        """Show one line that is worth keeping."""
        if self._live is not None:
            self.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Stop showing; called also when the run is stopped."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _row(self, node: Node) -> tuple[str, str, str, str, str]:
        assert self._work is not None
        whole, fresh = self._work.tally[node.stage.name], self._fresh[node.stage.name]
        total = self._work.total(node)
        rate = fresh.rows / fresh.seconds if fresh.seconds > 0 else 0.0
        todo = total - whole.commits
        left = "" if not todo else _clock(fresh.seconds / fresh.commits * todo / self.workers) if fresh.commits else "?"
        return f"{whole.commits}/{total}", f"{whole.rows:,}", f"{rate:,.0f}", left, f"{whole.rejects:,}"

    def _table(self) -> Table:
        table = Table("stage", "partitions", "rows", "rows/s/worker", "left", "rejects", box=None, padding=(0, 2))
        assert self._work is not None
        for node in self._work.nodes:
            table.add_row(node.stage.name, *self._row(node))
        table.caption = (
            f"{_clock(time.monotonic() - self._start)} since the start; Ctrl-C stops, the same command goes on"
        )
        return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
