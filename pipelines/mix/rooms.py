"""Rooms: impulse responses from a folder of sound files, and a source as it is heard through one of them."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy import fft

from schemas.errors import UserError

SUFFIXES = frozenset({".wav", ".flac"})

DIRECT_S = 0.0025
"""The direct sound is what lies this near the largest magnitude, as direct-to-reverberant ratios are commonly taken."""


def room_names(folder: str | Path) -> list[str]:
    """Return the impulse responses of a folder, by their paths within it, sorted.

    Raises:
        UserError: there is no such folder, or no WAV or FLAC file in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"mix.rirs: {root.name}: no such folder under data.root; name one of impulse responses")
    found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(f"mix.rirs: {root.name}: holds no WAV or FLAC file; name a folder of impulse responses")
    return sorted(found)


def rooms_hash(folder: str | Path) -> str:
    """Return the sha256 of the names and bytes of a folder's impulse responses, in hexadecimal.

    Raises:
        UserError: as `room_names`, or a file cannot be read, is no sound, or silent: now, before hours of work need it.
    """
    told = hashlib.sha256()
    for name in room_names(folder):
        data = _bytes(Path(folder) / name)
        _samples(data, name)
        told.update(f"{name}\n{hashlib.sha256(data).hexdigest()}\n".encode("utf-8", "surrogateescape"))
    return told.hexdigest()


@lru_cache(maxsize=256)
def impulse(path: str, rate: int) -> tuple[NDArray[np.float64], int]:
    """Return an impulse response whose direct sound has the energy 1, and the sample at which that arrives.

    So a source keeps about the level that it has without the room, and its place in time. Of several channels the first is
    taken: their mean would comb.

    Args:
        path: the file.
        rate: samples per second that it is brought to (soxr, quality HQ).

    Raises:
        UserError: it is no sound file, or silent.
    """
    name = Path(path).name
    samples, own = _samples(_bytes(Path(path)), name)
    found = samples if own == rate else soxr.resample(samples, own, rate, quality="HQ")
    arrives = int(np.abs(found).argmax()) if len(found) else 0
    near = round(DIRECT_S * rate)
    direct = float(np.sum(np.square(found[max(0, arrives - near) : arrives + near + 1])))
    if not direct:
        raise UserError(_silent(name))
    return found / np.sqrt(direct), arrives


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"mix.rirs: {path.name}: cannot be read ({error.strerror})") from None


def _samples(data: bytes, name: str) -> tuple[NDArray[np.float64], int]:
    """Return the first channel of an impulse response and its rate. Raises UserError where it is no sound, or silent."""
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    except soundfile.LibsndfileError:
        raise UserError(f"mix.rirs: {name}: is no sound file that can be read; remove it") from None
    if not np.isfinite(samples).all():
        raise UserError(f"mix.rirs: {name}: holds what is no finite number; remove it")
    if not samples[:, 0].any():
        raise UserError(_silent(name))
    return samples[:, 0], rate


def _silent(name: str) -> str:
    return f"mix.rirs: {name}: is silent; remove it"


def heard_in(samples: NDArray[np.int16], room: tuple[NDArray[np.float64], int]) -> NDArray[np.int16]:
    """Return a source as it is heard in a room: as many samples, rounded; what rings on beyond them is cut off.

    A sound that the room makes too loud for 16 bits is turned down to full scale; the level rules come after.

    Args:
        samples: int16, shape (n,), where they lie in the mixture.
        room: an `impulse`.
    """
    response, arrives = room
    size = fft.next_fast_len(len(samples) + len(response) - 1, real=True)
    # In float64: in float32 another processor's last bit could round to another integer.
    spectrum = fft.rfft(samples.astype(np.float64), size) * fft.rfft(response, size)
    wet = fft.irfft(spectrum, size)[arrives : arrives + len(samples)]
    wet *= min(1.0, 32767 / max(1.0, float(np.abs(wet).max())))
    return np.rint(wet).astype(np.int16)
