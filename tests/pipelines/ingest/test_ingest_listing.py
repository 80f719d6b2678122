"""What lies in a dataset's folder: order, names, links, films, and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapter_trees import SOUND, source, tree

from pipelines.core.stage import Refusal
from pipelines.ingest.listing import File, list_files
from schemas.errors import UserError


@pytest.mark.parametrize(
    ("path", "stem", "suffix"),
    [
        ("a/b.c/d.WAV", "d", ".wav"),
        ("d", "d", ""),
        ("a.b/d", "d", ""),
        ("FR.CTC.08.001.wav", "FR.CTC.08.001", ".wav"),
        ("x/Cafe\u0301.flac", "Café", ".flac"),
        (" a b.wav", " a b", ".wav"),
    ],
)
def test_a_file_is_known_by_its_name_without_extension(path, stem, suffix):
    file = File(path, 1)
    assert (file.stem, file.suffix) == (stem, suffix)


def test_files_come_in_order_of_folders_and_names_whatever_the_file_system_says(tmp_path):
    names = ["b", "a.wav", "a b/z.wav", "a/z.wav", "a/a.wav", "a/b/c.wav", "B.wav", "é.wav", "a-/x"]
    tree(tmp_path, dict.fromkeys(names, ""))
    found = [file.path for file in list_files(tmp_path, tmp_path)]
    assert found == sorted(names, key=lambda name: name.split("/"))


def test_of_two_links_to_a_folder_the_first_by_name_is_followed(tmp_path):
    tree(tmp_path / "far", {"x.wav": ""})
    tree(tmp_path / "in", {"sub/y.wav": ""})
    for name in ("two", "one", "sub/zero"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "far")
    assert [file.path for file in list_files(tmp_path / "in", tmp_path)] == ["in/one/x.wav", "in/sub/y.wav"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match="gone: cannot be read"):
        list_files(tmp_path / "gone", tmp_path)


def test_audio_comes_before_films_and_lossless_files_before_others(tmp_path):
    tree(tmp_path, {}, "a.mp4", "a.ogg", "b.mp3", "b.flac", "c.mkv", "c.avi", "d/own/e.ogg", "d/other/e.wav")
    lying = source(tmp_path, "some")
    found = {stem: lying.audio((stem,)) for stem in "abc"}
    assert {stem: file.path for stem, file in found.items() if file} == {"a": "a.ogg", "b": "b.flac", "c": "c.avi"}
    assert lying.audio(("none", "b", "a")) == found["b"], "the first name that there is"
    assert lying.video(("b", "a", "c")) == File("a.mp4", len(SOUND))
    assert lying.video(("b",)) is None
    own = lying.audio(("e",), folders=("own",))
    assert own is not None
    assert own.path == "d/own/e.ogg"
    assert lying.audio(("e",), foreign=("own", "other")) is None
    assert set(lying.stems) == {"a", "b", "c", "e"}


def test_many_files_of_one_name_are_all_known(tmp_path):
    tree(tmp_path, {}, *(f"n{number:02d}/audio.wav" for number in range(50)))
    lying = source(tmp_path, "some")
    found = [lying.audio(("audio",), folders=(f"n{number:02d}",)) for number in (7, 42)]
    assert [file.path for file in found if file] == ["n07/audio.wav", "n42/audio.wav"]


def test_a_row_whose_audio_is_a_film_shows_it_and_one_without_audio_says_what_it_wants(tmp_path):
    lying = source(tree(tmp_path, {}, "a.mp4", "b.wav", "b.mkv"), "some")
    film = lying.row("some-a", lying.audio(("a",)), "a", "train")
    both = lying.row("some-b", lying.audio(("b",)), "b", "train", "CC0", lying.video(("b",)))
    gone = lying.row("some-c", None, "c.wav", "train", keywords=["x"])
    assert not any(isinstance(row, Refusal) for row in (film, both, gone))
    columns = ("source_path", "video_path", "file_bytes", "wanted", "licence", "licence_text", "keywords")
    assert [[row[column] for column in columns] for row in (film, both, gone) if isinstance(row, dict)] == [
        ["a.mp4", "a.mp4", len(SOUND), "a", "unknown", None, []],
        ["b.wav", "b.mkv", len(SOUND), "b", "cc0", "CC0", []],
        [None, None, None, "c.wav", "unknown", None, ["x"]],
    ]


def test_metadata_are_found_in_the_folder_or_in_one_there_but_not_in_hidden_ones(tmp_path):
    tree(tmp_path, dict.fromkeys((".cache/train.csv", "b/train.csv", "a/train.csv", "a/val.csv", "a/b/deep.csv"), ""))
    lying = source(tmp_path, "some")

    def found(*names: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in lying.metadata(*names)]

    assert found("val.csv", "train.csv") == ["a/val.csv", "a/train.csv", "b/train.csv"]
    assert found("deep.csv") == []
    assert found("t*n.csv") == ["a/train.csv", "b/train.csv"]
    Path(tmp_path, "train.csv").touch()
    assert found("train.csv") == ["train.csv"]
