"""Loading mixtures for training beside bare webdataset, and both beside bare decoding.

    python benchmarks/loading.py [--mixtures 96] [--rounds 7] [--forms stored recipe] [--seconds 10 5]

A dataset folder of synthesised sounds; every way decodes the same bytes to the same floats. Bare: the members of all samples lie in memory
and are decoded. webdataset: `WebDataset` reads the tars from first byte to last and decodes likewise; in batches, it collates to tensors.
Ours: `trainers.loader`, in random order. All ways in turns, the median of each; rates are of processor time, the workers' included,
which other work on the machine does not count in. Those by the clock on the wall stand beside them.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import torch
import webdataset
from torch.utils.data import DataLoader

from pipelines.core.tar import member
from pipelines.ingest.store import encode_flac
from pipelines.mix.remix import remix
from pipelines.publish.outbox import Outbox
from pipelines.sample.synth import SOUNDS
from pipelines.shards.layout import Bounds, Group, Piece
from pipelines.shards.writing import write_samples
from trainers.loader import Loader, Mixtures

BATCH, SHARD = 16, 24
RATES = {10.0: 32_000, 5.0: 16_000}
"""Seconds of the mixtures -> samples per second."""


@dataclass
class Made:
    """So many mixtures of two sounds each, as a dataset folder takes its samples."""

    count: int
    seconds: float
    rate: int
    form: str

    def groups(self) -> list[Group]:
        """Return the one group."""
        return [Group("mix", "train")]

    def pieces(self, group: Group) -> Iterator[Piece]:
        """Yield the samples' places."""
        return (Piece(f"mix-{number:016x}", "", number, len(self.read_number(number))) for number in range(self.count))

    def read(self, piece: Piece) -> bytes:
        """Return a sample."""
        return self.read_number(piece.offset)

    def read_number(self, number: int) -> bytes:
        """Return a sample by its number."""
        key, length = f"mix-{number:016x}", round(self.seconds * self.rate)
        stems = [self.sound(number * step % len(SOUNDS), length) for step in (1, 7)]
        sources = [
            {"role": role, "start": 0, "at": 0, "length": length, "gain": 0.5, "rir": None}
            for role in ("target", "interferer")
        ]
        facts = {"query": f"sound {number}", "split": "train", "sample_rate": self.rate, "length": length}
        facts |= {"sources": sources, "instruction_extract": "Extract the dog barking.", "target_classes": ["/m/1"] * 3}
        sounds = {"mixture": stems[0] + stems[1], "target": stems[0]}
        if self.form == "recipe":
            sounds = {f"source{at}": stem for at, stem in enumerate(stems)}
        files = {f"{name}.flac": encode_flac(samples, self.rate) for name, samples in sounds.items()}
        files["json"] = json.dumps(facts).encode()
        return b"".join(member(f"{key}.{name}", data) for name, data in files.items())

    def sound(self, number: int, length: int) -> np.ndarray:
        """Return a sound with a little noise."""
        generator = np.random.default_rng(number)
        sound = SOUNDS[number].synth(generator, self.seconds, self.rate)
        # Recordings have noise, which costs an encoder of sound its bits.
        noisy = np.resize(sound / np.abs(sound).max(), length) + 0.01 * generator.standard_normal(length)
        return np.rint(9000 * noisy).astype(np.int16)


def written(folder: Path, made: Made) -> Path:
    """Write the folder; return it."""
    folder.mkdir()
    box = Outbox(folder)
    sizes = write_samples(made, Bounds(SHARD, 10**9), box, lambda group, found: None)
    (folder / "sizes.json").write_text(json.dumps(sizes))
    box.close()
    return folder


def decoded(sample: dict[str, Any]) -> dict[str, Any]:
    """Return mixture and target as floats: what every way does."""
    if "source0.flac" in sample:
        mixture, target, _ = remix(sample)
        sounds = [np.multiply(each, np.float32(1 / 32768), dtype=np.float32) for each in (mixture, target)]
    else:
        both = (io.BytesIO(sample[f"{name}.flac"]) for name in ("mixture", "target"))
        sounds = [soundfile.read(each, dtype="float32")[0] for each in both]
    record = json.loads(sample["json"])
    return {"key": sample["__key__"], "record": record, "mixture": sounds[0], "target": sounds[1]}


def tensors(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Return samples as a batch, as everyone collates them."""
    stacked = {name: torch.from_numpy(np.stack([each[name] for each in samples])) for name in ("mixture", "target")}
    return {name: [each[name] for each in samples] for name in ("key", "record")} | stacked


def web(folder: Path) -> webdataset.WebDataset:
    """Return the samples in the order of the tars."""
    tars = [path.as_uri() for path in sorted(folder.glob("*.tar"))]
    return webdataset.WebDataset(tars, shardshuffle=False).map(decoded)


def ways(folder: Path) -> dict[str, Callable[[], Iterable[Any]]]:
    """Return every way to go through the samples once."""
    raw = list(webdataset.WebDataset([path.as_uri() for path in sorted(folder.glob("*.tar"))], shardshuffle=False))
    mixtures = Mixtures(folder, "train")
    order = np.random.default_rng(0).permutation(len(mixtures)).tolist()
    # Each keeps its memory over passes, of which the first is not counted.
    alone, with_workers = Loader(mixtures, BATCH), Loader(mixtures, BATCH, workers=2)
    in_workers: dict[str, Any] = {"batch_size": None, "num_workers": 2}
    return {
        "bare decoding": lambda: map(decoded, raw),
        "webdataset": lambda: web(folder),
        "`Mixtures[i]`": lambda: (mixtures[number] for number in order),
        "webdataset, batches": lambda: web(folder).batched(BATCH, collation_fn=tensors),
        "`Loader`": lambda: alone,
        "webdataset, batches, 2 workers": lambda: DataLoader(
            web(folder).batched(BATCH, collation_fn=tensors), **in_workers
        ),
        "`Loader`, 2 workers": lambda: with_workers,
    }


def timed(way: Callable[[], Iterable[Any]]) -> tuple[float, float]:
    """Return the seconds of processor time, workers' included, and those on the wall, of one pass."""
    began, own = time.perf_counter(), spent()
    for _ in way():
        pass
    return spent() - own, time.perf_counter() - began


def spent() -> float:
    """Return the processor time of this process and of those that it has ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def main() -> None:
    """Print a table per form and size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixtures", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--forms", nargs="+", default=["stored", "recipe"])
    parser.add_argument("--seconds", nargs="+", type=float, default=list(RATES))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*fork.*")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for form in options.forms:
            for seconds, rate in ((seconds, RATES[seconds]) for seconds in options.seconds):
                folder = written(Path(name) / f"{form}-{rate}", Made(options.mixtures, seconds, rate, form))
                print(
                    f"\n{form}, {seconds:g} s at {rate} Hz, {options.mixtures} mixtures, {options.rounds} rounds\n",
                    flush=True,
                )
                print(
                    "| way | mixtures/s | share of bare decoding | of webdataset | of its batches | mixtures/s, wall |"
                )
                print("|---|---|---|---|---|---|")
                found = ways(folder)
                times = [[timed(way) for way in found.values()] for _ in range(options.rounds + 1)][1:]
                taken = {way: median(each[at][0] for each in times) for at, way in enumerate(found)}
                wall = {way: median(each[at][1] for each in times) for at, way in enumerate(found)}
                for way in found:
                    alike = "webdataset, batches" + (", 2 workers" if "workers" in way else "")
                    shares = (taken[each] / taken[way] for each in ("bare decoding", "webdataset", alike))
                    rates = (options.mixtures / each[way] for each in (taken, wall))
                    first, second, third = (f"{share:.0%}" for share in shares)
                    print(
                        f"| {way} | {next(rates):.0f} | {first} | {second} | {third} | {next(rates):.0f} |", flush=True
                    )


if __name__ == "__main__":
    main()
