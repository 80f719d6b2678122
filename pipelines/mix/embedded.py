"""Embeddings of queries and targets as members of samples, for separators that are conditioned on them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.listen.embed import pooled
from pipelines.listen.models import resample
from pipelines.mix.levels import Mixed
from taggers.base import Embedder, Waveform, embed


def embedded(model: Embedder, rows: Sequence[Mapping[str, Any]], made: Sequence[Mixed]) -> list[dict[str, bytes]]:
    """Return ``query.npy`` and ``target.npy`` of each mixture: float16 vectors (dimension,) in NumPy's format.

    The target's is the mean of its windows', of unit length before rounding. Where nothing that sounds is asked for there is
    no ``target.npy``.

    Args:
        model: loaded.
        rows: of ``mixtures``.
        made: what they were rendered as.
    """
    if not rows:
        return []
    out = [{"query.npy": _npy(vector)} for vector in model.embed_text([row["query"] for row in rows])]
    asked = [i for i, mixed in enumerate(made) if mixed.target.any()]
    waves = [_waveform(made[i].target, rows[i]["sample_rate"], model.sample_rate) for i in asked]
    for i, vectors in zip(asked, embed(model, waves) if waves else [], strict=True):
        out[i]["target.npy"] = _npy(pooled(vectors))
    return out


def _waveform(samples: NDArray[np.int16], rate: int, wanted: int | None) -> Waveform:
    wide = samples.astype(np.float32) / np.float32(32768)
    return (
        Waveform(wide, rate)
        if wanted in (None, rate)
        else Waveform(resample(wide, rate, wanted or rate), wanted or rate)
    )


def _npy(vector: NDArray[np.float32]) -> bytes:
    sink = io.BytesIO()
    np.lib.format.write_array(sink, vector.astype(np.float16), version=(1, 0))
    return sink.getvalue()
