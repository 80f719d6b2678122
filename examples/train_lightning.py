"""Train with Lightning, and go on from a checkpoint with the very next sample: ``python train_lightning.py FOLDER [CHECKPOINT]``.

Lightning keeps the state of a loader that has ``state_dict`` and ``load_state_dict`` in the checkpoints that are written while it trains,
also in the middle of an epoch. `trainers.loader.Loader` has both, and shares samples out over ranks by itself. CHECKPOINT is ``last.ckpt``,
once written. One that is saved after ``max_steps`` have ended a training counts its epoch as done, and is not for going on with.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from separator import Separator, loss, numbers, sdri
from torch import Tensor

from trainers.loader import Batch, Loader, Mixtures


class Separation(lightning.LightningModule):
    """Training and validation of a separator."""

    def __init__(self) -> None:
        super().__init__()
        self.separator = Separator()

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Return the loss of a batch."""
        found = loss(self.separator(batch.mixture, numbers(batch.queries)), batch.target)
        self.log("loss", found, prog_bar=True, batch_size=len(batch.keys))
        return found

    def validation_step(self, batch: Batch, number: int) -> None:
        """Log the SDRi of a batch, in dB."""
        found = sdri(self.separator(batch.mixture, numbers(batch.queries)), batch.mixture, batch.target)
        self.log("sdri", found.nanmean(), prog_bar=True, batch_size=len(batch.keys))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser."""
        return torch.optim.Adam(self.parameters(), 0.01)


class Data(lightning.LightningDataModule):
    """Mixtures of a dataset folder; every rank takes equally many steps."""

    def __init__(self, folder: str | Path, workers: int = 0) -> None:
        super().__init__()
        self.folder, self.workers = folder, workers

    def train_dataloader(self) -> Loader:
        """Return the batches of this rank."""
        rank, world = self.trainer.global_rank, self.trainer.world_size
        return Loader(Mixtures(self.folder, "train"), 8, seed=0, rank=rank, world=world, workers=self.workers)

    def val_dataloader(self) -> Loader:
        """Return all held-out mixtures: what is shared out over ranks may leave some out."""
        return Loader(Mixtures(self.folder, "val"), 8)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, number: int) -> Batch:
        """Return a batch with its sounds on the device; Lightning's own way takes no frozen dataclass."""
        return replace(batch, mixture=batch.mixture.to(device), target=batch.target.to(device))


def train(folder: str | Path, checkpoint: str | None = None, **options: Any) -> lightning.Trainer:
    """Train, from a checkpoint on if there is one; ``options`` go to Lightning's ``Trainer``."""
    lightning.seed_everything(0, verbose=False)
    keep = ModelCheckpoint(".", "last", every_n_train_steps=2, enable_version_counter=False)
    trainer = lightning.Trainer(accelerator="cpu", callbacks=[keep], **{"max_epochs": 10, "logger": False, **options})
    trainer.fit(Separation(), datamodule=Data(folder), ckpt_path=checkpoint)
    return trainer


if __name__ == "__main__":
    measured = train(*sys.argv[1:]).callback_metrics
    print(f"loss {measured['loss']:.4f}")
    print(f"held out: SDRi {measured['sdri']:.1f} dB")
