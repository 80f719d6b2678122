"""The command ``earloom train``: its arguments, and what it says when it is done."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from schemas.errors import UserError

if TYPE_CHECKING:  # the command line asks for the arguments alone
    from trainers.fit.config import Training


def add_train(commands: Any) -> None:
    """Add the command to the parser's commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "train", help="train a separator, a tagger or a CLAP on shards; train again to go on exactly where it stopped"
    )
    command.add_argument("config", metavar="CONFIG", help="a training's YAML file")
    command.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder of the training, of this machine or mounted"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="a.b=c", help="override a value of CONFIG; may be repeated"
    )
    command.add_argument("--device", choices=("cpu", "cuda"), help="cuda if there is a GPU, else cpu, if not given")
    command.add_argument(
        "--devices",
        type=_positive,
        metavar="N",
        help="GPUs, or processes on the CPU; all GPUs or one process if not given",
    )
    command.add_argument(
        "--workers",
        type=_count,
        default=0,
        metavar="N",
        help="processes that load data, for each device; 0 if not given",
    )
    command.add_argument("--ray", action="store_true", help="on a Ray cluster; --devices says how many it gives")
    command.add_argument(
        "--ray-address", metavar="ADDRESS", help="a running Ray cluster; else RAY_ADDRESS, else one of our own"
    )
    command.add_argument("--quiet", action="store_true", help="no progress, no summary")


def run_train(options: argparse.Namespace) -> str:
    """Train as the arguments say; return what came of it, in words; empty on all ranks but the first.

    Raises:
        UserError: the configuration, its data or the folder cannot be used, or there are no such devices.
        RunStopped: the training cannot go on.
    """
    from pipelines.core.workspace import open_workspace
    from trainers.fit.read import load_training

    if "://" in options.out:
        raise UserError(f"--out {options.out}: must be a folder of this machine or a mounted one")
    training = load_training(options.config, tuple(options.set))
    workspace = open_workspace(options.out)
    try:
        first = _train(training, workspace.root, options)
    except ImportError as error:
        raise UserError(f"training needs the package {error.name or 'ray[train]'}; install the extra `train`") from None
    return _summary(workspace.root, training) if first and not options.quiet else ""


def _train(training: Training, root: str, options: argparse.Namespace) -> bool:
    """Train to the last step; return whether this process is the first of those that did."""
    if options.ray or options.ray_address:
        from trainers.fit.ray_launch import launch

        launch(training, root, options.device, options.devices, options.workers, options.ray_address)
        return True
    from trainers.fit.run import fabric_of, run_rank

    fabric = fabric_of(*_devices(options.device, options.devices), training.fit.bf16)
    fabric.launch()
    run_rank(fabric, training, root, options.workers, options.quiet)
    return fabric.global_rank == 0


def _devices(device: str | None, devices: int | None) -> tuple[str, int]:
    import torch

    there = torch.cuda.device_count()
    if device is None:
        device = "cuda" if there else "cpu"
    if device == "cuda" and (devices or 1) > there:
        raise UserError(f"--devices {devices or 1}: there are {there} GPUs here; name fewer, or --device cpu")
    return device, devices or (there if device == "cuda" else 1)


def _summary(root: str, training: Training) -> str:
    from trainers.fit.history import read_history

    judged = [line["judged"] for line in read_history(root) if "judged" in line]
    lines = [f"{root}: {training.task}, {training.fit.steps:,} steps"]
    for name, measured in judged[-1].items() if judged else ():
        if isinstance(measured, dict) and "value" in measured:
            lines.append(f"  held out, {name}: {_told(name, measured)}")
    lines.append(f"  weights: {os.path.join(root, 'best.safetensors')}, last.safetensors beside it")
    if os.path.isdir(served := os.path.join(root, "model")):
        lines.append(f"  to be served: settings: {{weights: {served}}}")
    return "\n".join(lines)


def _told(name: str, measured: dict[str, Any]) -> str:
    from trainers.measures.registry import MEASURES

    if measured["value"] is None:
        return "unknown"
    known = MEASURES.get(name)
    unit, digits = (f" {known.unit}", 2) if known is not None and known.unit else ("", 3)
    interval = "" if measured["ci95"] is None else " [{:.{d}f}, {:.{d}f}]".format(*measured["ci95"], d=digits)
    return f"{measured['value']:.{digits}f}{unit}{interval}, of {measured['n']:,}"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, at least 1")
    return int(text)
