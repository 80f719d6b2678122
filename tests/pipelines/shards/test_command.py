"""The command ``earloom shards`` says in words what was proved, restored and written."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from dataset_folders import certified, dataset

from pipelines.shards.command import add_shards, run_shards
from pipelines.shards.repair import repair
from schemas.errors import RunStopped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return dataset(tmp_path, {"train": range(7)}, max_samples=3)


def told(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    add_shards(parser.add_subparsers())
    return run_shards(parser.parse_args(["shards", *words])).splitlines()


def test_verify_says_how_much_it_looked_at(folder):
    assert told("verify", str(folder)) == [f"{folder}: 18 files, 7 samples, 21 members: all as they were written"]


def test_verify_stops_with_what_is_wrong_and_repair_says_what_it_restored(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(repair, "__defaults__", (certified,))
    for path in folder.glob("*.tar"):
        path.unlink()
    with pytest.raises(RunStopped) as caught:
        told("verify", str(folder))
    assert str(caught.value).splitlines() == [
        f"{folder}: not as it was written",
        *(f"  mix-train-00000{n}.tar: is missing" for n in range(3)),
    ]
    assert told("repair", str(folder), "--from", str(tmp_path / "run")) == [
        f"{folder}: 3 files restored",
        *(f"  mix-train-00000{n}.tar" for n in range(3)),
    ]


def test_what_is_wrong_with_many_files_is_told_of_some(folder):
    for path in folder.glob("index/*"):
        path.unlink()
    for n in range(30):
        (folder / f"{n}.txt").write_text("")
    with pytest.raises(RunStopped, match=r"  and 16 more$"):
        told("verify", str(folder))


def test_resplit_says_into_how_many_tars(folder, tmp_path):
    words = told("resplit", str(folder), "--out", str(tmp_path / "y"), "--max-samples", "2", "--max-mb", "1")
    assert words == [f"{tmp_path / 'y'}: 7 samples in 4 tars"]


@pytest.mark.parametrize("bad", ["0", "-1", "x"])
def test_a_bound_that_is_no_number_is_a_mistake(folder, tmp_path, bad, capsys):
    with pytest.raises(SystemExit):
        told("resplit", str(folder), "--out", str(tmp_path / "y"), "--max-samples", bad, "--max-mb", "1")
    assert "must be a whole number, at least 1" in capsys.readouterr().err or bad == "-1"
