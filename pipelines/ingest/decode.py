"""Decoding: a file in, mono samples out, with what is true of them; or a refusal that says truly why not."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.headers import read_header
from pipelines.ingest.streams import Block, Stream, Unreadable
from pipelines.ingest.with_ffmpeg import ffmpeg_stream
from pipelines.ingest.with_soundfile import soundfile_stream
from schemas.errors import Reject

TIMEOUT_S = 30.0
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Samples per second; beyond these a header is wrong, or describes no sound that anyone could hear."""
_FOREIGN = frozenset(
    {"mp4", "matroska", "asf", "avi", "wavpack", "ape", "musepack", "dsf", "amr", "tta", "tak", "flv", "aac"}
)
"""Families that libsndfile does not read: of these ffmpeg alone can say that they hold no sample."""
_SLACK_S = {"soundfile": 0.01, "ffmpeg": 0.1}
"""Least difference of claim and truth, in seconds: what ffmpeg reports includes the encoder's padding."""


@dataclass(frozen=True)
class Decoded:
    """A stretch of a recording, as it was decoded.

    Attributes:
        samples: float32 of shape (n,), the mean of all channels; full scale = 1, but nothing is clipped.
        rate: samples per second.
        channels: channels of the file.
        decoder: ``soundfile`` or ``ffmpeg``.
        start_s: where the stretch begins in the file, in seconds.
        claimed_s: length that the file's header claims, in seconds; None: it claims none.
        decoded_s: seconds that could be decoded, from the file's start up to the end of the stretch.
        note: ``decode_error_midway`` (decoding failed after some samples), ``header_claims_more`` or
            ``header_claims_less`` (by 1% at least, and by 10 ms, with ffmpeg by 100 ms); None: nothing.
    """

    samples: NDArray[np.float32]
    rate: int
    channels: int
    decoder: str
    start_s: float
    claimed_s: float | None
    decoded_s: float
    note: str | None


def decode(
    path: Path,
    start_s: float = 0.0,
    length_s: float | None = None,
    min_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
) -> Decoded:
    """Decode ``length_s`` seconds of ``path`` from ``start_s`` on, or what there is of them.

    Time and memory depend on what is decoded and asked for, never on what the header claims.

    Args:
        path: a file; its content decides what it is, not its name.
        start_s: seconds, at least 0.
        length_s: seconds, above 0; None: up to the end.
        min_s: seconds; less is refused.
        timeout_s: seconds that ffmpeg may be silent.

    Raises:
        Reject: ``missing_audio``; ``unreadable_file`` (no leave); ``empty_file`` (0 bytes); ``not_audio``
            (no decoder recognises it, or no stream in it is sound); ``unsupported_audio`` (recognised, but no
            decoder knows its encoding); ``no_samples`` (a header and nothing more); ``corrupt_audio``
            (recognised, but none or only the lesser part can be decoded); ``absurd_sample_rate``;
            ``too_short``; ``digital_silence`` (every sample is zero); ``channels_cancel`` (only the mean is);
            ``not_finite``; ``decode_timeout``; ``no_decoder``.
    """
    stop_s = None if length_s is None else start_s + length_s
    with contextlib.closing(pieces(path, None, start_s, stop_s, min_s, timeout_s)) as found:
        return next(found)


def pieces(
    path: Path,
    piece_s: float | None,
    start_s: float = 0.0,
    stop_s: float | None = None,
    min_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
) -> Generator[Decoded, None, None]:
    """Decode ``path`` from ``start_s`` to ``stop_s`` in pieces of ``piece_s`` seconds, one at a time.

    A piece that is digital silence or shorter than ``min_s``, as the last one may be, is left out; a file
    that has no other pieces is refused, as are all files that :func:`decode` refuses.
    """
    found, refusal = 0, Reject("no_samples", "it holds no sample")
    with contextlib.closing(_pieces(path, piece_s, start_s, stop_s, timeout_s)) as all_pieces:
        for piece in all_pieces:
            seconds = len(piece.samples) / piece.rate
            if not np.isfinite(piece.samples).all():
                words = f"between {piece.start_s:g} s and {piece.decoded_s:g} s it holds NaN or infinity"
                raise Reject("not_finite", words)
            if seconds < min_s:
                words = f"it gives {seconds:.6g} s; at least {min_s:g} s are asked for"
                refusal = Reject("too_short", words) if refusal.error == "no_samples" else refusal
            elif piece.note == "channels_cancel":
                words = f"its {piece.channels} channels are not silent, but their mean is zero"
                refusal = Reject("channels_cancel", words)
            elif not piece.samples.any():
                refusal = Reject("digital_silence", f"every sample of its {seconds:.6g} s is zero")
            else:
                found += 1
                yield piece
    if not found:
        raise refusal


def reach(path: Path, start_s: float, stop_s: float, timeout_s: float = TIMEOUT_S) -> float:
    """Return how far ``path`` can be decoded from ``start_s`` on, in seconds of the file, up to ``stop_s``.

    Raises:
        Reject: as :func:`decode`, whatever is in the samples; ``too_short`` if it ends before ``start_s``.
    """
    with contextlib.closing(_pieces(path, None, start_s, stop_s, timeout_s)) as found:
        return next(found).decoded_s


def _pieces(
    path: Path, piece_s: float | None, start_s: float, stop_s: float | None, timeout_s: float
) -> Generator[Decoded, None, None]:
    """Yield all pieces, whatever is in them."""
    with contextlib.closing(open_stream(path, start_s, stop_s, timeout_s)) as stream:
        rate, at = stream.rate, round(start_s * stream.rate)
        end = None if stop_s is None else at + max(round((stop_s - start_s) * rate), 1)
        size = None if piece_s is None else max(round(piece_s * rate), 1)
        cuts = itertools.count(at + size, size) if size else itertools.repeat(end)
        limit = _earlier(next(cuts), end)
        held: list[NDArray[np.float32]] = []
        begin, cancelled = at, False
        for block in stream.blocks:
            while len(block):
                taken = block if limit is None else block[: limit - at]
                held.append(_mean(taken))
                cancelled = cancelled or bool(stream.channels > 1 and not held[-1].any() and taken.any())
                at, block = at + len(taken), block[len(taken) :]
                if at != limit:
                    continue
                if at == end and stream.decoder == "ffmpeg":
                    # What ffmpeg complains of must not depend on when it is stopped: it ends a second later.
                    collections.deque(stream.blocks, maxlen=0)
                yield _decoded(stream, held, begin, at, cancelled, ended=False)
                held, begin, cancelled = [], at, False
                if at == end:
                    return
                limit = _earlier(next(cuts), end)
        if held:
            yield _decoded(stream, held, begin, at, cancelled, ended=True)


def _earlier(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _mean(block: Block) -> NDArray[np.float32]:
    """Return the mean of the channels; decoders' own mixes to mono differ from it, ffmpeg's by 3 dB."""
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0]
    total = block[:, 0] + block[:, 1]
    for channel in range(2, channels):
        total += block[:, channel]
    return total / np.float32(channels)


def _decoded(
    stream: Stream, held: list[NDArray[np.float32]], begin: int, at: int, cancelled: bool, ended: bool
) -> Decoded:
    rate, decoded_s = stream.rate, at / stream.rate
    samples = held[0] if len(held) == 1 else np.concatenate(held)
    note = None
    if cancelled and not samples.any():
        note = "channels_cancel"
    elif stream.broken:
        note = "decode_error_midway"
    elif stream.claimed_s is not None:
        missing, least = stream.claimed_s - decoded_s, max(_SLACK_S[stream.decoder], 0.01 * stream.claimed_s)
        if ended and missing >= least:
            note = "header_claims_more"
        elif -missing >= least:
            note = "header_claims_less"
    return Decoded(samples, rate, stream.channels, stream.decoder, begin / rate, stream.claimed_s, decoded_s, note)


def open_stream(path: Path, start_s: float, stop_s: float | None, timeout_s: float) -> Stream:
    """Open ``path`` with the first decoder that gives a sample; Reject as :func:`decode` does."""
    _look(path)
    failures: list[Unreadable] = []
    for opener in (soundfile_stream, ffmpeg_stream):
        try:
            stream = opener(path, start_s, stop_s, timeout_s)
        except Unreadable as failure:
            failures.append(failure)
            continue
        try:
            if not LOWEST_RATE <= stream.rate <= HIGHEST_RATE:
                words = f"{stream.rate} samples per second; {LOWEST_RATE} to {HIGHEST_RATE} can be true"
                raise Reject("absurd_sample_rate", f"it claims {words}")
            first = next(stream.blocks, None)
        except BaseException:
            stream.close()
            raise
        if first is not None:
            stream.blocks = itertools.chain([first], stream.blocks)
            return stream
        stream.close()
        if stream.broken:
            failures.append(Unreadable("broken", stream.broken))
        elif start_s > 0:
            open_stream(path, 0.0, None, timeout_s).close()
            raise Reject("too_short", f"it ends before {start_s:g} s, where the excerpt begins")
        else:
            failures.append(Unreadable("empty", "it holds no sample"))
    raise _refusal(path, *failures)


def _look(path: Path) -> None:
    """Raise Reject where there is no file that could be read at all; opening a pipe would wait for ever."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Reject("missing_audio", "the file is not there") from None
    if not stat.S_ISREG(found.st_mode):
        raise Reject("missing_audio", "there is no file of this name, but a folder, a device or a pipe")
    if not found.st_size:
        raise Reject("empty_file", "the file has 0 bytes")
    if not os.access(path, os.R_OK):
        raise Reject("unreadable_file", "this user may not read the file")


def _refusal(path: Path, native: Unreadable, foreign: Unreadable) -> Reject:
    """Return the truest word for a file of which libsndfile (native) and ffmpeg (foreign) give no sample."""
    with path.open("rb") as file:
        header = read_header(file, os.fstat(file.fileno()).st_size)
    if foreign.why == "unsupported":
        return Reject("unsupported_audio", str(foreign))
    if header.hollow or native.why == "empty" or (foreign.why == "empty" and header.family in _FOREIGN):
        return Reject("no_samples", "it is a header without samples")
    if foreign.why == "no_sound":
        return Reject("not_audio", str(foreign))
    if header.family is None and native.why == foreign.why == "unknown":
        return Reject("not_audio", "neither libsndfile nor ffmpeg recognises it")
    words = f"no sample can be decoded (libsndfile: {native}; ffmpeg: {foreign})"
    return Reject("corrupt_audio", f"{header.family or 'audio'} of which {words}")
