"""The files that say what a dataset folder is: card, licences, Croissant, whom to credit, certificate, and the reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines import attribution
from pipelines.core.workspace import Workspace
from pipelines.publish.credit import write_credit
from pipelines.publish.outbox import Outbox
from pipelines.shards.card import card, licence_page
from pipelines.shards.croissant import NAME as CROISSANT
from pipelines.shards.croissant import croissant
from pipelines.shards.rendered import RunSamples
from pipelines.shards.tally import Tally
from pipelines.shards.tars import members_of

ATTRIBUTION, CERTIFICATE = "ATTRIBUTION.csv", "certificate.json"
_READERS = {
    "read.py": Path(__file__).with_name("read.py"),
    "remix.py": Path(__file__).parents[1] / "mix" / "remix.py",
}

Certify = Callable[[Workspace], Mapping[str, Any]]
"""Measures a run: what `earloom certify` writes."""


def write_documents(samples: RunSamples, tally: Tally, certify: Certify, box: Outbox) -> int:
    """Write the files; return how many recordings are credited."""
    run, certificate = samples.run, certify(samples.run.workspace)
    credited = write_credit(run, pa.array(sorted(tally.recordings), pa.string()), box)
    box.rename(attribution.NAME, ATTRIBUTION)
    pages = {
        CERTIFICATE: (json.dumps(certificate, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(),
        "README.md": card(samples, tally, certificate),
        "LICENSE.md": licence_page(tally.licences, ATTRIBUTION),
        **{name: path.read_bytes() for name, path in _READERS.items()},
    }
    for name, data in pages.items():
        with box.open(name) as file:
            file.write(data)
    written = box.facts()
    with box.open(CROISSANT) as file:
        file.write(croissant(samples, tally, {name: written[name]["sha256"] for name in (ATTRIBUTION, CERTIFICATE)}))
    return credited


def seen(samples: RunSamples) -> Tally:
    """Return what all samples hold, without writing any."""
    tally = Tally()
    for group in samples.groups():
        for piece in samples.pieces(group):
            tally.see(group, list(members_of(samples.read(piece), 0)))
    return tally


def run_certificate(run: Workspace) -> Mapping[str, Any]:
    """Return what `earloom certify` says of a run."""
    from pipelines.certify import certify

    return certify(run)


def described(samples: RunSamples) -> dict[str, Any]:
    """Return what a manifest says of the run."""
    run = samples.run
    return {"recipe": run.recipe.name, "recipe_sha256": run.seal["files"]["recipe.yaml"], "content": samples.content}
