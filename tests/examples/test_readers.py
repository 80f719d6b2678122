"""Every reader that is shown reads every sample of a dataset folder once, to the integers that were rendered."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dataset_folders import dataset, heard

READERS = Path(__file__).parents[2] / "examples" / "readers"
NEEDS = {"with_webdataset": "webdataset", "with_torch": "webdataset", "with_datasets": "datasets"}
ALL = ["plain_tar", "with_webdataset", "with_torch", "with_datasets", "with_tf_data"]


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


def proved(rows: list[dict[str, Any]], numbers: range, scale: int = 1) -> None:
    assert sorted(row["key"] for row in rows) == [f"mix-{number:016x}" for number in numbers]
    for row in rows:
        target, other = heard(int(row["key"].removeprefix("mix-"), 16))
        np.testing.assert_array_equal(row["target"] * scale, target)
        np.testing.assert_array_equal(row["mixture"] * scale, target + other)


def test_plain_tar(folder):
    proved(list(module("plain_tar").samples(folder)), range(23))
    proved(list(module("plain_tar").samples(folder, "val")), range(23, 25))
    with pytest.raises(FileNotFoundError, match=r"holds no mix-test-\*.tar"):
        list(module("plain_tar").samples(folder, "test"))


@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [0, 10])
def test_webdataset(folder, workers, shuffle):
    reader = module("with_webdataset")
    from torch.utils.data import DataLoader

    rows: Any = DataLoader(reader.samples(folder, shuffle=shuffle), batch_size=None, num_workers=workers)
    proved([{**row, **{n: np.asarray(row[n]) for n in ("mixture", "target")}} for row in rows], range(23))


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_torch_over_two_ranks_and_two_workers(folder, monkeypatch):
    reader = module("with_torch")
    monkeypatch.setenv("WORLD_SIZE", "2")
    rows = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        loader = reader.loader(folder)
        assert len(loader) == 3
        for batch in loader:
            both = zip(batch.keys, batch.mixture.numpy(), batch.target.numpy(), strict=True)
            rows += [{"key": key, "mixture": mixture, "target": target} for key, mixture, target in both]
    assert len(rows) == len({row["key"] for row in rows}) == 22
    missing = set(range(23)) - {int(row["key"].removeprefix("mix-"), 16) for row in rows}
    assert len(missing) == 1
    for row in rows:
        target, other = heard(int(row["key"].removeprefix("mix-"), 16))
        np.testing.assert_array_equal(row["mixture"] * 32768, target + other)


def test_torch_goes_on_where_it_was_killed(folder, tmp_path):
    reader = module("with_torch")
    state = tmp_path / "loader.json"
    undisturbed = reader.train(reader.loader(folder, workers=0), tmp_path / "other.json", passes=2)

    class Killed(Exception):
        pass

    class Path_:
        def __init__(self) -> None:
            self.left = 4

        def exists(self) -> bool:
            return False

        def write_text(self, text: str) -> None:
            state.write_text(text)
            self.left -= 1
            if not self.left:
                raise Killed

    with pytest.raises(Killed):
        reader.train(reader.loader(folder, workers=0), Path_(), passes=2)
    assert json.loads(state.read_text())["taken"] == 16
    rest = reader.train(reader.loader(folder, workers=0), state, passes=2)
    assert rest == undisturbed[16:]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    pytest.importorskip("datasets", reason="datasets is not installed")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_hugging_face_datasets(folder, offline):
    reader = module("with_datasets")
    if folder.parent.name.startswith("stored"):
        proved(list(reader.samples(folder)), range(23))
    rows = reader.load(folder, cache_dir=str(offline))
    assert len(rows) == 23
    assert rows[0]["json"]["query"] == "siren 0"
    assert rows[0]["json"]["sources"][1]["recording_id"] == "fs:1"
    assert len(reader.load(folder, "val", streaming=False, cache_dir=str(offline))) == 2


def test_a_generator_for_tf_data(folder):
    make, signature = module("with_tf_data").generator(folder)
    rows = list(make())
    proved(rows, range(23), 32768)
    assert [row["key"] for row in make()] == [row["key"] for row in rows], "each call begins a pass"
    for row in rows:
        assert row.keys() == signature.keys()
        for name, (shape, kind) in signature.items():
            found = np.asarray(row[name])
            assert len(found.shape) == len(shape)
            assert found.dtype.name == kind or (kind == "string" and found.dtype.kind == "U")


@pytest.mark.parametrize("name", ALL)
def test_each_runs_alone(folder, tmp_path, name):
    if name == "with_datasets" and folder.parent.name.startswith("recipe"):
        pytest.skip("it reads stored shards alone, as it says")
    pytest.importorskip(NEEDS.get(name, "numpy"), reason=f"{NEEDS.get(name)} is not installed")
    command = [sys.executable, str(READERS / f"{name}.py"), str(folder)]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(READERS.parents[1]), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=env)
    assert len(ran.stdout.splitlines()) == 23
