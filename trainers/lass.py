"""Train and measure a small language-queried separator on mixture shards: ``python -m trainers.lass SHARDS``.

What it is: a baseline that shows that the shards teach something, on a CPU and in minutes. A three-level
U-Net of 58 thousand weights, beside a table of word vectors, estimates a magnitude mask in [0, 1] for the
mixture's spectrogram and keeps the mixture's phase. FiLM (Perez et al. 2018) conditions each block on the
query: the mean of learned vectors of its hashed words. The loss is L1 on the waveform, as AudioSep's, on
crops at the gain that gives the mixture unit RMS.

What it is not: AudioSep's ResUNet30, nor conditioned on CLAP. A word that training never saw says nothing to
it, word order says nothing, and two words may share a vector. Same seed, machine and number of threads: same
weights, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import UserError
from schemas.ids import seed_for
from trainers.measures.separation import sdr_improvement, si_sdr_improvement
from trainers.shards import Mixture, find_shards, mixtures

BUCKETS, EMBEDDING = 4096, 64
CHANNELS = (8, 24, 64)
BATCH, CROP_S, LEARNING_RATE = 8, 2.0, 2e-3
RESAMPLES = 1000
"""Bootstrap resamples behind each confidence interval."""

MEASURES = {"sdri": sdr_improvement, "si_sdri": si_sdr_improvement}
VARIANTS = {
    "sdri": "dB over the mixture; SDR is the plain SNR of AudioSep and DCASE 2024 task 9",
    "si_sdri": "dB over the mixture; SI-SDR of zero-mean signals, Le Roux et al. 2019",
    "mixture": "the mixture itself",
    "silence": "zeros",
    "ideal_ratio_mask": "oracle: sqrt(|S|^2 / (|S|^2 + |N|^2)), Wang et al. 2014, on the separator's STFT",
    "separator": "trainers.lass.Separator",
    "mean, ci95": "of the finite values; ci95: percentile bootstrap over mixtures, taken as independent",
}

_log = logging.getLogger(__name__)


class _FilmConv(nn.Module):
    """Convolution, normalisation without weights, then the query's own scale and shift of each channel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(4, outputs, affine=False)
        self.film = nn.Linear(EMBEDDING, 2 * outputs)

    def forward(self, x: Tensor, query: Tensor) -> Tensor:
        scale, shift = self.film(query)[:, :, None, None].chunk(2, dim=1)
        return functional.relu(self.norm(self.conv(x)) * (1 + scale) + shift)


class Separator(nn.Module):
    """Magnitude-mask U-Net for one sample rate (samples per second), FiLM-conditioned on the query's words.

    The window is the power of two nearest to 32 ms (Hann), the hop half of it.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.window = 2 ** round(math.log2(0.032 * sample_rate))
        top, middle, bottom = CHANNELS
        self.words = nn.EmbeddingBag(BUCKETS, EMBEDDING, mode="mean")
        # Training moves only the vectors of words that it sees; from zero, others bring no noise.
        nn.init.zeros_(self.words.weight)
        self.query = nn.Sequential(nn.Linear(EMBEDDING, EMBEDDING), nn.ReLU())
        self.down = nn.ModuleList([_FilmConv(2, top), _FilmConv(top, middle)])
        self.bottom = _FilmConv(middle, bottom)
        self.up = nn.ModuleList([_FilmConv(bottom + middle, middle), _FilmConv(middle + top, top)])
        self.head = nn.Conv2d(top, 1, 1)

    def forward(self, mixture: Tensor, queries: Sequence[str]) -> Tensor:
        """Return estimated targets (B, T) of mixtures (B, T) and B queries, linear in the mixtures' gain."""
        spectrum = stft(mixture, self.window)
        magnitude = spectrum.abs()
        level = magnitude.mean(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        height = torch.linspace(-1, 1, magnitude.shape[1])[None, :, None].expand_as(magnitude)
        x = torch.stack([torch.log1p(magnitude / level), height], dim=1)
        query = self.query(self._embed(queries))
        skips = []
        for block in self.down:
            skips.append(block(x, query))
            x = functional.max_pool2d(skips[-1], 2, ceil_mode=True)
        x = self.bottom(x, query)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(torch.cat([functional.interpolate(x, skip.shape[-2:]), skip], dim=1), query)
        mask = torch.sigmoid(self.head(x))[:, 0]
        return istft(mask * spectrum, self.window, mixture.shape[-1])

    def _embed(self, queries: Sequence[str]) -> Tensor:
        bags = [word_buckets(query) for query in queries]
        starts = np.cumsum([0, *map(len, bags[:-1])])
        words = torch.tensor([bucket for bag in bags for bucket in bag], dtype=torch.long)
        return self.words(words, torch.from_numpy(starts))


def word_buckets(query: str) -> list[int]:
    """Return the bucket, in ``[0, BUCKETS)``, of each word of a query; case and punctuation do not count."""
    return [zlib.crc32(word.encode()) % BUCKETS for word in re.findall(r"\w+", query.lower())]


def stft(signal: Tensor, window: int) -> Tensor:
    """Return the complex STFT, shape (B, window // 2 + 1, frames), of signals (B, T)."""
    shape = torch.hann_window(window)
    return torch.stft(signal, window, window // 2, window=shape, pad_mode="constant", return_complex=True)


def istft(spectrum: Tensor, window: int, length: int) -> Tensor:
    """Return the signals, shape (B, length), of STFTs made by :func:`stft`."""
    return torch.istft(spectrum, window, window // 2, window=torch.hann_window(window), length=length)


def separate(model: Separator, mixture: NDArray[np.float32], query: str) -> NDArray[np.float32]:
    """Return what the query names in a mixture: float32 samples, shape (T,), at the model's sample rate."""
    with torch.inference_mode():
        return model(torch.from_numpy(mixture)[None], [query])[0].numpy()


def train(folder: str | Path, steps: int, seed: int = 0) -> Separator:
    """Train on the ``train`` split for ``steps`` batches of 8 crops of 2 s; shorter mixtures are zero-padded.

    Raises:
        UserError: there is nothing to train on, or a shard breaks the format.
    """
    stream = _endless(folder, seed)
    rate = _first(folder, "train").sample_rate
    rng = np.random.default_rng(seed_for(seed, "trainers.lass", "crops"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "trainers.lass", "weights"))
        model = Separator(rate)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    every = max(1, steps // 5)
    for step in range(1, steps + 1):
        samples = list(islice(stream, BATCH))
        crops = np.stack([_crop(sample, rate, rng) for sample in samples])
        mixture, target = torch.from_numpy(crops).unbind(dim=1)
        loss = functional.l1_loss(model(mixture, [sample.query for sample in samples]), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % every == 0:
            _log.info("step %d of %d: L1 %.4f", step, steps, loss.item())
    return model.eval()


def evaluate(model: Separator, folder: str | Path, split: str, seed: int = 0) -> dict[str, Any]:
    """Return what the separator and three references achieve on whole mixtures of ``split``.

    Returns:
        ``{system: {measure: summary}}``, each as :data:`VARIANTS` says, the summary as :func:`summarise`
        does.

    Raises:
        UserError: the split is missing, a shard is broken, or a mixture's sample rate is not the model's.
    """
    systems: dict[str, Callable[[Mixture], NDArray[np.float32]]] = {
        "mixture": lambda sample: sample.mixture,
        "silence": lambda sample: np.zeros_like(sample.mixture),
        "ideal_ratio_mask": lambda sample: _ideal_ratio_mask(sample, model.window),
        "separator": lambda sample: separate(model, sample.mixture, sample.query),
    }
    values: dict[tuple[str, str], list[float]] = {pair: [] for pair in product(systems, MEASURES)}
    for sample in mixtures(folder, split):
        _check_rate(sample, model.sample_rate)
        for system, estimate_of in systems.items():
            estimate = estimate_of(sample)
            for name, measure in MEASURES.items():
                values[system, name].append(float(measure(estimate, sample.target, sample.mixture)))
    return {system: {name: summarise(values[system, name], seed) for name in MEASURES} for system in systems}


def summarise(values: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Return ``n``, how many are ``finite``, and of these ``mean`` and ``ci95``, the bootstrap's percentiles.

    ``mean`` is None without a finite value, ``ci95`` with fewer than two. What is not finite is unknown (NaN:
    a silent target) or has no mean (-inf: silence as an answer), and shows as ``finite < n``.
    """
    known = np.array(values)[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else None
    ci95 = None
    if len(known) > 1:
        rng = np.random.default_rng(seed_for(seed, "trainers.lass", "bootstrap"))
        means = [known[rng.integers(0, len(known), len(known))].mean() for _ in range(RESAMPLES)]
        ci95 = [float(bound) for bound in np.percentile(means, [2.5, 97.5])]
    return {"n": len(values), "finite": len(known), "mean": mean, "ci95": ci95}


def save(model: Separator, folder: Path) -> None:
    """Write weights (safetensors where installed, else a torch state dict) and ``config.json``."""
    try:
        from safetensors.torch import save_file
    except ImportError:
        weights = "model.pt"
        torch.save(model.state_dict(), folder / weights)
    else:
        weights = "model.safetensors"
        save_file(model.state_dict(), folder / weights)
    config = {"model": "trainers.lass.Separator", "sample_rate": model.sample_rate, "weights": weights}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def load(folder: str | Path) -> Separator:
    """Return the separator that :func:`save` wrote."""
    config = json.loads((Path(folder) / "config.json").read_text())
    path = Path(folder) / config["weights"]
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, weights_only=True)
    model = Separator(config["sample_rate"])
    model.load_state_dict(state)
    return model.eval()


def table(results: dict[str, Any]) -> str:
    """Return :func:`evaluate`'s results as text, a line for each system, with means and intervals in dB."""
    lines = [f"{'system':<18}{'SDRi dB [95% CI]':<32}SI-SDRi dB [95% CI]"]
    for system, row in results.items():
        lines.append(f"{system:<18}" + "".join(f"{_cell(row[name]):<32}" for name in MEASURES))
    return "\n".join(line.rstrip() for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure on ``val`` (else ``test``), print a table, write model and results; return exit code."""
    description = "Train a small language-queried separator on shards and measure it on a held-out split."
    parser = argparse.ArgumentParser(prog="python -m trainers.lass", description=description)
    parser.add_argument("shards", help="folder that holds train-00000-000.tar")
    parser.add_argument("--steps", type=int, default=200, help="batches of 8 crops of 2 s (default: 200)")
    parser.add_argument("--out", type=Path, required=True, help="folder for model and results.json")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(arguments.shards, arguments.steps, arguments.out, arguments.seed)
    except UserError as error:
        print(f"lass: {error}", file=sys.stderr)
        return 2
    return 0


def _run(shards: str, steps: int, out: Path, seed: int) -> None:
    if steps < 1:
        raise UserError(f"--steps {steps}: must be 1 or more")
    found = find_shards(shards)
    held_out = next((split for split in ("val", "test") if split in found), None)
    if held_out is None:
        only = ", ".join(found)
        raise UserError(f"shards {shards}: no split val or test to measure on, only {only}; mix one too")
    # What can fail is tried before minutes of training, not after.
    rate = _first(shards, "train").sample_rate
    _first(shards, held_out)
    samples = 0
    for sample in mixtures(shards, held_out):
        _check_rate(sample, rate)
        samples += 1
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made ({error.strerror}); name another folder") from error

    began = time.perf_counter()
    model = train(shards, steps, seed)
    trained = time.perf_counter()
    results = evaluate(model, shards, held_out, seed)
    weights = sum(parameter.numel() for parameter in model.parameters())
    measured = time.perf_counter()
    print(
        f"{steps} steps in {trained - began:.0f} s, {weights} weights; "
        f"measured on {samples} mixtures of {held_out} at {rate} Hz in {measured - trained:.0f} s"
    )
    print(table(results))
    save(model, out)
    report = {
        "split": held_out,
        "n": samples,
        "sample_rate": rate,
        "steps": steps,
        "batch": BATCH,
        "crop_s": CROP_S,
        "seed": seed,
        "weights": weights,
        "torch": torch.__version__,
        "variants": VARIANTS,
        "systems": results,
    }
    (out / "results.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def _endless(folder: str | Path, seed: int) -> Iterator[Mixture]:
    for epoch in count():
        yield from mixtures(folder, "train", seed, epoch)


def _first(folder: str | Path, split: str) -> Mixture:
    sample = next(iter(mixtures(folder, split)), None)
    if sample is None:
        raise UserError(f"shards {folder}: split {split} holds no mixture; mix some for it first")
    return sample


def _check_rate(sample: Mixture, rate: int) -> None:
    if sample.sample_rate != rate:
        found = f"is at {sample.sample_rate} Hz, others at {rate}"
        raise UserError(f"mixture {sample.key}: {found}; use one rate for all")


def _crop(sample: Mixture, rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return mixture and target, shape (2, crop), of a random excerpt, the mixture's RMS being 1."""
    _check_rate(sample, rate)
    length = round(CROP_S * rate)
    start = int(rng.integers(0, max(0, len(sample.mixture) - length) + 1))
    both = np.stack([sample.mixture, sample.target])[:, start : start + length]
    rms = float(np.sqrt(np.mean(np.square(both[0]))))
    both = both / np.float32(rms) if rms > 0 else both
    return np.pad(both, ((0, 0), (0, length - both.shape[1])))


def _ideal_ratio_mask(sample: Mixture, window: int) -> NDArray[np.float32]:
    mixture, target = (stft(torch.from_numpy(x)[None], window) for x in (sample.mixture, sample.target))
    wanted, unwanted = target.abs() ** 2, (mixture - target).abs() ** 2
    mask = (wanted / (wanted + unwanted).clamp_min(1e-30)).sqrt()
    return istft(mask * mixture, window, len(sample.mixture))[0].numpy()


def _cell(summary: dict[str, Any]) -> str:
    if summary["mean"] is None:
        return f"none finite (0 of {summary['n']})"
    ci95 = "" if summary["ci95"] is None else " [{:.2f}, {:.2f}]".format(*summary["ci95"])
    part = "" if summary["finite"] == summary["n"] else f" ({summary['finite']} of {summary['n']})"
    return f"{summary['mean']:.2f}{ci95}{part}"


if __name__ == "__main__":
    sys.exit(main())
