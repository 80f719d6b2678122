"""The tables of the catalogue of many corpora, as pyarrow schemas whose columns say what they hold."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables import STRINGS, Column, describe

_S, _F, _I, _B = pa.string(), pa.float64(), pa.int64(), pa.bool_()

ALL = "*"
"""In place of a publisher's split: all splits of the dataset together."""

KEYS = {
    "members": ["run", "dataset", "member_id"],
    "refused": ["run", "dataset", "record_id"],
    "recordings": ["recording_id"],
    "groups": ["group_id"],
    "near_duplicates": ["recording_a", "recording_b"],
    "duplicates": ["text"],
    "near_captions": ["text_a", "text_b"],
    "statistics": ["run", "dataset", "published"],
    "overlap": ["dataset_a", "published_a", "dataset_b", "published_b"],
    "blacklists": ["blacklist", "dataset", "published"],
}
"""The columns that name a row of each table of the catalogue; its rows are sorted by them."""

_RUN = Column("run", _S, "name of the recipe; of a run its folder, relative to the last that is above all runs")
_DATASET = Column("dataset", _S, "name of the dataset in the recipe")
_PUBLISHED = Column(
    "published", _S, "the publisher's own word for its split; of a run, which keeps none, the split as in `clips`"
)
_TOTAL = Column("published", _S, f"split as in `members`; `{ALL}`: all of the dataset together")
_SPLITS = "that are not withheld by their own run, sorted"

CATALOG_TABLES: dict[str, pa.Schema] = {
    "members": describe(
        "members",
        "One row of a dataset, as a recipe's metadata list it or as a run has stored it.",
        _RUN,
        _DATASET,
        Column("member_id", _S, "`record_id`; of a run `clip_id`"),
        Column("record_id", _S, "as in `records`"),
        Column("adapter", _S, "who read it; null: a run does not keep it", True),
        Column("split", _S, "split in which it is used, in our word; of a run that of its group"),
        _PUBLISHED,
        Column("recording_id", _S, "canonical recording; null: the dataset names none", True),
        Column("group_id", _S, "the row of `groups`; null: it has no recording", True),
        Column("start_s", _F, "where it begins in the recording, in seconds; null: not known", True),
        Column("end_s", _F, "where it ends in the recording, in seconds; null: not known", True),
        Column("seconds", _F, "its length; null: the metadata do not tell it", True),
        Column("captions", STRINGS, "as published; of a run the accepted one"),
        Column(
            "class_ids", STRINGS, "classes of the ontology that its labels name, sorted; of a run those in `classes`"
        ),
        Column("licence", _S, "normalised; `unknown`, which is not free, if not told"),
        Column("present", _B, "whether its audio is there"),
        Column(
            "withheld",
            _S,
            "why it may not be used beside the other corpora, e.g. `leaks_into_test`; null: it may",
            True,
        ),
    ),
    "refused": describe(
        "refused",
        "One row of a recipe's metadata that is no member.",
        _RUN,
        _DATASET,
        Column("record_id", _S, "its key; `#2` and so on where it repeats another row's"),
        Column(
            "error", _S, "as in `rejects`: `bad_row`, `bad_file_name`, `duplicate_id`; or the reason why it is left out"
        ),
        Column("message", _S, "what was found, in words; null: it is left out by a rule", True),
    ),
    "recordings": describe(
        "recordings",
        "One recording, wherever it stands.",
        Column("recording_id", _S, "canonical recording: `yt:`, `fs:`, `bbc:`, `sb:`, else `sha256:` of the file"),
        Column("group_id", _S, "its row of `groups`"),
        Column("datasets", STRINGS, "datasets that it stands in, sorted"),
        Column("sets", STRINGS, "`<dataset>/<published>` that it stands in, sorted"),
        Column("splits", STRINGS, f"splits of its members {_SPLITS}"),
        Column("members", STRINGS, "`member_id` of its members, sorted; one that stands in several runs counts once"),
        Column("seconds", _F, "length of these together, as far as it is known; null: of none it is", True),
        Column("blacklists", STRINGS, "blacklists that name it, sorted"),
        Column("leaks", _B, "whether it stands in more than one of `train`, `val` and `test`"),
    ),
    "groups": describe(
        "groups",
        "Recordings that are one by samples or by sound, and the one split in which they may be used.",
        Column("group_id", _S, "the least `recording_id` of the group, in order of code points"),
        Column("recordings", STRINGS, "its recordings, sorted"),
        Column("datasets", STRINGS, "datasets that they stand in, sorted"),
        Column("splits", STRINGS, f"splits of its members {_SPLITS}"),
        Column("split", _S, "the best protected of these: `test`, `val`, `train`, then others in order of names"),
        Column("members", _I, "rows of `members`"),
        Column("withheld", _I, "of them, those that stand in another split or that their own run withholds"),
        Column("leaks", _B, "whether it stands in more than one of `train`, `val` and `test`"),
    ),
    "near_duplicates": describe(
        "near_duplicates",
        "Two recordings of other names whose clips in the store are the same. Without runs there are none to compare.",
        Column("recording_a", _S, "the lesser name, in order of code points"),
        Column("recording_b", _S, "the other"),
        Column(
            "by", _S, "`audio`: equal samples, told of the least name that has them; `fingerprint`: they sound the same"
        ),
        Column("score", _F, "of the two clips, in [0, 1]; 1 for equal samples"),
        Column("clip_a", _S, "the clip of the first that was compared"),
        Column("clip_b", _S, "that of the second; of several pairs the one with the highest score"),
    ),
    "duplicates": describe(
        "duplicates",
        "One caption that several members share; captions are equal if their words are.",
        Column("text", _S, "the words in lower case, joined by spaces; punctuation is left out"),
        Column("members", STRINGS, "`member_id` of the members, sorted"),
        Column("sets", STRINGS, "their `<dataset>/<published>`, sorted"),
        Column("splits", STRINGS, "their splits, sorted"),
        Column("count", _I, "number of the members, at least 2"),
    ),
    "near_captions": describe(
        "near_captions",
        "Two captions that share at least 4 of 5 of their distinct words (Jaccard >= 0.8); no such pair is missing.",
        Column("text_a", _S, "as in `duplicates`; the lesser in order of code points"),
        Column("text_b", _S, "the other"),
        Column("jaccard", _F, "words in both over words in either, in [0.8, 1]; 1: the same words in another order"),
        Column("count_a", _I, "members that have the first"),
        Column("count_b", _I, "members that have the second"),
        Column("sets_a", STRINGS, "`<dataset>/<published>` of the first's members, sorted"),
        Column("sets_b", STRINGS, "of the second's"),
        Column("splits_a", STRINGS, "splits of the first's members, sorted"),
        Column("splits_b", STRINGS, "of the second's"),
    ),
    "statistics": describe(
        "statistics",
        "One published split of one dataset, or all of it.",
        _RUN,
        _DATASET,
        _TOTAL,
        Column("members", _I, "rows of `members`"),
        Column("recordings", _I, "distinct recordings that they name"),
        Column("unnamed", _F, "share of members that name no recording, in [0, 1]"),
        Column("present", _F, "share of members whose audio is there, in [0, 1]"),
        Column("hours", _F, "length of the members together, as far as it is known; null: of none it is", True),
        Column("timed", _F, "share of members whose length is known, in [0, 1]"),
        Column("captions", _I, "captions; of a run those that are accepted"),
        Column("caption_words", _F, "mean length of a caption, in words; null: there is none", True),
        Column("vocabulary", _I, "distinct words of the captions, in lower case"),
        Column("located", _I, "captions that say where, by the phrases of `configs/catalog/places.csv`: a heuristic"),
        Column("environment", _I, "captions that say what the surroundings are like, by the same table"),
        Column("classes", _I, "distinct classes of the ontology that a member is known to contain"),
        Column("unlicensed", _F, "share of members whose licence is unknown, in [0, 1]"),
    ),
    "overlap": describe(
        "overlap",
        f"What two sets share. Sets are published splits, and the datasets whole (`{ALL}`); every pair is here, each set "
        "with itself too, so that 0 is a finding.",
        Column("dataset_a", _S, "the first, in order of code points of dataset and split"),
        Column(
            "published_a", _S, f"its split; `{ALL}`: all of the dataset, which is compared with whole datasets alone"
        ),
        Column("dataset_b", _S, "the second"),
        Column("published_b", _S, "its split"),
        Column("recordings", _I, "recordings that stand in both; null: no member of one of them names any", True),
        Column("groups", _I, "groups that stand in both; null: likewise", True),
        Column(
            "segments",
            _I,
            "pairs of a member of the one and another member of the other, of one recording, whose times are known and "
            "overlap; null: likewise",
            True,
        ),
        Column("untimed", _I, "such pairs where the time of one is not known, so that they may; null: likewise", True),
    ),
    "blacklists": describe(
        "blacklists",
        "How much of a set a blacklist of WavCaps names. Who is missed: the recordings of the set (`recordings.sets`) "
        "without the list in `recordings.blacklists`.",
        Column(
            "blacklist", _S, "its name, e.g. `exclude_test_ac`; of one name in several datasets, all that they list"
        ),
        _DATASET,
        _TOTAL,
        Column("recordings", _I, "distinct recordings of the set"),
        Column("listed", _I, "of them, those that the blacklist names"),
        Column("missed", _I, "of them, those that it does not"),
    ),
}
"""The tables that a catalogue holds, in the style of ``schemas.tables.TABLES``."""
