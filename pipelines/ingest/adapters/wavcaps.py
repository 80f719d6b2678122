"""WavCaps (Mei et al., TASLP 2024): captions of AudioSet, BBC, FreeSound and SoundBible recordings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import youtube
from pipelines.ingest.listing import Source
from pipelines.ingest.texts import bad_row, read_entries
from schemas.ids import record_id

PAGE = "https://huggingface.co/datasets/cvssp/WavCaps"
LICENCE = "academic use"
"""WavCaps as a whole; each recording has a licence of its own beside it, which WavCaps does not tell."""


@dataclass(frozen=True)
class _Subset:
    folder: str
    short: str
    recordings: str


_SUBSETS = {
    "as_final.json": _Subset("AudioSet_SL", "as", "yt"),
    "bbc_final.json": _Subset("BBC_Sound_Effects", "bbc", "bbc"),
    "fsd_final.json": _Subset("FreeSound", "fs", "fs"),
    "sb_final.json": _Subset("SoundBible", "sb", "sb"),
}


def metadata_files(source: Source) -> list[Path]:
    """Return the caption files that are there; ``fsd_final_2s.json`` is but a part of ``fsd_final.json``."""
    found = [path for name in _SUBSETS for path in source.metadata(name) or source.metadata(f"*/{name}")]
    if not found:
        raise source.lacks(f"{' or '.join(_SUBSETS)} (published in json_files/)", PAGE)
    return found


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per caption."""
    files = metadata_files(source)
    splits = {name: source.split(_SUBSETS[name].folder, "train") for name in dict.fromkeys(path.name for path in files)}
    for path in files:
        subset = _SUBSETS[path.name]
        # A number names one recording of FreeSound and another of SoundBible: each has its own folder.
        others = tuple(other.folder for other in _SUBSETS.values() if other is not subset)
        for number, entry in enumerate(read_entries(path, "data"), 1):
            if not isinstance(entry, dict) or not entry.get("id") or not entry.get("caption"):
                yield bad_row(source.name, path, number, "has no id or no caption", "entry")
                continue
            # AudioSet's ids are `Y<YouTube id>.wav`, though its files are FLAC; other ids have no extension.
            stem = str(entry["id"]).removesuffix(".wav").removesuffix(".flac")
            clip = youtube.clip(stem) if subset.short == "as" else None
            own = clip.ytid if clip else stem
            yield source.row(
                record_id(source.name, f"{subset.short}_{own}"),
                source.audio((stem, own), (subset.folder,), others),
                stem,
                splits[path.name],
                LICENCE,
                recording_id=f"{subset.recordings}:{own}",
                captions=[str(entry["caption"])],
                keywords=_keywords(entry.get("tags") or entry.get("category")),
                title=str(entry.get("title") or entry.get("file_name") or "") or None,
                description=str(entry["description"]) if entry.get("description") else None,
                attribution=str(entry["author"]) if entry.get("author") else None,
            )


def _keywords(published: Any) -> list[str]:
    """Return tags as a list; BBC's category is a list written as text, such as ``"['Nature']"``."""
    if isinstance(published, str):
        try:
            published = ast.literal_eval(published)
        except (ValueError, SyntaxError):
            published = [published]
    return [str(word) for word in published] if isinstance(published, list) else []
