"""What training reads: clips that may be mixed, planned and rendered mixtures, samples of shards."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables.column import DOUBLE, INT, LICENCE, PLACE, STRING, STRINGS, Column, describe

SOURCE = pa.struct(
    [
        pa.field("role", STRING, nullable=False),
        pa.field("clip_id", STRING, nullable=False),
        pa.field("start", INT, nullable=False),
        pa.field("at", INT, nullable=False),
        pa.field("length", INT, nullable=False),
        pa.field("level_db", DOUBLE),
        pa.field("rir", STRING),
    ]
)

ASKED = (
    Column("mixture_id", STRING, "`mix-<16 hexadecimal digits>`, a function of seed, set, split and number"),
    Column("set", STRING, "the set of mixtures, by its name in the recipe"),
    Column("split", STRING, "split of all its sources"),
    Column("policy", STRING, "`disjoint`, `plausible`, `same_class`, `zero_target`"),
    Column(
        "target_clip_id",
        STRING,
        "the clip whose turn it is: the first of the targets; with `zero_target` the clip that the words are of, which is not mixed",
    ),
    Column("target_clip_ids", STRINGS, "the sources that are asked for; empty: nothing that sounds is asked for"),
    Column("interferer_clip_ids", STRINGS, "the other sources, without the background"),
)

WORDS = (
    Column("query", STRING, "what is asked for, in words"),
    Column(
        "query_origin",
        STRING,
        "`caption`: the publisher's own; `label`: names of classes; `keyword`: one name per target, joined; `relative`: by order or level",
    ),
    Column(
        "negative",
        STRING,
        "what is not asked for, in words; null: nothing else sounds, or the interferers have no words",
        True,
    ),
    Column("prompt", STRING, "by which of the two it is asked for: `positive`, `negative`, `both`"),
    Column("instruction_extract", STRING, "asks for the target"),
    Column("instruction_remove", STRING, "asks for the interferers to be removed; its answer is the target too"),
)

TABLES: dict[str, pa.Schema] = {
    "sources": describe(
        "sources",
        "One clip that may be mixed: what is known to sound in it, what it is called, and how often it is a target. In order of `clip_id`.",
        Column("clip_id", STRING, "the clip"),
        Column("recording_id", STRING, "its recording"),
        Column("group_id", STRING, "its group; two clips of one are never mixed"),
        Column("dataset", STRING, "name of the dataset in the recipe"),
        Column("split", STRING, "the split of its group"),
        Column("state", STRING, "how well its classes are known: `labelled` or `inferred`, as in `classes`"),
        Column(
            "class_ids", STRINGS, "classes that it is labelled with, or that are inferred where it has no label, sorted"
        ),
        Column("class_names", STRINGS, "the most specific of these, in words"),
        Column("said_class_ids", STRINGS, "further classes that its words mention; they count as present, sorted"),
        Column(
            "heard_class_ids",
            STRINGS,
            "further classes that a listener hears surely enough; they count as present, sorted",
        ),
        Column("caption", STRING, "the publisher's caption; null: none", True),
        Column("label", STRING, "its most specific classes as one phrase, e.g. `dog and rain`"),
        Column("spoken", STRINGS, "what an instruction calls them, e.g. `the dog barking`"),
        Column("onset_s", DOUBLE, "where the first timed event of its evidence begins; null: nothing is timed", True),
        Column("offset_s", DOUBLE, "where the last one ends; null: nothing is timed", True),
        Column("duration_s", DOUBLE, "seconds stored"),
        Column("sample_rate", INT, "samples per second in the store"),
        Column("sha256", STRING, "of the stored FLAC, in hexadecimal"),
        *LICENCE,
        *PLACE,
    ),
    "patterns": describe(
        "patterns",
        "One wording of an instruction, in which `{what}` stands for the sounds.",
        Column(
            "pattern_id", STRING, "`<file>:<task>:<number>`, of a model's wording `<file>:<task>:<number>:<number>`"
        ),
        Column(
            "original_id", STRING, "the file's pattern that it says in other words; of that pattern itself, its own id"
        ),
        Column("file", STRING, "the file of patterns, relative to `configs/`"),
        Column("task", STRING, "`extract` or `remove`"),
        Column("text", STRING, "the wording"),
        Column("origin", STRING, "`file`, or the model that worded it"),
        Column("prompt_hash", STRING, "hash of the prompt file; null: no model worded it", True),
        Column("request", STRING, "key of the request in the run's ledger; null: likewise", True),
    ),
    "plan": describe(
        "plan",
        "One mixture to render: which clips, where, at what level, and in which words.",
        *ASKED,
        Column("number", INT, "its number within set and split, from 0"),
        Column("refused", STRING, "why it cannot be had within the rules; it then has no sources; null: it can", True),
        Column(
            "snr_db",
            DOUBLE,
            "asked ratio of targets to all interferers, in dB; null: the rule asks for no such ratio",
            True,
        ),
        Column("length", INT, "samples of the mixture"),
        Column("sample_rate", INT, "samples per second"),
        Column(
            "sources",
            pa.list_(SOURCE),
            "targets first, then interferers, then the background (`role`): the clip, the first sample used (`start`), where it goes "
            "(`at`), how many samples (`length`; from the clip's beginning again where it ends), its own asked level (`level_db`, as the "
            "set's rule says, if it asks for one), the room that it is heard in (`rir`, if any)",
        ),
        *WORDS,
        Column("seed", INT, "seed of every draw of this row"),
    ),
    "mixtures": describe(
        "mixtures",
        "One rendered mixture. In the stored integers: mixture = target + residual, sample by sample.",
        *ASKED,
        Column(
            "target_class_ids", STRINGS, "classes of the targets; with `zero_target` those that are asked for in vain"
        ),
        Column("interferer_class_ids", STRINGS, "classes of the other sources"),
        Column(
            "snr_db",
            DOUBLE,
            "asked ratio of targets to all interferers, in dB; null: the rule asks for no such ratio",
            True,
        ),
        Column(
            "achieved_snr_db",
            DOUBLE,
            "the same ratio, of targets to all interferers without the background, in the stored integers, energy measured as the rule "
            "does, in dB; null: there is no target",
            True,
        ),
        Column(
            "input_sdr_db",
            DOUBLE,
            "ratio of target to residual energy over all stored samples, in dB: the plain SDR of the mixture as an estimate; null: there "
            "is no target",
            True,
        ),
        Column("gains", pa.list_(DOUBLE), "linear gain on each source's stored samples, in order of `plan.sources`"),
        Column(
            "achieved_db",
            pa.list_(DOUBLE),
            "what each source's level came to in the stored integers, in dB: in the sense of its `level_db`, or, where it has none and "
            "with `rms_match`, its energy against that of the targets together, as the rule measures energy; without a target against "
            "the first interferer; no value where that is not defined",
        ),
        Column("overlap", DOUBLE, "share of the shortest source that sounds together with another, in [0, 1]"),
        Column(
            "turned_down_db",
            DOUBLE,
            "how far mixture and sources were turned down together because of the peak, in dB, at least 0",
        ),
        Column("peak", DOUBLE, "largest magnitude in the stored mixture, full scale = 1"),
        Column("duration_s", DOUBLE, "seconds"),
        Column("sample_rate", INT, "samples per second"),
        *WORDS,
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
