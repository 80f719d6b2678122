"""A waveform as a picture: its log-mel spectrogram, quantised and written as a palette PNG."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

COLUMNS, BANDS, LEVELS = 320, 64, 32
RANGE_DB = 80.0
"""Decibels from the brightest colour to the darkest."""

FRAME_S = 0.064
"""At least this much of the signal per column: bins of 16 Hz or less, finer than the lowest mel bands."""

_STOPS = ((0.0, 0xF6F7F4), (0.3, 0xC3D8DE), (0.55, 0x6FA3B5), (0.8, 0x22627C), (1.0, 0x07222F))


def mel_power(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    """Return the power of ``samples``, int16 of shape (n,), n >= 1, in mel bands.

    float64 of shape (BANDS, at most COLUMNS), at least 0. Hann windows of at least ``FRAME_S``, centred on
    evenly spaced samples; triangular bands, evenly spaced from 0 Hz to half the rate on the mel scale of
    O'Shaughnessy (Speech Communication, 1987), 2595 log10(1 + f / 700).
    """
    size = 1 << int(np.ceil(np.log2(FRAME_S * rate)))
    columns = min(COLUMNS, len(samples))
    padded = np.pad(samples.astype(np.float64) / 32768.0, size // 2)
    starts = ((np.arange(columns) + 0.5) * len(samples) / columns).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[starts] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    return (power @ _triangles(size, rate).T).T


def _triangles(size: int, rate: int) -> NDArray[np.float64]:
    """Return the weights of the mel bands, shape (BANDS, size // 2 + 1)."""
    top = 2595.0 * np.log10(1.0 + rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, BANDS + 2) / 2595.0) - 1.0)
    low, centre, high = (edges[i : i + BANDS, None] for i in range(3))
    hertz = np.fft.rfftfreq(size, 1.0 / rate)[None, :]
    return np.clip(np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)), 0.0, None)


def spectrogram_png(power: NDArray[np.float64], reference: float) -> bytes:
    """Return mel power of shape (bands, columns) as a PNG, low bands at the bottom.

    Args:
        power: at least 0.
        reference: the power that has the strongest colour; ``RANGE_DB`` below it is paper. 0: all is paper.
    """
    if reference <= 0.0:
        return png(np.zeros(power.shape, dtype=np.uint8), palette())
    with np.errstate(divide="ignore"):
        decibels = 10.0 * np.log10(power / reference)
    share = np.clip(1.0 + decibels / RANGE_DB, 0.0, 1.0)
    return png(np.rint(share[::-1] * (LEVELS - 1)).astype(np.uint8), palette())


def palette() -> NDArray[np.uint8]:
    """Return the colours of the levels from paper to ink, shape (LEVELS, 3); a dark screen inverts them."""
    at = np.linspace(0.0, 1.0, LEVELS)
    stops = [stop for stop, _ in _STOPS]
    channels = [[colour >> shift & 255 for _, colour in _STOPS] for shift in (16, 8, 0)]
    return np.stack([np.rint(np.interp(at, stops, channel)) for channel in channels], axis=1).astype(np.uint8)


def png(indices: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """Return an image as PNG (ISO/IEC 15948): indices, (height, width), into ``colours``, (k, 3)."""
    height, width = indices.shape
    lines = np.hstack([np.zeros((height, 1), dtype=np.uint8), indices]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    data = zlib.compress(lines, 9)
    chunks = ((b"IHDR", header), (b"PLTE", colours.tobytes()), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
