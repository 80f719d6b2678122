"""The stage `index`: every row of every dataset's own metadata, with the file that it names."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines.core.stage import Batch, Context, Refusal, Result, Stage
from pipelines.ingest.adapters import Adapter, Drop, Row, adapter
from pipelines.ingest.listing import AUDIO, Source, list_files, sha256
from schemas.errors import UserError
from schemas.ids import fingerprint
from schemas.ontology import configs_dir
from schemas.recipe import Dataset

_ONTOLOGY = ("audioset_ontology.csv", "audioset_strong_extra.csv")
_SPLIT = re.compile(r"[A-Za-z0-9_-]+")
"""A split is part of the name of a shard."""


@dataclass(frozen=True)
class Index(Stage):
    """Lists the datasets in the recipe's order.

    A dataset marked ``optional`` whose folder is not there is passed over, and its name is a drop. Of rows
    with one ``record_id`` the first is served; the others are refused as ``duplicate_id``, under
    ``<record_id>#2`` and so on.
    """

    name: ClassVar[str] = "index"
    writes: ClassVar[str] = "records"
    key: ClassVar[str] = "record_id"
    out_key: ClassVar[str] = "record_id"

    datasets: tuple[Dataset, ...]

    def params(self) -> dict[str, Any]:
        """Return the recipe's datasets."""
        return {"datasets": [dataset.model_dump(mode="json") for dataset in self.datasets]}

    def revisions(self) -> dict[str, str]:
        """The ontology, whose names the MIDs of AudioSet are given, as a hash."""
        folder = configs_dir() / "labels"
        return {"ontology": fingerprint([(folder / name).read_text(encoding="utf-8") for name in _ONTOLOGY])}

    def check(self) -> None:
        """Raise UserError for an adapter that there is not, or a name that two datasets have."""
        names: set[str] = set()
        for dataset in self.datasets:
            adapter(dataset.adapter)
            name = _name(dataset)
            if name in names:
                raise UserError(f"data.datasets: two are named {name!r}; give one of them another name")
            names.add(name)

    def sources(self, context: Context) -> str:
        """Return the digest of all metadata files, and of the path and size of all files that may be audio.

        Raises:
            UserError: ``data.root``, a dataset's folder or a metadata file is not there.
        """
        seen = hashlib.sha256()
        for module, source in self._present(context):
            metadata = module.metadata_files(source)
            for path in metadata:
                seen.update(f"{source.name}\0{path.relative_to(source.folder)}\0{sha256(path)}\n".encode())
            for file in source.files:
                # Without metadata, what is served and what is left out depends on files of every name.
                if file.suffix in AUDIO or not metadata:
                    seen.update(f"{file.path}\0{file.size}\n".encode("utf-8", "surrogateescape"))
        return seen.hexdigest()

    def process(self, batch: Batch, context: Context) -> Result:
        """List every dataset; the batch is empty, for nothing comes before this stage."""
        result, times, present = Result(), Counter[str](), list(self._present(context))
        absent = {_name(dataset) for dataset in self.datasets} - {source.name for _, source in present}
        result.drops = [(name, "optional_dataset_absent") for name in sorted(absent)]
        for module, source in present:
            for row in module.rows(source):
                key = _key(row)
                times[key] += 1
                if times[key] > 1:
                    path = row["source_path"] if isinstance(row, dict) else None
                    words = f"the dataset has a row {key} already"
                    result.rejects.append(Refusal(f"{key}#{times[key]}", "duplicate_id", words, path))
                elif isinstance(row, Refusal):
                    result.rejects.append(row)
                elif isinstance(row, dict) and not _SPLIT.fullmatch(row["split"]):
                    words = f"its split {row['split']!r} is no name of letters, digits, _ and -"
                    result.rejects.append(Refusal(key, "bad_row", words, row["source_path"]))
                elif isinstance(row, dict):
                    result.rows.append(row)
                else:
                    result.drops.append(row)
        if not result.rows and not result.rejects:
            where = context.data_root
            raise UserError(f"no recordings found under {where}; mend data.root, or the datasets' path")
        return result

    def _present(self, context: Context) -> Iterator[tuple[Adapter, Source]]:
        """Yield each dataset that is there, with its listing."""
        given, root = context.data_root, Path(context.data_root)
        if not given or not root.is_dir():
            mend = "name the one that holds the datasets: --set data.root=DIR"
            raise UserError(f"data.root: {given!r} is not a folder; {mend}")
        own = Path(context.workspace.root) if context.workspace.local else None
        for number, dataset in enumerate(self.datasets):
            key, folder = f"data.datasets.{number}.path: {dataset.path!r}", root / dataset.path
            if ".." in Path(dataset.path).parts or Path(dataset.path).is_absolute():
                raise UserError(f"{key} leads out of data.root; give a folder in it")
            if folder.is_dir():
                files = list_files(folder, root, own)
                source = Source(_name(dataset), root, folder, dict(dataset.splits), files)
                yield adapter(dataset.adapter), source
            elif not dataset.optional:
                raise UserError(f"{key} is not a folder in {given}; mend it, or add `optional: true`")


def _name(dataset: Dataset) -> str:
    return dataset.name or dataset.adapter


def _key(row: Row | Refusal | Drop) -> str:
    if isinstance(row, Refusal):
        return row.key
    return row["record_id"] if isinstance(row, dict) else row[0]
