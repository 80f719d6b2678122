"""Writes audio files whose bytes depend on their samples alone, and breaks them as real ones are broken."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

Defect = Literal["missing", "empty", "not_audio", "truncated", "zero_frames", "silent"]

OGG_POLYNOMIAL = 0x04C11DB7  # RFC 3533, section 6: neither reflected nor inverted


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (OGG_POLYNOMIAL if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


def with_serial(ogg: bytes, serial: int) -> bytes:
    """Return the Ogg stream ``ogg`` with the serial number ``serial`` on every page (RFC 3533, section 6).

    libsndfile draws the serial number at random, so the same samples would give other bytes each time.
    """
    data, table, page = bytearray(ogg), _crc_table(), 0
    while page < len(data):
        segments = data[page + 26]
        end = page + 27 + segments + sum(data[page + 27 : page + 27 + segments])
        struct.pack_into("<I", data, page + 14, serial)
        struct.pack_into("<I", data, page + 22, 0)
        crc = 0
        for byte in data[page:end]:
            crc = ((crc << 8) & 0xFFFFFFFF) ^ table[(crc >> 24) ^ byte]
        struct.pack_into("<I", data, page + 22, crc)
        page = end
    return bytes(data)


def write_audio(path: Path, audio: NDArray[np.float32], rate: int) -> None:
    """Write ``audio`` (n, channels), within ±1, in the suffix's format: 16-bit .wav or .flac, .ogg, .mp3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="PCM_16" if path.suffix in (".wav", ".flac") else None)
    if path.suffix == ".ogg":
        path.write_bytes(with_serial(path.read_bytes(), 1))


def _flac_header(flac: bytes) -> bytes:
    """Return the metadata blocks of a FLAC, which claim no samples (RFC 9639, sections 8.1 and 8.2)."""
    end, last = 4, False
    while not last:
        last = bool(flac[end] & 0x80)
        end += 4 + int.from_bytes(flac[end + 1 : end + 4], "big")
    head = bytearray(flac[:end])
    head[21] &= 0xF0  # the number of samples: the low four bits of byte 21 and the four bytes after it
    head[22:26] = bytes(4)
    return bytes(head)


def write_broken(path: Path, audio: NDArray[np.float32], rate: int, defect: Defect) -> None:
    """Write what ``defect`` makes of the file ``path`` that should have held ``audio`` (n, channels).

    ``missing`` writes nothing; ``empty`` 0 bytes; ``not_audio`` a text; ``truncated`` the first 60% of the
    bytes, under a header that promises all; ``zero_frames`` a header alone; ``silent`` zeros.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if defect == "empty":
        path.write_bytes(b"")
    elif defect == "not_audio":
        path.write_text("404 Not Found: a page saved under the name of a recording.\n", encoding="utf-8")
    elif defect == "truncated":
        write_audio(path, audio, rate)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
    elif defect == "zero_frames":
        write_audio(path, audio[:0], rate)
        if path.suffix == ".flac":  # libsndfile writes no byte of a FLAC without frames
            write_audio(path, audio, rate)
            path.write_bytes(_flac_header(path.read_bytes()))
    elif defect == "silent":
        write_audio(path, np.zeros_like(audio), rate)
