"""What of a clip is sent along with a question: its sound at the rate that the model hears, or its pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile

from pipelines.core.stage import Context
from pipelines.ingest.store import from_store
from pipelines.listen.models import resample
from pipelines.llm.request import Media
from schemas.errors import Reject


def sound(clip: dict[str, Any], context: Context, rate: int, encoding: str) -> Media:
    """Return a clip of the store as a mono file of 16 bits.

    Args:
        clip: a row of ``clips``.
        context: where the store is.
        rate: samples per second that are sent; the store's own are kept as they are, others are resampled (soxr, HQ).
        encoding: ``wav`` or ``flac``.

    Raises:
        Reject: ``unreadable_clip``: what lies in the store cannot be decoded.
    """
    try:
        samples, stored = from_store(context.workspace.read_range(clip["tar"], clip["offset"], clip["size"]))
    except soundfile.LibsndfileError as error:
        raise Reject("unreadable_clip", f"the stored clip cannot be decoded ({error})") from None
    if stored != rate:
        floats = resample(samples.astype(np.float32) / np.float32(32768), stored, rate)
        samples = np.rint(np.clip(floats * 32768, -32768, 32767)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=encoding.upper(), subtype="PCM_16")
    return Media("sound", encoding, file.getvalue(), len(samples) / rate)


def pictures(frames: Sequence[dict[str, Any]], context: Context) -> list[Media]:
    """Return the pictures of a clip, rows of ``frames``, in order of time."""
    ordered = sorted(frames, key=lambda frame: frame["time_s"])
    read = [context.workspace.read_range(frame["tar"], frame["offset"], frame["size"]) for frame in ordered]
    return [Media("picture", "jpeg", data) for data in read]
