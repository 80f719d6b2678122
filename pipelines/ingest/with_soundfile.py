"""Opening recordings with libsndfile, and with ffmpeg's help where libsndfile stops short of a file's end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from pipelines.ingest.headers import Header, read_header
from pipelines.ingest.streams import Block, Stream, Unreadable, block_frames
from pipelines.ingest.with_ffmpeg import ffmpeg_stream
from schemas.errors import Reject

_UNKNOWN = 1 << 62
"""From here up, libsndfile's number of frames means that it does not know."""
_EXACT = {"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"}
_EXACT_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_STEP = np.float32(2.0**-15)
_NO_MPEG_FRAME = 7
"""libsndfile's code for an MPEG file without a frame, which it words as a missing file."""


def soundfile_stream(path: Path, start_s: float, stop_s: float | None, timeout_s: float) -> Stream:
    """Open ``path`` with libsndfile; its content alone decides what it is.

    The file is opened by descriptor: given a name, libsndfile takes any text that is called ``.au``, ``.gsm``
    or ``.vox`` for headerless audio.

    Raises:
        Unreadable: libsndfile cannot read it, or finds no sample in it.
    """
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        header = read_header(file, os.fstat(file.fileno()).st_size)
        sound = opened.enter_context(_open(file))
        if not sound.frames:
            raise Unreadable("empty", "no sample follows its header")
        rate = sound.samplerate
        stream = Stream("soundfile", rate, sound.channels, _claim(sound, header), opened.pop_all().close)

    def blocks() -> Iterator[Block]:
        start = at = round(start_s * rate)
        try:
            for block in _read_from(sound, start):
                at += len(block)
                yield block
        except soundfile.LibsndfileError as error:
            stream.broken = error.error_string.rstrip(". ") or f"libsndfile error {error.code}"
        # libsndfile stops at the length that STREAMINFO claims, though the file may go on; bytes left unread
        # tell, for libFLAC reads ahead 8 KiB at most.
        unread = os.fstat(file.fileno()).st_size - os.lseek(file.fileno(), 0, os.SEEK_CUR)
        underclaimed = header.family == "flac" and at >= sound.frames and unread > 0
        # Of the block in which it fails, libsndfile may give wrong samples: ffmpeg goes on from before it.
        if underclaimed or (stream.broken and at > start):
            with contextlib.suppress(Unreadable, Reject):
                yield from _rest(path, stream, at, stop_s, timeout_s)

    stream.blocks = blocks()
    return stream


def _open(file: BinaryIO) -> soundfile.SoundFile:
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    try:
        return soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        words = "no frame of audio found" if error.code == _NO_MPEG_FRAME else error.error_string.rstrip(". ")
        raise Unreadable("unknown", words) from None


def _claim(sound: soundfile.SoundFile, header: Header) -> float | None:
    """Return what the header claims, in seconds; libsndfile corrects or guesses it for some families."""
    if header.family in ("riff", "flac"):
        return header.claimed_s
    if (header.family == "mp3" and not header.counted) or sound.frames >= _UNKNOWN:
        return None
    return sound.frames / sound.samplerate


def _read_from(sound: soundfile.SoundFile, skip: int) -> Iterator[Block]:
    """Yield blocks from frame ``skip`` on: by seeking where that is exact, else by decoding up to it."""
    exact = sound.format in _EXACT and sound.subtype.startswith(_EXACT_SUBTYPES) and sound.frames < _UNKNOWN
    if skip and exact:
        sound.seek(min(skip, sound.frames))
        skip = 0
    shape = block_frames(sound.channels), sound.channels
    floats = np.empty(shape, np.float32)
    # libsndfile makes floats of 16-bit samples one by one, numpy the same floats in a third of the time.
    short = sound.subtype == "PCM_16" and sound.format != "FLAC"
    room = np.empty(shape, np.int16) if short else floats
    while (left := sound.frames - sound.tell()) > 0:
        block = sound.read(out=room[: min(skip or left, left)])
        if not len(block):
            return
        if skip:
            skip -= len(block)
        elif short:
            yield np.multiply(block, _STEP, out=floats[: len(block)], dtype=np.float32)
        else:
            yield block


def _rest(path: Path, stream: Stream, at: int, stop_s: float | None, timeout_s: float) -> Iterator[Block]:
    """Yield what ffmpeg finds from frame ``at`` on, if it takes the file for the same kind of sound."""
    with contextlib.closing(ffmpeg_stream(path, at / stream.rate, stop_s, timeout_s)) as rest:
        if (rest.rate, rest.channels) == (stream.rate, stream.channels):
            yield from rest.blocks
