"""An open recording as a stream of blocks, whichever decoder reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
"""Samples of shape (frames, channels), full scale = 1."""


BLOCK = 65536
"""Frames that are read at once. No fewer than the largest FLAC frame: given less room than a frame whose size
STREAMINFO denies, libsndfile 1.2 returns garbage without an error."""


class Unreadable(Exception):
    """A decoder could not give a single sample.

    Args:
        why: ``unknown`` (it does not recognise the file), ``unsupported`` (it cannot decode the encoding),
            ``no_sound`` (no stream in it is sound), ``empty`` (no sample follows the header) or ``broken``.
        message: what the decoder says.
    """

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass
class Stream:
    """An open recording.

    Attributes:
        decoder: ``soundfile`` or ``ffmpeg``.
        rate: samples per second, as decoded.
        channels: channels, as decoded.
        claimed_s: length that the header claims, in seconds; None: it claims none.
        close: gives back the file or the process.
        blocks: the samples from the asked start on; they end at the file's end or where decoding fails.
        broken: what went wrong after the first sample, once ``blocks`` has ended; None: nothing.
    """

    decoder: str
    rate: int
    channels: int
    claimed_s: float | None
    close: Callable[[], None]
    blocks: Iterator[Block] = field(default_factory=lambda: iter(()))
    broken: str | None = None
