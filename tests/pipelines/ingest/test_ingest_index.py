"""The stage `index`: what becomes of each row of the metadata, in pieces, with evaluation sets and licences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.core.graph import build_graph
from pipelines.core.stage import Batch, Context, Result, empty
from pipelines.core.work import Work
from pipelines.core.worker import read_table, run_task
from pipelines.core.workspace import Workspace
from pipelines.ingest.index import Index
from schemas import tables
from schemas.errors import UserError
from schemas.ids import partition_of
from schemas.load import parse_recipe
from schemas.recipe import Data, Dataset

FSD = Dataset(adapter="fsd50k", path="fsd50k")
ESC = "filename,fold,category,src_file\n1-13-A-0.wav,1,dog,13\n2-14-A-0.wav,2,dog,14\n"
BY, NC = "http://creativecommons.org/licenses/by/3.0/", "http://creativecommons.org/licenses/by-nc/3.0/"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a data folder: an FSD50K of four clips, one without audio, and an evaluation set that shares one of them."""
    truth = tmp_path / "fsd50k" / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    rows = "".join(f"{n},Bark,/m/05tny_,train\n" for n in (11, 12, 13, 14))
    (truth / "dev.csv").write_text("fname,labels,mids,split\n" + rows)
    for n in (11, 12, 13):
        soundfile.write(tmp_path / "fsd50k" / f"{n}.wav", np.full(1600, 0.1), 16000)
    licences = {
        "11": {"license": BY, "uploader": "ann"},
        "12": {"license": NC},
        "13": {"license": BY},
        "14": {"license": NC},
    }
    (tmp_path / "fsd50k" / "dev_clips_info_FSD50K.json").write_text(json.dumps(licences))
    (tmp_path / "esc50").mkdir()
    (tmp_path / "esc50" / "esc50.csv").write_text(ESC + "".join(f"{n}-2{n}-A-0.wav,{n},dog,2{n}\n" for n in (3, 4, 5)))
    return tmp_path


def context(root: Path, partitions: int = 2) -> Context:
    return Context(Workspace(str(root / "run")), str(root), 0, partitions)


def indexed(root: Path, **data: Any) -> Result:
    data = {"datasets": [FSD]} | data
    return Index(Data(root=str(root), **data)).process(Batch(empty("records"), {}), context(root))


def test_rows_whose_audio_is_there_are_served_and_the_others_listed(root):
    result = indexed(root)
    assert [row["record_id"] for row in result.rows] == ["fsd50k-11", "fsd50k-12", "fsd50k-13"]
    assert [(r.key, r.error) for r in result.rejects] == [("fsd50k-14", "missing_audio")]
    assert "'14'" in result.rejects[0].message
    assert [(row["licence"], row["licence_text"]) for row in result.rows] == [("by", BY), ("by-nc", NC), ("by", BY)]
    tables.from_rows("records", result.rows)


def test_what_shares_a_recording_with_an_evaluation_set_is_left_out_with_its_name(root):
    result = indexed(root, decontaminate=["esc50"])
    assert [row["record_id"] for row in result.rows] == ["fsd50k-11", "fsd50k-12"]
    assert result.drops == [("fsd50k-13", "decontaminated:esc50"), ("fsd50k-14", "decontaminated:esc50")]
    assert not result.rejects, "what is not wanted need not be there"
    assert len(indexed(root, decontaminate=["esc50/fold2"]).rows) == 3, "fold 2 holds recording 14 alone"


def test_a_test_split_is_kept_for_it_is_not_trained_on(root):
    result = indexed(root, datasets=[FSD.model_copy(update={"splits": {"train": "test"}})], decontaminate=["esc50"])
    assert len(result.rows) == 3


def test_a_set_that_cannot_be_resolved_stops_the_run_before_it_begins(root):
    stage = Index(Data(root=str(root), datasets=[FSD], decontaminate=["clotho/evaluation"]))
    with pytest.raises(UserError, match="clotho/evaluation"):
        stage.sources(context(root))


def test_a_set_that_is_named_twice_is_refused_in_one_line():
    raw = {"name": "x", "data": {"datasets": ["fsd50k"], "decontaminate": ["esc50", "clotho", "esc50"]}}
    with pytest.raises(UserError, match=r"data\.decontaminate: .*'esc50' stands twice; name each set once") as caught:
        parse_recipe(raw, "x.yaml")
    assert "\n" not in str(caught.value)


def test_only_what_may_be_used_commercially_is_kept_if_asked(root):
    result = indexed(root, licence="commercial")
    assert [row["record_id"] for row in result.rows] == ["fsd50k-11", "fsd50k-13"]
    assert ("fsd50k-12", "licence:by-nc") in result.drops


def test_an_unknown_licence_is_not_a_free_one(root):
    (root / "fsd50k" / "dev_clips_info_FSD50K.json").unlink()
    with pytest.raises(UserError, match=r"what data\.licence and data\.decontaminate leave out"):
        indexed(root, licence="commercial")


def test_a_split_that_the_publisher_does_not_have_is_said(root):
    result = indexed(root, datasets=[FSD.model_copy(update={"splits": {"trian": "train"}})])
    assert result.drops == [("fsd50k.splits.trian", "the publisher has no such split")]


def test_metadata_of_an_evaluation_set_are_part_of_what_is_read(root):
    stage = Index(Data(root=str(root), datasets=[FSD], decontaminate=["esc50/fold1"]))
    before = stage.sources(context(root))
    assert before == stage.sources(context(root))
    (root / "esc50" / "esc50.csv").write_text(ESC.replace("13", "12"))
    assert stage.sources(context(root)) != before


def test_many_rows_come_in_pieces_and_lie_in_their_partitions_in_order(root):
    lines = "".join(f"{n},Bark,/m/05tny_,train\n" for n in range(20_000))
    (root / "fsd50k" / "FSD50K.ground_truth" / "dev.csv").write_text("fname,labels,mids,split\n" + lines)
    stage, here = Index(Data(root=str(root), datasets=[FSD])), context(root, 3)
    assert max(len(piece.keys("record_id")) for piece in stage.stream(here)) < 10_000
    work = Work(build_graph([stage], 0), here)
    marker = run_task(work.task(work.nodes[0], -1), here)
    assert (marker.rows_in, marker.rows_out, marker.rejects) == (20_000, 3, 19_997)
    for p in range(3):
        keys = read_table(here.workspace, work.nodes[0], p, 3).column("record_id").to_pylist()
        assert [partition_of(key, 3) for key in keys] == [p] * len(keys)
