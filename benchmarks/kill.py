"""Kills a run of the demo at random moments and proves that it ends with the bytes of an undisturbed run.

    python benchmarks/kill.py --kills 20 --data data/sample

Each round starts ``earloom run``, waits a random time, and sends SIGKILL to the driver, to one worker, or to every process of
the Ray node. A round that is killed is followed by the next in the same workspace; when the kills are used up the
run is left to finish. Then every data file is compared with that of a run that nobody disturbed, and ``earloom verify`` is run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VICTIMS = ("driver", "worker", "node")


def data_files(root: Path) -> dict[str, str]:
    """Return the sha256 of every data file of a run: all but its report, and markers and the seal, which hold seconds."""
    names = [path for path in root.rglob("*") if path.is_file() and "report" not in path.relative_to(root).parts]
    kept = [path for path in names if path.suffix != ".json" or path.name in ("stage.json", "run.json")]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def command(data: Path, out: Path, extra: list[str]) -> list[str]:
    """Return the command that is killed and run again."""
    return [
        sys.executable,
        "-m",
        "pipelines",
        "run",
        "configs/demo.yaml",
        "--set",
        f"data.root={data}",
        "--out",
        str(out),
        "--quiet",
        *extra,
    ]


def family(pid: int) -> dict[int, str]:
    """Return the command line of every process below ``pid``, and of those of its session that lost their parent."""
    found, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(entry.name)] = int(stat[1])
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    below, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in below} - below
        below |= more
        grown = bool(more)
    return {p: found[p] for p in below if p in found}


def kill(process: subprocess.Popen[bytes], victim: str, rng: random.Random) -> None:
    """Send SIGKILL to the driver, to one worker, or to all processes below the driver."""
    below = family(process.pid)
    if victim == "driver":
        targets = [process.pid]
    elif victim == "worker":
        workers = [p for p, words in below.items() if words.startswith("ray::")]
        targets = [rng.choice(workers)] if workers else []
    else:
        targets = [p for p in below if p != process.pid]
    for target in targets:
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            continue


def main() -> int:
    """Run the kills; return 0 if the bytes are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--data", type=Path, default=Path("data/sample"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    rng, extra = random.Random(options.seed), [word for item in options.set for word in ("--set", item)]
    scratch = Path(tempfile.mkdtemp(prefix="earloom-kill-"))
    began = time.monotonic()
    subprocess.run(command(options.data, scratch / "whole", extra), check=True)
    length = time.monotonic() - began
    print(f"an undisturbed run takes {length:.1f} s", flush=True)
    number = 0
    while number < options.kills:
        victim, wait = rng.choice(VICTIMS), rng.uniform(2.0, length)
        process = subprocess.Popen(command(options.data, scratch / "killed", extra), stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=wait)
            print(f"   had finished before {wait:.1f} s; beginning anew", flush=True)
            shutil.rmtree(scratch / "killed")
            continue
        except subprocess.TimeoutExpired:
            number += 1
            kill(process, victim, rng)
        if victim == "worker":
            # The run survives a worker; it is then killed as a whole, so that the next round has something to do.
            time.sleep(rng.uniform(0.5, 3.0))
            kill(process, "driver", rng)
        try:
            code = process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            print(f"{number}: the driver hangs after its {victim} was killed")
            return 1
        print(f"{number}: killed the {victim} after {wait:.1f} s, exit {code}", flush=True)
        time.sleep(1.0)
    subprocess.run(command(options.data, scratch / "killed", extra), check=True)
    same = data_files(scratch / "whole") == data_files(scratch / "killed")
    verified = subprocess.run(
        [sys.executable, "-m", "pipelines", "verify", str(scratch / "killed")], check=False
    ).returncode
    print(f"{options.kills} kills: data files {'identical' if same else 'DIFFER'}; verify exits {verified}")
    if same and verified == 0:
        shutil.rmtree(scratch)
        return 0
    print(f"left in {scratch}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
