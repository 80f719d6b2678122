"""The stage that renders planned mixtures into WebDataset shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.stage import Batch, Blob, Context, Refusal, Resources, Result, Stage
from pipelines.listen.models import Chosen
from pipelines.mix.embedded import embedded
from pipelines.mix.gains import CannotMix
from pipelines.mix.levels import Mixed, mix
from pipelines.mix.rooms import rooms_hash
from pipelines.mix.samples import group_of, mixture_row, sample_members
from pipelines.mix.stems import Stem, stems_of
from schemas.ids import fingerprint
from schemas.mixing import MixtureSet
from schemas.recipe import Shards
from taggers.base import Embedder


@dataclass(frozen=True)
class Render(Stage):
    """Stage ``mixtures``: each planned mixture as a sample of a shard and a row of ``mixtures``.

    A sample holds, with ``shards.mixtures: stored``, ``mixture.flac``, ``target.flac``, ``residual.flac``, ``stem0.flac`` and
    so on, as ``shards.members`` asks (``.wav`` with ``encoding: wav``), the stems in the order of the plan's sources; with
    ``recipe`` the sources themselves, ``source0.flac`` and so on, the very bytes of the clip store (a source that is heard in
    a room as it sounds there), which `pipelines.mix.remix` mixes to the same integers. Then ``json``, and with an embedder,
    which the JSON names, ``query.npy`` and ``target.npy``.

    A mixture that the plan refused is dropped with its reason. One whose levels cannot be had, since a source is silent where
    it is used, is a reject ``cannot_mix``.
    """

    sets: tuple[MixtureSet, ...]
    shards: Shards
    embedder: Chosen[Embedder] | None = None

    name = "mixtures"
    version = 3
    reads = ("plan", "sources")
    whole = ("sources",)
    writes = "mixtures"
    key = "mixture_id"
    out_key = "mixture_id"
    room = "shards"
    batch_rows = 32

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """What the embedder occupies, if there is one."""
        return self.embedder.resources if self.embedder else Resources()

    def params(self) -> dict[str, Any]:
        """Return how the sets' levels are made, and the shards; all else of a set stands in the plan."""
        sets = [each.model_dump(mode="json", include={"name", "level", "peak", "rirs"}) for each in self.sets]
        shards = self.shards.model_dump(mode="json", exclude={"embedder"})
        return {"sets": sets, "shards": shards, "embedder": self.embedder.params() if self.embedder else None}

    def revisions(self) -> dict[str, str]:
        """The embedder's revision."""
        return {self.embedder.name: self.embedder.model.revision} if self.embedder else {}

    def check(self) -> None:
        """Raise UserError for an embedder that is not known, not installed, without weights or wrongly set."""
        _ = self.embedder and self.embedder.model

    def sources(self, context: Context) -> str:
        """Return the digest of the rooms' impulse responses; empty if there are none. UserError: a folder holds none."""
        folders = sorted({each.rirs for each in self.sets if each.rirs})
        hashes = {folder: rooms_hash(Path(context.data_root) / folder) for folder in folders}
        return fingerprint(hashes) if hashes else ""

    def limits(self) -> tuple[int, int]:
        """Return the most samples and bytes of a shard."""
        return self.shards.max_samples, self.shards.max_mb * 1_000_000

    def setup(self, context: Context) -> None:
        """Load the embedder, once per process."""
        _ = self.embedder and self.embedder.loaded

    @cached_property
    def embeds(self) -> dict[str, str] | None:
        """Name and revision of the embedder, as samples tell them; None: there is none."""
        if self.embedder is None:
            return None
        return {"name": self.embedder.use, "revision": self.embedder.model.revision}

    @cached_property
    def by_name(self) -> dict[str, MixtureSet]:
        """The sets by their names."""
        return {each.name: each for each in self.sets}

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``plan``."""
        result, plans = Result(), batch.rows.to_pylist()
        clips = clips_of(plans, batch.sides["sources"])
        members: list[dict[str, bytes]] = []
        made: list[Mixed] = []
        for plan in plans:
            key, chosen = plan["mixture_id"], self.by_name[plan["set"]]
            if plan["refused"]:
                result.drops.append((key, plan["refused"]))
                continue
            try:
                stems, mixed = render(plan, chosen, clips, context)
            except CannotMix as error:
                result.rejects.append(Refusal(key, "cannot_mix", str(error)))
                continue
            row = mixture_row(plan, mixed, clips)
            members.append(sample_members(plan, row, mixed, stems, clips, self.shards, self.embeds))
            result.rows.append(row)
            if self.embedder:
                made.append(mixed)
        if self.embedder:
            for each, vectors in zip(members, embedded(self.embedder.loaded, result.rows, made), strict=True):
                each |= vectors
        for row, each in zip(result.rows, members, strict=True):
            result.blobs.append(Blob(group_of(row["set"], row["split"]), row["mixture_id"], each))
        return result


def render(
    plan: Mapping[str, Any], chosen: MixtureSet, clips: Mapping[str, Mapping[str, Any]], context: Context
) -> tuple[list[Stem], Mixed]:
    """Read the sources of a planned mixture from the clip store and mix them.

    Args:
        plan: a row of ``plan`` that is not refused.
        chosen: its set.
        clips: clip_id -> row of ``sources``.
        context: where clips and rooms are.

    Raises:
        CannotMix: the levels cannot be had.
    """
    stems, sources = stems_of(plan, chosen, clips, context), plan["sources"]
    mixed = mix(
        [stem.samples for stem in stems],
        [source["role"] for source in sources],
        chosen.level,
        [source["level_db"] for source in sources],
        plan["snr_db"],
        chosen.peak,
        plan["sample_rate"],
    )
    return stems, mixed


def clips_of(plans: Sequence[Mapping[str, Any]], sources: pa.Table) -> dict[str, dict[str, Any]]:
    """Return the rows of ``sources`` that some planned mixtures are made of, by clip_id: the table may have millions of others."""
    wanted = {plan["target_clip_id"] for plan in plans}
    wanted |= {source["clip_id"] for plan in plans for source in plan["sources"]}
    rows = sources.filter(pc.is_in(sources.column("clip_id"), pa.array(sorted(wanted), pa.string())))
    return {row["clip_id"]: row for row in rows.to_pylist()}
