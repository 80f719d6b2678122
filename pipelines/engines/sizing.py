"""How many workers of each stage fit on a cluster, decided before anything starts: a graph that would deadlock is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.core.stage import Resources, Stage
from schemas.errors import UserError

LEAST_CPUS = 0.01
"""Smallest share of a CPU that Ray is asked for."""


@dataclass(frozen=True)
class Size:
    """Workers of one crew: CPUs and GPUs of each, and the most that run at once."""

    cpus: float
    gpus: float
    workers: int


def size_stages(stages: Sequence[Stage], cpus: float, gpus: float) -> dict[str, Size]:
    """Return the size of each crew so that all stages can make progress at the same time.

    An actor holds its CPUs for as long as it lives, also while it waits. Actors therefore share at most half of the CPUs, in
    fractions if need be, and tasks of at most one CPU each always find room. Without this, three 1-CPU actor stages
    on 2 CPUs wait for each other for ever. Stages of one crew live in the same actors, which hold the GPUs of all of them.

    Args:
        stages: the stages of the graph.
        cpus: CPUs of the cluster, > 0.
        gpus: GPUs of the cluster.

    Raises:
        UserError: a crew wants more GPUs than there are, or the actors together do.
    """
    crews = _crews(stages)
    actors = {name: need for name, need in crews.items() if need.actor}
    wanted = sum(need.gpus for need in actors.values())
    greedy = next((name for name, need in crews.items() if need.gpus > gpus), None)
    if greedy is not None:
        raise UserError(
            f"stage {greedy}: wants {crews[greedy].gpus:g} GPUs and the cluster has {gpus:g}; "
            "set listen.device=cpu, give its models a smaller share, or run where there are more"
        )
    if wanted > gpus:
        names = ", ".join(name for name, need in actors.items() if need.gpus)
        raise UserError(
            f"stages {names}: want {wanted:g} GPUs together and the cluster has {gpus:g}, so that they would wait "
            "for each other for ever; give each a smaller share, or leave one out of the recipe"
        )
    budget = cpus / 2
    asked = sum(need.cpus for need in actors.values())
    shrink = min(1.0, budget / asked) if asked else 1.0
    sizes = {}
    for name, need in crews.items():
        if not need.actor:
            share = min(need.cpus, cpus - budget if actors else cpus)
            sizes[name] = Size(share, need.gpus, max(1, math.floor(cpus / share)))
            continue
        share = max(LEAST_CPUS, math.floor(need.cpus * shrink * 100) / 100)
        by_cpu = max(1, math.floor(budget / asked)) if shrink == 1.0 else 1
        by_gpu = math.floor(gpus / wanted) if need.gpus else by_cpu
        sizes[name] = Size(share, need.gpus, 1 if need.single else max(1, min(by_cpu, by_gpu)))
    return sizes


def _crews(stages: Sequence[Stage]) -> dict[str, Resources]:
    """Return what one worker of each crew occupies: the most CPUs that a stage of it wants, and the GPUs of all."""
    crews: dict[str, Resources] = {}
    for stage in stages:
        need, known = stage.resources, crews.get(stage.workers)
        if known:
            single = need.single or known.single
            need = Resources(max(need.cpus, known.cpus), round(need.gpus + known.gpus, 4), True, single)
        crews[stage.workers] = need
    # Ray gives out a share of one GPU, or whole ones.
    return {
        name: replace(need, gpus=float(math.ceil(need.gpus))) if need.gpus > 1 else need for name, need in crews.items()
    }
