"""How many workers of each stage fit on a cluster, decided before anything starts: a graph that would deadlock is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.core.stage import Stage
from schemas.errors import UserError

LEAST_CPUS = 0.01
"""Smallest share of a CPU that Ray is asked for."""


@dataclass(frozen=True)
class Size:
    """Workers of one stage: CPUs and GPUs of each, and the most that run at once."""

    cpus: float
    gpus: float
    workers: int


def size_stages(stages: Sequence[Stage], cpus: float, gpus: float) -> dict[str, Size]:
    """Return the size of each stage so that all stages can make progress at the same time.

    An actor holds its CPUs for as long as it lives, also while it waits. Actors therefore share at most half of the CPUs, in
    fractions if need be, and tasks of at most one CPU each always find room. Without this, three 1-CPU actor stages
    on 2 CPUs wait for each other for ever.

    Args:
        stages: the stages of the graph.
        cpus: CPUs of the cluster, > 0.
        gpus: GPUs of the cluster.

    Raises:
        UserError: a stage wants more GPUs than there are, or the actor stages together do.
    """
    actors = [stage for stage in stages if stage.resources.actor]
    wanted = sum(stage.resources.gpus for stage in actors)
    greedy = next((s for s in stages if s.resources.gpus > gpus), None)
    if greedy is not None:
        raise UserError(
            f"stage {greedy.name}: wants {greedy.resources.gpus:g} GPUs and the cluster has {gpus:g}; "
            "set listen.device=cpu, or run where there are more"
        )
    if wanted > gpus:
        names = ", ".join(s.name for s in actors if s.resources.gpus)
        raise UserError(
            f"stages {names}: want {wanted:g} GPUs together and the cluster has {gpus:g}, so that they would wait "
            "for each other for ever; give each a smaller share, or leave one out of the recipe"
        )
    budget = cpus / 2
    asked = sum(stage.resources.cpus for stage in actors)
    shrink = min(1.0, budget / asked) if asked else 1.0
    sizes = {}
    for stage in stages:
        need = stage.resources
        if not need.actor:
            share = min(need.cpus, cpus - budget if actors else cpus)
            sizes[stage.name] = Size(share, need.gpus, max(1, math.floor(cpus / share)))
            continue
        share = max(LEAST_CPUS, math.floor(need.cpus * shrink * 100) / 100)
        by_cpu = max(1, math.floor(budget / asked)) if shrink == 1.0 else 1
        by_gpu = math.floor(gpus / wanted) if need.gpus else by_cpu
        sizes[stage.name] = Size(share, need.gpus, max(1, min(by_cpu, by_gpu)))
    return sizes
