"""Train with JAX or, where it is not installed, with NumPy alone: ``python train_numpy.py FOLDER``.

`Batches` is for any framework that takes arrays: dicts of NumPy arrays whose shapes never change, so that a compiled step is compiled once.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from read_plain import samples

try:
    import jax

    xp, compiled = jax.numpy, jax.jit
except ImportError:
    xp, compiled = np, lambda function: function

BANDS, WORDS, RATE = 24, 64, 0.5


@dataclass(frozen=True)
class Batches:
    """Batches of a split; each call begins a pass, and every pass is the same.

    Samples are dealt out over the ranks one by one. All ranks take equally many batches, all of one shape. What does not fill a batch of
    every rank is left out; with ``fill``, silence fills it up, where ``real`` is false.
    """

    folder: str | Path
    split: str = "train"
    batch: int = 8
    rank: int = 0
    world: int = 1
    fill: bool = False

    def __call__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield ``mixture`` and ``target``, float32 in [-1, 1), (batch, T); ``words``, (batch, WORDS); ``real``, bool, (batch,)."""
        stream = map(arrays, samples(self.folder, self.split))
        while rows := list(islice(stream, self.batch * self.world)):
            lacking = self.batch * self.world - len(rows)
            if lacking and not self.fill:
                return
            rows += [{name: np.zeros_like(value) for name, value in rows[0].items()}] * lacking
            own = rows[self.rank :: self.world]
            yield {name: np.stack([row[name] for row in own]) for name in own[0]}

    def signature(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Return shape and type of each array, as the first sample tells them."""
        first = arrays(next(iter(samples(self.folder, self.split))))
        return {name: ((self.batch, *value.shape), value.dtype) for name, value in first.items()}


def arrays(sample: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return a sample as arrays; a query is the share that each of `WORDS` hashes has in its words."""
    hashed = {zlib.crc32(word.encode()) % WORDS for word in sample["json"]["query"].lower().split()}
    words = np.zeros(WORDS, np.float32)
    words[list(hashed)] = 1 / len(hashed)
    sounds = {name: sample[name].astype(np.float32) / 32768 for name in ("mixture", "target")}
    return {**sounds, "words": words, "real": np.array(True)}


def answer(weights: Any, mixture: Any, words: Any) -> tuple[Any, Any]:
    """Return the answers, (B, T), and the mixtures' spectra; how much of a band is let through is linear in the words."""
    spectrum = xp.fft.rfft(mixture)
    mask = weights[0] + words @ weights[1:]
    return xp.fft.irfft(spectrum * mask[:, bands(spectrum)], mixture.shape[1]), spectrum


def bands(spectrum: Any) -> np.ndarray:
    """Return which band each bin of a spectrum lies in."""
    return np.arange(spectrum.shape[1]) * BANDS // spectrum.shape[1]


@compiled
def step(weights: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    """Return the weights after a step of gradient descent, scaled by each band's energy, and the mean square error before it."""
    found, spectrum = answer(weights, batch["mixture"], batch["words"])
    error, sums = xp.fft.rfft(found - batch["target"]), np.eye(BANDS)[bands(spectrum)]
    gradient = (xp.conj(spectrum) * error).real @ sums
    energy = (xp.abs(spectrum) ** 2 @ sums).sum(0)
    both = xp.concatenate([gradient.sum(0)[None], batch["words"].T @ gradient])
    return weights - RATE * both / (energy + 1e-9), xp.mean((found - batch["target"]) ** 2)


def sdri(weights: Any, batch: dict[str, Any]) -> np.ndarray:
    """Return the SDRi of a batch's mixtures whose targets are not silent, in dB."""
    found = np.asarray(answer(weights, batch["mixture"], batch["words"])[0])
    heard = batch["real"] & (batch["target"] != 0).any(1)
    error, before = (((each - batch["target"]) ** 2).sum(1)[heard] for each in (found, batch["mixture"]))
    return 10 * np.log10(before / error)


def train(folder: str | Path, passes: int = 10, taken: Callable[[Batches], Iterator[Any]] = Batches.__call__) -> float:
    """Train; return the SDRi of held-out mixtures, in dB. ``taken`` gives the arrays of a pass."""
    weights = xp.concatenate([xp.ones((1, BANDS)), xp.zeros((WORDS, BANDS))])
    data, held_out = Batches(folder), Batches(folder, "val", fill=True)
    for number in range(passes):
        for batch in taken(data):
            weights, error = step(weights, batch)
        print(f"pass {number}: loss {float(error):.6f}")
    return float(np.mean(np.concatenate([sdri(weights, batch) for batch in taken(held_out)])))


if __name__ == "__main__":
    print(f"with {xp.__name__}")
    print(f"held out: SDRi {train(sys.argv[1]):.1f} dB")
