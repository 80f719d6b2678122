"""A finished run of short mixtures that tests of trainings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import main


@pytest.fixture(scope="session")
def made(small_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run whose samples hold embeddings."""
    out = tmp_path_factory.mktemp("made") / "run"
    overrides = ["listen={embedders: [{use: demo_clap}]}", "shards.embedder=demo_clap"]
    told = [word for each in overrides for word in ("--set", each)]
    assert main(["run", str(small_recipe), *told, "--out", str(out), "--engine", "inline", "--quiet"]) == 0
    return out
