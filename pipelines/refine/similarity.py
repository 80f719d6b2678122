"""The stage that scores every caption by how near its words lie to its clip's sound, in the space of an embedder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.describe.phrases import load_phrases, phrase_hash
from pipelines.listen.embed import CLIP, stage_name, unit
from pipelines.listen.models import Chosen
from pipelines.refine import judged
from pipelines.refine.corruptions import absent
from pipelines.refine.judged import WRITES, Of
from pipelines.refine.probes import Captions
from taggers.base import Embedder

Vector = NDArray[np.float32]

SHUFFLED = 16
"""Captions of other clips that a clip's own is held against."""
POOL = 64
"""Clips of a partition whose captions these are drawn from, so that few texts are embedded beside the captions that are judged."""


@dataclass(frozen=True)
class Similarity(Stage):
    """Stage ``similarity_<name>``: captions -> scores, four of each caption, by scorers of these names.

    ``<name>``: cosine of the caption and the whole clip, in [-1, 1]. ``<name>:window``: the highest cosine of the caption and
    a window, of a clip with one window that of the clip. ``<name>:relative``: the first less the cosine of the clip and
    the names of its labels, repeated to about the caption's length (AudioSetCaps, Bai et al. 2024); null where the publisher
    gives no label that has a class. ``<name>:margin``: the first less the mean cosine of the clip and up to :data:`SHUFFLED`
    captions of other clips of the partition that have nothing in common with it; null where there is none.

    Cosines of different models, or of clips from different sources, are not of one scale. A caption whose clip has no
    embedding is dropped with the reason ``not_embedded``.

    Args:
        embedder: the model.
        phrases: phrase file of the shuffled captions of clips that have labels alone, relative to ``configs/``.
        of: the table whose captions are judged.
        round: the round that they were written in.
        writers: the stages that wrote them; empty: all.
    """

    embedder: Chosen[Embedder]
    phrases: str = "prompts/grammar.yaml"
    of: Of = "candidates"
    round: int = 1
    writers: tuple[str, ...] = ()

    key = "candidate_id"
    out_key = "candidate_id"
    seeded = True
    batch_rows = 512

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return judged.stage_name(f"similarity_{self.embedder.name}", self.of, self.round)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The captions, and what is known of their clips."""
        return (self.of, "embeddings", "clips", "evidence", "classes")

    @property
    def writes(self) -> str:  # type: ignore[override]
        """The table of scores."""
        return WRITES[self.of]

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """The workers that embed have the model loaded already."""
        return Resources(actor=self.embedder.model.stateful)

    @property
    def crew(self) -> str:  # type: ignore[override]
        """The workers that embed."""
        return self.embedder.crew

    def params(self) -> dict[str, Any]:
        """The embedder and its settings, and which captions are judged."""
        return self.embedder.params() | {"of": self.of, "round": self.round, "writers": self.writers}

    def revisions(self) -> dict[str, str]:
        """The embedder's revision, and the phrase file's sha256."""
        return {self.embedder.name: self.embedder.model.revision, "phrases": phrase_hash(self.phrases)}

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """One embedder's embeddings, and the captions that are judged."""
        return {"embeddings": (stage_name(self.embedder),)} | judged.written_by(self.of, self.writers)

    def setup(self, context: Context) -> None:
        """Load the embedder, once per process."""
        _ = self.embedder.loaded

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of captions."""
        vectors, result = batch.grouped("embeddings", "clip_id"), Result()
        served, known = [], _Known(batch, context, self.phrases)
        for caption in batch.rows.select(["candidate_id", "clip_id", "text"]).to_pylist():
            if any(row["span"] == CLIP for row in vectors[caption["clip_id"]]):
                served.append(caption)
            else:
                result.drops.append((caption["candidate_id"], "not_embedded"))
        if not served:
            return result
        beside = {clip_id: known.beside(clip_id) for clip_id in {caption["clip_id"] for caption in served}}
        names = {
            caption["candidate_id"]: _repeated(known.labels(caption["clip_id"]), caption["text"]) for caption in served
        }
        wanted = [caption["text"] for caption in served] + [text for texts in beside.values() for text in texts]
        texts = list(dict.fromkeys([*wanted, *(text for text in names.values() if text)]))
        embedded = dict(zip(texts, self.embedder.loaded.embed_text(texts), strict=True))
        sounds = {clip_id: _Sound.of(vectors[clip_id]) for clip_id in beside}
        for caption in served:
            clip_id, label = caption["clip_id"], names[caption["candidate_id"]]
            sound, words = sounds[clip_id], embedded[caption["text"]]
            cosine = float(sound.clip @ words)
            others = [float(sound.clip @ embedded[text]) for text in beside[clip_id] if text != caption["text"]]
            scores = {
                "": min(1.0, cosine),
                ":window": min(1.0, float((sound.windows @ words).max())),
                ":relative": cosine - float(sound.clip @ embedded[label]) if label else None,
                ":margin": cosine - float(np.mean(others)) if others else None,
            }
            result.rows += [self._row(caption, suffix, score) for suffix, score in scores.items()]
        return result

    def _row(self, caption: dict[str, Any], suffix: str, score: float | None) -> dict[str, Any]:
        return {
            "candidate_id": caption["candidate_id"],
            "clip_id": caption["clip_id"],
            "scorer": f"{self.embedder.name}{suffix}",
            "revision": self.embedder.model.revision,
            "score": None if score is None else round(score, 4),
            "claims": None,
            "supported": None,
            "unsupported": [],
            "evidence_ids": [],
        }


@dataclass(frozen=True)
class _Sound:
    """A clip in the embedder's space: as a whole, shape (dimension,), and its windows, shape (windows, dimension)."""

    clip: Vector
    windows: Vector

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> _Sound:
        whole = unit([row["vector"] for row in rows if row["span"] == CLIP])
        windows = [row["vector"] for row in rows if row["span"] != CLIP]
        return cls(whole[0], unit(windows) if windows else whole)


class _Known:
    """What is known of the clips of a partition: the names of their labels, and captions that are not theirs."""

    def __init__(self, batch: Batch, context: Context, phrases: str) -> None:
        self._classes = batch.grouped("classes", "clip_id")
        clips = batch.sides["clips"].select(["clip_id", "dataset"]).to_pylist()
        datasets = {clip["clip_id"]: clip["dataset"] for clip in clips}
        self._captions = Captions(batch, datasets, load_phrases(phrases), context)
        self._pool = sorted(datasets, key=lambda clip_id: (context.seed("shuffled captions", clip_id), clip_id))[:POOL]

    def labels(self, clip_id: str) -> str:
        """Return the names of the classes that the publisher labels, as AudioSet writes them; empty: none."""
        named = [row for row in self._classes[clip_id] if row["origin"].startswith(("label:", "event:"))]
        return ", ".join(row["class_name"] for row in named)

    def beside(self, clip_id: str) -> list[str]:
        """Return captions of other clips that have nothing in common with this one, none twice."""
        own, captions = self._captions.known(clip_id), self._captions
        ontology = captions.index.ontology
        out: dict[str, None] = {}
        for other in self._pool:
            said = captions.of(other)
            if other != clip_id and said and all(absent(each, own, ontology) for each in captions.known(other)):
                out[said.text] = None
        return list(out)[:SHUFFLED]


def _repeated(labels: str, caption: str) -> str:
    """Return labels as often as makes them about as long as a caption, in words, once at least; empty: there are none."""
    times = round(len(caption.split()) / len(labels.split())) if labels else 0
    return ", ".join([labels] * max(1, times))
