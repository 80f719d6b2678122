"""The clip store's form of sound: mono FLAC of 16 bit at one sample rate, made so that no sample clips."""

from __future__ import annotations

import io
import math

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipelines.ingest.piece import Decoded
from schemas.errors import Reject

_HIGHEST, _LOWEST = np.float32(32767 / 32768), np.float32(-1.0)
"""Largest and smallest sample that 16 bits hold, full scale = 1."""


def to_store(decoded: Decoded, sample_rate: int) -> tuple[bytes, float, int]:
    """Return FLAC bytes, the gain that was applied in dB (at most 0), and the number of samples.

    A stretch that has this rate already and fits into 16 bits is stored as it is, sample by sample. Else it
    is resampled (soxr, quality HQ), turned down if it would clip, and rounded to the nearest step, without
    dither: equal samples give equal bytes.

    Args:
        decoded: what :func:`pipelines.ingest.decode.decode` gives.
        sample_rate: samples per second of the store.

    Raises:
        Reject: ``too_short`` where less than one sample of the store would come of it.
    """
    samples = decoded.samples
    if decoded.rate != sample_rate:
        samples = soxr.resample(samples, decoded.rate, sample_rate, quality="HQ")
    if not len(samples):
        words = f"{len(decoded.samples)} samples at {decoded.rate} per second are none at {sample_rate}"
        raise Reject("too_short", words)
    excess = max(float(samples.max(initial=0) / _HIGHEST), float(samples.min(initial=0) / _LOWEST))
    gain = 1.0 / excess if excess > 1 else 1.0
    # A power of two is exact in float32; any other gain could round up to a sample that clips after all.
    scaled = samples * np.float32(32768) if gain == 1 else samples.astype(np.float64) * (gain * 32768)
    steps = np.rint(scaled, out=scaled).astype(np.int16)
    return encode_flac(steps, sample_rate), 20 * math.log10(gain), len(steps)


def encode_flac(samples: NDArray[np.int16], rate: int) -> bytes:
    """Return int16 samples of shape (n,) as 16-bit FLAC; equal samples give equal bytes."""
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def from_store(flac: bytes) -> tuple[NDArray[np.int16], int]:
    """Return the stored samples, int16 of shape (n,), and their rate in samples per second."""
    samples, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
    return samples, rate
