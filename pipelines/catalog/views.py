"""The views through which a run is asked: one SQL file, relative to the run folder, valid in any DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines.core.graph import Node, spans_all
from pipelines.core.work import Work
from schemas import tables

HEADER = """\
-- Views over the tables of this run, for DuckDB 1.5 and later. From this folder:
--     duckdb -init views.sql
-- or from anywhere:  SET file_search_path = '<this folder>';  then  .read <this folder>/views.sql
"""

_SQL_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "halffloat": "FLOAT",
    "bool": "BOOLEAN",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
}

SAMPLES = """\
CREATE OR REPLACE VIEW samples AS
SELECT sample_id, kind, clip_id, split, tar, "offset", size FROM caption_samples
UNION ALL BY NAME
SELECT mixture_id AS sample_id, 'mixture' AS kind, target_clip_id AS clip_id, split, tar, "offset", size FROM mixtures;
"""

CALIBRATED = """\
-- Tags and events with what their confidence is worth. `probability`: how often a publisher labels a clip so of which the
-- listener is as sure; null: not calibrated, or no confidence is stated. `calibration`: `isotonic` (on clips of this class),
-- `pooled` (on those of all classes of the listener) or `none`. An event is taken for the surest of its class in its clip.
CREATE OR REPLACE VIEW calibrated AS
WITH told AS (
  SELECT evidence.*, method, confidences AS x, probabilities AS y,
         len(list_filter(confidences, lambda knot: knot <= evidence.confidence)) AS below
  FROM evidence LEFT JOIN calibrations USING (listener, class_id) WHERE kind IN ('tag', 'event')
)
SELECT * EXCLUDE (method, x, y, below),
  CASE WHEN len(x) = 0 OR confidence IS NULL THEN NULL
       WHEN below = 0 THEN y[1]
       WHEN below = len(x) THEN y[below]
       ELSE y[below] + (y[below + 1] - y[below]) / (x[below + 1] - x[below]) * (confidence - x[below])
  END AS probability,
  CASE WHEN confidence IS NULL OR method IS NULL THEN 'none' ELSE method END AS calibration
FROM told;
"""


def views_sql(work: Work) -> str:
    """Return the SQL of all views over the stages of a finished run."""
    parts = [HEADER]
    for table in tables.TABLES:
        nodes = [node for node in work.nodes if node.stage.writes == table]
        if table in ("rejects", "drops"):
            files = _beside(work, table)
        elif table == "markers":
            parts.append(_markers(work.nodes))
            continue
        else:
            files = [f"{node.folder}/p?????.parquet" for node in nodes]
        name = "caption_samples" if table == "samples" else table
        parts.append(_view(name, table, files))
    return "\n".join([*parts, SAMPLES, CALIBRATED])


def _beside(work: Work, table: str) -> list[str]:
    """Return one pattern per stage that has such files: a pattern without files is an error in DuckDB."""
    count = {"rejects": lambda m: m.rejects, "drops": lambda m: m.drops}[table]
    return [f"{node.folder}/*.{table}.parquet" for node in work.nodes if any(count(m) for m in work.markers(node))]


def _view(name: str, table: str, files: list[str]) -> str:
    doc = tables.schema(table).metadata[b"earloom.doc"].decode()
    if files:
        quoted = ", ".join(f"'{file}'" for file in files)
        return f"-- {doc}\nCREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet([{quoted}]);\n"
    columns = ", ".join(f'CAST(NULL AS {_sql_type(field.type)}) AS "{field.name}"' for field in tables.schema(table))
    return f"-- {doc} (none here)\nCREATE OR REPLACE VIEW {name} AS SELECT {columns} WHERE false;\n"


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = (f'"{field.name}" {_sql_type(field.type)}' for field in kind)
        return f"STRUCT({', '.join(fields)})"
    return _SQL_TYPES[str(kind)]


def _markers(nodes: Sequence[Node]) -> str:
    files = ", ".join(f"'{node.folder}/{'all' if spans_all(node) else 'p?????'}.json'" for node in nodes)
    columns = ", ".join(f"'{field.name}': '{_sql_type(field.type)}'" for field in tables.schema("markers"))
    return (
        f"-- {tables.schema('markers').metadata[b'earloom.doc'].decode()}\n"
        f"CREATE OR REPLACE VIEW markers AS SELECT * FROM read_json([{files}], columns = {{{columns}}});\n"
    )
