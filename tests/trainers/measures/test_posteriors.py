"""KL is PyTorch's on the logits that posteriors came from, and any listener has posteriors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div

from schemas.ontology import default_ontology
from taggers.base import Finding, Listener, Waveform
from taggers.demo_tagger import DemoTagger
from trainers.measures.posteriors import kl_sigmoid, kl_softmax, posteriors

EPS = 1e-6
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(-3, 3, (2, 5, 527)))
ESTIMATE, REFERENCE = (torch.sigmoid(each).numpy() for each in LOGITS)


def test_both_are_the_sums_that_audioldm_eval_takes_of_logits() -> None:
    est, ref = LOGITS
    softmax = kl_div((est.softmax(dim=1) + EPS).log(), ref.softmax(dim=1), reduction="none").sum(dim=1)
    sigmoid = kl_div((est.sigmoid() + EPS).log(), ref.sigmoid(), reduction="none").sum(dim=1)
    np.testing.assert_allclose(kl_softmax(ESTIMATE, REFERENCE), softmax, rtol=1e-9)
    np.testing.assert_allclose(kl_sigmoid(ESTIMATE, REFERENCE), sigmoid, rtol=1e-9)


def test_softmax_is_torchmetrics_divergence_but_for_the_constant() -> None:
    metrics = pytest.importorskip("torchmetrics.functional")
    few = LOGITS[..., :20] / 3  # of which no probability is near the constant
    own = metrics.kl_divergence(few[1].softmax(dim=1), few[0].softmax(dim=1), reduction="none")
    np.testing.assert_allclose(kl_softmax(few[0].sigmoid(), few[1].sigmoid()), own, atol=1e-3)


def test_equal_posteriors_score_about_nothing_and_the_direction_counts() -> None:
    np.testing.assert_allclose(kl_softmax(np.full(527, 0.3), np.full(527, 0.3)), -np.log1p(527 * EPS))
    assert (kl_softmax(ESTIMATE, REFERENCE) > 0.1).all()
    assert not np.allclose(kl_softmax(ESTIMATE, REFERENCE), kl_softmax(REFERENCE, ESTIMATE))


def test_the_sigmoid_form_rewards_a_tagger_that_is_surer_of_everything() -> None:
    assert (kl_sigmoid(np.minimum(1.0, 2 * REFERENCE), REFERENCE) < 0).all()


def test_certainty_is_finite_and_what_is_no_probability_is_refused() -> None:
    sure, never = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert np.isfinite(kl_softmax(sure, never))
    np.testing.assert_allclose(kl_sigmoid(sure, never), -np.log(EPS))
    assert np.isnan(kl_softmax([np.nan, 0.5], [0.5, 0.5]))
    assert np.isnan(kl_sigmoid([np.nan, 0.5], [0.0, 0.5]))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], not -0.1 to 0.5"):
        kl_sigmoid([-0.1, 0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"one shape \(..., classes\), not \(2,\) and \(3,\)"):
        kl_softmax([0.1, 0.5], [0.5, 0.5, 0.1])


def sounds(count: int, rate: int) -> list[Waveform]:
    rng = np.random.default_rng(3)
    return [Waveform(rng.uniform(-0.3, 0.3, rate).astype(np.float32), rate) for _ in range(count)]


def test_a_tagger_that_was_trained_here_is_asked_for_the_scores_of_the_whole_sound() -> None:
    tagger = DemoTagger()
    tagger.load("cpu")
    batch = sounds(2, tagger.sample_rate or 16000)
    found = posteriors(tagger, batch)
    assert found.shape == (2, len(tagger.shape.classes))
    np.testing.assert_array_equal(found, np.stack([own[0] for own in tagger.scores(batch)]).astype(np.float64))
    np.testing.assert_allclose(kl_softmax(found, found), 0, atol=1e-3)


class Framewise(Listener):
    """Gives the scores of three frames."""

    name, revision = "framewise", "1"

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        raise AssertionError("it is asked for scores")

    def scores(self, batch: Sequence[Waveform]) -> list[np.ndarray]:
        return [np.array([[0.1, 0.9], [0.3, 0.2], [0.2, 0.0]], np.float32) for _ in batch]


class Names(Listener):
    """Names a dog twice, an event, and a class of its own."""

    name, revision = "names", "1"

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        dog = "/m/0bt9lr"
        said = [("tag", dog, 0.4), ("tag", dog, 0.7), ("tag", "/x/own", 0.9), ("tag", dog, None)]
        tags = [Finding(kind, "dog", class_id=class_id, confidence=sure) for kind, class_id, sure in said]  # type: ignore[arg-type]
        return [[*tags, Finding("event", "dog", class_id=dog, onset_s=0, offset_s=1, confidence=0.95)] for _ in batch]


def test_scores_of_frames_are_the_sounds_by_their_maximum() -> None:
    np.testing.assert_allclose(posteriors(Framewise(), sounds(1, 8000)), [[0.3, 0.9]], rtol=1e-6)


def test_of_any_other_listener_the_tags_are_taken_over_the_ontology() -> None:
    found = posteriors(Names(), sounds(2, 8000))
    assert found.shape == (2, len(default_ontology().positions))
    assert (found[:, default_ontology().index("/m/0bt9lr")] == 0.7).all()
    np.testing.assert_allclose(found.sum(axis=1), 0.7)
    with pytest.raises(ValueError, match="no waveform to hear"):
        posteriors(Names(), [])
