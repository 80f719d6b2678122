"""Train from a dataset folder with PyTorch, over workers and ranks, and go on where it stopped: ``python with_torch.py FOLDER``.

Under ``torchrun`` each process is a rank. State is kept in ``loader.json`` beside the program; kill it and start it again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from trainers.loader import Loader, Mixtures


def loader(folder: str | Path, split: str = "train", name: str = "mix", workers: int = 2) -> Loader:
    """Return the batches of this rank; every rank takes equally many, and no sample is taken twice in a pass."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    return Loader(Mixtures(folder, split, name), batch=4, seed=0, rank=rank, world=world, workers=workers)


def train(batches: Loader, state: Path, passes: int) -> list[str]:
    """Go through the mixtures so many times, from where ``state`` says; return the keys of what was taken."""
    if state.exists():
        batches.load_state_dict(json.loads(state.read_text()))
    taken = []
    while batches.epoch < passes:
        for batch in batches:
            taken += batch.keys  # here: a step on batch.mixture, batch.target, both (B, T) floats, and batch.queries
            state.write_text(json.dumps(batches.state_dict()))
    return taken


if __name__ == "__main__":
    print(*train(loader(sys.argv[1]), Path("loader.json"), passes=1), sep="\n")
