"""The stage that scores every candidate by how near its words lie to its clip's sound, in the space of an embedder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.listen.embed import CLIP, stage_name, unit
from pipelines.listen.models import Chosen
from taggers.base import Embedder


@dataclass(frozen=True)
class Similarity(Stage):
    """Stage ``similarity_<name>``: candidates -> scores, the cosine of the caption and the whole clip, in [-1, 1].

    Cosines of different models, or of clips from different sources, are not of one scale: they rank the candidates of one clip.
    A candidate whose clip has no embedding is dropped with the reason ``not_embedded``.
    """

    embedder: Chosen[Embedder]

    reads = ("candidates", "embeddings")
    writes = "scores"
    key = "candidate_id"
    out_key = "candidate_id"
    batch_rows = 512

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"similarity_{self.embedder.name}"

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """The workers that embed have the model loaded already."""
        return Resources(actor=self.embedder.model.stateful)

    @property
    def crew(self) -> str:  # type: ignore[override]
        """The workers that embed."""
        return self.embedder.crew

    def params(self) -> dict[str, Any]:
        """The embedder and its settings."""
        return self.embedder.params()

    def revisions(self) -> dict[str, str]:
        """The embedder's revision."""
        return {self.embedder.name: self.embedder.model.revision}

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """One embedder's embeddings."""
        return {"embeddings": (stage_name(self.embedder),)}

    def setup(self, context: Context) -> None:
        """Load the embedder, once per process."""
        _ = self.embedder.loaded

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``candidates``."""
        vectors, result = batch.grouped("embeddings", "clip_id"), Result()
        served = []
        for candidate in batch.rows.to_pylist():
            whole = [row["vector"] for row in vectors[candidate["clip_id"]] if row["span"] == CLIP]
            if whole:
                served.append((candidate, unit(whole)[0]))
            else:
                result.drops.append((candidate["candidate_id"], "not_embedded"))
        if not served:
            return result
        model = self.embedder.loaded
        texts = list(dict.fromkeys(candidate["text"] for candidate, _ in served))
        embedded = dict(zip(texts, model.embed_text(texts), strict=True))
        for candidate, sound in served:
            result.rows.append(
                {
                    "candidate_id": candidate["candidate_id"],
                    "clip_id": candidate["clip_id"],
                    "scorer": self.embedder.name,
                    "revision": model.revision,
                    "score": round(min(1.0, float(sound @ embedded[candidate["text"]])), 4),
                    "claims": None,
                    "supported": None,
                    "unsupported": [],
                    "evidence_ids": [],
                }
            )
        return result
