"""What a tagger learns from: clips over and after one another, in batches of about one length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from caption_worlds import NOISE, SINE, world

from taggers.crnn import Crnn, padded
from taggers.crnn_shape import STRIDE, Shape
from trainers.clips.shards import Clips
from trainers.clips.spectra import overlaid
from trainers.tagger.examples import Example, LabelledExamples, union
from trainers.tagger.objective import TaggerObjective, mean_cross_entropy
from trainers.tagger.targets import Target


def examples(folder: Path, share: float = 0.0, count: int = 16) -> LabelledExamples:
    clips = Clips([world(folder, {"train": count})], "train")
    return LabelledExamples(clips, range(count), Shape(tuple(sorted((SINE, NOISE)))), share, 0)


def test_two_clips_add_up_in_power_and_in_truth() -> None:
    first, second = torch.ones(6, 64), 2.0 * torch.ones(4, 64)
    both = overlaid(first, second, 4)
    assert both[:, 0].tolist() == [1, 1, 1, 1, 3, 3, 2, 2]
    yes, no = np.array([True, False]), np.array([False, True])
    one = Target(yes, np.array([True, True]), np.tile(yes, (4, 1)), np.array([True, True]))
    two = Target(no, np.array([False, True]), np.tile(no, (2, 1)), np.array([False, True]))
    truth = union(one, two, 2, 4)
    assert truth.holds.tolist() == [True, True]
    assert truth.known.tolist() == [True, True]  # what the first holds, both hold
    assert truth.timed.tolist() == [False, True]
    assert truth.frames is not None
    assert truth.frames[:, 1].tolist() == [False, False, True, True]


def test_padding_does_not_change_what_is_attended_to() -> None:
    """Attention passes over padding; the recurrent layer alone, which reads backwards too, may feel it a little."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        model = Crnn(Shape((SINE, NOISE))).eval()
        short, long = torch.rand(61, 64), torch.rand(200, 64)
        batch, mask = padded([short, long])
        assert mask.sum(dim=1).tolist() == [32, 100]
        frames, wholes = model(batch, mask)
        alone, whole = model(short[None])
        assert torch.allclose(frames[0, :20], alone[0, :20], atol=5e-3)
        assert torch.allclose(wholes[0], whole[0], atol=2e-2)


def test_clips_are_overlaid_as_often_as_is_asked_for_and_their_truth_with_them(tmp_path: Path) -> None:
    single, some = examples(tmp_path), examples(tmp_path, 1.0)
    for number in range(4):
        assert len(single[0, number].power) == (51, 51, 101, 101)[number]
    drawn = [some[epoch, number] for epoch in range(8) for number in (0, 1)]
    assert any(example.truth.holds.all() for example in drawn)
    for example in drawn:
        assert example.truth.frames is not None
        assert len(example.truth.frames) == 2 * -(-len(example.power) // STRIDE)
        np.testing.assert_array_equal(example.truth.frames.any(axis=0), example.truth.holds)
    again = some[0, 0]
    assert torch.equal(again.power, drawn[0].power)


def test_an_order_is_a_permutation_of_batches_of_about_one_length(tmp_path: Path) -> None:
    some = examples(tmp_path, count=30)
    for number, clip in enumerate(some.clips.told):
        clip.record["duration_s"] = float(number)
    orders = [some.order(epoch, 4) for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert sorted(order) == list(range(30))
        spans = [max(order[at : at + 4]) - min(order[at : at + 4]) for at in range(0, 28, 4)]
        assert max(spans) == 3, "all 30 lie among the eight batches that are sorted"


def test_a_batch_holds_each_example_with_silence_behind(tmp_path: Path) -> None:
    some = examples(tmp_path)
    drawn = [some[0, 0], some[0, 2]]
    batch = some.collated(drawn)
    assert batch.powers.shape == (2, 104, 64)
    assert batch.mask.sum(dim=1).tolist() == [26, 52]
    assert not batch.powers[0, 51:].any()
    for row, example in enumerate(drawn):
        assert torch.equal(batch.powers[row, : len(example.power)], example.power)
        np.testing.assert_array_equal(batch.holds[row], example.truth.holds)
        assert example.truth.frames is not None
        np.testing.assert_array_equal(batch.heard[row, : len(example.truth.frames)], example.truth.frames)
        assert not batch.heard[row, len(example.truth.frames) :].any()


def test_a_loss_is_the_mean_over_what_is_known() -> None:
    logits = torch.tensor([[0.0, 2.0], [-1.0, 5.0]])
    truth, known = torch.tensor([[True, False], [False, True]]), torch.tensor([[True, True], [True, False]])
    by_hand = (np.log(2) + np.log1p(np.exp(2.0)) + np.log1p(np.exp(-1.0))) / 3
    assert mean_cross_entropy(logits, truth, known).item() == pytest.approx(by_hand, rel=1e-6)
    assert mean_cross_entropy(logits, truth, torch.zeros_like(known)).item() == 0.0


def test_silence_behind_all_teaches_no_frame(tmp_path: Path) -> None:
    some = examples(tmp_path)
    batch = some.collated([Example(torch.rand(8, 64), some[0, 0].truth), some[0, 2]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        losses = TaggerObjective(Crnn(some.shape)).eval()(*batch)
    assert set(losses) == {"clips", "frames"}
    assert all(loss.isfinite() for loss in losses.values())
    hidden = batch._replace(heard=batch.heard | ~batch.mask[:, :, None])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert TaggerObjective(Crnn(some.shape)).eval()(*hidden)["frames"] == losses["frames"]
