"""The guide tells what a target sounds like from words and mixture, and begins as one who knows the words alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainers.lass.guide import FRAMES, Guide, places
from trainers.lass.losses import embedding_l1

BINS, E = 64, 16


@pytest.fixture
def guide() -> Guide:
    torch.manual_seed(0)
    return Guide(BINS, E, 32, 2)


def unit(*shape: int) -> Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


@pytest.mark.parametrize("frames", [1, FRAMES, FRAMES + 1, 130])
def test_an_embedding_has_unit_length_however_long_the_mixture_is(guide: Guide, frames: int) -> None:
    made = guide(torch.rand(3, frames, BINS), unit(3, E))
    assert made.shape == (3, E)
    assert torch.allclose(made.norm(dim=1), torch.ones(3), atol=1e-5)


def test_a_sound_does_not_depend_on_the_others_of_its_batch(guide: Guide) -> None:
    heard, asked = torch.rand(3, 40, BINS), unit(3, E)
    alone = torch.cat([guide(heard[i : i + 1], asked[i : i + 1]) for i in range(3)])
    assert torch.allclose(guide(heard, asked), alone, atol=1e-6)


def test_it_hears_the_order_of_what_sounds(guide: Guide) -> None:
    first, then = torch.rand(1, 2 * FRAMES, BINS), 3 * torch.rand(1, 2 * FRAMES, BINS)
    asked = unit(1, E)
    assert not torch.allclose(
        guide(torch.cat([first, then], dim=1), asked), guide(torch.cat([then, first], dim=1), asked), atol=1e-5
    )


def test_before_it_has_learnt_it_says_little_more_than_the_query(guide: Guide) -> None:
    asked = unit(50, E)
    near = functional.cosine_similarity(guide(torch.rand(50, 40, BINS), asked), asked)
    assert near.min() > 0.9


def test_it_learns_what_only_words_and_mixture_together_tell(guide: Guide) -> None:
    """Each query may mean two sounds; which one it is can be heard in the mixture."""
    asked, sounds = unit(2, E), unit(2, 2, E)
    low, high = torch.zeros(BINS), torch.zeros(BINS)
    low[:8], high[40:] = 2.0, 2.0
    optimiser = torch.optim.AdamW(guide.parameters(), lr=3e-3)
    query, voice = torch.arange(4) % 2, torch.arange(4) // 2
    wanted = sounds[query, voice]
    for _ in range(60):
        heard = torch.stack([low, high])[voice][:, None] + 0.1 * torch.rand(4, 3 * FRAMES, BINS)
        loss = embedding_l1(guide(heard, asked[query]), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    heard = torch.stack([low, high])[voice][:, None] + 0.1 * torch.rand(4, 3 * FRAMES, BINS)
    assert functional.cosine_similarity(guide(heard, asked[query]), wanted).min() > 0.95
    assert functional.cosine_similarity(asked[query], wanted).max() < 0.9


def test_places_differ_and_do_not_depend_on_how_many_there_are() -> None:
    like = torch.zeros(1)
    assert torch.equal(places(10, 32, like)[:4], places(4, 32, like))
    assert torch.cdist(places(200, 32, like), places(200, 32, like)).fill_diagonal_(9.0).min() > 0.1
