"""Mixtures of runs, of dataset folders and of replayed lists come alike, with what is known of them; what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from dataset_folders import certified, heard, mixture, run_of
from evaluation_sets import RATE, Asked, dataset_of, list_of, some, written

from pipelines.publish.form import Options
from pipelines.publish.webdataset import export_mixtures
from schemas.errors import UserError
from trainers.evaluating.sets import open_sets


def test_all_sets_of_a_dataset_folder_that_have_the_split_come_under_its_name(tmp_path: Path) -> None:
    asked = [*some(4), Asked(9, set="vain", silent=True, policy=None), Asked(10, split="val")]
    folder = dataset_of(tmp_path / "my data", *asked)
    sets = {each.label: each for each in open_sets([str(folder)], "test")}
    (mix,) = [label for label in sets if label.endswith("/mix/test")]
    assert sorted(label.partition("/")[2] for label in sets) == ["mix/test", "vain/test"]
    assert " " not in mix
    assert {each.kind for each in sets.values()} == {"dataset folder"}
    items = list(sets[mix])
    assert (len(items), len(sets[mix])) == (4, 4)
    for item, each in zip(items, some(4), strict=True):
        whole, target = each.sound()
        np.testing.assert_array_equal(item.mixture * 32768, whole)
        np.testing.assert_array_equal(item.target * 32768, target)
        assert (item.key, item.query, item.rate) == (each.key, each.query, RATE)
        assert (item.classes, item.policy, item.set) == (each.classes, each.policy, mix)
        assert item.record["query"] == each.query
    (vain,) = next(each for label, each in sets.items() if label != mix)
    assert (vain.policy, bool(vain.target.any())) == (None, False)


def test_a_run_and_its_export_hold_the_same_mixtures(tmp_path: Path) -> None:
    rows = [mixture(n, "test", "own") for n in range(9)] + [mixture(n, "test", "other") for n in range(20, 22)]
    workspace = run_of(tmp_path / "run", rows)
    export_mixtures(workspace, str(tmp_path / "out"), Options(), certified)
    runs, folders = (open_sets([str(tmp_path / name)], "test") for name in ("run", "out"))
    assert [each.label for each in runs] == ["run/other/test", "run/own/test"]
    assert [each.label for each in folders] == ["out/other/test", "out/own/test"]
    for one, two in zip(runs, folders, strict=True):
        pairs = [sorted((item.key, item.digest()) for item in each) for each in (one, two)]
        assert pairs[0] == pairs[1]
    target, _ = heard(int(next(iter(runs[0])).key.removeprefix("mix-"), 16))
    np.testing.assert_array_equal(next(iter(runs[0])).target * 32768, target)


def test_a_replayed_list_is_known_by_its_name_and_its_queries_are_classes_where_they_are_labels(tmp_path: Path) -> None:
    (esc,) = open_sets([str(list_of(tmp_path / "a", *some(3)))], "test")
    (audiocaps,) = open_sets([str(list_of(tmp_path / "b", *some(3), name="audiocaps"))], "val")
    assert (esc.label, esc.kind, audiocaps.label) == ("esc50", "list", "audiocaps")
    items = list(esc)
    assert [item.key for item in items] == ["mixture-0", "mixture-1", "mixture-2"]
    assert [item.policy for item in items] == ["shares none", "shares equal", "shares none"]
    assert [item.classes for item in items] == [("low",), ("high",), ("low",)]
    assert {item.classes for item in audiocaps} == {()}
    np.testing.assert_array_equal(items[1].target * 32768, some(3)[1].sound()[1])


def test_what_a_system_is_given_and_the_answer_tell_mixtures_apart(tmp_path: Path) -> None:
    (one,) = open_sets([str(dataset_of(tmp_path / "one", Asked(1), Asked(2)))], "test")
    (two,) = open_sets([str(dataset_of(tmp_path / "two", Asked(1), Asked(2, "high")))], "test")
    (a, b), (c, d) = one, two
    assert (a.given(), a.digest()) == (c.given(), c.digest())
    assert len({b.given(), d.given(), a.given()}) == 3
    assert b.place < d.place


def test_what_is_no_set_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = dataset_of(tmp_path / "set", *some(2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"is no set of mixtures; name a finished run"):
        open_sets([str(tmp_path / "empty")], "test")
    with pytest.raises(UserError, match=r"holds no split 'val', only test; choose with --split"):
        open_sets([str(folder)], "val")
    with pytest.raises(UserError, match=r"two sets are called set/mix/test"):
        open_sets([str(folder), str(folder)], "test")
    with pytest.raises(UserError, match="the run makes no mixtures"):
        open_sets([str(run_of(tmp_path / "run", []).root)], "test")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "run.json").write_text('{"tables": 1}')
    with pytest.raises(UserError, match="the run is not finished"):
        open_sets([str(tmp_path / "unfinished")], "test")


def test_a_damaged_list_says_how_it_is_mended(tmp_path: Path) -> None:
    folder = list_of(tmp_path / "list", *some(2))
    written(folder / "segment-0.wav", np.zeros(RATE - 1))
    (items,) = open_sets([str(folder)], "test")
    with pytest.raises(UserError, match=r"mixture-0.wav has 8000 samples and its target 7999; .*`earloom replay`"):
        list(items)
    written(folder / "segment-0.wav", np.zeros(RATE), RATE * 2)
    with pytest.raises(UserError, match=r"segment-0.wav is not one channel at 8000 Hz"):
        list(items)
    (folder / "mixture-0.wav").unlink()
    with pytest.raises(UserError, match=r"mixture-0.wav cannot be read"):
        list(items)
    (folder / "list.csv").write_text("number,query\n0,a\n")
    with pytest.raises(UserError, match=r"list.csv or manifest.json cannot be used \(KeyError\)"):
        open_sets([str(folder)], "test")
    (folder / "list.csv").write_text("number,query,shared\n")
    with pytest.raises(UserError, match="holds no mixture; its rejects.csv says why"):
        open_sets([str(folder)], "test")
    (folder / "manifest.json").write_text(json.dumps({"list": "esc50"}))
    with pytest.raises(UserError, match="cannot be used"):
        open_sets([str(folder)], "test")
