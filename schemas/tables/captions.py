"""What is said of clips: candidates, claims, scores, what captions of known truth teach, verdicts, captions."""

from __future__ import annotations

import pyarrow as pa

from schemas.tables.column import DOUBLE, INT, ORIGIN, STRING, STRINGS, Column, describe

KIND = pa.struct(
    [
        pa.field("kind", STRING, nullable=False),
        pa.field("captions", INT, nullable=False),
        pa.field("accepted", DOUBLE),
        pa.field("low", DOUBLE),
        pa.field("high", DOUBLE),
    ]
)

_SCORE = (
    Column("candidate_id", STRING, "the caption: a candidate, or a probe"),
    Column("clip_id", STRING, "the clip"),
    Column(
        "scorer",
        STRING,
        "`agreement`: share of the checkable claims that the evidence supports; `texts`: share of the checks of its text alone "
        "that it passes; `judge`: share of the claims it can tell of that a language model finds supported, see `refine.judge`; "
        "`<embedder>`: cosine of caption and clip; `<embedder>:window`: of the nearest window; "
        "`<embedder>:relative`: less that of the clip's labels; `<embedder>:margin`: less the mean of other clips' captions",
    ),
    Column("revision", STRING, "the scorer's revision"),
    Column(
        "score",
        DOUBLE,
        "of `agreement`, `texts` and `judge` in [0, 1]; of an embedder in [-1, 1], `relative` and `margin` in [-2, 2], comparable within "
        "one clip; null: unknown, which is not 0, for no claim can be checked, or there is nothing to compare with",
        True,
    ),
    Column(
        "claims",
        INT,
        "claims found in the caption, those that nothing here can check included; null: not looked for",
        True,
    ),
    Column("supported", INT, "claims that evidence supports; null: not looked for", True),
    Column(
        "unsupported",
        STRINGS,
        "the claims without support, of `judge` those that it finds contradicted, in the caption's own words; of `texts` the checks "
        "that fail",
    ),
    Column("evidence_ids", STRINGS, "the evidence that supports a claim; of `judge` and embedders none is named"),
)

TABLES: dict[str, pa.Schema] = {
    "candidates": describe(
        "candidates",
        "One caption that was proposed for a clip; all are kept.",
        Column(
            "candidate_id",
            STRING,
            "`<clip_id>:published:<number>`, `<clip_id>:grammar-<style>:<number>`, or of a writer "
            "`<clip_id>:<method>-<style>-<language>[-<round>]:<number>`, the round from the second on",
        ),
        Column("clip_id", STRING, "the clip"),
        Column(
            "method",
            STRING,
            "`published` for a caption that came with the dataset, `grammar`, or the writer's name in the recipe",
        ),
        Column("style", STRING, "`short`, `detailed`, `temporal`, ... as its phrases or prompt name it; `published`"),
        Column(
            "language",
            STRING,
            "of the text, as the prompt asks for it (BCP 47); null: a publisher's own, not told",
            True,
        ),
        Column("round", INT, "1, or the round in which it was written because those before were not good enough"),
        Column("text", STRING, "the caption"),
        Column("model", STRING, "model and revision that wrote it; null: a publisher's own", True),
        Column("prompt_hash", STRING, "sha256 of the phrase file or prompt; null: none", True),
        Column("seed", INT, "seed of the draws, or the one that was sent; null: nothing was drawn", True),
        Column(
            "request",
            STRING,
            "`key` of the request in `llm/responses-*.jsonl` whose answer it is; requests that gave no caption stand there "
            "alone; null: nothing was asked",
            True,
        ),
        Column("request_id", STRING, "the server's name for the exchange; null: none", True),
        Column(
            "tokens_in",
            DOUBLE,
            "tokens of the request, divided by the clips that were asked about in it; null: nothing was asked, or the server "
            "does not tell",
            True,
        ),
        Column("tokens_out", DOUBLE, "tokens of the answer, likewise; null: likewise", True),
        Column("usd", DOUBLE, "dollars, likewise; null: nothing was asked", True),
        Column("evidence_ids", STRINGS, "the evidence that it was written from"),
    ),
    "claims": describe(
        "claims",
        "One thing that a candidate claims of its clip, and what the evidence says of it. A candidate without a claim has a row "
        "that says so.",
        Column("claim_id", STRING, "`<candidate_id>:<number>`"),
        Column("candidate_id", STRING, "the candidate"),
        Column("clip_id", STRING, "the clip"),
        Column(
            "kind",
            STRING,
            "`source`, `action`, `attribute`, `order`, `count`, `place`, `speech`; `none`: the caption claims nothing",
        ),
        Column("text", STRING, "the caption's own words; of `none` all of them"),
        Column("start", INT, "first character of `text` in the caption"),
        Column("end", INT, "first character after it"),
        Column("class_id", STRING, "the class that it claims; null: it names none", True),
        Column(
            "verdict",
            STRING,
            "`supported`; `unsupported`: evidence could show it, and shows something else; `visual_only`: only pictures show it; "
            "`unknown`: nothing here can check it",
        ),
        Column("reason", STRING, "why, in words"),
        Column("evidence_ids", STRINGS, "the evidence that supports it; of `visual_only` what shows it"),
    ),
    "probes": describe(
        "probes",
        "One caption of a clip of the splits `train` and `val` whose truth is known, by which the gate is calibrated: true ones, and "
        "ones that were made wrong.",
        Column("candidate_id", STRING, "`<clip_id>:probe-<kind>:<number>`"),
        Column("clip_id", STRING, "the clip"),
        Column(
            "kind",
            STRING,
            "`true`; `shuffled`: another clip's; `swapped`: one sound replaced by another; `reversed`: the order turned round; "
            "`added`: a sound that is not there added",
        ),
        Column("text", STRING, "the caption"),
        Column("method", STRING, "whose words the true one is: `published`, `grammar`"),
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
            "stratum",
            STRING,
            "`all`, or what its clips and captions have in common, e.g. `dataset=clotho, 15 s and more`",
        ),
        Column("parent", STRING, "the stratum that it is a part of; null: it is `all`", True),
    ),
    "gates": describe(
        "gates",
        "How well the scores tell right captions from wrong ones, per stratum, and where the line is drawn. All rates are measured "
        "out of fold, on probes; `low` and `high` are 95% intervals (Clopper-Pearson on the effective number of captions).",
        Column("stratum", STRING, "the row of `strata`"),
        Column(
            "parent", STRING, "the stratum by which its captions are judged if it has no line; null: it is `all`", True
        ),
        Column(
            "state",
            STRING,
            "`certified`: it has a line; `calibrated`: it has probabilities, and the scores tell too little for a line, or no rate "
            "is wanted; `too_few`: too few captions for either",
        ),
        Column("positives", INT, "right captions"),
        Column("negatives", INT, "wrong ones"),
        Column("recordings", INT, "groups of recordings that these are of"),
        Column("scorers", STRINGS, "whose scores the probability is computed from; empty: `too_few`"),
        Column("model", STRING, "`pipelines.refine.fitting.Model` as JSON; null: `too_few`", True),
        Column(
            "ece",
            DOUBLE,
            "expected calibration error of the probability, in [0, 1], right and wrong captions weighing the same; null: `too_few`",
            True,
        ),
        Column("line", DOUBLE, "least probability of an accepted caption, in [0, 1]; null: not `certified`", True),
        Column(
            "false_accept_rate",
            DOUBLE,
            "share of the wrong captions that reach the line, each kind weighing the same unless it has fewer than 20; null: no line",
            True,
        ),
        Column("false_accept_low", DOUBLE, "null: likewise", True),
        Column("false_accept_high", DOUBLE, "at most the wanted rate; null: likewise", True),
        Column("keep_rate", DOUBLE, "share of the right captions that reach the line; null: likewise", True),
        Column("keep_low", DOUBLE, "null: likewise", True),
        Column("keep_high", DOUBLE, "null: likewise", True),
        Column(
            "kinds",
            pa.list_(KIND),
            "of each kind of wrong caption how many there are, and the share that reaches the line, with its interval",
        ),
    ),
    "verdicts": describe(
        "verdicts",
        "What the gate says of one candidate.",
        Column("candidate_id", STRING, "the candidate"),
        Column("clip_id", STRING, "the clip"),
        Column(
            "stratum",
            STRING,
            "the row of `gates` whose probability and line it is judged by; null: none could be calibrated",
            True,
        ),
        Column(
            "probability",
            DOUBLE,
            "that the caption is right, in [0, 1], where as many are wrong as right beforehand; null: not known",
            True,
        ),
        Column("decision", STRING, "`accepted`, `refused`, or `abstained` where it cannot be told"),
        Column("reasons", STRINGS, "why it was decided so"),
    ),
    "captions": describe(
        "captions",
        "The best candidate of each clip, and whether it is good enough.",
        Column("clip_id", STRING, "the clip"),
        *ORIGIN,
        Column("caption", STRING, "the best candidate's text; null: there is no candidate", True),
        Column("candidate_id", STRING, "that candidate; null: there is none", True),
        Column("method", STRING, "that candidate's method; null: there is none", True),
        Column("style", STRING, "that candidate's style; null: there is none", True),
        Column("language", STRING, "that candidate's language; null: not told, or there is none", True),
        Column("decision", STRING, "`accepted`, `refused`, or `abstained` where it cannot be told"),
        Column("probability", DOUBLE, "as in `verdicts`; null: not known", True),
        Column("stratum", STRING, "as in `verdicts`; null: none could be calibrated", True),
        Column("score", DOUBLE, "that candidate's agreement with the evidence, in [0, 1]; null: unknown", True),
        Column("reasons", STRINGS, "why it was decided so"),
        Column("withheld", STRING, "why the clip may not be used, as in `groups`; null: it may", True),
        Column("licence", STRING, "the clip's licence, normalised"),
    ),
}
