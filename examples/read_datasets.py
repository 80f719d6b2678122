"""Read a dataset folder with Hugging Face datasets: ``python read_datasets.py FOLDER``."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import soundfile


def load(folder: str | Path, split: str = "train", name: str = "mix", **options: Any) -> Any:
    """Return what ``load_dataset`` gives, with sounds as the bytes of their files.

    ``load_dataset(folder, name)`` alone gives players instead, and needs torchcodec. Each set is a configuration of the folder's card.
    """
    columns = datasets.load_dataset_builder(str(folder), name).info.features
    as_bytes = {
        key: datasets.Value("binary") if isinstance(kind, datasets.Audio) else kind for key, kind in columns.items()
    }
    return datasets.load_dataset(str(folder), name, split=split, features=datasets.Features(as_bytes), **options)


def samples(folder: str | Path, split: str = "train", name: str = "mix") -> Iterator[dict[str, Any]]:
    """Yield the samples of stored shards one by one: ``key``, ``json``, ``mixture`` and ``target`` as int16 of shape (n,)."""
    for row in load(folder, split, name, streaming=True):
        sounds = {n: soundfile.read(io.BytesIO(row[f"{n}.flac"]), dtype="int16")[0] for n in ("mixture", "target")}
        yield {"key": row["__key__"], "json": row["json"], **sounds}


if __name__ == "__main__":
    for sample in samples(sys.argv[1]):
        print(sample["key"], len(sample["mixture"]), sample["json"]["query"])
