"""Sounds are made louder, laid over one another and brought to a rate as is said; torch is left as it was found."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from torch.utils import deterministic

from trainers.captions import Captioned
from trainers.features import at_rate, louder, overlaid, repeatable


def captioned(samples: np.ndarray, rate: int) -> Captioned:
    return Captioned("x", samples.astype(np.float32), rate, (), None, None, {})


def test_levels_are_drawn_evenly_within_6_db_and_powers_are_scaled_by_them() -> None:
    rng, power = np.random.default_rng(0), torch.tensor([[1.0, 4.0]])
    made = torch.cat([louder(power, rng) for _ in range(4000)]).numpy()
    np.testing.assert_allclose(made[:, 1], 4 * made[:, 0], rtol=1e-6)
    level_db = 10 * np.log10(made[:, 0])
    assert (level_db.min(), level_db.max()) == (pytest.approx(-6, abs=0.05), pytest.approx(6, abs=0.05))
    np.testing.assert_allclose(np.percentile(level_db, [25, 50, 75]), [-3, 0, 3], atol=0.35)


@pytest.mark.parametrize(
    ("first", "second", "at", "both"),
    [
        (3, 2, 0, [3, 3, 1]),
        (3, 2, 1, [1, 3, 3]),
        (3, 2, 2, [1, 1, 3, 2]),
        (3, 2, 3, [1, 1, 1, 2, 2]),
        (2, 1, 4, [1, 1, 0, 0, 2]),  # silence between
        (1, 3, 0, [3, 2, 2]),
    ],
)
def test_powers_add_up_from_where_the_second_begins(first: int, second: int, at: int, both: list[int]) -> None:
    made = overlaid(torch.ones(first, 2), 2 * torch.ones(second, 2), at)
    assert made[:, 0].tolist() == made[:, 1].tolist() == both


def test_a_clip_at_the_rate_is_left_alone_and_another_is_resampled_within_full_scale() -> None:
    square = captioned(np.where(np.arange(8000) // 40 % 2, 1.0, -1.0), 8000)
    assert at_rate(square, 8000) is square.samples
    made = at_rate(square, 16000)
    assert (made.dtype, made.shape) == (np.dtype(np.float32), (16000,))
    assert (made.min(), made.max()) == (-1.0, 1.0)  # it would overshoot
    tone = captioned(0.5 * np.sin(2 * np.pi * 100 * np.arange(8000) / 8000), 8000)
    wanted = 0.5 * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
    np.testing.assert_allclose(at_rate(tone, 16000)[1000:-1000], wanted[1000:-1000], atol=1e-3)


def state() -> tuple[object, ...]:
    strict = torch.are_deterministic_algorithms_enabled()
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    return torch.get_num_threads(), strict, filled, torch.random.get_rng_state().tolist()


@pytest.fixture
def two_threads() -> object:
    """Let torch have two threads, so that one is seen to be restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fails", [False, True])
def test_torch_is_left_as_it_was_also_by_what_fails(two_threads: object, fails: bool) -> None:
    before = state()

    def work() -> None:
        with repeatable(3):
            assert state()[:3] == (1, True, False)
            torch.rand(5)
            if fails:
                raise KeyError("in the middle")

    if fails:
        with pytest.raises(KeyError, match="in the middle"):
            work()
    else:
        work()
    assert state() == before


def test_a_seed_draws_the_same_whatever_was_drawn_before() -> None:
    def drawn(seed: int) -> list[float]:
        torch.rand(7)
        with repeatable(seed):
            return list(torch.rand(3).tolist())

    assert drawn(1) == drawn(1) != drawn(2)
