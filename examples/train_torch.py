"""Train with PyTorch's DataLoader: ``python train_torch.py FOLDER [STATE]``.

Two ways. `from_tars` needs nothing of Earloom's: each worker reads whole tars from first byte to last. `from_loader` takes any sample
next, gives ranks equal steps (under ``torchrun`` each process is one), and goes on with the very next sample after a kill. The second is
taken where STATE is given, the file that the model and its place in the data are kept in.
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import soundfile
import torch
from separator import Separator, judged, loss, numbers
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class Tars(IterableDataset):
    """The samples of a split of stored shards, each once in a pass, over any number of workers.

    Each epoch has an order of tars of its own; among ``shuffle`` samples the next is drawn. Keep ``shuffle`` at 1 to read as stored.
    """

    def __init__(self, folder: str | Path, split: str = "train", shuffle: int = 1) -> None:
        self.tars = sorted(Path(folder).glob(f"mix-{split}-*.tar"))
        self.shuffle, self.epoch = shuffle, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        drawn, tars = random.Random(self.epoch), list(self.tars)
        if self.shuffle > 1:
            drawn.shuffle(tars)  # in each worker alike, so that no tar is taken twice
        worker = get_worker_info()
        waiting: list[dict[str, bytes]] = []
        for sample in samples(tars if worker is None else tars[worker.id :: worker.num_workers]):
            waiting.append(sample)
            if len(waiting) == self.shuffle:
                yield decoded(waiting.pop(drawn.randrange(self.shuffle)))
        drawn.shuffle(waiting)
        yield from map(decoded, waiting)


def samples(tars: Iterable[Path]) -> Iterator[dict[str, bytes]]:
    """Yield samples as they lie in tars: what follows the key in a member's name -> its bytes, and ``key``."""
    for path in tars:
        found: dict[str, Any] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                if found and key != found["key"]:
                    yield found
                    found = {}
                found |= {"key": key, name: tar.extractfile(member).read()}
        if found:
            yield found


def decoded(sample: dict[str, Any]) -> dict[str, Any]:
    """Return key, query, mixture and target; of recipe shards, `remix.py` in the folder makes the last two."""
    sounds = {n: soundfile.read(io.BytesIO(sample[f"{n}.flac"]), dtype="float32")[0] for n in ("mixture", "target")}
    return {"key": sample["key"], "query": json.loads(sample["json"])["query"], **sounds}


def from_tars(folder: str | Path, passes: int = 10, workers: int = 2) -> float:
    """Train; return the SDRi of held-out mixtures, in dB."""
    torch.manual_seed(0)
    data, held_out = Tars(folder, shuffle=100), DataLoader(Tars(folder, "val"), batch_size=8)
    model = Separator()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for data.epoch in range(passes):
        for batch in DataLoader(data, batch_size=8, num_workers=workers):  # the last one of a worker may be smaller
            found = step(model, optimizer, batch["query"], batch["mixture"], batch["target"])
        print(f"pass {data.epoch}: loss {found:.4f}")
    return judged(model, ((batch["query"], batch["mixture"], batch["target"]) for batch in held_out))


def from_loader(folder: str | Path, state: Path, passes: int = 10, workers: int = 2) -> float:
    """Train from where ``state`` says, and keep it up to date; return the SDRi of held-out mixtures, in dB."""
    from trainers.loader import Loader, Mixtures

    torch.manual_seed(0)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    batches = Loader(Mixtures(folder, "train"), batch=8, seed=0, rank=rank, world=world, workers=workers)
    model = Separator()  # over ranks: in DistributedDataParallel
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    if state.exists():
        kept = torch.load(state)
        for each, name in ((model, "model"), (optimizer, "optimizer"), (batches, "batches")):
            each.load_state_dict(kept[name])
    while batches.epoch < passes:
        for batch in batches:
            found = step(model, optimizer, batch.queries, batch.mixture, batch.target)
            keep(
                state,
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "batches": batches.state_dict(),
                },
            )
        print(f"pass {batches.epoch - 1}: loss {found:.4f}")
    held_out = Loader(Mixtures(folder, "val"), batch=8)
    return judged(model, ((batch.queries, batch.mixture, batch.target) for batch in held_out))


def step(model: Separator, optimizer: Any, queries: Any, mixture: torch.Tensor, target: torch.Tensor) -> float:
    """Take one step; return the loss."""
    found = loss(model(mixture, numbers(queries)), target)
    optimizer.zero_grad()
    found.backward()
    optimizer.step()
    return found.item()


def keep(path: Path, state: dict[str, Any]) -> None:
    """Write a state; a kill leaves the old one or the new one."""
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


if __name__ == "__main__":
    gained = from_loader(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 2 else from_tars(sys.argv[1])
    print(f"held out: SDRi {gained:.1f} dB")
