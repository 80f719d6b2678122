"""What several tests share: where the real data is, a small world of toy stages, the demo's run; and who of the workers tests what."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, settings

from pipelines.core.graph import build_graph
from pipelines.core.stage import Context, Stage
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from toys import ToyGather, ToyIndex, ToyIngest, ToyListen

# Small tensors gain nothing from a second thread, and two that wait for each other on busy cores lose six times.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers are processes of their own; this lets them import the toy stages.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

# A busy machine makes tests slow, not wrong.
settings.register_profile("earloom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("earloom")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


WITH_RAY = (
    *("test_ask_runs.py", "test_calibrate_runs.py", "test_engines.py", "test_engines_agree.py", "test_kill.py"),
    *("test_listen_runs.py", "test_ray_job.py", "test_ray_launch.py", "test_stop.py"),
)
"""Files of tests that start Ray, which wants all cores, ports and sockets: one worker has all of them, and begins with them."""


def unit_of(nodeid: str) -> str:
    """Return what a test stays together with on one worker: its file, whose fixtures are then made once."""
    file = nodeid.partition("::")[0]
    return "ray" if file.rpartition("/")[2] in WITH_RAY else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: unit_of(item.nodeid) != "ray")


# Marks for --dist=loadgroup have no effect with pytest 9.2 (pytest-xdist's issue 1386).
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return Units(config, log)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder ``name`` that ``make`` was given to fill: by one worker, while those that want it too wait."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Return the size and the time of change of each file below ``root``."""
    found = {str(path.relative_to(root)): path.stat() for path in root.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


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
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the sample corpora, written once for all; a test that writes to them copies them first."""
    from pipelines.sample.corpora import write_corpora

    def make(root: Path) -> None:
        assert write_corpora(root) == {"audioset": 77, "fsd50k": 77, "wavcaps": 50, "clotho": 29}

    root = made_once(tmp_path_factory, "sample", make)
    before = stamps(root)
    yield root
    assert stamps(root) == before, "a test wrote to the sample corpora"


@pytest.fixture(scope="session")
def demo(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the run of configs/demo.yaml on the sample corpora, made once for all, inline; a test that writes to it copies it first."""
    from pipelines.cli import main

    def make(folder: Path) -> None:
        recipe = Path(__file__).parents[1] / "configs" / "demo.yaml"
        words = ["--set", f"data.root={sample}", "--out", str(folder / "run"), "--engine", "inline", "--quiet"]
        assert main(["run", str(recipe), *words]) == 0

    out = made_once(tmp_path_factory, "demo", make) / "run"
    before = stamps(out)
    yield out
    assert stamps(out) == before, "a test wrote to the run of the demo"


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
