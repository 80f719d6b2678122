"""kill -9 of the driver, a worker or the node at random moments ends, after a rerun, in the bytes of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_killed_run_goes_on_to_the_same_bytes(small):
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "kill.py"),
        "--kills",
        "3",
        "--data",
        str(small),
        "--seed",
        "3",
        # Twelve sounds go through every stage and model too, and most of a run is its start.
        "--set",
        "data.datasets=[{adapter: fsd50k}]",
    ]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=1500, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    assert "3 kills: data files identical; verify exits 0" in found.stdout
