"""A training on one rank, wherever that runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch import nn

from pipelines.core.workspace import TMP, Workspace
from pipelines.run import alone
from schemas.errors import UserError
from trainers.fit.checkpoint import read_weights
from trainers.fit.config import Training
from trainers.fit.loop import BEST, LAST, Job, fit
from trainers.fit.tasks import task_of

ORPHANS_S = 15.0
"""Processes that loaded data for a killed training hold its folder until they notice, which torch lets them do every 5 seconds."""


MODEL = "model"
"""Folder in that of the training, with the model as it is served."""


@runtime_checkable
class Served(Protocol):
    """A task whose models are served from a folder of their own form: what `taggers` loads as ``weights``."""

    def write(self, module: nn.Module, folder: Path) -> None:
        """Write what is kept of a training into a folder that is there and empty."""


def write_model(task: Served, module: nn.Module, root: Path) -> None:
    """Write the best weights of a training, or else the last ones, as they are served; whole or not at all.

    Args:
        task: that was trained.
        module: what is kept of it, whatever its weights.
        root: folder of the training, in which :data:`MODEL` is made.
    """
    module.load_state_dict(read_weights(root / BEST if (root / BEST).exists() else root / LAST)[2])
    new, old = root / f"{TMP}{MODEL}", root / MODEL
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    task.write(module.cpu(), new)
    shutil.rmtree(old, ignore_errors=True)
    new.rename(old)


def run_rank(fabric: Fabric, training: Training, root: str, workers: int, quiet: bool) -> None:
    """Train on this rank, from where the folder's newest checkpoint stands.

    Args:
        fabric: launched.
        training: the same on every rank.
        root: folder of the training, which all ranks see.
        workers: processes that load data for this rank.
        quiet: nothing is told while it runs.

    Raises:
        UserError: another training is at work in the folder, or as the task and :func:`fit` say.
        RunStopped: as :func:`fit` says.
    """
    workspace = Workspace(root)
    with _alone(workspace) if fabric.global_rank == 0 else nullcontext():
        task = task_of(training, root, str(fabric.device))
        config = training.model_dump(mode="json")
        trained = fit(Job(task, training.fit, config, training.seed, workspace, workers, quiet), fabric)
        if isinstance(task, Served) and fabric.global_rank == 0:
            write_model(task, task.kept(trained), Path(root))


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
