"""The stage that renders planned mixtures into WebDataset shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.stage import Batch, Blob, Context, Refusal, Result, Stage
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac, from_store
from pipelines.mix.levels import CannotMix, Mixed, mix, place
from schemas.ids import canonical_json
from schemas.licences import most_restrictive


@dataclass(frozen=True)
class Render(Stage):
    """Stage ``mixtures``: each planned mixture as a sample ``mixture.flac``, ``target.flac``, ``json`` and a row of ``mixtures``.

    The residual (what a removal instruction for the target would leave) is ``mixture - target``, exactly. A mixture whose
    ratio cannot be had, since a source is silent where it is used, is a reject ``cannot_mix``.
    """

    peak: float
    max_samples: int
    max_mb: int

    name = "mixtures"
    reads = ("plan",)
    writes = "mixtures"
    key = "mixture_id"
    out_key = "mixture_id"
    room = "shards"
    batch_rows = 16

    def limits(self) -> tuple[int, int]:
        """Return the most samples and bytes of a shard."""
        return self.max_samples, self.max_mb * 1_000_000

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``plan``."""
        result = Result()
        for plan in batch.rows.to_pylist():
            try:
                mixed = render(plan, self.peak, context.workspace)
            except CannotMix as error:
                result.rejects.append(Refusal(plan["mixture_id"], "cannot_mix", str(error)))
                continue
            row = mixture_row(plan, mixed)
            members = {
                "mixture.flac": encode_flac(mixed.mixture, plan["sample_rate"]),
                "target.flac": encode_flac(mixed.target, plan["sample_rate"]),
                "json": sample_json(plan, row),
            }
            result.rows.append(row)
            result.blobs.append(Blob(plan["split"], plan["mixture_id"], members))
        return result


def render(plan: dict[str, Any], peak: float, workspace: Workspace) -> Mixed:
    """Read the sources of a planned mixture from the clip store and mix them; CannotMix where that is impossible."""
    target, *interferers = stems_of(plan, workspace)
    return mix(target, interferers, plan["snr_db"], peak)


def stems_of(plan: dict[str, Any], workspace: Workspace) -> list[NDArray[np.int16]]:
    """Return the clips of a planned mixture, target first, at their own level and where the plan lays them."""
    stems = []
    for source in plan["sources"]:
        samples, _ = from_store(workspace.read_range(source["tar"], source["offset"], source["size"]))
        stems.append(place(samples, source["start"], source["at"], source["length"], plan["length"]))
    return stems


def mixture_row(plan: dict[str, Any], mixed: Mixed) -> dict[str, Any]:
    """Return the row of ``mixtures`` for a rendered mixture; its place in the shard is filled in by the commit."""
    target, *rest = plan["sources"]
    return {
        "mixture_id": plan["mixture_id"],
        "split": plan["split"],
        "target_clip_id": plan["target_clip_id"],
        "interferer_clip_ids": plan["interferer_clip_ids"],
        "target_class_ids": target["class_ids"],
        "interferer_class_ids": sorted({c for source in rest for c in source["class_ids"]}),
        "snr_db": plan["snr_db"],
        "achieved_snr_db": mixed.achieved_snr_db,
        "target_gain": mixed.target_gain,
        "interferer_gain": mixed.interferer_gain,
        "peak": mixed.peak,
        "duration_s": plan["length"] / plan["sample_rate"],
        "sample_rate": plan["sample_rate"],
        "query": plan["query"],
        "instruction_extract": plan["instruction_extract"],
        "instruction_remove": plan["instruction_remove"],
        "licence": most_restrictive(source["licence"] for source in plan["sources"]),
        "seed": plan["seed"],
        "tar": "",
        "offset": 0,
        "size": 0,
    }


def sample_json(plan: dict[str, Any], row: dict[str, Any]) -> bytes:
    """Return the ``json`` member of a sample: all that a trainer or a careful reader needs, with its sources."""
    target, *rest = plan["sources"]
    facts = {
        key: row[key]
        for key in (
            "mixture_id",
            "split",
            "target_clip_id",
            "interferer_clip_ids",
            "snr_db",
            "achieved_snr_db",
            "target_gain",
            "interferer_gain",
            "peak",
            "sample_rate",
            "query",
            "instruction_extract",
            "instruction_remove",
            "licence",
            "seed",
        )
    }
    facts |= {
        "target_classes": target["class_ids"],
        "target_class_names": target["class_names"],
        "interferer_classes": row["interferer_class_ids"],
        "interferer_class_names": [name for source in rest for name in source["class_names"]],
        "sources": [
            {
                key: s[key]
                for key in (
                    "clip_id",
                    "recording_id",
                    "start",
                    "at",
                    "length",
                    "licence",
                    "licence_text",
                    "attribution",
                )
            }
            for s in plan["sources"]
        ],
    }
    return canonical_json(facts).encode()
