"""The one training loop, on Lightning Fabric: steps, averages, checkpoints, judgements, and going on exactly where it stopped.

What is drawn at a step is a function of seed, step and rank, so that no state of random numbers is kept: on a CPU a training that was
killed at any instant ends with the same bytes as an undisturbed one, with the same machine, threads and devices.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, distributed, nn

from pipelines.core.workspace import Workspace, is_host_fault
from schemas.errors import RunStopped, UserError
from schemas.ids import seed_for
from trainers.fit import checkpoint
from trainers.fit.average import Average
from trainers.fit.config import Fit
from trainers.fit.schedule import warm_up
from trainers.fit.shared_norm import shared
from trainers.fit.task import Batches, Row, Task
from trainers.fit.told import Speed, Teller

BEST, LAST = "best.safetensors", "last.safetensors"
"""The averaged weights of the best judgement, and of the last step."""


@dataclass(frozen=True)
class Job:
    """A training: what is trained and how, and where it is kept.

    Attributes:
        task: what is trained.
        settings: the loop's.
        config: what determines the training, as JSON has it, with the loop's settings under ``fit``; kept with the weights.
        seed: of weights and steps.
        workspace: the training's folder, on a disk that all ranks share.
        workers: processes that load data for each rank; 0: the rank itself does.
        quiet: nothing is told while it runs.
    """

    task: Task
    settings: Fit
    config: dict[str, Any]
    seed: int
    workspace: Workspace
    workers: int = 0
    quiet: bool = False


def fit(job: Job, fabric: Fabric) -> nn.Module:
    """Train to the last step, from the newest checkpoint on if there is one; return the module of averaged weights.

    Args:
        job: the same on every rank.
        fabric: launched.

    Raises:
        UserError: batch and devices do not fit, or the checkpoint is of another training.
        RunStopped: loss or gradient is no number any more, or the disk is full or cannot be written to.
    """
    run = _Run(job, fabric)
    state = checkpoint.latest(job.workspace)
    if state is not None:
        run.load(state)
    try:
        return run.to_the_end()
    except OSError as error:
        if not is_host_fault(error):
            raise
        where = os.fsdecode(error.filename) if error.filename else job.workspace.root  # TensorBoard's names are bytes
        raise RunStopped(f"{where}: {error.strerror}; mend it and run the same command again") from error


class _Run:
    """A training on one rank."""

    def __init__(self, job: Job, fabric: Fabric) -> None:
        rank, world, settings = fabric.global_rank, fabric.world_size, job.settings
        if settings.batch % world:
            raise UserError(f"fit.batch: {settings.batch} cannot be shared equally by {world} devices; use a multiple")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(job.seed, "trainers.fit", "weights"))
            self.own = job.task.build()
        if world > 1:
            self.own = shared(self.own, fabric.device.type)
        self.optimiser = torch.optim.AdamW(self.own.parameters(), settings.rate, weight_decay=settings.weight_decay)
        self.job, self.fabric = job, fabric
        self.module, self.stepper = fabric.setup(self.own, self.optimiser)
        self.average = Average(self.own, settings.average)
        self.batches: Batches = job.task.batches(settings.batch // world, rank, world, job.workers)
        self.step, self.best = 0, float("-inf")
        self.sums: dict[str, Tensor] = {}
        self.counted = 0

    def load(self, state: dict[str, Any]) -> None:
        """Go to where a checkpoint stood; UserError if it is of another training."""
        same, more = self.job.config, state["config"]
        if words := _difference(more, same, ""):
            raise UserError(
                f"{self.job.workspace.root}: was begun otherwise ({words}); keep that, or name a new folder"
            )
        if state["step"] > self.job.settings.steps:
            raise UserError(f"fit.steps: {self.job.settings.steps} are fewer than the {state['step']} that are done")
        self.own.load_state_dict(state["module"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.batches.load_state_dict(state["batches"])
        self.step, self.best, self.counted = state["step"], state["best"], state["counted"]
        self.sums = {name: value.to(self.fabric.device) for name, value in state["sums"].items()}

    def to_the_end(self) -> nn.Module:
        """Take the steps that are left; return the averaged module."""
        job, settings, first = self.job, self.job.settings, self.fabric.global_rank == 0
        if first:
            checkpoint.sweep(job.workspace)
        with (
            closing(Teller(job.workspace, self.step, settings.steps, first, job.quiet)) as teller,
            closing(_endless(self.batches)) as stream,
        ):
            speed = Speed()
            while self.step < settings.steps:
                with speed.waiting():
                    batch, epoch = next(stream)
                self._take(batch, epoch)
                speed.samples += settings.batch
                due = {
                    name: self.step % every == 0 or self.step == settings.steps
                    for name, every in (
                        ("log", settings.log_every),
                        ("judge", settings.judge_every),
                        ("save", settings.save_every),
                    )
                }
                if any(due.values()):
                    self._settle()
                if due["log"]:
                    self._log(teller, epoch, speed)
                    speed = Speed()
                if due["judge"]:
                    with speed.apart():
                        self._judge(teller, epoch)
                if due["save"] and first:
                    with speed.apart():
                        checkpoint.save(job.workspace, self._state())
                teller.stepped(self.step)
        if first:
            checkpoint.write_weights(job.workspace, LAST, job.task.kept(self.average.module), job.config, job.task.told)
        self.fabric.barrier()
        return self.average.module

    def _take(self, batch: Any, epoch: int) -> None:
        settings = self.job.settings
        rate = settings.rate * warm_up(settings.warm_up.shape, settings.warm_up.steps, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.step += 1
        torch.manual_seed(seed_for(self.job.seed, "trainers.fit.step", f"{self.step}:{self.fabric.global_rank}"))
        losses = self.job.task.losses(self.module, batch, epoch)
        self.stepper.zero_grad()
        self.fabric.backward(torch.stack(list(losses.values())).sum())
        norm = self.fabric.clip_gradients(self.module, self.stepper, max_norm=settings.clip, error_if_nonfinite=False)
        self.stepper.step()
        self.average.update(self.own, self.step)
        assert norm is not None
        for name, value in {**losses, "gradient": norm}.items():
            # float64: a sum of many float32 numbers would lose the last ones' digits.
            self.sums[name] = self.sums.get(name, 0.0) + value.detach().double()
        self.counted += 1

    def _settle(self) -> None:
        """Make the sums the ranks' mean, and stop before anything is kept of a training that has gone astray."""
        if not self.sums:
            return
        sums = self.fabric.all_reduce(torch.stack(list(self.sums.values())), reduce_op="mean")
        assert isinstance(sums, torch.Tensor)
        self.sums = dict(zip(self.sums, sums, strict=True))
        if not sums.isfinite().all():
            raise RunStopped(
                f"step {self.step}: loss or gradient is no number any more; with a lower fit.rate or fit.clip, or a longer "
                "warm-up, a new training may hold"
            )

    def _log(self, teller: Teller, epoch: int, speed: Speed) -> None:
        means = {name: value.item() / self.counted for name, value in self.sums.items()}
        line = {
            "epoch": epoch,
            "gradient": means.pop("gradient"),
            "loss": sum(means.values()),
            "losses": means,
            "rate": self.optimiser.param_groups[0]["lr"],
        }
        self.sums, self.counted = {}, 0
        teller.logged(self.step, line, speed)

    def _judge(self, teller: Teller, epoch: int) -> None:
        fabric, module = self.fabric, self.average.module
        with torch.no_grad():
            rows: list[Row] = self.job.task.judge(module, fabric.global_rank, fabric.world_size)
            if fabric.world_size > 1:
                every: list[list[Row]] = [[] for _ in range(fabric.world_size)]
                distributed.all_gather_object(every, rows)
                rows = [row for own in every for row in own]
            if fabric.global_rank > 0:
                return
            summary = self.job.task.summary(rows)
            teller.judged(self.step, epoch, summary, self.job.task.sounds(module))
        if summary["watched"] is not None and summary["watched"] > self.best:
            self.best = summary["watched"]
            checkpoint.write_weights(
                self.job.workspace, BEST, self.job.task.kept(module), self.job.config, self.job.task.told
            )

    def _state(self) -> dict[str, Any]:
        return {
            "config": self.job.config,
            "step": self.step,
            "best": self.best,
            "counted": self.counted,
            "sums": dict(self.sums),
            "module": self.own.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "batches": self.batches.state_dict(),
        }


def _endless(batches: Batches) -> Generator[tuple[Any, int]]:
    """Yield batches, pass after pass, each with the number of passes that were done when its own began."""
    while True:
        epoch = batches.epoch
        for batch in batches:
            yield batch, epoch


def _difference(before: Any, now: Any, key: str) -> str:
    """Return the first key of two configurations whose values differ, and both; empty if none but the number of steps."""
    if key == "fit.steps" or before == now:
        return ""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{key}: {before!r} then, {now!r} now"
    found = (
        _difference(before.get(name), now.get(name), f"{key}.{name}" if key else name) for name in {**before, **now}
    )
    return next(filter(None, found), "")
