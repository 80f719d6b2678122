"""A training on a Ray cluster through Ray Train: a worker per device, begun again from the newest checkpoint when one is lost."""

from __future__ import annotations

from typing import Any

# First, for it sets what Ray reads from the environment when it is imported.
from pipelines.engines.ray import cluster  # isort: skip

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.strategies import DDPStrategy
from ray import train
from ray.train.torch import TorchTrainer, get_device

from schemas.errors import RunStopped, UserError
from trainers.fit.config import Training
from trainers.fit.read import parse_training
from trainers.fit.run import precision_of, run_rank

LOST = 3
"""How often workers may be lost; each time all begin again from the newest checkpoint."""


class _Environment(LightningEnvironment):
    """Who is who, as Ray Train says."""

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return int(train.get_context().get_world_size())

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return int(train.get_context().get_world_rank())

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return int(train.get_context().get_local_rank())

    def node_rank(self) -> int:
        return int(train.get_context().get_node_rank())


class _Strategy(DDPStrategy):
    """DDP on the device that Ray Train gives a worker."""

    @property
    def root_device(self) -> torch.device:
        device = get_device()
        assert isinstance(device, torch.device)
        return device


def launch(
    training: Training, root: str, device: str | None, devices: int | None, workers: int, address: str | None
) -> None:
    """Train on a Ray cluster.

    Args:
        training: its configuration.
        root: folder of the training, on a disk that all nodes share.
        device: ``cpu`` or ``cuda``; None: cuda if the cluster has GPUs.
        devices: how many; None: all GPUs of the cluster, or one process.
        workers: processes that load data for each device.
        address: of a running cluster; None: RAY_ADDRESS, or else a cluster of our own.

    Raises:
        UserError: the cluster cannot be reached or lacks the devices, or the training's own mistakes.
        RunStopped: the training stopped, or too many workers were lost.
    """
    with cluster(address, None) as (cpus, gpus):
        on_gpu = device == "cuda" or (device is None and gpus >= 1)
        count = devices or (int(gpus) if on_gpu else 1)
        if count > (gpus if on_gpu else cpus):
            raise UserError(f"--devices {count}: the cluster has {gpus:g} GPUs and {cpus:g} CPUs; name fewer")
        told = {"training": training.model_dump(mode="json"), "root": root, "workers": workers, "devices": count}
        trainer = TorchTrainer(
            _worker,
            train_loop_config=told | {"device": "cuda" if on_gpu else "cpu"},
            # A CPU that the driver of the training and Ray's own processes share is left where there is one.
            scaling_config=train.ScalingConfig(
                num_workers=count,
                use_gpu=on_gpu,
                resources_per_worker={"CPU": 0.5 if cpus <= count else 1.0} | ({"GPU": 1} if on_gpu else {}),
            ),
            run_config=train.RunConfig(
                name="ray", storage_path=root, failure_config=train.FailureConfig(max_failures=LOST)
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            raise _told(error) from error


def _worker(told: dict[str, Any]) -> None:
    device = told["device"]
    training = parse_training(told["training"], "the training")
    fabric = Fabric(
        accelerator=device,
        devices=1,
        strategy=_Strategy(cluster_environment=_Environment()),
        precision=precision_of(device, training.fit.bf16),  # type: ignore[arg-type]
    )
    fabric.launch()
    run_rank(fabric, training, told["root"], told["workers"], quiet=True)


def _told(error: BaseException) -> UserError | RunStopped:
    """Return what went wrong in a worker as the error that it is."""
    for failed in [*getattr(error, "worker_failures", {}).values(), error]:
        cause: BaseException | None = failed
        while cause is not None:
            if isinstance(cause, (UserError, RunStopped)):
                return type(cause)(str(cause))
            cause = getattr(cause, "cause", None) or cause.__cause__
    words = (str(error).strip().splitlines() or ["no message"])[0][:200]
    return RunStopped(f"the training on Ray stopped ({type(error).__name__}: {words}); the same command goes on")
