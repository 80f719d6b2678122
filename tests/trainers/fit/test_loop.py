"""The training loop: what it keeps, going on after a kill with the same bytes, and the same result over two processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
import soundfile
import torch
from dataset_folders import dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_toys import ToyTask, train_alone, train_rank, train_toy

from pipelines.core.workspace import Workspace
from schemas.errors import RunStopped, UserError
from trainers.fit.checkpoint import latest, read_weights
from trainers.fit.history import read_history

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")

STEPS = 24
SAME = ("history.jsonl", "best.safetensors", "last.safetensors", f"checkpoints/step-{STEPS:09d}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("toys"), {"train": range(24), "val": range(24, 29)}, max_samples=7)


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    process(train_alone, ToyTask(folder), out, STEPS)
    return out


def processes() -> Any:
    # Forked from a process that has loaded all but never computed: what torch has started does not outlive a fork.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training_toys"])
    return context


def process(act: Any, *arguments: Any) -> None:
    child = processes().Process(target=act, args=arguments)
    child.start()
    child.join()
    assert child.exitcode == 0


def held(path: Path) -> Any:
    """Return what a file holds; of a checkpoint its tensors and values."""
    return torch.load(path, weights_only=True) if path.suffix == ".pt" else path.read_bytes()


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.mark.parametrize(("workers", "kills"), [(0, 4), (2, 1)])
def test_killed_at_random_steps_and_begun_again_it_ends_with_the_bytes_of_an_undisturbed_one(
    folder, undisturbed, tmp_path, workers, kills
):
    draw, ends = random.Random(workers), 0
    for stop in sorted(draw.sample(range(2, STEPS), kills)):
        taken = processes().Value("i", 0)
        done = (latest(Workspace(str(tmp_path))) or {"step": 0})["step"]
        child = processes().Process(target=train_alone, args=(ToyTask(folder, taken=taken), tmp_path, STEPS, workers))
        child.start()
        while taken.value < stop - done and child.is_alive():
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        ends += child.exitcode == -signal.SIGKILL
    assert ends == kills, "each was killed at work"
    process(train_alone, ToyTask(folder), tmp_path, STEPS, workers)
    for name in SAME:
        assert equal(held(tmp_path / name), held(undisturbed / name)), name


def test_what_is_stopped_by_its_steps_goes_on_and_takes_every_sample_as_often(folder, tmp_path, undisturbed):
    task = ToyTask(folder)
    for steps in (5, 9, STEPS):
        train_toy(task, tmp_path, steps)
    taken = [key for keys in task.keys for key in keys]
    assert len(taken) == STEPS * 4
    assert all(sorted(taken[at : at + 24]) == sorted(set(taken)) for at in range(0, len(taken), 24))
    assert equal(held(tmp_path / SAME[2]), held(undisturbed / SAME[2]))


def test_two_processes_take_every_sample_once_and_end_where_one_does_with_the_same_batch(folder, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    train_toy(task := ToyTask(folder, dropout=0.0), one, 12)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        processes().Process(target=train_rank, args=(ToyTask(folder, dropout=0.0), two, 12, rank, 2, port))
        for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0
    steps = [[line.split() for line in (two / f"keys-{rank}.txt").read_text().splitlines()] for rank in range(2)]
    assert len(steps[0]) == len(steps[1]) == 12, "both take equally many steps"
    for own, both in zip(task.keys, zip(*steps, strict=True), strict=True):
        assert sorted(own) == sorted(both[0] + both[1]), "and together those that one takes"
    for at in range(0, 12, 6):
        passed = [key for rank in steps for keys in rank[at : at + 6] for key in keys]
        assert len(passed) == len(set(passed)) == 24
    alone, shared = (read_weights(out / "last.safetensors")[2] for out in (one, two))
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-6)
    losses = [[line["loss"] for line in read_history(out) if "loss" in line] for out in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    judged = [[line["judged"] for line in read_history(out) if "judged" in line] for out in (one, two)]
    assert [each["mixtures"] for each in judged[1]] == [5, 5], "held-out items are shared, none counts twice"


def test_what_a_training_leaves_behind(folder, undisturbed):
    history = read_history(undisturbed)
    logged, judged = ([line for line in history if name in line] for name in ("loss", "judged"))
    assert [line["step"] for line in logged] == [3, 6, 9, 12, 15, 18, 21, 24]
    assert [line["step"] for line in judged] == [7, 14, 21, 24], "the last step is judged as well"
    assert logged[-1]["loss"] < logged[0]["loss"]
    assert logged[0]["loss"] == pytest.approx(sum(logged[0]["losses"].values()))
    assert [line["rate"] for line in logged[:2]] == pytest.approx([0.75e-2, 1e-2]), "warm-up over 4 steps"
    assert sorted(path.name for path in (undisturbed / "checkpoints").iterdir()) == [
        "step-000000020.pt",
        "step-000000024.pt",
    ]
    config, told, weights = read_weights(undisturbed / "last.safetensors")
    assert config["name"] == "toy"
    assert told == {"toy": "yes", "another": "key"}
    state = held(undisturbed / SAME[3])
    assert equal(weights, dict(state["average"])), "what is left is the average"
    assert not equal(weights, dict(state["module"]))
    (sound,) = (undisturbed / "sounds").iterdir()
    assert {path.name for path in sound.iterdir()} == {"asked.txt", "mixture.wav", "answer.wav"}
    samples, rate = soundfile.read(sound / "answer.wav")
    assert (len(samples), rate) == (400, 8000)
    board = EventAccumulator(str(undisturbed / "tensorboard")).Reload()
    assert {"train/loss", "train/losses/answer", "held_out/watched", "speed/data_wait_share"} <= set(
        board.Tags()["scalars"]
    )
    assert [event.step for event in board.Scalars("train/loss")] == [line["step"] for line in logged]
    assert board.Tags()["audio"] == [f"{sound.name}/answer"]


class Contrary(ToyTask):
    """Watches the error as if it were better the larger it is, so that the first judgement is the best."""

    def summary(self, rows):
        return {"watched": -super().summary(rows)["watched"]}


def test_the_best_weights_are_of_the_judgement_that_was_best(folder, tmp_path):
    train_toy(task := Contrary(folder), tmp_path, 21)
    judged = [line["judged"]["watched"] for line in read_history(tmp_path) if "judged" in line]
    assert max(judged) == judged[0] > judged[-1]
    module = task.build().eval()
    module.load_state_dict(read_weights(tmp_path / "best.safetensors")[2])
    with torch.no_grad():
        assert task.summary(task.judge(module, 0, 1))["watched"] == pytest.approx(judged[0], rel=1e-6)


def test_a_loss_that_is_no_number_stops_the_training_before_it_is_kept(folder, tmp_path):
    with pytest.raises(RunStopped, match="step 9: loss or gradient is no number any more"):
        train_toy(ToyTask(folder, fault=8), tmp_path, STEPS)
    state = latest(Workspace(str(tmp_path)))
    assert state is not None
    assert state["step"] == 5
    assert all(value.isfinite().all() for value in state["module"].values())


def test_a_folder_of_another_training_is_refused_by_the_key_that_differs(folder, tmp_path):
    train_toy(ToyTask(folder), tmp_path, 5)
    with pytest.raises(UserError, match=r"was begun otherwise \(fit.rate: 0.01 then, 0.1 now\)"):
        train_toy(ToyTask(folder), tmp_path, 9, rate=0.1)
    with pytest.raises(UserError, match=r"fit.steps: 4 are fewer than the 5 that are done"):
        train_toy(ToyTask(folder), tmp_path, 4)


def test_a_checkpoint_that_is_damaged_is_named_and_the_one_before_is_there(folder, tmp_path):
    train_toy(ToyTask(folder), tmp_path, 10)
    newest = tmp_path / "checkpoints" / "step-000000010.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.raises(UserError, match="step-000000010.pt: cannot be read .* remove it to go on from the one before"):
        train_toy(ToyTask(folder), tmp_path, 12)
    newest.unlink()
    train_toy(task := ToyTask(folder), tmp_path, 12)
    assert len(task.keys) == 7


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line_and_costs_nothing_that_was_kept(folder, tmp_path, monkeypatch, code):
    undone = os.replace

    def replaced(source, destination):
        if str(destination).endswith("step-000000015.pt"):
            raise OSError(code, os.strerror(code))
        undone(source, destination)

    monkeypatch.setattr(os, "replace", replaced)
    with pytest.raises(RunStopped, match=rf"^{tmp_path}: {os.strerror(code)}; mend it and run the same command again$"):
        train_toy(ToyTask(folder), tmp_path, STEPS)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-000000005.pt",
        "step-000000010.pt",
    ]
    monkeypatch.undo()
    train_toy(task := ToyTask(folder), tmp_path, STEPS)
    assert len(task.keys) == STEPS - 10


def test_what_a_kill_left_unfinished_is_swept(folder, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    left = tmp_path / "checkpoints" / ".tmp-0123-step-000000005.pt"
    left.write_bytes(b"half")
    train_toy(ToyTask(folder), tmp_path, 3)
    assert not left.exists()
