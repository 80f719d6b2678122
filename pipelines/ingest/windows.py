"""Which stretch of a longer recording becomes a clip, and what share of it the clips hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.decode import TIMEOUT_S, Channels, decode, frames_of
from pipelines.ingest.opening import open_stream
from pipelines.ingest.piece import Decoded, Piece, Window, judged, keep, note
from pipelines.ingest.streams import Block, blocks_until
from schemas.errors import Reject

CELL_S = 0.1
"""About the step in which the loudest stretch is looked for, in seconds: a whole number of steps makes a clip."""
_SAME = 1e-9


def stretch(
    path: Path,
    where: Literal["first", "centre", "loudest"],
    clip_s: float,
    start_s: float = 0.0,
    stop_s: float | None = None,
    min_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    channels: Channels = "mean",
) -> Decoded:
    """Decode one stretch of ``clip_s`` seconds of what ``path`` holds from ``start_s`` to ``stop_s``, or all if it is shorter.

    ``centre`` and ``loudest`` decode a longer recording twice: all of it, block by block, to learn its length or its
    energy, and then the stretch. Neither trusts the header.

    Args:
        path: a file.
        where: ``first``; ``centre``: as much is left before as after it; ``loudest``: that with most energy of what
            is kept (of all channels, with ``channels="loudest"``), in steps of about 0.1 s; of equals the earliest.
        clip_s: seconds, above 0.
        start_s: seconds, at least 0.
        stop_s: seconds of the file; None: its end.
        min_s: seconds; less is refused.
        timeout_s: seconds that ffmpeg may be silent.
        channels: what is kept of several, as in :func:`pipelines.ingest.decode.decode`.

    Raises:
        Reject: as :func:`pipelines.ingest.decode.decode`.
    """
    if where == "first" or (stop_s is not None and stop_s - start_s <= clip_s):
        length = clip_s if stop_s is None else min(clip_s, stop_s - start_s)
        return decode(path, start_s, length, min_s, timeout_s, channels)
    with contextlib.closing(open_stream(path, start_s, stop_s, timeout_s)) as stream:
        rate = stream.rate
        begin, end = frames_of(rate, start_s, stop_s)
        size = frames_of(rate, 0.0, clip_s)[1] or 1
        cells = max(round(clip_s / CELL_S), 1)
        levels = _Levels(begin, end, max(size // cells, 1), channels) if where == "loudest" else None
        whole = Piece(begin, begin + size, None if channels == "mean" else 0)
        at = begin
        for block in blocks_until(stream, begin, end):
            whole.take(block, at)
            if levels is not None:
                levels.take(block, at)
            at += len(block)
        if at - begin <= size and (channels != "loudest" or stream.channels == 1):
            return judged(whole, stream, min_s)
        spare, found = max(at - begin - size, 0), stream.ended_at
        first = begin + (levels.loudest(size, spare) if levels is not None and spare else spare // 2)
        remark = note(stream, at / rate, ran_out=found is not None)
    piece = decode(path, first / rate, size / rate, min_s, timeout_s, channels)
    return replace(piece, ended_s=None if found is None else found / rate, note=piece.note or remark)


class _Levels(Window):
    """The energy of what is kept of a stretch, in cells of ``cell`` frames; what is left at the end makes no cell."""

    def __init__(self, begin: int, end: int | None, cell: int, channels: Channels) -> None:
        super().__init__(begin, end)
        self._cell, self._channels = cell, channels
        self._rest: NDArray[np.float64] = np.empty(0)
        self._cells: list[NDArray[np.float64]] = []

    def _add(self, part: Block) -> None:
        if self._channels == "loudest":
            power = np.square(part, dtype=np.float64).sum(axis=1)
        else:
            kept = np.empty(len(part), np.float32)
            with np.errstate(over="ignore", invalid="ignore"):
                keep(part, None if self._channels == "mean" else 0, kept)
            power = np.square(kept, dtype=np.float64)
        power = np.concatenate([self._rest, power])
        whole = len(power) // self._cell * self._cell
        self._cells.append(power[:whole].reshape(-1, self._cell).sum(axis=1))
        self._rest = power[whole:]

    def loudest(self, size: int, spare: int) -> int:
        """Return where the ``size`` frames with most energy begin, of those that begin at a cell, 0 to ``spare`` frames on.

        Raises:
            Reject: ``not_finite``: the energy of a cell is no number.
        """
        sums = np.concatenate([[0.0], *self._cells]).cumsum()
        if not np.isfinite(sums[-1]):
            raise Reject("not_finite", "it holds NaN or infinity, so that no stretch of it is the loudest")
        count = spare // self._cell + 1
        width = size // self._cell
        energy = sums[width : width + count] - sums[:count]
        # The sums are rounded; without some slack a later stretch could win by that alone.
        return self._cell * int(np.flatnonzero(energy >= energy.max() * (1 - _SAME) - sums[-1] * 1e-12)[0])


def coverage(
    held: Iterable[tuple[float, float]],
    start_s: float,
    stop_s: float | None,
    ended_s: float | None,
    claimed_s: float | None,
) -> float | None:
    """Return what share of an excerpt its clips hold together, in (0, 1]; None: nothing tells its length.

    Args:
        held: where each clip begins and ends in the file, in seconds, in order of their start; one at least.
        start_s: where the excerpt begins in the file, in seconds.
        stop_s: where it ends; None: at the file's end, which is ``ended_s``, else what the header claims.
        ended_s: where the file was found to end, in seconds; None: it was not decoded so far.
        claimed_s: what its header claims; None, or less than what was decoded (by 1%): that tells nothing.
    """
    total, reached = 0.0, start_s
    for begin, end in held:
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    end_s = ended_s if stop_s is None else stop_s
    if end_s is None and claimed_s is not None and claimed_s >= 0.99 * reached:
        end_s = max(claimed_s, reached)
    return None if end_s is None else min(total / (end_s - start_s), 1.0)
