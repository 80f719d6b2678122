"""Mixtures by number, in an order that seed and epoch determine, over workers and ranks, each once, and on from where it stopped."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from dataset_folders import RATE, certified, dataset, heard, mixture, npy, run_of, sound
from torch.utils.data import DataLoader

from pipelines.core.tar import member
from pipelines.publish.form import Options
from pipelines.publish.outbox import Outbox
from pipelines.publish.webdataset import export_mixtures
from pipelines.shards.layout import Bounds, Group, Piece
from pipelines.shards.writing import write_samples
from schemas.errors import UserError
from trainers.loader import Loader, Mixtures, collated, order_of
from trainers.shards import Mixture

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("loader"), {"train": range(53), "val": range(53, 56)}, max_samples=7)


@dataclass
class Short:
    """Ten thousand mixtures of eight samples of sound, as a dataset folder takes its samples."""

    def groups(self) -> list[Group]:
        return [Group("mix", "train")]

    def pieces(self, group: Group) -> Iterator[Piece]:
        size = len(self.read(Piece("", "", 0, 0)))
        return (Piece(f"mix-{number:016x}", "", number, size) for number in range(10_000))

    def read(self, piece: Piece) -> bytes:
        key, sounds = f"mix-{piece.offset:016x}", sound(np.full(8, piece.offset, np.int16), "wav")
        facts = f'{{"query":"{key}","sample_rate":{RATE},"split":"train"}}'.encode()
        files = {"mixture.wav": sounds, "target.wav": sounds, "json": facts}
        return b"".join(member(f"{key}.{name}", data) for name, data in files.items())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    box = Outbox(root)
    sizes = write_samples(Short(), Bounds(512, 10**9), box, lambda group, found: None)
    (root / "sizes.json").write_text(json.dumps(sizes))
    box.close()
    return root


def number(key: str) -> int:
    return int(key.removeprefix("mix-"), 16)


def keys(loader: Loader) -> list[str]:
    return [key for batch in loader for key in batch.keys]


@pytest.mark.parametrize("form", ["stored", "recipe", "wav", "residual", "stems", "embedded"])
def test_a_mixture_by_its_number_is_the_integers_that_were_rendered(tmp_path, form):
    folder = dataset(tmp_path, {"train": range(9)}, form, max_samples=2)
    mixtures = Mixtures(folder, "train")
    assert len(mixtures) == 9
    for index in random.Random(0).sample(range(9), 9):
        sample = mixtures[index]
        target, other = heard(number(sample.key))
        np.testing.assert_array_equal(sample.target * 32768, target)
        np.testing.assert_array_equal((sample.mixture - sample.target) * 32768, other)
        assert sample.query == f"siren {number(sample.key)}"
        assert (sample.record["split"], sample.mixture.dtype) == ("train", np.float32)
    assert len({mixtures[index].key for index in range(9)}) == 9


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_ten_thousand_samples_come_exactly_once_in_each_pass_with_any_workers_and_ranks(large, workers, world):
    taken, steps = Counter[str](), set()
    for rank in range(world):
        loader = Loader(Mixtures(large, "train"), 250, seed=3, rank=rank, world=world, workers=workers)
        got = [batch.keys for batch in loader]
        taken.update(key for each in got for key in each)
        steps.add((len(got), len(loader)))
    assert len(taken) == 10_000
    assert set(taken.values()) == {1}
    assert len(steps) == 1, "every rank takes equally many steps, and as many as it says"


def test_the_order_is_a_function_of_seed_and_epoch_alone(folder):
    def orders(seed: int, workers: int = 0) -> list[list[str]]:
        loader = Loader(Mixtures(folder, "train"), 4, seed, workers=workers)
        return [keys(loader) for _ in range(3)]

    every = [*orders(0), *orders(1)]
    assert len({tuple(order) for order in every}) == 6
    assert all(sorted(order) == sorted(every[0]) for order in every)
    assert orders(1, workers=2) == every[3:]
    assert sorted(order_of(100, 5, 6)) == list(range(100))


@pytest.mark.parametrize("world", [2, 3, 4, 7])
def test_ranks_that_do_not_divide_the_samples_take_equal_steps_and_nothing_twice(folder, world):
    left = []
    for epoch in range(3):
        taken = []
        for rank in range(world):
            loader = Loader(Mixtures(folder, "train"), 4, 0, rank, world)
            loader.epoch = epoch
            own = keys(loader)
            assert len(own) == 53 // world
            taken += own
        assert len(set(taken)) == len(taken) == 53 // world * world
        left.append(frozenset(range(53)) - {number(key) for key in taken})
    assert world == 7 or len(set(left)) > 1, "what is left out is another in each pass"


@pytest.mark.parametrize("stop", [1, 5, 13])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 2)])
def test_a_training_that_stopped_goes_on_with_the_very_next_sample(folder, stop, before, after):
    whole = Loader(Mixtures(folder, "train"), 4, seed=9)
    undisturbed = [keys(whole) for _ in range(2)]
    loader = Loader(Mixtures(folder, "train"), 4, seed=9, workers=before)
    taken = []
    for step, batch in enumerate(loader, 1):
        taken += batch.keys
        if step == stop:
            break
    state = json.loads(json.dumps(loader.state_dict()))
    again = Loader(Mixtures(folder, "train"), 4, workers=after)
    again.load_state_dict(state)
    assert taken + keys(again) == undisturbed[0]
    assert keys(again) == undisturbed[1]


def test_a_state_of_the_end_of_a_pass_begins_the_next(folder):
    loader = Loader(Mixtures(folder, "train"), 53, seed=1)
    for _ in loader:
        state = loader.state_dict()
    assert state == {"seed": 1, "epoch": 1, "taken": 0, "mixtures": 53}


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 1), (1, 2)])
def test_a_training_may_go_on_with_other_ranks_and_takes_nothing_twice(folder, before, after):
    taken = []
    for rank in range(before):
        loader = Loader(Mixtures(folder, "train"), 4, 2, rank, before)
        batches = iter(loader)
        taken += [key for _ in range(3) for key in next(batches).keys]
        state = loader.state_dict()
    for rank in range(after):
        loader = Loader(Mixtures(folder, "train"), 4, 2, rank, after)
        loader.load_state_dict(state)
        taken += keys(loader)
        assert loader.epoch == 1
    assert len(set(taken)) == len(taken)
    assert len(taken) > 53 - after


def test_more_ranks_than_samples_are_left_end_the_pass(folder):
    loader = Loader(Mixtures(folder, "train"), 52, 2)
    next(iter(loader))
    other = Loader(Mixtures(folder, "train"), 4, 2, 0, 4)
    other.load_state_dict(loader.state_dict())
    assert keys(other) == []
    assert (other.epoch, len(keys(other))) == (1, 13)


def test_sets_of_mixtures_lie_apart(tmp_path):
    rows = [*(mixture(n) for n in range(3)), *(mixture(n, name="hard") for n in range(3, 8))]
    export_mixtures(run_of(tmp_path / "run", rows), str(tmp_path / "x"), Options(), certified)
    assert {number(Mixtures(tmp_path / "x", "train", "hard")[n].key) for n in range(5)} == set(range(3, 8))
    with pytest.raises(UserError, match=r"holds no easy-train, only hard-train, mix-train"):
        Mixtures(tmp_path / "x", "train", "easy")


def test_a_dataset_may_be_sent_to_another_process_while_files_are_open(folder):
    mixtures = Mixtures(folder, "train")
    first = mixtures[0]
    assert pickle.loads(pickle.dumps(mixtures))[0].key == first.key


def test_any_dataloader_takes_it_by_number(folder):
    loader: Any = DataLoader(Mixtures(folder, "val"), batch_size=2, num_workers=1, collate_fn=collated)
    assert sorted(number(key) for batch in loader for key in batch.keys) == [53, 54, 55]
    with pytest.raises(IndexError):
        Mixtures(folder, "val")[3]


def test_a_batch_holds_what_its_samples_hold(folder):
    samples = [Mixtures(folder, "train")[n] for n in range(3)]
    batch = collated(samples)
    assert batch.mixture.shape == batch.target.shape == (3, 400)
    for n, sample in enumerate(samples):
        np.testing.assert_array_equal(batch.mixture[n].numpy(), sample.mixture)
        np.testing.assert_array_equal(batch.target[n].numpy(), sample.target)
        assert (batch.keys[n], batch.queries[n], batch.records[n]) == (sample.key, sample.query, sample.record)


def test_what_an_embedder_told_of_query_and_target_comes_with_the_sample(tmp_path):
    folder = dataset(tmp_path, {"train": range(3)}, "embedded")
    for number, sample in enumerate(sorted(Mixtures(folder, "train"), key=lambda each: each.key)):
        for name in ("query.npy", "target.npy"):
            assert sample.record[name] == npy(number)


def test_lengths_that_differ_make_no_batch(folder):
    first, second = (Mixtures(folder, "train")[n] for n in range(2))
    short = type(second)(second.key, second.query, second.mixture[:100], second.target[:100], 8000, second.record)
    with pytest.raises(UserError, match="a batch is of one length and rate"):
        collated([first, short])


def test_mistakes_are_told_in_one_line(folder, tmp_path):
    for act, words in (
        (lambda: Mixtures(tmp_path, "train"), "holds no sizes.json; name a folder that `earloom export` made"),
        (lambda: Mixtures(folder, "test"), "holds no mix-test, only mix-train, mix-val"),
        (lambda: Loader(Mixtures(folder, "val"), 1, rank=0, world=4), "3 mixtures are too few for 4 ranks"),
        (lambda: Loader(Mixtures(folder, "val"), 0), "a batch has 1 at least"),
        (lambda: Loader(Mixtures(folder, "val"), 1, rank=2, world=2), "a rank lies in"),
        (
            lambda: Loader(Mixtures(folder, "val"), 1).load_state_dict({"mixtures": 53}),
            "the state is of 53 mixtures, here are 3",
        ),
    ):
        with pytest.raises(UserError, match=words):
            act()


@pytest.mark.parametrize("what", ["mix-train-000000.tar", "index/mix-train-000000.csv"])
@pytest.mark.parametrize("how", ["missing", "cut"])
def test_what_is_damaged_is_named_with_the_command_that_says_more(tmp_path, what, how):
    folder = dataset(tmp_path, {"train": range(3)})
    if how == "missing":
        (folder / what).unlink()
    else:
        (folder / what).write_bytes((folder / what).read_bytes()[: 1200 if "tar" in what else 100])
    with pytest.raises(
        UserError, match=rf"{Path(what).name} is missing or damaged; `earloom shards verify .*` says more"
    ):
        Mixtures(folder, "train")[2]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_damaged_is_told_in_one_line_whoever_reads_it(tmp_path, workers):
    folder = dataset(tmp_path, {"train": range(8)})
    (folder / "mix-train-000000.tar").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"^\S+: mix-train-000000.tar is missing or damaged; `earloom shards verify \S+` says more$"
    ):
        for _ in Loader(Mixtures(folder, "train"), 2, workers=workers):
            pass


def same(batch: Any, mixtures: Mixtures) -> None:
    known = {number(mixtures[at].key): mixtures[at] for at in range(len(mixtures))}
    for row, key in enumerate(batch.keys):
        sample = known[number(key)]
        assert batch.records[row] == sample.record
        np.testing.assert_array_equal(batch.mixture[row].numpy(), sample.mixture)
        np.testing.assert_array_equal(batch.target[row].numpy(), sample.target)


@pytest.mark.parametrize("form", ["stored", "recipe", "wav", "residual", "stems"])
def test_batches_hold_what_mixtures_are_by_number(tmp_path, form):
    mixtures = Mixtures(dataset(tmp_path, {"train": range(9)}, form, max_samples=4), "train")
    for batch in Loader(mixtures, 4):
        assert (batch.mixture.dtype, batch.mixture.shape[1]) == (torch.float32, 400)
        assert batch.mixture.is_contiguous()
        same(batch, mixtures)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "kept", [lambda batch: batch, lambda batch: (batch.keys, batch.mixture.numpy()[1:], batch.target[0, 5:])]
)
def test_memory_is_used_again_but_never_while_anything_refers_to_it(folder, workers, kept):
    mixtures = Mixtures(folder, "train")
    loader, held = Loader(mixtures, 4, seed=2, workers=workers), []
    for _ in range(3):
        held += [kept(batch) for batch in loader]
    expected = [kept(batch) for batch in Loader(mixtures, 4, seed=2)]
    for mine, other in zip(held, expected, strict=False):
        if isinstance(mine, tuple):
            assert mine[0] == other[0]
            np.testing.assert_array_equal(mine[1], other[1])
            np.testing.assert_array_equal(mine[2], other[2])
        else:
            same(mine, mixtures)
    del held, expected
    places = [batch.mixture.data_ptr() for _ in range(3) for batch in loader]
    assert len(places) == 3 * 14
    assert len(set(places)) <= 2 + 2 * workers


def test_a_pass_that_was_left_leaves_nothing_to_the_next(folder):
    mixtures = Mixtures(folder, "train")
    loader = Loader(mixtures, 4, workers=2)
    first = next(iter(loader))
    rest = list(loader)
    assert [key for batch in (first, *rest) for key in batch.keys] == keys(Loader(mixtures, 4))
    for batch in (first, *rest):
        same(batch, mixtures)


class Others(Mixtures):
    """Mixtures that come from elsewhere, the first of them shorter than the rest."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, number: int, room: Any = None) -> Mixture:
        sound = np.full(self.lengths[number], number, np.float32)
        return Mixture(f"{number}", "", sound, -sound, RATE, {})


@pytest.mark.parametrize("workers", [0, 1])
def test_mixtures_that_are_read_in_a_way_of_their_own_are_loaded_as_any(workers):
    others = Others([40] * 10)
    for batch in Loader(others, 3, workers=workers):
        for key, mixed, target in zip(batch.keys, batch.mixture, batch.target, strict=True):
            assert mixed.tolist() == [float(key)] * 40
            assert target.tolist() == [-float(key)] * 40


def test_batches_of_other_lengths_than_the_first_are_whole_and_of_two_lengths_are_refused():
    order = order_of(6, 0, 0)
    lengths = [0] * 6
    for place, at in enumerate(order):
        lengths[at] = 40 if place < 2 else 70
    assert [batch.mixture.shape for batch in Loader(Others(lengths), 2)] == [(2, 40), (2, 70), (2, 70)]
    with pytest.raises(UserError, match="a batch is of one length and rate"):
        list(Loader(Others(lengths), 3))


def test_a_process_ends_without_a_word_about_files_that_were_open(folder):
    code = f"from trainers.loader import Mixtures; import sys; m = Mixtures({str(folder)!r}, 'train'); m[0]; sys.m = m"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert ran.stderr == ""
