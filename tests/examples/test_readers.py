"""Every reader that is shown reads every sample of a dataset folder once, to the integers that were rendered."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dataset_folders import dataset, heard

READERS = Path(__file__).parents[2] / "examples"
NEEDS = {"read_webdataset": "webdataset", "read_datasets": "datasets"}
ALL = ["read_plain", "read_webdataset", "read_datasets"]


@pytest.fixture(scope="module", params=["stored", "recipe"])
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    return dataset(root, {"train": range(23), "val": range(23, 25)}, request.param, max_samples=4)


def module(name: str) -> ModuleType:
    pytest.importorskip(NEEDS.get(name, "numpy"), reason=f"{NEEDS.get(name)} is not installed")
    spec = importlib.util.spec_from_file_location(f"example_{name}", READERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def proved(rows: list[dict[str, Any]], numbers: range) -> None:
    assert sorted(row["key"] for row in rows) == [f"mix-{number:016x}" for number in numbers]
    for row in rows:
        target, other = heard(int(row["key"].removeprefix("mix-"), 16))
        np.testing.assert_array_equal(row["target"], target)
        np.testing.assert_array_equal(row["mixture"], target + other)


def test_any_program(folder):
    proved(list(module("read_plain").samples(folder)), range(23))
    proved(list(module("read_plain").samples(folder, "val")), range(23, 25))
    with pytest.raises(FileNotFoundError, match=r"holds no mix-test-\*.tar"):
        list(module("read_plain").samples(folder, "test"))


@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [0, 10])
def test_webdataset(folder, workers, shuffle):
    reader = module("read_webdataset")
    from torch.utils.data import DataLoader

    rows: Any = DataLoader(reader.samples(folder, shuffle=shuffle), batch_size=None, num_workers=workers)
    proved([{**row, **{n: np.asarray(row[n]) for n in ("mixture", "target")}} for row in rows], range(23))


@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize(("world", "workers"), [(2, 0), (2, 2), (3, 3)])
def test_webdataset_gives_each_sample_once_over_ranks_and_workers_even_where_tars_are_too_few(
    folder, world, workers, monkeypatch
):
    reader = module("read_webdataset")
    from torch.utils.data import DataLoader

    monkeypatch.setenv("WORLD_SIZE", str(world))
    found = []
    for rank in range(world):
        monkeypatch.setenv("RANK", str(rank))
        rows: Any = DataLoader(reader.samples(folder, shuffle=10), batch_size=None, num_workers=workers)
        found += [row["key"] for row in rows]
    assert sorted(found) == [f"mix-{number:016x}" for number in range(23)]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    pytest.importorskip("datasets", reason="datasets is not installed")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_hugging_face_datasets(folder, offline):
    reader = module("read_datasets")
    if folder.parent.name.startswith("stored"):
        proved(list(reader.samples(folder)), range(23))
    rows = reader.load(folder, cache_dir=str(offline))
    assert len(rows) == 23
    assert rows[0]["json"]["query"] == "siren 0"
    assert rows[0]["json"]["sources"][1]["recording_id"] == "fs:1"
    assert len(reader.load(folder, "val", streaming=False, cache_dir=str(offline))) == 2


@pytest.mark.parametrize("name", ALL)
def test_each_runs_alone(folder, tmp_path, name):
    if name == "read_datasets" and folder.parent.name.startswith("recipe"):
        pytest.skip("it reads stored shards alone, as it says")
    pytest.importorskip(NEEDS.get(name, "numpy"), reason=f"{NEEDS.get(name)} is not installed")
    command = [sys.executable, str(READERS / f"{name}.py"), str(folder)]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(READERS.parent), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=env)
    assert len(ran.stdout.splitlines()) == 23
