"""The contrastive loss: its definition in float64, and pairs that are left out of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("transformers", reason="the extra `train` is not installed")
import torch
from caption_worlds import NOISE, POLICE, SINE, SIREN

from trainers.clap.negatives import class_words
from trainers.clap.objective import STEEPEST, ClapObjective, contrast
from trainers.clap.parts import BANDS, network


def by_hand(logits: np.ndarray, left_out: np.ndarray) -> float:
    """Return the loss in float64, pair by pair."""
    total = 0.0
    for matrix, out in ((logits, left_out), (logits.T, left_out.T)):
        for i, row in enumerate(matrix):
            total -= row[i] - math.log(sum(math.exp(x) for j, x in enumerate(row) if not out[i, j]))
    return total / (2 * len(logits))


def test_it_is_the_mean_of_both_cross_entropies_over_what_is_not_left_out() -> None:
    draw = np.random.default_rng(0)
    logits, left_out = 5 * draw.standard_normal((7, 7)), draw.random((7, 7)) < 0.3
    np.fill_diagonal(left_out, False)
    for out in (left_out, np.zeros_like(left_out)):
        found = contrast(torch.from_numpy(logits), torch.from_numpy(out))
        assert found.item() == pytest.approx(by_hand(logits, out), rel=1e-12)
    assert contrast(torch.from_numpy(logits)).item() == pytest.approx(
        by_hand(logits, np.zeros_like(left_out)), rel=1e-12
    )


def test_known_answers() -> None:
    assert contrast(torch.zeros(4, 4)).item() == pytest.approx(math.log(4), rel=1e-6)
    all_but_own = ~torch.eye(4, dtype=torch.bool)
    assert contrast(torch.randn(4, 4), all_but_own).item() == 0.0
    one = torch.zeros(4, 4, dtype=torch.bool)
    one[0, 1] = True
    assert contrast(torch.zeros(4, 4), one).item() == pytest.approx(
        (7 * math.log(4) - math.log(4) + math.log(3) * 2) / 8, rel=1e-6
    )


def test_a_pair_that_is_left_out_has_no_gradient_and_all_others_have() -> None:
    logits = torch.randn(5, 5, requires_grad=True)
    left_out = torch.zeros(5, 5, dtype=torch.bool)
    left_out[1, 3] = left_out[3, 1] = True
    contrast(logits, left_out).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad == 0, left_out)


@pytest.fixture(scope="module")
def given() -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(4, 1, 251, BANDS, generator=draw)
    ids = torch.tensor([[0, 4, 2], [0, 5, 2], [0, 6, 2], [0, 7, 2]])
    return features, ids, torch.ones_like(ids), class_words([[SIREN], [POLICE], [SINE], [NOISE]])


def objective(related: bool) -> ClapObjective:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = ClapObjective(network(9), related)
    # Without dropout both have the same similarities.
    return made.eval()


def test_clips_of_related_classes_are_held_against_one_another_only_where_that_is_asked_for(given) -> None:
    masked, plain = (objective(related)(*given)["contrast"].item() for related in (False, True))
    assert masked < plain
    unrelated = (*given[:3], class_words([[SIREN], [SINE], [NOISE], []]))
    assert objective(False)(*unrelated)["contrast"].item() == plain


def test_the_scale_stays_below_its_bound_and_the_bands_keep_their_statistics(given) -> None:
    made = objective(False).train()
    norm = made.clap.audio_model.audio_encoder.batch_norm
    before = norm.running_mean.clone()
    with torch.no_grad():
        made.clap.logit_scale_a.fill_(9.0)
    made(*given)["contrast"].backward()
    assert made.clap.logit_scale_a.exp().item() == pytest.approx(STEEPEST, rel=1e-5)
    assert torch.equal(norm.running_mean, before)
    without = [name for name, weight in made.named_parameters() if weight.requires_grad and weight.grad is None]
    assert without == [], "ranks would wait for these"
