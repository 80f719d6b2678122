"""The command line that the trainers of the demo's models share."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import UserError

Run = Callable[[Sequence[str], int, Path, int], None]
"""Trains on folders of shards for so many epochs into a folder, from a seed."""


def command(name: str, what: str, epochs: int, run: Run, argv: Sequence[str] | None) -> int:
    """Read the arguments of ``python -m trainers.<name>`` and run it; return the exit code.

    Args:
        name: the module's.
        what: what is trained, e.g. ``a small CLAP``.
        epochs: passes over the clips, unless asked otherwise.
        run: does it.
        argv: the arguments; None: those of the process.
    """
    description = f"Train {what} on caption shards and measure it on a held-out split."
    parser = argparse.ArgumentParser(prog=f"python -m trainers.{name}", description=description)
    parser.add_argument("shards", nargs="+", help="folders that hold train-00000-000.tar or test-00000-000.tar")
    parser.add_argument("--epochs", type=int, default=epochs, help=f"passes over the clips (default: {epochs})")
    parser.add_argument("--out", type=Path, required=True, help="folder for model and measures.json")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if arguments.epochs < 1:
            raise UserError(f"--epochs {arguments.epochs}: must be 1 or more")
        run(arguments.shards, arguments.epochs, arguments.out, arguments.seed)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0


def write_report(report: dict[str, Any], out: Path) -> None:
    """Write ``measures.json``; ValueError for a number that JSON does not have."""
    (out / "measures.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
