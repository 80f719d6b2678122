"""Reads a folder of shards. Needs numpy, soundfile and the standard library alone, so that it can go where the shards go."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile


def samples(folder: str | Path, name: str = "mix", split: str = "train") -> Iterator[dict[str, Any]]:
    """Yield the samples of a set and split in their order.

    Args:
        folder: where ``<name>-<split>-<number>.tar`` lie.
        name: the set.
        split: e.g. ``train``.

    Yields:
        ``key``; ``json`` as a dict; ``mixture`` and ``target``, int16 of shape (n,), mixed here if the shard holds sources alone
        (then ``stems`` too), the target taken from residual or stems if it is not stored; every other member by its name without
        the suffix: sound as int16 of shape (n,), an array as ``<name>_embedding``.

    Raises:
        FileNotFoundError: there is no such tar.
    """
    tars = sorted(Path(folder).glob(f"{name}-{split}-*.tar"))
    if not tars:
        raise FileNotFoundError(f"{folder}: holds no {name}-{split}-*.tar")
    for tar in tars:
        for key, members in of_tar(tar):
            yield {"key": key, **decoded(members)}


def of_tar(path: str | Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield key and members (suffix -> bytes) of each sample of a tar: what a name has before its first dot is the key."""
    last, members = None, {}
    with tarfile.open(path) as tar:
        for info in tar:
            key, _, suffix = info.name.partition(".")
            if key != last and last is not None:
                yield last, members
                members = {}
            last, file = key, tar.extractfile(info)
            members[suffix] = file.read() if file else b""
    if last is not None:
        yield last, members


def decoded(members: dict[str, bytes]) -> dict[str, Any]:
    """Return a sample's members as Python has them; a sample of sources alone is mixed.

    Raises:
        KeyError: the target is neither stored nor to be had from what is.
    """
    found: dict[str, Any] = {}
    if "source0.flac" in members:
        found["mixture"], found["target"], found["stems"] = _remix(members)
        members = {suffix: data for suffix, data in members.items() if not suffix.startswith("source")}
    for suffix, data in members.items():
        stem, _, kind = suffix.rpartition(".")
        if kind == "json":
            found["json"] = json.loads(data)
        elif kind in ("flac", "wav"):
            found[stem] = soundfile.read(io.BytesIO(data), dtype="int16")[0]
        elif kind == "npy":
            # Embeddings lie beside sounds of the same name.
            found[f"{stem}_embedding"] = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            found[suffix] = data
    if "target" in found:
        return found
    if "residual" in found:
        return found | {"target": found["mixture"] - found["residual"]}
    stems = [found[f"stem{n}"] for n, source in enumerate(found["json"]["sources"]) if source["role"] == "target"]
    return found | {"target": sum(stems, np.zeros_like(found["mixture"]))}


def _remix(members: dict[str, bytes]) -> Any:
    try:  # beside this file where it was exported to
        from remix import remix
    except ImportError:
        from pipelines.mix.remix import remix
    return remix(members)
