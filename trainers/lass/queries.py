"""The embeddings that a separator is asked by: of a query's words, or of the target's own sound, in one space."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.listen.embed import pooled
from pipelines.listen.models import resample
from schemas.errors import UserError
from taggers import BadSettings, MissingExtra, MissingWeights, UnknownModel, create
from taggers.base import Embedder, Waveform, embed
from trainers.lass.config import QueriesConfig
from trainers.lass.tasks import share_of
from trainers.lass.vectors import Vectors
from trainers.shards import EMBEDDINGS, embedder_of

Floats = NDArray[np.float32]
Record = dict[str, Any]

QUERY, TARGET = EMBEDDINGS
"""Members of a sample that hold its embeddings, and the keys of a record under which they are looked for."""


class Queries(Protocol):
    """Embeddings of what is asked for.

    Attributes:
        dimension: length E of an embedding; None: not known before a sample is seen.
        revision: of the model that embeds; None: not known.
    """

    dimension: int | None
    revision: str | None

    def __call__(self, records: Sequence[Record], epoch: int, targets: Tensor | None = None) -> Tensor:
        """Return the queries' embeddings, float32, shape (B, E), of unit length, on the CPU.

        Whether a sample is asked for by its words or by its target's sound follows from seed, epoch and ``mixture_id``; a silent
        target is always asked for by words.

        Args:
            records: the samples' JSON.
            epoch: passes that are done; each draws anew.
            targets: the targets, float32, shape (B, T), at the records' rate; for those that ask by sound.
        """

    def heard(self, records: Sequence[Record], targets: Tensor | None = None) -> Tensor:
        """Return the targets' audio embeddings, float32, shape (B, E), of unit length; NaN where the target is silent."""

    def read(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of words, float32, shape (n, E), of unit length."""


@dataclass(frozen=True)
class Embedded:
    """Queries through a model of ``taggers``; words are embedded once and kept.

    Attributes:
        model: loaded.
        kept: where embeddings of words are kept.
        text: share of the samples that are asked for by their words.
        seed: of the draw.
    """

    model: Embedder
    kept: Vectors
    text: float = 1.0
    seed: int = 0

    @property
    def dimension(self) -> int | None:
        """Length of an embedding."""
        return self.model.dimension

    @property
    def revision(self) -> str | None:
        """Revision of the model."""
        return self.model.revision

    def __call__(self, records: Sequence[Record], epoch: int, targets: Tensor | None = None) -> Tensor:
        """Return the queries' embeddings; see :class:`Queries`.

        Raises:
            ValueError: a sample is asked for by its target's sound, and there are no ``targets``.
        """
        made = self.read([record["query"] for record in records])
        sounds = by_sound(records, self.text, self.seed, epoch)
        if sounds:
            if targets is None:
                raise ValueError(f"{len(sounds)} samples are asked for by the target's sound; give the targets")
            heard = self.heard([records[at] for at in sounds], targets[sounds])
            made[sounds] = torch.where(heard.isfinite(), heard, made[sounds])
        return made

    def heard(self, records: Sequence[Record], targets: Tensor | None = None) -> Tensor:
        """Return the targets' audio embeddings, each the mean of its windows' as in ``target.npy``; NaN where it is silent.

        Raises:
            ValueError: there are no ``targets``.
        """
        if targets is None:
            raise ValueError("a target's audio embedding is made of its sound; give the targets")
        made = torch.full((len(records), self.model.dimension), torch.nan)
        sounds = targets.detach().float().cpu().numpy()
        asked = [at for at, sound in enumerate(sounds) if sound.any()]
        waves = [self._waveform(sounds[at], records[at]["sample_rate"]) for at in asked]
        for at, windows in zip(asked, embed(self.model, waves) if waves else [], strict=True):
            made[at] = torch.from_numpy(pooled(windows))
        return made

    def read(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of words."""
        return torch.from_numpy(self.kept.of(texts, self.model.embed_text))

    def _waveform(self, sound: Floats, rate: int) -> Waveform:
        wanted = self.model.sample_rate or rate
        sound = np.clip(sound, -1.0, 1.0)
        return Waveform(sound if wanted == rate else resample(sound, rate, wanted), wanted)


@dataclass(frozen=True)
class Stored:
    """Queries as the samples hold them: the record of each has the arrays or bytes of ``query.npy`` and ``target.npy``.

    Attributes:
        text: share of the samples that are asked for by their words.
        seed: of the draw.
        revision: of the model that made them, with which samples that name another one are refused; None: not known.
    """

    text: float = 1.0
    seed: int = 0
    dimension: int | None = None
    revision: str | None = None

    def __call__(self, records: Sequence[Record], epoch: int, targets: Tensor | None = None) -> Tensor:
        """Return the queries' embeddings; see :class:`Queries`.

        Raises:
            UserError: a sample has no ``query.npy``, or one of another length than the others or of another model, or no
                ``target.npy`` that is asked for though its target, if given, is not silent.
        """
        self._check(records)
        sounds = set(by_sound(records, self.text, self.seed, epoch))
        chosen = [
            (record, TARGET if at in sounds and _heard(record, targets, at) else QUERY)
            for at, record in enumerate(records)
        ]
        return _stacked([_vector(record, member) for record, member in chosen])

    def heard(self, records: Sequence[Record], targets: Tensor | None = None) -> Tensor:
        """Return the targets' audio embeddings; NaN where a sample has none. UserError if its target, if given, is not silent."""
        words = [_vector(record, QUERY) for record in records]
        found = [
            _vector(record, TARGET) if _heard(record, targets, at) else np.full_like(own, np.nan)
            for at, (record, own) in enumerate(zip(records, words, strict=True))
        ]
        return _stacked(found)

    def read(self, texts: Sequence[str]) -> Tensor:
        """Raise UserError: samples hold no model that could embed other words."""
        raise UserError("queries: the samples hold embeddings of their own queries alone; name queries.embedder")

    def _check(self, records: Sequence[Record]) -> None:
        for record in records:
            found = embedder_of(record)
            if self.revision and found and found != self.revision:
                raise UserError(
                    f"{record['mixture_id']}: holds embeddings of {found}, others hold those of {self.revision}; train on shards of one"
                )


def queries(config: QueriesConfig, folder: str | Path, device: str, seed: int) -> Embedded | Stored:
    """Return the queries of a training, their model loaded.

    Args:
        config: where they come from.
        folder: where embeddings of words are kept.
        device: where the model is loaded.
        seed: of the training.

    Raises:
        UserError: the model is not known, or cannot be had.
    """
    if config.embedder is None:
        return Stored(config.text, seed)
    try:
        model = create(config.embedder.use, Embedder, config.embedder.settings)
    except (UnknownModel, MissingExtra, BadSettings, MissingWeights) as error:
        raise UserError(f"queries.embedder: {error.args[0]}") from None
    model.load(device)
    return Embedded(model, Vectors(folder, model.revision, model.dimension), config.text, seed)


def by_sound(records: Sequence[Record], text: float, seed: int, epoch: int) -> list[int]:
    """Return the places of the samples that are asked for by their target's sound, a function of seed, epoch and ``mixture_id``."""
    if text >= 1.0:
        return []
    return [at for at, record in enumerate(records) if share_of(seed, "queries", epoch, record["mixture_id"]) >= text]


def _heard(record: Record, targets: Tensor | None, at: int) -> bool:
    """Say whether a record carries its target's embedding; UserError where it does not, though the target can be heard."""
    held = record.get(TARGET) is not None
    if not held and targets is not None and targets[at].any():
        key = record.get("mixture_id", "a sample")
        raise UserError(f"{key}: has no {TARGET}; mix with shards.embedder, or name queries.embedder")
    return held


def _vector(record: Record, member: str) -> Floats:
    """Return an embedding that a record carries, of unit length again: it was rounded to 16 bits."""
    held, key = record.get(member), record.get("mixture_id", "a sample")
    if held is None:
        raise UserError(f"{key}: has no {member}; mix with shards.embedder, or name queries.embedder")
    try:
        vector = np.load(io.BytesIO(held), allow_pickle=False) if isinstance(held, bytes) else np.asarray(held)
    except ValueError as error:
        raise UserError(f"{key}: its {member} is no array of NumPy's; write the shard again") from error
    length = np.linalg.norm(vector.astype(np.float32)) if vector.ndim == 1 else np.nan
    if not 0.5 < length < 2.0:
        raise UserError(f"{key}: its {member} is no vector of unit length; write the shard again")
    return (vector.astype(np.float32) / length).astype(np.float32)


def _stacked(vectors: Sequence[Floats]) -> Tensor:
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1:
        raise UserError(f"queries: embeddings of lengths {lengths} are of several models; train on shards of one")
    return torch.from_numpy(np.stack(vectors))
