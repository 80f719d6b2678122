"""What the report page tells of the gate, the claims and the cost of captions."""

from __future__ import annotations

import re

import pytest
from report_runs import HOSTILE, RATE, Outline, clip_rows, report, row, tone, write_run

from pipelines.catalog.query import dicts
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.report.examples import marked

KINDS = [
    {"kind": "shuffled", "captions": 400, "accepted": 0.0, "low": 0.0, "high": 0.0091},
    {"kind": "reversed", "captions": 3, "accepted": 0.0, "low": 0.0, "high": 0.7076},
    {"kind": HOSTILE, "captions": 200, "accepted": 0.0123, "low": 0.004, "high": 0.031},
]
LINE = {
    "line": 0.6147,
    "false_accept_rate": 0.02582,
    "false_accept_low": 0.01179,
    "false_accept_high": 0.04868,
    "keep_rate": 0.9317,
    "keep_low": 0.881,
    "keep_high": 0.9654,
}
COUNTS = {"positives": 1161, "negatives": 603, "recordings": 149}
FEW = row("gates", stratum="dataset=a", parent="all", state="too_few", positives=48, negatives=9, recordings=7)
CERTIFIED = row("gates", stratum="all", state="certified", ece=0.0304, kinds=KINDS, **LINE, **COUNTS)


def claim(number: int, kind: str, text: str, verdict: str, start: int, **given) -> dict:
    own = {"claim_id": f"a-1:grammar:0:{number}", "candidate_id": "a-1:grammar:0", "clip_id": "a-1"}
    place = {"start": start, "end": start + len(text)}
    return row("claims", **own, **place, kind=kind, text=text, verdict=verdict, reason=f"because {HOSTILE}", **given)


def judged(root, **tables_: list[dict]) -> Workspace:
    """A run of one clip whose best caption was written by a model and is accepted."""
    workspace = Workspace(str(root))
    with Packer(workspace, "store", 0, 1000, 10**9) as store:
        place = store.add("clips", "a-1", {"flac": encode_flac(tone(440, 0.5), RATE)})
    made = clip_rows(1, place, 0.5, "A dog barks at night.", "accepted")
    made["captions"] |= {"probability": 0.875, "stratum": "all", "style": "short"}
    made["scores"] |= {"scorer": "agreement"}
    own = {key: made["candidates"][key] for key in ("clip_id", "candidate_id")}
    verdict = row("verdicts", **own, stratum="all", probability=0.875, decision="accepted")
    return write_run(root, {name: [each] for name, each in made.items()} | {"verdicts": [verdict]} | tables_)


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> tuple[Outline, str]:
    """The page, and its HTML, of a run with a line, claims of every verdict, two rounds, and captions that were paid."""
    root = tmp_path_factory.mktemp("rich")
    workspace = judged(root)
    kept = {name: dicts(workspace, f"SELECT * FROM {name}") for name in ("candidates", "verdicts")}
    asked: list[dict] = [
        {"request": "k1", "tokens_in": 1000.5, "tokens_out": 20.0, "usd": 0.0021},
        {"request": "k1", "tokens_in": 1000.5, "tokens_out": 30.0, "usd": 0.0021},
        {"request": "k2", "usd": 0.0},
    ]
    written = [
        row("candidates", clip_id="a-1", candidate_id=f"a-1:mind:{n}", method=HOSTILE, model="m-7", round=2, **each)
        for n, each in enumerate(asked)
    ]
    refused = row("verdicts", clip_id="a-1", candidate_id="a-1:mind:0", decision="refused", probability=0.125)
    claims = [
        claim(0, "source", "dog", "supported", 2, evidence_ids=["a-1:signal:0"]),
        claim(1, "action", "dog barks", "unsupported", 2),
        claim(2, "place", "at night", "visual_only", 12),
        claim(3, "action", "Dog barks", "unsupported", 6) | {"candidate_id": "a-1:mind:0", "reason": "another"},
        claim(4, "source", HOSTILE, "unsupported", 0) | {"candidate_id": "a-1:mind:0"},
        claim(5, "none", "", "unknown", 0) | {"candidate_id": "a-1:mind:1"},
    ]
    judged(
        root,
        candidates=[*kept["candidates"], *written],
        verdicts=[*kept["verdicts"], refused],
        claims=claims,
        gates=[FEW, CERTIFIED],
    )
    return report(workspace), workspace.read("report/index.html").decode()


SAFE = HOSTILE.replace("\x07", "\ufffd")


def test_what_the_gate_promises_is_told_by_stratum_and_by_kind_of_wrong_caption_with_intervals(rich):
    text = rich[0].text()
    assert "no more than 5 % of the wrong ones reach it" in text
    assert "all 0.615 2.58 % (1.18 % to 4.87 %) 93.2 % (88.1 % to 96.5 %) 603 1,161 149 1" in text
    assert "another clip's caption all 400 0 % (0 % to 0.91 %)" in text
    assert "the order turned round all 3 0 % (0 % to 70.8 %)" in text
    assert f"{SAFE} all 200 1.23 % (0.4 % to 3.1 %)" in text
    assert "1 of 2 candidates were judged by a line; of the others no rate is promised" in text
    assert "dataset=a too few captions 48 9 7 –" in text


@pytest.mark.parametrize(
    ("gates", "wanted", "words"),
    [
        ([], "0.05", "Nothing is promised: this run calibrated no gate."),
        ([FEW], "null", "Nothing is promised: the recipe wants no rate of false accepts."),
        (
            [FEW | {"stratum": "all", "parent": None}],
            "0.05",
            "there are too few captions of known truth to hold 5 % false accepts (48 right ones and 9 wrong ones, of 7 recordings)",
        ),
        (
            [row("gates", stratum="all", state="calibrated", ece=0.2, **COUNTS)],
            "0.01",
            "no line holds 1 % false accepts, since on captions of known truth the scores tell right from wrong too poorly "
            "(1,161 right ones and 603 wrong ones, of 149 recordings)",
        ),
    ],
)
def test_what_is_not_there_is_told_no_promise_no_claim_without_support_no_cost(tmp_path, gates, wanted, words):
    workspace = judged(tmp_path, gates=gates, claims=[claim(0, "source", "A dog", "supported", 0)])
    workspace.write("recipe.yaml", f"refine: {{false_accepts: {wanted}, min_agreement: 0.75}}".encode())
    text = report(workspace).text()
    assert words in text
    assert "reach it" not in text
    assert "judged by a line" not in text
    assert "No claim is without support." in text
    assert "No server was asked to write: it cost nothing." in text


def test_decisions_are_told_by_method_and_style_of_best_captions_and_of_all_candidates(rich):
    text = rich[0].text()
    assert "grammar short 1 1 0 0 0.88 0.85" in text
    assert "grammar short 0 1 1 0 0 0.88" in text
    assert f"{SAFE} 2 1 0 1 0 0.12" in text


def test_probabilities_are_drawn_by_decision(rich):
    labels = [a.get("aria-label", "") for tag, a in rich[0].tags if tag == "svg"]
    assert "Probability that a caption is right: 2 values; most, 1, lie from 0.1 to 0.2 probability" in labels


def test_claims_are_counted_by_verdict_and_those_without_support_come_with_why_the_most_frequent_first(rich):
    text = rich[0].text()
    assert "action 2 0 2 0 0" in text
    assert "place 1 0 0 1 0" in text
    table = text[text.index("Most frequent claims without support Claim") :]
    assert f"dog barks action 2 1 another and 1 other reason {SAFE.lower()} source 1 1 because {SAFE}" in table


def test_a_caption_shows_its_verdict_and_each_word_the_verdict_on_the_shortest_claim_that_holds_it(rich):
    outline, html = rich
    assert "accepted probability 0.88 in all · score 0.85" in outline.text()
    assert "Claims (3)" in outline.text()
    quote = html[html.index("<blockquote") : html.index("</blockquote>")]
    pieces = re.findall(r'<span class="claim (\w+)" title="[^"]*">([^<]*)</span>', quote)
    assert pieces == [("supported", "dog"), ("unsupported", "barks"), ("visual_only", "at night")]
    assert re.sub(r"<[^>]*>", "", quote) == "A dog barks at night."


@pytest.mark.parametrize(("start", "end"), [(0, 99), (20, 5), (0, 0), (-3, 2)])
def test_a_claim_whose_place_lies_outside_its_caption_loses_no_word(start, end):
    found = marked("A dog.", [claim(0, "source", "x", "supported", 0) | {"start": start, "end": end}])
    assert "".join(words for words, _ in found) == "A dog."


def test_what_writing_cost_is_told_by_writer_in_tokens_and_dollars(rich):
    text = rich[0].text()
    assert f"{SAFE} m-7 3 0 1 2 2,001 50 0.0042" in text
    assert f"Of 1 candidates of {SAFE} the server told no tokens." in text
