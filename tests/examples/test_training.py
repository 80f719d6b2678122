"""Every training that is shown takes each sample once, in the shapes that it tells, and separates held-out mixtures."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import dataset_folders
import numpy as np
import pytest
from dataset_folders import LENGTH, dataset

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from torch.utils.data import DataLoader

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAIN, HELD_OUT = 22, 11

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


def tones(number: int) -> list[np.ndarray]:
    """Return a low tone and a high one, which a mask can tell apart, as `dataset_folders.stems` returns noises."""
    draws, time = np.random.default_rng(number), np.arange(300) / 8000
    pitches = draws.uniform(200, 1200), draws.uniform(2400, 3600)
    return [np.rint(9000 * np.sin(2 * np.pi * pitch * time)).astype(np.int16) for pitch in pitches]


@pytest.fixture(scope="module", params=["stored", "recipe"])
def any_folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_folders, "stems", tones)
        patch.setattr(dataset_folders, "GAINS", (0.5, 0.5))
        splits = {"train": range(TRAIN), "val": range(TRAIN, TRAIN + HELD_OUT)}
        return dataset(tmp_path_factory.mktemp(request.param), splits, request.param, max_samples=4)


@pytest.fixture
def folder(any_folder: Path) -> Path:
    if any_folder.parent.name.startswith("recipe"):
        pytest.skip("it reads stored shards alone, as it says")
    return any_folder


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples import what lies beside them."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    torch.set_num_threads(1)


def example(name: str) -> ModuleType:
    return importlib.import_module(name)


def keys(numbers: range) -> list[str]:
    return [f"mix-{number:016x}" for number in numbers]


@pytest.mark.parametrize("shuffle", [1, 5])
@pytest.mark.parametrize("workers", [0, 2, 7])
def test_tars_give_each_sample_once_to_any_number_of_workers_and_a_last_batch_that_is_smaller(folder, workers, shuffle):
    data = example("train_torch").Tars(folder, shuffle=shuffle)
    batches = list(DataLoader(data, batch_size=4, num_workers=workers))
    assert sorted(key for batch in batches for key in batch["key"]) == keys(range(TRAIN))
    assert {batch["mixture"].dtype for batch in batches} == {torch.float32}
    assert all(batch["target"].shape == batch["mixture"].shape == (len(batch["key"]), LENGTH) for batch in batches)
    if not workers:
        assert [len(batch["key"]) for batch in batches] == [4] * 5 + [2]


def test_tars_have_an_order_for_each_epoch(folder):
    data, orders = example("train_torch").Tars(folder, shuffle=6), []
    for data.epoch in (0, 1, 0):
        orders.append([sample["key"] for sample in data])
    assert orders[0] == orders[2] != orders[1]


def test_torch_from_tars(folder):
    assert example("train_torch").from_tars(folder, 25, workers=0) > 6


def test_torch_from_the_loader_goes_on_after_a_kill_as_if_nothing_had_been(any_folder, tmp_path, monkeypatch):
    trained = example("train_torch")
    whole = trained.from_loader(any_folder, tmp_path / "whole.pt", 30, workers=0)
    assert whole > 6
    write, left = trained.keep, [40]

    def killed(path: Path, state: dict[str, Any]) -> None:
        write(path, state)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(trained, "keep", killed)
    with pytest.raises(KeyboardInterrupt):
        trained.from_loader(any_folder, tmp_path / "killed.pt", 30, workers=0)
    assert torch.load(tmp_path / "killed.pt")["batches"]["taken"] == 8, "in the middle of a pass"
    assert trained.from_loader(any_folder, tmp_path / "killed.pt", 30, workers=0) == whole


QUIET = {"enable_progress_bar": False, "enable_model_summary": False}


def test_lightning(any_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = example("train_lightning").train(any_folder, max_epochs=20, **QUIET)
    assert trainer.callback_metrics["sdri"] > 6
    assert trainer.global_step == 20 * 3


def test_lightning_goes_on_in_the_middle_of_an_epoch_as_if_nothing_had_been(any_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained, taken = example("train_lightning"), []
    step = trained.Separation.training_step

    def noted(self: Any, batch: Any, number: int) -> Any:
        taken.append(batch.keys)
        if len(taken) == 12 + 10:
            raise KeyError("killed")
        return step(self, batch, number)

    monkeypatch.setattr(trained.Separation, "training_step", noted)
    whole = trained.train(any_folder, max_epochs=4, **QUIET)
    with pytest.raises(KeyError, match="killed"):
        trained.train(any_folder, max_epochs=4, **QUIET)
    on = trained.train(any_folder, "last.ckpt", max_epochs=4, **QUIET)
    assert taken[:12] == taken[12:20] + taken[22:], "the eighth step's checkpoint is of the middle of the third pass"
    assert on.global_step == whole.global_step == 12
    for name, weight in whole.lightning_module.state_dict().items():
        assert torch.equal(on.lightning_module.state_dict()[name], weight), name


@pytest.fixture
def offline(tmp_path, monkeypatch):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def test_hugging_face_trainer(folder, tmp_path, offline):
    options = {"num_train_epochs": 30, "disable_tqdm": True, "logging_strategy": "no"}
    trainer = example("train_huggingface").train(folder, tmp_path / "out", **options)
    found = trainer.evaluate()
    assert found["eval_sdri"] > 6
    assert trainer.state.global_step == 30 * 3
    assert len(trainer.train_dataset) == TRAIN
    rows = example("train_huggingface").collate([trainer.train_dataset[at] for at in range(3)])
    assert rows["mixture"].shape == rows["target"].shape == (3, LENGTH)


def test_batches_of_arrays_have_one_shape_and_ranks_take_each_sample_once(any_folder):
    batches = example("train_numpy").Batches
    taken = []
    for rank in range(3):
        own = batches(any_folder, batch=2, rank=rank, world=3)
        signature = own.signature()
        passes = [list(own()), list(own())]
        assert len(passes[0]) == TRAIN // 6, "what does not fill a batch of every rank is left out"
        for batch, again in zip(*passes, strict=True):
            assert {name: (value.shape, value.dtype) for name, value in batch.items()} == signature
            for name, value in batch.items():
                np.testing.assert_array_equal(value, again[name])
        taken += [mixture.tobytes() for batch in passes[0] for mixture in batch["mixture"]]
    assert len(set(taken)) == len(taken) == TRAIN // 6 * 6


def test_a_last_batch_of_arrays_is_filled_up_where_every_sample_counts(any_folder):
    batches = list(example("train_numpy").Batches(any_folder, batch=4, fill=True)())
    assert [int(batch["real"].sum()) for batch in batches] == [4] * 5 + [2]
    assert batches[-1]["mixture"].shape == (4, LENGTH)
    assert not batches[-1]["mixture"][2:].any()


def test_numpy(any_folder):
    assert example("train_numpy").train(any_folder) > 6


def test_numpy_goes_down_the_gradient(any_folder):
    numpy = example("train_numpy")
    batch = next(numpy.Batches(any_folder)())
    weights = np.random.default_rng(0).uniform(0, 1, (1 + numpy.WORDS, numpy.BANDS))

    def error(weights: np.ndarray) -> float:
        return float(np.mean((numpy.answer(weights, batch["mixture"], batch["words"])[0] - batch["target"]) ** 2))

    moved = numpy.step(weights, batch)[0]
    for scale in (1e-4, 1e-2):
        direction = scale * (moved - weights)
        assert error(weights + direction) < error(weights) < error(weights - direction)


def test_tf_data_gets_the_arrays_and_what_it_needs_to_know_of_them(any_folder, monkeypatch):
    """TensorFlow is not installed here: what stands in for it notes what it is called with."""
    fed = example("train_tf_data")
    if fed.tensorflow is None:
        assert example("train_numpy").train(any_folder, 2, fed.arrays) == example("train_numpy").train(any_folder, 2)
    asked: dict[str, Any] = {}

    def from_generator(make: Any, output_signature: Any) -> Any:
        asked.update(make=make, specs=output_signature)
        return SimpleNamespace(prefetch=lambda count: count)

    data = SimpleNamespace(Dataset=SimpleNamespace(from_generator=from_generator), AUTOTUNE=-1)
    monkeypatch.setattr(fed, "tensorflow", SimpleNamespace(TensorSpec=lambda *each: each, data=data))
    assert fed.dataset(example("train_numpy").Batches(any_folder)) == -1
    for batch in asked["make"]():
        assert {name: (value.shape, value.dtype) for name, value in batch.items()} == asked["specs"]


ALONE = ["train_torch", "train_lightning", "train_huggingface", "train_numpy", "train_tf_data"]


@pytest.mark.parametrize("name", ALONE)
def test_each_runs_as_a_program(folder, tmp_path, name, monkeypatch, capsys, request):
    if name == "train_huggingface":
        request.getfixturevalue("offline")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(folder)])
    # In this process: to import the frameworks anew takes longer than to train.
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert "loss" in told
    assert float(told.split("held out: SDRi ")[1].split(" dB")[0]) > 0
