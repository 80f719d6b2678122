"""What mixtures are worth, by what learns from them: the same separator on Earloom's mixtures of ESC-50 and on AudioSep's random ones.

    python benchmarks/separation.py ESC-50 --out DIR [--steps 2000] [--only ours,random,few,guided]

ESC-50 in the publisher's layout; a partial copy will do. Folds 1, 2 and 3 are trained on, fold 5 is measured on, fold 4 is left for
looks during training. Clips are five seconds at 16 kHz; only classes that training holds are measured.

1. `configs/esc50.yaml` makes captions and mixtures, whose sources share no sound class: 67 per clip of folds 1 to 3, and another 20; 3 per
   clip of fold 5.
2. A small CLAP learns from the captions of folds 1 to 3 alone (`task: clap`); the queries' words go through it, frozen.
3. `tiny` learns with the same settings, seed and steps from
   `ours`: those 67 per clip, each of them once in 2,000 steps;
   `random`: AudioSep's mixing of the same clips, anew at every step: each clip with another drawn at random whatever sounds in it,
   brought to the target's RMS, moved by whole decibels of [-10, 10], the pair brought to 0.9 where it passes full scale. `ours` has the
   same level rule;
   `few`: the 20 per clip, three times over;
   `guided`: as `few`, with Hybrid-Sep's first stage.
4. `earloom evaluate` measures the last weights of each on the mixtures of fold 5: no weights are chosen on what they are measured on.

Everything goes on where it was stopped. A training's processor seconds are printed where it ran in one go.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from pipelines.cli import main as earloom
from pipelines.core.workspace import Workspace
from schemas.ids import seed_for
from trainers.clips.shards import Clips
from trainers.fit.loop import Job, fit
from trainers.fit.run import fabric_of
from trainers.lass.config import SeparatorTraining
from trainers.lass.mixtures import RunMixtures
from trainers.lass.separation import Separation
from trainers.loader import Mixtures
from trainers.shards import Mixture

CONFIGS = Path(__file__).parents[1] / "configs"
RATE, SECONDS, SEED = 16_000, 5, 7
SPLITS = "{fold1: train, fold2: train, fold3: train, fold4: val, fold5: test}"
MIX = (
    "{duration_s: 5, level: {rule: rms_match, range: [-10, 10], whole: true, energy: all}, peak: {above: 1.0, to: 0.9}, "
    "sets: [{name: mix, splits: [train], per_clip: 67}, {name: few, splits: [train], per_clip: 20}, "
    "{name: look, splits: [val], per_clip: 1}, {name: held, splits: [test], per_clip: 3}]}"
)
KINDS = ("ours", "random", "few", "guided")


class RandomMixtures(Mixtures):
    """AudioSep's mixtures of two clips, made as they are read; mixture ``n`` follows from ``n`` alone, and no two are equal.

    Args:
        run: the run whose clips of train are mixed.
        count: mixtures of a pass.
    """

    def __init__(self, run: Path, count: int) -> None:
        asked = {each.record["target_clip_id"]: each for each in RunMixtures(run, "train", "mix")}
        clips = Clips([run], "train")
        chosen = [(asked.get(clip.record["clip_id"]), sound) for clip, sound in zip(clips.told, clips, strict=True)]
        self.asked = [mixture for mixture, _ in chosen if mixture is not None]
        self.clips = [_filled(sound) for mixture, sound in chosen if mixture is not None]
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, number: int, room: np.ndarray | None = None) -> Mixture:
        """Return a mixture by its number; nothing is laid in ``room``."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        rng = np.random.default_rng(seed_for(SEED, "random", str(number)))
        own = number % len(self.clips)
        other = (own + rng.integers(1, len(self.clips))) % len(self.clips)
        target, noise = (self.clips[place] for place in (own, other))
        ratio = np.sqrt(np.mean(target**2) / max(np.mean(noise**2), 1e-12)).clip(0.02, 50.0)
        noise = noise * ratio * 10.0 ** (rng.integers(-10, 11) / 20.0)
        peak = np.abs(target + noise).max()
        scale = 0.9 / peak if peak > 1.0 else 1.0
        mixture = ((target + noise) * scale).astype(np.float32)
        words = self.asked[own]
        record = {**words.record, "mixture_id": f"random-{number}"}
        return Mixture(record["mixture_id"], words.query, mixture, (target * scale).astype(np.float32), RATE, record)


def _filled(samples: np.ndarray) -> np.ndarray:
    """Return five seconds: what is longer is cut, what is shorter ends in zeros."""
    length = RATE * SECONDS
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).astype(np.float64)


def run(*words: str) -> None:
    """Run a command of Earloom's; SystemExit if it fails."""
    if earloom(list(words)) != 0:
        raise SystemExit(f"earloom {words[0]} failed")


def made(root: str, out: Path) -> tuple[Path, Path]:
    """Return the run of ESC-50 and the folder of the CLAP that learnt from its captions."""
    mixed, clap = out / "run", out / "clap"
    overrides = [f"data.root={root}", f"data.datasets.0.splits={SPLITS}", f"audio.sample_rate={RATE}", f"mix={MIX}"]
    settings = [word for override in overrides for word in ("--set", override)]
    run("run", str(CONFIGS / "esc50.yaml"), "--out", str(mixed), "--engine", "inline", "--quiet", *settings)
    told = ["--set", f"data.folders=[{mixed}]", "--set", "fit.steps=280", "--set", "fit.judge_every=280"]
    run("train", str(CONFIGS / "training" / "clap_demo.yaml"), "--out", str(clap), "--quiet", *told)
    return mixed, clap / "model"


def training(kind: str, mixed: Path, clap: Path, steps: int) -> SeparatorTraining:
    """Return the training of one kind; nothing but the mixtures, or the guide, differs."""
    dimension = json.loads((clap / "config.json").read_text())["projection_dim"]
    return SeparatorTraining.model_validate(
        {
            "task": "separation",
            "name": kind,
            "seed": SEED,
            "data": {
                "folders": [str(mixed)],
                "set": "few" if kind in ("few", "guided") else "mix",
                "held_out_set": "look",
                "held_out_mixtures": 40,
                "crop_s": 2,
                "sounds": 2,
            },
            "separator": {"size": "tiny", "sample_rate": RATE, "embedding": dimension, "guided": kind == "guided"},
            "queries": {"embedder": {"use": "clap_transformers", "settings": {"weights": str(clap)}}},
            "fit": {"steps": steps, "batch": 8, "warm_up": {"steps": 50}, "judge_every": 500},
        }
    )


def trained(told: SeparatorTraining, mixed: Path, folder: Path) -> float:
    """Train to the end; return processor seconds."""
    fabric = fabric_of("cpu", 1, told.fit.bf16)
    fabric.launch()
    task = Separation(told, str(folder), "cpu")
    if told.name == "random":
        task.mixtures = RandomMixtures(mixed, told.fit.steps * told.fit.batch)
    began = time.process_time()
    fit(Job(task, told.fit, told.model_dump(mode="json"), told.seed, Workspace(str(folder))), fabric)
    return time.process_time() - began


def main() -> None:
    """Make, train, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder of ESC-50")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas between")
    options = parser.parse_args()
    mixed, clap = made(options.root, options.out)
    for kind in options.only.split(","):
        folder = options.out / kind
        spent = trained(training(kind, mixed, clap, options.steps), mixed, folder)
        print(
            f"{kind}: {options.steps} steps, {spent:.0f} processor seconds, {torch.get_num_threads()} threads",
            flush=True,
        )
        run(
            "evaluate",
            "--system",
            str(folder / "last.safetensors"),
            "--set",
            str(mixed),
            "--out",
            str(folder / "measured"),
        )


if __name__ == "__main__":
    main()
