"""Read a dataset folder with webdataset: ``python read_webdataset.py FOLDER``."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import soundfile
import webdataset as wds

from pipelines.mix.remix import remix  # for recipe shards; or the folder's own remix.py


def samples(folder: str | Path, split: str = "train", name: str = "mix", shuffle: int = 0) -> wds.DataPipeline:
    """Return an iterable over samples; given to a ``DataLoader``, it is divided over ranks and workers by whole tars.

    Args:
        folder: the dataset folder; its tars may as well lie behind ``https:`` URLs.
        split: e.g. ``train``.
        name: the set.
        shuffle: samples among which the next is drawn; 0: in the order of the tars.
    """
    tars = [path.resolve().as_uri() for path in sorted(Path(folder).glob(f"{name}-{split}-*.tar"))]
    return wds.DataPipeline(
        wds.SimpleShardList(tars),
        wds.split_by_node,
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        *([wds.shuffle(shuffle)] if shuffle else []),
        wds.map(decoded),
    )


def decoded(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample's key, JSON, mixture and target, int16 of shape (n,)."""
    if "source0.flac" in sample:
        mixture, target, _ = remix(sample)
    else:
        mixture, target = (
            soundfile.read(io.BytesIO(sample[f"{n}.flac"]), dtype="int16")[0] for n in ("mixture", "target")
        )
    return {"key": sample["__key__"], "json": json.loads(sample["json"]), "mixture": mixture, "target": target}


if __name__ == "__main__":
    for sample in samples(sys.argv[1]):
        print(sample["key"], len(sample["mixture"]), sample["json"]["query"])
