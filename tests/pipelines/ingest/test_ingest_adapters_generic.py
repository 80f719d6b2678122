"""The adapters for any folder, for WebDataset shards and for Hugging Face's files, on files as they are found."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import soundfile

from pipelines.core.stage import Batch, Context, Result, conserve, empty
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.decode import decode
from pipelines.ingest.index import Index
from pipelines.ingest.member import located
from pipelines.shards.captions import CaptionShards
from schemas import tables
from schemas.errors import UserError
from schemas.recipe import Data, Dataset

RATE = 8000


def flac(seed: int = 0, seconds: float = 0.5) -> bytes:
    sound = io.BytesIO()
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    soundfile.write(sound, samples, RATE, format="FLAC")
    return sound.getvalue()


def tree(root: Path, files: dict[str, str | bytes], *sounds: str) -> Path:
    for name, content in {**files, **{sound: flac(seed) for seed, sound in enumerate(sounds)}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def context(root: Path) -> Context:
    return Context(Workspace(str(root / "run")), str(root), 0, 2)


def index(root: Path, adapter: str, **dataset: Any) -> Result:
    stage = Index(Data(datasets=[Dataset(adapter=adapter, name="mine", **dataset)]))
    stage.check()
    assert len(stage.sources(context(root))) == 64
    result = stage.process(Batch(empty("records"), {}), context(root))
    conserve(stage, result.keys("record_id"), result)
    tables.from_rows("records", result.rows)
    return result


def by_caption(result: Result) -> dict[str, dict[str, Any]]:
    return {row["captions"][0]: row for row in result.rows}


def errors(result: Result) -> list[tuple[str, str]]:
    return [(refusal.error, refusal.message) for refusal in result.rejects]


def sound(root: Path, row: dict[str, Any]) -> bytes:
    with located(root, row["source_path"], row["member"]) as path:
        return path.read_bytes()


def names(row: dict[str, Any]) -> list[str]:
    return [label["name"] for label in row["labels"]]


# A folder with a table.


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(delimiter.join(f'"{field}"' for field in line) for line in lines) + "\n"


def test_a_table_says_the_same_in_every_format(tmp_path):
    rows = [
        {
            "file_name": "a.wav",
            "Text": "a dog, barking",
            "labels": "Bark;Dog",
            "tags": "pet,loud",
            "split": "validation",
            "license": "http://creativecommons.org/licenses/by/4.0/",
            "uploader": "ann",
            "freesound_id": "117",
            "start": "1.5",
            "end": "3",
        },
        {
            "file_name": "deep/b",
            "Text": "rain",
            "labels": "Rain",
            "tags": "",
            "split": "",
            "license": "",
            "uploader": "",
            "freesound_id": "",
            "start": "",
            "end": "",
        },
    ]
    typed: list[dict[str, Any]] = [
        rows[0] | {"labels": ["Bark", "Dog"], "tags": ["pet", "loud"], "freesound_id": 117, "start": 1.5, "end": 3},
        dict.fromkeys(rows[1]) | {"file_name": "deep/b", "Text": "rain", "labels": ["Rain"], "start": float("nan")},
    ]
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(typed), parquet)
    formats = {
        "csv": "\ufeff" + as_csv(rows).replace("\n", "\r\n"),
        "tsv": as_csv(rows, "\t"),
        "jsonl": "".join(json.dumps(row) + "\n" for row in typed),
        "parquet": parquet.getvalue(),
    }
    found = []
    for suffix, content in formats.items():
        root = tree(tmp_path / suffix, {f"metadata.{suffix}": content}, "a.flac", "deep/b.ogg")
        result = index(root, "folder")
        assert not result.rejects
        assert not result.drops
        found.append(result.rows)
    assert all(rows == found[0] for rows in found)
    dog, rain = found[0]
    assert dog["source_path"] == "a.flac"
    assert (dog["captions"], names(dog), dog["keywords"]) == (["a dog, barking"], ["Bark", "Dog"], ["pet", "loud"])
    assert (dog["split"], dog["licence"], dog["attribution"]) == ("val", "by", "ann")
    assert (dog["recording_id"], dog["start_s"], dog["end_s"]) == ("fs:117", 1.5, 3.0)
    assert dog["record_id"].endswith("-1500")
    assert (rain["source_path"], rain["split"], rain["licence"], rain["licence_text"]) == (
        "deep/b.ogg",
        "train",
        "unknown",
        None,
    )
    assert (rain["recording_id"], rain["start_s"], rain["keywords"]) == (None, None, [])


@pytest.mark.parametrize(
    "column", ["file_name", "File Name", "filename", "path", "audio", "wav", "fname", "id", "ytid"]
)
def test_the_files_column_goes_by_several_names(tmp_path, column):
    tree(tmp_path, {"metadata.csv": f"{column},caption\nabcdefghijk,words\n"}, "x/abcdefghijk.wav")
    (row,) = index(tmp_path, "folder").rows
    assert (row["source_path"], row["captions"]) == ("x/abcdefghijk.wav", ["words"])
    assert row["recording_id"] == ("yt:abcdefghijk" if column == "ytid" else None)


def test_a_table_that_names_no_files_is_told_with_its_columns(tmp_path):
    tree(tmp_path, {"metadata.csv": "title,caption\na,b\n"}, "a.wav")
    with pytest.raises(
        UserError, match=r"metadata.csv: no column names the audio files \(file_name, .*'title', 'caption'"
    ):
        index(tmp_path, "folder")
    table = io.BytesIO()
    pq.write_table(pa.table({"title": ["a"], "caption": ["b"]}), table)
    (tmp_path / "metadata.csv").rename(tmp_path / "old.csv")
    tree(tmp_path, {"metadata.parquet": table.getvalue()})
    with pytest.raises(UserError, match=r"metadata.parquet: no column .* it has 'title', 'caption'"):
        index(tmp_path, "folder")
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"metadata.parquet: is not Parquet that can be read"):
        index(tmp_path, "folder")


def test_rows_without_audio_are_told_and_audio_without_rows_is_left_out(tmp_path):
    table = "file_name,caption,youtube_id\na.wav,here,\ngone.wav,gone,abcdefghijk\n"
    tree(tmp_path, {"metadata.csv": table, "notes.txt": "-"}, "a.wav", "extra.wav")
    result = index(tmp_path, "folder")
    assert [row["source_path"] for row in result.rows] == ["a.wav"]
    assert [error for error, _ in errors(result)] == ["missing_audio"]
    assert "'gone.wav'" in errors(result)[0][1]
    assert [reason for _, reason in result.drops] == ["not_in_table"]
    assert result.drops[0][0].startswith("mine-extra_wav_")
    before = result.rejects[0].key
    tree(tmp_path, {}, "gone.flac")
    assert before in {row["record_id"] for row in index(tmp_path, "folder").rows}


def test_rows_of_one_file_are_one_record_unless_they_are_of_several_excerpts(tmp_path):
    lines = [
        {"file": "a.wav", "caption": "one", "label": "Dog, indoors", "start": 0, "end": 2},
        {"file": "b.wav", "caption": "other", "label": None, "author": None},
        {"file": "a.wav", "caption": "two", "label": "Bark", "start": 0, "end": 2, "author": "ann"},
        {"file": "a.wav", "caption": "later", "start": 4.25, "end": 6},
        {"file": "a.wav", "caption": "one", "start": 0, "end": 2},
        {"file": "a.wav", "caption": "false", "start": 0, "end": 5},
        {"file": "b.wav", "captions": ["more", "other"], "author": "bob"},
    ]
    tree(tmp_path, {"metadata.jsonl": "\n\n".join(map(json.dumps, lines))}, "a.wav", "b.wav")
    result = index(tmp_path, "folder")
    rows = by_caption(result)
    assert sorted(rows) == ["later", "one", "other"]
    assert (rows["one"]["captions"], names(rows["one"])) == (["one", "two"], ["Dog, indoors", "Bark"])
    assert (rows["one"]["attribution"], rows["one"]["end_s"]) == ("ann", 2.0)
    assert rows["later"]["record_id"] == rows["one"]["record_id"].removesuffix("-0") + "-4250"
    assert (rows["other"]["captions"], rows["other"]["attribution"]) == (["other", "more"], "bob")
    words = "metadata.jsonl, line 11: says end_s 5.0, but an earlier row of the same file and start says 2.0"
    assert errors(result) == [("bad_row", words)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.wav,x,,Dog", "has another number of fields than the header"),
        (",0,1,Dog,", "names no audio file"),
        ("a.wav,soon,1,Dog,", "has 'soon' for its start, which is no number of seconds"),
        ("a.wav,-1,1,Dog,", "has '-1' for its start, which is no number of seconds"),
        ("a.wav,3,2,Dog,", "ends at 2 s, which is not after its start at 3 s"),
        ('a.wav,0,1,"Dog,Bark",/m/0bt9lr', "has 2 labels and 1 MIDs"),
    ],
)
def test_a_row_that_cannot_be_understood_is_refused_by_its_number(tmp_path, line, words):
    tree(tmp_path, {"metadata.csv": f"file,start,end,labels,mids\nb.wav,nan,,,\n{line}\n"}, "a.wav", "b.wav")
    result = index(tmp_path, "folder")
    assert [row["source_path"] for row in result.rows] == ["b.wav"]
    ((error, message),) = errors(result)
    assert error == "bad_row"
    assert message.startswith(f"metadata.csv, line 3: {words}")


def test_a_line_that_is_no_object_is_refused(tmp_path):
    tree(tmp_path, {"metadata.jsonl": '["a"]\n{"file": "a.wav"}\n{"file"\n{"caption": "c"}\n'}, "a.wav")
    result = index(tmp_path, "folder")
    assert len(result.rows) == 1
    assert {message.partition(":")[0] for _, message in errors(result)} == {
        f"metadata.jsonl, line {n}" for n in (1, 3, 4)
    }


def test_a_table_in_a_folder_speaks_of_the_audio_there(tmp_path):
    for part, caption in (("train", "t"), ("test", "e")):
        tree(tmp_path, {f"{part}/metadata.csv": f"file_name,caption\n1.wav,{caption}1\n2.wav,{caption}2\n"})
    tree(tmp_path, {}, "train/1.wav", "test/1.wav", "test/deep/2.wav")
    result = index(tmp_path, "folder")
    assert {row["captions"][0]: (row["source_path"], row["split"]) for row in result.rows} == {
        "t1": ("train/1.wav", "train"),
        "e1": ("test/1.wav", "test"),
        "e2": ("test/deep/2.wav", "test"),
    }
    assert [error for error, _ in errors(result)] == ["missing_audio"], "train's 2.wav is not test's"


@pytest.mark.parametrize(
    ("table", "wanted", "found"),
    [
        ("metadata.csv", "train/1.wav", "audio/train/1.flac"),
        ("metadata.csv", "./audio/test/1.mp3", "audio/test/1.wav"),
        ("metadata.csv", "/home/ann/data/audio/test/1.wav", "audio/test/1.wav"),
        ("meta/metadata.csv", "../audio/test/1.wav", "audio/test/1.wav"),
        ("meta/metadata.csv", "cafe\u0301.x.wav", "audio/caf\u00e9.x.ogg"),
        ("meta/metadata.csv", "only.dots.here", "audio/only.dots.here.wav"),
        ("metadata.csv", "val/1.wav", None),
        ("metadata.csv", "/home/ann/1.wav", None),
    ],
)
def test_a_name_is_followed_and_else_sought_by_the_end_of_the_path(tmp_path, table, wanted, found):
    sounds = ["audio/train/1.flac", "audio/test/1.wav", "audio/caf\u00e9.x.ogg", "audio/only.dots.here.wav"]
    tree(tmp_path, {table: f"file,caption\n{wanted},c\naudio/none.wav,d\n"}, *sounds)
    result = index(tmp_path, "folder")
    assert [row["source_path"] for row in result.rows] == ([found] if found else [])


def test_a_name_that_several_files_have_is_refused_rather_than_guessed(tmp_path):
    table = "file,caption\n1.wav,which\na/2.wav,of formats the named one\na/3,of formats the better one\n"
    tree(
        tmp_path, {"metadata.csv": table}, "a/1.wav", "b/1.wav", "a/2.mp4", "a/2.flac", "a/2.wav", "a/3.mp4", "a/3.flac"
    )
    result = index(tmp_path, "folder")
    assert errors(result) == [("bad_row", "'1.wav' may be 2 files, e.g. 'a/1.wav' and 'b/1.wav'")]
    assert [row["source_path"] for row in result.rows] == ["a/2.wav", "a/3.flac"]


def test_labels_and_captions_come_in_many_forms(tmp_path):
    lines: list[dict[str, Any]] = [
        {"file": "1", "caption": "x", "labels": "['Child speech, kid speaking', \"Dog\"]"},
        {"file": "2", "caption_2": "second", "caption_10": "tenth", "caption": "first", "labels": "A|B, c"},
        {"file": "3", "captions": '["one", "two"]', "class": "Dog, indoors", "keywords": "a, b"},
        {"file": "4", "caption": "[not a list", "positive_labels": "/m/09x0r,/t/dd00088"},
        {"file": "5", "caption": "pairs", "class_names": ["Speech"], "classes": ["/m/09x0r"], "class_id": 3},
        {"file": "6", "caption": "numbers say nothing", "label": 3, "tags": None},
        {"file": "7", "caption": "mids as labels", "label": "/m/09x0r"},
        {"file": "8", "caption": "twice", "labels": ["Dog", "Dog"], "tags": ["a", "a"]},
        {"file": "9", "caption": "own", "recording_id": "take 9"},
        {"file": "10", "caption": "known", "recording_id": "yt:x", "sound_id": "5"},
        {"file": "11", "caption": "link", "youtube_id": "https://www.youtube.com/watch?v=abcdefghijk&t=3"},
        {"file": "12", "caption": "not found", "sound_id": "Not found"},
        {"file": "13", "caption": "pandas", "sound_id": "12.0"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    tree(tmp_path, {"metadata.jsonl": text}, *(f"{n}.wav" for n in range(1, 14)))
    result = index(tmp_path, "folder")
    assert not result.rejects
    rows = by_caption(result)
    assert names(rows["x"]) == ["Child speech, kid speaking", "Dog"]
    assert (rows["first"]["captions"], names(rows["first"])) == (["first", "second", "tenth"], ["A", "B, c"])
    assert (rows["one"]["captions"], names(rows["one"]), rows["one"]["keywords"]) == (
        ["one", "two"],
        ["Dog, indoors"],
        ["a", "b"],
    )
    speech = {"name": "Speech", "class_id": "/m/09x0r"}
    assert rows["[not a list"]["labels"] == [speech, {"name": "Gush", "class_id": "/t/dd00088"}]
    assert rows["pairs"]["labels"] == rows["mids as labels"]["labels"] == [speech]
    assert rows["numbers say nothing"]["labels"] == []
    assert (names(rows["twice"]), rows["twice"]["keywords"]) == (["Dog"], ["a"])
    recordings = {caption: row["recording_id"] for caption, row in rows.items() if row["recording_id"]}
    assert recordings == {"own": "mine:take 9", "known": "yt:x", "link": "yt:abcdefghijk", "pandas": "fs:12"}


# WebDataset.


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
            captions.append(caption | {"caption": f"a dog {clip_id}", "candidate_id": "c", "method": "m", "score": 1.0})
    classes = [{"clip_id": "a-1", "class_id": "/m/0bt9lr", "class_name": "Dog"}]
    sides = {"clips": pa.Table.from_pylist(clips), "classes": pa.Table.from_pylist(classes)}
    made = CaptionShards(10, 1).process(Batch(pa.Table.from_pylist(captions), sides), context_of(workspace))
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


def context_of(workspace: Workspace) -> Context:
    return Context(workspace, "", 0, 1)


# Hugging Face.

AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def metadata(**features: Any) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


def table(rows: list[dict[str, Any]], **features: Any) -> pa.Table:
    kinds = {"audio": AUDIO}
    names = list(rows[0])
    columns = [pa.array([row[name] for row in rows], kinds.get(name)) for name in names]
    made = pa.Table.from_arrays(columns, names)
    return made.replace_schema_metadata(metadata(**features)) if features else made


def save(path: Path, content: pa.Table, rows: int = 2) -> None:
    """Write a table as `datasets` does: an Arrow stream, or Parquet in small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=rows)
        return
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, content.schema) as writer:
        writer.write_table(content, max_chunksize=rows)


FEATURES = {
    "audio": {"sampling_rate": RATE, "_type": "Audio"},
    "picture": {"_type": "Image"},
    "label": {"names": ["dog", "cat"], "_type": "ClassLabel"},
    "tags": {"feature": {"names": ["loud", "soft"], "_type": "ClassLabel"}, "_type": "List"},
    "text": {"dtype": "string", "_type": "Value"},
}


def example(n: int, data: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {
        "picture": {"bytes": b"png", "path": None},
        "audio": {"bytes": data, "path": path},
        "label": n % 3 - 1,
        "tags": [0, 1][: n % 3],
        "text": f"caption {n}",
        "license": "CC BY 4.0",
    }


def saved(root: Path, layout: str, tables_: dict[str, list[pa.Table]]) -> None:
    for split, parts in tables_.items():
        for number, part in enumerate(parts):
            if layout == "save_to_disk":
                save(root / split / f"data-{number:05d}-of-{len(parts):05d}.arrow", part)
            else:
                save(root / "data" / f"{split}-{number:05d}-of-{len(parts):05d}-abc.parquet", part)
        if layout == "save_to_disk":
            names = [{"filename": f"data-{number:05d}-of-{len(parts):05d}.arrow"} for number in range(len(parts))]
            tree(root, {f"{split}/state.json": json.dumps({"_data_files": names}), f"{split}/dataset_info.json": "{}"})
            save(root / split / "cache-0123.arrow", parts[0])
    if layout == "save_to_disk":
        tree(root, {"dataset_dict.json": json.dumps({"splits": list(tables_)})})


@pytest.mark.parametrize("layout", ["save_to_disk", "hub"])
def test_a_dataset_is_read_as_it_was_saved(tmp_path, layout):
    sounds = [flac(n) for n in range(9)]
    examples = [example(n, data, f"{n}.flac") for n, data in enumerate(sounds)]
    parts = {
        "train": [table(examples[:3], **FEATURES), table(examples[3:6], **FEATURES)],
        "test": [table(examples[6:], **FEATURES)],
    }
    saved(tmp_path, layout, parts)
    result = index(tmp_path, "huggingface")
    assert not result.rejects
    rows = by_caption(result)
    assert {caption: sound(tmp_path, row) for caption, row in rows.items()} == {
        f"caption {n}": data for n, data in enumerate(sounds)
    }
    assert [rows[f"caption {n}"]["split"] for n in range(9)] == ["train"] * 6 + ["test"] * 3
    assert [names(rows[f"caption {n}"]) for n in range(3)] == [[], ["dog"], ["cat"]], "-1 is no class"
    assert [rows[f"caption {n}"]["keywords"] for n in range(3)] == [[], ["loud"], ["loud", "soft"]]
    assert {row["licence"] for row in rows.values()} == {"by"}
    assert rows["caption 4"]["member"] == "row:1/audio"
    with located(tmp_path, rows["caption 4"]["source_path"], "row:1/audio") as path:
        assert len(decode(path).samples) == RATE / 2
    assert len({row["record_id"] for row in rows.values()}) == 9


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_audio_that_is_named_and_not_held_is_found_beside_it(tmp_path, suffix):
    held, below = flac(1), flac(2)
    examples = [
        example(0, held, "0.flac"),
        example(1, None, "clips/1.flac"),
        example(2, None, "clips/gone.flac"),
        example(3, None, None),
        example(4, None, "/cache/clips/1.flac"),
        example(5, None, "5.flac"),
    ]
    save(tmp_path / f"x/train.{suffix}", table(examples, **FEATURES))
    tree(tmp_path, {"audio/clips/1.flac": below, "clips/1.flac": below, "5.flac": below})
    result = index(tmp_path, "huggingface")
    rows = by_caption(result)
    assert (rows["caption 0"]["member"], sound(tmp_path, rows["caption 0"])) == ("row:0/audio", held)
    assert {caption: (row["source_path"], row["member"]) for caption, row in rows.items() if row["member"] is None} == {
        "caption 1": ("clips/1.flac", None),
        "caption 4": ("clips/1.flac", None),
        "caption 5": ("5.flac", None),
    }
    words = "no audio file of the name '{}', whatever its extension, in this dataset"
    wanted = ("clips/gone.flac", f"x/train.{suffix}, row 3")
    assert errors(result) == [("missing_audio", words.format(name)) for name in wanted]


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_columns_without_a_schema_of_datasets_are_known_by_their_type(tmp_path, suffix):
    content = pa.table({"wav": pa.array([flac(1), flac(2)], pa.large_binary()), "caption": ["a", "b"], "label": [0, 1]})
    save(tmp_path / f"some.{suffix}", content)
    rows = by_caption(index(tmp_path, "huggingface"))
    assert {caption: sound(tmp_path, row) for caption, row in rows.items()} == {"a": flac(1), "b": flac(2)}
    assert {row["split"] for row in rows.values()} == {"train"}
    assert names(rows["b"]) == []
    assert index(tmp_path, "huggingface", splits={"all": "val"}).rows[0]["split"] == "val"


def test_what_is_no_dataset_is_told_with_what_is_there(tmp_path):
    tree(tmp_path, {"metadata.csv": "file_name\na.wav\n"}, "a.wav")
    with pytest.raises(UserError, match=r"no \*.parquet or \*.arrow in .*metadata.csv are for the adapter `folder`"):
        index(tmp_path, "huggingface")
    save(tmp_path / "a.parquet", pa.table({"text": ["a"]}))
    with pytest.raises(
        UserError, match=r"a.parquet: no column, or more than one, holds audio; there are 'text' \(string\)"
    ):
        index(tmp_path, "huggingface")
    save(tmp_path / "a.parquet", pa.table({"left": [b"a"], "right": [b"b"]}))
    with pytest.raises(UserError, match=r"more than one, holds audio; there are 'left' \(binary\), 'right' \(binary\)"):
        index(tmp_path, "huggingface")
    tree(tmp_path, {"state.json": "[]"})
    with pytest.raises(UserError, match=r"state.json: does not name its data files; save the dataset again"):
        index(tmp_path, "huggingface")
    tree(tmp_path, {"state.json": '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'})
    with pytest.raises(UserError, match=r"state.json: names 'data-00000-of-00001.arrow', which is not there"):
        index(tmp_path, "huggingface")


def test_a_file_that_is_cut_short_gives_what_can_be_read_and_one_refusal(tmp_path):
    content = table([example(n, os.urandom(2000)) for n in range(40)], **FEATURES)
    for name in ("whole.arrow", "short.arrow", "short.parquet"):
        save(tmp_path / name, content)
    for name in ("short.arrow", "short.parquet"):
        os.truncate(tmp_path / name, 40_000)
    tree(tmp_path, {"random.arrow": os.urandom(3000), "empty.parquet": b""})
    result = index(tmp_path, "huggingface")
    refusals = {refusal.source: refusal for refusal in result.rejects}
    assert set(refusals) == {"short.arrow", "short.parquet", "random.arrow", "empty.parquet"}
    assert {refusal.error for refusal in refusals.values()} == {"corrupt_shard"}
    served = [row["source_path"] for row in result.rows]
    assert served.count("whole.arrow") == 40
    assert 0 < served.count("short.arrow") < 40
    assert f"{served.count('short.arrow')} rows before that are served" in refusals["short.arrow"].message


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_listing_reads_no_sound(tmp_path, suffix):
    save(tmp_path / f"a.{suffix}", table([example(n, os.urandom(400_000)) for n in range(40)], **FEATURES), rows=40)
    before = pa.total_allocated_bytes()
    from pipelines.ingest.adapters import huggingface
    from pipelines.ingest.listing import Source, list_files

    source = Source("mine", tmp_path, tmp_path, {}, list_files(tmp_path, tmp_path))
    for row in huggingface.rows(source):
        assert isinstance(row, dict)
        assert pa.total_allocated_bytes() - before < 1 << 20, "the sound has 16 MB"
