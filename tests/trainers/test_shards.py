"""Mixtures come back from shards exactly, each once, in a repeatable order; broken shards are named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from schemas.errors import UserError

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
from dataset_folders import dataset, heard
from torch.utils.data import DataLoader

from trainers.shards import find_shards, mixtures

RATE = 8000


def encoded(samples: np.ndarray, rate: int, container: str) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, format=container, subtype="PCM_16")
    return buffer.getvalue()


def flac(samples: np.ndarray, rate: int = RATE) -> bytes:
    return encoded(samples, rate, "FLAC")


def pcm(key: str) -> tuple[np.ndarray, np.ndarray]:
    """Target and residual of a sample, a function of its key."""
    rng = np.random.default_rng(int(key.removeprefix("m")))
    target, residual = rng.integers(-16000, 16000, (2, 400), dtype=np.int16)
    return target, residual


def members(key: str, split: str = "train") -> dict[str, bytes]:
    target, residual = pcm(key)
    record = {
        "mixture_id": key,
        "split": split,
        "target_classes": ["/m/1"],
        "target_class_names": ["Siren"],
        "interferer_class_names": ["Rain"],
        "query": f"siren {key}",
        "instruction_extract": "keep the siren",
        "instruction_remove": "remove the rain",
        "snr_db": 3.0,
        "achieved_snr_db": 3.01,
        "sample_rate": RATE,
    }
    audio = {"mixture.flac": flac(target + residual), "target.flac": flac(target)}
    return {"json": json.dumps(record).encode(), **audio}


def write(path: Path, samples: dict[str, dict[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for key, files in samples.items():
            for name, data in files.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shard in range(3):
        keys = [f"m{10 * shard + i}" for i in range(5)]
        write(tmp_path / f"train-{shard:05d}-000.tar", {key: members(key) for key in keys})
    write(tmp_path / "val-00001-002.tar", {"m99": members("m99", "val")})
    (tmp_path / "train-00000-000.tar.json").write_text("{}")
    return tmp_path


def keys(folder: Path, *order: int) -> list[str]:
    return [sample.key for sample in mixtures(folder, "train", *order)]


STORED = [f"m{10 * shard + i}" for shard in range(3) for i in range(5)]


def test_without_a_seed_the_order_is_that_of_the_files(folder: Path) -> None:
    assert keys(folder) == STORED
    assert [sample.key for sample in mixtures(folder, "val")] == ["m99"]
    assert {split: len(paths) for split, paths in find_shards(folder).items()} == {"train": 3, "val": 1}


def test_samples_are_the_stored_integers_and_the_rest_of_the_mixture_is_exact(folder: Path) -> None:
    for sample in mixtures(folder, "train"):
        target, residual = pcm(sample.key)
        assert sample.mixture.dtype == sample.target.dtype == np.float32
        np.testing.assert_array_equal(sample.target * 32768, target)
        np.testing.assert_array_equal((sample.mixture - sample.target) * 32768, residual)
        assert (sample.sample_rate, sample.query) == (RATE, f"siren {sample.key}")
        assert sample.record["achieved_snr_db"] == 3.01


def test_seed_and_epoch_determine_the_order_and_nothing_is_lost(folder: Path) -> None:
    orders = [keys(folder, seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(sorted(order) == sorted(STORED) for order in orders)
    assert len({tuple(order) for order in orders}) == 9
    assert keys(folder, 2, 1) == orders[7]
    again = mixtures(folder, "train", 2, 1)
    assert [sample.key for sample in again] == [sample.key for sample in again] == orders[7]


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_loader_workers_share_the_shards_without_repeating_a_sample(folder: Path) -> None:
    loader = DataLoader(mixtures(folder, "train", 0), batch_size=None, num_workers=2)
    assert sorted(sample.key for sample in loader) == sorted(STORED)


@pytest.mark.parametrize("form", ["stored", "recipe", "wav"])
def test_a_dataset_folder_is_read_like_the_shards_of_a_run(tmp_path: Path, form: str) -> None:
    exported = dataset(tmp_path, {"train": range(5), "val": range(5, 6)}, form, max_samples=2)
    assert {split: len(paths) for split, paths in find_shards(exported).items()} == {"train": 3, "val": 1}
    read = {sample.key: sample for sample in mixtures(exported, "train", 0)}
    assert sorted(read) == [f"mix-{n:016x}" for n in range(5)]
    for n in range(5):
        target, other = heard(n)
        sample = read[f"mix-{n:016x}"]
        np.testing.assert_array_equal(sample.target * 32768, target)
        np.testing.assert_array_equal((sample.mixture - sample.target) * 32768, other)


def test_another_set_lies_under_its_own_name(tmp_path: Path) -> None:
    own = changed(set="hard")
    write(tmp_path / "hard_train-00000-000.tar", {"m1": own})
    write(tmp_path / "hard-val-000000.tar", {"m2": {**own, "json": own["json"].replace(b'"train"', b'"val"')}})
    assert list(find_shards(tmp_path)) == ["hard_val", "hard_train"]
    assert [sample.key for sample in mixtures(tmp_path, "hard_train")] == ["m1"]
    assert [sample.key for sample in mixtures(tmp_path, "hard_val")] == ["m2"]


def test_a_folder_may_have_any_name(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "mixtures, 50% #1 {a,b}::c d"
    odd.mkdir()
    write(odd / "train-00000-000.tar", {"m1": members("m1")})
    assert keys(odd) == ["m1"]


def test_missing_folders_shards_and_splits_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such folder; give"):
        find_shards(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no shard; give"):
        find_shards(tmp_path / "empty")
    with pytest.raises(UserError, match=r"no shard of split 'test', only of train, val; mix"):
        mixtures(folder, "test")


@pytest.mark.parametrize("kept", [0, 100, 512, 1024, 5000, -10240, -1])
def test_a_shard_that_was_cut_anywhere_is_refused(folder: Path, kept: int) -> None:
    path = folder / "train-00001-000.tar"
    whole = path.read_bytes().rstrip(b"\0") + bytes(600) if kept == -1 else path.read_bytes()[:kept]
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"train-00001-000.tar: is cut short, or not a tar"):
        keys(folder)


def test_a_shard_with_a_broken_header_is_refused(folder: Path) -> None:
    path = folder / "train-00001-000.tar"
    data = bytearray(path.read_bytes())
    data[100:140] = b"x" * 40
    path.write_bytes(data)
    with pytest.raises(UserError, match="shard cannot be read after sample m"):
        keys(folder)


def without(name: str) -> dict[str, bytes]:
    return {member: data for member, data in members("m1").items() if member != name}


def changed(**values: Any) -> dict[str, bytes]:
    record = {**json.loads(members("m1")["json"]), **values}
    return {**members("m1"), "json": json.dumps({k: v for k, v in record.items() if v is not None}).encode()}


TARGET = pcm("m1")[0]
FAULTS = {
    "has no member m1.target.flac": without("target.flac"),
    "has no member m1.mixture.flac": without("mixture.flac"),
    "has no member m1.json": without("json"),
    "JSON lacks something .KeyError: 'query'": changed(query=None),
    "JSON lacks something .JSONDecodeError": {**members("m1"), "json": b"{"},
    "JSON lacks something .TypeError": {**members("m1"), "json": b"[]"},
    "belongs to split 'test' but lies in a shard of 'train'": changed(split="test"),
    "mixture has 400 samples, target 399": {**members("m1"), "target.flac": flac(TARGET[:-1])},
    "target.flac: holds 400 samples, 1 channels, 8000 Hz, not one channel at 16000 Hz": {
        **changed(sample_rate=16000),
        "mixture.flac": flac(TARGET, 16000),
    },
    "mixture.flac: holds 400 samples, 2 channels": {
        **members("m1"),
        "mixture.flac": flac(np.stack([TARGET, TARGET], 1)),
    },
    "mixture.flac: cannot be decoded": {**members("m1"), "mixture.flac": flac(TARGET)[:-100]},
    "mixture.flac: holds 0 samples": {**members("m1"), "mixture.flac": encoded(TARGET[:0], RATE, "WAV")},
    "target.flac: cannot be decoded": {**members("m1"), "target.flac": b"fLaC and then nothing"},
    "cannot be mixed .KeyError: 'length'": {**members("m1"), "source0.flac": flac(TARGET)},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sample_that_breaks_the_format_is_named_with_what_is_wrong(tmp_path: Path, fault: str) -> None:
    write(tmp_path / "train-00000-000.tar", {"m0": members("m0"), "m1": FAULTS[fault]})
    with pytest.raises(UserError, match=fault) as caught:
        keys(tmp_path)
    assert "train-00000-000.tar, sample m1" in str(caught.value)
    assert "\n" not in str(caught.value)
