"""``earloom shards resplit``: the samples of a dataset folder in tars of other sizes."""

from __future__ import annotations

from pathlib import Path

from pipelines.publish.outbox import new_folder
from pipelines.shards.folder import open_folder
from pipelines.shards.layout import Bounds
from pipelines.shards.manifest import Manifest
from pipelines.shards.writing import finish, host_faults, write_samples


def resplit(folder: Path, out: str, bounds: Bounds) -> Manifest:
    """Write the same samples, in the same order, to a new folder; return its manifest. ``folder`` stays as it is.

    The same samples and bounds give the same bytes, as if the run had been exported with these bounds.

    Raises:
        UserError: ``folder`` is no dataset folder, or ``out`` cannot be used.
        RunStopped: a file of ``folder`` was altered, or the machine failed.
    """
    samples = open_folder(folder)
    with host_faults(f"--out {out}"), new_folder(out) as box:
        sizes = write_samples(samples, bounds, box, lambda group, found: None)
        for name in samples.manifest.documents:
            with box.open(name) as file:
                file.write(samples.file(name))
        told = {**samples.manifest.told, "bounds": {"samples": bounds.samples, "bytes": bounds.bytes}}
        return finish(box, told, sizes)
