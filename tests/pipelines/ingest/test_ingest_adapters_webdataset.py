"""The adapter `webdataset`: shards of any writer, and our own."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from adapter_trees import tree
from own_datasets import RATE, by_caption, context, errors, flac, index, names, sound

from pipelines.core.stage import Batch, Context, empty
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.index import Index
from pipelines.shards.captions import CaptionShards
from schemas import tables
from schemas.errors import UserError
from schemas.recipe import Data, Dataset


def shard(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT, mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=form) as tar:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def facts(**told: Any) -> bytes:
    return json.dumps(told).encode()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_found_in_tars_of_every_kind(tmp_path, form):
    folder = "a folder that is rather long " * 3
    long, sounds = f"{folder}/{'k' * (20 if form == tarfile.USTAR_FORMAT else 150)}", [flac(n) for n in range(5)]
    members = [
        ("1.flac", sounds[0]),
        ("1.json", facts(text=["one", "uno"], tag=["t"], license="CC0", freesound_id=7)),
        ("._1.flac", b"not this"),
        ("./deep/2.x.txt", b"no caption"),
        ("./deep/2.WAV", sounds[1]),
        ("./deep/2.txt", b"two\n"),
        ("./deep/2.cls", b"Bark"),
        (f"{long}.mp3", b"worse"),
        (f"{long}.wav", sounds[2]),
        (f"{long}.txt", "drei \u00e4".encode("latin-1")),
        (f"{long}.cls", b"17"),
        ("4.audio.ogg", sounds[3]),
        ("4.txt", b"four"),
        ("README", b"no member of a sample"),
    ]
    shard(tmp_path / "sub/val-000.tar", members, form)
    shard(tmp_path / "test/000.tar", [("1.flac", sounds[4]), ("1.json", facts(caption="five", split="Training"))])
    result = index(tmp_path, "webdataset")
    assert not result.rejects
    rows = by_caption(result)
    assert {caption: sound(tmp_path, row) for caption, row in rows.items()} == dict(
        zip(["one", "two", "drei \u00e4", "four", "five"], sounds, strict=True)
    )
    assert {caption: row["split"] for caption, row in rows.items()} == {
        "one": "val",
        "two": "val",
        "drei \u00e4": "val",
        "four": "val",
        "five": "train",
    }
    one = rows["one"]
    assert (one["captions"], one["keywords"], one["licence"]) == (["one", "uno"], ["t"], "cc0")
    assert (one["recording_id"], one["source_path"]) == ("fs:7", "sub/val-000.tar")
    assert one["file_bytes"] == (tmp_path / "sub/val-000.tar").stat().st_size
    assert (names(rows["two"]), names(rows["drei \u00e4"])) == (["Bark"], [])


def test_a_samples_identifier_stays_when_shards_are_added(tmp_path):
    shard(tmp_path / "a-0.tar", [("1.flac", flac()), ("1.txt", b"a")])
    (before,) = index(tmp_path, "webdataset").rows
    shard(tmp_path / "a-.tar", [("1.flac", flac()), ("1.txt", b"b")])
    rows = by_caption(index(tmp_path, "webdataset"))
    assert rows["a"] == before
    assert rows["b"]["record_id"] != before["record_id"]
    assert before["record_id"].startswith("mine-1_of_a-0_tar_")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-000000.tar", "train"),
        ("Validation_3.tar", "val"),
        ("eval0.tar", "test"),
        ("dev-0.tar", "dev"),
        ("testing/train/000.tar", "train"),
        ("val/set/000.tar", "val"),
        ("trainstation.tar", "rest"),
    ],
)
def test_a_shards_split_is_told_by_its_name_or_its_folders(tmp_path, name, split):
    shard(tmp_path / name, [("1.flac", flac())])
    (row,) = index(tmp_path, "webdataset", splits={"all": "rest"}).rows
    assert row["split"] == split


@pytest.mark.parametrize(
    ("members", "error", "words"),
    [
        ([("1.json", b'{"caption": '), ("1.flac", b"x")], "bad_row", "s.tar/1: its .json is no object of JSON"),
        ([("1.json", b"[]"), ("1.flac", b"x")], "bad_row", "s.tar/1: its .json is no object of JSON"),
        ([("1.json", facts(start=-1)), ("1.flac", b"x")], "bad_row", "s.tar/1: has '-1' for its start"),
        (
            [("1.mixture.flac", b"x"), ("1.target.flac", b"y"), ("1.json", b"{}")],
            "bad_row",
            "s.tar/1: several members may be its audio: mixture.flac, target.flac",
        ),
        ([("1.txt", b"words")], "missing_audio", "no audio file of the name 's.tar/1'"),
        ([("1.flac", b"x"), ("1.flac", b"y")], "duplicate_id", "the dataset has a row mine-1_of_s_tar_"),
        (
            [("1.flac", b"x"), ("2.flac", b"y"), ("1.txt", b"z")],
            "duplicate_id",
            "the dataset has a row mine-1_of_s_tar_",
        ),
    ],
)
def test_a_sample_that_cannot_be_understood_costs_itself_alone(tmp_path, members, error, words):
    shard(tmp_path / "s.tar", [("0.flac", flac()), *members, ("9.flac", flac())])
    result = index(tmp_path, "webdataset")
    assert len(result.rows) >= 2
    ((found, message),) = errors(result)
    assert (found, message[: len(words)]) == (error, words)


def damaged(path: Path, how: str) -> None:
    with tarfile.open(path) as tar:
        third, fourth = (tar.getmember(name) for name in ("3.flac", "4.txt"))
    whole = path.read_bytes()
    path.write_bytes(
        {
            "in its data": whole[: third.offset_data + 100],
            "in its header": whole[: third.offset + 100],
            "between members": whole[: fourth.offset],
            "before the mark of its end": whole[: fourth.offset_data + 512],
            "overwritten": whole[: third.offset] + b"\xff" * 512 + whole[third.offset + 512 :],
            "with another tar behind it": whole + whole,
        }[how]
    )


@pytest.mark.parametrize(
    ("how", "served", "words"),
    [
        ("in its data", 2, "'3.flac' is cut short"),
        ("in its header", 1, "no header at byte"),
        ("between members", 3, "it ends without the mark of its end"),
        ("before the mark of its end", 3, "it ends without the mark of its end"),
        ("overwritten", 1, "no header at byte"),
        ("with another tar behind it", 4, "something follows the mark of its end"),
    ],
)
def test_of_a_shard_that_breaks_off_whole_samples_are_served_and_the_rest_is_one_refusal(tmp_path, how, served, words):
    members = [(f"{n}.{kind}", data) for n in range(1, 5) for kind, data in (("flac", flac(n)), ("txt", b"c"))]
    shard(tmp_path / "broken.tar", members)
    shard(tmp_path / "whole.tar", members)
    damaged(tmp_path / "broken.tar", how)
    result = index(tmp_path, "webdataset")
    (refusal,) = result.rejects
    assert (refusal.error, refusal.source) == ("corrupt_shard", "broken.tar")
    rows = [row for row in result.rows if row["source_path"] == "broken.tar"]
    assert words in refusal.message
    assert f"{served} whole samples before that are served" in refusal.message
    assert len(rows) == served, "the last sample may lack what is lost"
    assert [sound(tmp_path, row) for row in rows] == [flac(n) for n in range(1, served + 1)]
    assert all(row["captions"] == ["c"] for row in rows)


def test_shards_of_any_bytes_are_refused_and_never_end_the_run(tmp_path):
    shard(tmp_path / "good.tar", [("1.flac", flac())])
    whole = (tmp_path / "good.tar").read_bytes()
    rng = np.random.default_rng(0)
    for n in range(60):
        broken = bytearray(whole)
        for place in rng.integers(0, 600 if n % 2 else len(broken), 1 + n % 7):
            broken[place] = rng.integers(256)
        tree(tmp_path, {f"random{n}.tar": bytes(broken)})
    tree(tmp_path, {"empty.tar": b"", "words.tar": b"no tar at all" * 100, "zero.tar": bytes(10240)})
    tree(tmp_path, {"late.tar": bytes(512) + whole})
    result = index(tmp_path, "webdataset")
    assert {error for error, _ in errors(result)} <= {"corrupt_shard", "missing_audio", "bad_row"}
    assert {"empty.tar", "words.tar", "late.tar"} <= {refusal.source for refusal in result.rejects}


def test_names_and_words_that_are_no_text_cost_themselves_alone(tmp_path):
    good, bad = ("0.flac", flac()), os.fsdecode(b"bad\xff")
    half = b'{"caption": "half of \\ud83d", "tags": [1]}'
    shard(
        tmp_path / "a.tar", [good, (f"{bad}.flac", flac()), ("1.flac", flac()), ("1.json", half), (f"{bad}2.txt", b"c")]
    )
    shard(tmp_path / "b.tar", [(f"{bad}.json", b"["), (f"c.{bad}.flac", b"x"), ("c.flac", b"x")], tarfile.GNU_FORMAT)
    try:
        (tmp_path / f"{bad}.tar").write_bytes((tmp_path / "a.tar").read_bytes())
    except OSError:
        pytest.skip("this file system takes only names that are text")
    result = index(tmp_path, "webdataset")
    assert len(result.rows) == 2
    assert [error for error, _ in errors(result)] == ["bad_row", "missing_audio", "bad_row", "bad_row", "bad_file_name"]
    tables.from_rows(
        "rejects",
        [
            {
                "stage": "index",
                "clip_id": r.key,
                "error": r.error,
                "message": r.message,
                "attempt": 1,
                "source": r.source,
            }
            for r in result.rejects
        ],
    )


def test_shards_that_are_compressed_or_absent_are_told(tmp_path):
    tree(tmp_path, {"a.txt": "no tar"})
    with pytest.raises(UserError, match=r"dataset mine: there is no \*.tar in"):
        index(tmp_path, "webdataset")
    shard(tmp_path / "a.tar", [("1.flac", flac())])
    shard(tmp_path / "b.tar.gz", [("1.flac", flac())], mode="w:gz")
    with pytest.raises(UserError, match=r"b.tar.gz: decompress it: a sample is found in a plain .tar alone"):
        index(tmp_path, "webdataset")


def test_a_tar_that_grows_changes_the_digest_of_the_sources(tmp_path):
    stage = Index(Data(datasets=[Dataset(adapter="webdataset")]))
    shard(tmp_path / "a.tar", [("1.flac", flac())])
    before = stage.sources(context(tmp_path))
    shard(tmp_path / "a.tar", [(f"{n}.flac", flac()) for n in range(9)])
    assert stage.sources(context(tmp_path)) != before


def test_our_own_caption_shards_are_read_with_their_facts(tmp_path):
    workspace, audio = Workspace(str(tmp_path)), {"a-1": flac(1), "a-2": flac(2)}
    clips, captions = [], []
    with Packer(workspace, "store", 0, 10, 10**9) as packer:
        for clip_id, data in audio.items():
            place = packer.add("clips", clip_id, {"flac": data})
            clip = {"tar": place.tar, "offset": place.offset, "size": place.size, "clip_id": clip_id, "dataset": "a"}
            clip |= {"recording_id": f"fs:{clip_id[2:]}", "duration_s": 0.5, "sample_rate": RATE, "split": "val"}
            clips.append(clip | {"licence": "by", "licence_text": "CC BY 4.0", "attribution": "ann"})
            caption = {"clip_id": clip_id, "decision": "accepted", "withheld": None, "split": "val"}
            captions.append(
                caption
                | {
                    "caption": f"a dog {clip_id}",
                    "candidate_id": "c",
                    "method": "m",
                    "score": 1.0,
                    "probability": None,
                    "language": "en",
                }
            )
    classes = [{"clip_id": "a-1", "class_id": "/m/0bt9lr", "class_name": "Dog", "state": "inferred"}]
    sides = {table: empty(table) for table in CaptionShards.reads[1:]}
    sides |= {"clips": pa.Table.from_pylist(clips), "classes": pa.Table.from_pylist(classes)}
    made = CaptionShards(10, 1).process(Batch(pa.Table.from_pylist(captions), sides), Context(workspace, "", 0, 1))
    with Packer(workspace, "data/captions", 0, 10, 10**9) as packer:
        for blob in made.blobs:
            packer.add(blob.group, blob.key, blob.members)
    result = index(tmp_path / "data", "webdataset", path="captions")
    assert not result.rejects
    rows = by_caption(result)
    assert {caption: sound(tmp_path / "data", row) for caption, row in rows.items()} == {
        f"a dog {clip_id}": data for clip_id, data in audio.items()
    }
    first = rows["a dog a-1"]
    assert (first["recording_id"], first["split"], first["attribution"]) == ("fs:1", "val", "ann")
    assert (first["licence"], first["licence_text"]) == ("by", "CC BY 4.0")
    assert first["labels"] == [{"name": "Dog", "class_id": "/m/0bt9lr"}]
