"""Mixes a sample of a recipe shard. Needs numpy, soundfile and the standard library alone, so that it can go where the shards go."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from functools import reduce

import numpy as np
import soundfile
from numpy.typing import NDArray


def remix(sample: Mapping[str, bytes]) -> tuple[NDArray[np.int16], NDArray[np.int16], list[NDArray[np.int16]]]:
    """Return mixture, target and stems of a sample of a recipe shard: the same integers as a stored shard holds.

    The residual is ``mixture - target``, exactly; the target is all zeros where nothing that sounds is asked for.

    Args:
        sample: member suffix -> bytes: ``json``, and ``source0.flac``, ``source1.flac`` and so on in the order of the JSON's
            ``sources``, each of which tells ``role``, ``start``, ``at``, ``length``, ``gain`` and ``rir``. A source that is
            heard in a room (``rir``) lies in its member as it sounds there, over the whole mixture; of any other
            ``length`` samples from ``start`` on go to ``at``. Further members are passed over.

    Returns:
        int16 of shape (n,), n being the JSON's ``length``; the stems in the order of ``sources``.

    Raises:
        ValueError: the members are not what the JSON says.
        KeyError: a member, or a key of the JSON, is missing.
    """
    facts = json.loads(sample["json"])
    total, rate, stems = facts["length"], facts["sample_rate"], []
    for number, source in enumerate(facts["sources"]):
        name = f"source{number}.flac"
        samples, own = soundfile.read(io.BytesIO(sample[name]), dtype="int16")
        if own != rate:
            raise ValueError(f"{name} has {own} samples per second, the mixture {rate}")
        start, at, length = (0, 0, total) if source["rir"] else (source["start"], source["at"], source["length"])
        stems.append(scaled(place(samples, start, at, length, total), source["gain"]))
    targets = [stem for stem, source in zip(stems, facts["sources"], strict=True) if source["role"] == "target"]
    return added(stems, total), added(targets, total), stems


def place(samples: NDArray[np.int16], start: int, at: int, length: int, total: int) -> NDArray[np.int16]:
    """Return ``total`` samples, zero but for ``length`` samples from ``start`` on laid at ``at``.

    Where the clip ends before, it begins again: ``samples`` are taken as a loop.

    Args:
        samples: int16, shape (n,), n >= 1.
        start: first sample that is used, in [0, n).
        at: where it goes, at least 0.
        length: how many samples, at least 1; ``at + length`` is at most ``total``.
        total: samples of the mixture.

    Raises:
        ValueError: the piece does not lie within the clip and the mixture.
    """
    if not 0 <= start < len(samples) or at < 0 or length < 1 or at + length > total:
        raise ValueError(
            f"a piece of {length} samples from {start} at {at} does not fit into {total} (clip has {len(samples)})"
        )
    if length == total == len(samples) and start == 0:
        return samples
    out = np.zeros(total, dtype=np.int16)
    while length:
        piece = samples[start : start + length]
        out[at : at + len(piece)] = piece
        start, at, length = 0, at + len(piece), length - len(piece)
    return out


def scaled(samples: NDArray[np.int16], gain: float) -> NDArray[np.int16]:
    """Return ``samples`` times ``gain``, rounded to the nearest integer (ties to even); the product must fit 16 bits.

    The product is taken in float32, whose 24 bits hold any 16-bit sample times any gain to within rounding.
    """
    if gain == 1.0:
        return samples
    product = samples * np.float32(gain)
    return np.rint(product, out=product).astype(np.int16)


def added(stems: Iterable[NDArray[np.int16]], total: int) -> NDArray[np.int16]:
    """Return the sum of stems of ``total`` samples, zeros where there are none.

    The gains of a sample keep every such sum within 16 bits; a partial sum that wraps comes back.
    """
    found = list(stems)
    return reduce(np.add, found) if found else np.zeros(total, dtype=np.int16)
