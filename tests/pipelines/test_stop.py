"""Ctrl-C and SIGTERM end a run in words, with exit code 1 and a workspace that goes on to the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kill import data_files

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
@pytest.mark.parametrize("engine", ["inline", "ray"])
def test_a_stopped_run_says_so_and_goes_on(demo, sample, tmp_path, engine, number):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "pipelines",
        "run",
        "configs/demo.yaml",
        "--set",
        f"data.root={sample}",
        "--out",
        str(out),
        "--engine",
        engine,
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # The first commit is the sign that work has begun.
    for _ in range(300):
        if list(out.glob("store/ingest-*/p*.json")):
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert words.splitlines()[-1] == "earloom: stopped by you; the same command goes on from here"
    assert not (out / "seal.json").exists()
    assert subprocess.run([*command[:-1], "inline", "--quiet"], cwd=ROOT, check=False).returncode == 0
    assert data_files(out) == data_files(demo)
