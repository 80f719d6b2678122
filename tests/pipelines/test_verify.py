"""``verify`` fails when any one file is altered or removed, and when a law is broken behind matching hashes."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from pipelines.core.commit import Marker, parquet_bytes
from pipelines.core.workspace import Workspace
from pipelines.seal import parse_seal, sealed_bytes
from pipelines.verify import verify


@pytest.fixture(scope="module")
def whole(small_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verify") / "run"
    held_out = ["--set", "groups.val=0.3", "--set", "groups.test=0.2"]
    assert main(["run", str(small_recipe), *held_out, "--out", str(out), "--engine", "inline", "--quiet"]) == 0
    assert main(["report", str(out)]) == 0
    return out


def problems(run: Path) -> list[str]:
    return verify(Workspace(str(run))).problems


def test_an_undisturbed_run_has_no_problems(whole):
    assert problems(whole) == []


def test_any_altered_byte_and_any_removed_file_is_found(whole):
    rng = random.Random(1)
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    assert len(files) > 50
    for path in files:
        original = path.read_bytes()
        position = rng.randrange(len(original))
        path.write_bytes(
            original[:position] + bytes([original[position] ^ (1 << rng.randrange(8))]) + original[position + 1 :]
        )
        assert problems(whole), f"{path.relative_to(whole)}: an altered byte at {position} was not noticed"
        path.unlink()
        if path.parent.name != "report":  # a report may be missing; what it is made of may not
            assert problems(whole), f"{path.relative_to(whole)}: its absence was not noticed"
        path.write_bytes(original)
    assert problems(whole) == []


def test_a_file_that_no_marker_names_is_found(whole):
    stray = next((whole / "tables").glob("unify-*")) / "p00007.parquet"
    stray.write_bytes(b"x")
    assert problems(whole) == [f"{stray.relative_to(whole)}: no marker names it"]
    stray.unlink()


def forge(run: Path, stage: str, change: Callable[[list[dict]], list[dict]]) -> None:
    """Change a stage's rows and mend every hash on the way up, as a clever forger would."""
    seal = parse_seal((run / "seal.json").read_bytes())
    folder = seal["stages"][stage]
    for name in [name for name in seal["files"] if name.startswith(folder) and not name.endswith("stage.json")]:
        raw = json.loads((run / name).read_bytes())
        for file in [f for f in raw["files"] if f.endswith(".parquet") and "rejects" not in f and "drops" not in f]:
            table = pq.read_table(run / file)
            data = parquet_bytes(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema))
            (run / file).write_bytes(data)
            raw["files"][file] = {
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "rows": pq.read_table(run / file).num_rows,
            }
        data = Marker(**raw).sealed().to_bytes()
        (run / name).write_bytes(data)
        seal["files"][name] = hashlib.sha256(data).hexdigest()
    (run / "seal.json").write_bytes(sealed_bytes(seal))


def rows_of(run: Path, stage: str) -> list[dict]:
    """Return a stage's rows."""
    folder = run / parse_seal((run / "seal.json").read_bytes())["stages"][stage]
    return [row for path in sorted(folder.glob("p?????.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def test_a_removed_row_breaks_conservation_even_behind_matching_hashes(copy):
    forge(copy, "publisher", lambda rows: rows[1:])
    found = "\n".join(problems(copy))
    assert "keys are lost or invented" in found
    assert "was made from another publisher than lies here" in found


def test_a_shared_class_is_found_even_behind_matching_hashes(copy):
    forge(copy, "unify", lambda rows: [row | {"class_id": "/m/09x0r", "class_name": "Speech"} for row in rows])
    assert any("its sources share a class" in problem for problem in problems(copy))


def test_a_forged_gain_is_found_by_the_sum_of_the_stems(copy):
    forge(copy, "mixtures", lambda rows: [row | {"gains": [gain * 1.01 for gain in row["gains"]]} for row in rows])
    assert any("its stems do not sum to the mixture" in problem for problem in problems(copy))


def test_a_leak_between_splits_is_found(copy):
    forge(copy, "ingest", lambda rows: [row | {"split": "test"} for row in rows])
    assert any("is not used in the split that protects it" in problem for problem in problems(copy))


def test_a_mixture_of_another_split_than_its_sources_is_found(copy):
    forge(copy, "mixtures", lambda rows: [row | {"split": "test"} for row in rows])
    assert any("a source is of another split, or withheld" in problem for problem in problems(copy))


def test_a_group_that_stands_in_two_splits_is_found(copy):
    forge(copy, "groups", lambda rows: [row | {"group_id": "fs:1"} for row in rows])
    found = "\n".join(problems(copy))
    assert "group fs:1: is not used in the split that protects it" in found
    assert "group fs:1: stands in test and train and val" in found


@pytest.mark.parametrize(("drawn", "put"), [("val", "train"), ("train", "test")])
def test_a_group_that_is_not_in_the_split_that_was_drawn_for_it_is_found(copy, drawn, put):
    published = {row["clip_id"]: row["split"] for row in rows_of(copy, "ingest")}
    held = {
        row["group_id"]
        for row in rows_of(copy, "groups")
        if (published[row["clip_id"]], row["split"]) == ("train", drawn)
    }
    assert held, "the seed draws groups for every split"
    forge(copy, "groups", lambda rows: [row | {"split": put} if row["group_id"] in held else row for row in rows])
    found = set(problems(copy))
    assert {f"group {group}: is not used in the split that was drawn for it, {drawn}" for group in held} <= found


def test_a_clip_that_is_withheld_for_no_reason_is_found(copy):
    forge(copy, "groups", lambda rows: [row | {"withheld": "leaks_into_test"} for row in rows])
    assert any("is withheld, or not, against its group's split" in problem for problem in problems(copy))


def test_a_forged_licence_is_found(copy):
    forge(copy, "ingest", lambda rows: [row | {"licence": "cc0"} for row in rows])
    found = "\n".join(problems(copy))
    assert "a source's licence is not its clip's" in found
    assert "attribution.csv: says something else than the tables" in found


def test_a_licence_that_does_not_bind_a_mixtures_sources_is_found(copy):
    forge(copy, "mixtures", lambda rows: [row | {"licence": "cc0"} for row in rows])
    assert any("its licence is not what binds its sources together" in problem for problem in problems(copy))


def test_an_unfinished_run_is_not_called_whole(copy):
    (copy / "seal.json").unlink()
    assert "did not finish" in problems(copy)[0]


def test_a_caption_in_another_split_than_its_group_is_found(copy):
    forge(copy, "decide", lambda rows: [row | {"split": "test"} for row in rows])
    found = "\n".join(problems(copy))
    assert "captions: a clip's split, or why it is withheld, is not its group's" in found
