"""Whose fault it is that a listed file cannot be read: its record's own, or a lost mount's, which is no record's."""

from __future__ import annotations

import errno
from pathlib import Path

from schemas.errors import RunStopped

SOURCE_FAULTS = {errno.EIO, errno.EACCES, errno.EPERM}
"""Faults of one file: a stage that writes nothing itself may blame what it cannot read on the record."""


def check_unchanged(path: Path, file_bytes: int | None) -> None:
    """Stop the run where a file that was listed is gone, or has another size.

    Args:
        path: the file.
        file_bytes: its size when it was listed; None: not known.

    Raises:
        RunStopped: says what has changed.
    """
    try:
        found: int | None = path.stat().st_size
    except FileNotFoundError:
        found = None
    if found is None or file_bytes not in (None, found):
        what = "is gone" if found is None else "has another size"
        raise RunStopped(
            f"{path}: {what} since it was listed; see that data.root is there on every machine, "
            "and run the same command again"
        )
