"""Evaluation sets by name, as the recordings that stand in them: what a training set must not touch."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import ADAPTERS, adapter
from pipelines.ingest.blacklists import read_blacklists
from pipelines.ingest.listing import Source, list_files
from pipelines.ingest.splits import Verbatim
from schemas.errors import UserError
from schemas.recipe import Dataset

_HELP = "a set is `dataset` or `dataset/split`, e.g. audiocaps/test, with the publisher's own word for the split"


@dataclass(frozen=True)
class EvaluationSet:
    """One evaluation set.

    Attributes:
        name: its name in the recipe, e.g. ``clotho/evaluation``.
        recordings: the recordings that stand in it.
        unnamed: rows of it that name no recording, so that only their sound could tell.
    """

    name: str
    recordings: frozenset[str]
    unnamed: int


@dataclass
class _Part:
    """What a published split, or a blacklist, holds."""

    recordings: set[str] = field(default_factory=set)
    unnamed: int = 0


_Parts = dict[tuple[str, str], _Part]
"""By adapter and published split."""


def resolve(name: str, datasets: Sequence[Dataset], root: Path) -> EvaluationSet:
    """Return the evaluation set of this name, from the publisher's metadata below ``root``; no audio is needed.

    They lie where a dataset of the recipe says that has this name or adapter, else in a folder of ``root``, or one
    further down, that is called like the adapter (``ESC-50`` is ``esc50``). ``<dataset>/<blacklist>`` is one of WavCaps.

    Raises:
        UserError: there is no such dataset, split or metadata file, two folders are called like it, none of its rows
            names a recording, or ``<dataset>`` alone is named and a split that its publisher has is not there. A set
            that cannot be resolved is an error: to go on would be to promise what nobody looked at.
    """
    key, (dataset, _, split) = f"data.decontaminate: {name!r}", name.partition("/")
    places = [each for each in datasets if dataset in (each.name, each.adapter)]
    if not places and dataset not in ADAPTERS:
        raise UserError(f"{key}: there is no dataset or adapter {dataset!r}; {_HELP}")
    folders = {(each.adapter, root / each.path) for each in places} or {(dataset, _folder(key, dataset, root))}
    parts: _Parts = defaultdict(_Part)
    for adapter_name, folder in sorted(folders):
        if not folder.is_dir():
            raise UserError(
                f"{key}: {folder} is no folder; put the metadata of {adapter_name} there, no audio is needed"
            )
        _gather(adapter_name, folder, root, split, parts)
    if not split:
        _check_whole(key, dataset, folders, parts)
    wanted = [part for (_, published), part in parts.items() if split in ("", published)]
    if not wanted:
        there = ", ".join(sorted({published for _, published in parts})) or "no rows"
        raise UserError(f"{key}: {dataset} has no split {split!r} there; it has {there}")
    recordings = frozenset[str]().union(*(part.recordings for part in wanted))
    unnamed = sum(part.unnamed for part in wanted)
    if not recordings:
        pages = " or ".join(sorted({_page(adapter_name) for adapter_name, _ in folders}))
        words = f"see that all metadata files of that split are there; they come from {pages}"
        raise UserError(f"{key}: none of its {unnamed} rows names a recording; {words}")
    return EvaluationSet(name, recordings, unnamed)


def _gather(adapter_name: str, folder: Path, root: Path, split: str, parts: _Parts) -> None:
    """Add every split that there is in a folder to ``parts``; of another than ``split`` (empty: all), its name alone."""
    blacklist = read_blacklists(folder).get(split) if split else None
    if blacklist is not None:
        part = parts[adapter_name, split]
        part.recordings |= blacklist.recordings
        part.unnamed += blacklist.unnamed
        return
    for published, recording in _recordings(adapter_name, folder, root):
        part = parts[adapter_name, published]
        if split not in ("", published):
            continue
        if recording is None:
            part.unnamed += 1
        else:
            part.recordings.add(recording)


def _check_whole(key: str, dataset: str, folders: Collection[tuple[str, Path]], parts: _Parts) -> None:
    """Raise UserError for an adapter of which a published split is not there, or names no recording."""
    for adapter_name in sorted({adapter_name for adapter_name, _ in folders}):
        splits: tuple[str, ...] = getattr(adapter(adapter_name), "SPLITS", ())
        missing = [split for split in splits if not parts.get((adapter_name, split), _Part()).recordings]
        if missing:
            where = " or ".join(sorted(str(folder) for each, folder in folders if each == adapter_name))
            there = next((split for split in splits if split not in missing), splits[-1])
            raise UserError(
                f"{key}: no recording of {' or '.join(missing)} is named in {where}; put the metadata of that split there, "
                f"they come from {_page(adapter_name)}, or name the splits that are meant, e.g. {dataset}/{there}"
            )


def _page(adapter_name: str) -> str:
    """Return where the metadata of an adapter come from."""
    return str(getattr(adapter(adapter_name), "PAGE", "its publisher"))


def _folder(key: str, adapter_name: str, root: Path) -> Path:
    """Return the folder that is called like an adapter; the name that it should have if there is none.

    One that is called so is not looked into: a dataset's metadata are found in it or one folder below.
    """
    above = _folders(root)
    found = [path for path in above if _plain(path.name) == _plain(adapter_name)]
    inner = [path for folder in above if folder not in found for path in _folders(folder)]
    found += [path for path in inner if _plain(path.name) == _plain(adapter_name)]
    if len(found) > 1:
        places = " and ".join(str(path) for path in sorted(found))
        raise UserError(f"{key}: {places} are both called like {adapter_name}; rename all but the one that is meant")
    return found[0] if found else root / adapter_name


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder; none where they cannot be read, for it need not be a dataset's."""
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _recordings(adapter_name: str, folder: Path, root: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the publisher's split and the recording of each row."""
    module, source = adapter(adapter_name), Source(adapter_name, root, folder, Verbatim(), ())
    if not module.metadata_files(source):
        # Without metadata the names of the files are all there is.
        source = Source(adapter_name, root, folder, Verbatim(), list_files(folder, root))
    for row in module.rows(source):
        if isinstance(row, Refusal):
            # What a damaged row names nobody knows: to pass over it would be to promise what nobody looked at.
            raise UserError(f"data.decontaminate: {folder}: {row.message}; mend the file, every row of a set counts")
        if isinstance(row, dict):
            yield row["split"], row["recording_id"]
