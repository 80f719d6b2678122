"""The adapter `folder`: any folder of audio with a table beside it."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from adapter_trees import tree
from own_datasets import by_caption, errors, index, names

from schemas.errors import UserError


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
