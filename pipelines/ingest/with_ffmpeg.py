"""Opening recordings with ffmpeg: whatever libsndfile cannot read, films with sound among them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import shutil
import struct
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipelines.ingest.headers import read_header
from pipelines.ingest.streams import Block, Stream, Unreadable, block_frames
from schemas.errors import Reject

_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "ogg,oma,rm,tak,tta,voc,w64,wav,wv"
)
"""What it may take a file for: no headerless format, which any text is, and no playlist of other files."""
_MOST_LOG = 1 << 20
_PIPE_BYTES = 1 << 20
_MOSTLY_ERRORS = 69
"""ffmpeg's exit code when more than two thirds of what it decoded failed."""
_DURATION = re.compile(r"^\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
_ERROR = re.compile(r"^(?:\[[^\]\n]* @ 0x[0-9a-f]+\] )*\[(?:error|fatal)\] (.*)", re.MULTILINE)


def ffmpeg_stream(path: Path, start_s: float, stop_s: float | None, timeout_s: float) -> Stream:
    """Open ``path`` with ffmpeg, which pipes all channels of its first stream of sound, at their rate.

    ffmpeg gets the open file and not its name, so that its content alone decides what it is. It ends by
    itself one second after ``stop_s``.

    Raises:
        Unreadable: ffmpeg cannot read it.
        Reject: ``decode_timeout`` (silent for ``timeout_s`` seconds), ``no_decoder`` (there is no ffmpeg).
    """
    process = _Ffmpeg(path, stop_s, timeout_s)
    try:
        rate, channels = process.header()
    except BaseException:
        process.close()
        raise
    stream = Stream("ffmpeg", rate, channels, _claim(path, process.log), process.close)

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


def _claim(path: Path, log: str) -> float | None:
    """Return the container's length in seconds, if it states one; 0.00 is but a length rounded down."""
    with path.open("rb") as file:
        header = read_header(file, os.fstat(file.fileno()).st_size)
    if header.family in ("riff", "flac"):
        return header.claimed_s
    found = _DURATION.search(log)
    if not found or "Estimating duration" in log:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) or None


class _Ffmpeg:
    """A running ffmpeg whose output is read in pieces and whose log is kept beside it."""

    def __init__(self, path: Path, stop_s: float | None, timeout_s: float) -> None:
        with path.open("rb") as file:
            self._process = subprocess.Popen(
                _command(stop_s), stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        self._timeout_s, self._ready, self._log = timeout_s, bytearray(), bytearray()
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._output, self._complaints = self._process.stdout, self._process.stderr
        with contextlib.suppress(
            AttributeError, OSError
        ):  # where it can be had: ffmpeg decodes on while a block is served
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._selector.register(self._output, selectors.EVENT_READ)
        self._selector.register(self._complaints, selectors.EVENT_READ)

    @property
    def log(self) -> str:
        return self._log.decode(errors="replace")

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes of output; fewer only at its end."""
        while len(self._ready) < size and self._selector.get_map():
            events = self._selector.select(self._timeout_s)
            if not events:
                raise Reject("decode_timeout", f"ffmpeg gave nothing for {self._timeout_s:g} s")
            for key, _ in events:
                data = os.read(key.fd, 1 << 16)
                if not data:
                    self._selector.unregister(key.fileobj)
                elif key.fileobj is self._output:
                    self._ready += data
                elif len(self._log) < _MOST_LOG:
                    self._log += data
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def header(self) -> tuple[int, int]:
        """Read up to the samples and return rate and channels; Unreadable where ffmpeg writes none."""
        if len(self.read(12)) == 12:
            rate = channels = 0
            while len(chunk := self.read(8)) == 8:
                name, length = struct.unpack("<4sI", chunk)
                if name == b"data":
                    return rate, channels
                body = self.read(length + length % 2)
                if name == b"fmt ":
                    channels, rate = struct.unpack_from("<HI", body, 2)
        first = _ERROR.search(self.log)
        words = first[1].rstrip(". ") if first else "no reason given"
        if "no decoder found" in self.log:
            raise Unreadable("unsupported", "ffmpeg knows no decoder for its encoding")
        if "matches no streams" in self.log:
            raise Unreadable("no_sound", "it holds no stream of sound")
        raise Unreadable("broken" if "Input #0" in self.log else "unknown", words)

    def end(self) -> tuple[int, list[str]]:
        """Return the exit code and what went wrong in decoding, once all output is read.

        What ffmpeg has against tags and pictures it says before it maps the streams.
        """
        return self._process.wait(), _ERROR.findall(self.log.partition("Stream mapping:")[2])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._output.close()
        self._complaints.close()


def _command(stop_s: float | None) -> list[str]:
    import ffmpeg

    limit = {} if stop_s is None else {"t": stop_s + 1}
    given = ffmpeg.input(
        "file:/dev/stdin", format_whitelist=_CONTAINERS, protocol_whitelist="file", bitexact=None, threads=1
    )
    wanted = given.output(
        "pipe:1", format="wav", acodec="pcm_f32le", map="0:a:0", map_metadata=-1, bitexact=None, **limit
    )
    quiet = wanted.global_args("-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info")
    return quiet.compile(cmd=_binary())


@lru_cache(maxsize=1)
def _binary() -> str:
    """Return the ffmpeg that imageio-ffmpeg carries, else the machine's own."""
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        found = shutil.which("ffmpeg")
    if found is None:
        raise Reject("no_decoder", "libsndfile cannot read it, and there is no ffmpeg here that might")
    return found
