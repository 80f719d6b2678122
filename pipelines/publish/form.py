"""What every format is: which tables it reads, which products it makes of them, and what becomes of a clip in each."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pipelines.publish.items import Item, Side
from pipelines.publish.outbox import Outbox
from pipelines.publish.sealed import SealedRun
from schemas.errors import RunStopped
from schemas.licences import COMMERCIAL

ID_TAKEN = "id_taken"
"""Why a clip is left out whose identifier in the format is that of a clip before it."""


@dataclass(frozen=True)
class Options:
    """What the user asks for.

    Attributes:
        everything: captions that were not accepted, and clips that are withheld, too.
        audio: the clips' sound too.
        licence: ``commercial`` keeps clips under one of :data:`schemas.licences.COMMERCIAL`.
        splits: splits that are kept; empty: all.
    """

    everything: bool = False
    audio: bool = False
    licence: Literal["any", "commercial"] = "any"
    splits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Served:
    """What became of a clip.

    Attributes:
        left: of each product why the clip is not in it; null: it is.
        name: the clip's identifier in the format.
        candidate_ids: the candidates whose words are in it.
        sound: the sound's file, relative to the export; empty: none was written.
    """

    left: Mapping[str, str | None]
    name: str = ""
    candidate_ids: tuple[str, ...] = ()
    sound: str = ""


@dataclass
class Format(ABC):
    """Base of all formats. One is made per export; it is given each clip that is not barred, and is then closed.

    Class attributes:
        sounds: it can hold the clips' sound.
        decisions: it can tell what was decided, so that refused captions may stand in it.
        proposed: it reads candidates, and not the caption alone.
        indexed: a table ``clips.csv`` beside it says which clip each identifier is.
    """

    sounds: ClassVar[bool] = False
    decisions: ClassVar[bool] = False
    proposed: ClassVar[bool] = True
    indexed: ClassVar[bool] = True

    run: SealedRun
    options: Options
    box: Outbox
    taken: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @property
    @abstractmethod
    def products(self) -> tuple[str, ...]:
        """What is counted: each clip is in a product, or is left out of it for one reason."""

    @property
    def sides(self) -> dict[str, Side]:
        """Side tables that it reads, beside those of :class:`pipelines.publish.items.Item`."""
        return {}

    @abstractmethod
    def serve(self, item: Item) -> Served:
        """Write a clip, and say where it went."""

    def close(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """Write what stands at the end, and return what the manifest tells beside the ``counts`` that it is given."""
        return {}

    def left_out(self, reason: str) -> Served:
        """Return that a clip is in no product."""
        return Served(dict.fromkeys(self.products, reason))

    def take(self, place: str, name: str) -> bool:
        """Take an identifier in a file; False: another clip has it."""
        free = (place, name) not in self.taken
        self.taken.add((place, name))
        return free

    def flac(self, item: Item) -> bytes:
        """Return a clip's sound; RunStopped where the store holds other bytes than were sealed."""
        clip = item.clip
        data = self.run.workspace.read_range(clip["tar"], clip["offset"], clip["size"])
        if hashlib.sha256(data).hexdigest() != clip["sha256"]:
            raise RunStopped(f"{self.run.workspace.path(clip['tar'])}: was altered; `earloom verify` says more")
        return data


def barred(item: Item, options: Options) -> str | None:
    """Return why a clip is left out whatever the format: the first reason that is true; None: it is not."""
    caption = item.caption
    if options.splits and caption["split"] not in options.splits:
        return f"split:{caption['split']}"
    if options.licence == "commercial" and caption["licence"] not in COMMERCIAL:
        return f"licence:{caption['licence']}"
    if options.everything:
        return None
    if caption["withheld"]:
        return str(caption["withheld"])
    return None if caption["decision"] == "accepted" else str(caption["decision"])
