"""``earloom export --as webdataset``: every mixture is there or left out for a reason, and the same bytes come however it went."""

from __future__ import annotations

import argparse
import csv
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_folders import certified, dataset, heard, members, mixture, run_of, told

from pipelines.catalog import query
from pipelines.core.workspace import Workspace
from pipelines.publish import webdataset as module
from pipelines.publish.command import add_export, run_export
from pipelines.publish.form import Options
from pipelines.publish.outbox import Written
from pipelines.publish.webdataset import export_mixtures
from pipelines.shards.layout import Bounds
from pipelines.shards.repair import repair
from pipelines.shards.resplit import resplit
from pipelines.shards.verify import verify
from schemas.errors import RunStopped, UserError

ROWS = [
    *(mixture(n) for n in range(10)),
    *(mixture(n, "val", licence="by-nc") for n in range(10, 13)),
    *(mixture(n, name="hard") for n in range(13, 16)),
]


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Workspace:
    return run_of(tmp_path / "run", ROWS, max_samples=4)


def keys(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return list(dict.fromkeys(info.name.partition(".")[0] for info in tar))


def test_every_mixture_is_in_a_tar_of_its_set_and_split_with_the_bytes_that_the_run_holds(run, tmp_path):
    manifest = export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    stored = {path.name: keys(path) for path in sorted((tmp_path / "x").glob("*.tar"))}
    assert {name: len(found) for name, found in stored.items()} == {
        "hard-train-000000.tar": 3,
        "mix-train-000000.tar": 4,
        "mix-train-000001.tar": 4,
        "mix-train-000002.tar": 2,
        "mix-val-000000.tar": 3,
    }
    assert {name: len(found) for name, found in stored.items()} == json.loads((tmp_path / "x/sizes.json").read_text())
    assert sorted(key for found in stored.values() for key in found) == sorted(row["mixture_id"] for row in ROWS)
    for name in stored:
        with tarfile.open(tmp_path / "x" / name) as tar:
            for info in tar:
                key, _, suffix = info.name.partition(".")
                row = next(row for row in ROWS if row["mixture_id"] == key)
                assert (
                    tar.extractfile(info).read() == members({"licence": "by", "snr_db": None, **row}, "stored")[suffix]
                )
    assert manifest["mixtures"] == manifest["exported"] == len(ROWS)
    assert manifest["groups"] == {"hard-train": 3, "mix-train": 10, "mix-val": 3}
    assert manifest["recipe_sha256"] == run.sha256("recipe.yaml")


def test_the_index_finds_every_member_and_the_manifest_every_file(run, tmp_path):
    manifest = export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    for tar in (tmp_path / "x").glob("*.tar"):
        data = tar.read_bytes()
        with open(tmp_path / "x" / "index" / f"{tar.stem}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(dict.fromkeys(row["key"] for row in rows)) == keys(tar)
        for row in rows:
            found = data[int(row["offset"]) : int(row["offset"]) + int(row["size"])]
            assert hashlib.sha256(found).hexdigest() == row["sha256"]
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents(tmp_path / "x").items()}
    files.pop("manifest.json")
    assert files == {name: facts["sha256"] for name, facts in manifest["files"].items()}


def test_what_is_left_out_is_counted_by_reason_and_credited_recordings_are_those_that_are_mixed(run, tmp_path):
    manifest = export_mixtures(
        run, str(tmp_path / "x"), Options(licence="commercial", splits=("train", "val")), certified
    )
    assert (manifest["exported"], manifest["left_out"]) == (13, {"licence:by-nc": 3})
    assert manifest["licences"] == {"by": 13}
    manifest = export_mixtures(run, str(tmp_path / "y"), Options(splits=("val",)), certified)
    assert (manifest["exported"], manifest["left_out"]) == (3, {"split:train": 13})
    with open(tmp_path / "y" / "ATTRIBUTION.csv", newline="") as file:
        credited = {row["recording_id"] for row in csv.DictReader(file)}
    assert credited == {f"fs:{n % 9}" for n in range(10, 14)}, "of mixtures 10, 11 and 12"
    assert manifest["recordings"] == 4


def test_a_tar_is_bounded_in_bytes_too(tmp_path):
    rows = [mixture(n) for n in range(12)]
    run = run_of(tmp_path / "run", rows, max_samples=100)
    export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    assert len(list((tmp_path / "x").glob("*.tar"))) == 1
    resplit(tmp_path / "x", str(tmp_path / "y"), Bounds(100, 15_000))
    sizes = [path.stat().st_size for path in (tmp_path / "y").glob("*.tar")]
    assert len(sizes) > 3
    assert max(sizes) <= 15_000


def test_a_run_made_twice_in_other_places_is_exported_as_the_same_bytes(tmp_path):
    for place in ("a", "b/c"):
        (tmp_path / place).mkdir(parents=True)
        run = run_of(tmp_path / place / "run", ROWS, max_samples=3)
        export_mixtures(run, str(tmp_path / place / "x"), Options(), certified)
    assert contents(tmp_path / "a/x") == contents(tmp_path / "b/c/x")


def test_no_path_of_this_machine_is_in_the_folder(run, tmp_path):
    export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    assert not [name for name, data in contents(tmp_path / "x").items() if str(tmp_path).encode() in data]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dataset_folders import certified
from pipelines.core.workspace import Workspace
from pipelines.publish.form import Options
from pipelines.publish.webdataset import export_mixtures
from pipelines.shards import resplit, writing
from pipelines.shards.layout import Bounds

tests, run, folder, out, most = sys.argv[1:]
left, write = int(most), writing.write_tar

def counted(file, samples):
    global left
    for found in write(file, samples):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        yield found

writing.write_tar = counted
if folder:
    resplit.resplit(Path(folder), out, Bounds(2, 10**9))
else:
    export_mixtures(Workspace(run), out, Options(), certified)
"""


@pytest.mark.parametrize("what", ["export", "resplit"])
@pytest.mark.parametrize("after", [1, 7])
def test_killed_in_the_middle_nothing_is_half_there_and_the_same_command_gives_the_same_bytes(
    run, tmp_path, what, after
):
    export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    out, folder = tmp_path / "killed", str(tmp_path / "x") if what == "resplit" else ""
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parents[2]), run.root, folder, str(out), str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    again: Callable[[Path], object] = (
        (lambda place: resplit(tmp_path / "x", str(place), Bounds(2, 10**9)))
        if folder
        else (lambda place: export_mixtures(run, str(place), Options(), certified))
    )
    for place in (out, tmp_path / "undisturbed"):
        again(place)
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_midway_stops_it_in_words_and_leaves_nothing(run, tmp_path, monkeypatch, code):
    write, left = Written.write, [25]

    def fail(self, data):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(code, os.strerror(code))
        return write(self, data)

    monkeypatch.setattr(Written, "write", fail)
    with pytest.raises(RunStopped, match=f"--out .*: {os.strerror(code)}; mend it and run the same command again"):
        export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    monkeypatch.undo()
    export_mixtures(run, str(tmp_path / "x"), Options(), certified)
    assert verify(tmp_path / "x").faults == []


@pytest.mark.parametrize("pattern", ["seal.json", "shards/*/*.tar", "shards/*/all.parquet", "shards/*/p*.parquet"])
def test_a_run_of_which_one_byte_was_altered_is_refused(run, tmp_path, pattern):
    for path in Path(run.root).glob(pattern):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(RunStopped, match=r"was altered"):
            export_mixtures(run, str(tmp_path / "x"), Options(), certified)
        assert not (tmp_path / "x").exists()
        break


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(everything=True), "^--all: a mixture is there or refused"),
        (Options(audio=True), "^--audio: the format webdataset always holds sound"),
        (Options(splits=("trian",)), "^--split trian: the run has no mixture of it; it has train, val$"),
    ],
)
def test_what_cannot_be_given_is_told_in_one_line_and_leaves_nothing(run, tmp_path, options, words):
    with pytest.raises(UserError, match=words) as caught:
        export_mixtures(run, str(tmp_path / "x"), options, certified)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_run_without_mixtures_is_told(tmp_path):
    run = run_of(tmp_path / "run", [])
    with pytest.raises(UserError, match="^--as webdataset: the run makes no mixtures; give its recipe a part `mix`$"):
        export_mixtures(run, str(tmp_path / "x"), Options(), certified)


def test_a_sample_whose_json_lacks_something_stops_the_export(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dataset_folders.canonical_json", lambda facts: '{"licence": "by"}' if "query" in facts else json.dumps(facts)
    )
    rows = [mixture(1)]
    sample = members({"licence": "by", "snr_db": None, **rows[0]}, "stored")
    monkeypatch.undo()
    monkeypatch.setattr("dataset_folders.members", lambda row, form: sample)
    run = run_of(tmp_path / "run", rows)
    with pytest.raises(RunStopped, match=r"sample mix-0000000000000001: its JSON lacks something"):
        export_mixtures(run, str(tmp_path / "x"), Options(), certified)


def test_the_command_says_what_was_exported_and_what_was_not(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module.export_mixtures, "__defaults__", (certified,))
    parser = argparse.ArgumentParser()
    add_export(parser.add_subparsers())
    options = parser.parse_args(
        ["export", run.root, "--as", "webdataset", "--out", str(tmp_path / "x"), "--licence", "commercial"]
    )
    assert run_export(run, options).splitlines() == [
        f"{tmp_path / 'x'}: 16 mixtures, as webdataset",
        "  exported: 13; left out: 3 licence:by-nc",
        "  hard-train: 3",
        "  mix-train: 10",
    ]


READ = """
import sys
sys.modules["pipelines"] = sys.modules["schemas"] = sys.modules["webdataset"] = None
sys.path.insert(0, sys.argv[1])
import read
for sample in read.samples(sys.argv[1]):
    print(sample["key"], sample["json"]["query"], *sample["mixture"], *sample["target"], sep=",")
"""


@pytest.mark.parametrize("form", ["stored", "recipe", "wav", "residual", "stems", "embedded"])
def test_the_folder_carries_a_reader_that_needs_nothing_of_earloom(tmp_path, form):
    folder = dataset(tmp_path, {"train": range(3)}, form)
    ran = subprocess.run([sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True)
    lines = sorted(line.split(",") for line in ran.stdout.splitlines())
    for number, (key, asked, *values) in enumerate(lines):
        target, other = heard(number)
        assert (key, asked) == (f"mix-{number:016x}", f"siren {number}")
        assert [*map(int, values)] == [*(target + other), *target]


def test_the_certificate_is_the_runs_own(tmp_path):
    folder = dataset(tmp_path, {"train": range(3)})
    assert json.loads((folder / "certificate.json").read_text()) == certified(Workspace(""))
    page = (folder / "README.md").read_text()
    assert "| collisions.dag | 0 |" in page
    assert told(folder)["recipe_sha256"] in page


def test_the_card_and_croissant_do_not_depend_on_the_tars(tmp_path):
    folder = dataset(tmp_path, {"train": range(9), "val": range(9, 12)}, max_samples=2)
    resplit(folder, str(tmp_path / "y"), Bounds(100, 10**9))
    one, other = contents(folder), contents(tmp_path / "y")
    same = {name for name in one if one[name] == other.get(name)}
    assert same == {name for name in one if not name.endswith((".tar", ".idx")) and "index/" not in name} - {
        "manifest.json",
        "sizes.json",
    }
    shutil.rmtree(folder)
    assert verify(tmp_path / "y").faults == []


def test_a_real_run_is_exported_with_its_own_certificate_proved_and_restored(demo, tmp_path):
    run = Workspace(str(demo))
    (counted,) = query.dicts(run, "SELECT count(*) AS n, sum(size) AS bytes FROM mixtures")
    manifest = export_mixtures(run, str(tmp_path / "x"), Options())
    assert manifest["mixtures"] == manifest["exported"] == counted["n"] > 0
    proof = verify(tmp_path / "x")
    assert (proof.samples, proof.faults) == (counted["n"], [])
    whole = contents(tmp_path / "x")
    stored = [data[:-1024] for name, data in whole.items() if name.endswith(".tar")]
    assert sum(map(len, stored)) == counted["bytes"]
    for name in ("README.md", "mix-train-000000.tar", "index/mix-train-000000.csv"):
        (tmp_path / "x" / name).unlink()
    repair(tmp_path / "x", run.root)
    assert contents(tmp_path / "x") == whole
