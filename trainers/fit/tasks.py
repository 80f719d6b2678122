"""The tasks that can be trained: of each, what its configuration may say and what trains it, both imported when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trainers.fit.config import Training

if TYPE_CHECKING:  # reading a configuration need not load torch
    from trainers.fit.task import Task


@dataclass(frozen=True)
class Kind:
    """Where a task's classes are, each as ``module:name``.

    Attributes:
        config: a :class:`Training` whose ``task`` is the task's name.
        task: a :class:`trainers.fit.task.Task`, made from configuration, folder of the training and device.
    """

    config: str
    task: str


TASKS: Mapping[str, Kind] = MappingProxyType(
    {
        "separation": Kind("trainers.lass.config:SeparatorTraining", "trainers.lass.separation:Separation"),
        "tagging": Kind("trainers.tagger.config:TaggerTraining", "trainers.tagger.tagging:Tagging"),
        "clap": Kind("trainers.clap.config:ClapTraining", "trainers.clap.contrast:Contrast"),
    }
)
"""By the name that a configuration gives as ``task``."""


def config_of(task: str) -> type[Training]:
    """Return what the configuration of a task may say; KeyError if there is no such task."""
    found: type[Training] = _imported(TASKS[task].config)
    return found


def task_of(training: Training, folder: str, device: str) -> Task:
    """Return what a configuration trains.

    Args:
        training: the configuration.
        folder: of the training.
        device: that it is trained on.

    Raises:
        UserError: its data or models cannot be used.
    """
    made: Task = _imported(TASKS[training.task].task)(training, folder, device)
    return made


def _imported(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
