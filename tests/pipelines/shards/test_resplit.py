"""``earloom shards resplit``: the same samples in the same order, as if the run had been exported so."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_folders import certified, mixture, run_of

from pipelines.core.workspace import Workspace
from pipelines.publish.form import Options
from pipelines.publish.webdataset import export_mixtures
from pipelines.shards.folder import open_folder
from pipelines.shards.layout import Bounds
from pipelines.shards.resplit import resplit
from pipelines.shards.verify import verify
from schemas.errors import RunStopped, UserError


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Workspace:
    rows = [mixture(n, "val" if n % 5 == 0 else "train", "hard" if n % 3 == 0 else "mix") for n in range(20)]
    return run_of(tmp_path / "run", rows, max_samples=3)


@pytest.fixture
def folder(run: Workspace, tmp_path: Path) -> Path:
    export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    return tmp_path / "x"


def samples(folder: Path) -> dict[str, list[bytes]]:
    held = open_folder(folder)
    return {"-".join(group): [held.read(piece) for piece in held.pieces(group)] for group in held.groups()}


@pytest.mark.parametrize("bounds", [Bounds(1, 10**9), Bounds(100, 10**9), Bounds(100, 9_000), Bounds(5, 20_000)])
def test_the_same_samples_in_the_same_order_within_other_bounds(folder, tmp_path, bounds):
    before = contents(folder)
    manifest = resplit(folder, str(tmp_path / "y"), bounds)
    assert contents(folder) == before
    assert verify(tmp_path / "y").faults == []
    assert samples(tmp_path / "y") == samples(folder)
    assert manifest.bounds == bounds


def test_there_and_back_gives_the_same_bytes(folder, tmp_path):
    bounds = open_folder(folder).manifest.bounds
    resplit(folder, str(tmp_path / "y"), Bounds(7, 10**9))
    resplit(tmp_path / "y", str(tmp_path / "z"), bounds)
    assert contents(tmp_path / "z") == contents(folder)


def test_a_damaged_folder_is_not_split(folder, tmp_path):
    data = bytearray((folder / "mix-train-000001.tar").read_bytes())
    data[900] ^= 1
    (folder / "mix-train-000001.tar").write_bytes(data)
    with pytest.raises(RunStopped, match=r"mix-train-000001.tar: was altered or is missing; `earloom shards verify"):
        resplit(folder, str(tmp_path / "y"), Bounds(2, 10**9))
    assert not (tmp_path / "y").exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_folder_that_is_taken_is_refused(folder):
    with pytest.raises(UserError, match="is not empty; name a new folder"):
        resplit(folder, str(folder), Bounds(2, 10**9))
