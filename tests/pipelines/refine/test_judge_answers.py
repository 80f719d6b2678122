"""Answers of a judge: every claim has one verdict, or nothing is read."""

from __future__ import annotations

import pytest

from pipelines.refine.judge_answers import read_verdicts

YES, NO, OPEN = "supported", "contradicted", "cannot tell"

READ = {
    '{"claim_1": "supported", "claim_2": "contradicted", "claim_3": "cannot tell"}': (YES, NO, OPEN),
    '```json\n{"1": "Supported", "2": "Contradicted.", "3": "cannot_tell",}\n```': (YES, NO, OPEN),
    "Here you are: {'claim 3': 'can\\'t tell', 'claim 1': 'supported', 'claim 2': 'contradicted'}": (YES, NO, OPEN),
    '["supported", "contradicted", null]': (YES, NO, OPEN),
    '{"claims": [{"claim": 2, "verdict": "contradicted"}, {"claim": 1, "verdict": "supported"}, {"claim": 3, "verdict": "unclear"}]}': (
        YES, NO, OPEN),
    '{"1": {"reason": "not contradicted by labels", "verdict": "supported"}, "2": {"verdict": "contradicted"}, "3": {"verdict": null}}': (
        YES, NO, None),
    '[{"claim": "dog barks", "verdict": "supported"}, {"claim": "rain", "verdict": "contradicted"}, {"claim": "3x", "label": "unknown"}]': (
        YES, NO, OPEN),
    "1. supported\n2. contradicted\n3. cannot tell": (YES, NO, OPEN),
    "1) **Supported** - a dog is labelled, and nothing contradicted\n2) Contradicted: no rain\n3) Can't tell": (YES, NO, OPEN),
    "<think>1. contradicted</think>\nClaim 1: supported\nClaim 2: contradicted\nClaim 3: unsupported": (YES, NO, OPEN),
    "1. supported 2. contradicted 3. cannot be determined": (YES, NO, OPEN),
    "| 1 | dog barks | supported |\n| 2 | rain | contradicted |\n| 3 | loud | partially supported |": (YES, NO, OPEN),
    "1. dog barks\n   supported\n2. rain\n   contradicted\n3. loud\n   nothing tells": (YES, NO, OPEN),
    "3: cannot tell\n1: supported\n2: contradicted": (YES, NO, OPEN),
}  # fmt: skip


@pytest.mark.parametrize("answer", READ)
def test_an_answer_is_read_in_whatever_form(answer):
    wanted = READ[answer]
    assert read_verdicts(answer, 3) == (wanted if None not in wanted else None)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot help with that.",
        "supported",
        "All claims are supported.",
        "1. supported\n2. contradicted",
        "1. supported\n2. contradicted\n3. cannot tell\n4. supported",
        "0. supported\n1. contradicted\n2. cannot tell",
        "1. supported\n2. contradicted\n2. supported\n3. supported",
        "1. supported\n2. supported or contradicted\n3. supported",
        "1. supported / contradicted / cannot tell\n2. supported\n3. supported",
        "1. yes\n2. no\n3. no",
        "1. It may be supported but the label contradicted it\n2. supported\n3. supported",
        '{"claim_1": "supported", "claim_2": "contradicted"}',
        '{"claim_1": "supported", "claim_1": "contradicted", "claim_2": "supported", "claim_3": "supported"}',
        '{"claim_1": true, "claim_2": false, "claim_3": true}',
        '["supported", "contradicted"]',
        "1-3. supported",
        "[" * 5000,
    ],
)
def test_what_leaves_a_claim_open_to_doubt_is_not_read(answer):
    assert read_verdicts(answer, 3) is None


def test_a_lone_claim_needs_no_number():
    assert read_verdicts("Supported.", 1) == (YES,)
    assert read_verdicts("[1] contradicted", 1) == (NO,)
    assert read_verdicts("It is not clear.", 1) == (OPEN,)
    assert read_verdicts("2. supported", 1) is None
