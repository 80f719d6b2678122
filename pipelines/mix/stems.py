"""The sources of a planned mixture as they lie in it: read from the clip store, placed, and heard in their rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.stage import Context
from pipelines.ingest.store import from_store
from pipelines.mix.remix import place
from pipelines.mix.rooms import heard_in, impulse
from schemas.mixing import MixtureSet


@dataclass(frozen=True, eq=False)
class Stem:
    """One source of a mixture: its bytes in the clip store, and its samples where they lie, int16 (n,), without any gain."""

    flac: bytes
    samples: NDArray[np.int16]


def stems_of(
    plan: Mapping[str, Any], chosen: MixtureSet, clips: Mapping[str, Mapping[str, Any]], context: Context
) -> list[Stem]:
    """Return the stems of a planned mixture, in the order of its sources.

    Args:
        plan: a row of ``plan`` that is not refused.
        chosen: its set, which names the folder of its rooms.
        clips: clip_id -> row of ``sources``.
        context: where clips and rooms are.

    Raises:
        ValueError: the plan does not fit the clips.
    """
    total, rate, out = plan["length"], plan["sample_rate"], []
    for source in plan["sources"]:
        clip = clips[source["clip_id"]]
        flac = context.workspace.read_range(clip["tar"], clip["offset"], clip["size"])
        samples, own = from_store(flac)
        if own != rate:
            raise ValueError(f"clip {source['clip_id']} has {own} samples per second, its mixture {rate}")
        laid = place(samples, source["start"], source["at"], source["length"], total)
        if source["rir"]:
            laid = heard_in(laid, impulse(str(Path(context.data_root) / str(chosen.rirs) / source["rir"]), rate))
        out.append(Stem(flac, laid))
    return out
