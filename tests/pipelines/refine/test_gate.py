"""The gate on scores whose worth is known: probabilities are right, lines hold their rate, and too little is said to be so."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from refine_rows import clip_row, group_row, score_row
from threadpoolctl import threadpool_limits

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.refine.fitting import Model, Scores
from pipelines.refine.gate import KINDS, Gate, Known, out_of_fold
from pipelines.refine.rates import needed
from pipelines.refine.strata import Strata, strata_of
from schemas import tables

CONTEXT = Context(Workspace("unused"), ".", 0, 1)


def world(
    clips: int, apart: float, seed: int = 0, dataset: str = "d", split: int = 1
) -> dict[str, list[dict[str, Any]]]:
    """Return tables of clips, each with a true caption, whose score is normal around `apart`, and wrong ones around 0.

    Args:
        clips: how many.
        apart: distance of true from wrong, in standard deviations.
        seed: of the draws.
        dataset: of the clips.
        split: clips per group.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("clips", "groups", "probes", "probe_scores")}
    for number in range(clips):
        clip_id = f"{dataset}-{number}"
        rows["clips"].append(clip_row(clip_id))
        rows["groups"].append(group_row(clip_id) | {"group_id": f"{dataset}-{number // split}", "split": "train"})
        for kind in ("true", "shuffled", "swapped", "added"):
            key = f"{clip_id}:probe-{kind}:0"
            rows["probes"].append({"candidate_id": key, "clip_id": clip_id, "kind": kind, "text": "A dog barks.",
                                   "method": "grammar", "evidence_ids": []})  # fmt: skip
            value = float(rng.normal(apart if kind == "true" else 0.0))
            rows["probe_scores"].append(score_row(key, clip_id, "ear", value))
    return rows


def gates(
    rows: dict[str, list[dict[str, Any]]], rate: float | None = 0.05, datasets: tuple[str, ...] = ("d",)
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    listed = Strata(datasets).process(Batch(tables.schema("strata").empty_table(), {}), CONTEXT).rows
    strata = tables.from_rows("strata", listed)
    batch = Batch(strata, {name: tables.from_rows(name, each) for name, each in rows.items()})
    with threadpool_limits(1):  # as a worker does
        result = Gate(rate).process(batch, CONTEXT)
    conserve(Gate(rate), strata.column("stratum").to_pylist(), result)
    tables.from_rows("gates", result.rows)
    return {row["stratum"]: row for row in result.rows}, result.drops


def joined(*worlds: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [row for each in worlds for row in each[name]] for name in worlds[0]}


def told(row: dict[str, Any], values: np.ndarray) -> np.ndarray:
    return Model.read(row["model"]).probabilities(Scores(("ear",), values[:, None]))


def test_a_line_holds_the_wanted_rate_on_captions_that_were_not_fitted_and_its_figures_are_true():
    row = gates(world(600, 4.0))[0]["all"]
    assert (row["state"], row["positives"], row["negatives"], row["recordings"]) == ("certified", 600, 1800, 600)
    rng = np.random.default_rng(9)
    false_accepts = float((told(row, rng.normal(0.0, 1.0, 100_000)) >= row["line"]).mean())
    kept = float((told(row, rng.normal(4.0, 1.0, 100_000)) >= row["line"]).mean())
    assert row["false_accept_low"] <= false_accepts <= row["false_accept_high"] <= 0.05
    assert row["keep_low"] <= kept <= row["keep_high"]
    assert kept > 0.95
    assert {each["captions"] for each in row["kinds"]} == {600}
    # One interval in twenty misses.
    assert sum(each["low"] <= false_accepts <= each["high"] for each in row["kinds"]) >= 2
    assert [each["kind"] for each in row["kinds"]] == ["shuffled", "swapped", "added"]


def test_probabilities_are_those_of_the_known_truth_where_half_of_the_captions_are_right():
    row = gates(world(1200, 2.0))[0]["all"]
    values = np.linspace(-1.5, 3.5, 51)
    truth = 1 / (1 + np.exp(-(2.0 * values - 2.0)))  # of two normal distributions, two apart, as likely beforehand
    assert np.abs(told(row, values) - truth).max() < 0.1
    assert row["ece"] < 0.03


def test_scores_that_tell_nothing_say_so_and_keep_no_more_true_captions_than_wrong_ones():
    row = gates(world(300, 0.0))[0]["all"]
    assert told(row, np.zeros(1))[0] == pytest.approx(0.5, abs=0.1)
    assert (row["keep_rate"] or 0.0) < 0.1


def test_without_a_wanted_rate_there_are_probabilities_and_no_line():
    row = gates(world(100, 3.0), None)[0]["all"]
    assert (row["state"], row["line"], row["false_accept_rate"]) == ("calibrated", None, None)
    assert row["ece"] is not None


@pytest.mark.parametrize(("groups", "state"), [(needed(0.05), "certified"), (needed(0.05) - 1, "too_few")])
def test_recordings_too_few_to_prove_the_rate_are_too_few_however_many_captions_they_have(groups, state):
    row = gates(world(3 * groups, 6.0, split=3))[0]["all"]
    assert row["state"] == state
    assert (row["model"] is None) == (state == "too_few")
    assert row["recordings"] == groups


def test_a_stratum_of_its_own_is_judged_by_its_own_scores_and_a_small_one_leaves_that_to_its_parent():
    shifted = world(300, 4.0, 2, "b")
    for row in shifted["probe_scores"]:
        row["score"] += 100.0
    rows, drops = gates(joined(world(300, 4.0, 1, "a"), shifted, world(10, 4.0, 3, "c")), 0.05, ("a", "b", "c", "e"))
    assert {name: rows[f"dataset={name}"]["state"] for name in "abc"} == {
        "a": "certified",
        "b": "certified",
        "c": "too_few",
    }
    assert rows["dataset=b"]["keep_rate"] > 0.95
    assert rows["dataset=c"]["parent"] == "all"
    assert rows["all"]["parent"] is None
    assert ("dataset=e", "no_probes") in drops
    assert ("dataset=a, under 5 s", "no_probes") in drops
    assert rows["dataset=a, 5 to 15 s, under 8 words"]["parent"] == "dataset=a, 5 to 15 s"


def test_what_a_caption_is_told_never_depends_on_its_own_fold():
    rng = np.random.default_rng(0)
    size = 400
    kind = np.where(rng.random(size) < 0.5, 0, rng.integers(1, len(KINDS) + 1, size))
    fold, values = rng.integers(0, 5, size), rng.normal(0, 1, (size, 1)) + (kind == 0)[:, None]
    turned = np.where((fold == 2) & (kind == 0), 1, np.where((fold == 2), 0, kind))
    before, after = (out_of_fold(Known(Scores(("a",), values), k, np.arange(size), fold)) for k in (kind, turned))
    assert np.array_equal(before[fold == 2], after[fold == 2])
    assert not np.array_equal(before[fold != 2], after[fold != 2])


def test_the_order_of_rows_changes_nothing():
    rows = world(120, 3.0)
    mixed = {name: [each[n] for n in np.random.default_rng(1).permutation(len(each))] for name, each in rows.items()}
    assert gates(rows) == gates(mixed)


def test_a_run_without_probes_has_no_gates():
    empty: dict[str, list[dict[str, Any]]] = {name: [] for name in ("clips", "groups", "probes", "probe_scores")}
    rows, drops = gates(empty)
    assert rows == {}
    assert {reason for _, reason in drops} == {"no_probes"}


def test_every_caption_lies_in_strata_that_are_listed_and_each_is_part_of_the_next():
    listed = {
        row["stratum"]: row["parent"]
        for row in Strata(("d",)).process(Batch(tables.schema("strata").empty_table(), {}), CONTEXT).rows
    }
    assert len(listed) == 1 + 1 + 3 + 9
    for seconds in (0.1, 4.99, 5.0, 14.9, 15.0, 900.0):
        for words in (0, 7, 8, 15, 16, 200):
            chain = strata_of("d", seconds, words)
            assert [listed[each] for each in chain] == [*chain[1:], None]
    assert strata_of("d", 5.0, 8)[0] == "dataset=d, 5 to 15 s, 8 to 15 words"


def test_a_model_is_kept_as_json_that_others_can_read():
    model = json.loads(gates(world(200, 3.0))[0]["all"]["model"])
    assert model["scorers"] == ["ear"]
    assert len(model["x"]) == len(model["y"]) > 2
