"""The losses agree with the measures of the same name, and with silence they stay finite."""

from __future__ import annotations

import pytest
import torch

from trainers.lass.losses import Loss, embedding_l1, l1, losses, negative_si_sdr
from trainers.measures.separation import si_sdr


def test_a_loss_is_found_by_its_name() -> None:
    assert losses("l1") is l1
    assert losses("si_sdr") is negative_si_sdr


def test_l1_is_the_mean_absolute_difference() -> None:
    assert l1(torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 1.0]])).item() == 1.5


def test_minus_si_sdr_is_the_measure_with_its_sign_turned() -> None:
    answer = torch.randn(4, 1000) + 0.3
    estimate = 2.0 * answer + torch.randn(4, 1000) * torch.tensor([[0.01], [0.1], [1.0], [10.0]])
    measured = si_sdr(estimate.numpy(), answer.numpy())
    assert negative_si_sdr(estimate, answer).item() == pytest.approx(-measured.mean(), abs=0.01)


def test_a_silent_answer_counts_as_nothing_in_si_sdr() -> None:
    answer, estimate = torch.randn(2, 500), torch.randn(2, 500)
    estimate.requires_grad_()
    silent = torch.stack([answer[0], torch.zeros(500)])
    assert torch.equal(negative_si_sdr(estimate, silent), negative_si_sdr(estimate[:1], answer[:1]) / 2)
    nothing = negative_si_sdr(estimate, torch.zeros(2, 500))
    nothing.backward()
    assert nothing.item() == 0.0
    assert estimate.grad is not None
    assert not estimate.grad.any()


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0])
def test_nothing_and_a_perfect_answer_have_a_bound_and_a_finite_gradient(scale: float) -> None:
    answer = torch.randn(1, 500)
    estimate = (scale * answer).requires_grad_()
    loss = negative_si_sdr(estimate, answer)
    loss.backward()
    assert -81.0 < loss.item() < 81.0
    assert estimate.grad is not None
    assert estimate.grad.isfinite().all()


@pytest.mark.parametrize("loss", [l1, negative_si_sdr, embedding_l1])
@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_the_mean_of_two_halves_is_the_loss_of_the_whole_wherever_the_silent_ones_are(loss: Loss, unknown: int) -> None:
    made, answer = torch.randn(4, 500), torch.randn(4, 500)
    answer[:unknown] = torch.nan if loss is embedding_l1 else 0.0
    halves = (loss(made[:2], answer[:2]) + loss(made[2:], answer[2:])) / 2
    assert loss(made, answer).item() == pytest.approx(halves.item(), rel=1e-5)


def test_an_embedding_that_is_not_known_counts_as_nothing_in_its_loss() -> None:
    wanted = torch.tensor([[1.0, 0.0], [torch.nan, torch.nan]])
    predicted = torch.tensor([[0.0, 0.0], [0.6, 0.8]], requires_grad=True)
    loss = embedding_l1(predicted, wanted)
    loss.backward()
    assert loss.item() == 0.25
    assert predicted.grad is not None
    assert torch.equal(predicted.grad, torch.tensor([[-0.25, 0.0], [0.0, 0.0]]))
    assert embedding_l1(predicted, torch.full((2, 2), torch.nan)).item() == 0.0
