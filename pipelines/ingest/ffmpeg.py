"""The ffmpeg of this machine as a process: its binary, its command line, its output and its log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.ingest.headers import read_header
from schemas.errors import Reject

_ERROR = re.compile(r"^(?:\[[^\]\n]* @ 0x[0-9a-f]+\] )*\[(?:error|fatal)\] (.*)", re.MULTILINE)
"""A line of the log that says what went wrong."""
_DURATION = re.compile(r"^\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
"""The container's length in the log: hours, minutes, seconds."""
_MAPPED = "\n[info] Stream mapping:"
"""What the log says between what is in the file and how decoding it goes."""
_MOST_LOG = 1 << 20
"""Bytes of the log that are kept, the first: a broken film may complain of every packet."""
_PIPE_BYTES = 1 << 20
"""Bytes that ffmpeg may be ahead of its reader."""


class Ffmpeg:
    """A running ffmpeg whose output is read in pieces and whose log is kept beside it.

    Args:
        command: as :func:`command_line` gives it; it reads ``file:/dev/stdin`` and writes to ``pipe:1``.
        path: the file. ffmpeg gets it open and not its name, so that its content alone decides what it is.
        timeout_s: seconds that ffmpeg may be silent.
    """

    def __init__(self, command: list[str], path: Path, timeout_s: float) -> None:
        with path.open("rb") as file:
            self._process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._timeout_s, self._ready, self._log = timeout_s, bytearray(), bytearray()
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._output, self._complaints = self._process.stdout, self._process.stderr
        # With a larger pipe, where one can be had, ffmpeg decodes on while a block is served.
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._selector.register(self._output, selectors.EVENT_READ)
        self._selector.register(self._complaints, selectors.EVENT_READ)

    @property
    def log(self) -> str:
        """What it has said so far, up to 1 MiB."""
        return self._log.decode(errors="replace")

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes of output; fewer only at its end.

        Raises:
            Reject: ``decode_timeout``.
        """
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

    def end(self) -> tuple[int, list[str]]:
        """Return the exit code and what went wrong in decoding, once all output is read.

        What ffmpeg has against tags and pictures it says before it maps the streams.
        """
        return self._process.wait(), _ERROR.findall(while_decoding(self.log))

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._output.close()
        self._complaints.close()


def while_decoding(log: str) -> str:
    """Return what a log says of decoding; empty: ffmpeg did not come to it."""
    return log.partition(_MAPPED)[2]


def first_error(log: str) -> str:
    """Return the first thing that went wrong, in ffmpeg's words."""
    first = _ERROR.search(log)
    return first[1].rstrip(". ") if first else "no reason given"


def claimed_s(path: Path, log: str) -> float | None:
    """Return the length that a file's container states, in seconds; None: it states none.

    Args:
        path: the file.
        log: what ffmpeg said of it. A length of 0.00 there is one rounded down, and an estimate is no statement.
    """
    with path.open("rb") as file:
        header = read_header(file, os.fstat(file.fileno()).st_size)
    if header.family in ("riff", "flac"):
        return header.claimed_s
    found = _DURATION.search(log)
    if not found or "Estimating duration" in log:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) or None


def command_line(output: Any) -> list[str]:
    """Return the command that makes an output of ffmpeg-python's, with a log as this module reads it.

    Raises:
        Reject: ``no_decoder`` (there is no ffmpeg).
    """
    quiet = output.global_args("-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info")
    command: list[str] = quiet.compile(cmd=binary())
    return command


@lru_cache(maxsize=1)
def binary() -> str:
    """Return the path of the ffmpeg that imageio-ffmpeg carries, else of the machine's own.

    Raises:
        Reject: ``no_decoder`` (there is neither).
    """
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        found = shutil.which("ffmpeg")
    if found is None:
        raise Reject("no_decoder", "libsndfile cannot read it, and there is no ffmpeg here that might")
    return found
