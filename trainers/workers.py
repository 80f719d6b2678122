"""What goes wrong in a process that loads data, told as if it had gone wrong here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from schemas.errors import UserError

Made = TypeVar("Made")


def plain(loader: Iterable[Made]) -> Iterator[Made]:
    """Yield what a ``DataLoader`` yields.

    Raises:
        UserError: as a worker raised it. torch raises one of the same kind, but around the worker's words it puts a whole traceback.
    """
    try:
        yield from loader
    except UserError as error:
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from None
