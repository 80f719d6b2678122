"""The evaluation lists of AudioSep (Liu et al., 2023): the clips that six benchmarks of separation by words mix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import File, Source
from pipelines.ingest.texts import bad_row, read_table
from schemas.ids import record_id

PAGE = "https://github.com/Audio-AGI/AudioSep"
_ROLES = ("s0_wav", "s1_wav", "mix_wav")
"""Folders of VGGSound's list, in which the files of a mixture have one name."""


@dataclass(frozen=True)
class _List:
    """One list.

    Attributes:
        columns: column of a file -> column of its words; empty: none, it is mixed in.
        prefix: what kind of recordings its files name; empty: they name none.
        file: the recording's id in a file's name.
        captions: whether the words are captions; else they are labels.
    """

    columns: dict[str, str]
    prefix: str = ""
    file: str = ""
    captions: bool = False


_MIXED = {"src_wav": "caption", "noise_wav": ""}
_LISTS = {
    "audiocaps": _List(_MIXED, "yt", r"Y(.{11})", captions=True),
    # Beside its sources stand its mixtures, which are of no one recording.
    "audioset": _List({"src_wav": "caption"}),
    # Two of its columns are called noise_wav1; its sources are all of the evaluation set anyway.
    "clotho": _List({"src_wav": "caption", "noise_wav1": ""}, captions=True),
    "esc50": _List(_MIXED, "fs", r"\d-(\d+)-[A-Z]-\d+"),
    "music": _List(_MIXED, "yt", r"Y(.{11})_\d+"),
    "vggsound": _List({"s0_wav": "s0_text", "s1_wav": "s1_text"}, "yt", r"(.{11})_\d+"),
}


@dataclass
class _Clip:
    path: PurePosixPath
    words: list[str] = field(default_factory=list)


def metadata_files(source: Source) -> list[Path]:
    """Return the lists that are there."""
    names = [f"{name}_eval.csv" for name in _LISTS]
    found = source.metadata(*names)
    if not found:
        raise source.lacks(f"{' or '.join(names)} (published in evaluation/metadata/)", PAGE)
    return found


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per clip that a list names, as a source or as what is mixed in, with all the words for it."""
    for path in metadata_files(source):
        name = path.name.removesuffix("_eval.csv")
        split, known = source.split(name, "test"), _LISTS[name]
        clips: dict[str, _Clip] = {}
        for number, row in read_table(
            path, **{column: column for pair in known.columns.items() for column in pair if column}
        ):
            if row is None or not all(row.values()):
                yield bad_row(source.name, path, number, f"is not {', '.join(known.columns)} with their words")
                continue
            for place, (column, words) in enumerate(known.columns.items()):
                file = PurePosixPath(row[column])
                # A mixture of VGGSound is called `<first>+++<second>`, and so are the two files it is made of.
                clip = clips.setdefault(file.stem.split("+++")[place if "+++" in file.stem else 0], _Clip(file))
                if words and row[words] not in clip.words:
                    clip.words.append(row[words])
        for own, clip in clips.items():
            recording = re.fullmatch(known.file, own) if known.prefix else None
            yield source.row(
                record_id(source.name, f"{name}_{own}"),
                _audio(source, clip.path),
                clip.path.name,
                split,
                recording_id=f"{known.prefix}:{recording[1]}" if recording else None,
                captions=clip.words if known.captions else [],
                labels=[] if known.captions else [{"name": word, "class_id": None} for word in clip.words],
            )


def _audio(source: Source, path: PurePosixPath) -> File | None:
    role = path.parent.name
    return source.audio((path.stem,), (), tuple(each for each in _ROLES if each != role) if role in _ROLES else ())
