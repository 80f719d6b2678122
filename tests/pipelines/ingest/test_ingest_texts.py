"""Publishers' tables: encodings, headers, and files that are no tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.ingest.texts import read_entries, read_json, read_lines, read_table, read_text
from schemas.errors import UserError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("far", [0, 1 << 20, (1 << 20) - 1])
def test_a_text_is_read_in_its_encoding_wherever_it_first_shows(tmp_path, encoding, far):
    """The one byte that tells may stand beyond the first piece that is read, or on its edge."""
    text = "name,word\n" + "x" * (far - 10 - len("é")) + ",é\n" if far else "name,word\na,é\n"
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    assert read_text(path) == text
    (line,) = read_table(path, name="name", word="word")
    assert line[1] is not None
    assert line[1]["word"] == "é"


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfyoutube_id, caption ,other\r\na,'b',\"c\r\nd\"\r\n\r\nshort\r\ne,f,g\r\n")
    found = list(read_table(path, clip="id youtube_id", text="caption", none="start?"))
    assert found == [
        (3, {"clip": "a", "text": "'b'", "none": ""}),
        (5, None),
        (6, {"clip": "e", "text": "f", "none": ""}),
    ]
    with pytest.raises(UserError, match=r"a.csv: has no column 'start' or 'begin'; it has 'youtube_id', 'caption', "):
        list(read_table(path, start="start begin"))


def test_a_file_is_read_no_further_than_it_is_asked_for(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n" + "3,4\n" * 10)
    lines = read_lines(path)
    assert next(lines) == (1, ["a", "b"])
    lines.close()
    path.write_text("")
    assert list(read_lines(path)) == []
    with pytest.raises(UserError, match="has no column 'a'; it has none"):
        list(read_table(path, a="a"))


def test_files_that_are_no_tables_or_not_there_are_errors_of_one_line(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(UserError, match=r"a.csv: cannot be read \(No such file"):
        list(read_lines(path))
    path.write_text('a,b\n"' + "x" * (1 << 24) + "\n")
    with pytest.raises(UserError, match=r"a.csv: is no table from line 2 on \(field larger"):
        list(read_table(path, a="a"))
    path.write_text("{")
    with pytest.raises(UserError, match=r"a.csv: is not JSON"):
        read_json(path)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("length", [0, 1, 1000])
def test_entries_of_a_long_array_are_those_that_json_itself_reads(tmp_path, indent, length):
    path = tmp_path / "a.json"
    odd: list[Any] = [12, "]", {"data": ["é", '\\"']}, [], None, -1.5e3, "x" * 5000, {"a": {"b": [1, {"c": "}"}]}}]
    whole = {"count": 1, "data": odd * length, "after": "]"}
    path.write_text(json.dumps(whole, indent=indent, ensure_ascii=False), encoding="utf-8")
    assert list(read_entries(path, "data")) == whole["data"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"id": 1}]', r'a.json: is not {"data": \[...\]}'),
        ('{"data": {"id": 1}}', r'a.json: is not {"data": \[...\]}'),
        ('{"data": [1, 2, {"id": 3}', "is not JSON after entry 2 of 'data'"),
        ('{"data": [1, oops, 3]}', "is not JSON after entry 1 of 'data'"),
        ('{"data": [1, {"id": "' + "x" * ((1 << 24) + (1 << 21)), "is not JSON after entry 1 of 'data'"),
    ],
)
def test_a_broken_array_is_an_error_that_says_after_which_entry(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        list(read_entries(path, "data"))
