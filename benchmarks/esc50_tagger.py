"""A tagger trained by this project's own trainer on real ESC-50 clips, and its accuracy on a fold that it never saw.

    python benchmarks/esc50_tagger.py ESC-50 [--test-fold 4] [--epochs 30]

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
from taggers.crnn import write
from taggers.demo_tagger import DemoTagger
from trainers.captions import Captioned, of_folders
from trainers.features import at_rate
from trainers.measures.intervals import estimate
from trainers.tagger import train

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


def label(clip: Captioned, classes: tuple[str, ...]) -> int | None:
    """Return the place of the clip's only label among the tagger's classes, if it is one of them."""
    known = [index for index, class_id in enumerate(classes) if class_id in (clip.labels or ())]
    return known[0] if len(known) == 1 else None


def main() -> None:
    """Run it all and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder of ESC-50")
    parser.add_argument("--test-fold", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = shards(options.root, options.test_fold, Path(work) / "run")
        began = time.process_time()
        model = train(of_folders([folder], "train"), options.epochs)
        trained_s = time.process_time() - began
        (Path(work) / "tagger").mkdir()
        write(model, Path(work) / "tagger")
        tagger = DemoTagger(Path(work) / "tagger")
        tagger.load("cpu")
        classes = tagger.shape.classes
        labels = {class_id for clip in of_folders([folder], "train") for class_id in clip.labels or ()}
        named = [index for index, class_id in enumerate(classes) if class_id in labels]
        right, seen = [], 0
        for clip in of_folders([folder], "test"):
            seen += 1
            truth = label(clip, classes)
            if truth is None:
                continue
            rate = tagger.shape.sample_rate
            scores = tagger.scores([Waveform(at_rate(clip, rate), rate)])[0][0]
            right.append(named[int(np.argmax(scores[named]))] == truth)
    found = estimate(lambda chosen: float(np.mean(np.array(right)[chosen])), len(right))
    report = {"fold": options.test_fold, "clips": len(right), "of": seen, "classes": len(named), "accuracy": found}
    print(
        json.dumps(
            report | {"chance": round(1 / len(named), 3), "epochs": options.epochs, "train_cpu_s": round(trained_s)}
        )
    )


if __name__ == "__main__":
    sys.exit(main())
