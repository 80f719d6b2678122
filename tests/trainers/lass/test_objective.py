"""The guide learns from embeddings and the ResUNet from answers, in one step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainers.lass.config import SeparatorConfig, build
from trainers.lass.objective import Objective

E = 8


def objective(guided: bool) -> Objective:
    torch.manual_seed(0)
    return Objective(build(SeparatorConfig(sample_rate=8000, embedding=E, guided=guided)), "l1")


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mixture = torch.randn(2, 1600)
    return mixture, functional.normalize(torch.randn(2, E), dim=1), torch.tensor([0, 1]), mixture / 2


def moved(module: torch.nn.Module) -> set[bool]:
    return {weight.grad is not None and bool(weight.grad.any()) for weight in module.parameters()}


def test_an_answer_moves_nothing_of_the_guide_and_an_embedding_nothing_else(
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    whole = objective(True)
    wanted = functional.normalize(torch.randn(2, E), dim=1)
    guide = whole.separator.guide
    assert guide is not None
    whole(*batch, wanted)["answer"].backward()
    assert moved(guide) == {False}
    assert moved(whole.separator.middle) == {True}
    whole.zero_grad()
    whole(*batch, wanted)["embedding"].backward()
    assert moved(guide) == {True}
    assert moved(whole.separator.middle) == {False}


def test_without_a_guide_there_is_one_loss_that_every_weight_is_moved_by(
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    whole = objective(False)
    found = whole(*batch)
    assert set(found) == {"answer"}
    found["answer"].backward()
    assert moved(whole) == {True}


def test_a_guide_without_embeddings_to_learn_from_is_refused(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="give them as `wanted`"):
        objective(True)(*batch)


def test_embeddings_that_are_not_known_leave_every_weight_a_gradient_so_that_ranks_agree(
    batch: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    whole = objective(True)
    sum(whole(*batch, torch.full((2, E), torch.nan)).values()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in whole.parameters())
