"""Clotho's form (Drossos et al., ICASSP 2020): five captions per clip, a table per split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipelines.describe.grounds import same_words
from pipelines.publish.form import ID_TAKEN, Format, Served
from pipelines.publish.items import Item, Row, accepted
from pipelines.publish.names import piece
from pipelines.publish.sinks import CsvFile

CAPTIONS = 5
FIVE, FEWER = "five_captions", "fewer_than_five"
_COLUMNS = tuple(f"caption_{number}" for number in range(1, CAPTIONS + 1))
_THEIRS = {"train": "development", "val": "validation", "test": "evaluation"}
"""Our splits -> what Clotho calls them; others keep their names."""


@dataclass
class Export(Format):
    """``clotho_captions_<split>.csv``; clips with fewer captions in ``fewer_than_five_<split>.csv``, which Clotho has not."""

    files: dict[str, CsvFile] = field(default_factory=dict, repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """The lines of all tables of the one kind, and of the other; a clip is in one of them."""
        return FIVE, FEWER

    def serve(self, item: Item) -> Served:
        """Write a clip's captions to the one table or the other."""
        split, name = str(item.caption["split"]), file_name(item)
        split = _THEIRS.get(split, split)
        if not self.take(split, name):
            return self.left_out(ID_TAKEN)
        best = distinct(accepted(item))[:CAPTIONS]
        row = {"file_name": name} | {column: each["text"] for column, each in zip(_COLUMNS, best, strict=False)}
        left: dict[str, str | None] = {FIVE: None, FEWER: FIVE}
        if len(best) < CAPTIONS:
            left = {FIVE: FEWER, FEWER: None}
            self._file(f"{FEWER}_{split}.csv", ("file_name", "captions", *_COLUMNS[:-1])).add(
                row | {"captions": len(best)}
            )
        else:
            self._file(f"clotho_captions_{split}.csv", ("file_name", *_COLUMNS)).add(row)
        return Served(left, name, tuple(each["candidate_id"] for each in best))

    def _file(self, name: str, columns: tuple[str, ...]) -> CsvFile:
        if name not in self.files:
            self.files[name] = CsvFile(self.box, name, columns)
        return self.files[name]


def distinct(candidates: list[Row]) -> list[Row]:
    """Return the candidates without those whose words are another's before them."""
    found: dict[str, Row] = {}
    for row in candidates:
        found.setdefault(same_words(row["text"]), row)
    return list(found.values())


def file_name(item: Item) -> str:
    """Return a clip's file name: that of its own file as it lies on the disk; of one inside another file ``<clip_id>.flac``."""
    if item.clip["member"] is not None:
        return f"{item.clip_id}.flac"
    path = PurePosixPath(item.clip["source_path"])
    return f"{path.stem}{piece(item)}{path.suffix}"
