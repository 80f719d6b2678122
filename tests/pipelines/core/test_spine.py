"""The spine over toy stages: conservation, fingerprints, commits, reuse, faults of records and of machines."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import math
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kill import data_files
from pipelines.core import worker
from pipelines.core.commit import ALL, Commit, Marker, parse_marker
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, ConservationError, Context, Refusal, Result, conserve
from pipelines.core.work import Work, why
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from schemas.errors import Reject, RunStopped, UserError
from toys import ToyGather, ToyIndex, ToyIngest, ToyListen, ToyLoser, ToyNeighbours


def run(work: Work) -> Work:
    work.sweep()
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    return work


def rows(work: Work, stage: str, part: str = "p?????") -> list[dict]:
    folder = next(node.folder for node in work.nodes if node.stage.name == stage)
    return [
        row
        for path in sorted(Path(work.context.workspace.root, folder).glob(f"{part}.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_every_record_is_served_rejected_or_dropped(toy):
    work = run(toy())
    clips, rejects, drops = rows(work, "ingest"), rows(work, "ingest", "*.rejects"), rows(work, "ingest", "*.drops")
    assert (len(clips), len(rejects), len(drops)) == (45, 6, 6)
    assert {r["clip_id"] for r in clips + rejects + drops} == {f"toy-{n:04d}" for n in range(57)}
    for marker in work.done.values():
        assert marker.rows_in == marker.rows_out + marker.rejects + marker.drops


def test_a_blob_lies_where_its_row_says(toy):
    work = run(toy())
    for clip in rows(work, "ingest"):
        data = work.context.workspace.read_range(clip["tar"], clip["offset"], clip["size"])
        assert data.startswith(f"audio {int(clip['clip_id'][-4:])} ".encode())


def test_two_runs_give_the_same_bytes(toy, tmp_path):
    run(toy("a"))
    run(toy("b"))
    assert data_files(tmp_path / "a") == data_files(tmp_path / "b") != {}


def test_a_second_run_has_nothing_to_do(toy):
    run(toy())
    work = toy()
    assert not any(work.ready.values())
    assert all(work.finished(node) for node in work.nodes)


def test_a_parameter_changes_its_own_stage_and_those_after_it_only(toy):
    run(toy())
    work = toy(stages=[ToyIndex(), ToyIngest(), ToyListen(mark="!"), ToyGather()])
    assert sorted(name for name, queue in work.ready.items() if queue) == ["listen_toy"]
    node = work.nodes[2]
    assert why(node, work) == "mark changed"
    assert "reads listen_toy anew" in why(work.nodes[3], work)


def test_the_seed_is_part_of_the_fingerprint_of_stages_that_draw_and_of_no_others(toy):
    first, second = (build_graph([ToyIndex(), ToyIngest(), ToyListen(), ToyGather()], seed) for seed in (1, 2))
    assert [a.fingerprint == b.fingerprint for a, b in zip(first, second, strict=True)] == [True, True, True, False]


def test_one_more_record_redoes_only_its_partition(toy, tmp_path):
    run(toy())
    (tmp_path / "count").write_text("58")
    work = toy()
    assert list(work.ready["index"]) == [ALL]
    before = {k: m.content for k, m in toy().done.items()}
    run(work)
    fresh = {(name, p) for (name, p) in work.done if (name, p) not in work.reused}
    assert len([p for name, p in fresh if name == "ingest"]) == 1
    assert len([p for name, p in fresh if name == "listen_toy"]) == 1
    assert ("unify", ALL) in fresh
    assert before == {}


def test_a_table_that_is_read_whole_is_waited_for_and_one_more_row_of_it_redoes_all_its_readers(toy, tmp_path):
    stages = [ToyIndex(), ToyIngest(), ToyListen(), ToyNeighbours()]
    assert {row["class_name"] for row in rows(run(toy(stages=stages)), "unify")} == {"45"}
    assert not any(toy(stages=stages).ready.values())
    (tmp_path / "count").write_text("58")
    work = run(toy(stages=stages))
    assert {row["class_name"] for row in rows(work, "unify")} == {"46"}
    fresh = [(name, p) for name, p in work.done if (name, p) not in work.reused]
    assert sorted(p for name, p in fresh if name == "unify") == list(range(work.context.partitions))
    assert len([p for name, p in fresh if name == "listen_toy"]) == 1


@pytest.mark.parametrize("after", range(1, 9))
def test_a_run_that_dies_between_any_two_writes_goes_on_to_the_same_bytes(toy, tmp_path, monkeypatch, after):
    run(toy("whole"))
    original, calls = Workspace.create, {"n": 0}

    def dying(self, name):
        calls["n"] += 1
        if calls["n"] == after * 3:
            raise KeyboardInterrupt
        return original(self, name)

    work = toy("killed")
    monkeypatch.setattr(Workspace, "create", dying)
    with pytest.raises(KeyboardInterrupt):
        run(work)
    monkeypatch.undo()
    run(toy("killed"))
    assert data_files(tmp_path / "killed") == data_files(tmp_path / "whole")


def test_a_full_disk_stops_the_run_and_blames_no_record(toy, tmp_path, monkeypatch):
    original, calls = Workspace.create, {"n": 0}

    def full(self, name):
        calls["n"] += 1
        if calls["n"] > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, name)

    work = toy()
    monkeypatch.setattr(Workspace, "create", full)
    with pytest.raises(RunStopped, match="No space left on device"):
        run(work)
    monkeypatch.undo()
    work = run(toy())
    run(toy("undisturbed"))
    assert data_files(tmp_path / "run") == data_files(tmp_path / "undisturbed")


def test_an_unforeseen_fault_costs_one_row_and_is_counted(toy):
    work = run(toy(stages=[ToyIndex(), ToyIngest(), ToyListen(fault="toy-0005"), ToyGather()]))
    rejects = rows(work, "listen_toy", "*.rejects")
    assert [(r["clip_id"], r["error"]) for r in rejects] == [("toy-0005", "unexpected_TypeError")]
    assert re.fullmatch(r"a fault that no rule foresaw \(toys.py:\d+\)", rejects[0]["message"])
    assert rejects[0]["source"] == "5.wav"
    assert sum(m.unexpected for m in work.done.values()) == 1
    assert len(rows(work, "listen_toy")) == 44


class ToyOdd(ToyListen):
    """A plug-in that says what no table can hold of one clip."""

    odd: ClassVar[dict[str, Any]] = {}

    def process(self, batch: Batch, context: Context) -> Result:
        result = super().process(batch, context)
        for row in result.rows:
            row.update(self.odd if row["clip_id"] == "toy-0005" else {})
        return result


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        ({"text": "half a pair: \ud83d"}, "unexpected_UnicodeEncodeError"),
        ({"name": 5}, "unexpected_ValueError"),
        ({"value": "loud"}, "unexpected_ValueError"),
        ({"text": {"a": 1}}, "unexpected_ValueError"),
        ({"name": None}, "unexpected_ValueError"),
        ({"loudness": 1.0}, "unexpected_ValueError"),
        ({"value": 10**400}, "unexpected_ValueError"),
    ],
)
def test_a_value_that_no_table_can_hold_costs_its_row_alone(toy, monkeypatch, odd, error):
    monkeypatch.setattr(ToyOdd, "odd", odd)
    work = run(toy(stages=[ToyIndex(), ToyIngest(), ToyOdd(), ToyGather()]))
    rejects = rows(work, "listen_toy", "*.rejects")
    assert [(r["clip_id"], r["error"], r["source"]) for r in rejects] == [("toy-0005", error, "5.wav")]
    assert {row["clip_id"] for row in rows(work, "listen_toy")} == {
        row["clip_id"] for row in rows(work, "ingest") if row["clip_id"] != "toy-0005"
    }


@dataclass(frozen=True)
class ToyBroken(ToyIngest):
    """Makes clips of which one cannot be written down, although its audio can."""

    def process(self, batch: Batch, context: Context) -> Result:
        result = super().process(batch, context)
        for row in result.rows:
            row["duration_s"] = "long" if row["record_id"] == "toy-0005" else row["duration_s"]
        return result


def test_the_audio_of_a_row_that_cannot_be_written_down_is_not_stored(toy):
    work = run(toy(stages=[ToyIndex(), ToyBroken(), ToyListen(), ToyGather()]))
    rejects = rows(work, "ingest", "*.rejects")
    assert [r["clip_id"] for r in rejects if r["error"].startswith("unexpected_")] == ["toy-0005"]
    tars = sorted(Path(work.context.workspace.root, work.nodes[1].folder).glob("*.tar"))
    stored = set()
    for path in tars:
        with tarfile.open(path) as tar:
            stored |= {name.removesuffix(".flac") for name in tar.getnames()}
    assert stored == {row["clip_id"] for row in rows(work, "ingest")}


def test_words_of_a_fault_that_utf8_cannot_hold_are_written_all_the_same(toy, monkeypatch):
    def fail(self, batch, context):
        raise Reject("odd", "heard \udcff")

    monkeypatch.setattr(ToyListen, "process", fail)
    work = run(toy(stages=[ToyIndex(), ToyIngest(), ToyListen(), ToyGather()]))
    assert {r["message"] for r in rows(work, "listen_toy", "*.rejects")} == {"heard \\udcff"}


@given(
    durations=st.lists(st.floats(0.1, 9), max_size=30),
    rows=st.integers(1, 9),
    seconds=st.floats(0.5, 20) | st.just(math.inf),
)
def test_a_batch_is_cut_by_rows_and_by_seconds_and_no_row_is_lost(durations, rows, seconds):
    batch = Batch(pa.table({"duration_s": pa.array(durations, pa.float64())}), {})
    pieces = [piece.rows.column("duration_s").to_pylist() for piece in batch.slices(rows, seconds)]
    assert [duration for piece in pieces for duration in piece] == durations
    assert all(len(piece) == 1 or (len(piece) <= rows and sum(piece) <= seconds + 1e-9) for piece in pieces)
    for piece, following in itertools.pairwise(pieces):  # and none is cut without need
        assert len(piece) == rows or sum(piece) + following[0] > seconds


@dataclass(frozen=True)
class ToyAhead(ToyListen):
    """Takes note of how many batches were prepared and not yet served."""

    prepares = "toy"
    batch_s = 2.0
    begun: ClassVar[list[int]] = []
    most: ClassVar[list[int]] = []

    def prepare(self, batch: Batch, context: Context) -> int:
        self.begun.append(batch.rows.num_rows)
        return batch.rows.num_rows

    def process(self, batch: Batch, context: Context) -> Result:
        assert self.prepared(batch, context) == batch.rows.num_rows <= 2
        self.most.append(len(self.begun) - len(self.most))
        return super().process(batch, context)


@pytest.mark.parametrize(("seconds", "most"), [(3.0, 2), (7.0, 4)])
def test_what_is_prepared_ahead_is_bounded_by_seconds_of_sound(toy, monkeypatch, seconds, most):
    """The clips last a second each: a batch has two, of which one is served while others wait."""
    monkeypatch.setattr(worker.os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(worker, "AHEAD_S", seconds)
    monkeypatch.setattr(ToyAhead, "begun", [])
    monkeypatch.setattr(ToyAhead, "most", [])
    run(toy(partitions=1, stages=[ToyIndex(), ToyIngest(), ToyAhead(), ToyGather()]))
    assert sum(ToyAhead.begun) == 45
    assert max(ToyAhead.most) <= most


@pytest.mark.parametrize("chunk", [1, 7, 8192])
def test_how_many_rows_are_joined_at_a_time_changes_no_byte(toy, tmp_path, monkeypatch, chunk):
    run(toy("whole"))
    monkeypatch.setattr(Commit, "CHUNK", chunk)
    run(toy("pieces"))
    assert data_files(tmp_path / "pieces") == data_files(tmp_path / "whole")


def test_a_stage_that_loses_a_row_is_stopped(toy):
    with pytest.raises(ConservationError, match="listen_toy lost 1 rows"):
        run(toy(stages=[ToyIndex(), ToyIngest(), ToyLoser(), ToyGather()]))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(rejects=[Refusal("a", "x", "")]), "lost"),
        (Result(rejects=[Refusal(k, "x", "") for k in "abc"]), "invented"),
        (Result(rejects=[Refusal("a", "x", ""), Refusal("b", "x", "")], drops=[("a", "y")]), "two outcomes"),
    ],
)
def test_conservation_names_what_is_wrong(result, words):
    with pytest.raises(ConservationError, match=words):
        conserve(ToyGather(), ["a", "b"], result)


def test_a_marker_with_one_changed_byte_is_no_marker(toy):
    work = run(toy())
    marker: Marker = work.done["ingest", 0]
    data = marker.to_bytes()
    assert parse_marker(data) == marker
    for position in range(0, len(data), 7):
        assert parse_marker(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]) is None
    assert parse_marker(data[:-10]) is None
    changed = dataclasses.replace(marker, seconds=marker.seconds + 1).sealed()
    assert (changed.content, changed.digest == marker.digest) == (marker.content, False)


def test_a_damaged_or_missing_data_file_is_made_again(toy, tmp_path):
    run(toy())
    whole = data_files(tmp_path / "run")
    store = next((tmp_path / "run" / "store").glob("ingest-*/*.tar"))
    store.unlink()
    work = toy()
    assert "1 files are gone or altered" in why(work.nodes[1], work)
    run(work)
    assert data_files(tmp_path / "run") == whole


def test_strays_of_a_killed_run_are_swept(toy, tmp_path):
    run(toy())
    folder = next((tmp_path / "run" / "store").glob("ingest-*"))
    (folder / ".tmp-abc-p00000.parquet").write_text("half")
    (folder / "clips-00000-009.tar").write_text("orphan")
    run(toy())
    assert not list(folder.glob(".tmp-*"))
    assert not (folder / "clips-00000-009.tar").exists()


def test_partitions_do_not_depend_on_each_other(toy):
    work = run(toy())
    stage = json.loads(work.context.workspace.read(f"{work.nodes[1].folder}/stage.json"))
    assert stage["params"] == {"rate": 8000}
    assert sorted(p for name, p in work.done if name == "ingest") == [0, 1, 2]


def test_a_graph_that_reads_what_nobody_writes_is_refused():
    with pytest.raises(UserError, match="reads 'clips', which no earlier stage writes"):
        build_graph([ToyIndex(), ToyListen()], 0)
    with pytest.raises(UserError, match="twice"):
        build_graph([ToyIndex(), ToyIndex()], 0)


def test_the_same_run_in_an_object_store_holds_the_same_bytes(toy, tmp_path):
    import fsspec

    run(toy())
    work = toy()
    context = dataclasses.replace(work.context, workspace=Workspace("memory://bucket/run"))
    run(Work(build_graph([ToyIndex(), ToyIngest(), ToyListen(), ToyGather()], 1), context))
    store = fsspec.filesystem("memory")
    local = {
        p.relative_to(tmp_path / "run"): p.read_bytes()
        for p in (tmp_path / "run").rglob("*")
        if p.suffix in (".parquet", ".tar", ".idx")
    }
    assert local
    for name, data in local.items():
        assert store.cat_file(f"/bucket/run/{name}") == data
    again = Work(build_graph([ToyIndex(), ToyIngest(), ToyListen(), ToyGather()], 1), context)
    assert not any(again.ready.values())


def test_what_a_killed_worker_left_is_gone_when_the_run_ends(toy, tmp_path):
    work = toy()
    work.sweep()
    folder = tmp_path / "run" / work.nodes[1].folder
    (folder / ".tmp-of-a-worker-that-died").write_text("half")
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    work.sweep()
    assert not list(folder.glob(".tmp-*"))
    assert toy().finished(work.nodes[-1])


def test_a_partition_that_shrinks_leaves_no_file_behind(toy, tmp_path):
    run(toy())
    (tmp_path / "count").write_text("3")
    work = run(toy())
    work.sweep()
    run(small := toy("small"))
    small.sweep()
    assert data_files(tmp_path / "run") == data_files(tmp_path / "small")
