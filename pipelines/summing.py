"""Whether the stems of a sample sum to its mixture, in whole numbers: each stem and each sum is made anew, in 64 bits."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipelines.core.workspace import Workspace
from pipelines.mix.remix import remix

Whole = NDArray[np.int64]
How = Literal[
    "stems in the shard", "mixed by the reader", "made again from the clips", "target and residual", "not proved"
]


class Summed(NamedTuple):
    """How the stems of a sample were had, and how far their sums are off, in steps of 16 bits.

    ``target_error`` is that of the targets' stems against the sample's target; 0 where the sample holds no target, or none of its
    stems by itself.
    """

    how: How
    error: int
    target_error: int


class _Parts(NamedTuple):
    how: How
    mixture: Whole
    target: Whole | None
    stems: list[Whole]
    targets: list[Whole]


def summed(workspace: Workspace, row: Mapping[str, Any], clips: Mapping[str, Mapping[str, Any]]) -> Summed:
    """Sum the stems of one sample.

    They are the sample's own members where it holds them; those that `pipelines.mix.remix` mixes, of a recipe shard; or the
    clips of the store times their gains, each rounded. A room's sound is not made again here: a sample with rooms and without
    stems has its target and residual summed, or is not proved.

    Args:
        workspace: the run.
        row: of ``mixtures``, with its planned ``sources`` and ``length``.
        clips: clip_id -> where it lies in the clip store.

    Raises:
        RunStopped: a file of the run is gone.
    """
    parts = _parts(workspace, row, clips)
    if not parts.stems:
        return Summed(parts.how, 0, 0)
    error = _distance(parts.mixture, parts.stems)
    if parts.target is None or parts.how == "target and residual":
        return Summed(parts.how, error, 0)
    return Summed(parts.how, error, _distance(parts.target, parts.targets))


def _parts(workspace: Workspace, row: Mapping[str, Any], clips: Mapping[str, Mapping[str, Any]]) -> _Parts:
    members, sources = _members(workspace.read_range(row["tar"], row["offset"], row["size"])), row["sources"]
    if "source0.flac" in members:
        mixed, wanted, found = remix(members)
        stems = [_whole(stem) for stem in found]
        return _Parts("mixed by the reader", _whole(mixed), _whole(wanted), stems, _targets(stems, sources))
    sounds = {name.split(".")[0]: _decoded(data) for name, data in members.items() if name.endswith((".flac", ".wav"))}
    mixture, target = sounds["mixture"], sounds.get("target")
    if "stem0" in sounds:
        stems = [sounds[f"stem{number}"] for number in range(len(sources))]
        return _Parts("stems in the shard", mixture, target, stems, _targets(stems, sources))
    if not any(source["rir"] for source in sources):
        gains = zip(sources, row["gains"], strict=True)
        stems = [_stem(workspace, source, gain, row["length"], clips) for source, gain in gains]
        return _Parts("made again from the clips", mixture, target, stems, _targets(stems, sources))
    if target is not None and "residual" in sounds:
        return _Parts("target and residual", mixture, target, [target, sounds["residual"]], [])
    return _Parts("not proved", mixture, target, [], [])


def _members(sample: bytes) -> dict[str, bytes]:
    """Return the members of a sample, which lies in its tar without the tar's end, by suffix."""
    with tarfile.open(fileobj=io.BytesIO(sample + b"\0" * 1024)) as tar:
        files = ((info.name.split(".", 1)[1], tar.extractfile(info)) for info in tar)
        return {name: file.read() for name, file in files if file is not None}


def _stem(
    workspace: Workspace, source: Mapping[str, Any], gain: float, total: int, clips: Mapping[str, Mapping[str, Any]]
) -> Whole:
    """Return a clip where it lies in the mixture, times its gain, rounded to whole numbers."""
    place = clips[source["clip_id"]]
    samples = _decoded(workspace.read_range(place["tar"], place["offset"], place["size"]))
    piece = samples[(source["start"] + np.arange(source["length"])) % len(samples)]
    out = np.zeros(total, np.int64)
    out[source["at"] : source["at"] + source["length"]] = np.rint(piece.astype(np.float32) * np.float32(gain))
    return out


def _targets(stems: Sequence[Whole], sources: Sequence[Mapping[str, Any]]) -> list[Whole]:
    return [stem for stem, source in zip(stems, sources, strict=True) if source["role"] == "target"]


def _decoded(data: bytes) -> Whole:
    return _whole(soundfile.read(io.BytesIO(data), dtype="int16")[0])


def _whole(samples: NDArray[np.int16]) -> Whole:
    return samples.astype(np.int64)


def _distance(whole: Whole, parts: Sequence[Whole]) -> int:
    """Return the largest difference between a sound and the sum of its parts; no parts are silence."""
    return int(np.abs(whole - sum(parts, np.zeros_like(whole))).max(initial=0))
