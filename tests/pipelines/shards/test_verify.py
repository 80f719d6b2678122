"""``earloom shards verify``: one altered byte anywhere is found, and said where."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from dataset_folders import dataset

from pipelines.core.workspace import TMP
from pipelines.shards.manifest import read_manifest, with_files
from pipelines.shards.verify import Fault, verify
from schemas.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return dataset(tmp_path, {"train": range(7), "val": range(7, 9)}, max_samples=3)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_sound_folder_is_counted_in_full(folder):
    proof = verify(folder)
    assert proof.faults == []
    assert (proof.samples, proof.members) == (9, 27)
    assert proof.files == sum(path.is_file() for path in folder.rglob("*"))


def test_one_altered_byte_in_any_file_is_found_and_named(folder):
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name == "manifest.json":
            continue
        whole = path.read_bytes()
        flip(path, len(whole) // 2)
        assert name in {fault.file for fault in verify(folder).faults}, name
        path.unlink()
        assert Fault(name, "is missing") in verify(folder).faults
        path.write_bytes(whole)
    assert verify(folder).faults == []


def test_an_altered_sample_is_named_with_its_member(folder):
    flip(folder / "mix-train-000001.tar", 700)
    whats = [fault.what for fault in verify(folder).faults]
    assert "has other bytes than were written" in whats
    assert any(
        re.fullmatch(r"sample mix-\w+, member mixture.flac: has other bytes than its index tells", what)
        for what in whats
    )


def test_an_altered_manifest_proves_nothing_and_says_so(folder):
    flip(folder / "manifest.json", 200)
    with pytest.raises(
        UserError, match=r"manifest.json: was altered; `earloom shards repair` takes it from another copy"
    ):
        verify(folder)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_folder_that_is_no_dataset_is_told(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no manifest.json; name a folder that"):
        verify(tmp_path / place)


def test_a_file_that_is_none_of_the_datasets_is_told_but_what_a_killed_repair_left_is_not(folder):
    (folder / f"{TMP}x.tar").write_bytes(b"half")
    assert verify(folder).faults == []
    (folder / "mix-train-000009.tar").write_bytes(b"")
    assert verify(folder).faults == [Fault("mix-train-000009.tar", "is no file of this dataset; remove it")]


def edited(folder: Path, change) -> set[tuple[str, str]]:
    """Seal a manifest that tells something else, as whoever alters a folder with care would, and return what is found."""
    manifest = read_manifest(folder)
    body = json.loads(json.dumps(manifest.told))
    change(body)
    (folder / "manifest.json").write_bytes(with_files(body, body["files"]).to_bytes())
    return {(fault.file, fault.what) for fault in verify(folder).faults}


def test_a_manifest_that_tells_other_counts_than_the_tars_is_found(folder):
    def fewer(body):
        body["files"]["mix-val-000000.tar"]["samples"] = 1

    assert edited(folder, fewer) == {
        ("mix-val-000000.tar", "holds 2 samples, not 1"),
        ("sizes.json", "tells other numbers of samples than the tars hold"),
    }


def test_bounds_that_a_tar_breaks_are_found(folder):
    def tight(body):
        body["bounds"] = {"samples": 2, "bytes": 9_000}

    found = edited(folder, tight)
    assert ("mix-train-000000.tar", "holds more than 2 samples") in found
    assert ("mix-train-000000.tar", "is larger than 9000 bytes") in found
    assert ("mix-train-000002.tar", "is larger than 9000 bytes") not in found, "one sample may be larger"


def test_a_tar_that_is_left_out_with_care_leaves_a_gap_in_the_numbers(folder):
    names = ["mix-train-000001.tar", "index/mix-train-000001.csv", "index/mix-train-000001.idx"]

    def without(body):
        for name in names:
            body["files"].pop(name)
            (folder / name).unlink()

    assert ("manifest.json", "names mix-train-000002.tar where mix-train-000001.tar is due") in edited(folder, without)


def test_a_sample_that_lies_in_two_tars_is_found(tmp_path):
    folder = dataset(tmp_path, {"train": range(2)}, max_samples=1)

    def twice(body):
        files = body["files"]
        for name in ("mix-train-{}.tar", "index/mix-train-{}.csv", "index/mix-train-{}.idx"):
            (folder / name.format("000001")).write_bytes((folder / name.format("000000")).read_bytes())
            files[name.format("000001")] = files[name.format("000000")]

    found = edited(folder, twice)
    assert [what for name, what in found if name == "mix-train-000001.tar"] == [
        "holds mix-0000000000000000, which an earlier tar holds too"
    ]


def test_a_folder_where_a_file_is_due_is_a_fault(folder):
    for name in ("mix-train-000000.tar", "index/mix-train-000001.csv", "index/mix-train-000001.idx", "sizes.json"):
        (folder / name).unlink()
        (folder / name).mkdir()
        assert Fault(name, "is a folder where a file is due; remove it") in verify(folder).faults
