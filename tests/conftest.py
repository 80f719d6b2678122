"""What several tests share: where the real data is, a small world of toy stages, and the bytes of a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pipelines.core.graph import build_graph
from pipelines.core.stage import Context, Stage
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from toys import ToyGather, ToyIndex, ToyIngest, ToyListen

# Ray's workers are processes of their own; this lets them import the toy stages.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data, or skip."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real data (shared/data beside the project) is not here")
    return SHARED


def data_files(root: Path) -> dict[str, str]:
    """Return the sha256 of every data file of a run: all but markers (which hold seconds) and the seal over them."""
    names = [p for p in root.rglob("*") if p.is_file() and "report" not in p.parts]
    kept = [p for p in names if p.suffix != ".json" or p.name in ("stage.json", "run.json")]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Work]:
    """Return a function that surveys a run of toy stages in ``tmp_path / out``."""
    (tmp_path / "count").write_text("57")

    def work(out: str = "run", seed: int = 1, partitions: int = 3, stages: list[Stage] | None = None) -> Work:
        chosen = stages or [ToyIndex(), ToyIngest(), ToyListen(), ToyGather()]
        context = Context(Workspace(str(tmp_path / out)), str(tmp_path), seed, partitions)
        return Work(build_graph(chosen, seed), context)

    return work
