"""Adapters on small trees in the publishers' layouts, and how the stage `index` deals with what they yield."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from adapter_trees import AUDIOSET, SOUND, listed, source, tree

from pipelines.core.stage import Batch, Context, Refusal, Result, conserve, empty
from pipelines.core.workspace import Workspace
from pipelines.ingest.adapters import adapter
from pipelines.ingest.index import Index
from pipelines.ingest.listing import list_files
from schemas import tables
from schemas.errors import UserError
from schemas.recipe import Data

MINE = (
    "audiocaps",
    "audioset",
    "audiosetcaps",
    "auto_acd",
    "clotho",
    "esc50",
    "fsd50k",
    "sound_vecaps",
    "vggsound",
    "wavcaps",
)
"""Adapters of datasets whose metadata are tables of names, and which therefore need a table."""


def context(root: Path) -> Context:
    return Context(Workspace(str(root / "run")), str(root), 0, 2)


def stage(*datasets: Any) -> Index:
    return Index(Data(datasets=[{"adapter": each} if isinstance(each, str) else each for each in datasets]))


def index(root: Path, *datasets: Any) -> Result:
    made = stage(*datasets)
    made.check()
    assert len(made.sources(context(root))) == 64
    result = made.process(Batch(empty("records"), {}), context(root))
    served, refused = [row["record_id"] for row in result.rows], [refusal.key for refusal in result.rejects]
    conserve(made, [*served, *refused, *(key for key, _ in result.drops)], result)
    tables.from_rows("records", result.rows)
    return result


def errors(result: Result) -> dict[str, str]:
    return {refusal.key: refusal.error for refusal in result.rejects}


CLOTHO = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"


def test_clotho_joins_captions_and_metadata_by_file_name(tmp_path):
    by, by_nc = "http://creativecommons.org/licenses/by/3.0/", "http://creativecommons.org/licenses/by-nc/3.0/"
    about = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    about += f'Café noir.wav,bar;cup,117,l,"[1, 2]",lava,{by}\n a b.wav,air,118,l,"[1, 2]",x,\n'
    about += f"lost.wav,moon,Not found,NA,x,p,{by_nc}\n"
    about += "twin 1.wav,t,130,l,x,y,z\ntwin 2.wav,t,130,l,x,y,z\n"
    lines = 'Café noir.wav,"A cup, falling.",b,c,d,e\n a b.wav, a,b,c,d,e\nlost.wav,a,b,c,d,e\n'
    lines += "twin 1.wav,a,b,c,d,e\ntwin 2.wav,a,b,c,d,e\nshort line.wav,a\n"
    tree(
        tmp_path,
        {
            "clotho_captions_development.csv": CLOTHO + lines,
            "clotho_captions_validation.csv": CLOTHO + "both.wav,a,b,c,d,e\nFR.CTC.08.001.wav,a,b,c,d,e\n",
            "clotho_captions_evaluation.csv": CLOTHO + "both.wav,a,b,c,d,e\nself evaluation.wav,a,b,c,d,e\n",
            "clotho_metadata_development.csv": about.encode("latin-1"),
            "development/a b.wav": b"another",
        },
        "development/Cafe\u0301 noir.wav",
        "development/ a b.wav",
        "development/lost.flac",
        "development/twin 1.wav",
        "development/twin 2.wav",
        "validation/both.wav",
        "evaluation/both.wav",
        "validation/FR.CTC.08.001.wav",
        "evaluation/self evaluation.wav",
    )
    found = listed(tmp_path, "clotho")
    rows = found.rows
    assert found.errors == {"clotho-clotho_captions_development-line7": "bad_row"}
    assert len(rows) == 9, "twins and namesakes are told apart"
    cafe, spaced = rows["clotho-117"], rows["clotho-118"]
    assert cafe["captions"] == ["A cup, falling.", "b", "c", "d", "e"]
    assert (cafe["keywords"], cafe["licence"], cafe["licence_text"]) == (["bar", "cup"], "by", by)
    assert cafe["attribution"] == "lava"
    assert (cafe["recording_id"], cafe["split"]) == ("fs:117", "train")
    assert (spaced["source_path"], spaced["licence"]) == ("development/ a b.wav", "unknown")
    assert spaced["captions"][0] == " a"
    lost = next(row for row in rows.values() if row["source_path"] == "development/lost.flac")
    assert (lost["recording_id"], lost["licence"]) == (None, "by-nc")
    assert {row["recording_id"] for row in rows.values() if "twin" in row["source_path"]} == {"fs:130"}
    splits = {row["source_path"]: row["split"] for row in rows.values()}
    assert (splits["validation/both.wav"], splits["evaluation/both.wav"]) == ("val", "test")


def test_clotho_finds_a_file_whose_leading_space_was_lost(tmp_path):
    tree(tmp_path, {"clotho_captions_evaluation.csv": CLOTHO + " a b.wav,a,b,c,d,e\n"}, "evaluation/a b.wav")
    row = listed(tmp_path, "clotho", splits={"evaluation": "held_out"}).only
    assert (row["source_path"], row["split"]) == ("evaluation/a b.wav", "held_out")


FSD50K = "fname,labels,mids,split\n"


def test_fsd50k_takes_each_clips_own_licence_and_the_publishers_split(tmp_path):
    facts: dict[str, Any] = {"license": "http://creativecommons.org/licenses/sampling+/1.0/", "uploader": "casual"}
    facts |= {"title": "g", "description": "a guitar", "tags": ["electric", "guitar"]}
    dev = 'fname, labels,mids,split\n64760,"Guitar,Music","/m/0342h,/m/04rlf",train\n7,Bark,/m/05tny_,val\n'
    dev += '8,"Bark,Dog",/m/05tny_,val\n'
    tree(
        tmp_path,
        {
            "FSD50K.ground_truth/dev.csv": dev,
            "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n37199,Bark,/m/05tny_\n",
            "FSD50K.ground_truth/vocabulary.csv": "0,Bark,/m/05tny_\n",
            "FSD50K.metadata/dev_clips_info_FSD50K.json": json.dumps({"64760": facts}),
            "FSD50K.metadata/eval_clips_info_FSD50K.json": json.dumps({"37199": {"license": "CC0"}}),
            "FSD50K.metadata/class_info_FSD50K.json": "{}",
            "FSD50K.metadata/pp_pnp_ratings_FSD50K.json": json.dumps(
                {"64760": {"/m/0342h": [1.0, 0.5, 0, -1], "/m/other": [1.0]}, "7": {"/m/05tny_": [0.5, 0.5]}}
            ),
        },
        "FSD50K.dev_audio/64760.wav",
        "FSD50K.dev_audio/7.wav",
        "FSD50K.eval_audio/37199.flac",
    )
    found = listed(tmp_path, "fsd50k")
    assert found.values("split") == {"fsd50k-64760": "train", "fsd50k-7": "val", "fsd50k-37199": "test"}
    guitar, bark, held = found.rows["fsd50k-64760"], found.rows["fsd50k-7"], found.rows["fsd50k-37199"]
    assert guitar["labels"] == [
        {"name": "Guitar", "class_id": "/m/0342h", "rating": 0.125},
        {"name": "Music", "class_id": "/m/04rlf", "rating": None},
    ], "a label that follows from another was never rated"
    assert (guitar["licence"], guitar["attribution"]) == ("sampling+", "casual")
    assert (guitar["keywords"], guitar["captions"]) == (["electric", "guitar"], []), "a description is no caption"
    assert (bark["licence"], bark["licence_text"], bark["recording_id"]) == ("unknown", None, "fs:7")
    assert bark["labels"][0]["rating"] == 0.5
    assert (held["licence"], held["source_path"]) == ("cc0", "FSD50K.eval_audio/37199.flac")
    assert found.errors == {"fsd50k-dev-line4": "bad_row"}


def test_fsd50k_without_the_column_split_is_dev_and_eval(tmp_path):
    tree(tmp_path, {"dev.csv": "fname,labels,mids\n7,Bark,/m/05tny_\n", "pp_pnp_ratings.json": "{}"})
    assert listed(tmp_path, "fsd50k").only["split"] == "train"
    assert listed(tmp_path, "fsd50k", splits={"dev": "mine"}).only["split"] == "mine"
    tree(tmp_path, {"pp_pnp_ratings.json": '["7"]'})
    with pytest.raises(UserError, match=r"pp_pnp_ratings.json: does not list clips by their ids; it comes from https"):
        listed(tmp_path, "fsd50k")


def test_esc50_matches_by_stem_and_splits_by_fold(tmp_path):
    table = "filename,fold,target,category,esc10,src_file,take\n" + "".join(
        f"{fold}-100{fold}-A-0.wav,{fold},0,dog,True,100{fold},A\n" for fold in range(1, 6)
    )
    licences = "101 - Dog:\n" + "".join(
        f"- [{clip}.ogg]: clip derived from a by b.wav (http://x/) by {author} [{licence}]\n"
        for clip, author, licence in (
            ("1-1001-A", "n frae", "CC0"),
            ("3-1003-A", "ann", "CC-BY-NC"),
            ("4-1004-A", "bob", "CC-Sampling+"),
            ("5-1005-Ad", "eve", "CC-BY"),
        )
    )
    tree(
        tmp_path,
        {"meta/esc50.csv": table, "LICENSE": licences},
        "audio/1-1001-A-0.ogg",
        "audio/2-1002-A-0.flac",
        "audio/3-1003-A-0.wav",
        "audio/4-1004-A-0.wav",
    )
    found = listed(tmp_path, "esc50", splits={"fold2": "val"})
    assert found.values("split") == {
        "esc50-1-1001-A-0": "train",
        "esc50-2-1002-A-0": "val",
        "esc50-3-1003-A-0": "train",
        "esc50-4-1004-A-0": "val",
        "esc50-5-1005-A-0": "test",
    }
    assert [(row["licence"], row["attribution"]) for row in found.rows.values()] == [
        ("cc0", "n frae"),
        ("by-nc", None),
        ("by-nc", "ann"),
        ("sampling+", "bob"),
        ("by", "eve"),
    ]
    first, second, *_, last = found.rows.values()
    assert second["licence_text"] == "CC BY-NC 3.0", "of a clip that the licences leave out, that of the whole"
    assert first["labels"] == [{"name": "dog", "class_id": None, "rating": None}]
    assert (first["recording_id"], first["source_path"]) == ("fs:1001", "audio/1-1001-A-0.ogg")
    assert (last["source_path"], last["wanted"]) == (None, "5-1005-A-0.wav")


def test_a_folder_takes_what_is_called_or_begins_like_audio_and_names_the_rest(tmp_path):
    tree(
        tmp_path,
        {
            "in/film.mp4": b"x",
            "in/notes.txt": "text",
            "in/x.dat": b"",
        },
        "in/a/b c.WAV",
        "in/no_extension",
        "in/.hidden.wav",
        "run/clips.wav",
    )
    (tmp_path / "in/broken.wav").symlink_to("nowhere")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    tree(tmp_path, {"elsewhere/far.flac": SOUND})
    os.mkfifo(tmp_path / "in/pipe.wav")
    result = index(tmp_path, {"adapter": "folder", "path": "in", "name": "mine", "splits": {"all": "test"}})
    found = {row["source_path"] for row in result.rows}
    assert found == {"in/a/b c.WAV", "in/film.mp4", "in/no_extension", "in/linked/far.flac"}
    assert {(row["split"], row["recording_id"]) for row in result.rows} == {("test", None)}
    assert sorted(error for error in errors(result).values()) == ["missing_audio", "missing_audio"]
    assert {reason for _, reason in result.drops} == {"not_an_audio_file_name"}
    assert len(result.drops) == 2
    everything = index(tmp_path, {"adapter": "folder", "path": "."})
    own = [row for row in everything.rows if row["source_path"].startswith("run/")]
    assert not own, "a run does not ingest itself"


def test_a_file_name_that_is_no_text_costs_that_file_alone(tmp_path):
    tree(tmp_path, {"good.wav": SOUND})
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.wav")).write_bytes(SOUND)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    result = index(tmp_path, "folder")
    assert [row["source_path"] for row in result.rows] == ["good.wav"]
    assert list(errors(result).values()) == ["bad_file_name"]
    assert "bad\\udcff.wav" in result.rejects[0].message


def test_rows_of_one_identifier_are_served_once_and_the_others_told(tmp_path):
    line = 'abcdefghijk, 30.000, 40.000, "/m/09x0r"\n'
    tree(tmp_path, {"eval_segments.csv": AUDIOSET + 3 * line, "abcdefghijk.wav": SOUND})
    result = index(tmp_path, "audioset")
    assert len(result.rows) == 1
    assert errors(result) == {f"audioset-abcdefghijk-30000#{n}": "duplicate_id" for n in (2, 3)}


def test_a_clip_that_two_lists_of_audiocaps_hold_is_one_for_evaluation(tmp_path):
    header = "audiocap_id,youtube_id,start_time,caption\n"
    lists = {f"{part}.csv": header + f"{n},abcdefghijk,30,A dog\n" for n, part in enumerate(("train", "val", "test"))}
    tree(tmp_path, lists, "abcdefghijk.wav")
    result = index(tmp_path, "audiocaps")
    assert [row["split"] for row in result.rows] == ["test"]
    assert errors(result) == {f"audiocaps-abcdefghijk-30000#{n}": "duplicate_id" for n in (2, 3)}


def test_the_sources_digest_notices_audio_and_metadata_but_not_other_files(tmp_path):
    line = 'abcdefghijk, 30.000, 40.000, "/m/09x0r"\n'
    tree(tmp_path, {"eval_segments.csv": AUDIOSET + line}, "abcdefghijk.wav")
    made = stage("audioset")
    first = made.sources(context(tmp_path))
    tree(tmp_path, {"notes.txt": "a note"})
    assert made.sources(context(tmp_path)) == first
    tree(tmp_path, {"abcdefghijk.wav": SOUND + b"x"})
    second = made.sources(context(tmp_path))
    tree(tmp_path, {"eval_segments.csv": AUDIOSET + line + line.replace("abc", "xyz")})
    assert len({first, second, made.sources(context(tmp_path))}) == 3


@pytest.mark.parametrize("name", MINE)
def test_a_missing_metadata_file_is_named_with_where_it_was_sought_and_whence_it_comes(tmp_path, name):
    tree(tmp_path, {"data/a.wav": SOUND})
    with pytest.raises(UserError) as caught:
        list(adapter(name).rows(source(tmp_path, name, "data")))
    with pytest.raises(UserError):
        adapter(name).metadata_files(source(tmp_path, name, "data"))
    words = str(caught.value)
    assert "\n" not in words
    assert str(tmp_path / "data") in words
    assert "https://" in words
    assert ".csv" in words or ".json" in words


def test_a_table_without_its_columns_is_named_with_those_it_has(tmp_path):
    tree(tmp_path, {"meta/esc50.csv": "file,class\na,b\n"})
    with pytest.raises(UserError, match=r"esc50.csv: has no column 'filename'; it has 'file', 'class'"):
        listed(tmp_path, "esc50")


def test_mistakes_in_the_recipe_are_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no adapter 'audio_set'; did you mean 'audioset'"):
        adapter("audio_set")
    with pytest.raises(UserError, match="there are audiocaps, audioset"):
        adapter("xyzzy")
    with pytest.raises(UserError, match="two are named 'folder'"):
        stage({"adapter": "folder", "path": "a"}, {"adapter": "folder", "path": "b"}).check()
    with pytest.raises(UserError, match=r"data.root: '.*nowhere' is not a folder.*--set data.root=DIR"):
        index(tmp_path / "nowhere", "folder")
    with pytest.raises(UserError, match=r"'gone' is not a folder.*optional: true"):
        index(tmp_path, {"adapter": "folder", "path": "gone"})
    with pytest.raises(UserError, match=r"leads out of data.root"):
        index(tmp_path, {"adapter": "folder", "path": "../other"})
    with pytest.raises(UserError, match="no recordings found under"):
        index(tmp_path, {"adapter": "folder", "path": "."})
    tree(tmp_path, {"a.wav": SOUND})
    result = index(tmp_path, "folder", {"adapter": "folder", "name": "gone", "path": "gone", "optional": True})
    assert result.drops == [("gone", "optional_dataset_absent")]


def test_listing_grows_in_proportion_to_the_files(tmp_path):
    lines = "".join(f'ytid{n:07d}, {n % 300}.000, {n % 300 + 10}.000, "/m/09x0r"\n' for n in range(20_000))
    tree(tmp_path, {"unbalanced_train_segments.csv": AUDIOSET + lines})
    audio = tmp_path / "audio"
    audio.mkdir()
    for n in range(0, 20_000, 10):
        (audio / f"Yytid{n:07d}.wav").touch()
    result = index(tmp_path, "audioset")
    assert (len(result.rows), len(result.rejects)) == (2_000, 18_000)
    assert all(isinstance(refusal, Refusal) for refusal in result.rejects)
    assert len(list_files(audio, tmp_path)) == 2_000
