"""Captioned clips come back from shards as the pipeline wrote them; what is broken is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.errors import UserError

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
from caption_worlds import NOISE, RATE, SINE, clip, members, world, write

from trainers.clips.shards import Clips, Event


def test_a_clip_is_what_was_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    record = clip((SINE, NOISE), rng, "train")
    write(tmp_path / "train-00000-000.tar", {"a": members("a", record)})
    clips = Clips([tmp_path], "train")
    (found,) = clips.told
    np.testing.assert_array_equal(clips[0] * 32768, np.round(record["audio"] * 32768))
    assert (found.key, found.sample_rate, found.captions) == ("a", RATE, tuple(record["captions"]))
    assert found.labels == tuple(sorted((SINE, NOISE)))
    assert found.events == (Event(SINE, 0.0, 1.0), Event(NOISE, 1.0, 2.0))
    assert found.record["recording_id"] == "fs:a"


@pytest.mark.parametrize("state", ["partial", "inferred", "unknown"])
def test_labels_that_are_not_all_known_are_none_at_all(tmp_path: Path, state: str) -> None:
    world(tmp_path, {"train": 1}, state=state, events=[])
    (found,) = Clips([tmp_path], "train").told
    assert (found.labels, found.events) == (None, None)


def test_several_folders_are_read_one_after_the_other_and_those_without_the_split_are_passed_over(
    tmp_path: Path,
) -> None:
    first, second = world(tmp_path / "a", {"train": 2}), world(tmp_path / "b", {"test": 1})
    third = world(tmp_path / "c", {"train": 1, "val": 1})
    both = Clips([first, second, third], "train")
    assert [found.key for found in both.told] == ["train0", "train1", "train0"]
    assert [np.array_equal(both[0], both[number]) for number in range(3)] == [True, False, True]
    assert [found.key for found in Clips([third], None).told] == ["train0", "val0"]
    with pytest.raises(UserError, match=r"b: no shard of split 'train', only of test; name a folder that has one"):
        Clips([second], "train")


def test_a_finished_run_is_as_good_as_the_folder_of_its_caption_shards(demo: Path) -> None:
    (folder,) = (demo / "shards").glob("captions-*")
    assert Clips([demo], "train").told == Clips([folder], "train").told


def test_a_shard_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = world(tmp_path, {"train": 3}) / "train-00000-000.tar"
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(UserError, match="train-00000-000.tar: is cut short"):
        Clips([tmp_path], "train")


def changed(**values: Any) -> dict[str, bytes]:
    return members("a", clip((SINE,), np.random.default_rng(0), "train") | values)


FAULTS = {
    "has no member a.flac": {"json": changed()["json"]},
    "has no member a.json": {"flac": changed()["flac"]},
    "JSON lacks something .KeyError: 'labels'": changed(labels=None),
    "JSON lacks something .KeyError: 'captions'": changed(captions=None),
    "JSON lacks something .KeyError: 'onset_s'": changed(events=[{"class_id": SINE}]),
    "JSON lacks something .JSONDecodeError": {**changed(), "json": b"{"},
    "JSON lacks something .TypeError": {**changed(), "json": b"[1]"},
    "belongs to split 'test' but lies in a shard of 'train'": changed(split="test"),
    "a.flac: cannot be decoded": {**changed(), "flac": b"fLaC and then nothing"},
    "16000 Hz, not one channel at 8000 Hz": {**changed(), "json": changed()["json"].replace(b"16000", b"8000")},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sample_that_breaks_the_format_is_named_with_what_is_wrong(tmp_path: Path, fault: str) -> None:
    write(tmp_path / "train-00000-000.tar", {"a": FAULTS[fault]})
    with pytest.raises(UserError, match=fault) as caught:
        Clips([tmp_path], "train")[0]
    assert "train-00000-000.tar, sample a" in str(caught.value)
    assert "\n" not in str(caught.value)
