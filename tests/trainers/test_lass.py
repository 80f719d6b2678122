"""The small separator learns from shards, obeys its query, repeats itself, and says what went wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from trainers.measures.separation import sdr, sdr_improvement

pytest.importorskip("webdataset", reason="the extra `train` is not installed")
import torch

from trainers import lass
from trainers.lass import evaluate, load, main, save, separate, summarise, table, train
from trainers.shards import mixtures

RATE = 8000
NAMES = ("a steady tone", "noise hisses")


def source(name: str, rng: np.random.Generator) -> np.ndarray:
    """One second at RMS 0.1."""
    time = np.arange(RATE) / RATE
    tone = np.sqrt(2) * np.sin(2 * np.pi * rng.uniform(300, 2000) * time)
    return 0.1 * (tone if name == NAMES[0] else rng.standard_normal(RATE))


def write(folder: Path, split: str, count: int, seed: int, rate: int = RATE) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{split}-00000-000.tar", "w") as tar:
        for i in range(count):
            wanted, other = NAMES if i % 2 else NAMES[::-1]
            snr = rng.uniform(-5, 5)
            target = np.round(32768 * source(wanted, rng)).astype(np.int16)
            mixture = target + np.round(32768 * source(other, rng) / 10 ** (snr / 20)).astype(np.int16)
            record = {"split": split, "query": wanted, "snr_db": snr, "sample_rate": rate}
            files = {"json": json.dumps(record).encode()}
            for name, samples in {"mixture": mixture, "target": target}.items():
                buffer = io.BytesIO()
                sf.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
                files[f"{name}.flac"] = buffer.getvalue()
            for name, data in files.items():
                info = tarfile.TarInfo(f"{split}{i}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("lass"), "train", 16, seed=1)
    return write(folder, "val", 6, seed=2)


@pytest.fixture(scope="module")
def model(shards: Path) -> lass.Separator:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lass, "CROP_S", 1.0)  # as long as the mixtures: a crop of 2 s would be half zeros
        return train(shards, steps=60)


def test_it_learns_two_classes_and_carries_over_to_mixtures_that_it_never_saw(
    shards: Path, model: lass.Separator
) -> None:
    for split in ("train", "val"):
        results = evaluate(model, shards, split)
        mean = {system: row["sdri"]["mean"] for system, row in results.items()}
        assert mean["separator"] > 6
        assert mean["ideal_ratio_mask"] > 12
        assert mean["mixture"] == 0
        snr = [sample.record["snr_db"] for sample in mixtures(shards, split)]
        assert mean["silence"] == pytest.approx(-np.mean(snr), abs=0.1)
        assert results["silence"]["si_sdri"] == {"n": len(snr), "finite": 0, "mean": None, "ci95": None}


def test_another_query_takes_the_other_source_out_of_the_same_mixture(shards: Path, model: lass.Separator) -> None:
    for sample in mixtures(shards, "val"):
        other = NAMES[sample.query == NAMES[0]]
        rest = sample.mixture - sample.target
        assert sdr_improvement(separate(model, sample.mixture, other), rest, sample.mixture) > 3
        assert sdr(separate(model, sample.mixture, other), sample.target) < 1


def test_the_estimate_follows_the_gain_of_the_mixture(shards: Path, model: lass.Separator) -> None:
    sample = next(iter(mixtures(shards, "val")))
    estimate = separate(model, sample.mixture, sample.query)
    assert estimate.shape == sample.mixture.shape
    assert estimate.dtype == np.float32
    assert sdr(separate(model, sample.mixture / 16, sample.query) * 16, estimate) > 60
    assert not separate(model, np.zeros(100, np.float32), sample.query).any()


def test_words_that_training_never_saw_say_nothing(shards: Path, model: lass.Separator) -> None:
    sample = next(iter(mixtures(shards, "val")))
    unseen = separate(model, sample.mixture, "zebra xylophone")
    np.testing.assert_array_equal(unseen, separate(model, sample.mixture, ""))
    assert lass.word_buckets("A dog barks, twice!") == lass.word_buckets("a DOG barks twice")
    assert len(lass.word_buckets("собака лает")) == 2


def test_the_same_seed_gives_the_same_weights_bit_for_bit(shards: Path) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (train(shards, 3, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("installed", [True, False])
def test_a_saved_separator_gives_the_same_estimates_with_and_without_safetensors(
    shards: Path, model: lass.Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if installed:
        pytest.importorskip("safetensors")
    else:
        monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    save(model, tmp_path)
    assert (tmp_path / "model.safetensors").exists() == installed
    sample = next(iter(mixtures(shards, "val")))
    estimate = separate(load(tmp_path), sample.mixture, sample.query)
    np.testing.assert_array_equal(estimate, separate(model, sample.mixture, sample.query))


def test_the_command_prints_a_table_and_writes_results_that_strict_json_reads(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert main([str(shards), "--steps", "2", "--out", str(out), "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    report = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    assert (report["split"], report["n"], report["sample_rate"], report["seed"]) == ("val", 6, RATE, 3)
    assert table(report["systems"]) in printed
    assert {*report["systems"], *report["systems"]["mixture"]} <= {*report["variants"]}
    sample = next(iter(mixtures(shards, "val")))
    retrained = separate(train(shards, 2, 3), sample.mixture, sample.query)
    np.testing.assert_array_equal(separate(load(out), sample.mixture, sample.query), retrained)
    low, high = report["systems"]["separator"]["sdri"]["ci95"]
    assert low < report["systems"]["separator"]["sdri"]["mean"] < high


def test_without_val_it_measures_on_test(tmp_path: Path) -> None:
    shards = write(write(tmp_path / "shards", "train", 2, seed=1), "test", 1, seed=2)
    assert main([str(shards), "--steps", "1", "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["split"] == "test"


def test_summaries_count_what_has_no_mean_and_do_not_hide_it() -> None:
    assert summarise([2.0] * 5) == {"n": 5, "finite": 5, "mean": 2.0, "ci95": [2.0, 2.0]}
    assert summarise([1.0, -np.inf, np.nan]) == {"n": 3, "finite": 1, "mean": 1.0, "ci95": None}
    assert summarise([np.nan]) == {"n": 1, "finite": 0, "mean": None, "ci95": None}
    row = {"sdri": summarise([1.0, np.nan]), "si_sdri": summarise([-np.inf])}
    cells = table({"x": row}).splitlines()[1].split()
    assert cells == ["x", "1.00", "(1", "of", "2)", "none", "finite", "(0", "of", "1)"]


def test_the_bootstrap_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    summary = summarise(list(values))
    half_width = 1.96 * values.std() / np.sqrt(400)
    expected = [summary["mean"] - half_width, summary["mean"] + half_width]
    np.testing.assert_allclose(summary["ci95"], expected, atol=4 * half_width / np.sqrt(lass.RESAMPLES))


def bad_input(kind: str, folder: Path) -> list[str]:
    shards = folder / "shards"
    if kind == "no such folder":
        return [str(shards), "--out", str(folder / "out")]
    write(shards, "train", 2, seed=1)
    if kind == "no train":
        (shards / "train-00000-000.tar").rename(shards / "val-00000-000.tar")
    elif kind == "empty train":
        write(write(shards, "val", 1, seed=2), "train", 0, seed=1)
    elif kind == "empty val":
        write(shards, "val", 0, seed=2)
    elif kind == "other rate":
        write(shards, "val", 1, seed=2, rate=16000)
    elif kind != "no val":
        write(shards, "val", 1, seed=2)
    (folder / "file").write_text("")
    out = folder / "file" / "out" if kind == "out in a file" else folder / "out"
    return [str(shards), "--out", str(out), "--steps", "0" if kind == "no steps" else "1"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no such folder", "no such folder; give"),
        ("no val", "no split val or test to measure on, only train; mix"),
        ("no train", "no shard of split 'train', only of val; mix"),
        ("empty train", "split train holds no mixture; mix"),
        ("empty val", "split val holds no mixture; mix"),
        ("other rate", "is at 16000 Hz, others at 8000; use one rate"),
        ("out in a file", "cannot be made (Not a directory); name another folder"),
        ("no steps", "--steps 0: must be 1 or more"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, says: str
) -> None:
    assert main(bad_input(kind, tmp_path)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_module_runs_from_the_command_line(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    command = [sys.executable, "-m", "trainers.lass", str(nowhere), "--out", str(tmp_path / "out")]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lass: shards {nowhere}: no such folder; give")
    assert done.stderr.count("\n") == 1
