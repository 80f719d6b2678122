"""WAV of 32-bit float: what an evaluator computed, bit by bit. libsndfile would put the time of writing into such a file."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_FLOAT = 3
"""WAVE_FORMAT_IEEE_FLOAT."""


def float_wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """Return float32 samples of shape (n,), full scale = 1, as a WAV file; equal samples give equal bytes.

    Raises:
        ValueError: the file would pass RIFF's 4 GiB.
    """
    data = np.ascontiguousarray(samples, "<f4").tobytes()
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, _FLOAT, 1, rate, 4 * rate, 4, 32, 0)
    body = b"WAVE" + form + struct.pack("<4sII", b"fact", 4, len(samples)) + struct.pack("<4sI", b"data", len(data))
    if len(body) + len(data) >= 1 << 32:
        raise ValueError(f"{len(samples)} samples do not fit into a WAV file")
    return struct.pack("<4sI", b"RIFF", len(body) + len(data)) + body + data
