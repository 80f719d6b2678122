"""The classes are their functions: whatever the batches, on several processes, and through pickles and collections."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from trainers.measures import metrics
from trainers.measures.metrics import BSSSDR, FAD, LSD, SISDR, CLAPScore, MeanAveragePrecision, Measured, SDRi
from trainers.measures.registry import MEASURES, rows_of

RATE = 16000
TARGET, OTHER, ERROR = 0.1 * torch.from_numpy(np.random.default_rng(0).standard_normal((3, 6, RATE // 4)))
GIVEN = {"estimate": TARGET + 0.3 * ERROR, "reference": TARGET, "mixture": TARGET + OTHER, "rate": RATE}
CLASSES = [
    each
    for each in vars(metrics).values()
    if isinstance(each, type) and issubclass(each, Measured) and each is not Measured
]


def part(start: int, stop: int) -> dict[str, object]:
    return {name: each if name == "rate" else each[start:stop] for name, each in GIVEN.items()}  # type: ignore[index]


def test_every_measure_of_tensors_has_a_class() -> None:
    words = {"candidates", "references", "estimate_answers"}
    assert {each.name for each in CLASSES} == {name for name, own in MEASURES.items() if not words & set(own.needs)}
    for each in CLASSES:
        assert each.higher_is_better == MEASURES[each.name].higher_is_better
        assert each().higher_is_better == each.measure.higher_is_better


@pytest.mark.parametrize("kind", [SDRi, SISDR, LSD, BSSSDR])
def test_batches_add_up_to_the_whole(kind: type[Measured]) -> None:
    metric = kind()
    metric.update(**part(0, 4))
    first = metric.compute()
    last = metric(**part(4, 6))
    own = kind.measure
    needs = {name: each.numpy() if isinstance(each, torch.Tensor) else each for name, each in GIVEN.items()}
    assert float(metric.compute()) == pytest.approx(own.value(rows_of([kind.name], needs)[kind.name]), rel=1e-12)
    assert metric.compute() == pytest.approx(float(4 * first + 2 * last) / 6, rel=1e-9)
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute().isnan()


def test_a_collection_is_fed_all_at_once_and_survives_a_pickle() -> None:
    both = MetricCollection([SDRi(), SISDR()])
    both.update(**GIVEN)
    found = pickle.loads(pickle.dumps(both)).compute()
    assert found == both.compute()
    assert set(found) == {"SDRi", "SISDR"}


def test_half_precision_and_gradients_are_taken_as_they_come() -> None:
    metric, rough = SDRi(), SDRi()
    metric.update(**GIVEN)
    rough.update(**{name: each if name == "rate" else each.bfloat16().requires_grad_() for name, each in GIVEN.items()})  # type: ignore[union-attr]
    assert float(rough.compute()) == pytest.approx(float(metric.compute()), abs=0.2)


def test_pooled_measures_pool_windows_of_unequal_number() -> None:
    rng = np.random.default_rng(1)
    windows = [torch.from_numpy(rng.standard_normal((count, 3))) for count in (1, 4, 2, 3)]
    truths = [each + 0.1 for each in windows]
    metric = FAD()
    metric.update(estimate_windows=windows[:2], reference_windows=truths[:2])
    metric.update(estimate_windows=windows[2:], reference_windows=truths[2:])
    assert float(metric.compute()) == pytest.approx(3 * 0.1**2)
    near = CLAPScore()
    near.update(estimate_windows=windows, query_embeddings=torch.eye(3)[[0, 1, 2, 0]])
    assert -1 <= float(near.compute()) <= 1
    found = MeanAveragePrecision()
    found.update(scores=torch.tensor([[0.9, 0.1], [0.2, 0.3]]), truth=torch.tensor([[True, False], [False, True]]))
    assert float(found.compute()) == 1


def test_what_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="mixture"):
        SDRi().update(estimate=TARGET, reference=TARGET)


def rank(number: int, place: str, out: str) -> None:
    """One of two processes, which measures its share."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}", rank=number, world_size=2)
    metric, distance = SDRi(), FAD()
    metric.update(**part(*((0, 4) if number == 0 else (4, 6))))
    windows = torch.arange(24.0).reshape(8, 3).square()
    own = [windows[:5]] if number == 0 else [windows[5:7], windows[7:]]
    distance.update(estimate_windows=own, reference_windows=[each + 1 for each in own])
    torch.save((metric.compute(), distance.compute()), f"{out}{number}")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_number_of_one(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path / "place"), str(tmp_path / "out")]
    ranks = [subprocess.Popen([*command, str(number)]) for number in range(2)]
    assert [process.wait() for process in ranks] == [0, 0]
    alone = SDRi()
    alone.update(**GIVEN)
    for number in range(2):
        found, distance = torch.load(tmp_path / f"out{number}", weights_only=True)
        assert float(found) == pytest.approx(float(alone.compute()), rel=1e-12)
        assert float(distance) == pytest.approx(3.0)


if __name__ == "__main__":
    rank(int(sys.argv[3]), sys.argv[1], sys.argv[2])
