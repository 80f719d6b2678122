"""CLAPScore: how near a sound lies to its query, or to its reference, in a CLAP's space; and whether the score is circular.

Xiao et al., "A reference-free metric for language-queried audio source separation using contrastive language-audio pretraining",
2024. Higher is better; a cosine in [-1, 1], of which papers print a hundredfold. Cosines of different CLAPs are not of one scale:
name the embedder, with its revision, beside the number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from taggers.base import Embedder, Model, Waveform, embed

Floats = NDArray[np.float64]

PROBES = (
    "A dog barks.",
    "Rain falls on a roof.",
    "A man speaks while music plays.",
    "An engine idles.",
    "Birds sing.",
    "Glass breaks.",
)
"""Texts by whose cosines with one another two encoders are held to be one."""

SAME = 1e-3
"""Cosines of one encoder's probes differ by less than this on other machines and in other libraries."""

_REVISION = re.compile(r"-([0-9a-f]{12})-[0-9a-f]{8}$")


def clap_score(estimate_windows: Sequence[ArrayLike], query_embeddings: ArrayLike) -> Floats:
    """Return CLAPScore: the cosine of each sound and its text, in [-1, 1], higher is better.

    A sound of several windows is the mean of their embeddings, of unit length again.

    Args:
        estimate_windows: of each sound, embeddings of unit length, shape (windows, d).
        query_embeddings: of each one's text, of unit length, shape (sounds, d).

    Returns:
        Shape (sounds,); NaN where an embedding is, or a sound's windows cancel each other out.

    Raises:
        ValueError: there is not one text per sound, or the dimensions differ.
    """
    return _cosines(_pooled(estimate_windows), np.asarray(query_embeddings, dtype=np.float64))


def clap_score_audio(estimate_windows: Sequence[ArrayLike], reference_windows: Sequence[ArrayLike]) -> Floats:
    """Return CLAPScore_A: the cosine of each sound and its reference, in [-1, 1], higher is better (Hybrid-Sep's name).

    Args:
        estimate_windows: of each sound, embeddings of unit length, shape (windows, d).
        reference_windows: those of the true sources, likewise.

    Returns:
        Shape (sounds,); NaN where an embedding is.

    Raises:
        ValueError: there is not one reference per sound, or the dimensions differ.
    """
    return _cosines(_pooled(estimate_windows), _pooled(reference_windows))


def at_rate_of(model: Model, samples: ArrayLike, rate: int) -> Waveform:
    """Return samples, shape (T,), at the rate that a model hears (soxr, HQ), clipped at full scale as a file would be.

    Raises:
        ValueError: samples are integers, whose full scale is not 1.
    """
    wanted = model.sample_rate or rate
    sound = _floats(samples)
    made = sound if wanted == rate else soxr.resample(sound, rate, wanted, "HQ")
    # What is shorter than a sample at the new rate leaves none.
    return Waveform(np.clip(made if len(made) else sound[:1], -1.0, 1.0).astype(np.float32), wanted)


def windows_of(model: Embedder, sounds: ArrayLike, rate: int) -> list[Floats]:
    """Return the embeddings of sounds, shape (sounds, T) at ``rate``: of each, shape (windows, d), rows of unit length.

    A sound that is not finite, as a broken separator gives it, has one window of NaN: it is its own fault alone.

    Args:
        model: loaded; it is given all sounds at once, at its own rate.
        sounds: samples in [-1, 1]; what passes full scale is clipped.
        rate: Hz.

    Raises:
        ValueError: samples are integers, whose full scale is not 1.
    """
    signals = list(_floats(sounds))
    whole = [bool(np.isfinite(signal).all()) for signal in signals]
    good = [at_rate_of(model, signal, rate) for signal, fine in zip(signals, whole, strict=True) if fine]
    found = iter(embed(model, good) if good else [])
    return [next(found).astype(np.float64) if fine else np.full((1, model.dimension), np.nan) for fine in whole]


def circular(scorer: str, query_encoder: str | None) -> bool | None:
    """Return whether a separator was told what to extract by the very CLAP that scores it, so that its score flatters it.

    Two revisions are one CLAP where they are equal, or where both hold a digest of weights (as
    :func:`taggers.checkpoints.revision` writes them) and it is the same: settings such as the hop do not count. The same weights in
    another package's file have another digest: :func:`same_space` tells these.

    Args:
        scorer: the revision of the embedder that scores.
        query_encoder: the revision of the embedder that the separator's queries went through; None: not known.

    Returns:
        None where it is not known.
    """
    if query_encoder is None:
        return None
    digests = [_REVISION.search(revision) for revision in (scorer, query_encoder)]
    return scorer == query_encoder or (all(digests) and len({found[1] for found in digests if found}) == 1)


def same_space(scorer: Embedder, query_encoder: Embedder) -> bool:
    """Return whether two loaded embedders put words in the same places, up to a rotation: one CLAP in two packages, say.

    Cosines between a few texts of ours are compared; two that were trained apart differ by more than 0.001 in some.
    """
    cosines = [
        made @ made.T for made in (each.embed_text(PROBES).astype(np.float64) for each in (scorer, query_encoder))
    ]
    return bool(np.abs(cosines[0] - cosines[1]).max() < SAME)


def _floats(samples: ArrayLike) -> NDArray[np.float32]:
    given = np.asarray(samples)
    if given.dtype.kind != "f":
        raise ValueError(f"samples must be floats of full scale 1, not {given.dtype}; divide them by theirs")
    return given.astype(np.float32, copy=False)


def _pooled(windows: Sequence[ArrayLike]) -> Floats:
    means = [np.asarray(own, dtype=np.float64).mean(axis=0) for own in windows]
    with np.errstate(invalid="ignore"):  # windows that cancel each other out have no direction
        return np.stack([mean / np.linalg.norm(mean) for mean in means]) if means else np.zeros((0, 0))


def _cosines(one: Floats, two: Floats) -> Floats:
    if one.shape != two.shape or one.ndim != 2:
        raise ValueError(f"embeddings must have one shape (sounds, dimension), not {one.shape} and {two.shape}")
    return np.clip(np.sum(one * two, axis=-1), -1.0, 1.0)
