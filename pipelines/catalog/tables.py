"""The tables of the catalogue of many runs, as pyarrow schemas whose columns say what they hold."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables import STRINGS, Column, describe

_S, _F, _I = pa.string(), pa.float64(), pa.int64()

SOURCES = {
    "clips": ("ingest", ["clip_id", "dataset", "split", "recording_id", "duration_s", "licence"]),
    "captions": ("decide", ["clip_id", "dataset", "split", "caption", "decision"]),
    "classes": ("unify", ["clip_id", "class_id"]),
}
"""The tables that are read of each run: the stage that writes them, and the columns that are needed."""

KEYS = {
    "recordings": ["recording_id"],
    "duplicates": ["text"],
    "statistics": ["run", "dataset", "split"],
    "overlap": ["dataset_a", "dataset_b"],
}
"""The columns that name a row of each table of the catalogue; its rows are sorted by them."""


CATALOG_TABLES: dict[str, pa.Schema] = {
    "recordings": describe(
        "recordings",
        "One recording, wherever it stands. A clip that stands in several runs counts once.",
        Column("recording_id", _S, "canonical recording, as in `clips`"),
        Column("datasets", STRINGS, "datasets that it stands in, sorted"),
        Column("clip_ids", STRINGS, "its clips, sorted"),
        Column("splits", STRINGS, "splits that it stands in, in any dataset of any run, sorted"),
        Column("n_clips", _I, "number of its clips"),
        Column("seconds", _F, "length of its clips together, in seconds"),
        Column("leaks", pa.bool_(), "whether it stands in more than one of `train`, `val` and `test`"),
    ),
    "duplicates": describe(
        "duplicates",
        "One accepted caption that several clips share; captions are equal if their words are.",
        Column("text", _S, "the words in lower case, joined by spaces; punctuation is left out"),
        Column("clip_ids", STRINGS, "the clips, sorted"),
        Column("datasets", STRINGS, "the clips' datasets, sorted"),
        Column("count", _I, "number of the clips, at least 2"),
    ),
    "statistics": describe(
        "statistics",
        "One split of one dataset in one run.",
        Column("run", _S, "run folder, relative to the last folder that is above all runs"),
        Column("dataset", _S, "name of the dataset in the recipe"),
        Column("split", _S, "split as in `clips`"),
        Column("clips", _I, "clips in the clip store"),
        Column("recordings", _I, "distinct recordings that these clips come from"),
        Column("hours", _F, "length of the clips together, in hours"),
        Column("captions", _I, "accepted captions"),
        Column("caption_words", _F, "mean length of accepted captions, in words; null: there is none", True),
        Column("vocabulary", _I, "distinct words of the accepted captions, in lower case"),
        Column("classes", _I, "distinct classes of the ontology that a clip is known to contain"),
        Column("unlicensed", _F, "share of clips whose licence is unknown, in [0, 1]"),
    ),
    "overlap": describe(
        "overlap",
        "One pair of datasets; every pair is here, so that 0 is a finding.",
        Column("dataset_a", _S, "the first dataset, in the order of code points"),
        Column("dataset_b", _S, "the second"),
        Column("recordings", _I, "recordings that stand in both, in whichever runs"),
    ),
}
"""The tables that a catalogue holds, in the style of ``schemas.tables.TABLES``."""
