"""Adapters of datasets made of YouTube's recordings, on small trees in the publishers' layouts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from adapter_trees import AUDIOSET, SOUND, listed, source, tree

from pipelines.ingest.adapters import adapter, youtube
from schemas.errors import UserError

STRONG = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"


@pytest.mark.parametrize(
    "name",
    [
        "-a_b-c01234.flac",
        "Y-a_b-c01234.wav",
        "-a_b-c01234_30.mp3",
        "-a_b-c01234_30_40.m4a",
        "-a_b-c01234_30000.flac",
        "-a_b-c01234_000030.wav",
        "Y-a_b-c01234_30.000_40.000.WAV",
        "-a_b-c01234_30000_40000.webm",
        "deep/er/Y-a_b-c01234_30.000.opus",
    ],
)
def test_audioset_finds_a_segment_under_every_name_that_tools_give_it(tmp_path, name):
    line = '-a_b-c01234, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
    tree(tmp_path, {"balanced_train_segments.csv": AUDIOSET + line, name: SOUND})
    row = listed(tmp_path, "audioset").only
    assert row["record_id"] == "audioset--a_b-c01234-30000"
    assert row["recording_id"] == "yt:-a_b-c01234"
    assert (row["start_s"], row["end_s"], row["split"]) == (30.0, 40.0, "train")
    assert (row["source_path"], row["file_bytes"]) == (name, len(SOUND))
    assert row["video_path"] == (name if name.endswith(".webm") else None)
    assert row["labels"] == [
        {"name": "Speech", "class_id": "/m/09x0r", "rating": None},
        {"name": "Gush", "class_id": "/t/dd00088", "rating": None},
    ]
    assert (row["licence"], row["licence_text"]) == ("unknown", None)


def test_audioset_prefers_the_file_that_names_the_segment(tmp_path):
    lines = 'abcdefghijk, 0.000, 10.000, "/m/09x0r"\nabcdefghijk, 30.000, 40.000, "/m/09x0r"\n'
    tree(tmp_path, {"eval_segments.csv": AUDIOSET + lines}, "abcdefghijk_30.wav", "abcdefghijk.wav")
    found = listed(tmp_path, "audioset")
    assert found.values("source_path") == {
        "audioset-abcdefghijk-0": "abcdefghijk.wav",
        "audioset-abcdefghijk-30000": "abcdefghijk_30.wav",
    }
    assert set(found.values("split").values()) == {"test"}


def test_a_film_beside_an_audio_file_is_seen_and_not_heard(tmp_path):
    lines = "".join(f'{ytid}, 30.000, 40.000, "/m/09x0r"\n' for ytid in ("abcdefghijk", "lmnopqrstuv", "onlyfilmed0"))
    tree(
        tmp_path,
        {"eval_segments.csv": AUDIOSET + lines},
        "audio/abcdefghijk_30.ogg",
        "films/abcdefghijk_30.mp4",
        "audio/Ylmnopqrstuv.flac",
        "films/lmnopqrstuv_30000_40000.mkv",
        "films/onlyfilmed0.mp4",
    )
    found = listed(tmp_path, "audioset")
    assert {(row["source_path"], row["video_path"]) for row in found.rows.values()} == {
        ("audio/abcdefghijk_30.ogg", "films/abcdefghijk_30.mp4"),
        ("films/lmnopqrstuv_30000_40000.mkv", "films/lmnopqrstuv_30000_40000.mkv"),
        ("films/onlyfilmed0.mp4", "films/onlyfilmed0.mp4"),
    }, "of two names the one that names the segment counts more than the kind of the file"


def test_audioset_takes_strong_labels_and_refuses_bad_lines_by_number(tmp_path):
    lines = (
        'abcdefghijk, 30.000, 40.000, "/m/09x0r"\nabcdefghijk, thirty, 40.000, ""\nabcdefghijk, 40.000, 30.000, ""\n'
    )
    lines += 'abcdefghijk\n#NAME?, 30.000, 40.000, "/m/09x0r"\n'
    strong = STRONG + "abcdefghijk_30000\t4.5\t6\t/m/none\nabcdefghijk_30000\t1.25\t2\t/m/09x0r\n"
    tree(tmp_path, {"lists/unbalanced_train_segments.csv": AUDIOSET + lines}, "abcdefghijk.wav")
    tree(tmp_path, {"lists/audioset_train_strong.tsv": strong})
    found = listed(tmp_path, "audioset", splits={"unbalanced_train": "more"})
    assert found.only["events"] == [
        {"name": "Speech", "onset_s": 1.25, "offset_s": 2.0},
        {"name": "/m/none", "onset_s": 4.5, "offset_s": 6.0},
    ]
    assert (found.only["split"], found.only["record_id"]) == ("more", "audioset-abcdefghijk-30000")
    assert found.errors == {f"audioset-unbalanced_train_segments-line{n}": "bad_row" for n in (5, 6, 7, 8)}
    for line in ("abcdefghijk_30000\tsoon\t1\t/m/09x0r\n", "elsewhere\t0\t1\t/m/09x0r\n"):
        tree(tmp_path, {"lists/audioset_train_strong.tsv": strong + line})
        with pytest.raises(UserError, match=r"audioset_train_strong.tsv: line 4 is not a segment.*https://"):
            listed(tmp_path, "audioset")


def test_what_a_strong_label_says_is_absent_is_no_event(tmp_path):
    strong = STRONG.replace("label\n", "label\tpresent\n") + "abcdefghijk_30000\t0\t0.96\t/m/09x0r\tNOT_PRESENT\n"
    line = 'abcdefghijk, 30.000, 40.000, "/m/09x0r"\n'
    tree(tmp_path, {"eval_segments.csv": AUDIOSET + line, "audioset_eval_strong.tsv": strong}, "abcdefghijk.wav")
    assert listed(tmp_path, "audioset").only["events"] == []
    strong += "abcdefghijk_30000\t0.96\t1.92\t/m/09x0r\tPRESENT\n"
    tree(tmp_path, {"audioset_eval_strong.tsv": strong})
    assert listed(tmp_path, "audioset").only["events"] == [{"name": "Speech", "onset_s": 0.96, "offset_s": 1.92}]


def test_a_segment_that_strong_labels_alone_name_is_a_row_of_its_own(tmp_path):
    train = STRONG + "-trongonly0_5500\t0\t1\t/m/09x0r\n-trongonly0_5500\t2\t3\t/m/05tny_\n"
    tree(tmp_path, {"audioset_train_strong.tsv": train}, "Y-trongonly0.flac")
    row = listed(tmp_path, "audioset", splits={"train_strong": "strong"}).only
    assert (row["record_id"], row["recording_id"]) == ("audioset--trongonly0-5500", "yt:-trongonly0")
    assert (row["start_s"], row["end_s"], row["split"]) == (5.5, 15.5, "strong")
    assert (row["labels"], [event["name"] for event in row["events"]]) == ([], ["Speech", "Bark"])
    listing = AUDIOSET + '-trongonly0, 5.500, 12.000, "/m/09x0r"\nabcdefghijk, 0.000, 10.000, "/m/09x0r"\n'
    tree(tmp_path, {"balanced_train_segments.csv": listing})
    tree(tmp_path, {"audioset_eval_strong.tsv": STRONG + "evalstrong0_0\t0\t1\t/m/09x0r\n"})
    found = listed(tmp_path, "audioset")
    assert found.values("end_s")["audioset--trongonly0-5500"] == 12.0, "a segment list says more than ten seconds"
    assert found.values("split") == {
        "audioset--trongonly0-5500": "train",
        "audioset-abcdefghijk-0": "train",
        "audioset-evalstrong0-0": "test",
    }
    assert found.values("source_path")["audioset-evalstrong0-0"] is None


def test_what_strong_labels_alone_name_of_the_evaluation_part_is_of_eval_where_its_list_lies_too(tmp_path):
    words = {"eval": "list", "eval_strong": "strong"}
    tree(tmp_path, {"audioset_eval_strong.tsv": STRONG + "evalstrong0_0\t0\t1\t/m/09x0r\n"})
    assert listed(tmp_path, "audioset", splits=words).only["split"] == "strong"
    tree(tmp_path, {"eval_segments.csv": AUDIOSET + 'abcdefghijk, 0.000, 10.000, "/m/09x0r"\n'})
    assert set(listed(tmp_path, "audioset", splits=words).values("split").values()) == {"list"}


def test_a_file_that_is_no_list_of_segments_is_named_with_what_was_expected(tmp_path):
    tree(tmp_path, {"eval_segments.csv": "<html>\n<p>404</p>\n"})
    with pytest.raises(UserError, match=r"eval_segments.csv: no line is `YTID, start, end, .*https://research.google"):
        listed(tmp_path, "audioset")
    tree(tmp_path, {"eval_segments.csv": AUDIOSET})
    assert not listed(tmp_path, "audioset").rows, "an empty list is a list"


AUDIOCAPS = "audiocap_id,youtube_id,start_time,caption\n"


def test_audiocaps_gives_a_clip_all_its_captions_wherever_their_lines_stand(tmp_path):
    test = "1,-estclip000,30,A dog barks\n2,testclip001,0,Rain\n3,-estclip000,30,A dog barks\n4,-estclip000,40,Wind\n"
    tree(
        tmp_path,
        {"dataset/test.csv": AUDIOCAPS + test, "dataset/train.csv": AUDIOCAPS + '9,trainclip02,5,"Rain, wind"\n'},
    )
    found = listed(tmp_path, "audiocaps")
    assert found.values("captions") == {
        "audiocaps--estclip000-30000": ["A dog barks", "A dog barks"],
        "audiocaps-testclip001-0": ["Rain"],
        "audiocaps--estclip000-40000": ["Wind"],
        "audiocaps-trainclip02-5000": ["Rain, wind"],
    }
    row = found.rows["audiocaps--estclip000-30000"]
    assert (row["recording_id"], row["start_s"], row["end_s"]) == ("yt:-estclip000", 30.0, 40.0)
    assert (row["split"], row["licence"], row["licence_text"]) == ("test", "academic", "academic use")
    assert (row["source_path"], row["wanted"]) == (None, "-estclip000")
    assert found.rows["audiocaps-trainclip02-5000"]["split"] == "train"


@pytest.mark.parametrize(
    "name",
    [
        "Y-estclip000.wav",
        "-estclip000.flac",
        "-estclip000_30.wav",
        "-estclip000_30000_40000.m4a",
        "test/103549.wav",
        "103550.mp3",
    ],
)
def test_audiocaps_finds_a_clip_under_every_name_that_mirrors_give_it(tmp_path, name):
    lines = "103549,-estclip000,30,A dog barks\n103550,-estclip000,30,A dog\n"
    tree(tmp_path, {"test.csv": AUDIOCAPS + lines}, name)
    assert listed(tmp_path, "audiocaps").only["source_path"] == name


def test_audiocaps_in_two_editions_is_one_dataset(tmp_path):
    first, second = "1,abcdefghijk,30,A dog barks\n", "1,abcdefghijk,30,A dog barks\n2,abcdefghijk,30,A bark\n"
    tree(tmp_path, {"dataset/train.csv": AUDIOCAPS + first, "dataset2.0/train.csv": AUDIOCAPS + second})
    assert listed(tmp_path, "audiocaps").only["captions"] == ["A dog barks", "A bark"]


def test_audiocaps_refuses_lines_that_name_no_clip(tmp_path):
    lines = "1,#NAME?,30,a\n2,abcdefghijk,soon,a\n3,abcdefghijk,30,\n4,abcdefghijk,30\n5,abcdefghijk,30,good\n"
    tree(tmp_path, {"val.csv": AUDIOCAPS + lines})
    found = listed(tmp_path, "audiocaps")
    assert found.errors == {f"audiocaps-val-line{number}": "bad_row" for number in (2, 3, 4, 5)}
    assert (found.only["captions"], found.only["split"]) == (["good"], "val")
    tree(tmp_path, {"val.csv": "file_name,caption_1\na.wav,A dog\n"})
    with pytest.raises(UserError, match=r"val.csv: has no column 'audiocap_id' or .*; it has 'file_name', 'caption_1'"):
        listed(tmp_path, "audiocaps")


def test_vggsound_reads_the_list_of_all_and_the_older_lists(tmp_path):
    whole = '-a_b-c01234,30,playing accordion,train\nabcdefghijk,5,"heart sounds, heartbeat",test\n'
    older = {
        "data/train.csv": "-a_b-c01234_000030.mp4,playing accordion\n",
        "data/test.csv": 'abcdefghijk_000005.mp4,"heart sounds, heartbeat"\n',
    }
    files = ("video/-a_b-c01234_000030.mp4", "audio/abcdefghijk_5000_15000.flac", "video/abcdefghijk_000005.mp4")
    tree(tmp_path / "new", {"vggsound.csv": whole}, *files)
    tree(tmp_path / "old", older, *files)
    new, old = listed(tmp_path / "new", "vggsound"), listed(tmp_path / "old", "vggsound")
    assert new.rows == old.rows
    accordion, heart = new.rows["vggsound--a_b-c01234-30000"], new.rows["vggsound-abcdefghijk-5000"]
    assert accordion["labels"] == [{"name": "playing accordion", "class_id": None, "rating": None}]
    assert (accordion["split"], accordion["recording_id"]) == ("train", "yt:-a_b-c01234")
    assert (accordion["start_s"], accordion["end_s"], accordion["licence"]) == (30.0, 40.0, "unknown")
    assert accordion["source_path"] == accordion["video_path"] == files[0]
    assert heart["labels"][0]["name"] == "heart sounds, heartbeat"
    assert (heart["split"], heart["source_path"], heart["video_path"]) == ("test", files[1], files[2])
    tree(tmp_path / "both", {"vggsound.csv": whole, **older}, *files)
    assert listed(tmp_path / "both", "vggsound").rows == new.rows, "the older lists are in the list of all"


def test_vggsound_refuses_lines_that_are_no_clips_and_files_that_are_no_lists(tmp_path):
    lines = "abcdefghijk,5,dog,test\nabcdefghijk,soon,dog,test\nshort,5,dog,test\nabcdefghijk,5,,test\na,b\n"
    tree(tmp_path, {"vggsound.csv": lines})
    found = listed(tmp_path, "vggsound")
    assert found.only["labels"][0]["name"] == "dog"
    assert found.errors == {f"vggsound-vggsound-line{number}": "bad_row" for number in (2, 3, 4, 5)}
    tree(tmp_path, {"vggsound.csv": "ambulance siren,1050,vehicle\n"})
    with pytest.raises(UserError, match=r"vggsound.csv: no line is `YouTube id,.*vgg/data/vggsound"):
        listed(tmp_path, "vggsound")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("abcdefghijk", ("abcdefghijk", "abcdefghijk", None)),
        ("Yabcdefghijk.wav", ("Yabcdefghijk", "abcdefghijk", None)),
        ("YmAJAqzo-Y_Y", ("YmAJAqzo-Y_Y", "mAJAqzo-Y_Y", None)),
        ("Ybcdefghijk_000117", ("Ybcdefghijk_000117", "Ybcdefghijk", 117.0)),
        ("-TL8Mp3xcUM_0_10.mp3", ("-TL8Mp3xcUM_0_10", "-TL8Mp3xcUM", 0.0)),
        ("Y-_bcdefgh_k_30.500_40.500.flac", ("Y-_bcdefgh_k_30.500_40.500", "-_bcdefgh_k", 30.5)),
        ("#NAME?", None),
        ("abcdefghij", None),
        ("abcdefghijk_", None),
    ],
)
def test_a_clips_name_tells_its_recording_by_the_eleven_characters_of_the_id(name, said):
    assert youtube.clip(name) == said


@pytest.mark.parametrize(
    ("name", "table", "published"),
    [
        ("auto_acd", "test.csv", "test"),
        ("audiosetcaps", "Dataset/AudioSetCaps_caption.csv", "AudioSet"),
        ("sound_vecaps", "Sound-VECaps_audio.csv", "train"),
    ],
)
@pytest.mark.parametrize("header", ["youtube_id,caption", "id,caption", "audio_id, caption"])
def test_caption_tables_join_audioset_by_the_recording(tmp_path, name, table, published, header):
    lines = (
        'Y-a_b-c01234,"A dog, barking."\nYlmnopqrstuv.wav,Rain.\nwxyzwxyzwxy_000117,Wind.\nwxyzwxyzwxy_000117,A gale.\n'
    )
    tree(
        tmp_path,
        {table: f"{header}\n{lines}#NAME?,lost\nabcdefghijk,\n", "balanced_train_segments.csv": AUDIOSET},
        "Y-a_b-c01234_60_68.wav",
        "wxyzwxyzwxy_000117.flac",
    )
    tree(tmp_path, {"lists/eval_segments.csv": AUDIOSET + '-a_b-c01234, 60.000, 68.000, "/m/09x0r"\n'})
    found = listed(tmp_path, name, splits={published: "mine"})
    dog, rain = found.rows[f"{name}--a_b-c01234"], found.rows[f"{name}-lmnopqrstuv"]
    wind = found.rows[f"{name}-wxyzwxyzwxy-117000"]
    assert (dog["captions"], dog["recording_id"], dog["split"]) == (["A dog, barking."], "yt:-a_b-c01234", "mine")
    assert (dog["start_s"], dog["end_s"]) == (60.0, 68.0)
    assert dog["source_path"] == "Y-a_b-c01234_60_68.wav", "the segment list tells where the clip is, and so its name"
    assert (rain["start_s"], rain["end_s"], rain["source_path"]) == (None, None, None)
    assert rain["wanted"] == "Ylmnopqrstuv"
    assert (wind["start_s"], wind["end_s"], wind["captions"]) == (117.0, 127.0, ["Wind.", "A gale."])
    assert wind["source_path"] == "wxyzwxyzwxy_000117.flac"
    assert set(found.values("licence").values()) == {"unknown"}, "the captions' licence is not that of the audio"
    stem = table.rpartition("/")[2].removesuffix(".csv")
    assert found.errors == {f"{name}-{stem}-line{number}": "bad_row" for number in (6, 7)}


def test_audiosetcaps_has_three_tables_whose_ids_differ(tmp_path):
    tree(
        tmp_path,
        {
            "AudioSetCaps_caption.csv": "id,caption\nYabcdefghijk,a\n",
            "VGGSound_AudioSetCaps_caption.csv": "id,caption\nabcdefghijk_000030,b\n",
            "YouTube-8M_AudioSetCaps_caption.csv": "id,caption\n9eUrEyAR3xk_84_10,c\n",
            "AudioSetCaps_Qwen-Audio_Q&A.csv": "id,answer_1,answer_2,answer_3\nYabcdefghijk,x,y,z\n",
        },
        "9eUrEyAR3xk_84_10.wav",
    )
    found = listed(tmp_path, "audiosetcaps", splits={"VGGSound": "val"})
    assert found.values("split") == {
        "audiosetcaps-abcdefghijk": "train",
        "audiosetcaps-abcdefghijk-30000": "val",
        "audiosetcaps-9eUrEyAR3xk-84000": "train",
    }
    last = found.rows["audiosetcaps-9eUrEyAR3xk-84000"]
    assert (last["start_s"], last["end_s"]) == (84.0, 94.0), (
        "the last number is a length, and all clips last ten seconds"
    )
    assert last["source_path"] == "9eUrEyAR3xk_84_10.wav"


def test_sound_vecaps_prefers_the_captions_of_what_can_be_heard(tmp_path):
    tree(tmp_path, {"Sound-VECaps_full.csv": "id,caption\nYabcdefghijk,A red car drives by.\n"}, "Yabcdefghijk.wav")
    assert listed(tmp_path, "sound_vecaps").only["captions"] == ["A red car drives by."]
    tree(tmp_path, {"Sound-VECaps_audio.csv": "id,caption\nYabcdefghijk,A car drives by.\n"})
    assert listed(tmp_path, "sound_vecaps").only["captions"] == ["A car drives by."]
    named = [path.name for path in adapter("sound_vecaps").metadata_files(source(tmp_path, "sound_vecaps"))]
    assert named == ["Sound-VECaps_audio.csv"]


def wavcaps(*entries: Any) -> str:
    return json.dumps({"num_captions_per_audio": 1, "data": entries})


@pytest.mark.parametrize(
    "audio", ["{}_flac", "Zip_files/{0}/mnt/waveforms/{0}_flac", "audio/{}", "wavcaps/data/waveforms/{}_flac"]
)
def test_wavcaps_reads_all_four_subsets_and_mixes_up_none(tmp_path, audio):
    wind = {"id": "Yb0RFKhbpFJA.wav", "caption": "Wind.", "audio": "wav_path", "duration": 10.0}
    odd = {"id": "Yabcdefghij.wav", "caption": "An id that begins with Y, and no Y before it."}
    bug = {"id": "NHU05051026", "caption": "A bug.", "category": "['Nature', 'Insects']", "duration": 3600.5}
    tone = {"id": "2219", "caption": "A ringtone.", "tags": ["phone", "tone"], "author": "Tempouser"}
    plane, gone = {"id": "2219", "caption": "A plane.", "author": "Daniel"}, {"id": "1", "caption": "Gone."}
    tree(
        tmp_path,
        {
            "w/json_files/AudioSet_SL/as_final.json": wavcaps(wind, odd),
            "w/json_files/BBC_Sound_Effects/bbc_final.json": wavcaps(bug),
            "w/json_files/FreeSound/fsd_final.json": wavcaps(tone, {"id": "7"}, "junk"),
            "w/json_files/FreeSound/fsd_final_2s.json": wavcaps(tone),
            "w/json_files/SoundBible/sb_final.json": wavcaps(plane, gone),
            "w/json_files/blacklist/blacklist_exclude_all_ac.json": "{}",
        },
        f"w/{audio.format('AudioSet_SL')}/Yb0RFKhbpFJA.flac",
        f"w/{audio.format('BBC_Sound_Effects')}/NHU05051026.flac",
        f"w/{audio.format('FreeSound')}/2219.flac",
        f"w/{audio.format('SoundBible')}/2219.flac",
        f"w/{audio.format('FreeSound')}/1.flac",
    )
    found = listed(tmp_path, "wavcaps", "w", {"SoundBible": "val"})
    assert {key: (row["recording_id"], row["split"]) for key, row in found.rows.items()} == {
        "wavcaps-as_b0RFKhbpFJA": ("yt:b0RFKhbpFJA", "train"),
        "wavcaps-as_Yabcdefghij": ("yt:Yabcdefghij", "train"),
        "wavcaps-bbc_NHU05051026": ("bbc:NHU05051026", "train"),
        "wavcaps-fs_2219": ("fs:2219", "train"),
        "wavcaps-sb_2219": ("sb:2219", "val"),
        "wavcaps-sb_1": ("sb:1", "val"),
    }
    assert found.rows["wavcaps-sb_2219"]["source_path"] == f"w/{audio.format('SoundBible')}/2219.flac"
    assert found.rows["wavcaps-fs_2219"]["source_path"] == f"w/{audio.format('FreeSound')}/2219.flac"
    assert found.rows["wavcaps-as_b0RFKhbpFJA"]["source_path"] == f"w/{audio.format('AudioSet_SL')}/Yb0RFKhbpFJA.flac"
    assert found.rows["wavcaps-sb_1"]["source_path"] is None, "FreeSound's file of that number is another recording"
    assert found.rows["wavcaps-fs_2219"]["captions"] == ["A ringtone."]
    assert found.rows["wavcaps-fs_2219"]["keywords"] == ["phone", "tone"]
    assert found.rows["wavcaps-fs_2219"]["attribution"] == "Tempouser"
    assert found.rows["wavcaps-bbc_NHU05051026"]["keywords"] == ["Nature", "Insects"]
    assert found.rows["wavcaps-bbc_NHU05051026"]["end_s"] is None, "a long recording is listed whole"
    assert set(found.values("licence").values()) == {"academic"}
    assert found.errors == {f"wavcaps-fsd_final-entry{number}": "bad_row" for number in (2, 3)}


def test_wavcaps_lists_of_another_form_are_named(tmp_path):
    tree(tmp_path, {"sb_final.json": json.dumps([{"id": "1", "caption": "A plane."}])})
    with pytest.raises(UserError, match=r'sb_final.json: is not \{"data": \[...\]\}'):
        listed(tmp_path, "wavcaps")
    tree(tmp_path, {"sb_final.json": wavcaps({"id": "1", "caption": "A plane."})[:-2]})
    with pytest.raises(UserError, match=r"sb_final.json: is not JSON after entry 0 of 'data'"):
        listed(tmp_path, "wavcaps")
