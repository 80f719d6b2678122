"""The command ``earloom shards``: its arguments, and what it says when it is done."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from schemas.errors import RunStopped

_SHOWN = 20


def add_shards(commands: Any) -> None:
    """Add the command to the parser's commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "shards", help="prove, restore and split anew what `earloom export --as webdataset` made"
    )
    of_shards = command.add_subparsers(dest="shards_command", required=True, metavar="verify|repair|resplit")
    verify = of_shards.add_parser(
        "verify", help="prove from a dataset folder alone that every sample is as it was written"
    )
    repair = of_shards.add_parser("repair", help="restore damaged and missing files, byte for byte")
    resplit = of_shards.add_parser("resplit", help="write the same samples into tars of other sizes")
    for each in (verify, repair, resplit):
        each.add_argument("folder", metavar="FOLDER", help="dataset folder")
    repair.add_argument(
        "--from", dest="source", required=True, metavar="RUN|FOLDER", help="the run that it is of, or another copy"
    )
    resplit.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    resplit.add_argument("--max-samples", type=_positive, required=True, metavar="N", help="most samples of a tar")
    resplit.add_argument(
        "--max-mb", type=_positive, required=True, metavar="MB", help="most megabytes (10^6 bytes) of a tar"
    )


def run_shards(options: argparse.Namespace) -> str:
    """Do what the arguments say; return what was done, in words. RunStopped where a folder is not as it was written."""
    folder = Path(options.folder).expanduser()
    if options.shards_command == "verify":
        return _verify(folder)
    if options.shards_command == "repair":
        from pipelines.shards.repair import repair

        mended = repair(
            folder, str(Path(options.source).expanduser()) if "://" not in options.source else options.source
        )
        return "\n".join([f"{folder}: {len(mended):,} files restored", *(f"  {name}" for name in mended)])
    from pipelines.shards.layout import Bounds
    from pipelines.shards.resplit import resplit

    manifest = resplit(folder, options.out, Bounds(options.max_samples, options.max_mb * 1_000_000))
    tars = sum(name.endswith(".tar") for name in manifest.files)
    return f"{options.out}: {manifest.told['exported']:,} samples in {tars:,} tars"


def _verify(folder: Path) -> str:
    from pipelines.shards.verify import verify

    proof = verify(folder)
    if proof.faults:
        shown = [f"  {fault.file}: {fault.what}" for fault in proof.faults[:_SHOWN]]
        more = len(proof.faults) - len(shown)
        raise RunStopped(
            "\n".join([f"{folder}: not as it was written", *shown, *([f"  and {more:,} more"] if more else [])])
        )
    return f"{folder}: {proof.files:,} files, {proof.samples:,} samples, {proof.members:,} members: all as they were written"


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, at least 1")
    return number
