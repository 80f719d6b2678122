"""Opening a recording with the first decoder that can, and the true word for a file that none can."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

from pipelines.ingest.headers import read_header
from pipelines.ingest.streams import MOST_CHANNELS, Stream, Unreadable
from pipelines.ingest.with_ffmpeg import ffmpeg_stream
from pipelines.ingest.with_soundfile import soundfile_stream
from schemas.errors import Reject

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Samples per second; beyond these a header is wrong, or describes no sound that anyone could hear."""
_FOREIGN = frozenset(
    {"mp4", "matroska", "asf", "avi", "wavpack", "ape", "musepack", "dsf", "amr", "tta", "tak", "flv", "aac"}
)
"""Families that libsndfile does not read: of these ffmpeg alone can say that they hold no sample."""


def open_stream(path: Path, start_s: float, stop_s: float | None, timeout_s: float) -> Stream:
    """Open ``path`` with the first decoder that gives a sample; Reject as :func:`pipelines.ingest.decode.decode` does."""
    _look(path)
    failures: list[Unreadable] = []
    for opener in (soundfile_stream, ffmpeg_stream):
        try:
            stream = opener(path, start_s, stop_s, timeout_s)
        except Unreadable as failure:
            # Not the failure itself: it holds this frame, which holds it, and with both a recording until they are collected.
            failures.append(Unreadable(failure.why, str(failure)))
            continue
        try:
            _believable(stream)
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


def _believable(stream: Stream) -> None:
    """Raise Reject where the rate or the number of channels cannot be true; nothing is decoded before that."""
    if not LOWEST_RATE <= stream.rate <= HIGHEST_RATE:
        words = f"{stream.rate} samples per second; {LOWEST_RATE} to {HIGHEST_RATE} can be true"
        raise Reject("absurd_sample_rate", f"it claims {words}")
    if stream.channels > MOST_CHANNELS:
        raise Reject("too_many_channels", f"it has {stream.channels} channels; {MOST_CHANNELS} are the most")


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
