"""The gate of the demo's run: what it promises of false accepts is measured on clips that it was not fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from esc50_gate import Finished, held_out

from pipelines.catalog import query
from pipelines.core.workspace import Workspace
from pipelines.refine.rates import Rate


def ask(run: Path, sql: str) -> list[dict[str, Any]]:
    return query.dicts(Workspace(str(run)), sql)


@pytest.fixture(scope="module")
def measured(demo: Path) -> dict[str, Any]:
    """How the run's gate judges captions of known truth of the split test."""
    run = Finished(demo)
    return held_out(run, "test", run.table("gates", -1))


def test_at_five_percent_nine_of_ten_true_captions_are_kept_and_the_promise_holds_on_clips_of_test(demo, measured):
    (gate,) = ask(demo, "SELECT * FROM gates WHERE stratum = 'all'")
    assert gate["state"] == "certified"
    assert gate["false_accept_high"] <= 0.05
    assert gate["keep_rate"] >= 0.9
    keep, false_accept = measured["keep"], measured["false_accept"]
    assert isinstance(keep, Rate)
    assert isinstance(false_accept, Rate)
    assert keep.value >= 0.9
    assert false_accept.value <= gate["false_accept_high"]
    # The split has too few clips for a rate that lies within the interval whatever the draw; its own interval meets it.
    assert false_accept.high >= gate["false_accept_low"]
    assert (measured["true"], measured["wrong"]) > (40, 120)


def test_no_clip_that_is_kept_for_testing_or_withheld_is_a_probe_and_every_kind_is_there(demo):
    splits = ask(demo, "SELECT DISTINCT split, withheld FROM probes JOIN groups USING (clip_id) ORDER BY split")
    assert splits == [{"split": "train", "withheld": None}, {"split": "val", "withheld": None}]
    kinds = {row["kind"]: row["n"] for row in ask(demo, "SELECT kind, count(*) AS n FROM probes GROUP BY kind")}
    assert kinds.keys() == {"true", "shuffled", "swapped", "reversed", "added"}
    scored = ask(demo, "SELECT count(DISTINCT candidate_id) AS n FROM probe_scores")[0]["n"]
    assert scored == sum(kinds.values())


def test_every_candidate_has_a_verdict_that_says_why_and_every_caption_is_one_of_them(demo):
    (row,) = ask(
        demo,
        """SELECT count(*) AS n, count(*) FILTER (len(reasons) > 0) AS why, count(probability) AS told,
        (SELECT count(*) FROM candidates) AS candidates FROM verdicts""",
    )
    assert row["n"] == row["why"] == row["told"] == row["candidates"] > 900
    assert ask(
        demo,
        """SELECT * FROM captions c ANTI JOIN verdicts v ON c.candidate_id = v.candidate_id AND c.decision = v.decision
        AND c.probability = v.probability WHERE c.candidate_id IS NOT NULL""",
    ) == []  # fmt: skip
    line = ask(demo, "SELECT line FROM gates WHERE stratum = 'all'")[0]["line"]
    wrong = "SELECT * FROM verdicts WHERE stratum = 'all' AND (decision = 'accepted') <> (probability >= {})"
    assert ask(demo, wrong.format(line)) == []


def test_each_similarity_is_a_scorer_of_its_own_for_candidates_and_probes(demo):
    wanted = {"agreement", "demo_clap", "demo_clap:window", "demo_clap:relative", "demo_clap:margin"}
    for table, more in (("scores", {"texts"}), ("probe_scores", set())):
        assert {row["scorer"] for row in ask(demo, f"SELECT DISTINCT scorer FROM {table}")} == wanted | more
    # In the sample world no label leaks, nothing repeats, and all is English.
    assert ask(demo, "SELECT * FROM scores WHERE scorer = 'texts' AND score < 1") == []
