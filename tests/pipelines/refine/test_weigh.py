"""Verdicts: the smallest stratum with a line decides, and where there is none, what is said says so."""

from __future__ import annotations

from typing import Any

import pytest
from refine_rows import clip_row, score_row

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.refine.fitting import Model
from pipelines.refine.weigh import Weigh
from schemas import tables

LINEAR = Model(("ear",), (0.0,), (1.0,), (1.0,), (None,), 0.0, (0.0, 1.0), (0.0, 1.0))
"""The probability is the score itself."""


def gate(stratum: str, line: float | None, model: Model | None = LINEAR, parent: str | None = None) -> dict[str, Any]:
    row = dict.fromkeys(tables.schema("gates").names) | {"stratum": stratum, "parent": parent, "line": line}
    row |= {"state": "too_few" if model is None else "calibrated" if line is None else "certified"}
    return row | {
        "positives": 9,
        "negatives": 9,
        "recordings": 9,
        "scorers": [],
        "kinds": [],
        "model": model and model.json(),
    }


def weigh(
    gates: list[dict[str, Any]],
    value: float | None = 0.9,
    rate: float | None = 0.05,
    scores: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the verdict on one candidate of dataset `d`."""
    candidate = dict.fromkeys(tables.schema("candidates").names)
    candidate |= {"candidate_id": "d-1:x", "clip_id": "d-1", "method": "m", "style": "s", "round": 1, "text": "A dog barks.",
                  "evidence_ids": []}  # fmt: skip
    said = [*(scores or []), *([] if value is None else [score_row("d-1:x", "d-1", "ear", value)])]
    sides = {"scores": said, "clips": [clip_row("d-1")], "gates": gates}
    stage = Weigh(0.75, rate)
    batch = Batch(
        tables.from_rows("candidates", [candidate]),
        {name: tables.from_rows(name, rows) for name, rows in sides.items()},
    )
    result = stage.process(batch, Context(Workspace("unused"), ".", 0, 1))
    conserve(stage, ["d-1:x"], result)
    tables.from_rows("verdicts", result.rows)
    (row,) = result.rows
    return row


def agreement(score: float | None, supported: int, *unsupported: str) -> list[dict[str, Any]]:
    return [score_row("d-1:x", "d-1", "agreement", score, claims=3, supported=supported, unsupported=list(unsupported))]


def test_the_reasons_tell_probability_line_rate_and_stratum_and_what_is_not_supported():
    row = weigh([gate("all", 0.81)], 0.93, scores=agreement(0.5, 1, "a cat meows"))
    assert (row["decision"], row["stratum"], row["probability"]) == ("accepted", "all", 0.93)
    assert row["reasons"] == [
        "probability 0.930 reaches 0.810, the line for 5% false accepts in all",
        "1 of 2 claims supported",
        "unsupported: a cat meows",
    ]


@pytest.mark.parametrize(("value", "decision"), [(0.81, "accepted"), (0.8099, "refused"), (0.0, "refused")])
def test_the_line_belongs_to_the_accepted(value, decision):
    row = weigh([gate("all", 0.81)], value)
    assert row["decision"] == decision
    assert ("is below" in row["reasons"][0]) == (decision == "refused")


def test_the_smallest_stratum_with_a_line_decides():
    gates = [
        gate("all", 0.5),
        gate("dataset=d", 0.95, parent="all"),
        gate("dataset=d, 5 to 15 s", None, parent="dataset=d"),
    ]
    row = weigh([*gates, gate("dataset=e", 0.1)])
    assert (row["decision"], row["stratum"]) == ("refused", "dataset=d")
    assert row["reasons"] == ["probability 0.900 is below 0.950, the line for 5% false accepts in dataset=d"]


def test_without_a_line_anywhere_it_is_abstained_and_the_probability_is_told():
    row = weigh([gate("all", None), gate("dataset=d", None, None, "all")], scores=agreement(1.0, 3))
    assert (row["decision"], row["stratum"], row["probability"]) == ("abstained", "all", 0.9)
    assert row["reasons"] == ["no line holds 5% false accepts in all", "3 of 3 claims supported"]


def test_a_score_that_lacks_as_no_probes_did_leaves_it_to_the_parent_and_then_to_nobody():
    deaf = Model(("eye",), (0.0,), (1.0,), (1.0,), (None,), 0.0, (0.0, 1.0), (0.0, 1.0))
    assert weigh([gate("all", 0.5), gate("dataset=d", 0.5, deaf, "all")])["stratum"] == "all"
    row = weigh([gate("all", 0.5, deaf)])
    assert (row["decision"], row["stratum"], row["probability"]) == ("abstained", None, None)
    assert row["reasons"] == ["its scores lack what no probe's lack"]


@pytest.mark.parametrize("gates", [[], [gate("all", None, None)]])
@pytest.mark.parametrize(
    ("score", "decision", "reasons"),
    [
        (0.75, "accepted", ["3 of 4 claims supported", "unsupported: a cat"]),
        (0.74, "refused", ["3 of 4 claims supported", "unsupported: a cat", "agreement 0.74 is below 0.75"]),
        (None, "abstained", ["no claim can be checked"]),
    ],
)
def test_a_run_too_small_for_a_rate_is_judged_by_agreement_and_says_that_no_rate_holds(gates, score, decision, reasons):
    few = ["too few captions of known truth to hold 5% false accepts"]
    told = weigh(gates, scores=agreement(score, 3, *(["a cat"] if score else [])))
    assert (told["decision"], told["reasons"], told["stratum"]) == (decision, reasons + few, None)
    unasked = weigh(gates, rate=None, scores=agreement(score, 3, *(["a cat"] if score else [])))
    assert (unasked["decision"], unasked["reasons"]) == (decision, reasons)


def test_where_no_rate_is_wanted_agreement_decides_and_the_probability_is_told_beside():
    row = weigh([gate("all", None)], 0.01, None, agreement(1.0, 2))
    assert (row["decision"], row["probability"], row["reasons"]) == ("accepted", 0.01, ["2 of 2 claims supported"])


def test_a_text_that_cannot_be_a_caption_is_refused_however_probable():
    failed = [score_row("d-1:x", "d-1", "texts", 0.8, unsupported=["length: 70 words"])]
    row = weigh([gate("all", 0.5)], 0.9, scores=failed)
    assert (row["decision"], row["probability"]) == ("refused", 0.9)
    assert row["reasons"][0] == "text, length: 70 words"
    assert row["reasons"][1].startswith("probability 0.900 reaches")


def test_a_candidate_that_nobody_scored_is_abstained_from():
    assert weigh([gate("all", 0.5)], None)["decision"] == "abstained"
    assert weigh([], None)["reasons"][0] == "no claim can be checked"


def test_a_later_round_has_a_name_of_its_own_and_reads_what_it_is_told():
    stage = Weigh(0.75, 0.05, 2, ("write_a_2",), ("score_2",))
    assert stage.name == "weigh_2"
    assert stage.reads_from() == {"candidates": ("write_a_2",), "scores": ("score_2",)}
    assert Weigh(0.75, 0.05).name == "weigh"
