"""A task of seconds for tests of the training loop; a module of its own so that processes of their own can import it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from pipelines.core.workspace import Workspace
from trainers.fit.config import Fit, WarmUp
from trainers.fit.loop import Job, fit
from trainers.fit.run import fabric_of
from trainers.fit.task import Row, Sound
from trainers.loader import Batch, Loader, Mixtures, collated

SETTINGS = {"batch": 4, "rate": 1e-2, "log_every": 3, "save_every": 5, "judge_every": 7, "clip": 0.5}


class Toy(nn.Module):
    """A filter of mixtures, with a draw of its own at each step if it drops anything out."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        # Without a bias, which the normalisation would take away again: of its gradient, rounding alone, AdamW makes whole steps.
        self.first, self.last = nn.Conv1d(1, 4, 9, padding=4, bias=False), nn.Conv1d(4, 1, 9, padding=4)
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(dropout)

    def forward(self, mixture: Tensor) -> Tensor:
        return self.last(self.drop(torch.tanh(self.norm(self.first(mixture[:, None])))))[:, 0]


@dataclass
class ToyTask:
    """Filters the mixtures of a folder; `taken` is raised at each step, `keys` are the samples of each."""

    folder: Path
    dropout: float = 0.2
    seed: int = 3
    fault: int | None = None
    taken: Synchronized[int] | None = None
    keys: list[tuple[str, ...]] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=lambda: {"toy": "yes", "another": "key"})

    def build(self) -> nn.Module:
        return Toy(self.dropout)

    def kept(self, module: nn.Module) -> nn.Module:
        return module

    def batches(self, size: int, rank: int, world: int, workers: int) -> Loader:
        return Loader(Mixtures(self.folder, "train"), size, self.seed, rank, world, workers)

    def losses(self, module: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        self.keys.append(batch.keys)
        if self.taken is not None:
            self.taken.value += 1
        estimate = module(batch.mixture)
        broken = torch.nan if len(self.keys) == self.fault else 0.0
        return {"answer": functional.l1_loss(estimate, batch.target), "size": 1e-3 * estimate.square().mean() + broken}

    def judge(self, module: nn.Module, rank: int, world: int) -> list[Row]:
        assert not module.training
        held = Mixtures(self.folder, "val")
        numbers = range(len(held))[rank::world]
        return [{"number": n, "error": float(self._error(module, collated([held[n]])))} for n in numbers]

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        assert len({row["number"] for row in rows}) == len(rows)
        errors = [row["error"] for row in sorted(rows, key=lambda row: row["number"])]
        return {"watched": -sum(errors) / len(errors), "mixtures": len(errors)}

    def sounds(self, module: nn.Module) -> Iterator[Sound]:
        batch = collated([Mixtures(self.folder, "val")[0]])
        answer = module(batch.mixture)[0].numpy()
        yield Sound(batch.keys[0], batch.queries[0], 8000, {"mixture": batch.mixture[0].numpy()}, {"answer": answer})

    def _error(self, module: nn.Module, batch: Batch) -> Tensor:
        return functional.l1_loss(module(batch.mixture), batch.target)


def settings(steps: int, **more: Any) -> Fit:
    """Return settings of a loop of so many steps."""
    return Fit(steps=steps, warm_up=WarmUp(steps=4), average=0.9, **SETTINGS | more)


def job_of(task: ToyTask, out: Path, steps: int, workers: int = 0, **more: Any) -> Job:
    """Return a training of a toy in a folder."""
    out.mkdir(exist_ok=True)
    fitted = settings(steps, **more)
    config = {"name": "toy", "fit": fitted.model_dump(mode="json")}
    return Job(task, fitted, config, task.seed, Workspace(str(out)), workers, quiet=True)


def train_toy(task: ToyTask, out: Path, steps: int, workers: int = 0, **more: Any) -> nn.Module:
    """Train a toy in this process."""
    return fit(job_of(task, out, steps, workers, **more), fabric_of("cpu", 1, bf16=True))


def train_rank(task: ToyTask, out: Path, steps: int, rank: int, world: int, port: int) -> None:
    """Train a toy as one of several processes; leave the keys of its steps in a file."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "NODE_RANK": "0"}
    os.environ["LOCAL_RANK"] = str(rank)
    fabric: Fabric = fabric_of("cpu", world, bf16=True)
    fabric.launch()
    fit(job_of(task, out, steps), fabric)
    (out / f"keys-{rank}.txt").write_text("\n".join(" ".join(keys) for keys in task.keys))


def train_alone(task: ToyTask, out: Path, steps: int, workers: int = 0) -> None:
    """Train a toy in a process of its own."""
    # Such a process would load data as it was itself begun, from a server that would import everything once more.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    train_toy(task, out, steps, workers)
