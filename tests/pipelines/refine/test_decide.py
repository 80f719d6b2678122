"""The best of a clip's candidates: by decision, probability, agreement, and then as a reader would choose."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.refine.decide import decide


def judged(name: str, text: str = "A dog barks.", **more: Any) -> dict[str, Any]:
    row = {
        "candidate_id": name,
        "text": text,
        "method": "grammar",
        "style": "short",
        "language": "en",
        "stratum": "all",
    }
    verdict = {"probability": 0.9, "decision": "accepted", "reasons": [name], "score": 1.0, "supported": 1}
    return row | verdict | more


def best(*candidates: dict[str, Any]) -> str:
    found = {decide(list(order))["candidate_id"] for order in (candidates, candidates[::-1])}
    assert len(found) == 1, "whatever their order"
    return found.pop()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"decision": "accepted", "probability": 0.8}, {"decision": "refused", "probability": 0.99}),
        ({"decision": "abstained", "probability": None}, {"decision": "refused", "probability": 0.6}),
        ({"probability": 0.92}, {"probability": 0.9, "method": "published"}),
        ({"probability": 0.1}, {"probability": None}),
        ({"score": 0.9}, {"score": 0.8, "method": "published"}),
        ({"score": 0.1}, {"score": None}),
        ({"method": "published", "text": "Dog."}, {"supported": 4}),
        ({"probability": 0.901, "method": "published"}, {"probability": 0.904}),
        ({"supported": 2}, {"text": "A dog barks for a long time."}),
        ({"text": "A dog barks loudly."}, {}),
    ],
)
def test_the_first_of_each_pair_is_better(one, other):
    assert best(judged("z", **one), judged("a", **other)) == "z"


def test_among_equals_the_order_of_names_decides():
    assert best(judged("b"), judged("a"), judged("c")) == "a"


def test_the_best_lends_the_clip_all_that_is_known_of_it():
    found = decide([judged("a", probability=0.97, reasons=["because"], language=None)])
    assert found == {
        "caption": "A dog barks.", "candidate_id": "a", "method": "grammar", "style": "short", "language": None,
        "decision": "accepted", "probability": 0.97, "stratum": "all", "score": 1.0, "reasons": ["because"],
    }  # fmt: skip


def test_a_clip_without_a_candidate_is_abstained_from():
    found = decide([])
    assert (found.pop("decision"), found.pop("reasons")) == ("abstained", ["no candidate"])
    assert set(found.values()) == {None}
