"""``croissant.json`` is valid Croissant 1.1, tells where the data came from, and loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dataset_folders import dataset, told

mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("croissant"), {"train": range(7), "val": range(7, 9)}, max_samples=3)


def test_it_is_valid_and_lacks_only_what_a_publisher_adds(folder):
    issues = mlc.Dataset(jsonld=str(folder / "croissant.json")).metadata.ctx.issues
    assert issues.errors == set()
    assert {word.rpartition("/")[2].split('"')[0] for word in issues.warnings} <= {"datePublished", "citeAs"}
    assert json.loads((folder / "croissant.json").read_text())["conformsTo"] == "http://mlcommons.org/croissant/1.1"


@pytest.mark.parametrize(("records", "count"), [("mix-train", 21), ("mix-val", 6)])
def test_its_records_are_the_entries_of_the_index(folder, records, count):
    rows = list(mlc.Dataset(jsonld=str(folder / "croissant.json")).records(records))
    lines = [
        line for path in sorted(folder.glob(f"index/{records}-*.csv")) for line in path.read_text().splitlines()[1:]
    ]
    assert len(rows) == count
    read = [[row[f"{records}/{column}"] for column in ("key", "member", "offset", "size", "sha256")] for row in rows]
    words = [",".join(v.decode() if isinstance(v, bytes) else str(v) for v in row) for row in read]
    assert sorted(words) == sorted(lines)


def test_splits_have_croissants_own_names(folder):
    rows = list(mlc.Dataset(jsonld=str(folder / "croissant.json")).records("splits"))
    assert {row["splits/name"]: row["splits/url"] for row in rows} == {
        "train": "cr:TrainingSplit",
        "val": "cr:ValidationSplit",
    }


def test_it_tells_run_recipe_stages_and_version(folder):
    document, manifest = json.loads((folder / "croissant.json").read_text()), told(folder)
    origins = [each["@id"] for each in document["prov:wasDerivedFrom"]]
    assert origins == [
        f"urn:sha256:{manifest['content']}",
        f"urn:sha256:{manifest['recipe_sha256']}",
        "urn:dataset:mine",
    ]
    assert [each["prov:label"].split(",")[0] for each in document["prov:wasGeneratedBy"]] == [
        "index",
        "ingest",
        "mixtures",
    ]
    assert document["prov:wasAttributedTo"]["prov:label"] == f"Earloom {manifest['earloom']}"
    files = {each["@id"]: each["sha256"] for each in document["distribution"] if "sha256" in each}
    assert files == {name: manifest["files"][name]["sha256"] for name in ("ATTRIBUTION.csv", "certificate.json")}
