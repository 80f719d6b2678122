"""``earloom shards repair``: what was damaged comes back byte for byte, from the run or a copy however split, or it is refused."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dataset_folders import certified, dataset

from pipelines.core.workspace import TMP
from pipelines.shards.layout import Bounds
from pipelines.shards.repair import repair
from pipelines.shards.resplit import resplit
from pipelines.shards.verify import verify
from schemas.errors import RunStopped, UserError


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """Return a folder with a run and two copies beside it, and its bytes."""
    folder = dataset(tmp_path, {"train": range(7), "val": range(7, 9)}, max_samples=3)
    shutil.copytree(folder, tmp_path / "copy")
    resplit(folder, str(tmp_path / "split"), Bounds(2, 10**9))
    return folder, contents(folder)


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 4
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["missing", "cut", "altered"])
@pytest.mark.parametrize("source", ["run", "copy", "split"])
def test_every_file_is_restored_one_by_one_and_all_together(world, tmp_path, source, how):
    folder, whole = world
    names = sorted(set(whole) - {"manifest.json"})
    for name in [n for n in names if n.endswith(("001.tar", "002.csv", "000.idx", "sizes.json", "README.md"))]:
        damage(folder / name, how)
        assert repair(folder, str(tmp_path / source), certified) == [name]
        assert contents(folder) == whole
    for name in names:
        damage(folder / name, how)
    assert sorted(repair(folder, str(tmp_path / source), certified)) == names
    assert contents(folder) == whole


def test_a_sound_folder_is_not_touched(world, tmp_path):
    folder, _ = world
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert repair(folder, str(tmp_path / "run"), certified) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_damaged_manifest_comes_from_a_copy_and_from_nowhere_else(world, tmp_path):
    folder, whole = world
    damage(folder / "manifest.json", "altered")
    with pytest.raises(UserError, match="a run cannot give it; name another copy"):
        repair(folder, str(tmp_path / "run"), certified)
    assert repair(folder, str(tmp_path / "copy"), certified) == ["manifest.json"]
    assert contents(folder) == whole


def test_a_copy_that_is_damaged_in_the_same_place_gives_nothing(world, tmp_path):
    folder, _ = world
    for root in (folder, tmp_path / "copy"):
        damage(root / "mix-train-000001.tar", "altered")
    with pytest.raises(RunStopped, match=r"copy/mix-train-000001.tar: was altered or is missing"):
        repair(folder, str(tmp_path / "copy"), certified)
    assert repair(folder, str(tmp_path / "run"), certified) == ["mix-train-000001.tar"]


def test_a_run_that_was_altered_gives_nothing(world, tmp_path):
    folder, _ = world
    damage(folder / "mix-val-000000.tar", "missing")
    for path in (tmp_path / "run/shards").rglob("*.tar"):
        damage(path, "altered")
    with pytest.raises(RunStopped, match="was altered or is missing; `earloom verify` says more"):
        repair(folder, str(tmp_path / "run"), certified)
    assert not list(folder.rglob(f"{TMP}*"))


def test_another_run_or_dataset_is_refused(world, tmp_path):
    folder, _ = world
    damage(folder / "mix-val-000000.tar", "missing")
    (tmp_path / "other").mkdir()
    other = dataset(tmp_path / "other", {"train": range(8)})
    with pytest.raises(UserError, match="is a copy of another dataset; name one of this"):
        repair(folder, str(other), certified)
    with pytest.raises(
        UserError, match="has other mixtures than the folder was exported from; name the run that it is of"
    ):
        repair(folder, str(tmp_path / "other/run"), certified)
    with pytest.raises(UserError, match="no such folder; name the run, or another copy"):
        repair(folder, str(tmp_path / "nowhere"), certified)
    with pytest.raises(UserError, match="no such folder; name the one that was exported"):
        repair(tmp_path / "nowhere", str(other), certified)


def test_a_run_that_was_made_anew_gives_the_same_bytes(world, tmp_path):
    folder, whole = world
    (tmp_path / "again").mkdir()
    dataset(tmp_path / "again", {"train": range(7), "val": range(7, 9)}, max_samples=3)
    for name in set(whole) - {"manifest.json"}:
        damage(folder / name, "missing")
    repair(folder, str(tmp_path / "again/run"), certified)
    assert contents(folder) == whole


def test_a_file_that_is_none_of_the_datasets_is_left_to_the_user(world, tmp_path):
    folder, _ = world
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes.txt: is no file of this dataset; remove it"):
        repair(folder, str(tmp_path / "run"), certified)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_dataset_is_left_as_it_is(world, tmp_path):
    foreign = tmp_path / "mine"
    (foreign / "sub").mkdir(parents=True)
    for name in ("letter.txt", f"{TMP}draft", f"sub/{TMP}other"):
        (foreign / name).write_text("mine")
    before = contents(foreign)
    with pytest.raises(UserError, match=r"letter\.txt: is no file of this dataset"):
        repair(foreign, str(tmp_path / "copy"), certified)
    assert contents(foreign) == before


@pytest.mark.parametrize("name", ["mix-train-000000.tar", "index/mix-train-000001.csv", "README.md", "manifest.json"])
def test_a_folder_where_a_file_is_due_is_left_to_the_user(world, tmp_path, name):
    folder, whole = world
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(UserError, match="is a folder where a file is due; remove it"):
        repair(folder, str(tmp_path / "copy"), certified)
    (folder / name).rmdir()
    assert repair(folder, str(tmp_path / "copy"), certified) == [name]
    assert contents(folder) == whole


def test_a_source_that_is_no_folder_is_one_line(world, tmp_path):
    folder, _ = world
    (folder / "sizes.json").unlink()
    (tmp_path / "file").write_text("mine")
    for source in ("file", "nowhere"):
        with pytest.raises(UserError, match=f"--from .*{source}: no such folder; name the run, or another copy"):
            repair(folder, str(tmp_path / source), certified)


def test_another_certificate_is_not_taken_for_the_one_that_was_written(world, tmp_path):
    folder, _ = world
    damage(folder / "certificate.json", "missing")
    with pytest.raises(RunStopped, match=r"certificate.json: the source gives other bytes than were written"):
        repair(folder, str(tmp_path / "run"), lambda run: {"collisions": 7})
    assert not (folder / "certificate.json").exists()


def test_a_full_disk_stops_it_in_words_and_what_was_mended_stays(world, tmp_path, monkeypatch):
    folder, whole = world
    for name in set(whole) - {"manifest.json"}:
        damage(folder / name, "missing")
    replace, left = os.replace, [3]

    def fail(old, new):
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(old, new)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunStopped, match="No space left on device; mend it and run the same command again"):
        repair(folder, str(tmp_path / "run"), certified)
    assert len(contents(folder)) == 3
    repair(folder, str(tmp_path / "run"), certified)
    assert contents(folder) == whole


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dataset_folders import certified
from pipelines.shards import repair

left = int(sys.argv[4])
replace = os.replace

def counted(old, new):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(old, new)

os.replace = counted
repair.repair(Path(sys.argv[2]), sys.argv[3], certified)
"""


@pytest.mark.parametrize("after", [1, 4])
def test_killed_in_the_middle_the_same_command_goes_on(world, tmp_path, after):
    folder, whole = world
    for name in set(whole) - {"manifest.json"}:
        damage(folder / name, "missing")
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(Path(__file__).parents[2]),
        str(folder),
        str(tmp_path / "run"),
        str(after),
    ]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(contents(folder)) == 1 + after, "what was mended before, what was at hand, and the manifest"
    repair(folder, str(tmp_path / "run"), certified)
    assert contents(folder) == whole
    assert verify(folder).faults == []


def test_two_repairs_do_not_meet(world, tmp_path, monkeypatch):
    folder, whole = world
    damage(folder / "sizes.json", "missing")
    replace, second = os.replace, []

    def meanwhile(old, new):
        with pytest.raises(UserError, match="another repair works there; wait for it"):
            repair(folder, str(tmp_path / "run"), certified)
        second.append(new)
        replace(old, new)

    monkeypatch.setattr(os, "replace", meanwhile)
    repair(folder, str(tmp_path / "run"), certified)
    assert len(second) == 1
    assert contents(folder) == whole
