"""The separator keeps the promises of its shape: any length, any level, any batch; it is as large as AudioSep's, and it learns."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainers.lass.config import SeparatorConfig, build
from trainers.lass.objective import Objective
from trainers.lass.resunet import Separator
from trainers.lass.tasks import EXTRACTION, REMOVAL, answers
from trainers.measures.separation import sdr, sdr_improvement

RATE, E = 8000, 16


@pytest.fixture(scope="module", params=[False, True], ids=["one stage", "guided"])
def model(request: pytest.FixtureRequest) -> Separator:
    """Return a small separator in evaluation mode, whose batch statistics are no longer those of the first day."""
    torch.manual_seed(0)
    made = build(SeparatorConfig(sample_rate=RATE, embedding=E, guided=request.param))
    with torch.no_grad():
        for _ in range(3):
            made(torch.randn(2, 3000), queries(2), torch.zeros(2, dtype=torch.int64))
    return made.eval()


def queries(count: int, seed: int = 0) -> Tensor:
    return functional.normalize(torch.randn(count, E, generator=torch.Generator().manual_seed(seed)), dim=1)


def tasks(*values: int) -> Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize("length", [1, 79, 80, 81, 1000, 8001])
def test_an_answer_is_as_long_as_its_mixture(model: Separator, length: int) -> None:
    with torch.no_grad():
        made = model(torch.randn(2, length), queries(2), tasks(EXTRACTION, REMOVAL))
    assert made.shape == (2, length)
    assert made.dtype == torch.float32
    assert made.isfinite().all()


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_every_weight_has_a_gradient(size: str) -> None:
    torch.manual_seed(0)
    config = SeparatorConfig.model_validate({"size": size, "sample_rate": RATE, "embedding": E, "guided": True})
    objective = Objective(build(config), "l1")
    mixture = torch.randn(2, 2000)
    losses = objective(mixture, queries(2), tasks(EXTRACTION, REMOVAL), mixture / 2, queries(2, seed=1))
    sum(losses.values()).backward()
    without = [name for name, weight in objective.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_the_answer_follows_the_gain_of_the_mixture(model: Separator) -> None:
    mixture = torch.randn(2, 3000)
    with torch.no_grad():
        once, softer = (model(gain * mixture, queries(2), tasks(0, 1)) for gain in (1.0, 2.0**-10))
        louder = model(3.3 * mixture, queries(2), tasks(0, 1))
    assert torch.equal(softer * 2.0**10, once)
    assert torch.allclose(louder, 3.3 * once, atol=1e-4)


def test_silence_is_answered_by_silence_also_beside_sound(model: Separator) -> None:
    mixture = torch.stack([torch.zeros(2000), torch.randn(2000)])
    with torch.no_grad():
        made = model(mixture, queries(2), tasks(0, 0))
    assert not made[0].any()
    assert made[1].any()


def test_an_answer_does_not_depend_on_the_others_of_its_batch(model: Separator) -> None:
    mixture, asked, task = torch.randn(3, 2500), queries(3), tasks(0, 1, 0)
    with torch.no_grad():
        together = model(mixture, asked, task)
        alone = torch.cat([model(mixture[i : i + 1], asked[i : i + 1], task[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_same_question_has_the_same_answer_bit_for_bit(model: Separator) -> None:
    mixture = torch.randn(2, 2500)
    with torch.no_grad():
        once, again = (model(mixture, queries(2), tasks(0, 1)) for _ in range(2))
    assert torch.equal(once, again)


def test_another_query_and_another_task_have_another_answer(model: Separator) -> None:
    mixture = torch.randn(1, 2500)
    with torch.no_grad():
        once = model(mixture, queries(1), tasks(EXTRACTION))
        assert not torch.allclose(once, model(mixture, queries(1, seed=1), tasks(EXTRACTION)), atol=1e-4)
        assert not torch.allclose(once, model(mixture, queries(1), tasks(REMOVAL)), atol=1e-4)


def test_in_bfloat16_spectra_and_answers_stay_float32(model: Separator) -> None:
    mixture = torch.randn(2, 2500)
    with torch.no_grad():
        exact = model(mixture, queries(2), tasks(0, 0))
        with torch.autocast("cpu", torch.bfloat16):
            made = model(mixture, queries(2), tasks(0, 0))
    assert made.dtype == torch.float32
    assert (sdr(made.numpy(), exact.numpy()) > 15).all()


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (((2, 3, 4), (2, E), (2,)), "mixtures must have shape"),
        (((2, 0), (2, E), (2,)), "neither of them 0"),
        (((2, 100), (2, E + 1), (2,)), "condition and task must have shapes"),
        (((2, 100), (1, E), (2,)), "condition and task must have shapes"),
        (((2, 100), (2, E), (3,)), "condition and task must have shapes"),
    ],
)
def test_other_shapes_are_refused(model: Separator, shapes: tuple[tuple[int, ...], ...], says: str) -> None:
    mixture, condition, task = shapes
    with pytest.raises(ValueError, match=says):
        model(torch.zeros(mixture), torch.zeros(condition), torch.zeros(task, dtype=torch.int64))


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_before_it_has_learnt_it_answers_with_about_half_of_the_mixture(size: str) -> None:
    torch.manual_seed(0)
    made = build(SeparatorConfig.model_validate({"size": size, "sample_rate": RATE, "embedding": E}))
    mixture = torch.randn(2, 3000)
    with torch.no_grad():
        answer = made(mixture, queries(2), tasks(EXTRACTION, REMOVAL))
    assert (sdr(2 * answer.numpy(), mixture.numpy()) > 10).all()


def test_resunet30_has_the_weights_that_its_description_counts() -> None:
    made = build(SeparatorConfig(size="resunet30", sample_rate=32000))
    counted = sum(weight.numel() for weight in made.parameters())
    assert counted == described(E=512, bins=1024)
    # What is published of AudioSep's is 39 million. It normalises 1025 bins, has no tasks, has a second normalisation, with its
    # query's bias, in each of six decoder blocks that nothing reads, and counts the sines of its STFT and of its inverse as weights.
    channels_read_by_decoder = 3 * 384 + 256 + 128 + 64
    unread = channels_read_by_decoder * (2 + 513)
    sines = 2 * 1025 * 2048 + 2 * 2048 * 2048
    assert counted - 2 * 512 + 2 + unread == 26_447_941
    assert round((counted - 2 * 512 + 2 + unread + sines) / 1e6) == 39


def described(E: int, bins: int) -> int:
    """Count the weights of ResUNet30 from its description alone."""
    channels = [32, 64, 128, 256, 384, 384]
    film = E + 1 + 2  # of each channel that is activated: the query's bias, and scale and shift of its normalisation

    def residual(inputs: int, outputs: int) -> int:
        beside = 0 if inputs == outputs else inputs * outputs + outputs
        return film * (inputs + outputs) + 9 * inputs * outputs + 9 * outputs * outputs + beside

    total = 2 * bins + 2 * E + (32 + 32) + (3 * 32 + 3)
    for inputs, outputs in zip([32, *channels[:-1]], channels, strict=True):
        total += residual(inputs, outputs)
    total += residual(384, 384)
    for inputs, outputs, step in zip([384, *channels[:0:-1]], channels[::-1], [2, 4, 4, 4, 4, 4], strict=True):
        total += film * inputs + step * inputs * outputs + residual(2 * outputs, outputs)
    return total


def tones(count: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return low and high tones of any phase, shape (count, length)."""
    time = torch.arange(length) / RATE
    made = []
    for pitch in (400.0, 1500.0):
        phase = 2 * math.pi * torch.rand(count, 1, generator=generator)
        made.append(0.1 * torch.sin(2 * math.pi * pitch * time + phase))
    return made[0], made[1]


@pytest.fixture(scope="module", params=[False, True], ids=["one stage", "guided"])
def learnt(request: pytest.FixtureRequest) -> Callable[[int, int], tuple[Tensor, Tensor, Tensor]]:
    """Return a function that asks a separator, which was trained for seconds on two sounds, for one of them by one task."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    objective = Objective(build(SeparatorConfig(sample_rate=RATE, embedding=E, guided=request.param)), "l1")
    optimiser = torch.optim.AdamW(objective.parameters(), lr=2e-3)
    words, sounds = queries(2), queries(2, seed=5)
    for step in range(40):
        low, high = tones(4, 2400, generator)
        which = torch.arange(4) % 2
        task = (torch.arange(4) // 2 + step) % 2
        target = torch.where((which == 0)[:, None], low, high)
        answer = answers(low + high, target, task)
        losses = objective(low + high, words[which], task, answer, sounds[which])
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    separator = objective.separator.eval()

    def ask(which: int, task: int) -> tuple[Tensor, Tensor, Tensor]:
        low, high = tones(2, 2400, generator)
        mixture, target = low + high, (low, high)[which]
        with torch.no_grad():
            estimate = separator(mixture, words[[which, which]], tasks(task, task))
        return estimate, answers(mixture, target, tasks(task, task)), mixture

    return ask


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("task", [EXTRACTION, REMOVAL])
def test_it_learns_two_sounds_by_query_and_task_in_seconds(
    learnt: Callable[[int, int], tuple[Tensor, Tensor, Tensor]], which: int, task: int
) -> None:
    estimate, answer, mixture = (made.numpy() for made in learnt(which, task))
    assert (sdr_improvement(estimate, answer, mixture) > 10).all()
