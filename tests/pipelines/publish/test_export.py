"""``earloom export``: every clip is accounted for, the same bytes each time, nothing half done, and one line when it cannot be."""

from __future__ import annotations

import argparse
import csv
import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from publish_runs import Make, clip

from pipelines.catalog import query
from pipelines.core.workspace import Workspace
from pipelines.publish.command import add_export, run_export
from pipelines.publish.export import CLIPS, MANIFEST, export
from pipelines.publish.form import Options
from pipelines.publish.formats import FORMATS
from pipelines.publish.outbox import Written
from schemas.errors import RunStopped, UserError
from schemas.licences import COMMERCIAL

SOUNDS = {"wavcaps", "huggingface"}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    found = {str(path): path.stat() for path in root.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


@pytest.fixture
def few(make: Make) -> Workspace:
    """Return a run of one clip of each kind."""
    return make(
        clip("a", "fs:1"),
        clip("b", "fs:2", licence="by-nc"),
        clip("c", "fs:3", decision="refused"),
        clip("d", "fs:4", decision="abstained", caption=None, candidate_id=None),
        clip("e", "fs:5", withheld="leaks_into_test"),
        clip("f", "fs:6", split="test"),
        candidates=[],
    )


@pytest.mark.parametrize("form", FORMATS)
def test_every_clip_of_a_real_run_is_exported_or_left_out_for_one_reason(demo, tmp_path, form):
    run, before = Workspace(str(demo)), stamps(demo)
    manifest = export(run, form, str(tmp_path / "x"), Options(audio=form in SOUNDS))
    assert stamps(demo) == before, "an export alters nothing of the run"
    (counted,) = query.dicts(run, "SELECT count(*) AS n FROM captions")
    assert manifest["clips"] == counted["n"] == sum(manifest["decisions"].values())
    for product, told in manifest["products"].items():
        assert told["exported"] + sum(told["left_out"].values()) == counted["n"], product
    assert manifest == json.loads((tmp_path / "x" / MANIFEST).read_text())
    assert manifest["seal_sha256"] == run.sha256("seal.json")
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in contents(tmp_path / "x").items()}
    listed.pop(MANIFEST)
    sounds = {name: listed.pop(name) for name in list(listed) if name.endswith(".flac")}
    assert listed == {name: facts["sha256"] for name, facts in manifest["files"].items()}
    if form != "huggingface":
        with open(tmp_path / "x" / CLIPS, newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["file"]: row["sha256"] for row in rows if row["file"]} == sounds
        assert Counter(row["split"] for row in rows) == manifest["splits"]


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_made_twice_is_the_same_byte_for_byte(demo, tmp_path, form):
    options = Options(audio=form in SOUNDS)
    for place in ("x", "elsewhere/y"):
        export(Workspace(str(demo)), form, str(tmp_path / place), options)
    assert contents(tmp_path / "x") == contents(tmp_path / "elsewhere/y")


@pytest.mark.parametrize("form", FORMATS)
def test_attribution_holds_the_recordings_that_are_exported_and_no_other(demo, tmp_path, form):
    run = Workspace(str(demo))
    manifest = export(run, form, str(tmp_path / "x"), Options(licence="commercial", splits=("train",)))
    exported = sum(manifest["licences"].values())
    assert manifest["licences"].keys() <= COMMERCIAL
    assert manifest["splits"].keys() <= {"train"}
    with open(tmp_path / "x" / "attribution.csv", newline="") as file:
        told = {line["recording_id"]: line for line in csv.DictReader(file)}
    with open(demo / "attribution.csv", newline="") as file:
        of_run = {line["recording_id"]: line for line in csv.DictReader(file)}
    assert told == {name: of_run[name] for name in told}
    assert manifest["recordings"] == len(told)
    assert (exported > 0) == (form != "sound_vecaps"), "the demo writes no captions of that style"
    if form not in ("huggingface", "sound_vecaps"):
        with open(tmp_path / "x" / CLIPS, newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["recording_id"] for row in rows} == told.keys()
        assert len(rows) == exported


def test_each_kind_of_clip_is_left_out_for_its_own_reason(few, tmp_path):
    left = {"abstained": 1, "leaks_into_test": 1, "refused": 1}
    told = export(few, "wavcaps", str(tmp_path / "x"), Options())["products"]["entries"]
    assert told == {"exported": 3, "left_out": left}
    told = export(few, "wavcaps", str(tmp_path / "y"), Options(licence="commercial", splits=("train",)))
    assert told["products"]["entries"] == {"exported": 1, "left_out": left | {"licence:by-nc": 1, "split:test": 1}}


def test_everything_is_given_where_the_format_tells_what_was_decided(few, tmp_path):
    manifest = export(few, "huggingface", str(tmp_path / "x"), Options(everything=True))
    assert manifest["products"]["rows"] == {"exported": 6, "left_out": {}}


@pytest.mark.parametrize(
    ("form", "options", "words"),
    [
        ("wavecaps", Options(), r"^--as wavecaps: no such format; did you mean 'wavcaps'\?$"),
        ("xyz", Options(), r"^--as xyz: no such format; there are audiosetcaps, clotho,"),
        (
            "wavcaps",
            Options(everything=True),
            "^--all: the format wavcaps has no room for a decision; huggingface has$",
        ),
        ("clotho", Options(audio=True), "^--audio: the format clotho holds no sound; wavcaps and huggingface do$"),
        ("wavcaps", Options(splits=("trian",)), "^--split trian: the run has no clip of it; it has test, train$"),
    ],
)
def test_what_cannot_be_given_is_told_in_one_line_and_leaves_nothing(few, tmp_path, form, options, words):
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=words):
        export(few, form, str(tmp_path / "x"), options)
    assert set(tmp_path.iterdir()) == before


def test_a_run_that_is_not_finished_is_refused(few, tmp_path):
    os.remove(few.path("seal.json"))
    with pytest.raises(UserError, match="the run is not finished; the same `earloom run` goes on from there"):
        export(few, "wavcaps", str(tmp_path / "x"), Options())
    with pytest.raises(UserError, match="holds no run"):
        export(Workspace(str(tmp_path / "nothing")), "wavcaps", str(tmp_path / "x"), Options())


@pytest.mark.parametrize(
    "pattern",
    ["seal.json", "attribution.csv", "views.sql", "recipe.yaml", "tables/decide-*/p00000.parquet", "store/*/*.tar"],
)
def test_a_run_of_which_one_byte_was_altered_is_refused(few, tmp_path, pattern):
    (path,) = Path(few.root).glob(pattern)
    data = bytearray(path.read_bytes())
    data[1000 if path.suffix == ".tar" else len(data) // 2] ^= 1  # a byte of the first clip
    path.write_bytes(data)
    with pytest.raises(RunStopped, match="was altered; `earloom verify` says more"):
        export(few, "wavcaps", str(tmp_path / "x"), Options(audio=True))
    assert not (tmp_path / "x").exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run"]


def test_a_table_that_is_gone_is_told(few, tmp_path):
    next(Path(few.root).glob("tables/decide-*/p00000.parquet")).unlink()
    with pytest.raises(RunStopped, match="is missing; run the same recipe into that folder again"):
        export(few, "wavcaps", str(tmp_path / "x"), Options())


def test_a_folder_that_cannot_be_used_is_told_with_the_mend(few, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, words in (
        (str(tmp_path / "full"), "is not empty; name a new folder, or remove this one first"),
        (str(tmp_path / "file"), "is a file; name a folder"),
        (few.path("export"), "lies in a run folder; name one outside of it"),
        ("s3://bucket/x", "must be a folder of this machine"),
        ("/proc/none/x", "cannot be made"),
    ):
        with pytest.raises(UserError, match=words):
            export(few, "wavcaps", out, Options())
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    export(few, "wavcaps", str(tmp_path / "empty"), Options())
    assert (tmp_path / "empty" / MANIFEST).exists(), "an empty folder is taken"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(few, tmp_path):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UserError, match="cannot be made"):
        export(few, "wavcaps", str(tmp_path / "locked" / "x"), Options())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("form", FORMATS)
def test_a_disk_that_fails_midway_stops_it_in_words_and_leaves_nothing(few, tmp_path, monkeypatch, form, code):
    def fail(self, data):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Written, "write", fail)
    with pytest.raises(RunStopped, match=f"--out .*: {os.strerror(code)}; mend it and run the same command again"):
        export(few, form, str(tmp_path / "x"), Options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


KILLED = """
import os, signal, sys
from pipelines.core.workspace import Workspace
from pipelines.publish import export
from pipelines.publish.form import Options

run, out, most, form = sys.argv[1:]
left = int(most)

add = export._Tally.add

def counted(self, item, served):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(self, item, served)

export._Tally.add = counted
export.export(Workspace(run), form, out, Options(audio=True))
"""


@pytest.mark.parametrize(("form", "after"), [("wavcaps", 1), ("wavcaps", 4), ("huggingface", 6)])
def test_an_export_that_is_killed_leaves_no_half_folder_and_is_made_whole_by_the_same_command(
    few, tmp_path, form, after
):
    out = tmp_path / "x"
    command = [sys.executable, "-c", KILLED, few.root, str(out), str(after), form]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 2, "what was begun lies hidden beside"
    for place in (out, tmp_path / "y"):
        export(few, form, str(place), Options(audio=True))
    assert contents(out) == contents(tmp_path / "y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x", "y"]


def test_two_exports_to_one_folder_do_not_meet(few, tmp_path, monkeypatch):
    from pipelines.publish import export as module

    second: list[str] = []

    def meanwhile(self, item, served):
        if not second:
            with pytest.raises(UserError, match="another export writes there") as error:
                export(few, "clotho", str(tmp_path / "x"), Options())
            second.append(str(error.value))
        return add(self, item, served)

    add = module._Tally.add
    monkeypatch.setattr(module._Tally, "add", meanwhile)
    export(few, "wavcaps", str(tmp_path / "x"), Options())
    assert second
    assert json.loads((tmp_path / "x" / MANIFEST).read_text())["format"] == "wavcaps"


def test_the_second_clip_of_one_identifier_is_left_out_and_counted(make, tmp_path):
    run = make(clip("a", "fs:1"), clip("b", "fs:1"), clip("c-2500", "fs:1", record_id="c"), clip("d", "sb:1"))
    manifest = export(run, "wavcaps", str(tmp_path / "x"), Options())
    assert manifest["products"]["entries"] == {"exported": 3, "left_out": {"id_taken": 1}}
    with open(tmp_path / "x" / CLIPS, newline="") as file:
        assert {row["clip_id"]: row["id"] for row in csv.DictReader(file)} == {"a": "1", "c-2500": "1_2.5", "d": "1"}


@pytest.mark.parametrize("form", FORMATS)
def test_into_how_many_partitions_a_run_is_cut_changes_no_row(make, tmp_path, form):
    clips = [clip(f"c{n}", f"fs:{n}", decision="refused" if n % 5 == 0 else "accepted") for n in range(60)]
    manifests = []
    for partitions in (1, 7):
        run = make(*clips, root=f"run{partitions}", partitions=partitions)
        manifests.append(export(run, form, str(tmp_path / f"{form}{partitions}"), Options(audio=form in SOUNDS)))
    one, several = (
        {key: told for key, told in each.items() if key not in ("seal_sha256", "files")} for each in manifests
    )
    assert one == several
    tables = [
        {
            name: sorted(data.decode().splitlines())
            for name, data in contents(tmp_path / f"{form}{n}").items()
            if name[-3:] == "csv"
        }
        for n in (1, 7)
    ]
    assert tables[0] == tables[1]


def test_a_recording_whose_name_looks_like_a_formula_is_credited(make, tmp_path):
    run = make(clip("a", "=1+1"), clip("b", "two  spaces\n"), clip("c", "'quoted"))
    assert export(run, "clotho", str(tmp_path / "x"), Options())["recordings"] == 3


def test_a_run_without_an_accepted_caption_gives_heads_alone(make, tmp_path):
    run = make(clip("a", "fs:1", decision="refused"))
    for form in FORMATS:
        manifest = export(run, form, str(tmp_path / form), Options())
        assert all(told["exported"] == 0 for told in manifest["products"].values())
        assert len((tmp_path / form / "attribution.csv").read_text().splitlines()) == 1


def test_the_command_says_what_was_exported_and_what_was_not(few, tmp_path):
    parser = argparse.ArgumentParser()
    add_export(parser.add_subparsers())
    options = parser.parse_args(
        ["export", few.root, "--as", "wavcaps", "--out", str(tmp_path / "x"), "--split", "train"]
    )
    assert run_export(few, options).splitlines() == [
        f"{tmp_path / 'x'}: 6 clips, as wavcaps",
        "  entries: 2 exported; left out: 1 abstained, 1 leaks_into_test, 1 refused, 1 split:test",
    ]


def test_the_same_run_elsewhere_gives_the_same_bytes(few, tmp_path):
    shutil.copytree(few.root, tmp_path / "moved")
    for run, place in ((few, "x"), (Workspace(str(tmp_path / "moved")), "y")):
        export(run, "huggingface", str(tmp_path / place), Options(audio=True))
    assert contents(tmp_path / "x") == contents(tmp_path / "y")
