"""A separator's training on one rank, wherever that runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from pipelines.core.workspace import Workspace
from pipelines.run import alone
from schemas.errors import UserError
from trainers.fit.config import Training
from trainers.fit.loop import Job, fit
from trainers.lass.separation import Separation

ORPHANS_S = 15.0
"""Processes that loaded data for a killed training hold its folder until they notice, which torch lets them do every 5 seconds."""


def run_rank(fabric: Fabric, training: Training, root: str, workers: int, quiet: bool) -> None:
    """Train on this rank, from where the folder's newest checkpoint stands.

    Args:
        fabric: launched.
        training: the same on every rank.
        root: folder of the training, which all ranks see.
        workers: processes that load data for this rank.
        quiet: nothing is told while it runs.

    Raises:
        UserError: another training is at work in the folder, or as :class:`Separation` and :func:`fit` say.
        RunStopped: as :func:`fit` says.
    """
    workspace = Workspace(root)
    with _alone(workspace) if fabric.global_rank == 0 else nullcontext():
        task = Separation(training, root, str(fabric.device))
        config = training.model_dump(mode="json")
        fit(Job(task, training.fit, config, training.seed, workspace, workers, quiet), fabric)


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Hold the folder for the length of the block, as soon as what a killed training has left behind lets go of it."""
    until = time.monotonic() + ORPHANS_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(alone(workspace))
                break
            except UserError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
        yield


def precision_of(device: str, bf16: bool) -> str:
    """Return the precision of a device's forward passes, by Fabric's name: bfloat16 where it is wanted and not emulated, else float32."""
    made_for = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if bf16 and made_for else "32-true"


def fabric_of(device: str, devices: int, bf16: bool) -> Fabric:
    """Return a Fabric for so many devices of this machine, not yet launched; one process each where there are several."""
    strategy = DDPStrategy() if devices > 1 else "auto"
    return Fabric(accelerator=device, devices=devices, strategy=strategy, precision=precision_of(device, bf16))  # type: ignore[arg-type]
