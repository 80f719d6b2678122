"""The stage `fingerprint`: the landmarks of every clip."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.identity.fingerprint import landmarks
from pipelines.ingest.store import from_store


@dataclass(frozen=True)
class Fingerprint(Stage):
    """Stage ``fingerprint``: decodes each clip from the store and keeps its landmarks.

    A clip that has none (too short, silent, steady) has a row with empty lists: that is what it sounds like.
    """

    name = "fingerprint"
    reads = ("clips",)
    writes = "fingerprints"

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        result = Result()
        for clip in batch.rows.select(["clip_id", "tar", "offset", "size"]).to_pylist():
            samples, rate = from_store(context.workspace.read_range(clip["tar"], clip["offset"], clip["size"]))
            hashes, times = landmarks(samples, rate)
            result.rows.append({"clip_id": clip["clip_id"], "hashes": hashes, "times": times})
        return result
