"""Decoding: a file in, one channel of samples out, with what is true of them; or a refusal that says truly why not."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from pipelines.ingest.opening import open_stream
from pipelines.ingest.piece import Decoded, Energy, Piece, Window, judged
from pipelines.ingest.streams import Stream, blocks_until
from schemas.errors import Reject

Channels = Literal["mean", "left", "loudest"]
"""What is kept of several channels: their mean, the first, or that with most energy in the stretch (of equals the first)."""

TIMEOUT_S = 30.0
Taking = TypeVar("Taking", bound=Window)


def decode(
    path: Path,
    start_s: float = 0.0,
    length_s: float | None = None,
    min_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    channels: Channels = "mean",
) -> Decoded:
    """Decode ``length_s`` seconds of ``path`` from ``start_s`` on, or what there is of them.

    Time and memory depend on what is decoded and asked for, never on what the header claims.

    Args:
        path: a file; its content decides what it is, not its name.
        start_s: seconds, at least 0.
        length_s: seconds, above 0; None: up to the end.
        min_s: seconds; less is refused.
        timeout_s: seconds that ffmpeg may be silent.
        channels: what is kept of several; ``loudest`` decodes twice, so as to hold one channel alone.

    Raises:
        Reject: ``missing_audio``; ``unreadable_file`` (no leave); ``empty_file`` (0 bytes); ``not_audio``
            (no decoder recognises it, or no stream in it is sound); ``unsupported_audio`` (recognised, but no
            decoder knows its encoding); ``no_samples`` (a header and nothing more); ``corrupt_audio``
            (recognised, but none or only the lesser part can be decoded); ``absurd_sample_rate``;
            ``too_many_channels``; ``too_short``; ``digital_silence`` (every sample is zero, or all of the left
            channel where that alone is kept); ``channels_cancel`` (only the mean is zero); ``not_finite``;
            ``decode_timeout``; ``no_decoder``.
    """
    stop_s = None if length_s is None else start_s + length_s
    with contextlib.closing(pieces(path, None, start_s, stop_s, min_s, timeout_s, None, channels)) as found:
        return next(found)


def pieces(
    path: Path,
    piece_s: float | None,
    start_s: float = 0.0,
    stop_s: float | None = None,
    min_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    hop_s: float | None = None,
    channels: Channels = "mean",
) -> Generator[Decoded, None, None]:
    """Decode ``path`` from ``start_s`` to ``stop_s`` in pieces of ``piece_s`` seconds (None: in one), in order.

    They begin ``hop_s`` seconds apart, ``piece_s`` if it is None; with less they overlap, with more there are gaps. The
    first piece that reaches the end is the last one. A piece that is digital silence or shorter than ``min_s``, as the
    last one may be, is left out; a file that has no other pieces is refused, as are all files that :func:`decode`
    refuses. The last piece that is given tells where the file ended, if that was found out.
    """
    last, refusal = None, Reject("no_samples", "it holds no sample")
    with contextlib.closing(open_stream(path, start_s, stop_s, timeout_s)) as stream:
        begin, end = frames_of(stream.rate, start_s, stop_s)
        windows = _windows(stream.rate, begin, end, piece_s, hop_s)
        kept: Iterator[int | None] = itertools.repeat(None if channels == "mean" else 0)
        if channels == "loudest" and stream.channels > 1:
            kept = _loudest(path, windows, start_s, stop_s, timeout_s)
            windows = _windows(stream.rate, begin, end, piece_s, hop_s)
        for piece in _cut(stream, begin, end, (Piece(*window, next(kept)) for window in windows)):
            try:
                decoded = judged(piece, stream, min_s)
            except Reject as reject:
                if reject.error == "not_finite":
                    raise
                if reject.error != "too_short" or refusal.error == "no_samples":
                    refusal = Reject(reject.error, reject.message)
                continue
            if last is not None:
                yield last
            last = decoded
        if last is None:
            raise refusal
        yield replace(last, ended_s=None if stream.ended_at is None else stream.ended_at / stream.rate)


def reach(path: Path, start_s: float, stop_s: float, timeout_s: float = TIMEOUT_S) -> float:
    """Return how far ``path`` can be decoded from ``start_s`` on, in seconds of the file, up to ``stop_s``.

    Raises:
        Reject: as :func:`decode`, whatever is in the samples; ``too_short`` if it ends before ``start_s``.
    """
    with contextlib.closing(open_stream(path, start_s, stop_s, timeout_s)) as stream:
        begin, end = frames_of(stream.rate, start_s, stop_s)
        return (begin + sum(len(block) for block in blocks_until(stream, begin, end))) / stream.rate


def frames_of(rate: int, start_s: float, stop_s: float | None) -> tuple[int, int | None]:
    """Return the frames at which a stretch begins and ends; it has one at least."""
    begin = round(start_s * rate)
    return begin, None if stop_s is None else begin + max(round((stop_s - start_s) * rate), 1)


def _windows(
    rate: int, begin: int, end: int | None, piece_s: float | None, hop_s: float | None
) -> Iterator[tuple[int, int | None]]:
    """Yield where the pieces begin and end, in frames of the file; without an ``end`` there is no last one."""
    if piece_s is None:
        yield begin, end
        return
    size, hop = (max(round(seconds * rate), 1) for seconds in (piece_s, piece_s if hop_s is None else hop_s))
    for start in itertools.count(begin, hop):
        if end is not None and start >= end:
            return
        stop = start + size if end is None else min(start + size, end)
        yield start, stop
        if stop == end:
            return


def _loudest(
    path: Path,
    windows: Iterator[tuple[int, int | None]],
    start_s: float,
    stop_s: float | None,
    timeout_s: float,
) -> Iterator[int]:
    """Return which channel has most energy in each of ``windows``, from a first pass over the file."""
    with contextlib.closing(open_stream(path, start_s, stop_s, timeout_s)) as stream:
        energies = (Energy(*window) for window in windows)
        found = [energy.loudest() for energy in _cut(stream, *frames_of(stream.rate, start_s, stop_s), energies)]
    return itertools.chain(found, itertools.repeat(0))


def _cut(stream: Stream, at: int, end: int | None, windows: Iterator[Taking]) -> Iterator[Taking]:
    """Yield each window once it has taken its share of the stream, which begins at frame ``at`` and is read to ``end``."""
    taking: deque[Taking] = deque()
    reached, coming = at, next(windows, None)
    for block in blocks_until(stream, at, end):
        while coming is not None and coming.begin < at + len(block):
            taking.append(coming)
            coming = next(windows, None)
        for window in taking:
            window.take(block, at)
        at += len(block)
        while taking and taking[0].end is not None and taking[0].end <= at:
            reached = taking[0].end
            yield taking.popleft()
    if taking and reached < at:
        yield taking[0]
