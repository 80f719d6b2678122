"""Running a recipe: freeze what must not change, survey what is there, drive what is not, and seal the whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from pipelines import attribution
from pipelines.assemble import stages_of
from pipelines.catalog.views import views_sql
from pipelines.core.drive import drive
from pipelines.core.graph import Node, build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import ConservationError, Context
from pipelines.core.stop import catch_signals, forget_stop
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace, is_host_fault, open_workspace
from pipelines.estimate import Asks
from pipelines.listen.transcribe import Transcribe
from pipelines.llm.check import check_endpoint
from pipelines.seal import ROOMS, write_seal
from schemas import tables
from schemas.errors import RunStopped, UserError
from schemas.ids import canonical_json
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """A recipe that is bound to a workspace: its graph, and what stages may know."""

    recipe: Recipe
    workspace: Workspace
    context: Context
    nodes: list[Node]


def prepare(recipe: Recipe, out: str, make: bool = True) -> Job:
    """Bind a recipe to a run folder, which is made only if ``make``.

    Raises:
        UserError: a mistake in the recipe, or a workspace that another recipe froze otherwise.
    """
    if recipe.data.root is None:
        raise UserError("data.root: missing; say where the recordings are, e.g. --set data.root=DIR")
    root = os.path.abspath(os.path.expanduser(recipe.data.root))
    if not os.path.isdir(root):
        raise UserError(
            f"data.root: {recipe.data.root} is no folder; name the one that holds the recordings, --set data.root=DIR"
        )
    nodes = build_graph(stages_of(recipe), recipe.seed)
    workspace = open_workspace(out, make)
    _refuse_foreign(workspace, recipe)
    return Job(recipe, workspace, Context(workspace, root, recipe.seed, recipe.partitions), nodes)


def _frozen(recipe: Recipe) -> dict[str, object]:
    return {"name": recipe.name, "partitions": recipe.partitions, "tables": tables.VERSION}


def _refuse_foreign(workspace: Workspace, recipe: Recipe) -> None:
    """Refuse a folder whose frozen values differ, or that holds something else than a run."""
    try:
        frozen = json.loads(workspace.read("run.json"))
    except FileNotFoundError:
        if any(not name.startswith(".") for name in workspace.sizes()):
            raise UserError(f"--out {workspace.root}: is not empty and holds no run; name a new folder") from None
        return
    except ValueError:
        raise UserError(f"--out {workspace.root}: its run.json is damaged; restore it or name a new folder") from None
    for key, value in _frozen(recipe).items():
        if frozen.get(key) != value:
            raise UserError(
                f"{key}: this run was begun with {frozen.get(key)!r}, the recipe says {value!r}; "
                "it is frozen, so keep it or name a new --out folder"
            )


@contextlib.contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Hold a local run folder for the length of the block: a second run in it would sweep the first one's unfinished files.

    The lock is the kernel's and goes with the process, however that ends, so that nothing is left to be cleaned up. In an
    object store nothing guards against a second run.

    Raises:
        UserError: another run holds the folder.
    """
    if not workspace.local:
        yield
        return
    descriptor = os.open(workspace.root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = "another run is at work there; wait for it, or name another folder"
            raise UserError(f"--out {workspace.root}: {words}") from None
        yield
    finally:
        os.close(descriptor)


def run(job: Job, engine: str, workers: int | None, ray_address: str | None, progress: Progress) -> Work:
    """Run what is not there yet, and seal the run.

    Raises:
        RunStopped: something stopped it; the same command goes on where it was.
        UserError: the cluster cannot be reached or cannot hold the stages, or another run is at work in the folder.
    """
    with alone(job.workspace):
        return _run(job, engine, workers, ray_address, progress)


def _run(job: Job, engine: str, workers: int | None, ray_address: str | None, progress: Progress) -> Work:
    forget_stop()
    catch_signals()
    try:
        work = Work(job.nodes, job.context)
        if any(work.ready.values()):
            _drive(work, job, engine, workers, ray_address, progress)
        else:
            _begin(job, work)
        _seal(job, work)
    except ConservationError as error:
        raise RunStopped(
            f"law of conservation broken: {error}; this is a fault in Earloom, nothing was committed"
        ) from error
    except KeyboardInterrupt:
        raise RunStopped("stopped by you; the same command goes on from here") from None
    except OSError as error:
        if not is_host_fault(error):
            raise
        raise RunStopped(f"{job.workspace.root}: {error.strerror}; mend it and run the same command again") from error
    finally:
        progress.finish()
    return work


def _drive(work: Work, job: Job, engine: str, workers: int | None, ray_address: str | None, progress: Progress) -> None:
    for node in job.nodes:
        if isinstance(node.stage, Asks):
            check_endpoint(f"stage {node.stage.name}", *node.stage.asked, chats=not isinstance(node.stage, Transcribe))
    if engine == "inline":
        from pipelines.engines.inline import InlineEngine

        _begin(job, work)
        drive(work, InlineEngine(job.context), progress)
        return
    with _ray_address(ray_address), _cluster(ray_address, workers) as (cpus, gpus):
        from pipelines.engines.ray import RayEngine

        catch_signals()  # after Ray has set a handler of its own
        progress.workers = max(1, int(cpus))
        executor = RayEngine(job.context, job.nodes, cpus, gpus)
        _begin(job, work)
        try:
            drive(work, executor, progress)
        finally:
            executor.close()


@contextlib.contextmanager
def _ray_address(address: str | None) -> Iterator[None]:
    """Set RAY_ADDRESS for the length of the block: Ray reads it when it is imported."""
    before = os.environ.get("RAY_ADDRESS")
    if address:
        os.environ["RAY_ADDRESS"] = address
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("RAY_ADDRESS", None)
        else:
            os.environ["RAY_ADDRESS"] = before


@contextlib.contextmanager
def _cluster(address: str | None, workers: int | None) -> Iterator[tuple[float, float]]:
    from pipelines.engines.ray import cluster

    with cluster(address, workers) as size:
        yield size


def _begin(job: Job, work: Work) -> None:
    """Open the workspace for work, once nothing of the user's can be wrong any more: what was sealed is so no longer."""
    workspace = job.workspace
    if not workspace.exists("run.json"):
        workspace.write("run.json", (canonical_json(_frozen(job.recipe)) + "\n").encode())
    workspace.remove("seal.json")
    workspace.remove("views.sql")
    workspace.remove(attribution.NAME)
    recipe = yaml.safe_dump(job.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    workspace.write("recipe.yaml", recipe.encode())
    work.sweep()
    work.tidy(ROOMS)


def _seal(job: Job, work: Work) -> None:
    """Remove what no commit names, write the views over the whole run, and last the seal."""
    work.sweep()
    job.workspace.write("views.sql", views_sql(work).encode())
    write_seal(work)
