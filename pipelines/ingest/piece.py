"""A stretch of a recording in the making: what is kept of it, what is measured on the way, and whether it will do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.facts import Facts, Tally
from pipelines.ingest.streams import Block, Stream
from schemas.errors import Reject

_SLACK_S = {"soundfile": 0.01, "ffmpeg": 0.1}
"""Least difference of claim and truth, in seconds: what ffmpeg reports includes the encoder's padding."""
_ROOM = 1 << 20
"""Samples that are made room for at first."""


@dataclass(frozen=True)
class Decoded:
    """A stretch of a recording, as it was decoded.

    Attributes:
        samples: float32 of shape (n,), the channel that is kept; full scale = 1, but nothing is clipped.
        rate: samples per second.
        channels: channels of the file.
        channel: what of them is kept: ``mean``, or the number of one, from 0.
        decoder: ``soundfile`` or ``ffmpeg``.
        start_s: where the stretch begins in the file, in seconds.
        claimed_s: length that the file's header claims, in seconds; None: it claims none.
        decoded_s: seconds that could be decoded, from the file's start up to the end of the stretch.
        ended_s: where the file's samples end, in seconds; None: that was not found out.
        note: ``decode_error_midway`` (decoding failed after some samples), ``header_claims_more`` or
            ``header_claims_less`` (by 1% at least, and by 10 ms, with ffmpeg by 100 ms); None: nothing.
        facts: what was measured of the stretch.
    """

    samples: NDArray[np.float32]
    rate: int
    channels: int
    channel: str
    decoder: str
    start_s: float
    claimed_s: float | None
    decoded_s: float
    ended_s: float | None
    note: str | None
    facts: Facts


class Window(ABC):
    """A stretch that takes its share of the blocks that pass by.

    Args:
        begin: its first frame in the file.
        end: the frame after its last one; None: it goes on to the file's end.
    """

    def __init__(self, begin: int, end: int | None) -> None:
        self.begin, self.end, self.frames = begin, end, 0

    def take(self, block: Block, at: int) -> None:
        """Take what belongs to it of a block that begins at frame ``at`` of the file; blocks come in order."""
        part = block[max(self.begin - at, 0) : None if self.end is None else max(self.end - at, 0)]
        if len(part):
            self.frames += len(part)
            self._add(part)

    @abstractmethod
    def _add(self, part: Block) -> None:
        """Take the next frames, 1 at least; ``frames`` counts them already."""


class Energy(Window):
    """The energy of each channel of a stretch."""

    def __init__(self, begin: int, end: int | None) -> None:
        super().__init__(begin, end)
        self._sums: NDArray[np.float64] = np.zeros(1)

    def _add(self, part: Block) -> None:
        wide = part.astype(np.float64)
        self._sums = self._sums + np.einsum("ij,ij->j", wide, wide)

    def loudest(self) -> int:
        """Return the channel with most energy; of equals the first."""
        return int(self._sums.argmax())


class Piece(Window):
    """What is kept of a stretch.

    Args:
        begin: its first frame in the file.
        end: the frame after its last one; None: it goes on to the file's end.
        channel: number of the channel that is kept; None: the mean of all.
    """

    def __init__(self, begin: int, end: int | None, channel: int | None) -> None:
        super().__init__(begin, end)
        self.channel, self.tally = channel, Tally()
        self._most = None if end is None else end - begin
        self._held = np.empty(_ROOM if self._most is None else min(self._most, _ROOM), np.float32)

    @property
    def samples(self) -> NDArray[np.float32]:
        """What is kept so far, float32 of shape (frames,)."""
        return self._held[: self.frames]

    def _add(self, part: Block) -> None:
        before = self.frames - len(part)
        if self.frames > len(self._held):
            # By half more each time, whatever is asked for: memory follows what was decoded.
            room = max(self.frames, len(self._held) * 3 // 2)
            grown = np.empty(room if self._most is None else min(room, self._most), np.float32)
            grown[:before] = self._held[:before]
            self._held = grown
        kept = self._held[before : self.frames]
        with np.errstate(over="ignore", invalid="ignore"):
            keep(part, self.channel, kept)
            self.tally.add(part, kept)


def keep(block: Block, channel: int | None, out: NDArray[np.float32]) -> None:
    """Write one channel of a block into ``out``, float32 of shape (frames,), or the mean of all where it is None.

    Decoders' own mixes to mono differ from the mean, ffmpeg's by 3 dB.
    """
    channels = block.shape[1]
    if channel is not None or channels == 1:
        out[:] = block[:, channel or 0]
        return
    np.add(block[:, 0], block[:, 1], out=out)
    for other in range(2, channels):
        out += block[:, other]
    out /= np.float32(channels)


def judged(piece: Piece, stream: Stream, min_s: float) -> Decoded:
    """Return a piece, once all of it is decoded.

    Raises:
        Reject: ``not_finite``, ``too_short``, ``digital_silence`` or ``channels_cancel``.
    """
    samples, rate = piece.samples, stream.rate
    start_s, seconds = piece.begin / rate, piece.frames / rate
    decoded_s = (piece.begin + piece.frames) / rate
    if not piece.tally.finite:
        raise Reject(
            "not_finite",
            f"between {start_s:g} s and {decoded_s:g} s it holds NaN, infinity or samples beyond all measure",
        )
    if seconds < min_s:
        raise Reject("too_short", f"it gives {seconds:.6g} s; at least {min_s:g} s are asked for")
    if piece.tally.silent:
        raise Reject("digital_silence", f"every sample of its {seconds:.6g} s is zero")
    if not piece.tally.heard:
        if piece.channel is None:
            words = f"its {stream.channels} channels are not silent, but their mean is zero"
            raise Reject("channels_cancel", words)
        words = f"every sample of channel {piece.channel}, which is kept, is zero, though not of all others"
        raise Reject("digital_silence", words)
    ended_s = None if stream.ended_at is None else stream.ended_at / rate
    channel = "mean" if piece.channel is None else str(piece.channel)
    return Decoded(
        samples,
        rate,
        stream.channels,
        channel,
        stream.decoder,
        start_s,
        stream.claimed_s,
        decoded_s,
        ended_s,
        note(stream, decoded_s, ran_out=piece.end is None or piece.begin + piece.frames < piece.end),
        piece.tally.facts(samples, rate, stream.channels),
    )


def note(stream: Stream, decoded_s: float, ran_out: bool) -> str | None:
    """Return the note of :class:`Decoded`; ``ran_out``: the file ended at ``decoded_s``, before what was asked for."""
    if stream.broken:
        return "decode_error_midway"
    if stream.claimed_s is None:
        return None
    missing, least = stream.claimed_s - decoded_s, max(_SLACK_S[stream.decoder], 0.01 * stream.claimed_s)
    if ran_out and missing >= least:
        return "header_claims_more"
    return "header_claims_less" if -missing >= least else None
