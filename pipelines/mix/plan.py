"""The stage that plans mixtures: which clips, where, at what level, in which words. It hears nothing and draws everything."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.core.stop import check_stop
from pipelines.mix.block import Dealer
from pipelines.mix.catalogue import STAGE, Catalogue, catalogue, pool_of
from pipelines.mix.conflict import relation
from pipelines.mix.patterns import wordings
from pipelines.mix.rooms import room_names
from pipelines.mix.rows import pieces_of
from schemas.ids import fingerprint
from schemas.mixing import Conflict, MixtureSet
from schemas.ontology import configs_dir

LABELS = ("audioset_ontology.csv", "audioset_strong_extra.csv", "confusable.csv")


@dataclass(frozen=True)
class PlanMixtures(Stage):
    """Stage ``plan``: the clips that may be mixed and the wordings of instructions -> the mixtures to render, of all sets.

    A mixture is a function of the run's seed, its set, split and number, and of all that may be mixed; any stretch of numbers can be
    made alone. One that cannot be had within the rules stays a row, with the reason and without sources:

    - ``no_disjoint_partner``, ``no_plausible_partner``, ``no_same_class_partner``: no clip of the split fits;
    - ``no_background``: no bed does;
    - ``no_overlap_possible``: the clips are too long or too short for the overlap that is asked for;
    - ``cannot_tell_apart``: sources of one class that neither order nor level tells apart;
    - ``query_names_interferer``: no words ask for the targets alone;
    - ``used_up``: of ``count`` mixtures, one for which every clip has been a target ``most_per_clip`` times.

    A clip that is the target of no mixture is dropped as ``not_drawn``; it may stand in others' mixtures.

    Attributes:
        sets: what is made.
        sample_rate: samples per second.
    """

    sets: tuple[MixtureSet, ...]
    sample_rate: int

    name = STAGE
    version = 4
    reads = ("sources", "patterns")
    writes = "plan"
    out_key = "target_clip_id"
    waits = True
    seeded = True

    def params(self) -> dict[str, Any]:
        """Return the sets' rules."""
        return {"sets": [each.model_dump(mode="json") for each in self.sets], "sample_rate": self.sample_rate}

    def revisions(self) -> dict[str, str]:
        """The tables that say what conflicts, as hashes."""
        folder = configs_dir() / "labels"
        return {name: fingerprint((folder / name).read_text(encoding="utf-8")) for name in LABELS}

    def sources(self, context: Context) -> str:
        """Return the digest of the names of rooms; UserError for a folder that is missing or holds none."""
        rooms = {each.name: self._rooms(each, context) for each in self.sets if each.rirs}
        return fingerprint(rooms) if rooms else ""

    def process(self, batch: Batch, context: Context) -> Result:
        """Plan all mixtures of the run."""
        with _uncollected():
            return self._planned(batch, context)

    def _planned(self, batch: Batch, context: Context) -> Result:
        found: dict[Conflict, Catalogue] = {}
        result, drawn = Result(), np.zeros(batch.rows.num_rows, np.bool_)
        for each in self.sets:
            if each.conflict not in found:
                found[each.conflict] = catalogue(batch.rows, relation(each.conflict))
            clips = found[each.conflict]
            patterns = wordings(batch.sides["patterns"], each.words.templates)
            rooms = tuple(self._rooms(each, context))
            for split in clips.splits:
                if each.splits and split not in each.splits:
                    continue
                pool = pool_of(clips, each, split, context.run_seed, rooms)
                dealer = Dealer(pool, round(each.duration_s * self.sample_rate))
                for piece in pieces_of(dealer, patterns, self.sample_rate, 0, len(pool)):
                    check_stop()
                    result.tables.append(piece)
                drawn[pool.targets] = True
        if found:
            ids = next(iter(found.values())).ids
            result.drops = [(clip_id, "not_drawn") for clip_id in ids.filter(pa.array(~drawn)).to_pylist()]
        return result

    def _rooms(self, rules: MixtureSet, context: Context) -> list[str]:
        return room_names(Path(context.data_root) / rules.rirs) if rules.rirs else []


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile: millions of small objects come, none is in one, and it would take a quarter of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
