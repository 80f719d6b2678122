"""The formats that a run can be exported to: one file each, and one line here."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, cast

from schemas.errors import UserError

if TYPE_CHECKING:  # the command line asks for the names alone
    from pipelines.publish.form import Format

FORMATS = {
    "audiosetcaps": "CSV: id, caption; and the answers that the captions were made of",
    "clotho": "CSV: file_name, caption_1 to caption_5, a file per split",
    "huggingface": "Parquet with a card, for `datasets.load_dataset`",
    "sound_vecaps": "CSV: id, caption; what is seen and heard, and what is heard alone; and places",
    "wavcaps": "JSON, a file per source of recordings",
}
"""The modules of this package, each of which has a class ``Export``, and what they write."""


MIXTURES = "webdataset"
"""The name under which mixtures are exported, which are no format of captions."""


def format_of(name: str) -> type[Format]:
    """Return the format of this name; UserError says which there are and which may have been meant."""
    if name in FORMATS:
        return cast("type[Format]", import_module(f"{__name__}.{name}").Export)
    known = [*FORMATS, MIXTURES]
    near = difflib.get_close_matches(name.lower(), known, 1)
    mend = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise UserError(f"--as {name}: no such format; {mend}")
