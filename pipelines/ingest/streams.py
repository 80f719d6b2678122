"""An open recording as a stream of blocks, whichever decoder reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
"""Samples of shape (frames, channels), full scale = 1."""

MOST_CHANNELS = 64
"""More are a wrong header, or no recording of a sound."""
_FRAMES = 65536
_MOST_FLAC_CHANNELS = 8


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
        release: gives back the file or the process.
        blocks: the samples from the asked start on, each block perhaps in the room of the one before it; they end at
            the file's end or where decoding fails.
        broken: what went wrong after the first sample, once ``blocks`` has ended; None: nothing.
        ended_at: the frame of the file at which its samples end, once that is found out; None: not yet.
    """

    decoder: str
    rate: int
    channels: int
    claimed_s: float | None
    release: Callable[[], None]
    blocks: Iterator[Block] = field(default_factory=lambda: iter(()))
    broken: str | None = None
    ended_at: int | None = None

    def close(self) -> None:
        """Give back the file or the process, and the room of the blocks at once: their iterator knows the stream again."""
        self.release()
        self.blocks = iter(())


def block_frames(channels: int) -> int:
    """Return how many frames are read at once: 2 MiB of samples at most.

    Up to the 8 channels that FLAC can have they are no fewer than its largest frame: given less room than a
    frame whose size STREAMINFO denies, libsndfile 1.2 returns garbage without an error.
    """
    return min(_FRAMES, _FRAMES * _MOST_FLAC_CHANNELS // channels)


def blocks_until(stream: Stream, at: int, end: int | None) -> Iterator[Block]:
    """Yield the blocks of ``stream``, which begins at frame ``at`` of the file, up to frame ``end`` or its own end."""
    for block in stream.blocks:
        if end is not None and at + len(block) >= end:
            if stream.decoder == "ffmpeg":
                # What ffmpeg complains of must not depend on when it is stopped: it ends by itself a second later,
                # and earlier only at the file's end.
                beyond = at + len(block) - end + sum(len(rest) for rest in stream.blocks)
                stream.ended_at = end + beyond if beyond < 0.9 * stream.rate else None
            yield block[: end - at]
            return
        at += len(block)
        yield block
    stream.ended_at = at
