"""What a system gives, made comparable with the true answer: one channel, its rate, its length; or refused with a reason."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import soxr
import torch

from schemas.errors import Reject
from trainers.evaluating.items import Item, Samples

TOLERANCE_S = 0.1
"""Seconds by which an answer may be longer or shorter than its mixture: what transforms and resampling leave, and no more."""

NOTES = ("averaged", "resampled", "cut", "padded")
"""What may be done to an answer, as tables count it."""


class Given(NamedTuple):
    """What a system gave: samples of shape (n,), or (n, channels) as files hold them, and their rate in Hz."""

    samples: Any
    rate: int


class Estimate(NamedTuple):
    """An estimate: float32 of the mixture's shape and rate, finite, and what was done to it, out of :data:`NOTES`."""

    samples: Samples
    notes: tuple[str, ...] = ()


def fitted(given: Given, item: Item) -> Estimate:
    """Return an answer as an estimate of the item's target.

    Channels are averaged; another rate is resampled (soxr, HQ); at the end it is cut or padded with zeros by :data:`TOLERANCE_S`
    at most. Nothing is shifted, scaled or clipped.

    Raises:
        Reject: ``wrong_shape``, ``wrong_type``, ``not_finite`` or ``wrong_length``.
    """
    notes = []
    samples = _floats(given.samples)
    if samples.ndim == 2 and samples.shape[1] > 1:
        samples, notes = samples.mean(axis=1), ["averaged"]
    elif samples.ndim == 2:
        samples = samples[:, 0]
    if samples.ndim != 1 or not len(samples):
        raise Reject("wrong_shape", f"has shape {samples.shape}, not (samples,)")
    if not np.isfinite(samples).all():
        raise Reject(
            "not_finite", f"{int(np.sum(~np.isfinite(samples)))} of {len(samples)} samples are NaN or infinite"
        )
    length = len(item.mixture)
    if abs(len(samples) * item.rate - length * given.rate) > TOLERANCE_S * item.rate * given.rate:
        both = f"{len(samples) / given.rate:.3f} s, the mixture {length / item.rate:.3f} s"
        raise Reject("wrong_length", f"is {both} long; they may differ by {TOLERANCE_S:g} s")
    if given.rate != item.rate:
        samples, notes = soxr.resample(samples, given.rate, item.rate, "HQ"), [*notes, "resampled"]
    if len(samples) != length:
        notes.append("cut" if len(samples) > length else "padded")
        samples = np.pad(samples[:length], (0, max(0, length - len(samples))))
    return Estimate(np.ascontiguousarray(samples, dtype=np.float32), tuple(notes))


def _floats(given: Any) -> Samples:
    """Return what a system gave as float32; a tensor may be on any device and have gradients."""
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu()
        given = given.float() if given.dtype == torch.bfloat16 else given  # which numpy does not know
    try:
        samples = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Reject("wrong_type", f"is no array of numbers ({type(error).__name__})") from None
    if samples.dtype.kind != "f":
        # Integers are not taken for floats of a full scale that nobody states.
        raise Reject("wrong_type", f"holds {samples.dtype}, not floats of full scale 1")
    with np.errstate(over="ignore"):  # what float32 cannot hold is not finite
        return samples.astype(np.float32, copy=False)
