"""The Ray engine: tasks for CPU stages, actor pools for stages that load a model, a bounded number of both in flight."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

# Ray reads its environment when it is imported, so these lines stand above that. Under `uv run` it would build an
# environment per task. A cluster of our own gets a token that lives in this process alone: left to itself, Ray writes one into the
# home folder, which a later `ray start` takes up and `ray job submit` then lacks.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
if "RAY_AUTH_MODE" not in os.environ and os.environ.get("RAY_ADDRESS", "local") == "local":
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)

import ray
from ray import exceptions as lost

from pipelines.core.commit import Marker
from pipelines.core.drive import WorkerLost
from pipelines.core.graph import Node
from pipelines.core.stage import Context, Stage
from pipelines.core.worker import Task, run_tasks
from pipelines.engines.sizing import Size, size_stages
from schemas.errors import RunStopped, UserError

OBJECT_STORE_BYTES = 200_000_000
"""Ray's object store on a machine of our own: only paths and markers pass through it; its default is 30% of memory."""

QUEUED_PER_WORKER = 2
"""Tasks in flight per worker: one at work and one that is ready to follow."""

_LOST = (
    lost.WorkerCrashedError,
    lost.RayActorError,
    lost.OutOfMemoryError,
    lost.NodeDiedError,
    lost.ObjectLostError,
    lost.LocalRayletDiedError,
)


class CrewActor:
    """A worker that keeps what the stages of its crew have loaded."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.stages: dict[str, Stage] = {}

    def run(self, tasks: tuple[Task, ...]) -> list[Marker]:
        """Serve one bundle with the stages that are set up; a set-up that fails here is told as the error that it is."""
        for task in tasks:
            stage = task.node.stage
            if stage.name not in self.stages:
                stage.setup(self.context)
                self.stages[stage.name] = stage
        own = [replace(task, node=replace(task.node, stage=self.stages[task.node.stage.name])) for task in tasks]
        return run_tasks(own, self.context)


def serve_tasks(tasks: tuple[Task, ...], context: Context) -> list[Marker]:
    """Set the stages up and serve one bundle, in a worker that keeps nothing."""
    for task in tasks:
        task.node.stage.setup(context)
    return run_tasks(tasks, context)


_SERVE = ray.remote(serve_tasks)


@contextlib.contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[tuple[float, float]]:
    """Connect to a Ray cluster, or start one of our own for the length of the block; give its CPUs and GPUs.

    Under ``ray job submit`` the job's cluster is used. A cluster of our own gets a token that lives only in this process's
    environment, has no dashboard, and ends with the block.

    Raises:
        UserError: no cluster answers at ``address``.
        RunStopped: Ray cannot start on this machine.
    """
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": False,
        "address": wanted,
    }
    if wanted == "local":
        options |= {
            "num_cpus": workers or len(os.sched_getaffinity(0)),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_temp_dir": _short_folder(),
        }
    elif wanted != "auto":
        _knock(wanted)
    try:
        ray.init(**options)
    except Exception as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        if wanted == "local":
            raise RunStopped(
                f"Ray could not start here ({words}); `earloom run --engine inline` and `earloom train` without --ray do without it"
            ) from error
        raise UserError(
            f"--ray-address {wanted}: no cluster answers there ({words}); if it wants a token, set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as it has them"
        ) from None
    try:
        total = ray.cluster_resources()
        cpus = total.get("CPU", 1.0)
        yield min(cpus, workers) if workers else cpus, total.get("GPU", 0.0)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise UserError at once where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rsplit("/", 1)[-1].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--ray-address {address}: no cluster answers there ({error}); give HOST:PORT of its head, e.g. "
            "10.0.0.1:6379"
        ) from None


def _short_folder() -> str | None:
    """Return a folder for Ray's sockets if the temporary folder's path is too long for them (107 bytes in all)."""
    return None if len(tempfile.gettempdir()) <= 20 else "/tmp/ray"


class RayEngine:
    """Serves tasks on a Ray cluster; the driver passes paths and markers, never audio."""

    def __init__(self, context: Context, nodes: Sequence[Node], cpus: float, gpus: float) -> None:
        self.context = context
        self.sizes = size_stages([node.stage for node in nodes], cpus, gpus)
        self._own = os.environ.get("RAY_ADDRESS", "local") == "local"
        self._most_bundles = max(1, int(cpus)) * QUEUED_PER_WORKER
        self._running: dict[Any, tuple[Task, ...]] = {}
        self._actor_of: dict[Any, Any] = {}
        self._pools: dict[str, list[Any]] = {}
        self._load: Counter[Any] = Counter()

    def room(self, node: Node) -> bool:
        """Say whether one more bundle of this stage's crew may be in flight."""
        crew, bundles = node.stage.workers, list(self._running.values())
        mine = sum(tasks[0].node.stage.workers == crew for tasks in bundles)
        if node.stage.resources.actor:
            return mine < self.sizes[crew].workers * QUEUED_PER_WORKER
        others = sum(not tasks[0].node.stage.resources.actor for tasks in bundles)
        return others < self._most_bundles and mine < self.sizes[crew].workers * QUEUED_PER_WORKER

    def submit(self, tasks: tuple[Task, ...]) -> None:
        """Start a bundle on a worker or on the least loaded actor of its crew."""
        stage = tasks[0].node.stage
        crew = stage.workers
        size = self.sizes[crew]
        if stage.resources.actor:
            actor = self._actor(crew, size)
            reference = actor.run.remote(tasks)
            self._actor_of[reference] = actor
            self._load[actor] += 1
        else:
            remote = _SERVE.options(num_cpus=size.cpus, num_gpus=size.gpus, max_retries=0, name=stage.name)
            reference = remote.remote(tasks, self.context)
        self._running[reference] = tasks

    def wait(self) -> Sequence[tuple[Task, Marker | WorkerLost]]:
        """Wait for a bundle to end, a second at most."""
        ended, _ = ray.wait(list(self._running), num_returns=1, timeout=1.0)
        return [outcome for reference in ended for outcome in self._collect(reference)]

    def release(self, node: Node) -> None:
        """End the actors of a crew that has nothing left to do, so that others have their CPUs and GPUs."""
        for actor in self._pools.pop(node.stage.workers, []):
            ray.kill(actor)

    def close(self) -> None:
        """End all actors and tasks."""
        for reference in self._running:
            with contextlib.suppress(Exception):
                ray.cancel(reference, force=reference not in self._actor_of)
        for name in list(self._pools):
            for actor in self._pools.pop(name):
                ray.kill(actor)

    def _actor(self, crew: str, size: Size) -> Any:
        pool = self._pools.setdefault(crew, [])
        idle = [actor for actor in pool if not self._load[actor]]
        if not idle and len(pool) < size.workers:
            remote = ray.remote(CrewActor).options(num_cpus=size.cpus, num_gpus=size.gpus, max_restarts=0, name=None)
            pool.append(remote.remote(self.context))
            return pool[-1]
        return min(idle or pool, key=lambda actor: self._load[actor])

    def _collect(self, reference: Any) -> list[tuple[Task, Marker | WorkerLost]]:
        tasks = self._running.pop(reference)
        actor = self._actor_of.pop(reference, None)
        if actor is not None:
            self._load[actor] -= 1
        try:
            return list(zip(tasks, ray.get(reference), strict=True))
        except lost.RayTaskError as error:
            raise error.cause or error from None
        except _LOST as error:
            if self._own and isinstance(error, (lost.LocalRayletDiedError, lost.NodeDiedError)):
                raise RunStopped(
                    "the Ray node of this run ended (killed, or out of memory); the same command goes on from here"
                ) from None
            pool = self._pools.get(tasks[0].node.stage.workers, [])
            if actor is not None and actor in pool:
                pool.remove(actor)
            return [(task, WorkerLost(type(error).__name__)) for task in tasks]
