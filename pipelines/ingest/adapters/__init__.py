"""The datasets that Earloom can read: one file each, and one word here."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import Source
from schemas.errors import UserError

Row = dict[str, Any]
"""A row of the table ``records``, and ``wanted``: the audio file's name as published. Without that file its path is null."""
Drop = tuple[str, str]
"""A key and the declared reason why it is left out."""


class Adapter(Protocol):
    """What an adapter's module offers.

    It may also have ``PAGE``, the publisher's page, and ``SPLITS``, the published splits of a whole copy, without
    any of which the dataset as a whole is no evaluation set.
    """

    def rows(self, source: Source) -> Iterator[Row | Refusal | Drop]:
        """Yield each row of the dataset's metadata: to be served, refused, or left out on purpose.

        Raises:
            UserError: a metadata file is missing or is another than expected.
        """

    def metadata_files(self, source: Source) -> list[Path]:
        """Return the metadata files that :meth:`rows` reads; UserError if a needed one is missing."""


ADAPTERS = (
    "audiocaps",
    "audioset",
    "audiosetcaps",
    "audiosep_eval",
    "auto_acd",
    "clotho",
    "dcase2024_task9",
    "dns",
    "esc50",
    "folder",
    "fsd50k",
    "huggingface",
    "macs",
    "musdb18hq",
    "slakh",
    "sound_vecaps",
    "sounddescs",
    "urbansound8k",
    "vggsound",
    "wavcaps",
    "webdataset",
)
"""The modules of this package, each of which is an :class:`Adapter`."""


def adapter(name: str) -> Adapter:
    """Return the adapter of this name; UserError says which there are and which may have been meant."""
    if name in ADAPTERS:
        return cast(Adapter, import_module(f"{__name__}.{name}"))
    near = difflib.get_close_matches(name.lower(), ADAPTERS, 1)
    mend = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ADAPTERS)}"
    raise UserError(f"data.datasets: no adapter {name!r}; {mend}")
