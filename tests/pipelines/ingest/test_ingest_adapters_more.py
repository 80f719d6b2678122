"""The adapters of UrbanSound8K, DNS, MACS, SoundDescs and of two evaluation sets, on small trees and real lists."""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from adapter_trees import read, tree

from schemas.errors import UserError

URBAN = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"


def test_urbansound8k_keeps_the_slice_whole_and_rates_it_by_its_salience(tmp_path):
    lines = (
        "100032-3-0-0.wav,100032,2.0,2.317551,1,5,3,dog_bark\n100263-2-0-117.wav,100263,58.5,62.5,2,10,2,jackhammer\n"
    )
    bad = "7-1-0-0.wav,7,0.0,1.0,3,1,1,car_horn\n8-1-0-0.wav,8,0.0,1.0,1,11,1,car_horn\nshort\n"
    tree(tmp_path, {"metadata/UrbanSound8K.csv": URBAN + lines + bad}, "audio/fold5/100032-3-0-0.flac")
    rows, refused, _ = read(tmp_path, "urbansound8k", fold5="test")
    bark, hammer = rows["urbansound8k-100032-3-0-0"], rows["urbansound8k-100263-2-0-117"]
    assert bark["labels"] == [{"name": "dog_bark", "class_id": None, "rating": 1.0}]
    assert (bark["start_s"], bark["end_s"]) == (None, None), "a slice that was padded is not cut at its old place"
    assert (bark["recording_id"], bark["split"], bark["licence"]) == ("fs:100032", "test", "by-nc")
    assert (hammer["labels"][0]["rating"], hammer["split"], hammer["source_path"]) == (0.5, "test", None)
    assert set(refused) == {f"urbansound8k-UrbanSound8K-line{n}" for n in (4, 5, 6)}
    tree(tmp_path, {"metadata/UrbanSound8K.csv": "slice_file_name,fsID,fold,class\n"})
    with pytest.raises(UserError, match=r"has no column 'salience'; it has 'slice_file_name', 'fsID', 'fold', 'class'"):
        read(tmp_path, "urbansound8k")


def test_urbansound8k_reads_the_whole_published_table(shared):
    rows, refused, _ = read(shared / "urbansound8k", "urbansound8k")
    assert (len(rows), len(refused)) == (8732, 0)
    assert len({row["recording_id"] for row in rows.values()}) == 1297
    assert Counter(row["split"] for row in rows.values()) == {"train": 7079, "val": 816, "test": 837}
    assert Counter(row["labels"][0]["rating"] for row in rows.values()) == {1.0: 5702, 0.5: 3030}
    assert len({row["labels"][0]["name"] for row in rows.values()}) == 10


NOISES = {
    "--9VR_F7CtY": ("yt:--9VR_F7CtY", []),
    "Y--9VR_F7CtY": ("yt:--9VR_F7CtY", []),
    "--9VR_F7CtY_30.000": ("yt:--9VR_F7CtY", []),
    "door_Freesound_validated_458454_3": ("fs:458454", ["door"]),
    "breath_spit_Freesound_validated_26803_1": ("fs:26803", ["breath_spit"]),
    "munching_Freesound_validated_B32_Chips_ebrahim_10": ("dns:munching_B32_Chips_ebrahim", ["munching"]),
    "NFIELD_ch08": (None, []),
    "coffee_shop": (None, []),
    "noise_fileid_12": (None, []),
}


def test_dns_takes_from_a_noises_name_what_it_tells_and_no_more(tmp_path):
    tree(tmp_path, {}, *(f"datasets_fullband/noise_fullband/{name}.wav" for name in NOISES))
    rows, _, _ = read(tmp_path, "dns")
    found = {Path(row["source_path"]).stem: row for row in rows.values()}
    told = {name: (row["recording_id"], [label["name"] for label in row["labels"]]) for name, row in found.items()}
    assert told == NOISES
    assert found["door_Freesound_validated_458454_3"]["licence"] == "cc0"
    assert found["--9VR_F7CtY"]["licence"] == "unknown", "the licence of AudioSet is that of its labels"


def test_dns_knows_speech_from_singing_and_leaves_out_tests_and_impulse_responses(tmp_path):
    chapter = "book_00000_chp_0009_reader_06709"
    tree(
        tmp_path,
        {"datasets/clean/Readme.md": ""},
        f"datasets/clean/{chapter}_11.wav",
        f"datasets/clean/read_speech/{chapter}_12_seg_1.wav",
        "datasets_fullband/clean_fullband/VocalSet_48kHz_mono/f1_scales.wav",
        "datasets_fullband/clean_fullband/german_speech/x.wav",
        "datasets/impulse_responses/SLR26/a.wav",
        "datasets/dev_testset/noise/b.wav",
        "datasets/test_set/synthetic/no_reverb/clean/clean_fileid_0.wav",
    )
    rows, _, dropped = read(tmp_path, "dns", clean="val")
    found = {Path(row["source_path"]).stem: row for row in rows.values()}
    assert {name: row["labels"][0]["name"] for name, row in found.items()} == {
        f"{chapter}_11": "Speech",
        f"{chapter}_12_seg_1": "Speech",
        "f1_scales": "Singing",
        "x": "Speech",
    }
    pieces = [row for name, row in found.items() if name.startswith("book")]
    assert {(row["recording_id"], row["licence"], row["split"]) for row in pieces} == {(f"dns:{chapter}", "cc0", "val")}
    assert (found["f1_scales"]["licence"], found["x"]["licence"]) == ("by", "unknown")
    assert Counter(dropped.values()) == {"part_of_a_test_set": 2, "neither_noise_nor_clean": 1}


def test_dns_without_its_folders_says_which_it_looks_for(tmp_path):
    tree(tmp_path, {}, "sounds/a.wav")
    with pytest.raises(UserError, match=r"no audio below noise/, .*clean_fullband/ in .*https://github.com/microsoft"):
        read(tmp_path, "dns")


MACS = """files:
- filename: public_square-helsinki-111-3230-a.wav
  annotations:
  - annotator_id: 197
    sentence: people talking
    tags: [traffic noise, siren]
  - annotator_id: 262
    sentence: no
    tags:
    - siren
    - adults talking
  - annotator_id: 3
    sentence:
    tags: birds
- filename: other.wav
  annotations:
  - {annotator_id: 1, sentence: rain}
- filename: empty.wav
  annotations: []
- 5
"""


def test_macs_gives_every_sentence_and_each_tag_once_and_the_location_as_recording(tmp_path):
    tree(tmp_path, {"MACS.yaml": MACS}, "audio/public_square-helsinki-111-3230-a.wav")
    rows, refused, _ = read(tmp_path, "macs")
    square, other = rows["macs-public_square-helsinki-111-3230-a"], rows["macs-other"]
    assert square["captions"] == ["people talking", "no"], "a sentence that YAML takes for a boolean is a sentence"
    assert square["keywords"] == ["public square", "traffic noise", "siren", "adults talking"]
    assert square["recording_id"] == "tau:public_square-helsinki-111"
    assert (square["split"], square["licence"], square["labels"]) == ("train", "academic", [])
    assert (other["recording_id"], other["source_path"], other["keywords"]) == (None, None, [])
    assert set(refused) == {"macs-MACS-entry3", "macs-MACS-entry4"}


@pytest.mark.parametrize(
    ("text", "words"), [("files: [a", "is not YAML"), ("- a", "has no list `files`"), ("", "has no list `files`")]
)
def test_macs_that_is_no_list_of_files_is_named(tmp_path, text, words):
    tree(tmp_path, {"MACS.yaml": text})
    with pytest.raises(UserError, match=rf"MACS.yaml: {words}") as caught:
        read(tmp_path, "macs")
    assert "\n" not in str(caught.value)


LISTS = {"train_list.txt": "07001030\nnhu05014209\n", "val_list.txt": "0009053\n", "test_list.txt": "\nnhu9711459 \n"}
TEXTS = {"07001030": "A lorry.", "nhu05014209": ["Wind.", "A gale."], "0009053": "", "unlisted": "A bell."}
CATEGORIES = {"07001030": ["Transport", "Lorries"], "nhu05014209": None}


def sounds(root: Path, descriptions: dict[str, Any]) -> Path:
    files = {f"data/SoundDescs/{name}": text for name, text in LISTS.items()}
    files |= {f"sounddescs_data/{name}": content for name, content in descriptions.items()}
    return tree(
        root, files | {"data/Other/train_list.txt": "not_ours"}, "audios/07001030/07001030.wav", "NHU05014209.wav"
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_sounddescs_reads_the_published_pickles_of_any_protocol(tmp_path, protocol):
    kept = {"descriptions.pkl": pickle.dumps(TEXTS, protocol), "categories.pkl": pickle.dumps(CATEGORIES, protocol)}
    rows, refused, dropped = read(sounds(tmp_path, kept), "sounddescs", val="train")
    assert (refused, dropped) == ({}, {"sounddescs-unlisted": "in_no_split"})
    assert {key: (row["recording_id"], row["split"], row["captions"]) for key, row in rows.items()} == {
        "sounddescs-07001030": ("bbc:07001030", "train", ["A lorry."]),
        "sounddescs-nhu05014209": ("bbc:NHU05014209", "train", ["Wind.", "A gale."]),
        "sounddescs-0009053": ("bbc:0009053", "train", []),
        "sounddescs-nhu9711459": ("bbc:NHU9711459", "test", []),
    }
    lorry, wind = rows["sounddescs-07001030"], rows["sounddescs-nhu05014209"]
    assert (lorry["source_path"], wind["source_path"]) == ("audios/07001030/07001030.wav", "NHU05014209.wav")
    assert (lorry["keywords"], wind["keywords"], lorry["licence"]) == (["Transport", "Lorries"], [], "academic")


def test_sounddescs_reads_tables_and_json_too_and_refuses_what_it_cannot_understand(tmp_path):
    table = "id,description\n07001030,A lorry.\nNHU05014209\n,nothing\n"
    rows, refused, _ = read(sounds(tmp_path / "csv", {"descriptions.csv": table}), "sounddescs")
    assert rows["sounddescs-07001030"]["captions"] == ["A lorry."]
    assert set(refused) == {"sounddescs-descriptions-line3", "sounddescs-descriptions-line4"}
    entries = [{"id": "07001030", "description": "A lorry."}, {"id": 5, "description": "x"}, "junk"]
    for name, whole in (("list", entries), ("dict", {"07001030": "A lorry.", "a": 5, "b": [6]})):
        rows, refused, _ = read(sounds(tmp_path / name, {"descriptions.json": json.dumps(whole)}), "sounddescs")
        assert rows["sounddescs-07001030"]["captions"] == ["A lorry."]
        assert set(refused) == {"sounddescs-descriptions-entry2", "sounddescs-descriptions-entry3"}


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hostile",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("hostile", [Hostile(), Path("a"), Counter("a"), {1, 2}])
def test_sounddescs_runs_nothing_that_a_pickle_asks_for(tmp_path, monkeypatch, protocol, hostile):
    monkeypatch.chdir(tmp_path)
    kept = pickle.dumps({"07001030": hostile}, protocol)
    try:
        _, refused, _ = read(sounds(tmp_path, {"descriptions.pkl": kept}), "sounddescs")
    except UserError as error:
        words = str(error)
        assert "descriptions.pkl: is no pickle of plain texts (it asks for " in words
        assert "CSV or JSON" in words
        assert "\n" not in words
    else:
        assert hostile == {1, 2}, "a set needs no code from protocol 4 on"
        assert set(refused) == {"sounddescs-descriptions-entry1"}
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps(TEXTS)[:-9], b"\x80\x63.", b"K\x01."])
def test_sounddescs_names_a_damaged_pickle(tmp_path, content):
    with pytest.raises(UserError, match=r"descriptions\.pkl: (is no pickle of plain|holds no description)") as caught:
        read(sounds(tmp_path, {"descriptions.pkl": content}), "sounddescs")
    assert "\n" not in str(caught.value)


def test_sounddescs_without_its_lists_or_descriptions_names_them(tmp_path):
    tree(tmp_path, {"a/descriptions.csv": "id,description\n"})
    with pytest.raises(UserError, match=r"no train_list.txt, val_list.txt, test_list.txt .*https://github.com/akoepke"):
        read(tmp_path, "sounddescs")
    tree(tmp_path, {"train_list.txt": "a", "a/descriptions.csv": "name,description\n"})
    with pytest.raises(UserError, match=r"has no column 'id'; it has 'name', 'description'"):
        read(tmp_path, "sounddescs")
    (tmp_path / "a/descriptions.csv").unlink()
    with pytest.raises(UserError, match=r"no descriptions.pkl, .csv or .json"):
        read(tmp_path, "sounddescs")


def test_dcase2024_task9_reads_clips_with_their_captions_and_tags(tmp_path):
    clips = [{"Index": "692211_12333864-hq", "Captions": ["Buzz.", 0, "A buzz."], "Tags": ["music"]}]
    odd = [{"Index": "mine"}, {"Index": "", "Captions": []}, 7]
    tree(tmp_path, {"lass_validation.json": json.dumps(clips + odd)}, "lass_validation/692211_12333864-hq.wav")
    rows, refused, _ = read(tmp_path, "dcase2024_task9")
    buzz, mine = rows["dcase2024_task9-692211_12333864-hq"], rows["dcase2024_task9-mine"]
    assert (buzz["captions"], buzz["keywords"]) == (["Buzz.", "A buzz."], ["music"])
    assert (buzz["recording_id"], buzz["split"], buzz["licence"]) == ("fs:692211", "test", "unknown")
    assert buzz["source_path"] == "lass_validation/692211_12333864-hq.wav"
    assert (mine["recording_id"], mine["captions"]) == (None, []), "who is in it counts, whatever is told of it"
    assert set(refused) == {f"dcase2024_task9-lass_validation-entry{n}" for n in (3, 4)}
    tree(tmp_path, {"lass_validation.json": "{}"})
    with pytest.raises(UserError, match=r"lass_validation.json: is no list of clips; it comes from https://zenodo"):
        read(tmp_path, "dcase2024_task9")


def test_dcase2024_task9_knows_the_same_clips_from_its_mixtures_alone(tmp_path, shared):
    folder = shared / "lass/dcase2024_task9"
    rows, refused, _ = read(folder, "dcase2024_task9", validation="val")
    assert (len(rows), len(refused)) == (1000, 0)
    assert Counter(len(row["captions"]) for row in rows.values()) == {3: 999, 2: 1}, "one published caption is 0"
    assert all(row["recording_id"].removeprefix("fs:").isdecimal() for row in rows.values())
    assert {row["split"] for row in rows.values()} == {"val"}
    (tmp_path / "lass_synthetic_validation.csv").symlink_to(folder / "lass_synthetic_validation.csv")
    alone, refused, _ = read(tmp_path, "dcase2024_task9")
    assert not refused
    assert alone.keys() == rows.keys()
    assert all(set(alone[key]["captions"]) == set(row["captions"]) for key, row in rows.items())


def test_audiosep_eval_names_every_clip_of_its_lists_once(shared):
    folder = shared / "lass/audiosep_eval"
    rows, refused, _ = read(folder, "audiosep_eval")
    assert not refused
    lists = {"audiocaps": 964, "audioset": 5270, "clotho": 1045, "esc50": 2000, "music": 556, "vggsound": 1100}
    assert Counter(key.split("-")[1].split("_")[0] for key in rows) == lists
    named = Counter((row["recording_id"] or "none").split(":")[0] for row in rows.values())
    assert named == {"yt": 964 + 556 + 1100, "fs": 2000, "none": 5270 + 1045}
    with (folder / "vggsound_eval.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    one, two = (f"audiosep_eval-vggsound_{part}" for part in first["file_id"].split("+++"))
    assert (rows[one]["labels"][0]["name"], rows[two]["labels"][0]["name"]) == (first["s0_text"], first["s1_text"])
    assert rows[one]["recording_id"] == f"yt:{first['file_id'][:11]}"
    assert rows["audiosep_eval-audiocaps_Y7fmOlUlwoNg"]["captions"][0] == "Constant rattling noise and sharp vibrations"
    assert {row["split"] for row in rows.values()} == {"test"}


def test_audiosep_eval_takes_the_source_and_not_the_mixture_of_the_same_name(tmp_path):
    pair = "-JUBdOr8Hes_000030+++37Vxf0Wz-3o_000001"
    header = "file_id,mix_wav,s0_wav,s0_text,s1_wav,s1_text\n"
    line = ",".join([pair, f"data/mix_wav/{pair}.wav", f"data/s0_wav/{pair}.wav", "a", f"data/s1_wav/{pair}.wav", "b"])
    tree(tmp_path, {"vggsound_eval.csv": f"{header}{line}\nx,y\n"}, f"v/mix_wav/{pair}.wav", f"v/s1_wav/{pair}.wav")
    rows, refused, _ = read(tmp_path, "audiosep_eval", vggsound="held")
    first, second = rows["audiosep_eval-vggsound_-JUBdOr8Hes_000030"], rows["audiosep_eval-vggsound_37Vxf0Wz-3o_000001"]
    assert (first["source_path"], first["split"]) == (None, "held")
    assert second["source_path"] == f"v/s1_wav/{pair}.wav"
    assert list(refused) == ["audiosep_eval-vggsound_eval-line3"]


@pytest.mark.parametrize(
    ("adapter", "wanted"),
    [
        ("urbansound8k", "UrbanSound8K.csv"),
        ("macs", "MACS.yaml"),
        ("dcase2024_task9", "lass_validation.json or lass_synthetic_validation.csv"),
        ("audiosep_eval", "audiocaps_eval.csv or "),
    ],
)
def test_a_missing_official_file_is_named_with_its_page(tmp_path, adapter, wanted):
    with pytest.raises(UserError) as caught:
        read(tmp_path, adapter)
    assert f"there is no {wanted}" in str(caught.value)
    assert "; it comes from https://" in str(caught.value)
