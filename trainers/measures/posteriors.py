"""Kullback-Leibler divergences of what a tagger hears in an estimate from what it hears in the reference, as audioldm_eval reckons them.

Both are of logits, which the posteriors of any registered listener give back; both are lower is better, in nats, of each clip. They
say as much as their listener: name it, with its revision, beside the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.ontology import default_ontology
from taggers.base import Listener, Waveform, hear
from taggers.demo_tagger import DemoTagger

Floats = NDArray[np.float64]

EPS = 1e-6
"""What audioldm_eval adds to the estimate's probabilities, and to nothing else."""

SURE = 2.0**-24
"""A posterior is taken for at least this far from 0 and 1: half of what a float32 can tell below 1."""


@runtime_checkable
class Scores(Protocol):
    """A listener that gives the score of every class, of the whole sound or of its frames."""

    def scores(self, batch: Sequence[Waveform]) -> list[NDArray[np.float32]]:
        """Return each waveform's scores, shape (classes,) or (frames, classes), in [0, 1]."""
        ...


def kl_softmax(estimate_posteriors: ArrayLike, reference_posteriors: ArrayLike) -> Floats:
    """Return KL(reference | estimate) of the softmax over classes, in nats, lower is better: audioldm_eval's "KL", AudioGen's.

    ``sum p (log p - log(q + 1e-6))`` with ``p`` and ``q`` the softmax of the reference's and of the estimate's logits: one sound,
    one class. The constant makes equal posteriors score slightly below 0 (of 527 equal ones -0.0005).

    Args:
        estimate_posteriors: in [0, 1] of an estimate's classes, each for itself, shape (..., classes); 0 and 1 are taken for 2^-24
            and 1 - 2^-24.
        reference_posteriors: those of the true source, same shape.

    Returns:
        Nats, shape (...); NaN where a posterior is NaN.

    Raises:
        ValueError: the shapes differ, or a posterior lies outside [0, 1].
    """
    q, p = (_softmax(_logits(each)) for each in _both(estimate_posteriors, reference_posteriors))
    return np.sum(_of(p, q), axis=-1)


def kl_sigmoid(estimate_posteriors: ArrayLike, reference_posteriors: ArrayLike) -> Floats:
    """Return audioldm_eval's "KL_Sigmoid", in nats, lower is better: several classes may sound at once.

    ``sum p (log p - log(q + 1e-6))`` over classes, with the posteriors themselves. The terms of absence, ``1 - p``, are not in it:
    it is no divergence, and an estimate in which the tagger is surer of everything scores below 0. Arguments and errors as in
    :func:`kl_softmax`.
    """
    q, p = _both(estimate_posteriors, reference_posteriors)
    return np.sum(_of(p, q), axis=-1)


def posteriors(listener: Listener, batch: Sequence[Waveform]) -> Floats:
    """Return what a listener takes for heard in each waveform: shape (waveforms, classes), in [0, 1].

    A listener that gives all its scores (`scores`: PANNs, and the taggers that are trained here) is asked for them; the classes are
    in its own order, and where scores are of frames alone their maximum is the sound's. Of any other the tags are taken, over all
    classes of the ontology, and a class that it does not name counts as 0: set its threshold to 0 and let it name all.

    Args:
        listener: loaded.
        batch: at its rate, one waveform at least.

    Raises:
        ValueError: the batch is empty, or a waveform is at another rate.
    """
    if not batch:
        raise ValueError("there is no waveform to hear")
    if isinstance(listener, DemoTagger):  # the whole sound first, then its frames
        return np.stack([own[0] for own in listener.scores(batch)]).astype(np.float64)
    if isinstance(listener, Scores):
        return np.stack([own if own.ndim == 1 else own.max(axis=0) for own in listener.scores(batch)]).astype(
            np.float64
        )
    places = default_ontology().positions
    out = np.zeros((len(batch), len(places)))
    for row, findings in zip(out, hear(listener, batch), strict=True):
        for finding in findings:
            if finding.kind == "tag" and finding.class_id in places and finding.confidence is not None:
                row[places[finding.class_id]] = max(row[places[finding.class_id]], finding.confidence)
    return out


def _both(estimate: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    est, ref = np.asarray(estimate, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if est.shape != ref.shape or est.ndim == 0:
        raise ValueError(f"posteriors must have one shape (..., classes), not {est.shape} and {ref.shape}")
    for each in (est, ref):
        if ((each < 0) | (each > 1)).any():
            raise ValueError(f"posteriors must be in [0, 1], not {np.nanmin(each):g} to {np.nanmax(each):g}")
    return est, ref


def _logits(posterior: Floats) -> Floats:
    kept = np.clip(posterior, SURE, 1 - SURE)
    return np.log(kept) - np.log1p(-kept)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    out: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return out


def _of(p: Floats, q: Floats) -> Floats:
    """Return the terms ``p (log p - log(q + EPS))``; what does not sound in the reference adds nothing, unless it is unknown."""
    logs = np.log(np.where(p == 0, 1.0, p)) - np.log(q + EPS)
    return p * logs
