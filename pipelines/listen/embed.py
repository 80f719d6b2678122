"""The stage that puts every clip into the space of an embedder: once per clip and model revision, whatever asks later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.core.workspace import is_host_fault
from pipelines.listen.models import CLIPS_AT_ONCE, SECONDS_AT_ONCE, Chosen, waveforms
from pipelines.listen.stage import failed
from schemas import tables
from schemas.errors import RunStopped
from taggers.base import Embedder, Waveform, embed
from taggers.windows import starts

CLIP, WINDOW = "clip", "window"


@dataclass(frozen=True)
class Embed(Stage):
    """Stage ``embed_<name>``: clips -> embeddings, one of each clip, and one of each window where it has several.

    The clip's is the mean of its windows', of unit length again. A clip that the model cannot serve alone is a reject
    ``listener_failed``.
    """

    embedder: Chosen[Embedder]

    reads = ("clips",)
    writes = "embeddings"
    batch_rows = CLIPS_AT_ONCE
    batch_s = SECONDS_AT_ONCE

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return stage_name(self.embedder)

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """What the model occupies."""
        return self.embedder.resources

    @property
    def crew(self) -> str:  # type: ignore[override]
        """Models of one rate are heard by the same workers."""
        return self.embedder.crew

    prepares = crew

    def schema(self) -> pa.Schema:
        """Return the table's schema with vectors of this model's length."""
        wanted = tables.schema(self.writes)
        vector = wanted.get_field_index("vector")
        kind = pa.list_(pa.float16(), self.embedder.model.dimension)
        return wanted.set(vector, wanted.field(vector).with_type(kind))

    def params(self) -> dict[str, Any]:
        """The embedder and its settings; not the device, which must not change what is heard."""
        return self.embedder.params()

    def revisions(self) -> dict[str, str]:
        """The embedder's revision."""
        return {self.embedder.name: self.embedder.model.revision}

    def check(self) -> None:
        """Raise UserError for an embedder that is not known, not installed, without weights or wrongly set."""
        _ = self.embedder.model

    def setup(self, context: Context) -> None:
        """Load the embedder, once per process."""
        _ = self.embedder.loaded

    def prepare(self, batch: Batch, context: Context) -> list[Waveform]:
        """Decode the clips and bring them to the embedder's rate."""
        return waveforms(batch.rows, context, self.embedder.model.sample_rate)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        columns = ["clip_id", "source_path", "duration_s"]
        clips, waves = batch.rows.select(columns).to_pylist(), self.prepared(batch, context)
        model = self.embedder.loaded
        try:
            found = embed(model, waves)
        except Exception as error:
            if len(clips) > 1 or is_host_fault(error) or isinstance(error, RunStopped):
                raise
            return Result(rejects=[failed(clips[0], error)])
        result = Result()
        for clip, wave, vectors in zip(clips, waves, found, strict=True):
            begins = starts(wave.duration_s, model.window_s, model.hop_s)
            spans = [(CLIP, 0.0, clip["duration_s"], pooled(vectors))]
            if len(begins) > 1:
                ends = [min(begin + model.window_s, clip["duration_s"]) for begin in begins]
                spans += list(zip([WINDOW] * len(begins), begins, ends, vectors, strict=True))
            result.rows += [
                {
                    "embedding_id": f"{clip['clip_id']}:{self.embedder.name}:{number}",
                    "clip_id": clip["clip_id"],
                    "embedder": self.embedder.name,
                    "revision": model.revision,
                    "span": span,
                    "start_s": start_s,
                    "end_s": end_s,
                    "vector": vector.astype(np.float16),
                }
                for number, (span, start_s, end_s, vector) in enumerate(spans)
            ]
        return result


def stage_name(embedder: Chosen[Embedder]) -> str:
    """Return the name of the stage that embeds with a model."""
    return f"embed_{embedder.name}"


def unit(vectors: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Return stored vectors, shape (n, dimension), of unit length again, which rounding to float16 has cost them."""
    stored = np.array(vectors, np.float32)
    made: NDArray[np.float32] = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    return made


def pooled(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of unit vectors (n, d), of unit length again: shape (d,).

    One vector is its own mean, and so is the first of vectors that cancel out.
    """
    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return vectors[0] if len(vectors) == 1 or length < 1e-6 else (mean / np.float32(length)).astype(np.float32)
