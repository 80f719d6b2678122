"""A tagger trained by this project's own trainer on real ESC-50 clips, and its accuracy on a fold that it never saw.

    python benchmarks/esc50_tagger.py ESC-50 [--test-fold 4] [--steps 200]

ESC-50 in the publisher's layout; a partial copy will do, and then the classes are those that the training folds hold. The clips go
through the pipeline (`configs/esc50.yaml`, every fold but one named train), the tagger learns from the caption shards, and a clip of the
left-out fold counts as right where its own class has the highest score of all the classes that ESC-50 labels name. Clips whose class
training did not hold are not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipelines.cli import main as earloom
from taggers.base import Waveform
from taggers.demo_tagger import DemoTagger
from trainers.clips.shards import Clip, Clips
from trainers.clips.spectra import at_rate
from trainers.measures.intervals import estimate

RECIPE = Path(__file__).parents[1] / "configs" / "esc50.yaml"


def shards(root: str, test_fold: int, out: Path) -> Path:
    """Run the pipeline and return the folder of caption shards."""
    folds = {f"fold{fold}": "test" if fold == test_fold else "train" for fold in range(1, 6)}
    splits = "{" + ", ".join(f"{name}: {split}" for name, split in folds.items()) + "}"
    words = ["run", str(RECIPE), "--out", str(out), "--quiet", "--engine", "inline"]
    overrides = [f"data.root={root}", f"data.datasets.0.splits={splits}", "mix.per_clip=0", "describe.candidates=1"]
    # A copy that is not whole has rejects of kind `missing_audio`, which are no failure.
    if earloom([*words, *(part for override in overrides for part in ("--set", override))]) != 0:
        raise SystemExit("the run failed")
    (folder,) = (out / "shards").glob("captions-*")
    return folder


def trained(folder: Path, steps: int, work: Path) -> Path:
    """Train a tagger by the command on the caption shards in a folder; return the folder that it is served from."""
    fit = {"steps": steps, "batch": 16, "rate": 3e-3, "weight_decay": 1e-3, "average": 0.995, "judge_every": steps}
    # Judged on the fold that is left out, at the end alone: no weights are chosen by it.
    data = {"folders": [str(folder)], "held_out_split": "test", "sounds": 0}
    told = {"task": "tagging", "name": "esc50_tagger", "data": data, "fit": fit | {"warm_up": {"steps": steps // 10}}}
    config = work / "tagger.yaml"
    config.write_text(json.dumps(told))
    if earloom(["train", str(config), "--out", str(work / "training"), "--device", "cpu", "--quiet"]) != 0:
        raise SystemExit("the training failed")
    return work / "training" / "model"


def label(clip: Clip, classes: tuple[str, ...]) -> int | None:
    """Return the place of the clip's only label among the tagger's classes, if it is one of them."""
    known = [index for index, class_id in enumerate(classes) if class_id in (clip.labels or ())]
    return known[0] if len(known) == 1 else None


def main() -> None:
    """Run it all and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder of ESC-50")
    parser.add_argument("--test-fold", type=int, default=4)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = shards(options.root, options.test_fold, Path(work) / "run")
        began = time.process_time()
        tagger = DemoTagger(trained(folder, options.steps, Path(work)))
        trained_s = time.process_time() - began
        tagger.load("cpu")
        classes, clips = tagger.shape.classes, Clips([folder], "test")
        labels = {class_id for clip in Clips([folder], "train").told for class_id in clip.labels or ()}
        named = [index for index, class_id in enumerate(classes) if class_id in labels]
        right = []
        for number, clip in enumerate(clips.told):
            truth = label(clip, classes)
            if truth is None:
                continue
            rate = tagger.shape.sample_rate
            scores = tagger.scores([Waveform(at_rate(clips[number], clip.sample_rate, rate), rate)])[0][0]
            right.append(named[int(np.argmax(scores[named]))] == truth)
    found = estimate(lambda chosen: float(np.mean(np.array(right)[chosen])), len(right))
    report = {
        "fold": options.test_fold,
        "clips": len(right),
        "of": len(clips),
        "classes": len(named),
        "accuracy": found,
    }
    print(
        json.dumps(
            report | {"chance": round(1 / len(named), 3), "steps": options.steps, "train_cpu_s": round(trained_s)}
        )
    )


if __name__ == "__main__":
    sys.exit(main())
