"""The stage `index`: every row of every dataset's own metadata, with the file that it names."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines.core.stage import Batch, Context, Refusal, Result, Stage
from pipelines.ingest.adapters import Adapter, Drop, Row, adapter
from pipelines.ingest.contamination import EvaluationSet, resolve
from pipelines.ingest.listing import AUDIO, CONTAINERS, Source, list_files, sha256
from pipelines.ingest.splits import Asked
from schemas.errors import UserError
from schemas.ids import fingerprint
from schemas.licences import COMMERCIAL
from schemas.ontology import configs_dir
from schemas.recipe import Data, Dataset

_ONTOLOGY = ("audioset_ontology.csv", "audioset_strong_extra.csv")
_SPLIT = re.compile(r"[A-Za-z0-9_-]+")
"""A split is part of the name of a shard."""
_PIECE = 8192
"""Rows that are handed on at once."""


@dataclass(frozen=True)
class Index(Stage):
    """Lists the datasets in the recipe's order.

    What becomes of a row is told by the first of these that is true:

    - another row has its ``record_id``: refused as ``duplicate_id``, under ``<record_id>#2`` and so on;
    - ``data.decontaminate`` names a set that its recording stands in, and its split is not ``test``: left out as
      ``decontaminated:<set>``; how many rows of a set name no recording is a drop under the set's own name;
    - ``data.licence: commercial``, and its licence does not allow it: left out as ``licence:<licence>``;
    - its audio is not there: refused as ``missing_audio``;
    - its split is no name: refused as ``bad_row``.

    A dataset marked ``optional`` whose folder is not there is passed over, and its name is a drop; so is a split that
    the recipe renames and the publisher's metadata do not have.
    """

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 3
    writes: ClassVar[str] = "records"
    key: ClassVar[str] = "record_id"
    out_key: ClassVar[str] = "record_id"

    data: Data

    def params(self) -> dict[str, Any]:
        """Return the recipe's datasets and what of them is left out; where they lie is no part of it."""
        return self.data.model_dump(mode="json", exclude={"root"})

    def revisions(self) -> dict[str, str]:
        """The ontology, whose names the MIDs of AudioSet are given, as a hash."""
        folder = configs_dir() / "labels"
        return {"ontology": fingerprint([(folder / name).read_text(encoding="utf-8") for name in _ONTOLOGY])}

    def check(self) -> None:
        """Raise UserError for an adapter that there is not, or a name that two datasets have."""
        names: set[str] = set()
        for dataset in self.data.datasets:
            adapter(dataset.adapter)
            name = name_of(dataset)
            if name in names:
                raise UserError(f"data.datasets: two are named {name!r}; give one of them another name")
            names.add(name)

    def sources(self, context: Context) -> str:
        """Return the digest of all metadata files, and of the path and size of all files that may be audio.

        Raises:
            UserError: ``data.root``, a dataset's folder or a metadata file is not there, or a set that
                ``data.decontaminate`` names cannot be resolved.
        """
        seen = hashlib.sha256()
        for _, module, source in self._listed(context):
            metadata = module.metadata_files(source)
            for path in metadata:
                seen.update(f"{source.name}\0{path.relative_to(source.folder)}\0{sha256(path)}\n".encode())
            for file in source.files:
                # Without metadata, what is served and what is left out depends on files of every name.
                if file.suffix in AUDIO or file.suffix in CONTAINERS or not metadata:
                    seen.update(f"{file.path}\0{file.size}\n".encode("utf-8", "surrogateescape"))
        for name in self.data.decontaminate:
            found = resolve(name, self.data.datasets, Path(context.data_root))
            seen.update(f"{name}\0{fingerprint([sorted(found.recordings), found.unnamed])}\n".encode())
        return seen.hexdigest()

    def stream(self, context: Context) -> Iterator[Result]:
        """Yield the rows of every dataset, some thousands at a time."""
        listed = list(self._listed(context))
        absent = {name_of(dataset) for dataset in self.data.datasets} - {source.name for _, _, source in listed}
        result, found = Result(drops=[(name, "optional_dataset_absent") for name in sorted(absent)]), False
        sets = [resolve(name, self.data.datasets, Path(context.data_root)) for name in self.data.decontaminate]
        result.drops += [(each.name, f"{each.unnamed} of its rows name no recording") for each in sets if each.unnamed]
        times = Counter[str]()
        for _, module, source in listed:
            for row in module.rows(source):
                self._sort(row, times, sets, result)
                if len(result.rows) + len(result.rejects) + len(result.drops) >= _PIECE:
                    found = found or bool(result.rows or result.rejects)
                    yield result
                    result = Result()
            assert isinstance(source.splits, Asked)
            unheard = sorted(source.splits.keys() - source.splits.asked)
            result.drops += [(f"{source.name}.splits.{split}", "the publisher has no such split") for split in unheard]
        if not (found or result.rows or result.rejects):
            raise UserError(
                f"no recordings found under {context.data_root}; mend data.root, the datasets' path, "
                "or what data.licence and data.decontaminate leave out"
            )
        yield result

    def process(self, batch: Batch, context: Context) -> Result:
        """Return all rows at once; the batch is empty, for nothing comes before this stage."""
        whole = Result()
        for piece in self.stream(context):
            whole.extend(piece)
        return whole

    def _sort(self, row: Row | Refusal | Drop, times: Counter[str], sets: list[EvaluationSet], result: Result) -> None:
        """Put a row where it belongs."""
        key = _key(row)
        times[key] += 1
        if times[key] > 1:
            path = row["source_path"] if isinstance(row, dict) else None
            words = f"the dataset has a row {key} already"
            result.rejects.append(Refusal(f"{key}#{times[key]}", "duplicate_id", words, path))
        elif isinstance(row, Refusal):
            result.rejects.append(row)
        elif not isinstance(row, dict):
            result.drops.append(row)
        elif reason := self._left_out(row, sets):
            result.drops.append((key, reason))
        elif row["source_path"] is None:
            words = f"no audio file of the name {row['wanted']!r}, whatever its extension, in this dataset"
            result.rejects.append(Refusal(key, "missing_audio", words))
        elif not _SPLIT.fullmatch(row["split"]):
            words = f"its split {row['split']!r} is no name of letters, digits, _ and -"
            result.rejects.append(Refusal(key, "bad_row", words, row["source_path"]))
        else:
            del row["wanted"]
            result.rows.append(row)

    def _left_out(self, row: Row, sets: list[EvaluationSet]) -> str | None:
        if row["split"] != "test":
            for each in sets:
                if row["recording_id"] in each.recordings:
                    return f"decontaminated:{each.name}"
        if self.data.licence == "commercial" and row["licence"] not in COMMERCIAL:
            return f"licence:{row['licence']}"
        return None

    def _listed(self, context: Context) -> Iterator[tuple[Dataset, Adapter, Source]]:
        own = Path(context.workspace.root) if context.workspace.local else None
        return listed(self.data.datasets, context.data_root, own)


def listed(
    datasets: Sequence[Dataset], root: str, without: Path | None = None
) -> Iterator[tuple[Dataset, Adapter, Source]]:
    """Yield each dataset that is there, with its adapter and the listing of its folder.

    Args:
        datasets: datasets of a recipe.
        root: ``data.root``.
        without: a folder that is left out of the listing, e.g. the run's own.

    Raises:
        UserError: ``root`` or the folder of a dataset that is not optional is not there.
    """
    if not root or not Path(root).is_dir():
        mend = "name the one that holds the datasets: --set data.root=DIR"
        raise UserError(f"data.root: {root!r} is not a folder; {mend}")
    for number, dataset in enumerate(datasets):
        key, folder = f"data.datasets.{number}.path: {dataset.path!r}", Path(root) / dataset.path
        if ".." in Path(dataset.path).parts or Path(dataset.path).is_absolute():
            raise UserError(f"{key} leads out of data.root; give a folder in it")
        if folder.is_dir():
            files = list_files(folder, Path(root), without)
            yield (
                dataset,
                adapter(dataset.adapter),
                Source(name_of(dataset), Path(root), folder, Asked(dataset.splits), files),
            )
        elif not dataset.optional:
            raise UserError(f"{key} is not a folder in {root}; mend it, or add `optional: true`")


def name_of(dataset: Dataset) -> str:
    """Return a dataset's name in identifiers."""
    return dataset.name or dataset.adapter


def _key(row: Row | Refusal | Drop) -> str:
    if isinstance(row, Refusal):
        return row.key
    return row["record_id"] if isinstance(row, dict) else row[0]
