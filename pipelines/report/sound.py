"""What the page lets one hear: stored audio as it is, or its loudest part where there is no room for all."""

from __future__ import annotations

import base64
import contextlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac, from_store
from pipelines.report.image import mel_power, spectrogram_png
from pipelines.shards.read import decoded
from schemas.errors import RunStopped

Samples = NDArray[np.int16]

VIEW_S = 30.0
"""Longest stretch of a clip, in seconds, that is drawn; its end is left out of sight and hearing."""

AUDIO_BYTES = 9_800_000
"""FLAC on the whole page: base64 adds a third, and with pictures and words the page must stay below 15 MB."""


@dataclass(frozen=True)
class Sound:
    """Something to be heard: int16 samples of shape (n,), n >= 1, of at most ``VIEW_S`` seconds.

    ``flac`` holds these very samples; ``whole_s`` is how long the stored sound is; ``quieter`` says that the
    samples are half of what they should be, since the real ones do not fit into 16 bits.
    """

    label: str
    samples: Samples
    rate: int
    flac: bytes
    whole_s: float
    quieter: bool = False


def read_part(workspace: Workspace, row: dict[str, Any]) -> bytes:
    """Return the bytes at a row's ``tar``, ``offset``, ``size``; RunStopped if the tar lacks them."""
    return workspace.read_range(row["tar"], row["offset"], row["size"])


def clip_sound(workspace: Workspace, row: dict[str, Any], label: str) -> Sound:
    """Return a clip of the store; RunStopped where its bytes are no sound."""
    flac = read_part(workspace, row)
    with _sound_of(workspace, row):
        samples, rate = from_store(flac)
    return _viewed(label, samples, rate, flac)


def mixture_sounds(workspace: Workspace, row: dict[str, Any]) -> list[Sound]:
    """Return the mixture, its target and its residual, which is their difference, sample by sample.

    They are as stored or, of shards that hold sources alone, as these mix. RunStopped where the sample's bytes are none.
    """
    with _sound_of(workspace, row):
        # A sample's place in a shard spans its members alone; two empty blocks make it a whole tar.
        with tarfile.open(fileobj=io.BytesIO(read_part(workspace, row) + b"\0" * 1024)) as tar:
            members = {info.name.split(".", 1)[1]: file.read() for info in tar if (file := tar.extractfile(info))}
        sounds = decoded(members)
    rate = row["sample_rate"]
    mixture, target = (
        _viewed(name, sounds[name], rate, encode_flac(sounds[name], rate)) for name in ("mixture", "target")
    )
    return [mixture, target, _residual(mixture, target)]


@contextlib.contextmanager
def _sound_of(workspace: Workspace, row: dict[str, Any]) -> Iterator[None]:
    """Tell in one line of a sample or clip that cannot be read."""
    try:
        yield
    except (tarfile.TarError, soundfile.LibsndfileError, KeyError, ValueError, IndexError) as error:
        raise RunStopped(f"{workspace.path(row['tar'])}: was altered; `earloom verify` says more") from error


def _residual(mixture: Sound, target: Sound) -> Sound:
    rest = mixture.samples.astype(np.int32) - target.samples.astype(np.int32)
    quieter = int(np.abs(rest).max()) > 32767
    samples = (np.rint(rest / 2) if quieter else rest).astype(np.int16)
    flac = encode_flac(samples, mixture.rate)
    return Sound("residual", samples, mixture.rate, flac, mixture.whole_s, quieter)


def _viewed(label: str, samples: Samples, rate: int, flac: bytes) -> Sound:
    most = round(VIEW_S * rate)
    if len(samples) <= most:
        return Sound(label, samples, rate, flac, len(samples) / rate)
    return Sound(label, samples[:most], rate, encode_flac(samples[:most], rate), len(samples) / rate)


def level(sizes: list[int], budget: int) -> int:
    """Return the largest cap for which ``min(size, cap)`` over all ``sizes`` sum to at most ``budget``."""
    left, cap = budget, max(sizes, default=0)
    for rank, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - rank)
        if size > share:
            return share
        left -= size
    return cap


def loudest(samples: Samples, length: int) -> int:
    """Return where the ``length`` samples of most energy begin, the first of equals."""
    energy = np.concatenate([[0], np.cumsum(samples.astype(np.int64) ** 2)])
    return int(np.argmax(energy[length:] - energy[:-length]))


def heard(sounds: list[Sound], lead: Sound, cap: int) -> tuple[list[bytes], int, int]:
    """Return FLAC of at most ``cap`` bytes of each of ``sounds``, its first sample and its number of samples.

    The sounds are equally long. All of them is given where each fits, else the same stretch of each, where
    ``lead`` is loudest.
    """
    total, largest = len(lead.samples), max(len(sound.flac) for sound in sounds)
    if largest <= cap:
        return [sound.flac for sound in sounds], 0, total
    length = max(1, total * cap // largest)
    while True:
        first = loudest(lead.samples, length)
        flacs = [encode_flac(sound.samples[first : first + length], sound.rate) for sound in sounds]
        if max(map(len, flacs)) <= cap or length == 1:
            return flacs, first, length
        length = max(1, length * 9 // 10)


def views(sounds: list[Sound], lead: Sound, cap: int) -> list[dict[str, Any]]:
    """Return equally long sounds as the page shows them: audio, picture, and which part is heard.

    Colours are relative to the loudest in the first of them, so that pictures side by side can be compared.
    """
    flacs, first, length = heard(sounds, lead, cap)
    powers = [mel_power(sound.samples, sound.rate) for sound in sounds]
    total, reference = len(lead.samples), float(powers[0].max())
    return [
        {
            "label": sound.label,
            "audio": _data_uri("audio/flac", flac),
            "picture": _data_uri("image/png", spectrogram_png(power, reference)),
            "rate": sound.rate,
            "seconds": total / sound.rate,
            "whole_s": sound.whole_s,
            "quieter": sound.quieter,
            "from_s": first / sound.rate,
            "to_s": (first + length) / sound.rate,
            "cut": length < total,
            "before": 100 * first / total,
            "after": 100 * (total - first - length) / total,
        }
        for sound, flac, power in zip(sounds, flacs, powers, strict=True)
    ]


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
