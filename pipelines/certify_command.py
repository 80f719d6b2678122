"""The command ``earloom certify``: its arguments, and what it says when it is done."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from schemas.errors import RunStopped, UserError

if TYPE_CHECKING:  # the command line asks for the arguments alone
    from pipelines.core.workspace import Workspace


def add_certify(commands: Any) -> None:
    """Add the command to the parser's commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "certify", help="measure what a finished run promises of its mixtures, and write certificate/certificate.json"
    )
    command.add_argument("run", metavar="RUN", help="run folder")
    command.add_argument(
        "--sample",
        type=int,
        default=1000,
        metavar="N",
        help="mixtures whose sound is read and summed; 1000 if not given",
    )
    command.add_argument("--all", action="store_true", help="read and sum all of them")
    command.add_argument("--json", action="store_true", help="print the certificate itself")


def run_certify(workspace: Workspace, options: argparse.Namespace) -> str:
    """Certify the run in ``workspace`` as the arguments say; return the certificate in words, or as JSON.

    Raises:
        UserError: there is no finished run, or it has no mixtures.
        RunStopped: a promise is broken; the certificate, which is written all the same, says by how many.
    """
    from pipelines.certify import PATH, write_certificate

    if options.sample < 1:
        raise UserError(f"--sample {options.sample}: must be at least 1; --all reads all")
    certificate = write_certificate(workspace, None if options.all else options.sample)
    broken = [
        f"{each['promise']}: {each['broken']:,} break it" for each in certificate["promises"] if not each["holds"]
    ]
    if broken:
        raise RunStopped(f"{workspace.path(PATH)}: {'; '.join(broken)}")
    return json.dumps(certificate, ensure_ascii=False) if options.json else "\n".join(_lines(workspace, certificate))


def _lines(workspace: Workspace, certificate: dict[str, Any]) -> list[str]:
    mixtures, sums = sum(each["mixtures"] for each in certificate["sets"]), certificate["sums"]
    lines = [f"{workspace.root}: {mixtures:,} mixtures, every promise holds"]
    for by, rate in certificate["collision_rate"].items():
        lines.append(
            f"  collisions by {by}: {rate['equal']:,} equal, {rate['equal_or_related']:,} with classes above and below, "
            f"of {rate['pairs']:,} pairs"
        )
    unknown, vetoes = certificate["unknown"], certificate["vetoes"]
    lines += [
        f"  sources: {unknown['sources']:,}, of which {unknown['sources_without_class']:,} without a class and "
        f"{unknown['sources_inferred']:,} inferred; of {unknown['clips']:,} clips {unknown['clips_unknown']:,} are unknown",
        f"  vetoes: {vetoes['classes_heard']:,} classes heard and {vetoes['classes_said']:,} said in clips that are not labelled so",
        f"  sums: {sums['samples']:,} samples, largest error {sums['largest_error']} (targets {sums['largest_target_error']})",
    ]
    lines += [_level(level) for level in certificate["levels"]]
    return [*lines, f"  written: {workspace.path('certificate/certificate.json')}"]


def _level(level: dict[str, Any]) -> str:
    """Return what a set's levels came to, in words."""
    told = [f"{level['mixtures']:,} mixtures"]
    for words, key in (("SNR asked", "asked"), ("achieved", "achieved")):
        if level[f"{key}_least_db"] is not None:
            told.append(f"{words} {level[f'{key}_least_db']:.2f} to {level[f'{key}_most_db']:.2f} dB")
    return f"  {level['set']}: {', '.join(told)}; {level['turned_down']:,} turned down"
