"""Tests of what a catalogue is built from: recipes whose metadata are read without audio, and blacklists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.catalog.build import build_catalog
from pipelines.catalog.show import missed, overlap_table, read_table, rows, statistics_table
from pipelines.catalog.sources import Sources, list_recipe, read_recipes
from pipelines.catalog.tables import CATALOG_TABLES
from pipelines.core.workspace import Workspace
from schemas.errors import UserError

DEV = (
    'fname,labels,mids,split\n1,Bark,/m/05tny_,train\n2,"Bark,Dog","/m/05tny_,/m/0bt9lr",val\n3,Bark,/m/05tny_,train\n'
)
SEGMENTS = "# x\n# y\n# YTID, start_seconds, end_seconds, positive_labels\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def metadata(root: Path) -> Path:
    """Write the metadata of three datasets, and the audio of one row."""
    return write(
        root,
        {
            "fsd/FSD50K.ground_truth/dev.csv": DEV,
            "fsd/FSD50K.ground_truth/eval.csv": "fname,labels,mids\n4,Dog,/m/0bt9lr\n",
            "fsd/dev_audio/2.wav": "RIFF",
            "as/balanced_train_segments.csv": f'{SEGMENTS}abcdefghij_, 10.000, 20.000, "/m/05tny_"\n'
            'abcdefghij_, 10.000, 20.000, "/m/05tny_"\nnot a segment\n',
            "as/eval_segments.csv": f'{SEGMENTS}abcdefghij_, 10.000, 20.000, "/m/05tny_"\n'
            'abcdefghij_, 15.000, 25.000, "/m/05tny_"\n',
            "wc/SoundBible/sb_final.json": json.dumps({"data": [{"id": "7", "caption": "A bell rings on a street."}]}),
            "wc/blacklist/blacklist_exclude_x.json": json.dumps(
                {"FreeSound": ["1", "2.wav", "2"], "AudioSet": ["Yabcdefghij_.wav"]}
            ),
        },
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return metadata(tmp_path / "data")


def recipe(folder: Path, name: str = "all", more: str = "") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"name: {name}\ndata:\n  datasets:\n"
        "    - {adapter: fsd50k, path: fsd, splits: {val: train, train: dev}}\n"
        "    - {adapter: audioset, path: as}\n"
        "    - {adapter: wavcaps, path: wc}\n"
        f"    - {{adapter: esc50, path: nowhere, optional: true}}\n{more}"
    )
    return str(path)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> str:
    top = tmp_path_factory.mktemp("metadata")
    counts = build_catalog([recipe(top)], str(top / "out"), overrides=[f"data.root={metadata(top / 'data')}"])
    assert (counts["members"], counts["refused"], counts["leaks"]) == (8, 2, 1)
    assert sorted(file.name for file in (top / "out").iterdir()) == sorted(
        f"{table}.parquet" for table in CATALOG_TABLES
    )
    return str(top / "out")


def test_members_are_told_from_the_metadata_alone_with_the_publishers_words(catalogue: str) -> None:
    members = {row["member_id"]: row for row in read_table(catalogue, "members").to_pylist()}
    assert len(members) == 8
    assert {key: (row["published"], row["split"]) for key, row in members.items()} == {
        "fsd50k-1": ("train", "dev"),
        "fsd50k-2": ("val", "train"),
        "fsd50k-3": ("train", "dev"),
        "fsd50k-4": ("eval", "test"),
        "audioset-abcdefghij_-10000": ("balanced_train", "train"),
        "audioset-abcdefghij_-10000#3": ("eval", "test"),
        "audioset-abcdefghij_-15000": ("eval", "test"),
        "wavcaps-sb_7": ("SoundBible", "train"),
    }
    assert {key for key, row in members.items() if row["present"]} == {"fsd50k-2"}
    segment = members["audioset-abcdefghij_-15000"]
    assert (segment["start_s"], segment["end_s"], segment["seconds"], segment["adapter"]) == (
        15.0,
        25.0,
        10.0,
        "audioset",
    )
    assert segment["class_ids"] == ["/m/05tny_"]
    assert members["audioset-abcdefghij_-10000"]["withheld"] == "leaks_into_test"
    assert members["wavcaps-sb_7"]["captions"] == ["A bell rings on a street."]


def test_a_row_that_stands_twice_in_a_split_is_refused_and_one_of_two_splits_is_a_leak(catalogue: str) -> None:
    refused = read_table(catalogue, "refused").to_pylist()
    assert [(row["record_id"].split("-")[-1], row["error"]) for row in refused] == [
        ("10000#2", "duplicate_id"),
        ("line6", "bad_row"),
    ]
    cells = {row[:4]: row[4:] for row in rows(catalogue, "overlap")[1]}
    # Of the two segments of the evaluation set both overlap with the one for training, and with each other.
    assert cells["audioset", "balanced_train", "audioset", "eval"] == (1, 1, 2, 0)
    assert cells["audioset", "eval", "audioset", "eval"] == (1, 1, 1, 0)


def test_statistics_of_metadata_know_what_they_do_not_know(catalogue: str) -> None:
    out = catalogue
    found = {(row["dataset"], row["published"]): row for row in read_table(out, "statistics").to_pylist()}
    fsd = found["fsd50k", "*"]
    assert (fsd["members"], fsd["present"], fsd["hours"], fsd["timed"], fsd["classes"]) == (4, 0.25, None, 0.0, 2)
    assert (fsd["captions"], fsd["caption_words"], fsd["unlicensed"]) == (0, None, 1.0)
    assert found["audioset", "eval"]["hours"] == pytest.approx(20 / 3600)
    bell = found["wavcaps", "SoundBible"]
    assert (bell["captions"], bell["caption_words"], bell["vocabulary"], bell["located"], bell["environment"]) == (
        1,
        6.0,
        5,
        1,
        0,
    )
    assert "1 fsd50k" not in overlap_table(out)
    assert "2 fsd50k" in overlap_table(out)
    assert "fsd50k" in statistics_table(out)


def test_blacklists_are_held_against_every_set(catalogue: str) -> None:
    out = catalogue
    found = {row[1:3]: row[3:] for row in rows(out, "blacklists")[1]}
    assert {row[0] for row in rows(out, "blacklists")[1]} == {"exclude_x"}
    assert found["fsd50k", "*"] == (4, 2, 2)
    assert found["fsd50k", "val"] == (1, 1, 0)
    assert found["audioset", "eval"] == (1, 1, 0)
    assert found["wavcaps", "*"] == (1, 0, 1)
    assert missed(out, "exclude_x", "fsd50k") == ["fs:3", "fs:4"]
    assert missed(out, "exclude_x", "fsd50k", "train") == ["fs:3"]
    named = {row["recording_id"]: row["blacklists"] for row in read_table(out, "recordings").to_pylist()}
    assert named["fs:2"] == ["exclude_x"]
    assert named["fs:4"] == []


def test_two_recipes_are_two_corpora_and_give_the_same_bytes_in_any_order(data: Path, tmp_path: Path) -> None:
    one, two = recipe(tmp_path, "one"), recipe(tmp_path, "two")
    settings = [f"data.root={data}"]
    build_catalog([one, two, one], str(tmp_path / "a"), overrides=settings)
    build_catalog([two, one], str(tmp_path / "b"), overrides=settings)
    for table in CATALOG_TABLES:
        assert (tmp_path / "a" / f"{table}.parquet").read_bytes() == (tmp_path / "b" / f"{table}.parquet").read_bytes()
    assert not [file for file in (tmp_path / "a" / "listed").rglob("*") if file.is_file()]
    found = read_table(str(tmp_path / "a"), "statistics").to_pylist()
    assert {row["run"] for row in found} == {"one", "two"}
    # A row that two recipes name is one member: it is no pair with itself.
    cells = {row[:4]: row[4:] for row in rows(str(tmp_path / "a"), "overlap")[1]}
    assert cells["audioset", "balanced_train", "audioset", "balanced_train"] == (1, 1, 0, 0)


def test_what_is_wrong_with_a_recipe_is_said_and_no_listing_is_left(data: Path, tmp_path: Path) -> None:
    def refused(sources: list[str], *settings: str) -> str:
        with pytest.raises(UserError) as caught:
            build_catalog(sources, str(tmp_path / "out"), overrides=settings)
        return str(caught.value)

    root = f"data.root={data}"
    path = recipe(tmp_path)
    assert "data.root" in refused([path])
    assert "no such file" in refused([str(tmp_path / "none.yaml")], root)
    needed = recipe(tmp_path, "needed", "    - {adapter: clotho, path: nowhere}\n")
    assert "'nowhere' is not a folder" in refused([needed], root)
    (tmp_path / "copy").mkdir()
    assert "is named 'all' too" in refused([path, recipe(tmp_path / "copy")], root)
    (data / "wc/blacklist/blacklist_exclude_x.json").write_text('{"AudioSet": 1}')
    assert "does not list names by AudioSet" in refused([path], root)
    assert "none is named" in refused([])
    twice = recipe(tmp_path, "twice", "    - {adapter: fsd50k, path: fsd}\n")
    assert "two are named 'fsd50k'" in refused([twice], root)
    assert "no recipe is named" in refused([str(tmp_path)], root)
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_a_listing_is_written_in_pieces_so_that_millions_of_rows_need_no_memory(tmp_path: Path) -> None:
    lines = "".join(f'{number:011d}, 0.000, 10.000, "/m/05tny_"\n' for number in range(20_000))
    write(tmp_path / "data", {"as/unbalanced_train_segments.csv": SEGMENTS + lines + "no segment\n" * 9000})
    (tmp_path / "many.yaml").write_text("name: many\ndata: {datasets: [{adapter: audioset, path: as}]}\n")
    found = Sources()
    recipes = read_recipes([str(tmp_path / "many.yaml")], [f"data.root={tmp_path / 'data'}"])
    list_recipe("many", recipes["many"], Workspace(str(tmp_path / "out")), found)
    sizes = [len(piece.members()) for piece in found.pieces]
    assert sizes == [8192, 8192, 3616]
    assert [table.num_rows for table in found.refused] == [8192, 808]
    members = [row["member_id"] for piece in found.pieces for row in piece.members()]
    assert members[:2] == ["audioset-00000000000-0", "audioset-00000000001-0"]
    assert len(set(members)) == 20_000
