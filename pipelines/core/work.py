"""What there is to do: which commits stand, which are stale and why, and which can be started now."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipelines.core.commit import ALL, Marker, marker_name, parse_marker, table_name
from pipelines.core.graph import Node, read_of, spans_all
from pipelines.core.stage import Context
from pipelines.core.worker import Task
from pipelines.core.workspace import Workspace
from schemas.ids import canonical_json, fingerprint


def content_read(
    reader: Node, source: Node, partition: int, markers: Mapping[tuple[str, int], Marker], partitions: int
) -> str:
    """Return the hash of what a task reads of an input: equal hashes, equal rows, and the task need not be done again.

    Of a stage that writes all partitions at once, a task of one partition reads that partition's table alone, unless it reads
    the table whole.
    """
    name = source.stage.name
    partition = read_of(reader, source, partition)
    if spans_all(source):
        marker = markers[name, ALL]
        return marker.content if partition == ALL else str(marker.files[table_name(source.folder, partition)]["sha256"])
    if partition == ALL:
        return fingerprint([markers[name, p].content for p in range(partitions)])
    return markers[name, partition].content


@dataclass
class Standing:
    """The commits of one stage that lie in the workspace, whole and with all their files."""

    markers: dict[int, Marker] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


def survey(folder: str, workspace: Workspace) -> Standing:
    """Read a stage's folder: its whole markers, and files that a marker names but that are gone or resized."""
    sizes = workspace.sizes(folder) if workspace.exists(folder) else {}
    standing = Standing()
    for name in sorted(name for name in sizes if name.endswith(".json") and not name.endswith("/stage.json")):
        marker = parse_marker(workspace.read(name))
        own = marker and name == marker_name(folder, marker.partition) and folder.endswith(f"-{marker.fingerprint}")
        if marker is None or not own:
            continue
        wrong = [file for file, facts in marker.files.items() if sizes.get(file) != facts["bytes"]]
        standing.damaged += wrong
        if not wrong:
            standing.markers[marker.partition] = marker
    return standing


@dataclass
class Tally:
    """What is committed of one stage, counted as it comes: a run may have many thousands of partitions."""

    commits: int = 0
    rows: int = 0
    rejects: int = 0
    seconds: float = 0.0

    def add(self, marker: Marker) -> None:
        """Count one more commit."""
        self.commits += 1
        self.rows += marker.rows_in
        self.rejects += marker.rejects
        self.seconds += marker.seconds


@dataclass
class Work:
    """The state of a run, derived from the files alone: tasks, their dependencies, and what has been committed."""

    nodes: list[Node]
    context: Context
    standing: dict[str, Standing] = field(default_factory=dict)
    done: dict[tuple[str, int], Marker] = field(default_factory=dict)
    reused: set[tuple[str, int]] = field(default_factory=set)
    ready: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    tally: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting: dict[tuple[str, int], int] = {}
        self._readers: dict[str, list[Node]] = defaultdict(list)
        self._whole: dict[str, str] = {}
        for node in self.nodes:
            self.standing[node.stage.name] = survey(node.folder, self.context.workspace)
            self.sources[node.stage.name] = node.stage.sources(self.context)
            for source in node.inputs:
                self._readers[source.stage.name].append(node)
            for p in self.partitions(node):
                self._waiting[node.stage.name, p] = sum(
                    1 if spans_all(source) or read_of(node, source, p) != ALL else self.context.partitions
                    for source in node.inputs
                )
        for node in self.nodes:
            if not node.inputs:
                self._ready(node, ALL)

    def partitions(self, node: Node) -> list[int]:
        """Return the partitions of a stage's tasks: 0..N-1, or -1 alone where it is one task."""
        return [ALL] if spans_all(node) else list(range(self.context.partitions))

    def inputs(self, node: Node, partition: int) -> tuple[tuple[str, str], ...]:
        """Return (input stage, content of its commit) for a task all of whose inputs are committed."""
        return tuple((source.stage.name, self._content(node, source, partition)) for source in node.inputs)

    def _content(self, node: Node, source: Node, partition: int) -> str:
        if spans_all(source) or read_of(node, source, partition) != ALL:
            return content_read(node, source, partition, self.done, self.context.partitions)
        # All of its commits stand by now, and as many tasks as there are partitions ask.
        name = source.stage.name
        if name not in self._whole:
            self._whole[name] = content_read(node, source, partition, self.done, self.context.partitions)
        return self._whole[name]

    def task(self, node: Node, partition: int) -> Task:
        """Return the task as it is to be given to a worker."""
        return Task(node, partition, self.inputs(node, partition), self.sources[node.stage.name])

    def bundle(self, node: Node, partition: int) -> tuple[Task, ...]:
        """Return the task of a partition that is ready, and with it those of other stages that are and prepare the same."""
        tasks = [self.task(node, partition)]
        for other in self.nodes if node.stage.prepares else ():
            queue = self.ready[other.stage.name]
            if other.stage.prepares == node.stage.prepares and partition in queue:
                queue.remove(partition)
                tasks.append(self.task(other, partition))
        return tuple(tasks)

    def commit(self, node: Node, marker: Marker, reused: bool = False) -> None:
        """Take note that a partition is committed, and see what this makes ready."""
        name = node.stage.name
        self.done[name, marker.partition] = marker
        self.tally[name].add(marker)
        if reused:
            self.reused.add((name, marker.partition))
        for reader in self._readers[name]:
            whole = marker.partition == ALL or spans_all(reader) or read_of(reader, node, marker.partition) == ALL
            for p in self.partitions(reader) if whole else [marker.partition]:
                self._waiting[reader.stage.name, p] -= 1
                if self._waiting[reader.stage.name, p] == 0:
                    self._ready(reader, p)

    def _ready(self, node: Node, partition: int) -> None:
        name = node.stage.name
        marker = self.standing[name].markers.get(partition)
        expected = dict(self.inputs(node, partition))
        if self.sources[name]:
            expected["source"] = self.sources[name]
        if marker and marker.inputs == expected:
            self.commit(node, marker, reused=True)
        else:
            self.ready[name].append(partition)

    def total(self, node: Node) -> int:
        """Return the number of tasks of a stage."""
        return 1 if spans_all(node) else self.context.partitions

    def finished(self, node: Node) -> bool:
        """Say whether all tasks of a stage are committed."""
        return self.tally[node.stage.name].commits == self.total(node)

    def markers(self, node: Node) -> Iterator[Marker]:
        """Yield the markers of a stage that are committed, in order of partitions."""
        for p in self.partitions(node):
            if marker := self.done.get((node.stage.name, p)):
                yield marker

    def tidy(self, rooms: Iterable[str]) -> None:
        """Remove unfinished files from the run folder itself and from folders that the recipe has left behind."""
        workspace, live = self.context.workspace, {node.folder for node in self.nodes}
        for room in rooms:
            for name in workspace.folders(room):
                folder = f"{room}/{name}"
                if folder not in live:
                    kept = {f"{folder}/stage.json"}
                    for partition, marker in survey(folder, workspace).markers.items():
                        kept |= {marker_name(folder, partition), *marker.files}
                    for file in workspace.sizes(folder).keys() - kept:
                        workspace.remove(file)
        for file in workspace.unfinished():
            workspace.remove(file)

    def sweep(self) -> None:
        """Remove every file that no commit names: what killed workers and runs left, and commits whose input has changed.

        Done before a run begins and before it is sealed.
        """
        workspace = self.context.workspace
        for node in self.nodes:
            name, own = node.stage.name, f"{node.folder}/stage.json"
            workspace.write(own, (canonical_json(node.identity) + "\n").encode())
            stale = set(self.ready[name])
            stands = {p: m for p, m in self.standing[name].markers.items() if p not in stale}
            stands |= {marker.partition: marker for marker in self.markers(node)}
            kept = {own} | {file for p, m in stands.items() for file in (marker_name(node.folder, p), *m.files)}
            # Markers go first: one without all its files would be a lie if this were the last thing done.
            for file in sorted(workspace.sizes(node.folder).keys() - kept, key=lambda file: not file.endswith(".json")):
                workspace.remove(file)


def why(node: Node, work: Work) -> str:
    """Return in words why a stage has work to do, by comparing it with the last folder of the same stage."""
    workspace, standing = work.context.workspace, work.standing[node.stage.name]
    if standing.damaged:
        return f"{len(standing.damaged)} files are gone or altered"
    if standing.markers:
        return "its input changed" if len(standing.markers) == work.total(node) else "unfinished"
    identity = json.loads(canonical_json(node.identity))
    reasons: list[str] = []
    for folder in workspace.folders(node.stage.room):
        name = f"{node.stage.room}/{folder}"
        if (
            folder.rsplit("-", 1)[0] != node.stage.name
            or name == node.folder
            or not workspace.exists(f"{name}/stage.json")
        ):
            continue
        reasons = _differences(json.loads(workspace.read(f"{name}/stage.json")), identity, node)
    return ", ".join(reasons) if reasons else "new"


def _differences(old: dict[str, object], new: dict[str, object], node: Node) -> list[str]:
    out = []
    for part in ("params", "revisions"):
        before, now = old.get(part) or {}, new.get(part) or {}
        assert isinstance(before, dict)
        assert isinstance(now, dict)
        out += [f"{key} changed" for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    out += [f"{key} changed" for key in ("version", "tables", "seed") if old.get(key) != new.get(key)]
    if old.get("inputs") != new.get("inputs"):
        mine, theirs = new.get("inputs"), old.get("inputs")
        assert isinstance(mine, list)
        assert isinstance(theirs, list)
        changed = [source.stage.name for source in node.inputs if source.fingerprint not in theirs]
        out.append(f"reads {', '.join(changed)} anew" if changed else "reads fewer stages")
    return out
