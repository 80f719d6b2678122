"""What publishers call a clip, from the recording that it is a part of."""

from __future__ import annotations

import re

from pipelines.ingest.adapters import youtube
from pipelines.ingest.index import name_of
from pipelines.publish.items import Item
from schemas.recipe import Recipe

_SAFE = re.compile(r"[A-Za-z0-9_-]+")


def source(item: Item) -> tuple[str, str]:
    """Return where a recording is from, ``yt``, ``fs``, ``bbc`` or ``sb``, and its identifier there.

    Both are empty where it is from elsewhere, or its identifier is none that could be a file's name.
    """
    prefix, _, own = item.clip["recording_id"].partition(":")
    known = youtube.is_id(own) if prefix == "yt" else bool(_SAFE.fullmatch(own))
    return (prefix, own) if known and prefix in ("yt", "fs", "bbc", "sb") else ("", "")


def piece(item: Item) -> str:
    """Return what tells the pieces of a recording that was cut into several: ``_<seconds from its start>``; else empty."""
    start = item.clip_id.removeprefix(item.clip["record_id"]).removeprefix("-")
    return f"_{int(start) / 1000:g}" if start else ""


class YouTubeNames:
    """Names clips as tables of captions for YouTube clips do: AudioSet's ``Y<id>``, VGGSound's ``<id>_<start in six digits>``.

    A clip that is not of YouTube has its ``clip_id``.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._vggsound = {name_of(dataset) for dataset in recipe.data.datasets if dataset.adapter == "vggsound"}

    def __call__(self, item: Item) -> str:
        """Return a clip's name."""
        prefix, own = source(item)
        if prefix != "yt":
            return item.clip_id
        if item.caption["dataset"] in self._vggsound and item.record["start_s"] is not None:
            return f"{own}_{int(item.record['start_s']):06d}{piece(item)}"
        return f"Y{own}{piece(item)}"
