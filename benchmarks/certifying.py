"""How long a certificate's counting takes on 1.7M two-source mixtures of 230K clips with generated classes; sound is not part of it.

python benchmarks/certifying.py
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.catalog.recount import recount
from pipelines.core.workspace import Workspace
from schemas import tables
from schemas.ontology import default_ontology

CLIPS, MIXTURES = 230_000, 1_700_000
READ = ("clips", "groups", "classes", "sources", "plan", "mixtures", "drops", "rejects")


def main() -> None:
    """Write the tables, count, and print seconds, memory and the counts."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        began = time.perf_counter()
        found = recount(Workspace(folder), {"mix": (-15.0, 15.0)})
        seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform != "darwin" else 1 << 30)
    pairs = found["collisions"]["labels"][0]
    print(
        f"{pairs['pairs']:,} pairs counted in {seconds:.1f} s, with at most {memory:.2f} GiB (writing the tables included)"
    )
    print(
        f"sources drawn at random share a class in {pairs['equal']:,}, with ancestors in {pairs['equal_or_related']:,}"
    )


def _write(folder: Path) -> None:
    rng = np.random.default_rng(0)
    concrete = [node.class_id for node in default_ontology().classes if not node.abstract]
    clips = [f"made-{number:06}" for number in range(CLIPS)]
    # Few classes are common and most are rare: a Zipf law with exponent 1.3, one to four of them per clip.
    drawn = [
        sorted({concrete[place % len(concrete)] for place in rng.zipf(1.3, int(n))}) for n in rng.integers(1, 5, CLIPS)
    ]
    named = [(clip, class_id) for clip, own in zip(clips, drawn, strict=True) for class_id in own]
    known = pa.array(clips)
    ends = pa.array(np.arange(MIXTURES + 1, dtype=np.int32))
    target, other = (known.take(pa.array(rng.integers(0, CLIPS, MIXTURES))) for _ in range(2))
    snr = pa.array(rng.uniform(-15, 15, MIXTURES))
    made: dict[str, Any] = {
        "mixture_id": pa.array([f"mix-{place:016x}" for place in rng.permutation(MIXTURES)]),
        "set": pa.repeat("mix", MIXTURES),
        "split": pa.repeat("train", MIXTURES),
        "policy": pa.repeat("disjoint", MIXTURES),
        "target_clip_id": target,
        "target_clip_ids": pa.ListArray.from_arrays(ends, target),
        "interferer_clip_ids": pa.ListArray.from_arrays(ends, other),
        "snr_db": snr,
    }
    train, labelled = pa.repeat("train", CLIPS), pa.repeat("labelled", CLIPS)
    columns: dict[str, dict[str, Any]] = {
        "clips": {"clip_id": known, "recording_id": known, "attribution": known},
        "groups": {"clip_id": known, "group_id": known, "split": train},
        "sources": {"clip_id": known, "class_ids": pa.array(drawn), "state": labelled},
        "classes": {
            "clip_id": pa.array([clip for clip, _ in named]),
            "class_id": pa.array([class_id for _, class_id in named]),
            "origin": pa.repeat("label:mid", len(named)),
            "state": pa.repeat("labelled", len(named)),
        },
        "plan": made,
        "mixtures": made | {"achieved_snr_db": snr},
        "drops": {},
        "rejects": {},
    }
    for name in READ:
        pq.write_table(_filled(name, columns[name]), folder / f"{name}.parquet")
    views = (f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet(['{name}.parquet']);\n" for name in READ)
    (folder / "views.sql").write_text("".join(views))


def _filled(name: str, columns: dict[str, Any]) -> pa.Table:
    """Return a table with these columns, and in the others null or the empty value of their type."""
    schema, rows = tables.schema(name), len(next(iter(columns.values()), ()))
    return pa.table([_column(field, columns, rows) for field in schema], schema=schema)


def _column(field: pa.Field, columns: dict[str, Any], rows: int) -> Any:
    if field.name in columns:
        return columns[field.name]
    if field.nullable:
        return pa.nulls(rows, field.type)
    empty = {"string": "", "int64": 0, "double": 0.0, "bool": False}
    if str(field.type) in empty:
        return pa.repeat(pa.scalar(empty[str(field.type)], field.type), rows)
    return pa.array([[]] * rows, field.type)


if __name__ == "__main__":
    main()
