"""WavCaps' form (Mei et al., TASLP 2024): JSON per source of recordings, with the keys that each of its subsets has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.publish.form import ID_TAKEN, Format, Served
from pipelines.publish.items import Item, Row
from pipelines.publish.names import piece, source
from pipelines.publish.sinks import JsonArray

ENTRIES = "entries"
NO_SOUND = "wav_path"
"""What stands for the sound's file in the published files, to be replaced by whoever has it."""
_USER = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Subset:
    """One of WavCaps' subsets: its folder, its file, and its keys in their order."""

    folder: str
    file: str
    keys: tuple[str, ...]


_WEB = ("duration", "audio", "download_link")
SUBSETS = {
    "yt": Subset("AudioSet_SL", "as_final.json", ("id", "caption", "audio", "duration")),
    "bbc": Subset("BBC_Sound_Effects", "bbc_final.json", ("description", "category", "caption", "id", *_WEB)),
    "fs": Subset(
        "FreeSound",
        "fsd_final.json",
        (
            *("id", "file_name", "href", "tags", "description", "author"),
            *("duration", "download_link", "caption", "audio"),
        ),
    ),
    "sb": Subset("SoundBible", "sb_final.json", ("title", "description", "author", "href", "caption", "id", *_WEB)),
    "": Subset("Other", "other_final.json", ("id", "caption", "audio", "duration")),
}
"""Where a recording is from -> its subset; ``Other`` is not one of WavCaps', and has the keys that all have."""


@dataclass
class Export(Format):
    """``json_files/<subset>/<file>``, and ``waveforms/<subset>_flac/<id>.flac``."""

    sounds = True
    proposed = False

    files: dict[str, JsonArray] = field(default_factory=dict, repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """The entries of all files together."""
        return (ENTRIES,)

    def serve(self, item: Item) -> Served:
        """Write a clip's entry, and its sound if it is wanted."""
        prefix, own = source(item)
        subset, stem = SUBSETS[prefix], own + piece(item) if prefix else item.clip_id
        if not self.take(prefix, stem):
            return self.left_out(ID_TAKEN)
        file = ""
        if self.options.audio:
            file = f"waveforms/{subset.folder}_flac/{'Y' if prefix == 'yt' else ''}{stem}.flac"
            with self.box.open(file, listed=False) as sound:
                sound.write(self.flac(item))
        entry = entry_of(item, prefix, stem, file or NO_SOUND)
        if prefix not in self.files:
            name = f"json_files/{subset.folder}/{subset.file}"
            self.files[prefix] = JsonArray(self.box, name, {"num_captions_per_audio": 1}, "data")
        self.files[prefix].add(entry)
        return Served({ENTRIES: None}, entry["id"], (item.caption["candidate_id"],), file)

    def close(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """End the files."""
        for file in self.files.values():
            file.close()
        return {}


def entry_of(item: Item, prefix: str, stem: str, audio: str) -> Row:
    """Return an entry with exactly the keys of its subset; null: this run does not know it.

    ``href`` and ``download_link`` are made as the published ones are, where the run knows all that stands in them.
    """
    record, own = item.record, source(item)[1]
    author, title = item.clip["attribution"], record["title"]
    makers: dict[str, Row] = {
        "bbc": {
            "category": repr(record["keywords"]),
            "download_link": f"https://sound-effects-media.bbcrewind.co.uk/zip/{own}.wav.zip",
        },
        "fs": {
            "file_name": title,
            "href": f"/people/{author}/sounds/{own}/" if author and _USER.fullmatch(author) else None,
            "tags": record["keywords"],
            "download_link": None,
        },
        "sb": {
            "title": title,
            "href": f"{own}-{title.replace(' ', '-')}.html" if title else None,
            "download_link": f"http://soundbible.com/grab.php?id={own}&type=wav",
        },
    }
    told = {
        "id": f"Y{stem}.wav" if prefix == "yt" else stem,
        "caption": item.caption["caption"],
        "audio": audio,
        "duration": item.clip["duration_s"],
        "description": record["description"],
        "author": author,
    } | makers.get(prefix, {})
    return {key: told[key] for key in SUBSETS[prefix].keys}
