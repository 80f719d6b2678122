"""What a sound file's first bytes say: its family, its claimed length, and whether anything follows."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"OggS", "ogg"),
    (0, b".snd", "au"),
    (0, b"caff", "caf"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (4, b"ftyp", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (8, b"AVI ", "avi"),
    (0, b"wvpk", "wavpack"),
    (0, b"MAC ", "ape"),
    (0, b"MP+", "musepack"),
    (0, b"MPCK", "musepack"),
    (0, b"DSD ", "dsf"),
    (0, b"#!AMR", "amr"),
    (0, b"TTA1", "tta"),
    (0, b"tBaK", "tak"),
    (0, b"FLV\x01", "flv"),
    (0, b"Creative Voice File\x1a", "voc"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
)
_BY_BLOCKS = {1, 3, 6, 7, 0xFFFE}
"""WAVE format tags of which ``nBlockAlign`` bytes are one frame: PCM, float, A-law, mu-law, extensible."""
_UNFINISHED = 0x7FFFF000
"""Writers that cannot seek back leave a data size from here up: it is no claim at all."""
_MOST_CHUNKS = 1000


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        family: family of formats, e.g. ``riff``, ``flac``, ``mp3``; None: no known one.
        claimed_s: length in seconds that a RIFF or FLAC header claims; None: another family, or no claim.
        hollow: the header is whole and the file ends with it.
        counted: an MP3 file counts its frames (Xing, Info or VBRI); without that its length is a guess.
    """

    family: str | None
    claimed_s: float | None = None
    hollow: bool = False
    counted: bool = False


def read_header(file: BinaryIO, size: int) -> Header:
    """Read the header of an open file of ``size`` bytes; reads little, whatever it holds."""
    file.seek(0)
    head = file.read(12)
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        # Four bytes of seven bits (ID3v2.4, section 3.1); FLAC files may carry such tags too.
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(start)
        head = file.read(12)
    if head[:4] == b"fLaC":
        return _flac(file, start, size)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return _wave(file, start, head[:4], size)
    if start and start >= size:
        return Header("mp3", hollow=True)
    if start or _is_mpeg_frame(head):
        file.seek(start)
        frame = file.read(200)
        return Header(
            "mp3",
            counted=frame[36:40] == b"VBRI" or any(frame[i : i + 4] in (b"Xing", b"Info") for i in (13, 21, 36)),
        )
    return Header(next((name for at, magic, name in _MAGIC if head[at : at + len(magic)] == magic), None))


def _is_mpeg_frame(head: bytes) -> bool:
    """Say whether ``head`` begins with a frame header of MPEG audio layer II or III (ISO 11172-3, 2.4.1.3).

    Layer I is left out: with it the byte order mark of UTF-16 text would do.
    """
    return (
        len(head) >= 4
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08
        and head[1] & 0x06 in (0x02, 0x04)
        and head[2] & 0xF0 != 0xF0
        and head[2] & 0x0C != 0x0C
    )


def _flac(file: BinaryIO, start: int, size: int) -> Header:
    """Read STREAMINFO (RFC 9639, section 8.2) and see where the metadata blocks end."""
    at, claimed, whole = start + 4, None, False
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        block = file.read(4 + 34)
        if len(block) < 4:
            break
        kind, length = block[0] & 0x7F, int.from_bytes(block[1:4], "big")
        if kind == 0 and length == 34 and len(block) == 38:
            whole = True
            packed = int.from_bytes(block[14:22], "big")
            rate, frames = packed >> 44, packed & (1 << 36) - 1
            claimed = frames / rate if rate and frames else None
        at += 4 + length
        if block[0] & 0x80:
            break
    return Header("flac", claimed, hollow=whole and at == size)


def _wave(file: BinaryIO, start: int, magic: bytes, size: int) -> Header:
    """Walk the chunks of a RIFF, RIFX or RF64 file up to its ``data`` chunk."""
    order = ">" if magic == b"RIFX" else "<"
    at, rate, frame_bytes, counted, long_size = start + 12, 0, 0, None, None
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        chunk = file.read(8 + 16)
        if len(chunk) < 8:
            break
        name, length = chunk[:4], struct.unpack(order + "I", chunk[4:8])[0]
        if name == b"ds64" and len(chunk) == 24:
            long_size = struct.unpack(order + "Q", chunk[16:24])[0]
        elif name == b"fmt " and len(chunk) == 24 and at + 8 + length <= size:
            tag, _, rate, _, align, _ = struct.unpack(order + "HHIIHH", chunk[8:24])
            frame_bytes = align if tag in _BY_BLOCKS else 0
        elif name == b"fact" and len(chunk) >= 12:
            counted = struct.unpack(order + "I", chunk[8:12])[0]
        elif name == b"data":
            length = long_size if length == 0xFFFFFFFF and long_size is not None else length
            unfinished = length >= _UNFINISHED and at + 8 + length > size
            frames = length / frame_bytes if frame_bytes else counted
            claimed = frames / rate if rate and frames is not None and not unfinished else None
            return Header("riff", claimed, hollow=bool(rate) and at + 8 >= size)
        at += 8 + length + length % 2
    return Header("riff", hollow=bool(rate) and at == size)
