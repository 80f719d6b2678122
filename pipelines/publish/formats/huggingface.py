"""A dataset folder of Hugging Face: Parquet per split, with the sound if it is wanted, and a card."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipelines.publish.card import card, licence_page
from pipelines.publish.form import Format, Served
from pipelines.publish.formats.clotho import distinct
from pipelines.publish.items import Item, Row, Side, accepted
from pipelines.publish.sinks import ParquetShards

ROWS = "rows"
_S, _F, _I = pa.string(), pa.float64(), pa.int64()
_STRINGS = pa.list_(_S)
CANDIDATE = pa.struct(
    [
        *((name, _S) for name in ("candidate_id", "text", "method", "style", "language", "model", "decision")),
        ("probability", _F),
        ("reasons", _STRINGS),
    ]
)
CLASS = pa.struct([("class_id", _S), ("class_name", _S), ("origin", _S), ("confidence", _F)])
COLUMNS: dict[str, pa.DataType] = {
    "clip_id": _S,
    "recording_id": _S,
    "dataset": _S,
    "split": _S,
    "duration_s": _F,
    "sample_rate": _I,
    "caption": _S,
    "captions": _STRINGS,
    "decision": _S,
    "score": _F,
    "reasons": _STRINGS,
    "withheld": _S,
    "candidates": pa.list_(CANDIDATE),
    "classes": pa.list_(CLASS),
    "state": _S,
    "licence": _S,
    "licence_text": _S,
    "attribution": _S,
}
"""The columns; all may be null, since `datasets` knows none that may not."""
AUDIO = pa.struct([("bytes", pa.binary()), ("path", _S)])


@dataclass
class Export(Format):
    """``data/<split>-<number>-of-<count>.parquet``, ``README.md`` and ``LICENSE.md``."""

    sounds = True
    decisions = True
    indexed = False

    shards: dict[str, ParquetShards] = field(default_factory=dict, repr=False)
    languages: Counter[str] = field(default_factory=Counter, repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """The rows of all splits together."""
        return (ROWS,)

    @property
    def sides(self) -> dict[str, Side]:
        """The clips' classes."""
        return {"classes": Side(("clip_id", "class_id", "class_name", "origin", "confidence", "state"))}

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, and in the schema's metadata what `datasets` is to make of them."""
        sound: dict[str, pa.DataType] = {"audio": AUDIO} if self.options.audio else {}
        columns = sound | COLUMNS
        features = {name: feature(name, kind, self.rate) for name, kind in columns.items()}
        told = json.dumps({"info": {"features": features}})
        return pa.schema(list(columns.items()), metadata={"huggingface": told})

    @cached_property
    def rate(self) -> int:
        """Samples per second of the clip store."""
        return self.run.recipe.audio.sample_rate

    def serve(self, item: Item) -> Served:
        """Write a clip's row."""
        row, sound = row_of(item, self.options.everything), b""
        if self.options.audio:
            sound = self.flac(item)
            row["audio"] = {"bytes": sound, "path": f"{item.clip_id}.flac"}
        split = re.sub(r"\W", "_", item.caption["split"], flags=re.ASCII)  # no split of `datasets` has a hyphen
        if split not in self.shards:
            self.shards[split] = ParquetShards(self.box, split, self.schema)
        self.shards[split].add(row, len(sound))
        self.languages.update(each["language"] for each in row["candidates"] if each["language"])
        return Served({ROWS: None}, item.clip_id, tuple(each["candidate_id"] for each in row["candidates"]))

    def close(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """End the files and write the card."""
        files = [name for split in sorted(self.shards) for name in self.shards[split].close()]
        told = self.box.facts()
        size = sum(told[name]["bytes"] for name in files)
        splits = [
            {"name": name, "num_bytes": self.shards[name].nbytes, "num_examples": self.shards[name].rows}
            for name in sorted(self.shards)
        ]
        features = [
            yaml_feature(name, kind, self.rate) for name, kind in zip(self.schema.names, self.schema.types, strict=True)
        ]
        page = card(self.run, self.options, counts, features, splits, size, sorted(self.languages))
        self.box.open("README.md").write(page.encode())
        self.box.open("LICENSE.md").write(licence_page(counts["licences"]).encode())
        return {}


def row_of(item: Item, everything: bool) -> Row:
    """Return a clip's row; ``everything``: with candidates that were not accepted, too."""
    candidates = [row for row in item.candidates if everything or row["decision"] == "accepted"]
    classes = item.more["classes"]
    return (
        {name: item.clip[name] for name in ("clip_id", "recording_id", "duration_s", "sample_rate")}
        | {name: item.clip[name] for name in ("licence", "licence_text", "attribution")}
        | {
            name: item.caption[name]
            for name in ("dataset", "split", "caption", "decision", "score", "reasons", "withheld")
        }
        | {
            "captions": [row["text"] for row in distinct(accepted(item))],
            "candidates": [{name.name: row[name.name] for name in CANDIDATE} for row in candidates],
            "classes": [{name.name: row[name.name] for name in CLASS} for row in classes if row["class_id"]],
            "state": next((row["state"] for row in classes), None),
        }
    )


def feature(name: str, kind: pa.DataType, rate: int) -> Any:
    """Return a column as `datasets` describes it in a schema; lists in the form that its versions before and from 4 read."""
    if kind == AUDIO:
        return {"sampling_rate": rate, "_type": "Audio"}
    if pa.types.is_list(kind):
        return [feature(name, kind.value_type, rate)]
    if pa.types.is_struct(kind):
        return {each.name: feature(each.name, each.type, rate) for each in kind}
    return {"dtype": _dtype(kind), "_type": "Value"}


def yaml_feature(name: str, kind: pa.DataType, rate: int) -> Row:
    """Return a column as a card describes it."""
    if kind == AUDIO:
        return {"name": name, "dtype": {"audio": {"sampling_rate": rate}}}
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return {"name": name, "list": [yaml_feature(each.name, each.type, rate) for each in kind.value_type]}
    if pa.types.is_list(kind):
        return {"name": name, "sequence": _dtype(kind.value_type)}
    return {"name": name, "dtype": _dtype(kind)}


def _dtype(kind: pa.DataType) -> str:
    return {"double": "float64"}.get(str(kind), str(kind))
