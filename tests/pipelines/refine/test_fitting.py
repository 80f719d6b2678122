"""From scores to probabilities: known truths are found again, and what is not known is a state of its own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.refine.fitting import Model, Scores, calibration_error, curve, fit, scores_of
from schemas import tables


def drawn(count: int, seed: int = 0) -> tuple[Scores, np.ndarray, np.ndarray]:
    """Return two scores, of which the first tells by how much a caption is likelier right, and the truth."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 2, count)
    right = rng.random(count) < 1 / (1 + np.exp(-logit))
    return Scores(("a", "b"), np.stack([0.1 * logit + 0.3, rng.random(count)], axis=1)), right, logit


def test_a_known_probability_is_found_again():
    scores, right, logit = drawn(8000)
    model = fit(scores, right, np.ones(8000))
    new, truth, logit = drawn(4000, 1)
    told = model.probabilities(new)
    assert np.sqrt(np.mean((told - 1 / (1 + np.exp(-logit))) ** 2)) < 0.04
    assert calibration_error(told, truth, np.ones(4000)) < 0.03
    assert abs(model.weights[1]) < 0.1 < abs(model.weights[0])


def test_weights_say_how_often_captions_are_right():
    scores, right, _ = drawn(4000)
    weights = np.where(right, 1.0 / right.sum(), 3.0 / (~right).sum()) * 1000
    told = fit(scores, right, weights).probabilities(scores)
    assert np.average(told, weights=weights) == pytest.approx(0.25, abs=0.02)


def test_a_score_that_is_not_known_is_neither_zero_nor_the_mean():
    rng = np.random.default_rng(2)
    right = rng.random(4000) < 0.5
    value = np.where(right, 0.8, 0.2) + rng.normal(0, 0.1, 4000)
    # Where it is missing, captions are mostly right: at 0 it would say the opposite.
    missing = rng.random(4000) < np.where(right, 0.4, 0.1)
    scores = Scores(("a",), np.where(missing, np.nan, value)[:, None])
    told = fit(scores, right, np.ones(4000)).probabilities(scores)
    assert told[missing].mean() == pytest.approx(right[missing].mean(), abs=0.05)
    assert np.ptp(told[missing]) == 0


def test_a_state_that_no_caption_showed_has_no_probability_and_a_scorer_that_nobody_knew_is_left_out():
    scores, right, _ = drawn(200)
    wider = Scores(("a", "b", "c"), np.concatenate([scores.values, np.full((200, 1), np.nan)], axis=1))
    model = fit(wider, right, np.ones(200))
    assert model.scorers == ("a", "b")
    unseen = Scores(("b", "a"), np.array([[0.5, np.nan], [0.5, 0.3]]))
    told = model.probabilities(unseen)
    assert np.isnan(told[0])
    assert 0 < told[1] < 1
    assert np.isnan(model.probabilities(Scores(("b",), np.array([[0.5]])))).all()


def test_perfect_scores_give_finite_weights_and_probabilities_within_0_and_1():
    right = np.arange(100) < 50
    model = fit(Scores(("a",), right[:, None].astype(float)), right, np.ones(100))
    told = model.probabilities(Scores(("a",), np.array([[0.0], [1.0], [2.0]])))
    assert 0 < told[0] < 0.05
    assert 0.95 < told[1] <= told[2] < 1


def test_the_curve_rises_strictly_over_all_that_was_seen():
    rng = np.random.default_rng(3)
    sums = rng.normal(0, 1, 300)
    x, y = curve(sums, rng.random(300) < 1 / (1 + np.exp(-2 * sums)), np.ones(300))
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    assert y.min() > 0
    assert y.max() < 1
    assert (x[0], x[-1]) == (pytest.approx(sums.min(), abs=1e-6), pytest.approx(sums.max(), abs=1e-6))


def test_a_model_is_kept_as_text_and_read_back_as_it_was():
    scores, right, _ = drawn(300)
    values = np.where(np.arange(300)[:, None] % 7 == 0, np.nan, scores.values)
    model = fit(Scores(("a", "b"), values), right, np.ones(300))
    assert Model.read(model.json()) == model


def score(
    caption: str, scorer: str, value: float | None, claims: int | None = None, supported: int | None = None
) -> dict:
    return {"candidate_id": caption, "clip_id": "c", "scorer": scorer, "revision": "1", "score": value, "claims": claims,
            "supported": supported, "unsupported": [], "evidence_ids": []}  # fmt: skip


def test_scores_are_laid_out_by_scorer_and_those_of_the_text_alone_are_left_out():
    rows = [
        score("p1", "agreement", 1.0, 4, 2), score("p2", "agreement", None, 0, 0), score("p1", "ear", 0.5),
        score("p9", "ear", 0.9), score("p1", "texts", 1.0), score("p2", "ear:relative", None),
    ]  # fmt: skip
    found = scores_of(pa.chunked_array([["p2", "p1", "p3"]]), tables.from_rows("scores", rows))
    assert found.names == ("agreement", "agreement:supported", "ear", "ear:relative")
    np.testing.assert_array_equal(
        found.values,
        [[np.nan, np.nan, np.nan, np.nan], [1.0, 0.5, 0.5, np.nan], [np.nan] * 4],
    )
