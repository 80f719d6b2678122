"""The command ``earloom replay``: its arguments, and what it says when it is done."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from schemas.errors import RunStopped, UserError


def add_replay(commands: Any) -> None:
    """Add the command to the parser's commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "replay",
        help="render a published evaluation list (AudioSep's six, DCASE 2024 task 9's) from your audio, and say what its pairs share",
    )
    command.add_argument("list", metavar="LIST.csv", help="the list as published")
    command.add_argument("--audio", metavar="DIR", help="folder below which its sounds lie")
    command.add_argument("--out", metavar="DIR", help="a new folder")
    command.add_argument(
        "--collisions", action="store_true", help="only say what the pairs share; needs neither audio nor --out"
    )
    command.add_argument("--json", action="store_true", help="with --collisions: as JSON")


def run_replay(options: argparse.Namespace) -> str:
    """Replay the list as the arguments say; return what was done, in lines.

    Raises:
        UserError: an argument is missing, or the list is none of the known ones.
        RunStopped: not one line could be rendered; the folder says why of each.
    """
    path = Path(options.list).expanduser()
    if options.collisions:
        from pipelines.replay.collisions import collisions
        from pipelines.replay.lists import read_list

        listing = read_list(path)
        facts = {"list": listing.form.name, **collisions(listing).facts(), "bad_rows": len(listing.bad)}
        return json.dumps(facts) if options.json else "\n".join(_shares(facts))
    if options.json:
        raise UserError("replay: --json goes with --collisions; a rendered list has its manifest.json")
    if not options.audio or not options.out:
        raise UserError("replay: needs --audio DIR and --out DIR, or --collisions alone")
    from pipelines.replay.replay import replay

    manifest = replay(path, options.audio, options.out)
    refused = ", ".join(f"{count:,} {error}" for error, count in manifest["rejects"].items()) or "none"
    if not manifest["rendered"]:
        raise RunStopped(f"{options.out}: not one of {manifest['lines']:,} lines could be rendered ({refused})")
    return "\n".join(
        [
            f"{options.out}: {manifest['rendered']:,} of {manifest['lines']:,} mixtures of {manifest['list']}; rejects: {refused}",
            *_shares({"list": manifest["list"], **manifest["collisions"]}),
        ]
    )


def _shares(facts: dict[str, Any]) -> list[str]:
    lines = [f"{facts['list']}: {facts['pairs']:,} pairs, classes known by {facts['classes_by']}"]
    if facts["labelled"]:
        lines += [
            f"  of {facts['labelled']:,} pairs of which both are known:",
            f"  share a label or class       {facts['equal']:,} ({facts['equal_share']:.1%})",
            f"  or one above or below        {facts['equal_or_related']:,} ({facts['equal_or_related_share']:.1%})",
        ]
    lines.append(f"  one of the two is unknown    {facts['unknown']:,}")
    lines.append(f"  both are the same recording  {facts['same_recording']:,}")
    if facts["same_recording_as_unmixed"]:
        lines.append(f"  a further file named there   {facts['same_recording_as_unmixed']:,}")
    if facts.get("bad_rows"):
        lines.append(f"  lines that are no pair       {facts['bad_rows']:,}")
    return lines
