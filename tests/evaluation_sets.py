"""Sets of mixtures of two tones, and systems that tell them apart, for tests of evaluations; processes of their own import it too."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipelines.core.tar import member
from pipelines.publish.outbox import Outbox
from pipelines.replay.wav import float_wav
from pipelines.shards.layout import Bounds, Group, Piece
from pipelines.shards.writing import write_samples

RATE = 8000
PITCHES = {"low": 500, "high": 3000}


@dataclass(frozen=True)
class Asked:
    """A mixture of a low and a high tone of a second, at levels that its number draws.

    ``silent``: what is asked for is not in it; ``embedded``: its sample holds an embedding of the query; ``embedder``: so it
    does, and says by the model of which revision.
    """

    number: int
    query: str = "low"
    policy: str | None = "disjoint"
    classes: tuple[str, ...] = ("Hum",)
    silent: bool = False
    embedded: bool = False
    embedder: str | None = None
    split: str = "test"
    set: str = "mix"

    @property
    def key(self) -> str:
        return f"mix-{self.number:016x}"

    def sound(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mixture and target, int16."""
        low, high = (
            np.rint(level * 32768 * np.sin(2 * np.pi * PITCHES[name] * np.arange(RATE) / RATE)).astype(np.int16)
            for name, level in zip(PITCHES, np.random.default_rng(self.number).uniform(0.1, 0.4, 2), strict=True)
        )
        target = low if self.query == "low" else high
        return (low + high - target, np.zeros_like(target)) if self.silent else (low + high, target)

    def members(self) -> dict[str, bytes]:
        """Return the members of its sample."""
        facts = {"mixture_id": self.key, "query": self.query, "policy": self.policy, "sample_rate": RATE}
        facts |= {"split": self.split, "set": self.set, "target_class_names": list(self.classes)}
        facts |= {"embedder": {"name": "ear", "revision": self.embedder}} if self.embedder else {}
        mixture, target = (_wav(samples) for samples in self.sound())
        files = {"mixture.wav": mixture, "target.wav": target, "json": json.dumps(facts).encode()}
        return files | ({"query.npy": _npy(PITCHES[self.query])} if self.embedded or self.embedder else {})


@dataclass
class _Samples:
    asked: Sequence[Asked]

    def groups(self) -> list[Group]:
        return sorted({Group(each.set, each.split) for each in self.asked})

    def pieces(self, group: Group) -> Iterator[Piece]:
        for place, each in enumerate(self.asked):
            if Group(each.set, each.split) == group:
                piece = Piece(each.key, "", place, 0)
                yield Piece(each.key, "", place, len(self.read(piece)))

    def read(self, piece: Piece) -> bytes:
        each = self.asked[piece.offset]
        return b"".join(member(f"{each.key}.{name}", data) for name, data in each.members().items())


def dataset_of(folder: Path, *asked: Asked) -> Path:
    """Return a dataset folder of these mixtures, in this order; it has what a loader reads."""
    folder.mkdir(parents=True, exist_ok=True)
    box = Outbox(folder)
    sizes = write_samples(_Samples(asked), Bounds(3, 10**9), box, lambda group, found: None)
    box.close()
    (folder / "sizes.json").write_text(json.dumps(sizes))
    return folder


def list_of(folder: Path, *asked: Asked, name: str = "esc50") -> Path:
    """Return a folder of these mixtures as `earloom replay` writes it."""
    folder.mkdir(parents=True)
    lines = ["number,query,shared"]
    for each in asked:
        mixture, target = (samples.astype(np.float32) / 32768 for samples in each.sound())
        (folder / f"mixture-{each.number}.wav").write_bytes(float_wav(mixture, RATE))
        (folder / f"segment-{each.number}.wav").write_bytes(float_wav(target, RATE))
        lines.append(f"{each.number},{each.query},{'equal' if each.number % 2 else 'none'}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    (folder / "manifest.json").write_text(json.dumps({"list": name, "sample_rate": RATE}))
    return folder


def some(count: int = 6) -> list[Asked]:
    """Return mixtures of two classes and policies."""
    return [
        Asked(n, ("low", "high")[n % 2], ("disjoint", "plausible")[n % 3 == 0], (("Hum",), ("Hum", "Whistle"))[n % 2])
        for n in range(count)
    ]


def band(mixture: np.ndarray, rate: int, query: str) -> np.ndarray:
    """Separate by half of the spectrum."""
    spectrum = np.fft.rfft(mixture)
    lower = np.arange(len(spectrum)) < len(spectrum) // 2
    spectrum[lower if query == "high" else ~lower] = 0
    made: np.ndarray = np.fft.irfft(spectrum, len(mixture)).astype(np.float32)
    return made


def without(mixture: np.ndarray, rate: int, query: str, task: str = "extraction") -> np.ndarray:
    """Separate, or remove, by half of the spectrum."""
    found = band(mixture, rate, query)
    return mixture - found if task == "removal" else found


def same(mixture: np.ndarray, rate: int, query: str) -> np.ndarray:
    """Give the mixture back."""
    return mixture


def picky(mixture: np.ndarray, rate: int, query: str) -> np.ndarray:
    """Fail where a low tone is asked for."""
    if query == "low":
        raise ValueError("too low for me\nand more")
    return mixture


def full(mixture: np.ndarray, rate: int, query: str) -> np.ndarray:
    """Find the machine's memory used up."""
    raise MemoryError("no room")


def column(mixture: np.ndarray, rate: int, query: str) -> np.ndarray:
    """Give one dimension too many."""
    return mixture[None]


number = 3


def _wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _npy(pitch: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([np.cos(pitch), np.sin(pitch)], np.float16))
    return buffer.getvalue()


def written(path: Path, samples: Any, rate: int = RATE) -> Path:
    """Write a sound of 32-bit float; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT" if path.suffix == ".wav" else "PCM_16")
    return path
