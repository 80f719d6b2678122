"""Make the demo's models from nothing: ``python -m trainers.demo_models``. Sample worlds, runs, training, measures, cards.

Whole worlds are held out, drawn with seeds of their own: no clip that the models are measured on is in a group with one
that they were trained on, and the demo's world is neither.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.cli import main as earloom
from pipelines.sample.corpora import write_corpora
from schemas.errors import RunStopped, UserError
from schemas.load import load_recipe
from schemas.ontology import configs_dir, default_ontology
from trainers.cards import card
from trainers.fit.checkpoint import read_weights
from trainers.fit.history import read_history
from trainers.fit.loop import BEST
from trainers.fit.run import MODEL

RECIPE = "demo_models.yaml"
TRAININGS = {"tagger": "training/tagger_demo.yaml", "clap": "training/clap_demo.yaml"}
"""Configurations of `earloom train`, by the model's folder below ``taggers/demo``."""

VARIANTS = {"tagger": "trainers.tagger.judge", "clap": "trainers.clap.judge"}
"""Where it is said what the measures are."""

TRAINED_ON = (11, 12, 13, 14, 15, 16, 17, 18)
MEASURED_ON = {"tagger": (21, 22), "clap": (21,)}
"""Seeds of worlds; identifiers are the same in every world, so that recordings can be looked for in one at a time."""

SPLITS = {
    "audioset": ("balanced_train", "eval"),
    "fsd50k": ("train", "val", "eval"),
    "wavcaps": ("AudioSet_SL", "BBC_Sound_Effects", "FreeSound", "SoundBible"),
    "clotho": ("development", "validation", "evaluation"),
}
"""The publishers' splits that sample corpora have."""

OUT = Path(__file__).parents[1] / "taggers" / "demo"


def caption_shards(work: Path, seed: int, held_out: bool) -> Path:
    """Write a sample world, run the recipe on it, and return the folder of its caption shards.

    Args:
        work: folder that both are written to.
        seed: of the world.
        held_out: True: every split is named test.

    Raises:
        RunStopped: the run did not end well.
    """
    world, run = work / f"world-{seed}", work / f"run-{seed}"
    recipe = configs_dir() / RECIPE
    write_corpora(world, seed)
    settings = [f"data.root={world}", *(all_test(recipe) if held_out else ())]
    overrides = [part for setting in settings for part in ("--set", setting)]
    if earloom(["run", str(recipe), "--out", str(run), "--engine", "inline", "--quiet", *overrides]) != 0:
        raise RunStopped(f"the run of {RECIPE} on the sample world of seed {seed} did not end well")
    (folder,) = (run / "shards").glob("captions-*")
    return folder


def all_test(recipe: Path) -> list[str]:
    """Return the settings that name every split of a recipe over the sample corpora test."""
    return [
        f"data.datasets.{place}.splits={json.dumps(dict.fromkeys(SPLITS[dataset.adapter], 'test'))}"
        for place, dataset in enumerate(load_recipe(recipe).data.datasets)
    ]


def make(work: Path, out: Path, workers: int) -> None:
    """Make worlds, shards, models, measures and cards, ``workers`` of them at a time, and put the models into ``out``."""
    began = time.perf_counter()
    measured = sorted({seed for seeds in MEASURED_ON.values() for seed in seeds})
    seeds = [*TRAINED_ON, *measured]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = [pool.submit(caption_shards, work, seed, seed in measured) for seed in seeds]
        shards = {seed: job.result() for seed, job in zip(seeds, jobs, strict=True)}
    print(f"{len(seeds)} sample worlds and their caption shards: {_spent(began)}", flush=True)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        trained = [pool.submit(_train, kind, shards, work / kind) for kind in MEASURED_ON]
        for job in trained:
            job.result()
    print(f"with training and measuring: {_spent(began)}", flush=True)
    for kind in MEASURED_ON:
        shutil.rmtree(out / kind, ignore_errors=True)
        shutil.copytree(work / kind, out / kind)


def _train(kind: str, shards: dict[int, Path], out: Path) -> None:
    """Train one kind of model in a process of its own, and write its measures and its card beside it."""
    told = {
        "folders": [str(shards[seed]) for seed in TRAINED_ON],
        "held_out": [str(shards[seed]) for seed in MEASURED_ON[kind]],
    }
    overrides = [word for key, value in told.items() for word in ("--set", f"data.{key}={json.dumps(value)}")]
    training = out.with_name(f"{out.name}-training")
    words = ["train", str(configs_dir() / TRAININGS[kind]), "--out", str(training), "--device", "cpu", *overrides]
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", *words], check=False)
    if done.returncode:
        raise RunStopped(f"the training of {TRAININGS[kind]} ended with exit code {done.returncode}")
    shutil.copytree(training / MODEL, out)
    report = report_of(kind, training)
    (out / "measures.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card(kind, report), encoding="utf-8")


def report_of(kind: str, training: Path) -> dict[str, Any]:
    """Return what is to be told of a model: how it was trained, and what its only judgement measured.

    Args:
        kind: ``tagger`` or ``clap``.
        training: the training's folder.
    """
    (judged,) = (line["judged"] for line in read_history(training) if "judged" in line)
    config, _, weights = read_weights(training / BEST)
    served = json.loads((training / MODEL / "config.json").read_text(encoding="utf-8"))
    if kind == "tagger":
        knows = {"classes": [default_ontology()[class_id].name for class_id in served["classes"]]}
    else:
        knows = {"words": served["text_config"]["vocab_size"]}
    return {
        "task": config["task"],
        "steps": config["fit"]["steps"],
        "batch": config["fit"]["batch"],
        "seed": config["seed"],
        "weights": sum(tensor.numel() for name, tensor in weights.items() if _is_learnt(name, tensor)),
        "torch": torch.__version__,
        **knows,
        "variants": import_module(VARIANTS[kind]).VARIANTS,
        "measures": {name: row for name, row in judged.items() if name != "watched"},
        "worlds": {"trained_on": TRAINED_ON, "measured_on": MEASURED_ON[kind]},
    }


def _is_learnt(name: str, tensor: Tensor) -> bool:
    """Say whether a tensor is weights, and no statistics of the data or numbers of places."""
    return tensor.is_floating_point() and name.rpartition(".")[2] not in (
        "mean",
        "scale",
        "running_mean",
        "running_var",
    )


def _spent(began: float) -> str:
    """Return wall-clock seconds since ``began``, and CPU seconds of this process and of all that has ended below it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in used)
    return f"{time.perf_counter() - began:.0f} s, {cpu:.0f} CPU seconds"


def main(argv: Sequence[str] | None = None) -> int:
    """Make the models; return exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.demo_models", description="Make the demo's models from nothing."
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for `tagger` and `clap` (default: taggers/demo)")
    parser.add_argument(
        "--work", type=Path, help="folder for worlds, runs and shards, kept; a temporary one if not given"
    )
    parser.add_argument(
        "--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes (default: 2 at most)"
    )
    arguments = parser.parse_args(argv)
    # Two processes share two cores: threads of their own would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            make(arguments.work or Path(temporary), arguments.out, max(1, arguments.workers))
    except (UserError, RunStopped) as error:
        print(f"demo_models: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
