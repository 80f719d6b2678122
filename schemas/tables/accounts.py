"""What became of rows: rejects, drops, commits."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables.column import DOUBLE, INT, STRING, Column, describe

TABLES: dict[str, pa.Schema] = {
    "rejects": describe(
        "rejects",
        "One row that a stage could not serve.",
        Column("stage", STRING, "the stage"),
        Column(
            "clip_id", STRING, "the row's key in that stage: `record_id`, `clip_id`, `candidate_id` or `mixture_id`"
        ),
        Column("error", STRING, "class of the error; `unexpected_<Exception>` where no rule foresaw it"),
        Column("message", STRING, "what was found, in words"),
        Column("attempt", INT, "attempts that were made"),
        Column("source", STRING, "audio file relative to `data.root`; null: none is to blame", True),
    ),
    "drops": describe(
        "drops",
        "One row that a stage leaves out on purpose, as the recipe says.",
        Column("stage", STRING, "the stage"),
        Column("clip_id", STRING, "the row's key in that stage"),
        Column("reason", STRING, "the declared reason"),
    ),
    "markers": describe(
        "markers",
        "One committed partition of one stage; kept as JSON beside its data, shown as a view.",
        Column("stage", STRING, "the stage"),
        Column("fingerprint", STRING, "the stage's fingerprint"),
        Column("partition", INT, "partition; -1: the stage waits for all partitions and writes them all"),
        Column("rows_in", INT, "rows of the stage's primary table"),
        Column("rows_out", INT, "distinct keys served"),
        Column("rejects", INT, "keys rejected"),
        Column("drops", INT, "keys dropped on purpose"),
        Column("content", STRING, "sha256 of what was committed; equal contents are equal bytes"),
        Column("seconds", DOUBLE, "wall-clock seconds that it took"),
    ),
}
