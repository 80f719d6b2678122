"""Both engines over toy stages: the same bytes, workers that die, rows that kill, graphs that do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kill import data_files
from pipelines.core.drive import drive
from pipelines.core.progress import Progress
from pipelines.core.stage import Resources
from pipelines.core.work import Work
from pipelines.engines.inline import InlineEngine
from pipelines.engines.ray import RayEngine, cluster
from pipelines.engines.sizing import size_stages
from schemas.errors import UserError
from toys import ToyGather, ToyIndex, ToyIngest, ToyListen


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[tuple[float, float]]:
    with cluster(None, 2) as size:
        yield size


def run_inline(work: Work) -> None:
    drive(work, InlineEngine(work.context), Progress(quiet=True))


def run_ray(work: Work, cpus: float, gpus: float) -> None:
    engine = RayEngine(work.context, work.nodes, cpus, gpus)
    try:
        drive(work, engine, Progress(quiet=True))
    finally:
        engine.close()


def test_inline_and_ray_with_one_and_two_workers_give_the_same_bytes(toy, tmp_path, ray_cluster):
    for name, cpus in (("one", 1.0), ("two", ray_cluster[0])):
        work = toy(name)
        work.sweep()
        run_ray(work, cpus, 0.0)
    work = toy("inline")
    work.sweep()
    run_inline(work)
    assert data_files(tmp_path / "one") == data_files(tmp_path / "two") == data_files(tmp_path / "inline") != {}


def test_rows_that_kill_their_worker_are_rejected_and_all_others_served(toy, tmp_path, ray_cluster):
    work = toy(stages=[ToyIndex(), ToyIngest(), ToyListen(poison="toy-0005"), ToyGather()])
    run_ray(work, *ray_cluster)
    folder = Path(work.context.workspace.root, work.nodes[2].folder)
    rejects = [row for path in folder.glob("*.rejects.parquet") for row in pq.read_table(path).to_pylist()]
    assert [(r["clip_id"], r["error"], r["attempt"]) for r in rejects] == [("toy-0005", "worker_died", 2)]
    served = sum(pq.read_table(path).num_rows for path in folder.glob("p?????.parquet"))
    assert served == 44
    assert not list(folder.glob(".tmp-*"))


@dataclasses.dataclass(frozen=True)
class Wants(ToyListen):
    """A stage that wants what the test says."""

    name = "wants"


def wanting(**need: object) -> Wants:
    stage = Wants()
    object.__setattr__(stage, "resources", Resources(**need))  # type: ignore[arg-type]
    return stage


def test_three_actor_stages_leave_room_for_tasks_on_two_cpus():
    stages = [wanting(actor=True) for _ in range(3)]
    for number, stage in enumerate(stages):
        object.__setattr__(stage, "name", f"actor{number}")
    sizes = size_stages([*stages, ToyIngest()], cpus=2, gpus=0)
    held = sum(sizes[s.name].cpus * sizes[s.name].workers for s in stages)
    assert held <= 1.0
    assert held + sizes["ingest"].cpus <= 2.0
    assert all(size.workers >= 1 for size in sizes.values())


@pytest.mark.parametrize("cpus", [0.5, 1, 2, 3, 16, 96])
def test_whatever_the_machine_every_stage_can_run(cpus):
    sizes = size_stages([wanting(actor=True), ToyIngest(), ToyGather()], cpus=cpus, gpus=0)
    held = sizes["wants"].cpus * sizes["wants"].workers
    assert held + max(sizes["ingest"].cpus, sizes["unify"].cpus) <= cpus


def test_a_graph_that_wants_more_gpus_than_there_are_is_refused():
    with pytest.raises(UserError, match=r"wants 1 GPUs and the cluster has 0"):
        size_stages([wanting(actor=True, gpus=1)], cpus=8, gpus=0)


def test_gpu_stages_share_the_gpus_and_never_ask_for_more_than_there_are():
    stages = [wanting(actor=True, gpus=1), wanting(actor=True, gpus=1)]
    for number, stage in enumerate(stages):
        object.__setattr__(stage, "name", f"gpu{number}")
    sizes = size_stages([*stages, ToyIngest()], cpus=16, gpus=4)
    assert sum(size.gpus * size.workers for size in sizes.values()) == 4


def test_a_crew_that_wants_more_than_one_gpu_gets_whole_ones():
    stages = [wanting(actor=True, gpus=share) for share in (0.5, 0.5, 0.1)]
    for number, stage in enumerate(stages):
        object.__setattr__(stage, "name", f"gpu{number}")
        object.__setattr__(stage, "crew", "together")
    assert size_stages([*stages, ToyIngest()], cpus=16, gpus=4)["together"].gpus == 2.0
    with pytest.raises(UserError, match="stage together: wants 2 GPUs and the cluster has 1"):
        size_stages(stages, cpus=16, gpus=1)


def test_an_address_where_no_cluster_answers_is_the_users_mistake():
    with pytest.raises(UserError, match="no cluster answers"), cluster("127.0.0.1:1", None):
        pass
