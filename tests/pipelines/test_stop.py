"""Ctrl-C and SIGTERM end a run in words, with exit code 1 and a workspace that goes on to the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kill import data_files
from pipelines.cli import main

ROOT = Path(__file__).parents[2]


def command(small: Path, out: Path, engine: str) -> list[str]:
    """Return the command of a run of the demo's recipe, with all its models, on twelve sounds."""
    settings = ("--set", f"data.root={small}", "--set", "data.datasets=[{adapter: fsd50k}]")
    recipe = str(ROOT / "configs" / "demo.yaml")
    return [sys.executable, "-m", "pipelines", "run", recipe, "--out", str(out), "--engine", engine, *settings]


@pytest.fixture(scope="module")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main([*command(small, out, "inline")[3:], "--quiet"]) == 0
    return out


# One handler takes both signals, whatever the engine: each signal and each engine once.
@pytest.mark.parametrize(("engine", "number"), [("inline", signal.SIGINT), ("ray", signal.SIGTERM)])
def test_a_stopped_run_says_so_and_goes_on(whole, small, tmp_path, engine, number):
    out = tmp_path / "run"
    words = command(small, out, engine)
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # The first commit is the sign that work has begun.
    for _ in range(6000):
        if list(out.glob("store/ingest-*/p*.json")):
            break
        assert process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 1
    assert told.splitlines()[-1] == "earloom: stopped by you; the same command goes on from here"
    assert not (out / "seal.json").exists()
    # In this process, which has imported the models already: how the run goes on is no matter of the signal.
    assert main([*command(small, out, "inline")[3:], "--quiet"]) == 0
    assert data_files(out) == data_files(whole)
