"""WebDataset shards: tars in which the members of a sample lie together, told apart by what follows the first dot."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.core.stage import Refusal
from pipelines.ingest.columns import Facts, facts
from pipelines.ingest.listing import AUDIO, File, Source, is_text, list_files, rank
from pipelines.ingest.member import in_tar
from pipelines.ingest.naming import our_split, shown, split_of_shard
from schemas.errors import UserError
from schemas.ids import record_id

_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)
"""WebDataset's rule: a member's key goes up to the first dot of its name, folders apart; hidden files have none."""
_COMPRESSED = re.compile(r".*\.(tar\.(gz|bz2|xz|zst|lz4)|tgz|tbz2?|txz)", re.IGNORECASE | re.DOTALL)
_MOST_TEXT = 1 << 24
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class _Member:
    offset: int
    size: int


class _Broken(Exception):
    """A tar that cannot be read on; its text says why."""


class _Followed(_Broken):
    """A tar that goes on after the mark of its end."""


def metadata_files(source: Source) -> list[Path]:
    """Return none: what is told of a sample lies in its shard, whose name and size stand for it.

    Raises:
        UserError: there is no shard, or one is compressed.
    """
    _shards(source)
    return []


def rows(source: Source) -> Iterator[dict[str, Any] | Refusal]:
    """Yield a row per sample, in the shards' order; of a shard that breaks off the whole samples, and one refusal.

    A sample is named by its key and its shard, since keys may repeat in other shards: its identifier stays when shards
    are added. ``.json`` is read as a row of a table, ``.txt`` is a caption, ``.cls`` a label if it is a word. The last
    sample of a shard that breaks off is left out: what belongs to it may be lost.
    """
    for shard in _shards(source):
        size, served = shard.size or 0, 0
        if not is_text(shard.path):  # which is refused
            yield source.row(record_id(source.name, source.below(shard)), shard, "", "")
            continue
        try:
            with (source.root / shard.path).open("rb") as file:
                for key, members in _samples(_members(file, size)):
                    yield _row(source, shard, file, key, members)
                    served += 1
        except _Broken as broken:
            below = source.below(shard)
            words = f"{below}: {broken}; {served} whole samples before that are served, what follows is lost"
            yield Refusal(record_id(source.name, below), "corrupt_shard", words, shard.path)


def _shards(source: Source) -> list[File]:
    # A listing that was spared, since no audio is looked for, is made here: the metadata lie in the shards themselves.
    listing = source.files or list_files(source.folder, source.root)
    files = [file for file in listing if file.size is not None]
    for file in files:
        if _COMPRESSED.fullmatch(file.path):
            raise UserError(f"{source.root / file.path}: decompress it: a sample is found in a plain .tar alone")
    found = [file for file in files if file.suffix == ".tar"]
    if not found:
        raise UserError(
            f"dataset {source.name}: there is no *.tar in {source.folder} or below; mend the dataset's path"
        )
    return found


def _members(file: BinaryIO, size: int) -> Iterator[tuple[str, _Member]]:
    """Yield the name and the place of each regular file, header by header.

    Raises:
        _Broken: the tar does not end as it should; the last member that was yielded may be cut short.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            at = -1
            while (info := tar.next()) is not None:
                if info.size < 0 or info.offset <= at:
                    raise _Broken(f"the header at byte {info.offset} is not true")
                at = info.offset
                tar.members.clear()  # type: ignore[attr-defined] # else every header is kept
                if info.isreg() and not info.issparse():
                    yield info.name, _Member(info.offset_data, info.size)
                if info.offset_data + info.size > size:
                    raise _Broken(f"{info.name!r} is cut short")
            at = tar.offset
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise _Broken(str(error)) from error
    # The module takes any block that is no header for the end.
    file.seek(at)
    mark = file.read(_BLOCK)
    if not mark or any(mark):
        raise _Broken(f"no header at byte {at}" if mark else "it ends without the mark of its end")
    while block := file.read(1 << 20):
        if any(block):
            raise _Followed("something follows the mark of its end")


def _samples(members: Iterator[tuple[str, _Member]]) -> Iterator[tuple[str, dict[str, _Member]]]:
    """Yield each key with its members by extension, lower case; they lie together, so one sample is held at a time."""
    key, held = "", dict[str, _Member]()
    try:
        for name, member in members:
            if not (match := _NAME.fullmatch(name.removeprefix("./"))):
                continue
            extension = match[2].lower()
            if held and (match[1] != key or extension in held):
                yield key, held
                held = {}
            key = match[1]
            held[extension] = member
    except _Followed:
        if held:
            yield key, held
        raise
    if held:
        yield key, held


def _row(
    source: Source, shard: File, file: BinaryIO, key: str, members: dict[str, _Member]
) -> dict[str, Any] | Refusal:
    below = source.below(shard)
    own, wanted = record_id(source.name, f"{key} of {below}"), shown(f"{below}/{key}")
    try:
        audio = _audio(members)
        told = _facts(
            {kind: _text(file, members[kind]) for kind in ("txt", "json", "cls") if kind in members}, source.name
        )
    except ValueError as error:
        return Refusal(own, "bad_row", f"{wanted}: {error}", shard.path)
    split = our_split(source, told.split or split_of_shard(below))
    place = in_tar(audio.offset, audio.size) if audio else None
    return source.row(own, shard if audio else None, wanted, split, licence=told.licence, member=place, **told.columns)


def _audio(members: dict[str, _Member]) -> _Member | None:
    """Return the member that is called like audio: the only one, or the best of those that differ in the format alone."""
    formats = {kind: f".{kind.rpartition('.')[2]}" for kind in members}
    found = [kind for kind, suffix in formats.items() if suffix in AUDIO]
    if len({kind.rpartition(".")[0] for kind in found}) > 1:
        raise ValueError(f"several members may be its audio: {shown(', '.join(found))}")
    return members[min(found, key=lambda kind: rank(formats[kind]))] if found else None


def _text(file: BinaryIO, member: _Member) -> str:
    if member.size > _MOST_TEXT:
        raise ValueError(f"{member.size} bytes of text are more than a sample can have")
    file.seek(member.offset)
    data = file.read(member.size)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _facts(texts: dict[str, str], dataset: str) -> Facts:
    """Return what the text members say together; ValueError if they cannot be understood."""
    row: Any = {}
    if "json" in texts:
        try:
            row = json.loads(texts["json"])
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ValueError("its .json is no object of JSON")
    told = facts(row, dataset)
    for kind, fact in (("txt", "caption"), ("cls", "label")):
        if kind in texts:
            more, column = facts({fact: texts[kind]}, dataset).columns[f"{fact}s"], told.columns[f"{fact}s"]
            column[:] = [*more, *(each for each in column if each not in more)]
    return told
