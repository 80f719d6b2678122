"""Trainings of taggers and CLAPs of seconds; a module of its own so that processes of their own can import it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import distributed

from trainers.clips.batches import ClipBatches
from trainers.clips.ranks import gathered, largest_over_ranks, mean_over_ranks
from trainers.fit.command import add_train, run_train

FITS = {
    "tagging": {"steps": 48, "batch": 16, "rate": 3e-3, "warm_up": {"steps": 5}, "average": 0.9},
    "clap": {"steps": 24, "batch": 32, "rate": 1e-3, "warm_up": {"steps": 5}, "average": 0.9},
}


def train(folder: Path, task: str, *overrides: str, out: str = "out", quiet: bool = True) -> Path:
    """Train by the command on the shards in a folder, in a folder of it; return that folder."""
    told: dict[str, Any] = {"task": task, "name": "tiny", "data": {"folders": [str(folder)]}, "fit": FITS[task]}
    path = folder / f"{task}.yaml"
    path.write_text(yaml.safe_dump(told))
    parser = argparse.ArgumentParser()
    add_train(parser.add_subparsers())
    words = ["train", str(path), "--out", str(folder / out), "--device", "cpu", *(["--quiet"] if quiet else [])]
    words += [word for each in overrides for word in ("--set", each)]
    print(run_train(parser.parse_args(words)))
    return folder / out


def train_alone(folder: Path, task: str, overrides: tuple[str, ...], out: str, taken: Any = None) -> None:
    """Train in a process of its own; ``taken`` counts the steps."""
    torch.set_num_threads(1)
    if taken is not None:
        handed_out = ClipBatches.__iter__

        def counted(self: ClipBatches) -> Any:
            for batch in handed_out(self):
                taken.value += 1
                yield batch

        ClipBatches.__iter__ = counted  # type: ignore[method-assign]
    train(folder, task, *overrides, out=out)


def loss_of(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return a loss in which each row stands against all others."""
    made = gathered(rows @ weight)
    return torch.logsumexp(made @ made.T, dim=1).mean()


def rank_of_two(rank: int, port: int, out: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    rows, weight = torch.load(out / "given.pt")
    own = rows[rank::2]
    weight.requires_grad_(True)
    loss = loss_of(own, weight)
    loss.backward()
    found = {
        "loss": loss.detach(),
        "gradient": mean_over_ranks(weight.grad),
        "longest": largest_over_ranks(3 + rank, torch.device("cpu")),
        "mean": mean_over_ranks(torch.tensor(float(rank))),
    }
    torch.save(found, out / f"{rank}.pt")
    distributed.destroy_process_group()
