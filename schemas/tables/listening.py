"""What is heard in clips, by whom, and what that is worth: evidence, embeddings, calibration, classes."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables.column import DOUBLE, INT, STRING, STRINGS, Column, describe

NEAR = pa.struct([pa.field("class_id", STRING, nullable=False), pa.field("score", DOUBLE, nullable=False)])

BIN = pa.struct(
    [
        pa.field("calibrated", pa.bool_(), nullable=False),
        pa.field("clips", INT, nullable=False),
        pa.field("said", DOUBLE, nullable=False),
        pa.field("labelled", DOUBLE, nullable=False),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "evidence": describe(
        "evidence",
        "One thing that one listener heard, or that a publisher states.",
        Column("evidence_id", STRING, "`<clip_id>:<listener>:<number>`"),
        Column("clip_id", STRING, "the clip"),
        Column("listener", STRING, "who says so; `publisher` for labels and captions that came with the dataset"),
        Column("revision", STRING, "the listener's revision"),
        Column("kind", STRING, "`tag`, `event`, `fact`, `keyword`, `caption`, `answer`, `transcript`, `text`"),
        Column(
            "name",
            STRING,
            "class, fact or question in words, or `caption`; of a `text` what it is: `title`, `description`",
        ),
        Column(
            "value",
            DOUBLE,
            "a fact's value, a label's published rating, a zero-shot tag's cosine, or the words of a transcript counted; null: "
            "none, or unknown",
            True,
        ),
        Column("unit", STRING, "the value's unit; null: none", True),
        Column(
            "text",
            STRING,
            "words of a caption, an answer, a transcript or an uploader's text; null: none, or of an answer: asked, and there is "
            "nothing",
            True,
        ),
        Column("class_id", STRING, "ontology class that the listener itself names; null: names none", True),
        Column("onset_s", DOUBLE, "seconds from the clip's start; null: not timed", True),
        Column("offset_s", DOUBLE, "seconds from the clip's start; null: not timed", True),
        Column("confidence", DOUBLE, "in [0, 1] as the listener states it, uncalibrated; null: not stated", True),
    ),
    "embeddings": describe(
        "embeddings",
        "Where an embedder puts a clip: once per clip and revision of the model, for all that asks of it later.",
        Column("embedding_id", STRING, "`<clip_id>:<embedder>:<number>`"),
        Column("clip_id", STRING, "the clip"),
        Column("embedder", STRING, "name of the model in the recipe"),
        Column("revision", STRING, "the model's revision"),
        Column("span", STRING, "`clip`: the mean of all its windows, once per clip; `window`: one of several"),
        Column("start_s", DOUBLE, "where the span begins, in seconds from the clip's start"),
        Column("end_s", DOUBLE, "where it ends, in seconds from the clip's start"),
        Column(
            "vector", pa.list_(pa.float16()), "of unit length, rounded to float16; in the files a list of fixed size"
        ),
    ),
    "listeners": describe(
        "listeners",
        "Who listens in this run; a row per stage that writes evidence, also where it then says nothing.",
        Column("listener", STRING, "its name in `evidence`"),
        Column("stage", STRING, "the stage that it listens in"),
        Column("settings", STRING, "what the recipe sets of that stage, as JSON"),
        Column("revisions", STRING, "its revisions: models, prompts and label tables with their hashes, as JSON"),
    ),
    "heard": describe(
        "heard",
        "One class that one listener names in one clip, beside what the publisher labels there. Every clip has a row of "
        "`publisher` at least.",
        Column("clip_id", STRING, "the clip"),
        Column("listener", STRING, "who names it; `publisher`: it is a label"),
        Column(
            "class_id",
            STRING,
            "the class as it is named, broader ones not added; null: the publisher's labels of this clip are not all known, "
            "since it has none, or one without a class",
            True,
        ),
        Column(
            "confidence",
            DOUBLE,
            "the highest of the listener's tags and events of this class, in [0, 1], uncalibrated; null: not stated",
            True,
        ),
        Column(
            "labelled",
            pa.bool_(),
            "true: the publisher labels this class or one below it; false: it labels the clip, and neither these nor one "
            "above, which is no proof of absence: publishers leave out much that is heard; null: not known, for a label is "
            "broader than the class, or the labels of the clip are not all known",
            True,
        ),
        Column(
            "fold",
            INT,
            "in [0, 5), a hash of the clip's group; null: the group's split is neither `train` nor `val`, and the clip "
            "calibrates nothing",
            True,
        ),
    ),
    "calibrations": describe(
        "calibrations",
        "What a listener's confidences in a class are worth, by the publishers' labels of clips of the splits `train` and "
        "`val`, never of `test`. What a listener leaves out counts here neither for nor against it: see `agreements`.",
        Column("listener", STRING, "the listener"),
        Column("class_id", STRING, "the class, one that it names somewhere; null: all its classes together", True),
        Column("revisions", STRING, "the listener's, as in `listeners`"),
        Column("positives", INT, "clips in which it names the class with a confidence and the publisher labels it"),
        Column("negatives", INT, "likewise, and the publisher labels neither it nor a class below or above"),
        Column(
            "method",
            STRING,
            "`isotonic`: calibrated on the clips of this class; `pooled`: on those of all classes of the listener, for there "
            "are too few of its own; `none`: there are too few of all, and the confidences are uncalibrated",
        ),
        Column(
            "confidences",
            pa.list_(DOUBLE),
            "knots of the calibration, rising; between them it is linear, beyond them constant; empty: uncalibrated",
        ),
        Column(
            "probabilities",
            pa.list_(DOUBLE),
            "at each knot the share of clips, in (0, 1), that the publisher labels so; not falling; where labels leave out "
            "what is heard, it is too low",
        ),
        Column(
            "average_precision",
            DOUBLE,
            "of the clips counted here, ranked by confidence, in [0, 1]; null: fewer than 20 clips, or no positive",
            True,
        ),
        Column(
            "ece",
            DOUBLE,
            "expected calibration error of the confidences as stated, in [0, 1], over ten equal parts of [0, 1]; null: fewer "
            "than 20 clips",
            True,
        ),
        Column(
            "ece_calibrated",
            DOUBLE,
            "likewise calibrated, each clip by the fit on the other folds, with which it shares no recording; of all classes "
            "together, each by its own `method`; null: likewise, or uncalibrated",
            True,
        ),
        Column("brier", DOUBLE, "Brier score of the confidences as stated, in [0, 1]; null: as `ece`", True),
        Column("brier_calibrated", DOUBLE, "likewise calibrated, out of fold; null: as `ece_calibrated`", True),
        Column(
            "reliability",
            pa.list_(BIN),
            "per tenth of [0, 1], as stated and (`calibrated`) out of fold: clips, the mean that is `said`, the share that "
            "is `labelled`; empty: not measured",
        ),
    ),
    "agreements": describe(
        "agreements",
        "How often two listeners name the same class, the publisher being one of them; each pair stands in both orders. A "
        "class is named where it or one below it is.",
        Column("listener", STRING, "the one"),
        Column("other", STRING, "the other"),
        Column(
            "class_id",
            STRING,
            "a class that both name in this run, one of them as it is; null: all of these together, a clip counting in each",
            True,
        ),
        Column(
            "clips",
            INT,
            "clips of all splits that count: all of the run, also those in which a listener failed; with `publisher`, those "
            "that it labels, each label having its class, unless a label is broader than the class",
        ),
        Column("both", INT, "clips in which both name it"),
        Column("only_listener", INT, "clips in which `listener` alone names it"),
        Column("only_other", INT, "clips in which `other` alone names it"),
        Column("jaccard", DOUBLE, "`both` over clips in which either names it, in [0, 1]; null: neither does", True),
        Column(
            "kappa",
            DOUBLE,
            "Cohen's kappa, at most 1, 0 by chance; null: both name it in all of the clips, or both in none",
            True,
        ),
    ),
    "datasets": describe(
        "datasets",
        "One dataset of the recipe; what is summed over its clips is keyed by it.",
        Column("dataset", STRING, "its name in the recipe"),
        Column("adapter", STRING, "the adapter that reads it"),
    ),
    "vocabulary": describe(
        "vocabulary",
        "One name that a dataset labels clips with, as it is published.",
        Column("name_id", STRING, "`<dataset>:<name>`"),
        Column("dataset", STRING, "name of the dataset in the recipe"),
        Column("adapter", STRING, "the adapter that reads it"),
        Column("name", STRING, "the label as published"),
        Column(
            "published_id",
            STRING,
            "the id that the publisher gives with it, of several the one of the most clips; null: none",
            True,
        ),
        Column("clips", INT, "clips that are labelled with it"),
    ),
    "categories": describe(
        "categories",
        "What a language model says that a name means which no table knows.",
        Column("name_id", STRING, "the name"),
        Column(
            "class_ids",
            STRINGS,
            "classes that it names, the main class first; empty: it says that the name is no sound",
        ),
        Column("answer", STRING, "its words for this name"),
        Column("model", STRING, "the model's name"),
        Column("prompt_hash", STRING, "sha256 of the prompt file"),
        Column("request", STRING, "key of the request in the ledger"),
    ),
    "caption_tags": describe(
        "caption_tags",
        "One class that a language model says a caption tells of. It is no evidence, or a caption would bear out itself.",
        Column("tag_id", STRING, "`<clip_id>:<number>`"),
        Column("clip_id", STRING, "the clip"),
        Column("evidence_id", STRING, "the caption"),
        Column("class_id", STRING, "the class"),
        Column("answer", STRING, "the model's words for this caption"),
        Column("model", STRING, "the model's name"),
        Column("prompt_hash", STRING, "sha256 of the prompt file"),
        Column("request", STRING, "key of the request in the ledger"),
    ),
    "names": describe(
        "names",
        "One name that a dataset labels clips with, and the classes that it means.",
        Column("name_id", STRING, "`<dataset>:<name>`"),
        Column("dataset", STRING, "name of the dataset in the recipe"),
        Column("name", STRING, "the label as published"),
        Column("published_id", STRING, "the ontology id that the publisher gives with it; null: none", True),
        Column("clips", INT, "clips that are labelled with it"),
        Column(
            "class_ids",
            STRINGS,
            "what it means, the main class first; empty: unknown, or no sound (`origin` says which)",
        ),
        Column(
            "origin",
            STRING,
            "how it is known, the first that applies: `review` (a person said so), `mid`, `curated`, `name`, `part`, `alias`, "
            "`embedding`, the name of a language model's stage, `no_sound` (reviewed or answered: it names none), `none`: unknown",
        ),
        Column(
            "confidence",
            DOUBLE,
            "in [0, 1]; a declared prior but with `embedding`, where it is the cosine; null: unknown",
            True,
        ),
        Column(
            "near",
            pa.list_(NEAR),
            "classes whose names lie nearest by sentence embedding, with cosines, best first; empty: not asked",
        ),
    ),
    "classes": describe(
        "classes",
        "What a clip is known to contain, on the AudioSet ontology; one row says so where nothing is known.",
        Column("clip_id", STRING, "the clip"),
        Column("class_id", STRING, "ontology MID; null: the name maps to no class, or nothing is known", True),
        Column(
            "class_name", STRING, "the class's name, or the name that could not be mapped; null: nothing is known", True
        ),
        Column(
            "origin",
            STRING,
            "how it is known: `label:`, `event:`, `keyword:` or `caption:` and the kind of match; a listener; `none`",
        ),
        Column("confidence", DOUBLE, "in [0, 1], a declared prior of the origin, uncalibrated; null: not known", True),
        Column(
            "state",
            STRING,
            "of the clip: `labelled` (publisher's labels, all mapped), `partial` (one did not map), `inferred` "
            "(from words or listeners only), `unknown`",
        ),
    ),
}
