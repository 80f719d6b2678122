"""Adapters on small trees in the publishers' layouts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.stage import Batch, Context, Refusal, Result, conserve, empty
from pipelines.core.workspace import Workspace
from pipelines.ingest.adapters import ADAPTERS, adapter
from pipelines.ingest.index import Index
from pipelines.ingest.listing import list_files
from schemas import tables
from schemas.errors import UserError
from schemas.recipe import Dataset

SOUND = b"RIFF\x24\x00\x00\x00WAVE"


def tree(root: Path, files: dict[str, str | bytes], *sounds: str) -> Path:
    for name, content in {**files, **dict.fromkeys(sounds, SOUND)}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def context(root: Path) -> Context:
    return Context(Workspace(str(root / "run")), str(root), 0, 2)


def index(root: Path, *datasets: Any) -> Result:
    given = [{"adapter": each} if isinstance(each, str) else each for each in datasets]
    stage = Index(tuple(Dataset(**each) for each in given))
    stage.check()
    assert len(stage.sources(context(root))) == 64
    result = stage.process(Batch(empty("records"), {}), context(root))
    served, refused = [row["record_id"] for row in result.rows], [refusal.key for refusal in result.rejects]
    conserve(stage, [*served, *refused, *(key for key, _ in result.drops)], result)
    tables.from_rows("records", result.rows)
    return result


def by_id(result: Result) -> dict[str, dict[str, Any]]:
    return {row["record_id"]: row for row in result.rows}


def errors(result: Result) -> dict[str, str]:
    return {refusal.key: refusal.error for refusal in result.rejects}


AUDIOSET = "# made\n# num\n# YTID, start_seconds, end_seconds, positive_labels\n"


@pytest.mark.parametrize(
    "name",
    [
        "-a_b-c01234.flac",
        "Y-a_b-c01234.wav",
        "-a_b-c01234_30.mp3",
        "-a_b-c01234_30_40.m4a",
        "Y-a_b-c01234_30.000_40.000.WAV",
        "-a_b-c01234_30000_40000.webm",
        "deep/er/Y-a_b-c01234_30.000.opus",
    ],
)
def test_audioset_finds_a_segment_under_every_name_that_tools_give_it(tmp_path, name):
    line = '-a_b-c01234, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
    tree(tmp_path, {"balanced_train_segments.csv": AUDIOSET + line, name: SOUND})
    (row,) = index(tmp_path, "audioset").rows
    assert row["record_id"] == "audioset--a_b-c01234-30000"
    assert row["recording_id"] == "yt:-a_b-c01234"
    assert (row["start_s"], row["end_s"], row["split"]) == (30.0, 40.0, "train")
    assert row["source_path"] == name
    assert row["file_bytes"] == len(SOUND)
    assert [(label["name"], label["class_id"]) for label in row["labels"]] == [
        ("Speech", "/m/09x0r"),
        ("Gush", "/t/dd00088"),
    ]
    assert row["licence"] is None


def test_audioset_prefers_the_file_that_names_the_segment(tmp_path):
    lines = 'abcdefghijk, 0.000, 10.000, "/m/09x0r"\nabcdefghijk, 30.000, 40.000, "/m/09x0r"\n'
    tree(
        tmp_path,
        {"eval_segments.csv": AUDIOSET + lines, "abcdefghijk_30.wav": SOUND, "abcdefghijk.wav": SOUND},
    )
    rows = by_id(index(tmp_path, "audioset"))
    assert rows["audioset-abcdefghijk-0"]["source_path"] == "abcdefghijk.wav"
    assert rows["audioset-abcdefghijk-30000"]["source_path"] == "abcdefghijk_30.wav"
    assert {row["split"] for row in rows.values()} == {"test"}


def test_audioset_takes_strong_labels_and_refuses_bad_lines_by_number(tmp_path):
    lines = 'abcdefghijk, 30.000, 40.000, "/m/09x0r"\nxyz, thirty, 40.000, ""\nxyz, 40.000, 30.000, ""\nxyz\n'
    strong = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
    strong += "abcdefghijk_30000\t4.5\t6\t/m/none\nabcdefghijk_30000\t1.25\t2\t/m/09x0r\nother_0\t0\t1\t/m\n"
    tree(tmp_path, {"lists/unbalanced_train_segments.csv": AUDIOSET + lines, "abcdefghijk.wav": SOUND})
    tree(tmp_path, {"lists/audioset_train_strong.tsv": strong})
    result = index(tmp_path, {"adapter": "audioset", "name": "as", "splits": {"unbalanced_train": "more"}})
    (row,) = result.rows
    first, second = row["events"]
    assert first == {"name": "Speech", "onset_s": 1.25, "offset_s": 2.0}
    assert second == {"name": "/m/none", "onset_s": 4.5, "offset_s": 6.0}
    assert (row["split"], row["dataset"], row["record_id"]) == ("more", "as", "as-abcdefghijk-30000")
    assert errors(result) == {f"as-unbalanced_train_segments-line{n}": "bad_row" for n in (5, 6, 7)}
    tree(tmp_path, {"lists/audioset_train_strong.tsv": strong + "abcdefghijk_30000\tsoon\t1\t/m/09x0r\n"})
    with pytest.raises(UserError, match=r"audioset_train_strong.tsv: line 5 "):
        index(tmp_path, "audioset")


def wavcaps(*entries: Any) -> str:
    return json.dumps({"num_captions_per_audio": 1, "data": entries})


def test_wavcaps_reads_all_four_subsets_and_mixes_up_none(tmp_path):
    wind = {"id": "Yb0RFKhbpFJA.wav", "caption": "Wind.", "audio": "wav_path", "duration": 10.0}
    bug = {"id": "NHU05051026", "caption": "A bug.", "category": "['Nature', 'Insects']"}
    tone = {"id": "2219", "caption": "A ringtone.", "tags": ["phone", "tone"], "author": "Tempouser"}
    plane, gone = {"id": "2219", "caption": "A plane.", "author": "Daniel"}, {"id": "1", "caption": "Gone."}
    lists = "w/json_files/"
    tree(
        tmp_path,
        {
            lists + "AudioSet_SL/as_final.json": wavcaps(wind),
            lists + "BBC_Sound_Effects/bbc_final.json": wavcaps(bug),
            lists + "FreeSound/fsd_final.json": wavcaps(tone, {"id": "7"}, "junk"),
            lists + "FreeSound/fsd_final_2s.json": wavcaps(tone),
            lists + "SoundBible/sb_final.json": wavcaps(plane, gone),
            "w/blacklist/blacklist_exclude_all_ac.json": "{}",
        },
        "w/AudioSet_SL_flac/Yb0RFKhbpFJA.flac",
        "w/BBC_Sound_Effects_flac/NHU05051026.flac",
        "w/FreeSound_flac/2219.flac",
        "w/SoundBible_flac/2219.flac",
        "w/FreeSound_flac/1.flac",
    )
    result = index(tmp_path, {"adapter": "wavcaps", "path": "w", "splits": {"SoundBible": "val"}})
    rows = by_id(result)
    assert {key: (row["recording_id"], row["split"]) for key, row in rows.items()} == {
        "wavcaps-as_b0RFKhbpFJA": ("yt:b0RFKhbpFJA", "train"),
        "wavcaps-bbc_NHU05051026": ("bbc:NHU05051026", "train"),
        "wavcaps-fs_2219": ("fs:2219", "train"),
        "wavcaps-sb_2219": ("sb:2219", "val"),
    }
    assert rows["wavcaps-sb_2219"]["source_path"] == "w/SoundBible_flac/2219.flac"
    assert rows["wavcaps-fs_2219"]["source_path"] == "w/FreeSound_flac/2219.flac"
    assert rows["wavcaps-fs_2219"]["captions"] == ["A ringtone."]
    assert rows["wavcaps-fs_2219"]["keywords"] == ["phone", "tone"]
    assert rows["wavcaps-fs_2219"]["attribution"] == "Tempouser"
    assert rows["wavcaps-bbc_NHU05051026"]["keywords"] == ["Nature", "Insects"]
    assert {row["licence"] for row in rows.values()} == {None}
    bad = {f"wavcaps-fsd_final-entry{number}": "bad_row" for number in (2, 3)}
    assert errors(result) == {"wavcaps-sb_1": "missing_audio", **bad}


CLOTHO = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"


def test_clotho_joins_captions_and_metadata_by_file_name(tmp_path):
    about = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    about += 'Café noir.wav,bar;cup,117,l,"[1, 2]",lava,http://by/3.0/\n a b.wav,air,118,l,"[1, 2]",x,\n'
    about += "lost.wav,moon,Not found,NA,x,p,http://by-nc/3.0/\n"
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
    result = index(tmp_path, "clotho")
    rows = by_id(result)
    assert errors(result) == {"clotho-clotho_captions_development-line7": "bad_row"}
    assert len(rows) == 9, "twins and namesakes are told apart"
    cafe, spaced = rows["clotho-117"], rows["clotho-118"]
    assert cafe["captions"] == ["A cup, falling.", "b", "c", "d", "e"]
    assert (cafe["keywords"], cafe["licence"]) == (["bar", "cup"], "http://by/3.0/")
    assert cafe["attribution"] == "lava"
    assert (cafe["recording_id"], cafe["split"]) == ("fs:117", "train")
    assert (spaced["source_path"], spaced["licence"]) == ("development/ a b.wav", None)
    assert spaced["captions"][0] == " a"
    lost = next(row for row in rows.values() if row["source_path"] == "development/lost.flac")
    assert lost["recording_id"] is None
    assert lost["licence"] == "http://by-nc/3.0/"
    assert {row["recording_id"] for row in rows.values() if "twin" in row["source_path"]} == {"fs:130"}
    splits = {row["source_path"]: row["split"] for row in rows.values()}
    assert (splits["validation/both.wav"], splits["evaluation/both.wav"]) == ("val", "test")


def test_fsd50k_takes_each_clips_own_licence_and_the_publishers_split(tmp_path):
    facts: dict[str, Any] = {"license": "http://sampling+/1.0/", "uploader": "casual"}
    facts |= {"title": "g", "tags": ["electric", "guitar"]}
    dev = 'fname, labels,mids,split\n64760,"Guitar,Music","/m/0342h,/m/04rlf",train\n7,Bark,/m/05tny_,val\n'
    dev += '8,"Bark,Dog",/m/05tny_,val\n'
    tree(
        tmp_path,
        {
            "FSD50K.ground_truth/dev.csv": dev,
            "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n37199,Bark,/m/05tny_\n",
            "FSD50K.ground_truth/vocabulary.csv": "0,Bark,/m/05tny_\n",
            "FSD50K.metadata/dev_clips_info_FSD50K.json": json.dumps({"64760": facts}),
        },
        "FSD50K.dev_audio/64760.wav",
        "FSD50K.dev_audio/7.wav",
        "FSD50K.eval_audio/37199.flac",
    )
    result = index(tmp_path, "fsd50k")
    rows = by_id(result)
    assert {key: row["split"] for key, row in rows.items()} == {
        "fsd50k-64760": "train",
        "fsd50k-7": "val",
        "fsd50k-37199": "test",
    }
    guitar = rows["fsd50k-64760"]
    assert guitar["labels"] == [
        {"name": "Guitar", "class_id": "/m/0342h"},
        {"name": "Music", "class_id": "/m/04rlf"},
    ]
    assert (guitar["licence"], guitar["attribution"]) == ("http://sampling+/1.0/", "casual")
    assert guitar["keywords"] == ["electric", "guitar"]
    assert (rows["fsd50k-7"]["licence"], rows["fsd50k-7"]["recording_id"]) == (None, "fs:7")
    assert errors(result) == {"fsd50k-dev-line4": "bad_row"}


def test_esc50_matches_by_stem_and_splits_by_fold(tmp_path):
    table = "filename,fold,target,category,esc10,src_file,take\n" + "".join(
        f"{fold}-100{fold}-A-0.wav,{fold},0,dog,True,100{fold},A\n" for fold in range(1, 6)
    )
    licences = "101 - Dog:\n- [1-1001-A.ogg]: clip derived from a by b.wav (http://x/) by n frae [CC0]\n"
    tree(
        tmp_path,
        {
            "meta/esc50.csv": table,
            "LICENSE": licences,
        },
        "audio/1-1001-A-0.ogg",
        "audio/2-1002-A-0.flac",
        "audio/3-1003-A-0.wav",
        "audio/4-1004-A-0.wav",
    )
    result = index(tmp_path, {"adapter": "esc50", "splits": {"fold2": "val"}})
    rows = by_id(result)
    assert {key: row["split"] for key, row in rows.items()} == {
        "esc50-1-1001-A-0": "train",
        "esc50-2-1002-A-0": "val",
        "esc50-3-1003-A-0": "train",
        "esc50-4-1004-A-0": "val",
    }
    first, second = rows["esc50-1-1001-A-0"], rows["esc50-2-1002-A-0"]
    assert (first["licence"], first["attribution"]) == ("CC0", "n frae")
    assert (second["licence"], second["attribution"]) == ("CC BY-NC 3.0", None)
    assert first["labels"] == [{"name": "dog", "class_id": None}]
    assert first["recording_id"] == "fs:1001"
    assert errors(result) == {"esc50-5-1005-A-0": "missing_audio"}


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


def test_the_sources_digest_notices_audio_and_metadata_but_not_other_files(tmp_path):
    tree(
        tmp_path,
        {
            "eval_segments.csv": AUDIOSET + 'abcdefghijk, 30.000, 40.000, "/m/09x0r"\n',
        },
        "abcdefghijk.wav",
    )
    stage = Index((Dataset(adapter="audioset"),))
    first = stage.sources(context(tmp_path))
    tree(tmp_path, {"notes.txt": "a note"})
    assert stage.sources(context(tmp_path)) == first
    tree(tmp_path, {"abcdefghijk.wav": SOUND + b"x"})
    second = stage.sources(context(tmp_path))
    tree(tmp_path, {"eval_segments.csv": AUDIOSET})
    assert len({first, second, stage.sources(context(tmp_path))}) == 3


@pytest.mark.parametrize("name", [name for name in ADAPTERS if name != "folder"])
def test_a_missing_metadata_file_is_named_with_where_it_was_sought_and_whence_it_comes(tmp_path, name):
    tree(tmp_path, {"data/a.wav": SOUND})
    with pytest.raises(UserError) as caught:
        index(tmp_path, {"adapter": name, "path": "data"})
    words = str(caught.value)
    assert "\n" not in words
    assert str(tmp_path / "data") in words
    assert "https://" in words
    assert ".csv" in words or ".json" in words


def test_a_table_without_its_columns_is_named_with_those_it_has(tmp_path):
    tree(tmp_path, {"meta/esc50.csv": "file,class\na,b\n"})
    with pytest.raises(UserError, match=r"esc50.csv: has no column 'filename'; it has 'file', 'class'"):
        index(tmp_path, "esc50")


def test_mistakes_in_the_recipe_are_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no adapter 'audio_set'; did you mean 'audioset'"):
        adapter("audio_set")
    with pytest.raises(UserError, match="there are audioset, clotho"):
        adapter("xyzzy")
    with pytest.raises(UserError, match="two are named 'folder'"):
        Index((Dataset(adapter="folder", path="a"), Dataset(adapter="folder", path="b"))).check()
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
