"""Evaluation sets by name, as the recordings that stand in them: what a training set must not touch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.stage import Refusal
from pipelines.ingest.adapters import ADAPTERS, adapter
from pipelines.ingest.blacklists import read_blacklists
from pipelines.ingest.listing import Source, list_files
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


class Verbatim(dict[str, str]):
    """A map of splits that leaves each the publisher's own word."""

    def get(self, published: str, default: str | None = None) -> str:  # type: ignore[override]
        """Return ``published``."""
        return published


def resolve(name: str, datasets: Sequence[Dataset], root: Path) -> EvaluationSet:
    """Return the evaluation set of this name, from the publisher's metadata below ``root``; no audio is needed.

    They lie where a dataset of the recipe says that has this name or adapter, else in a folder of ``root``, or one
    further down, that is called like the adapter (``ESC-50`` is ``esc50``). ``<dataset>/<blacklist>`` is one of WavCaps.

    Raises:
        UserError: there is no such dataset, split or metadata file, or none of its rows names a recording. A set
            that cannot be resolved is an error: to go on would be to promise what nobody looked at.
    """
    key, (dataset, _, split) = f"data.decontaminate: {name!r}", name.partition("/")
    places = [each for each in datasets if dataset in (each.name, each.adapter)]
    if not places and dataset not in ADAPTERS:
        raise UserError(f"{key}: there is no dataset or adapter {dataset!r}; {_HELP}")
    folders = {(each.adapter, root / each.path) for each in places} or {(dataset, _folder(dataset, root))}
    recordings: set[str] = set()
    rows = unnamed = 0
    splits: set[str] = set()
    for adapter_name, folder in sorted(folders):
        if not folder.is_dir():
            raise UserError(
                f"{key}: {folder} is no folder; put the metadata of {adapter_name} there, no audio is needed"
            )
        if split and (blacklist := read_blacklists(folder).get(split)):
            recordings |= blacklist
            rows += len(blacklist)
            continue
        for published, recording in _recordings(adapter_name, folder, root):
            splits.add(published)
            if split in ("", published):
                rows += 1
                unnamed += recording is None
                recordings.update({recording} - {None})  # type: ignore[arg-type]
    if not rows:
        raise UserError(
            f"{key}: {dataset} has no split {split!r} there; it has {', '.join(sorted(splits)) or 'no rows'}"
        )
    if not recordings:
        pages = {getattr(adapter(adapter_name), "PAGE", "its publisher") for adapter_name, _ in folders}
        words = f"see that all metadata files of that split are there; they come from {' or '.join(sorted(pages))}"
        raise UserError(f"{key}: none of its {rows} rows names a recording; {words}")
    return EvaluationSet(name, frozenset(recordings), unnamed)


def _folder(adapter_name: str, root: Path) -> Path:
    """Return the folder that is called like an adapter; the name that it should have if there is none."""
    found = [path for pattern in ("*", "*/*") for path in sorted(root.glob(pattern)) if path.is_dir()]
    return next((path for path in found if _plain(path.name) == _plain(adapter_name)), root / adapter_name)


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
