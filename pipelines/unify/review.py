"""The review file as it is written: the names of a run whose class nobody is sure of, for a person to look at."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace
from pipelines.unify.meaning import NO_SOUND
from pipelines.unify.names import ORIGINS, default_index
from pipelines.unify.reviewed import SILENT
from schemas.errors import UserError

COLUMNS = ("dataset", "name", "classes", "clips", "origin", "confidence", "near")
"""Columns of the file; :mod:`pipelines.unify.reviewed` reads the first three."""


def write_review(workspace: Workspace, path: Path) -> int:
    """Write the names of a run that a person should look at, those of the most clips first, and return how many they are.

    These are the names that are unknown, those that an embedding or a language model gave a class, and those of an earlier
    review, so that the new file takes its place. ``classes`` holds what is taken now, separated by semicolons: left as it is, it
    is agreed to; emptied, the name is undecided; ``no sound`` says that it names none.

    Raises:
        UserError: there is such a file already, it cannot be written, or no run has finished here.
    """
    ontology = default_index().ontology
    rows = dicts(workspace, "SELECT * FROM names ORDER BY clips DESC, dataset, name")
    open_ = [row for row in rows if row["origin"] not in ORIGINS]
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(COLUMNS)
            for row in open_:
                near = "; ".join(f"{ontology[each['class_id']].name} {each['score']:.2f}" for each in row["near"])
                classes = SILENT if row["origin"] == NO_SOUND else "; ".join(_called(c) for c in row["class_ids"])
                sure = "" if row["confidence"] is None else f"{row['confidence']:.2f}"
                out.writerow([row["dataset"], row["name"], classes, row["clips"], row["origin"], sure, near])
    except FileExistsError:
        raise UserError(f"{path}: is there already, and may hold your decisions; name another file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return len(open_)


def _called(class_id: str) -> str:
    """Return a class's name, or its id where the name alone would be read as another class."""
    index = default_index()
    name = index.ontology[class_id].name
    match = index.lookup(name)
    return name if match is not None and match.class_id == class_id and ";" not in name else class_id
