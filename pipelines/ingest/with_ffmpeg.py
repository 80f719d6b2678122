"""Opening recordings with ffmpeg: whatever libsndfile cannot read, films with sound among them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.ingest.ffmpeg import Ffmpeg, claimed_s, command_line, first_error
from pipelines.ingest.streams import Block, Stream, Unreadable, block_frames
from schemas.errors import Reject

_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "ogg,oma,rm,tak,tta,voc,w64,wav,wv"
)
"""What it may take a file for: no headerless format, which any text is, and no playlist of other files."""
_MOSTLY_ERRORS = 69
"""ffmpeg's exit code when more than two thirds of what it decoded failed."""


def ffmpeg_stream(path: Path, start_s: float, stop_s: float | None, timeout_s: float) -> Stream:
    """Open ``path`` with ffmpeg, which pipes all channels of its first stream of sound, at their rate.

    ffmpeg gets the open file and not its name, so that its content alone decides what it is. It ends by
    itself one second after ``stop_s``.

    Raises:
        Unreadable: ffmpeg cannot read it.
        Reject: ``decode_timeout`` (silent for ``timeout_s`` seconds), ``no_decoder`` (there is no ffmpeg).
    """
    process = Ffmpeg(_command(stop_s), path, timeout_s)
    try:
        rate, channels = _header(process)
    except BaseException:
        process.close()
        raise
    stream = Stream("ffmpeg", rate, channels, claimed_s(path, process.log), process.close)

    def blocks() -> Iterator[Block]:
        skip, frame = round(start_s * rate), 4 * channels
        while len(data := process.read(block_frames(channels) * frame)) >= frame:
            block = np.frombuffer(data, "<f4", len(data) // frame * channels).reshape(-1, channels)
            skipped = min(skip, len(block))
            skip -= skipped
            if skipped < len(block):
                yield block[skipped:]
        code, errors = process.end()
        words = errors[0] if errors else f"exit code {code}"
        if code == _MOSTLY_ERRORS:
            raise Reject("corrupt_audio", f"most of it cannot be decoded (ffmpeg: {words})")
        if code or errors:
            stream.broken = words

    stream.blocks = blocks()
    return stream


def _header(process: Ffmpeg) -> tuple[int, int]:
    """Read up to the samples and return rate and channels; Unreadable where ffmpeg writes none."""
    if len(process.read(12)) == 12:
        rate = channels = 0
        while len(chunk := process.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            if name == b"data":
                return rate, channels
            body = process.read(length + length % 2)
            if name == b"fmt ":
                channels, rate = struct.unpack_from("<HI", body, 2)
    if "no decoder found" in process.log:
        raise Unreadable("unsupported", "ffmpeg knows no decoder for its encoding")
    if "matches no streams" in process.log:
        raise Unreadable("no_sound", "it holds no stream of sound")
    raise Unreadable("broken" if "Input #0" in process.log else "unknown", first_error(process.log))


def _command(stop_s: float | None) -> list[str]:
    import ffmpeg

    limit = {} if stop_s is None else {"t": stop_s + 1}
    given = ffmpeg.input(
        "file:/dev/stdin", format_whitelist=_CONTAINERS, protocol_whitelist="file", bitexact=None, threads=1
    )
    wanted = given.output(
        "pipe:1", format="wav", acodec="pcm_f32le", map="0:a:0", map_metadata=-1, bitexact=None, **limit
    )
    return command_line(wanted)
