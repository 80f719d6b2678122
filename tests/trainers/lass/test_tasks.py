"""Tasks are drawn by sample and epoch alone, and the two answers of a mixture sum to it."""

from __future__ import annotations

import pytest
import torch

from trainers.lass.tasks import EXTRACTION, REMOVAL, TASKS, answers, drawn

RECORDS = [{"mixture_id": f"mix-{number:016x}"} for number in range(1000)]


def test_the_names_stand_in_the_order_of_the_numbers() -> None:
    assert (TASKS[EXTRACTION], TASKS[REMOVAL]) == ("extraction", "removal")


@pytest.mark.parametrize("removal", [0.0, 0.3, 1.0])
def test_so_many_tasks_are_removals_as_were_asked_for(removal: float) -> None:
    share = drawn(RECORDS, removal, 0, 0).float().mean().item()
    assert share == pytest.approx(removal, abs=0.05 * (0 < removal < 1))


def test_a_task_depends_on_sample_seed_and_epoch_and_not_on_order() -> None:
    tasks = drawn(RECORDS, 0.5, 1, 2)
    assert torch.equal(drawn(RECORDS[::-1], 0.5, 1, 2), tasks.flip(0))
    assert not torch.equal(drawn(RECORDS, 0.5, 1, 3), tasks)
    assert not torch.equal(drawn(RECORDS, 0.5, 2, 2), tasks)


def test_what_is_extracted_and_what_remains_sum_to_the_mixture() -> None:
    target = torch.randint(-100, 100, (2, 50)) / 32768
    mixture = target + torch.randint(-100, 100, (2, 50)) / 32768
    wanted, rest = (answers(mixture, target, torch.full((2,), task)) for task in (EXTRACTION, REMOVAL))
    assert torch.equal(wanted, target)
    assert torch.equal(wanted + rest, mixture)
    mixed = answers(mixture, target, torch.tensor([REMOVAL, EXTRACTION]))
    assert torch.equal(mixed, torch.stack([rest[0], target[1]]))
