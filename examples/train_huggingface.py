"""Train with Hugging Face `datasets` and `transformers.Trainer`, which needs accelerate: ``python train_huggingface.py FOLDER [OUT]``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from read_datasets import load
from separator import Separator, loss, numbers, sdri
from torch import Tensor, nn
from transformers import EvalPrediction, Trainer, TrainingArguments


class Model(nn.Module):
    """A separator as `Trainer` calls it: with a batch's columns by name, for the loss first and then what is evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.separator = Separator()

    def forward(self, mixture: Tensor, words: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and SDRi."""
        answer = self.separator(mixture, words)
        return loss(answer, target), sdri(answer, mixture, target)


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Return rows of the folder's table as a batch, (B, T) each."""
    sounds = {
        name: torch.from_numpy(np.stack([read(row[f"{name}.flac"]) for row in rows])) for name in ("mixture", "target")
    }
    return {**sounds, "words": numbers([row["json"]["query"] for row in rows])}


def read(data: bytes) -> np.ndarray:
    """Return a sound."""
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def mean_sdri(told: EvalPrediction) -> dict[str, float]:
    """Return what is measured of all held-out mixtures."""
    return {"sdri": float(np.nanmean(told.predictions))}


def train(folder: str | Path, out: str | Path = "huggingface", **options: Any) -> Trainer:
    """Train; ``options`` go to `TrainingArguments`. ``trainer.train(resume_from_checkpoint=True)`` goes on, by skipping what was taken."""
    chosen = {"num_train_epochs": 10, "learning_rate": 0.01, "logging_steps": 5, "save_strategy": "no", **options}
    arguments = TrainingArguments(
        str(out),
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        remove_unused_columns=False,  # a row's columns are not the model's: `collate` makes these of those
        label_names=["target"],
        report_to="none",
        use_cpu=True,
        **chosen,
    )
    data = {"train_dataset": load(folder), "eval_dataset": load(folder, "val")}
    trainer = Trainer(Model(), arguments, data_collator=collate, compute_metrics=mean_sdri, **data)
    trainer.train()
    return trainer


if __name__ == "__main__":
    print(f"held out: SDRi {train(*sys.argv[1:]).evaluate()['eval_sdri']:.1f} dB")
