"""The command ``earloom export``: its arguments, and what it says when it is done."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pipelines.publish.formats import FORMATS, MIXTURES

if TYPE_CHECKING:  # the command line asks for the arguments alone
    from pipelines.core.workspace import Workspace
    from pipelines.publish.form import Options


def add_export(commands: Any) -> None:
    """Add the command to the parser's commands."""
    told = {**FORMATS, MIXTURES: "mixtures: tars, index, card, Croissant, certificate, reader"}
    command: argparse.ArgumentParser = commands.add_parser(
        "export",
        help="write the captions of a finished run in a publisher's form, or its mixtures as a dataset folder",
        epilog="formats: " + "; ".join(f"{name}: {words}" for name, words in told.items()),
    )
    command.add_argument("run", metavar="RUN", help="run folder")
    command.add_argument("--as", dest="format", required=True, metavar="FORMAT", help=", ".join(told))
    command.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    command.add_argument("--audio", action="store_true", help="the clips' sound too: wavcaps, huggingface")
    command.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="also what was not accepted or is withheld, with the decision: huggingface",
    )
    command.add_argument(
        "--licence", choices=("any", "commercial"), default="any", help="commercial: only what may be used so"
    )
    command.add_argument(
        "--split", action="append", default=[], metavar="SPLIT", help="keep this split alone; may be repeated"
    )


def run_export(workspace: Workspace, options: argparse.Namespace) -> str:
    """Export the run in ``workspace`` as the arguments say; return what was done, a line per product."""
    from pipelines.publish.export import export
    from pipelines.publish.form import Options

    asked = Options(options.everything, options.audio, options.licence, tuple(dict.fromkeys(options.split)))
    if options.format == MIXTURES:
        return _mixtures(workspace, options.out, asked)
    manifest = export(workspace, options.format, options.out, asked)
    lines = [f"{options.out}: {manifest['clips']:,} clips, as {options.format}"]
    for product, counts in manifest["products"].items():
        left = ", ".join(f"{count:,} {reason}" for reason, count in counts["left_out"].items()) or "none"
        lines.append(f"  {product}: {counts['exported']:,} exported; left out: {left}")
    return "\n".join(lines)


def _mixtures(workspace: Workspace, out: str, asked: Options) -> str:
    from pipelines.publish.webdataset import export_mixtures

    told = export_mixtures(workspace, out, asked)
    left = ", ".join(f"{count:,} {reason}" for reason, count in told["left_out"].items()) or "none"
    lines = [
        f"{out}: {told['mixtures']:,} mixtures, as {MIXTURES}",
        f"  exported: {told['exported']:,}; left out: {left}",
    ]
    return "\n".join([*lines, *(f"  {group}: {count:,}" for group, count in told["groups"].items())])
