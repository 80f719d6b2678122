"""Every table that Earloom writes, as a versioned pyarrow schema whose columns say what they hold.

A column's metadata carries ``doc``: its meaning, unit, range, and what null means. A column without a word about null
is never null, and a table that breaks this is refused before it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

VERSION = 4
"""Version of the tables; a workspace of another version is refused, not guessed at."""

STRINGS = pa.list_(pa.string())


@dataclass(frozen=True)
class Column:
    """One column: its name, arrow type, meaning, and whether null is a value of it."""

    name: str
    type: pa.DataType
    doc: str
    null: bool = False


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, column.type, nullable=column.null, metadata={"doc": column.doc})


def describe(name: str, doc: str, *columns: Column) -> pa.Schema:
    """Return the schema of a table from the descriptions of its columns."""
    metadata = {"earloom.table": name, "earloom.version": str(VERSION), "earloom.doc": doc}
    return pa.schema([_field(column) for column in columns], metadata=metadata)


_S, _F, _I = pa.string(), pa.float64(), pa.int64()

LABEL = pa.struct([pa.field("name", _S, nullable=False), pa.field("class_id", _S), pa.field("rating", _F)])
EVENT = pa.struct(
    [
        pa.field("name", _S, nullable=False),
        pa.field("onset_s", _F, nullable=False),
        pa.field("offset_s", _F, nullable=False),
    ]
)
LINK = pa.struct(
    [
        pa.field("clip_id", _S, nullable=False),
        pa.field("by", _S, nullable=False),
        pa.field("score", _F, nullable=False),
    ]
)
BIN = pa.struct(
    [
        pa.field("calibrated", pa.bool_(), nullable=False),
        pa.field("clips", _I, nullable=False),
        pa.field("said", _F, nullable=False),
        pa.field("labelled", _F, nullable=False),
    ]
)
KIND = pa.struct(
    [
        pa.field("kind", _S, nullable=False),
        pa.field("captions", _I, nullable=False),
        pa.field("accepted", _F),
        pa.field("low", _F),
        pa.field("high", _F),
    ]
)
SOURCE = pa.struct(
    [
        pa.field("clip_id", _S, nullable=False),
        pa.field("recording_id", _S, nullable=False),
        pa.field("tar", _S, nullable=False),
        pa.field("offset", _I, nullable=False),
        pa.field("size", _I, nullable=False),
        pa.field("sha256", _S, nullable=False),
        pa.field("start", _I, nullable=False),
        pa.field("at", _I, nullable=False),
        pa.field("length", _I, nullable=False),
        pa.field("class_ids", STRINGS, nullable=False),
        pa.field("class_names", STRINGS, nullable=False),
        pa.field("text", _S, nullable=False),
        pa.field("licence", _S, nullable=False),
        pa.field("licence_text", _S),
        pa.field("attribution", _S),
    ]
)

_PLACE = (
    Column("tar", _S, "tar file, relative to the run folder"),
    Column("offset", _I, "first byte in the tar"),
    Column("size", _I, "bytes from `offset`"),
)
_LICENCE = (
    Column(
        "licence", _S, "normalised, a name of `schemas.licences.LICENCES`; `unknown`, which is not free, if not told"
    ),
    Column("licence_text", _S, "licence as published; null: none is told", True),
    Column("attribution", _S, "who made the recording; null: unknown", True),
)
_ORIGIN = (
    Column("dataset", _S, "name of the dataset in the recipe"),
    Column(
        "split", _S, "`train`, `val`, `test`, or the publisher's own name where the recipe maps it to none of these"
    ),
)

_SCORE = (
    Column("candidate_id", _S, "the caption: a candidate, or a probe"),
    Column("clip_id", _S, "the clip"),
    Column(
        "scorer",
        _S,
        "`agreement`: share of the checkable claims that the evidence supports; `texts`: share of the checks of its text alone "
        "that it passes; `judge`: share of the claims it can tell of that a language model finds supported, see `refine.judge`; "
        "`<embedder>`: cosine of caption and clip; `<embedder>:window`: of the nearest window; "
        "`<embedder>:relative`: less that of the clip's labels; `<embedder>:margin`: less the mean of other clips' captions",
    ),
    Column("revision", _S, "the scorer's revision"),
    Column(
        "score",
        _F,
        "of `agreement`, `texts` and `judge` in [0, 1]; of an embedder in [-1, 1], `relative` and `margin` in [-2, 2], comparable within "
        "one clip; null: unknown, which is not 0, for no claim can be checked, or there is nothing to compare with",
        True,
    ),
    Column(
        "claims",
        _I,
        "claims found in the caption, those that nothing here can check included; null: not looked for",
        True,
    ),
    Column("supported", _I, "claims that evidence supports; null: not looked for", True),
    Column(
        "unsupported",
        STRINGS,
        "the claims without support, of `judge` those that it finds contradicted, in the caption's own words; of `texts` the checks "
        "that fail",
    ),
    Column("evidence_ids", STRINGS, "the evidence that supports a claim; of `judge` and embedders none is named"),
)

TABLES: dict[str, pa.Schema] = {
    "records": describe(
        "records",
        "One row of a dataset's own metadata, with the file that it names, before anything is decoded.",
        Column("record_id", _S, "`<dataset>-<source id>[-<start ms>]`, characters `[A-Za-z0-9_-]`"),
        *_ORIGIN,
        Column("recording_id", _S, "`yt:`, `fs:`, `bbc:`, `sb:` and the id; null: the dataset names none", True),
        Column("source_path", _S, "audio file, relative to `data.root`"),
        Column(
            "member",
            _S,
            "where in that file the audio lies: `bytes:<offset>+<size>` in a tar, `row:<number>/<column>` in a Parquet or "
            "Arrow file; null: the file is the audio",
            True,
        ),
        Column(
            "file_bytes", _I, "size of that file when the dataset was listed, in bytes; a changed file is a changed row"
        ),
        Column("video_path", _S, "film that shows the recording, relative to `data.root`; null: none", True),
        Column("start_s", _F, "start of the excerpt in the recording, in seconds; null: the recording's start", True),
        Column("end_s", _F, "end of the excerpt in the recording, in seconds; null: the recording's end", True),
        Column(
            "labels",
            pa.list_(LABEL),
            "labels as published; `class_id` is the MID where the publisher gives one; `rating` is the mean of the "
            "publisher's ratings (FSD50K: 1 predominant, 0.5 present, 0 unsure, -1 absent), if it is rated; empty: none given",
        ),
        Column("events", pa.list_(EVENT), "labels with times in seconds from the excerpt's start; empty: none given"),
        Column("keywords", STRINGS, "uploader's keywords or tags; hints, not labels"),
        Column("captions", STRINGS, "captions as published"),
        Column("title", _S, "the uploader's title; no caption; null: none is told", True),
        Column("description", _S, "the uploader's description, raw; no caption; null: none is told", True),
        *_LICENCE,
    ),
    "clips": describe(
        "clips",
        "One decoded clip in the clip store.",
        Column("clip_id", _S, "`record_id`, with `-<start ms>` where a recording was cut into several"),
        Column("record_id", _S, "the row of `records` that it came from"),
        *_ORIGIN,
        Column("recording_id", _S, "canonical recording: `yt:`, `fs:`, `bbc:`, `sb:`, else `sha256:` of the file"),
        Column("duration_s", _F, "seconds stored, from the samples"),
        Column("sample_rate", _I, "samples per second in the store"),
        Column("source_path", _S, "audio file, relative to `data.root`"),
        Column("member", _S, "where in that file the audio lies, as in `records`; null: the file is the audio", True),
        Column("video_path", _S, "film that shows the recording, relative to `data.root`; null: none", True),
        Column("source_start_s", _F, "where the clip begins in that file, in seconds"),
        Column(
            "excerpt_s", _F, "where the record's excerpt begins in that file, in seconds; 0: the file is the excerpt"
        ),
        Column("source_rate", _I, "the file's own samples per second, as decoded"),
        Column("source_channels", _I, "the file's own channels, as decoded"),
        Column("channel", _S, "what of them the store keeps: `mean`, or the number of one, from 0"),
        Column("channels_equal", pa.bool_(), "whether all channels hold the same samples; null: there is one", True),
        Column("dc_offset", _F, "mean sample of what is kept, as decoded, full scale = 1"),
        Column(
            "clipped_share",
            _F,
            "share of the file's samples in runs of 3 or more at full scale, in [0, 1], over all its channels",
        ),
        Column(
            "band_limit_hz",
            _F,
            "where the spectrum of what is kept ends in a cliff, as decoded, in Hz: once sampled at about twice this, or "
            "coded with a low-pass; null: no cliff found",
            True,
        ),
        Column(
            "coverage",
            _F,
            "share of the excerpt that the clips of its record hold together, in (0, 1]; where the record names no end, the "
            "excerpt goes to where the file was found to end, else to its header's claim; null: nothing tells its length",
            True,
        ),
        Column("source_decoder", _S, "`soundfile` or `ffmpeg`"),
        Column("claimed_s", _F, "seconds that the file's header claims; null: it claims nothing", True),
        Column("decoded_s", _F, "seconds that could be decoded, up to the end of the clip"),
        Column("note", _S, "what a careful reader should know, e.g. `header_claims_more`; null: nothing", True),
        Column("gain_db", _F, "gain applied so that no stored sample clips, in dB, at most 0"),
        Column("sha256", _S, "of the stored FLAC, in hexadecimal"),
        *_LICENCE,
        *_PLACE,
    ),
    "frames": describe(
        "frames",
        "One picture of a clip that came as video.",
        Column("clip_id", _S, "the clip"),
        Column("frame_id", _S, "`<clip_id>-f<number>`, numbered in order of time from 0"),
        Column("time_s", _F, "seconds from the clip's start, of the picture that was asked for"),
        Column("width", _I, "pixels"),
        Column("height", _I, "pixels"),
        Column("sha256", _S, "of the stored JPEG, in hexadecimal"),
        *_PLACE,
    ),
    "fingerprints": describe(
        "fingerprints",
        "What a clip sounds like, for finding it again whatever its level, codec or rate.",
        Column("clip_id", _S, "the clip"),
        Column("hashes", pa.list_(pa.uint32()), "landmarks of its spectrogram, in order of time; empty: it has none"),
        Column("times", pa.list_(pa.uint16()), "frame of 64 ms in which each landmark begins, as long as `hashes`"),
    ),
    "groups": describe(
        "groups",
        "Which clips belong together, and the one split in which a group may be used.",
        Column("clip_id", _S, "the clip"),
        Column("record_id", _S, "its row of `records`, in whose partition it lies"),
        Column("group_id", _S, "the least `recording_id` of the group, in order of code points"),
        Column("recordings", _I, "distinct `recording_id`s in the group"),
        Column(
            "links",
            pa.list_(LINK),
            "clips of other recordings that it was found to be the same as: `by` is `audio` (equal samples, the least such "
            "clip) or `fingerprint`, `score` in [0, 1]; empty: none",
        ),
        Column("split", _S, "the split in which the group may be used; shards and captions are sorted by it"),
        Column("withheld", _S, "why the clip may not be used, e.g. `leaks_into_test`; null: it may", True),
    ),
    "evidence": describe(
        "evidence",
        "One thing that one listener heard, or that a publisher states.",
        Column("evidence_id", _S, "`<clip_id>:<listener>:<number>`"),
        Column("clip_id", _S, "the clip"),
        Column("listener", _S, "who says so; `publisher` for labels and captions that came with the dataset"),
        Column("revision", _S, "the listener's revision"),
        Column("kind", _S, "`tag`, `event`, `fact`, `keyword`, `caption`, `answer`, `transcript`, `text`"),
        Column(
            "name", _S, "class, fact or question in words, or `caption`; of a `text` what it is: `title`, `description`"
        ),
        Column(
            "value",
            _F,
            "a fact's value, a label's published rating, a zero-shot tag's cosine, or the words of a transcript counted; null: "
            "none, or unknown",
            True,
        ),
        Column("unit", _S, "the value's unit; null: none", True),
        Column(
            "text",
            _S,
            "words of a caption, an answer, a transcript or an uploader's text; null: none, or of an answer: asked, and there is "
            "nothing",
            True,
        ),
        Column("class_id", _S, "ontology class that the listener itself names; null: names none", True),
        Column("onset_s", _F, "seconds from the clip's start; null: not timed", True),
        Column("offset_s", _F, "seconds from the clip's start; null: not timed", True),
        Column("confidence", _F, "in [0, 1] as the listener states it, uncalibrated; null: not stated", True),
    ),
    "embeddings": describe(
        "embeddings",
        "Where an embedder puts a clip: once per clip and revision of the model, for all that asks of it later.",
        Column("embedding_id", _S, "`<clip_id>:<embedder>:<number>`"),
        Column("clip_id", _S, "the clip"),
        Column("embedder", _S, "name of the model in the recipe"),
        Column("revision", _S, "the model's revision"),
        Column("span", _S, "`clip`: the mean of all its windows, once per clip; `window`: one of several"),
        Column("start_s", _F, "where the span begins, in seconds from the clip's start"),
        Column("end_s", _F, "where it ends, in seconds from the clip's start"),
        Column(
            "vector", pa.list_(pa.float16()), "of unit length, rounded to float16; in the files a list of fixed size"
        ),
    ),
    "listeners": describe(
        "listeners",
        "Who listens in this run; a row per stage that writes evidence, also where it then says nothing.",
        Column("listener", _S, "its name in `evidence`"),
        Column("stage", _S, "the stage that it listens in"),
        Column("settings", _S, "what the recipe sets of that stage, as JSON"),
        Column("revisions", _S, "its revisions: models, prompts and label tables with their hashes, as JSON"),
    ),
    "heard": describe(
        "heard",
        "One class that one listener names in one clip, beside what the publisher labels there. Every clip has a row of "
        "`publisher` at least.",
        Column("clip_id", _S, "the clip"),
        Column("listener", _S, "who names it; `publisher`: it is a label"),
        Column(
            "class_id",
            _S,
            "the class as it is named, broader ones not added; null: the publisher's labels of this clip are not all known, "
            "since it has none, or one without a class",
            True,
        ),
        Column(
            "confidence",
            _F,
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
            _I,
            "in [0, 5), a hash of the clip's group; null: the group's split is neither `train` nor `val`, and the clip "
            "calibrates nothing",
            True,
        ),
    ),
    "calibrations": describe(
        "calibrations",
        "What a listener's confidences in a class are worth, by the publishers' labels of clips of the splits `train` and "
        "`val`, never of `test`. What a listener leaves out counts here neither for nor against it: see `agreements`.",
        Column("listener", _S, "the listener"),
        Column("class_id", _S, "the class, one that it names somewhere; null: all its classes together", True),
        Column("revisions", _S, "the listener's, as in `listeners`"),
        Column("positives", _I, "clips in which it names the class with a confidence and the publisher labels it"),
        Column("negatives", _I, "likewise, and the publisher labels neither it nor a class below or above"),
        Column(
            "method",
            _S,
            "`isotonic`: calibrated on the clips of this class; `pooled`: on those of all classes of the listener, for there "
            "are too few of its own; `none`: there are too few of all, and the confidences are uncalibrated",
        ),
        Column(
            "confidences",
            pa.list_(_F),
            "knots of the calibration, rising; between them it is linear, beyond them constant; empty: uncalibrated",
        ),
        Column(
            "probabilities",
            pa.list_(_F),
            "at each knot the share of clips, in (0, 1), that the publisher labels so; not falling; where labels leave out "
            "what is heard, it is too low",
        ),
        Column(
            "average_precision",
            _F,
            "of the clips counted here, ranked by confidence, in [0, 1]; null: fewer than 20 clips, or no positive",
            True,
        ),
        Column(
            "ece",
            _F,
            "expected calibration error of the confidences as stated, in [0, 1], over ten equal parts of [0, 1]; null: fewer "
            "than 20 clips",
            True,
        ),
        Column(
            "ece_calibrated",
            _F,
            "likewise calibrated, each clip by the fit on the other folds, with which it shares no recording; of all classes "
            "together, each by its own `method`; null: likewise, or uncalibrated",
            True,
        ),
        Column("brier", _F, "Brier score of the confidences as stated, in [0, 1]; null: as `ece`", True),
        Column("brier_calibrated", _F, "likewise calibrated, out of fold; null: as `ece_calibrated`", True),
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
        Column("listener", _S, "the one"),
        Column("other", _S, "the other"),
        Column(
            "class_id",
            _S,
            "a class that both name in this run, one of them as it is; null: all of these together, a clip counting in each",
            True,
        ),
        Column(
            "clips",
            _I,
            "clips of all splits that count: all of the run, also those in which a listener failed; with `publisher`, those "
            "that it labels, each label having its class, unless a label is broader than the class",
        ),
        Column("both", _I, "clips in which both name it"),
        Column("only_listener", _I, "clips in which `listener` alone names it"),
        Column("only_other", _I, "clips in which `other` alone names it"),
        Column("jaccard", _F, "`both` over clips in which either names it, in [0, 1]; null: neither does", True),
        Column(
            "kappa",
            _F,
            "Cohen's kappa, at most 1, 0 by chance; null: both name it in all of the clips, or both in none",
            True,
        ),
    ),
    "classes": describe(
        "classes",
        "What a clip is known to contain, on the AudioSet ontology; one row says so where nothing is known.",
        Column("clip_id", _S, "the clip"),
        Column("class_id", _S, "ontology MID; null: the name maps to no class, or nothing is known", True),
        Column(
            "class_name", _S, "the class's name, or the name that could not be mapped; null: nothing is known", True
        ),
        Column(
            "origin",
            _S,
            "how it is known: `label:`, `event:`, `keyword:` or `caption:` and the kind of match; a listener; `none`",
        ),
        Column("confidence", _F, "in [0, 1], a declared prior of the origin, uncalibrated; null: not known", True),
        Column(
            "state",
            _S,
            "of the clip: `labelled` (publisher's labels, all mapped), `partial` (one did not map), `inferred` "
            "(from words or listeners only), `unknown`",
        ),
    ),
    "candidates": describe(
        "candidates",
        "One caption that was proposed for a clip; all are kept.",
        Column(
            "candidate_id",
            _S,
            "`<clip_id>:published:<number>`, `<clip_id>:grammar-<style>:<number>`, or of a writer "
            "`<clip_id>:<method>-<style>-<language>[-<round>]:<number>`, the round from the second on",
        ),
        Column("clip_id", _S, "the clip"),
        Column(
            "method",
            _S,
            "`published` for a caption that came with the dataset, `grammar`, or the writer's name in the recipe",
        ),
        Column("style", _S, "`short`, `detailed`, `temporal`, ... as its phrases or prompt name it; `published`"),
        Column(
            "language", _S, "of the text, as the prompt asks for it (BCP 47); null: a publisher's own, not told", True
        ),
        Column("round", _I, "1, or the round in which it was written because those before were not good enough"),
        Column("text", _S, "the caption"),
        Column("model", _S, "model and revision that wrote it; null: a publisher's own", True),
        Column("prompt_hash", _S, "sha256 of the phrase file or prompt; null: none", True),
        Column("seed", _I, "seed of the draws, or the one that was sent; null: nothing was drawn", True),
        Column(
            "request",
            _S,
            "`key` of the request in `llm/responses-*.jsonl` whose answer it is; requests that gave no caption stand there "
            "alone; null: nothing was asked",
            True,
        ),
        Column("request_id", _S, "the server's name for the exchange; null: none", True),
        Column(
            "tokens_in",
            _F,
            "tokens of the request, divided by the clips that were asked about in it; null: nothing was asked, or the server "
            "does not tell",
            True,
        ),
        Column("tokens_out", _F, "tokens of the answer, likewise; null: likewise", True),
        Column("usd", _F, "dollars, likewise; null: nothing was asked", True),
        Column("evidence_ids", STRINGS, "the evidence that it was written from"),
    ),
    "claims": describe(
        "claims",
        "One thing that a candidate claims of its clip, and what the evidence says of it. A candidate without a claim has a row "
        "that says so.",
        Column("claim_id", _S, "`<candidate_id>:<number>`"),
        Column("candidate_id", _S, "the candidate"),
        Column("clip_id", _S, "the clip"),
        Column(
            "kind",
            _S,
            "`source`, `action`, `attribute`, `order`, `count`, `place`, `speech`; `none`: the caption claims nothing",
        ),
        Column("text", _S, "the caption's own words; of `none` all of them"),
        Column("start", _I, "first character of `text` in the caption"),
        Column("end", _I, "first character after it"),
        Column("class_id", _S, "the class that it claims; null: it names none", True),
        Column(
            "verdict",
            _S,
            "`supported`; `unsupported`: evidence could show it, and shows something else; `visual_only`: only pictures show it; "
            "`unknown`: nothing here can check it",
        ),
        Column("reason", _S, "why, in words"),
        Column("evidence_ids", STRINGS, "the evidence that supports it; of `visual_only` what shows it"),
    ),
    "probes": describe(
        "probes",
        "One caption of a clip of the splits `train` and `val` whose truth is known, by which the gate is calibrated: true ones, and "
        "ones that were made wrong.",
        Column("candidate_id", _S, "`<clip_id>:probe-<kind>:<number>`"),
        Column("clip_id", _S, "the clip"),
        Column(
            "kind",
            _S,
            "`true`; `shuffled`: another clip's; `swapped`: one sound replaced by another; `reversed`: the order turned round; "
            "`added`: a sound that is not there added",
        ),
        Column("text", _S, "the caption"),
        Column("method", _S, "whose words the true one is: `published`, `grammar`"),
        Column("evidence_ids", STRINGS, "the evidence that the true one was written from"),
    ),
    "scores": describe(
        "scores",
        "One scorer's judgement of one candidate.",
        *_SCORE,
    ),
    "probe_scores": describe(
        "probe_scores",
        "One scorer's judgement of one probe, by the code that judges candidates.",
        *_SCORE,
    ),
    "strata": describe(
        "strata",
        "What captions are judged together: a row per stratum that one of this run may fall into.",
        Column(
            "stratum", _S, "`all`, or what its clips and captions have in common, e.g. `dataset=clotho, 15 s and more`"
        ),
        Column("parent", _S, "the stratum that it is a part of; null: it is `all`", True),
    ),
    "gates": describe(
        "gates",
        "How well the scores tell right captions from wrong ones, per stratum, and where the line is drawn. All rates are measured "
        "out of fold, on probes; `low` and `high` are 95% intervals (Clopper-Pearson on the effective number of captions).",
        Column("stratum", _S, "the row of `strata`"),
        Column("parent", _S, "the stratum by which its captions are judged if it has no line; null: it is `all`", True),
        Column(
            "state",
            _S,
            "`certified`: it has a line; `calibrated`: it has probabilities, and the scores tell too little for a line, or no rate "
            "is wanted; `too_few`: too few captions for either",
        ),
        Column("positives", _I, "right captions"),
        Column("negatives", _I, "wrong ones"),
        Column("recordings", _I, "groups of recordings that these are of"),
        Column("scorers", STRINGS, "whose scores the probability is computed from; empty: `too_few`"),
        Column("model", _S, "`pipelines.refine.fitting.Model` as JSON; null: `too_few`", True),
        Column(
            "ece",
            _F,
            "expected calibration error of the probability, in [0, 1], right and wrong captions weighing the same; null: `too_few`",
            True,
        ),
        Column("line", _F, "least probability of an accepted caption, in [0, 1]; null: not `certified`", True),
        Column(
            "false_accept_rate",
            _F,
            "share of the wrong captions that reach the line, each kind weighing the same unless it has fewer than 20; null: no line",
            True,
        ),
        Column("false_accept_low", _F, "null: likewise", True),
        Column("false_accept_high", _F, "at most the wanted rate; null: likewise", True),
        Column("keep_rate", _F, "share of the right captions that reach the line; null: likewise", True),
        Column("keep_low", _F, "null: likewise", True),
        Column("keep_high", _F, "null: likewise", True),
        Column(
            "kinds",
            pa.list_(KIND),
            "of each kind of wrong caption how many there are, and the share that reaches the line, with its interval",
        ),
    ),
    "verdicts": describe(
        "verdicts",
        "What the gate says of one candidate.",
        Column("candidate_id", _S, "the candidate"),
        Column("clip_id", _S, "the clip"),
        Column(
            "stratum",
            _S,
            "the row of `gates` whose probability and line it is judged by; null: none could be calibrated",
            True,
        ),
        Column(
            "probability",
            _F,
            "that the caption is right, in [0, 1], where as many are wrong as right beforehand; null: not known",
            True,
        ),
        Column("decision", _S, "`accepted`, `refused`, or `abstained` where it cannot be told"),
        Column("reasons", STRINGS, "why it was decided so"),
    ),
    "captions": describe(
        "captions",
        "The best candidate of each clip, and whether it is good enough.",
        Column("clip_id", _S, "the clip"),
        *_ORIGIN,
        Column("caption", _S, "the best candidate's text; null: there is no candidate", True),
        Column("candidate_id", _S, "that candidate; null: there is none", True),
        Column("method", _S, "that candidate's method; null: there is none", True),
        Column("style", _S, "that candidate's style; null: there is none", True),
        Column("language", _S, "that candidate's language; null: not told, or there is none", True),
        Column("decision", _S, "`accepted`, `refused`, or `abstained` where it cannot be told"),
        Column("probability", _F, "as in `verdicts`; null: not known", True),
        Column("stratum", _S, "as in `verdicts`; null: none could be calibrated", True),
        Column("score", _F, "that candidate's agreement with the evidence, in [0, 1]; null: unknown", True),
        Column("reasons", STRINGS, "why it was decided so"),
        Column("withheld", _S, "why the clip may not be used, as in `groups`; null: it may", True),
        Column("licence", _S, "the clip's licence, normalised"),
    ),
    "plan": describe(
        "plan",
        "One mixture to render: which clips, where, at what ratio, and in which words.",
        Column("mixture_id", _S, "`mix-<16 hexadecimal digits>`, a function of seed, target and number"),
        Column("split", _S, "split of all its sources"),
        Column("target_clip_id", _S, "the source that is asked for"),
        Column("interferer_clip_ids", STRINGS, "the other sources"),
        Column("snr_db", _F, "asked ratio of target to interference energy, in dB"),
        Column("length", _I, "samples of the mixture"),
        Column("sample_rate", _I, "samples per second"),
        Column(
            "sources",
            pa.list_(SOURCE),
            "target first: the clip, its bytes in the store and their hash, the first sample used (`start`), where it "
            "goes (`at`) and how many samples (`length`), classes, words and licence",
        ),
        Column("query", _S, "the target's own caption or label"),
        Column("instruction_extract", _S, "asks for the target"),
        Column("instruction_remove", _S, "asks for the interferers to be removed; its answer is the target too"),
        Column("seed", _I, "seed of every draw of this row"),
    ),
    "mixtures": describe(
        "mixtures",
        "One rendered mixture. In the stored integers: mixture = target + residual, sample by sample.",
        Column("mixture_id", _S, "the row of `plan`"),
        Column("split", _S, "split of all its sources"),
        Column("target_clip_id", _S, "the source that is asked for"),
        Column("interferer_clip_ids", STRINGS, "the other sources"),
        Column("target_class_ids", STRINGS, "classes of the target"),
        Column(
            "interferer_class_ids", STRINGS, "classes of the other sources; none conflicts with a class of the target"
        ),
        Column("snr_db", _F, "asked ratio of target to interference energy, in dB"),
        Column("achieved_snr_db", _F, "the same ratio in the stored integers, in dB"),
        Column("target_gain", _F, "linear gain on the target's stored samples"),
        Column("interferer_gain", _F, "linear gain on the interference's stored samples"),
        Column("peak", _F, "largest magnitude in the stored mixture, full scale = 1"),
        Column("duration_s", _F, "seconds"),
        Column("sample_rate", _I, "samples per second"),
        Column("query", _S, "the target's own caption or label"),
        Column("instruction_extract", _S, "asks for the target"),
        Column("instruction_remove", _S, "asks for the interferers to be removed"),
        Column(
            "licence",
            _S,
            "what binds its sources together, normalised, which may be more than any one of them: "
            "`schemas.licences.most_restrictive`; `unknown` if one of them is",
        ),
        Column("seed", _I, "seed of every draw of this row"),
        *_PLACE,
    ),
    "samples": describe(
        "samples",
        "One sample of a shard of captions; the samples of mixtures are the rows of `mixtures`.",
        Column("sample_id", _S, "key of the sample in its shard"),
        Column("kind", _S, "`caption`; the view `samples` adds `mixture`"),
        Column("clip_id", _S, "the clip"),
        Column("split", _S, "split of the clip"),
        *_PLACE,
    ),
    "rejects": describe(
        "rejects",
        "One row that a stage could not serve.",
        Column("stage", _S, "the stage"),
        Column("clip_id", _S, "the row's key in that stage: `record_id`, `clip_id`, `candidate_id` or `mixture_id`"),
        Column("error", _S, "class of the error; `unexpected_<Exception>` where no rule foresaw it"),
        Column("message", _S, "what was found, in words"),
        Column("attempt", _I, "attempts that were made"),
        Column("source", _S, "audio file relative to `data.root`; null: none is to blame", True),
    ),
    "drops": describe(
        "drops",
        "One row that a stage leaves out on purpose, as the recipe says.",
        Column("stage", _S, "the stage"),
        Column("clip_id", _S, "the row's key in that stage"),
        Column("reason", _S, "the declared reason"),
    ),
    "markers": describe(
        "markers",
        "One committed partition of one stage; kept as JSON beside its data, shown as a view.",
        Column("stage", _S, "the stage"),
        Column("fingerprint", _S, "the stage's fingerprint"),
        Column("partition", _I, "partition; -1: the stage waits for all partitions and writes them all"),
        Column("rows_in", _I, "rows of the stage's primary table"),
        Column("rows_out", _I, "distinct keys served"),
        Column("rejects", _I, "keys rejected"),
        Column("drops", _I, "keys dropped on purpose"),
        Column("content", _S, "sha256 of what was committed; equal contents are equal bytes"),
        Column("seconds", _F, "wall-clock seconds that it took"),
    ),
}


def schema(table: str) -> pa.Schema:
    """Return the schema of ``table``; KeyError names the tables there are."""
    if table not in TABLES:
        raise KeyError(f"no table {table!r}; there are {', '.join(TABLES)}")
    return TABLES[table]


def from_rows(table: str, rows: list[dict[str, Any]], wanted: pa.Schema | None = None) -> pa.Table:
    """Return ``rows`` as a table of the named schema, or of ``wanted`` where a column's type is not the same everywhere.

    Raises:
        ValueError: a key that the schema lacks, a null where the schema has none, or a value of another type.
    """
    wanted = wanted or schema(table)
    names = set(wanted.names)
    for row in rows:
        if not names.issuperset(row):
            raise ValueError(f"{table}: no column {min(row.keys() - names)!r}")
    try:
        made = pa.Table.from_pylist(rows, schema=wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{table}: {error}") from error
    for field in wanted:
        if not field.nullable and made.column(field.name).null_count:
            raise ValueError(f"{table}.{field.name}: null, which this column cannot be")
    return made


def page() -> str:
    """Return the documentation of all tables as Markdown."""
    lines = ["# Tables", "", f"Version {VERSION}. Made by `python -m schemas.tables > docs/tables.md`.", ""]
    for name, wanted in TABLES.items():
        lines += [
            f"## {name}",
            "",
            wanted.metadata[b"earloom.doc"].decode(),
            "",
            "| column | type | holds |",
            "|---|---|---|",
        ]
        for field in wanted:
            kind = (
                "list of struct"
                if "struct" in str(field.type)
                else str(field.type).replace("<element: ", " of ").rstrip(">")
            )
            lines.append(f"| `{field.name}` | {kind} | {field.metadata[b'doc'].decode()} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
