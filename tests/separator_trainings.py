"""Real trainings of small separators by the command, in processes of their own that tests may kill and that can import this module."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, distributed, nn
from torch.nn import functional

# Imported here, so that a fork of the server that has this module begins at once.
import trainers.fit.run
import trainers.lass.separation  # noqa: F401
from pipelines.cli import main
from trainers.fit.shared_norm import shared
from trainers.lass.config import SeparatorConfig, build
from trainers.lass.objective import Objective

CONFIG: dict[str, Any] = {
    "task": "separation",
    "name": "tiny",
    "data": {"sounds": 1, "held_out_mixtures": 3, "crop_s": 0.4},
    "separator": {"sample_rate": 16000, "embedding": 128},
    "fit": {"batch": 2, "warm_up": {"steps": 2}, "log_every": 1, "save_every": 3, "judge_every": 4},
}


def processes() -> Any:
    """Return how processes are begun: forked from one that has loaded all but never computed; what torch has started outlives no fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["separator_trainings"])
    return context


def words(folder: Path, out: Path, mixtures: Path, *overrides: str, workers: int = 0) -> list[str]:
    """Return the command of a training on the mixtures of a run, its file written into ``folder``."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"data": CONFIG["data"] | {"folders": [str(mixtures)]}}))
    told = [word for each in overrides for word in ("--set", each)]
    return ["train", str(path), "--out", str(out), "--device", "cpu", "--workers", str(workers), "--quiet", *told]


def earloom(command: list[str], said: Path | None = None, **environment: str) -> None:
    """Run a command in this process, which it ends; what it says goes to the end of a file if one is given."""
    os.environ |= environment
    if said is not None:
        with said.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    # Such a process would load data as it was itself begun, from a server that would import everything once more.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    sys.exit(main(command))


def begun(command: list[str], said: Path | None = None, **environment: str) -> Any:
    """Return the process of a command, begun."""
    process = processes().Process(target=earloom, args=(command, said), kwargs=environment)
    process.start()
    return process


def ended(process: Any) -> int:
    """Return the exit code of a process as soon as it has one."""
    process.join()
    return int(process.exitcode)


def steps_of(out: Path) -> int:
    """Return the step of the last line of a training's history; 0 if there is none."""
    path = out / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    return int(json.loads(whole[-1])["step"]) if whole else 0


def left_behind(out: Path) -> dict[str, bytes]:
    """Return the bytes of everything that a training keeps, but for TensorBoard's files, which tell times of day."""
    found = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if not name.startswith("tensorboard/")}


def shared_gradients(rank: int, world: int, port: int, out: Path) -> None:
    """Train small separators for three steps in float64 as one rank of several; the first leaves first gradients and last weights."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    if world > 1:
        distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    made = {}
    for guided in (False, True):
        for loss in ("l1", "si_sdr"):
            made[f"{guided} {loss}"] = _trained(guided, loss, rank, world)
    if rank == 0:
        torch.save(made, out / f"{world}.pt")
    if world > 1:
        distributed.destroy_process_group()


def _trained(guided: bool, loss: str, rank: int, world: int) -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(0)
    own = Objective(build(SeparatorConfig(sample_rate=8000, embedding=8, guided=guided)), loss)  # type: ignore[arg-type]
    mixture, condition = torch.randn(4, 1200), functional.normalize(torch.randn(4, 8), dim=1)
    answer, wanted = mixture / 2 + 0.1 * torch.randn(4, 1200), functional.normalize(torch.randn(4, 8), dim=1)
    answer[0], wanted[0] = 0.0, torch.nan
    given = (mixture, condition, torch.tensor([0, 1, 0, 1]), answer, wanted)
    part = slice(4 // world * rank, 4 // world * (rank + 1))
    module = nn.parallel.DistributedDataParallel(shared(own, "cpu")) if world > 1 else own
    optimiser = torch.optim.AdamW(own.parameters(), 1e-3)
    gradients: dict[str, Tensor] = {}
    for _ in range(3):
        losses: dict[str, Tensor] = module(*(each[part] for each in given))
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        gradients = gradients or {name: weight.grad.clone() for name, weight in own.named_parameters()}  # type: ignore[union-attr]
        optimiser.step()
    return {"gradients": gradients, "weights": {name: weight.detach() for name, weight in own.named_parameters()}}
