"""The tagger's trainer learns from caption shards, repeats itself to the bit, and says what it cannot learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch
from caption_worlds import NOISE, SINE, world

from schemas.errors import UserError
from taggers.base import Waveform, hear
from taggers.crnn import Crnn, padded
from taggers.crnn_shape import Shape
from taggers.demo_tagger import DemoTagger
from trainers.captions import captioned
from trainers.features import overlaid, repeatable
from trainers.judge_tagger import table
from trainers.tagger import Example, _union, main, train
from trainers.targets import Target

FILES = ("config.json", "model.safetensors", "measures.json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder of shards and what the command made of it."""
    shards = world(tmp_path_factory.mktemp("tagger"), {"train": 48, "test": 16})
    out = shards / "out"
    assert main([str(shards), "--epochs", "16", "--out", str(out)]) == 0
    return shards, out


def test_it_learns_two_sounds_their_times_and_their_order(trained: tuple[Path, Path]) -> None:
    shards, out = trained
    listener = DemoTagger(out)
    listener.load("cpu")
    assert set(listener.shape.classes) == {SINE, NOISE}
    for clip in captioned(shards, "test"):
        (findings,) = hear(listener, [Waveform(clip.samples, clip.sample_rate)])
        events = [finding for finding in findings if finding.kind == "event"]
        assert [event.class_id for event in events] == [event.class_id for event in clip.events or ()]
        for event, true in zip(events, clip.events or (), strict=True):
            assert event.onset_s == pytest.approx(true.onset_s, abs=0.2)
            assert event.offset_s == pytest.approx(true.offset_s, abs=0.2)


def test_its_report_is_strict_json_and_says_what_was_measured(trained: tuple[Path, Path], capsys: Any) -> None:
    report = json.loads((trained[1] / "measures.json").read_text(), parse_constant=pytest.fail)
    measures = report["measures"]
    assert measures["tag_map"] == {"value": 1.0, "ci95": [1.0, 1.0], "n": 16, "chance": pytest.approx(0.75)}
    assert measures["event_f1"]["value"] == 1.0
    assert measures["event_f1"]["chance"] < 0.5
    assert (measures["order"]["n"], measures["order"]["value"]) == (8, 1.0)
    assert {*measures} <= {*report["variants"]}
    assert (report["split"], report["classes"]) == ("test", ["Sine wave", "White noise"])
    assert table(measures).splitlines()[1].split() == ["tag_map", "1.000", "[1.000,", "1.000]", "16", "0.750"]


def test_the_same_seed_gives_the_same_bytes_and_leaves_torch_as_it_was(tmp_path: Path) -> None:
    shards = world(tmp_path, {"train": 20, "val": 4})
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert main([str(shards), "--epochs", "1", "--out", str(tmp_path / out), "--seed", str(seed)]) == 0
    first, again, other = ([(tmp_path / out / file).read_bytes() for file in FILES] for out in "abc")
    assert first == again
    assert first[1] != other[1]
    assert torch.equal(before, torch.random.get_rng_state())
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, False)


def test_clips_at_another_rate_are_resampled(tmp_path: Path) -> None:
    from caption_worlds import clip, members, write

    rng = np.random.default_rng(0)
    clips = {f"c{n}": members(f"c{n}", clip((SINE,), rng, "train", 32000)) for n in range(8)}
    write(tmp_path / "train-00000-000.tar", clips)
    model = train(captioned(tmp_path, "train"), 1)
    assert model.shape.classes == (SINE,)


def bad_input(kind: str, folder: Path) -> list[str]:
    shards, counts = folder / "shards", {"train": 8, "test": 2}
    if kind == "no labels":
        world(shards, counts, state="inferred")
    elif kind == "no labels to measure on":
        world(world(shards, {"train": 8}), {"test": 2}, state="unknown")
    elif kind == "few clips":
        world(shards, {"train": 4, "test": 2})
    elif kind == "no split to measure on":
        world(shards, {"train": 8})
    elif kind == "damaged":
        world(shards, counts)
        (shards / "train-00000-000.tar").write_bytes(b"no tar")
    elif kind != "no such folder":
        world(shards, counts)
    return [str(shards), "--out", str(folder / "out"), "--epochs", "0" if kind == "no epochs" else "1"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no such folder", "no such folder; give"),
        ("no labels", "no clip of split test has publishers' labels"),
        ("no labels to measure on", "no clip of split test has publishers' labels"),
        ("few clips", "no class has 8 clips in split train"),
        ("no split to measure on", "no split test or val to measure on"),
        ("damaged", "is cut short, or not a tar"),
        ("no epochs", "--epochs 0: must be 1 or more"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, says: str
) -> None:
    assert main(bad_input(kind, tmp_path)) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_shards_without_labels_are_refused(tmp_path: Path) -> None:
    world(tmp_path, {"train": 8}, state="inferred")
    with pytest.raises(UserError, match="no clip of split train has publishers' labels that are all known"):
        train(captioned(tmp_path, "train"), 1)


def test_padding_does_not_change_what_is_attended_to() -> None:
    """Attention passes over padding; the recurrent layer alone, which reads backwards too, may feel it a little."""
    with repeatable(0), torch.inference_mode():
        model = Crnn(Shape((SINE, NOISE))).eval()
        short, long = torch.rand(61, 64), torch.rand(200, 64)
        batch, mask = padded([short, long])
        assert mask.sum(dim=1).tolist() == [32, 100]
        frames, wholes = model(batch, mask)
        alone, whole = model(short[None])
        assert torch.allclose(frames[0, :20], alone[0, :20], atol=5e-3)
        assert torch.allclose(wholes[0], whole[0], atol=2e-2)


def test_two_clips_add_up_in_power_and_in_truth() -> None:
    first, second = torch.ones(6, 64), 2.0 * torch.ones(4, 64)
    both = overlaid(first, second, 4)
    assert both[:, 0].tolist() == [1, 1, 1, 1, 3, 3, 2, 2]
    yes, no = np.array([True, False]), np.array([False, True])
    one = Example(first, Target(yes, np.array([True, True]), np.tile(yes, (4, 1)), np.array([True, True])))
    two = Example(second, Target(no, np.array([False, True]), np.tile(no, (2, 1)), np.array([False, True])))
    truth = _union(one.truth, two.truth, 2, 4)
    assert truth.holds.tolist() == [True, True]
    assert truth.known.tolist() == [True, True]  # what the first holds, both hold
    assert truth.timed.tolist() == [False, True]
    assert truth.frames is not None
    assert truth.frames[:, 1].tolist() == [False, False, True, True]
