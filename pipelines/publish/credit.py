"""Whom to credit for an export: the lines of the run's ``attribution.csv`` of the recordings that are in it."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import attribution
from pipelines.publish.outbox import Outbox
from pipelines.publish.sealed import SealedRun
from schemas.errors import RunStopped

_SLICE = 65536
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def write_credit(run: SealedRun, recordings: pa.Array, box: Outbox) -> int:
    """Write ``attribution.csv`` of an export and return its lines below the header.

    Args:
        run: the run.
        recordings: ``recording_id`` of what is exported, each once; some 20 bytes each are held.
        box: where to.

    Raises:
        RunStopped: a recording has no line, so that whoever made it would go without credit.
    """
    lines, file, told = run.lines(attribution.NAME), box.open(attribution.NAME), 0
    wanted = pa.array([_line(name) for name in recordings.to_pylist()], pa.string())
    file.write(_text([next(lines)]))
    while piece := list(islice(lines, _SLICE)):
        # The ' that guards a cell from spreadsheets is not the name's own.
        names = pa.array([line[0].removeprefix("'") for line in piece], pa.string())
        kept = pc.is_in(names, value_set=wanted).to_pylist()
        file.write(_text([line for line, keep in zip(piece, kept, strict=True) if keep]))
        told += sum(kept)
    if told < pc.count_distinct(wanted).as_py():
        where = run.workspace.path(attribution.NAME)
        raise RunStopped(f"{where}: lacks recordings that are exported; `earloom verify` says more")
    return told


def _text(lines: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _line(name: str) -> str:
    """Return a recording's name on one line, as that file has it."""
    return " ".join(_CONTROL.sub(" ", name).split())
