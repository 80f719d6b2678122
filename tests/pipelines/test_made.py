"""A run is proved, and its state told, also where the models that made it are not here any more."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy_models

from pipelines.core.commit import Marker, parquet_bytes
from pipelines.core.workspace import Workspace
from pipelines.listen import models
from pipelines.seal import parse_seal, sealed_bytes
from pipelines.status import status
from pipelines.verify import verify
from schemas import tables
from taggers import registry

TESTS = Path(toy_models.__file__).parent
LISTEN = {
    "listeners": ["facts", "rate"],
    "embedders": ["pitch"],
    "zero_shot": {"classes": ["Speech", "Music"], "least": 0.0},
}
GONE = ["embed_pitch", "listen_rate", "listeners", "similarity_pitch", "similarity_pitch_probes", "zero_shot_pitch"]


@pytest.fixture(autouse=True)
def gone(monkeypatch):
    """Forget models of the same names that other tests of this process registered and made."""
    monkeypatch.setattr(registry, "_registered", {})
    models._made.cache_clear()


@pytest.fixture(scope="module")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with a listener and an embedder of a package that is installed for its process alone."""
    folder = tmp_path_factory.mktemp("made")
    toy_models.install(folder / "package")
    data = {"root": str(small), "datasets": [{"adapter": "fsd50k"}]}
    recipe = {"name": "made", "seed": 7, "partitions": 2, "data": data, "listen": LISTEN, "mix": {"per_clip": 1}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    ran = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", folder / "recipe.yaml", "--out", folder / "run", "--engine", "inline", "--quiet"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "package"), str(TESTS)])},
        capture_output=True, text=True, check=False, cwd=TESTS.parent,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return folder / "run"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def earloom(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command where the package is not installed."""
    command = [sys.executable, "-m", "pipelines", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=TESTS.parent)


def test_a_run_whose_models_are_gone_cannot_be_run_and_is_proved_all_the_same(whole):
    again = earloom("run", whole / "recipe.yaml", "--out", whole, "--engine", "inline", "--quiet")
    assert (again.returncode, "no listener is named 'rate'" in again.stderr) == (2, True)
    verified = earloom("verify", whole)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "every law holds" in verified.stdout


def test_what_is_gone_is_told_with_the_stages_that_it_made_and_no_others_are_called_changed(whole):
    notes = verify(Workspace(str(whole))).notes
    said = "; proved from the files alone:"
    assert sorted(note.split(";")[0].split(":")[0] for note in notes) == ["listen.embedders", "listen.listeners"]
    assert sorted(name for note in notes for name in note.split(f"{said} ")[1].split(", ")) == GONE


def test_an_altered_byte_is_still_found(copy):
    table = next(copy.glob("tables/embed_pitch-*/p00000.parquet"))
    data = table.read_bytes()
    table.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert verify(Workspace(str(copy))).problems == [
        f"{table.relative_to(copy)}: was altered (its sha256 is not the one that was committed)"
    ]


def test_vectors_of_another_length_than_their_stages_are_found_behind_matching_hashes(copy):
    seal = parse_seal((copy / "seal.json").read_bytes())
    name = f"{seal['stages']['embed_pitch']}/p00001.parquet"
    table = pq.read_table(copy / name)
    long = pa.array([[1.0, 0.0, 0.0]] * table.num_rows, pa.list_(pa.float32(), 3)).cast(pa.list_(pa.float16(), 3))
    data = parquet_bytes(table.set_column(table.schema.get_field_index("vector"), "vector", long))
    (copy / name).write_bytes(data)
    own = name.replace(".parquet", ".json")
    raw = json.loads((copy / own).read_bytes())
    raw["files"][name] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    marker = Marker(**raw).sealed().to_bytes()
    (copy / own).write_bytes(marker)
    seal["files"][own] = hashlib.sha256(marker).hexdigest()
    (copy / "seal.json").write_bytes(sealed_bytes(seal))
    found = verify(Workspace(str(copy))).problems
    assert f"stage embed_pitch: its table has other columns than version {tables.VERSION} of embeddings" in found


def test_the_state_of_a_finished_run_is_that_of_its_sealed_folders(whole):
    state = status(Workspace(str(whole)))
    assert state["finished"]
    assert state["absent"] == {}
    assert [s["stage"] for s in state["stages"]][:3] == ["index", "ingest", "fingerprint"]
    assert all(s["committed"] == s["partitions"] for s in state["stages"])


def test_the_state_of_an_unfinished_run_is_told_by_what_its_folders_say_of_the_models(copy):
    sealed = status(Workspace(str(copy)))["stages"]
    (copy / "seal.json").unlink()
    state = status(Workspace(str(copy)))
    assert (state["finished"], state["stages"]) == (False, sealed)
    assert sorted(state["absent"]) == GONE
    told = earloom("status", copy)
    assert told.returncode == 0
    assert "no listener is named 'rate'" in told.stdout


def test_where_folders_tell_of_several_models_none_of_them_is_counted(copy):
    (copy / "seal.json").unlink()
    (folder,) = copy.glob("tables/listen_rate-*")
    identity = json.loads((folder / "stage.json").read_bytes())
    other = folder.with_name("listen_rate-000000000000")
    other.mkdir()
    (other / "stage.json").write_text(json.dumps(identity | {"revisions": {"rate": "2"}}))
    counted = {s["stage"]: s["committed"] for s in status(Workspace(str(copy)))["stages"]}
    assert counted["listen_rate"] == 0
    assert counted["listen_facts"] == 2
