"""What several tests share: where the real data is, a small world of toy stages, and the bytes of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.core.graph import build_graph
from pipelines.core.stage import Context, Stage
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from toys import ToyGather, ToyIndex, ToyIngest, ToyListen

# Small tensors gain nothing from a second thread, and two that wait for each other on busy cores lose six times.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers are processes of their own; this lets them import the toy stages.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data, or skip."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real data (shared/data beside the project) is not here")
    return SHARED


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Work]:
    """Return a function that surveys a run of toy stages in ``tmp_path / out``."""
    (tmp_path / "count").write_text("57")

    def work(out: str = "run", seed: int = 1, partitions: int = 3, stages: list[Stage] | None = None) -> Work:
        chosen = stages or [ToyIndex(), ToyIngest(), ToyListen(), ToyGather()]
        context = Context(Workspace(str(tmp_path / out)), str(tmp_path), seed, partitions)
        return Work(build_graph(chosen, seed), context)

    return work


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample corpora, written once."""
    from pipelines.sample.corpora import write_corpora

    root = tmp_path_factory.mktemp("sample")
    write_corpora(root)
    return root


@pytest.fixture(scope="session")
def demo(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of configs/demo.yaml on the sample corpora, made once, inline."""
    from pipelines.cli import main

    out = tmp_path_factory.mktemp("runs") / "demo"
    recipe = Path(__file__).parents[1] / "configs" / "demo.yaml"
    assert (
        main(["run", str(recipe), "--set", f"data.root={sample}", "--out", str(out), "--engine", "inline", "--quiet"])
        == 0
    )
    return out


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder of twelve short sounds in the layout of FSD50K, for tests that run a job many times."""
    from pipelines.sample.synth import SOUNDS

    root = tmp_path_factory.mktemp("small")
    truth, audio = root / "FSD50K.ground_truth", root / "FSD50K.dev_audio"
    truth.mkdir()
    audio.mkdir()
    lines, vocabulary = ["fname,labels,mids,split"], []
    for number, sound in enumerate(SOUNDS[:12]):
        name = sound.name.replace(", ", "_and_").replace(" ", "_")
        if number != 5:  # a row whose audio is missing
            samples = sound.synth(np.random.default_rng(number), 1.0 + number / 10, 16000)
            soundfile.write(audio / f"{900 + number}.wav", 0.3 * samples, 16000)
        lines.append(f'{900 + number},"{name}","{sound.mid}",{"val" if number % 3 == 2 else "train"}')
        vocabulary.append(f"{number},{name},{sound.mid}")
    (audio / "903.wav").write_bytes(b"")  # a broken file
    (truth / "dev.csv").write_text("\n".join(lines) + "\n")
    (truth / "eval.csv").write_text("fname,labels,mids\n")
    (truth / "vocabulary.csv").write_text("\n".join(vocabulary) + "\n")
    return root


@pytest.fixture(scope="session")
def small_recipe(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe over the small folder."""
    path = tmp_path_factory.mktemp("recipes") / "small.yaml"
    path.write_text(
        f"name: small\nseed: 7\npartitions: 2\ndata: {{root: {small}, datasets: [{{adapter: fsd50k}}]}}\n"
        "audio: {sample_rate: 16000, clip_s: 3}\nmix: {per_clip: 2, duration_s: 2}\nshards: {max_samples: 5}\n"
    )
    return path
