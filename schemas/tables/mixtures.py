"""What training reads: planned and rendered mixtures, samples of shards."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables.column import DOUBLE, INT, PLACE, STRING, STRINGS, Column, describe

SOURCE = pa.struct(
    [
        pa.field("clip_id", STRING, nullable=False),
        pa.field("recording_id", STRING, nullable=False),
        pa.field("tar", STRING, nullable=False),
        pa.field("offset", INT, nullable=False),
        pa.field("size", INT, nullable=False),
        pa.field("sha256", STRING, nullable=False),
        pa.field("start", INT, nullable=False),
        pa.field("at", INT, nullable=False),
        pa.field("length", INT, nullable=False),
        pa.field("class_ids", STRINGS, nullable=False),
        pa.field("class_names", STRINGS, nullable=False),
        pa.field("text", STRING, nullable=False),
        pa.field("licence", STRING, nullable=False),
        pa.field("licence_text", STRING),
        pa.field("attribution", STRING),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "plan": describe(
        "plan",
        "One mixture to render: which clips, where, at what ratio, and in which words.",
        Column("mixture_id", STRING, "`mix-<16 hexadecimal digits>`, a function of seed, target and number"),
        Column("split", STRING, "split of all its sources"),
        Column("target_clip_id", STRING, "the source that is asked for"),
        Column("interferer_clip_ids", STRINGS, "the other sources"),
        Column("snr_db", DOUBLE, "asked ratio of target to interference energy, in dB"),
        Column("length", INT, "samples of the mixture"),
        Column("sample_rate", INT, "samples per second"),
        Column(
            "sources",
            pa.list_(SOURCE),
            "target first: the clip, its bytes in the store and their hash, the first sample used (`start`), where it "
            "goes (`at`) and how many samples (`length`), classes, words and licence",
        ),
        Column("query", STRING, "the target's own caption or label"),
        Column("instruction_extract", STRING, "asks for the target"),
        Column("instruction_remove", STRING, "asks for the interferers to be removed; its answer is the target too"),
        Column("seed", INT, "seed of every draw of this row"),
    ),
    "mixtures": describe(
        "mixtures",
        "One rendered mixture. In the stored integers: mixture = target + residual, sample by sample.",
        Column("mixture_id", STRING, "the row of `plan`"),
        Column("split", STRING, "split of all its sources"),
        Column("target_clip_id", STRING, "the source that is asked for"),
        Column("interferer_clip_ids", STRINGS, "the other sources"),
        Column("target_class_ids", STRINGS, "classes of the target"),
        Column(
            "interferer_class_ids", STRINGS, "classes of the other sources; none conflicts with a class of the target"
        ),
        Column("snr_db", DOUBLE, "asked ratio of target to interference energy, in dB"),
        Column("achieved_snr_db", DOUBLE, "the same ratio in the stored integers, in dB"),
        Column("target_gain", DOUBLE, "linear gain on the target's stored samples"),
        Column("interferer_gain", DOUBLE, "linear gain on the interference's stored samples"),
        Column("peak", DOUBLE, "largest magnitude in the stored mixture, full scale = 1"),
        Column("duration_s", DOUBLE, "seconds"),
        Column("sample_rate", INT, "samples per second"),
        Column("query", STRING, "the target's own caption or label"),
        Column("instruction_extract", STRING, "asks for the target"),
        Column("instruction_remove", STRING, "asks for the interferers to be removed"),
        Column(
            "licence",
            STRING,
            "what binds its sources together, normalised, which may be more than any one of them: "
            "`schemas.licences.most_restrictive`; `unknown` if one of them is",
        ),
        Column("seed", INT, "seed of every draw of this row"),
        *PLACE,
    ),
    "samples": describe(
        "samples",
        "One sample of a shard of captions; the samples of mixtures are the rows of `mixtures`.",
        Column("sample_id", STRING, "key of the sample in its shard"),
        Column("kind", STRING, "`caption`; the view `samples` adds `mixture`"),
        Column("clip_id", STRING, "the clip"),
        Column("split", STRING, "split of the clip"),
        *PLACE,
    ),
}
