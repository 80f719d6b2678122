"""Slakh2100 and BabySlakh (Manilow et al., WASPAA 2019): songs that were rendered from MIDI, a stem per instrument."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import AUDIO, File, Source
from pipelines.ingest.texts import bad_row, read_text
from schemas.ids import record_id

PAGE = "https://zenodo.org/records/4599666"
WHOLE_LICENCE = "CC BY 4.0"
_OURS = {"train": "train", "validation": "val", "test": "test", "omitted": ""}
"""A song in omitted/ has the MIDI file of another: it is left out unless the recipe's ``splits`` name ``omitted``."""
_SONG = f"Track{'[0-9]' * 5}/metadata.yaml"
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""Every value as its text: an instrument called "No" or "1e5" is no boolean and no number."""


def metadata_files(source: Source) -> list[Path]:
    """Return the description of every song."""
    found = source.metadata(_SONG) or source.metadata(f"*/{_SONG}")
    if not found:
        raise source.lacks("Track00001/metadata.yaml (published in train/, validation/, test/)", PAGE)
    return found


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    """Yield a row per stem that was rendered; the label is the family of General MIDI that the song asks for."""
    # The stems of all songs have the same names, so that they are looked up by their place.
    heard = (file for file in reversed(source.files) if file.suffix in AUDIO and file.size is not None)
    audio = {source.below(file).rpartition(".")[0]: file for file in heard}
    for path in metadata_files(source):
        yield from _song(source, path, audio)


def _song(source: Source, path: Path, audio: dict[str, File]) -> Iterator[dict[str, Any] | Refusal | tuple[str, str]]:
    song, published = path.parent.name, _published(path.parent)
    place = path.parent.relative_to(source.folder).as_posix()
    split = source.split(published, _OURS[published])
    if f"{place}/mix" in audio:
        yield record_id(source.name, f"{song}_mix"), "not_a_single_source"
    stems = _stems(path)
    if stems is None:
        yield Refusal(record_id(source.name, song), "bad_row", f"{place}/{path.name}: names no stems")
        return
    for number, (stem, facts) in enumerate(stems.items(), 1):
        key, file = record_id(source.name, f"{song}_{stem}"), audio.get(f"{place}/stems/{stem}")
        family, program, rendered = (_text(facts, of) for of in ("inst_class", "midi_program_name", "audio_rendered"))
        if not split:
            yield key, "omitted_by_publisher"
        elif not family:
            yield bad_row(source.name, path.parent, number, "has no inst_class", "stem")
        elif file is None and rendered != "true":
            # A file that is there counts for more: BabySlakh says of all its stems that they were not rendered.
            yield key, "stem_not_rendered"
        else:
            yield source.row(
                key,
                file,
                f"{place}/stems/{stem}.flac",
                split,
                licence=WHOLE_LICENCE,
                recording_id=f"slakh:{song}",
                labels=[{"name": family, "class_id": None}],
                keywords=[program] if program else [],
            )


def _published(folder: Path) -> str:
    """Return the split that a song's folder lies in, else the one that Slakh2100 first gave its number."""
    if folder.parent.name in _OURS:
        return folder.parent.name
    number = int(folder.name.removeprefix("Track"))
    return "train" if number <= 1500 else "validation" if number <= 1875 else "test"


def _stems(path: Path) -> dict[str, Any] | None:
    try:
        whole = yaml.load(read_text(path), Loader=_LOADER)
    except (yaml.YAMLError, ValueError):
        return None
    stems = whole.get("stems") if isinstance(whole, dict) else None
    return stems if isinstance(stems, dict) else None


def _text(facts: Any, of: str) -> str:
    found = facts.get(of) if isinstance(facts, dict) else None
    return found if isinstance(found, str) else ""
