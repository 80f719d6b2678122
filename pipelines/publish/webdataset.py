"""``earloom export --as webdataset``: the mixtures of a finished run as a dataset folder for others."""

from __future__ import annotations

from typing import Any

from pipelines.core.workspace import Workspace
from pipelines.publish.form import Options
from pipelines.publish.outbox import new_folder
from pipelines.publish.sealed import open_sealed
from pipelines.shards.documents import Certify, described, run_certificate, write_documents
from pipelines.shards.layout import Bounds
from pipelines.shards.manifest import FORMAT
from pipelines.shards.rendered import Choice, RunSamples
from pipelines.shards.tally import Tally
from pipelines.shards.writing import finish, host_faults, write_samples
from schemas import __version__
from schemas.errors import UserError


def export_mixtures(
    workspace: Workspace, out: str, options: Options, certify: Certify = run_certificate
) -> dict[str, Any]:
    """Write the mixtures of a run to a new folder ``out``; return the manifest.

    Tars are as large as the recipe's ``shards.max_samples`` and ``shards.max_mb`` say. The same run, options and version of Earloom
    give the same bytes.

    Raises:
        UserError: the run is not finished or makes no mixtures, ``out`` cannot be used, or an option means nothing here.
        RunStopped: the run was altered, or the machine failed.
    """
    if options.everything:
        raise UserError(
            "--all: a mixture is there or refused, there is nothing in between; `earloom query` tells of the refused"
        )
    if options.audio:
        raise UserError("--audio: the format webdataset always holds sound; leave it out")
    run = open_sealed(workspace)
    samples = RunSamples(run, Choice(options.licence, options.splits))
    samples.check()
    limits, tally = run.recipe.shards, Tally()
    bounds = Bounds(limits.max_samples, limits.max_mb * 1_000_000)
    with host_faults(f"--out {out}"), new_folder(out) as box:
        sizes = write_samples(samples, bounds, box, tally.see)
        credited = write_documents(samples, tally, certify, box)
        told = {
            "earloom": __version__,
            "format": FORMAT,
            **described(samples),
            "options": {"licence": options.licence, "splits": list(options.splits)},
            "bounds": {"samples": bounds.samples, "bytes": bounds.bytes},
            "mixtures": sum(samples.counted.values()),
            "exported": sum(sizes.values()),
            "left_out": samples.left_out(),
            "groups": {f"{group.set}-{group.split}": count for group, count in sorted(tally.samples.items())},
            "licences": dict(sorted(tally.licences.items())),
            "recordings": credited,
        }
        return finish(box, told, sizes).told
