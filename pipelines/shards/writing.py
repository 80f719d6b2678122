"""Writing the samples of a dataset folder: tars, their indices and ``sizes.json``, from any place that has the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipelines.core.workspace import is_host_fault
from pipelines.publish.outbox import Outbox
from pipelines.shards.layout import (
    MANIFEST,
    SIZES,
    Bounds,
    Group,
    Piece,
    Samples,
    dali_name,
    index_name,
    packed,
    tar_name,
)
from pipelines.shards.manifest import Manifest, with_files
from pipelines.shards.tars import Index, Member, write_tar
from schemas.errors import RunStopped

Seen = Callable[[Group, list[tuple[Member, bytes]]], None]
"""Is shown each sample that is written: its group, its members and their data."""


def write_samples(samples: Samples, bounds: Bounds, box: Outbox, seen: Seen) -> dict[str, int]:
    """Write all samples as tars with their indices; return how many samples each tar holds."""
    sizes = {}
    for group in samples.groups():
        for number, pieces in enumerate(packed(samples.pieces(group), bounds)):
            tar = tar_name(group, number)
            with box.open(tar) as file:
                index = write_pieces(file, samples, group, pieces, seen)
            for name, data in ((index_name(tar), index.csv()), (dali_name(tar), index.dali())):
                with box.open(name) as file:
                    file.write(data)
            sizes[tar] = len(pieces)
    return sizes


def write_pieces(file: Any, samples: Samples, group: Group, pieces: list[Piece], seen: Seen | None = None) -> Index:
    """Write some samples of a group as one tar; return its index. RunStopped where their bytes are no samples."""
    index = Index()
    try:
        for found in write_tar(file, (samples.read(piece) for piece in pieces)):
            index.members += [member for member, _ in found]
            if seen:
                seen(group, found)
    except ValueError as error:
        raise RunStopped(f"sample {pieces[len(index.keys)].key}: {error}; `earloom verify` says more") from None
    return index


def finish(box: Outbox, told: Mapping[str, Any], sizes: Mapping[str, int]) -> Manifest:
    """Write ``sizes.json`` and then ``manifest.json``, which names every file of the box; return it."""
    files = {name: {**facts, "samples": sizes[name]} if name in sizes else facts for name, facts in box.facts().items()}
    with box.open(SIZES) as file:
        file.write(with_files(told, files).sizes())
    manifest = with_files(told, files | {SIZES: file.facts()})
    with box.open(MANIFEST, listed=False) as last:
        last.write(manifest.to_bytes())
    return manifest


@contextmanager
def host_faults(where: str) -> Iterator[None]:
    """Say a fault of the machine (disk full, read-only) in words: RunStopped, which names where."""
    try:
        yield
    except OSError as error:
        if not is_host_fault(error):
            raise
        raise RunStopped(f"{where}: {error.strerror or error}; mend it and run the same command again") from error
