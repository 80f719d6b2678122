"""The stages `index` and `ingest`: on made files, the sample corpora, and real datasets as published."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from kill import data_files
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Context, Result, conserve, empty
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.ingest.index import Index
from pipelines.ingest.stage import Ingest, excerpt
from pipelines.ingest.store import from_store
from schemas import tables
from schemas.errors import RunStopped, UserError
from schemas.recipe import Data, Dataset

RATE = 16000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).clip(-1, 1)


def context(root: Path, out: Path | None = None) -> Context:
    return Context(Workspace(str(out or root / "run")), str(root), 0, 2)


def index(root: Path, adapter: str, path: str = ".") -> Result:
    data = Data(datasets=[Dataset(adapter=adapter, path=path)])
    return Index(data).process(Batch(empty("records"), {}), context(root))


def ingest(root: Path, rows: list[dict[str, Any]], stage: Ingest) -> Result:
    result = stage.process(Batch(tables.from_rows("records", rows), {}), context(root))
    conserve(stage, [row["record_id"] for row in rows], result)
    tables.from_rows("clips", result.rows)
    return result


FIRST = Ingest(RATE, 10.0, "first", 0.1)
ALL = Ingest(RATE, 2.0, "all", 0.1)


def test_the_first_seconds_of_each_recording_become_a_clip(tmp_path):
    soundfile.write(tmp_path / "long.wav", noise(12.0), RATE)
    soundfile.write(tmp_path / "short.flac", np.stack([noise(3.0)] * 2, 1), RATE)
    result = ingest(tmp_path, index(tmp_path, "folder").rows, FIRST)
    long, short = result.rows
    assert (long["duration_s"], short["duration_s"]) == (10.0, 3.0)
    assert (long["clip_id"], long["source_start_s"], long["note"]) == (long["record_id"], 0.0, None)
    assert (long["claimed_s"], long["decoded_s"], short["source_channels"]) == (12.0, 10.0, 2)
    assert long["recording_id"] == "sha256:" + hashlib.sha256((tmp_path / "long.wav").read_bytes()).hexdigest()
    stored, rate = from_store(result.blobs[0].members["flac"])
    assert rate == RATE
    assert np.array_equal(stored, soundfile.read(tmp_path / "long.wav", dtype="int16")[0][: 10 * RATE])


def test_all_windows_of_a_recording_become_clips_but_for_silence_and_a_short_end(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.concatenate([noise(2.0), np.zeros(2 * RATE), noise(3.05)]), RATE)
    soundfile.write(tmp_path / "short.wav", noise(1.0), RATE)
    result = ingest(tmp_path, index(tmp_path, "folder").rows, ALL)
    long, short = (row["record_id"] for row in index(tmp_path, "folder").rows)
    starts = [(row["clip_id"], row["source_start_s"], row["duration_s"]) for row in result.rows]
    assert starts == [
        (f"{long}-0", 0.0, 2.0),
        (f"{long}-4000", 4.0, 2.0),
        (f"{long}-6000", 6.0, 1.05),
        (short, 0.0, 1.0),
    ]
    assert [blob.key for blob in result.blobs] == [row["clip_id"] for row in result.rows]
    assert len({row["recording_id"] for row in result.rows}) == 2


def test_a_row_that_cannot_be_served_costs_the_others_nothing(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1.0), RATE)
    soundfile.write(tmp_path / "d.wav", noise(0.05), RATE)
    (tmp_path / "b.wav").write_bytes(b"")
    (tmp_path / "c.wav").write_text("text")
    rows = index(tmp_path, "folder").rows
    (tmp_path / "e.wav").touch()
    result = ingest(tmp_path, rows, FIRST)
    assert [row["source_path"] for row in result.rows] == ["a.wav"]
    assert {r.source: r.error for r in result.rejects} == {
        "b.wav": "empty_file",
        "c.wav": "not_audio",
        "d.wav": "too_short",
    }


def test_what_was_decoded_is_told_beside_each_clip(tmp_path):
    sound = np.stack([np.clip(4 * noise(15.0), -1, 32767 / 32768)] * 2, 1)
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    (row,) = ingest(tmp_path, index(tmp_path, "folder").rows, FIRST).rows
    assert (row["source_channels"], row["channel"], row["channels_equal"]) == (2, "mean", True)
    assert row["coverage"] == pytest.approx(2 / 3)
    assert row["dc_offset"] == pytest.approx(soundfile.read(tmp_path / "a.wav", 10 * RATE)[0].mean(), abs=1e-6)
    assert row["clipped_share"] > 0
    assert row["band_limit_hz"] is None
    assert (row["member"], row["video_path"], row["licence"]) == (None, None, "unknown")
    loudest = Ingest(RATE, 4.0, "centre", 0.1, "loudest")
    (row,) = ingest(tmp_path, index(tmp_path, "folder").rows, loudest).rows
    assert (row["source_start_s"], row["channel"], row["coverage"]) == (5.5, "0", pytest.approx(4 / 15))
    assert row["clip_id"] == row["record_id"], "one clip is called like its record"


@pytest.mark.parametrize(
    ("hop_s", "starts", "share"),
    [
        (None, [0, 4000, 8000], 1.0),
        (2.0, [0, 2000, 4000, 6000], 1.0),
        (6.0, [0, 6000], 8 / 10),
        (8.0, [0, 8000], 6 / 10),
        (9.95, [0], 4 / 10),
    ],
)
def test_clips_may_overlap_or_leave_gaps(tmp_path, hop_s, starts, share):
    soundfile.write(tmp_path / "a.flac", noise(10.0), RATE)
    (record,) = index(tmp_path, "folder").rows
    result = ingest(tmp_path, [record], Ingest(RATE, 4.0, "all", 0.1, "mean", hop_s))
    names = [f"{record['record_id']}-{start}" for start in starts] if len(starts) > 1 else [record["record_id"]]
    assert [row["clip_id"] for row in result.rows] == names
    assert [row["coverage"] for row in result.rows] == [pytest.approx(share)] * len(starts)
    stored = soundfile.read(tmp_path / "a.flac", dtype="int16")[0]
    for row, blob in zip(result.rows, result.blobs, strict=True):
        begin = round(row["source_start_s"] * RATE)
        assert np.array_equal(from_store(blob.members["flac"])[0], stored[begin : begin + 4 * RATE])


def test_silence_that_gives_no_clip_is_not_covered(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.concatenate([noise(2.0), np.zeros(4 * RATE), noise(2.0)]), RATE)
    result = ingest(tmp_path, index(tmp_path, "folder").rows, ALL)
    assert [(row["source_start_s"], row["coverage"]) for row in result.rows] == [(0.0, 0.5), (6.0, 0.5)]


def test_an_excerpt_is_covered_as_far_as_its_clip_goes(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(60.0), RATE)
    (record,) = index(tmp_path, "folder").rows
    for start, end, share in ((10.0, 50.0, 0.25), (10.0, 15.0, 1.0), (10.0, None, 0.2), (None, None, 1 / 6)):
        (row,) = ingest(tmp_path, [record | {"start_s": start, "end_s": end}], FIRST).rows
        assert row["coverage"] == pytest.approx(share)
        assert row["excerpt_s"] == row["source_start_s"] == (start or 0.0)


def test_audio_inside_a_tar_is_served_like_a_file(tmp_path):
    (tmp_path / "loose").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / "loose" / f"{number}.ogg", noise(1.0, number), RATE)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in (0, 1, 1):
            tar.add(tmp_path / "loose" / f"{number}.ogg", f"{number}.ogg")
    with tarfile.open(tmp_path / "a.tar") as tar:
        places = [f"bytes:{member.offset_data}+{member.size}" for member in tar.getmembers()]
    loose = index(tmp_path, "folder", "loose").rows
    bare = loose[0] | {"source_path": "a.tar", "file_bytes": (tmp_path / "a.tar").stat().st_size}
    places.append("bytes:99999999+10")
    rows = [bare | {"record_id": f"x-{number}", "member": place} for number, place in enumerate(places)]
    files, members = ingest(tmp_path, loose, FIRST), ingest(tmp_path, rows, FIRST)
    flac = [blob.members["flac"] for blob in files.blobs]
    assert [blob.members["flac"] for blob in members.blobs] == [flac[0], flac[1], flac[1]]
    assert [row["recording_id"] for row in members.rows] == [files.rows[n]["recording_id"] for n in (0, 1, 1)]
    assert [row["member"] for row in members.rows] == places[:3]
    assert [(refusal.key, refusal.error) for refusal in members.rejects] == [("x-3", "corrupt_member")]
    with pytest.raises(RunStopped, match=r"a\.tar: has another size"):
        ingest(tmp_path, [rows[0] | {"file_bytes": 1}], FIRST)


@pytest.mark.parametrize(
    ("windows", "hop_s", "words"),
    [
        ("first", 5.0, "has no effect with windows: first"),
        ("loudest", 10.0, "has no effect with windows: loudest"),
        ("all", 0.1, "set it to 0.2 at least"),
        ("all", 1e-5, "set it to 0.2 at least"),
    ],
)
def test_a_hop_that_can_do_no_good_is_the_users_mistake(windows, hop_s, words):
    with pytest.raises(UserError, match=words):
        Ingest(RATE, 10.0, windows, 0.1, "mean", hop_s).check()


def test_a_hop_that_does_good_is_none():
    for stage in (FIRST, ALL, Ingest(RATE, 10.0, "all", 0.1, "mean", 0.2), Ingest(RATE, 1.0, "all", 0.1, "mean", 60.0)):
        stage.check()


def test_a_file_that_is_gone_or_another_since_it_was_listed_stops_the_run(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1.0), RATE)
    (row,) = index(tmp_path, "folder").rows
    with pytest.raises(RunStopped, match=r"a\.wav: has another size since it was listed"):
        ingest(tmp_path, [row | {"file_bytes": 7}], FIRST)
    with pytest.raises(RunStopped, match="is gone since it was listed"):
        ingest(tmp_path, [row | {"source_path": "gone.wav"}], FIRST)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize(
    ("length", "start", "end", "place"),
    [
        (60.0, 30.0, 40.0, (30.0, 40.0)),
        (39.7, 30.0, 40.0, (30.0, 40.0)),
        (10.0, 30.0, 40.0, (0.0, 10.0)),
        (9.2, 30.0, 40.0, (0.0, 10.0)),
        (10.9, 0.0, 10.0, (0.0, 10.0)),
        (60.0, 0.0, 10.0, (0.0, 10.0)),
        (10.0, 0.5, 10.5, (0.0, 10.0)),
        (10.9, 1.0, 11.0, (0.0, 10.0)),
        (20.0, 30.0, 40.0, (0.0, 10.0)),
        (35.0, 30.0, 40.0, (0.0, 10.0)),
        (11.2, 1.0, 11.0, (1.0, 11.0)),
    ],
)
def test_a_file_holds_the_whole_recording_or_the_excerpt(tmp_path, suffix, length, start, end, place):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(length), RATE)
    assert excerpt(path, start, end) == place


def test_a_segment_is_cut_from_a_whole_recording_and_not_from_a_cut_one(tmp_path):
    lines = [f'{name}, 12.000, 22.000, "/m/09x0r"\n' for name in ("whole_12345", "cut_1234567")]
    (tmp_path / "eval_segments.csv").write_text("".join(lines))
    recording = noise(40.0)
    soundfile.write(tmp_path / "whole_12345.wav", recording, RATE)
    soundfile.write(tmp_path / "cut_1234567.wav", recording[12 * RATE : 22 * RATE], RATE)
    result = ingest(tmp_path, index(tmp_path, "audioset").rows, FIRST)
    assert [(row["source_start_s"], row["duration_s"]) for row in result.rows] == [(12.0, 10.0), (0.0, 10.0)]
    first, second = (blob.members["flac"] for blob in result.blobs)
    assert first == second


def run(root: Path, out: Path, datasets: tuple[Dataset, ...], stage: Ingest = FIRST) -> Work:
    stages = [Index(Data(datasets=list(datasets))), stage]
    work = Work(build_graph(stages, 0), context(root, out))
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    return work


def test_a_committed_run_holds_every_clip_where_its_row_says_and_is_the_same_twice(tmp_path, sample):
    datasets = tuple(Dataset(adapter=name, path=name) for name in ("audioset", "clotho", "fsd50k", "wavcaps"))
    work = run(sample, tmp_path / "a", datasets)
    run(sample, tmp_path / "b", datasets)
    assert data_files(tmp_path / "a") == data_files(tmp_path / "b")
    folder = tmp_path / "a" / work.nodes[1].folder
    rows = [row for part in sorted(folder.glob("p0000?.parquet")) for row in pq.read_table(part).to_pylist()]
    rejected = [row for part in sorted(folder.glob("*.rejects.parquet")) for row in pq.read_table(part).to_pylist()]
    assert len(rows) > 200
    assert len({row["clip_id"] for row in rows}) == len(rows)
    assert {row["error"] for row in rejected} == {"empty_file", "not_audio", "no_samples", "digital_silence"}
    assert {row["note"] for row in rows} == {None, "header_claims_more", "decode_error_midway"}
    assert {row["source_start_s"] for row in rows} > {0.0}, "some segments are cut from whole recordings"
    for row in rows[::20]:
        with (tmp_path / "a" / row["tar"]).open("rb") as tar:
            tar.seek(row["offset"])
            samples, rate = soundfile.read(io.BytesIO(tar.read(row["size"])), dtype="int16")
        assert (rate, len(samples) / rate) == (row["sample_rate"], row["duration_s"])
        assert samples.any()


@pytest.mark.parametrize(
    ("adapter", "path", "rows", "found"),
    [
        ("esc50", "esc50", 2_000, 520),
        ("fsd50k", "fsd50k", 51_197, 16),
        ("audioset", "audioset", 22_160 + 20_371, 0),
        ("clotho", "clotho", 3_839 + 1_045 + 1_045, 0),
        ("wavcaps", "wavcaps", 1_232, 0),
    ],
)
def test_a_dataset_as_published_gives_each_of_its_rows(shared, adapter, path, rows, found):
    result = index(shared, adapter, path)
    assert len(result.rows) == found
    assert Counter(refusal.error for refusal in result.rejects) == {"missing_audio": rows - found}
    keys = [row["record_id"] for row in result.rows] + [refusal.key for refusal in result.rejects]
    assert len(set(keys)) == rows
    tables.from_rows("records", result.rows)


def test_real_clips_carry_their_own_licences(shared):
    rows = {row["record_id"]: row for row in index(shared, "esc50", "esc50").rows}
    licences = {(row["licence_text"], row["licence"]) for row in rows.values()}
    assert licences == {("CC0", "cc0"), ("CC-BY", "by"), ("CC-BY-NC", "by-nc"), ("CC-Sampling+", "sampling+")}
    dog = rows["esc50-1-100032-A-0"]
    assert (dog["attribution"], dog["licence"]) == ("nfrae", "cc0")
    assert (dog["recording_id"], dog["split"]) == ("fs:100032", "train")
    guitar = next(row for row in index(shared, "fsd50k", "fsd50k").rows if row["record_id"] == "fsd50k-64760")
    assert guitar["licence"] == "sampling+"


def test_real_clips_are_stored_at_the_length_that_was_decoded(shared):
    rows = index(shared, "fsd50k", "fsd50k").rows + index(shared, "esc50", "esc50").rows[::40]
    result = ingest(shared, rows, Ingest(32000, 10.0, "first", 0.1))
    assert not result.rejects
    for row, blob in zip(result.rows, result.blobs, strict=True):
        info = soundfile.info(shared / row["source_path"])
        assert row["duration_s"] == pytest.approx(min(info.duration, 10.0), abs=1e-4)
        samples, rate = from_store(blob.members["flac"])
        assert (len(samples), rate) == (row["duration_s"] * 32000, 32000)


def test_a_file_that_the_disk_fails_at_is_a_reject_and_a_full_disk_is_not(tmp_path, monkeypatch):
    from pipelines.ingest import stage as module

    def failing(number):
        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return fail

    row = dict.fromkeys(tables.schema("records").names) | {
        "record_id": "x-1", "dataset": "x", "split": "train", "source_path": "a.wav", "file_bytes": 1,
        "labels": [], "events": [], "keywords": [], "captions": [], "licence": "unknown",
    }  # fmt: skip
    (tmp_path / "a.wav").write_bytes(b"x")
    batch = Batch(tables.from_rows("records", [row]), {})
    context = Context(Workspace(str(tmp_path)), str(tmp_path), 0, 1)
    monkeypatch.setattr(module, "stretch", failing(errno.EIO))
    (refusal,) = Ingest(16000, 5.0, "first", 0.1).process(batch, context).rejects
    assert (refusal.error, refusal.source) == ("unreadable_file", "a.wav")
    monkeypatch.setattr(module, "stretch", failing(errno.ENOMEM))
    with pytest.raises(OSError, match="memory"):
        Ingest(16000, 5.0, "first", 0.1).process(batch, context)
