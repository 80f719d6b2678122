"""Adapters on the publishers' own metadata, whole, with the counts that the publishers state or that were counted."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from adapter_trees import Listed, listed, tree

VERBATIM = {
    word: word
    for word in (
        *("balanced_train", "unbalanced_train", "train", "val", "test", "eval"),
        *("development", "validation", "evaluation", "fold1", "fold2", "fold3", "fold4", "fold5"),
    )
}


def read(shared: Path, name: str, path: str | None = None) -> Listed:
    found = listed(shared, name, path or name, VERBATIM)
    assert not found.refused
    return found


def splits(found: Listed) -> Counter[str]:
    return Counter(found.values("split").values())


def test_audioset_holds_as_many_segments_and_labels_as_its_lists_say(shared):
    found = read(shared, "audioset")
    labels: Counter[str] = Counter()
    for row in found.rows.values():
        labels[row["split"]] += len(row["labels"])
        assert all(label["class_id"] != label["name"] for label in row["labels"]), "every MID has a name"
    assert splits(found) == {"balanced_train": 22_160, "eval": 20_371}
    assert labels == {"balanced_train": 52_882, "eval": 51_804}
    assert len({row["recording_id"] for row in found.rows.values()}) == 22_160 + 20_371
    assert found.rows["audioset---PJHxphWEs-30000"]["recording_id"] == "yt:--PJHxphWEs"
    assert {len(row["recording_id"]) for row in found.rows.values()} == {len("yt:") + 11}


def test_audiocaps_gives_every_caption_of_each_clip(shared):
    found = read(shared, "audiocaps")
    captions: Counter[str] = Counter()
    recordings: dict[str, set[str]] = {}
    for row in found.rows.values():
        captions[row["split"]] += len(row["captions"])
        recordings.setdefault(row["split"], set()).add(row["recording_id"])
    assert captions == {"train": 49_838, "val": 2_475, "test": 4_875}
    assert splits(found) == {"train": 49_838, "val": 495, "test": 975}
    assert Counter(len(row["captions"]) for row in found.rows.values()) == {1: 49_838, 5: 495 + 975}
    assert sum(map(len, recordings.values())) == len(set().union(*recordings.values())) == 51_308, "no leak of its own"
    assert sum(row["recording_id"].startswith("yt:-") for row in found.rows.values()) == 2_425
    assert {row["end_s"] - row["start_s"] for row in found.rows.values()} == {10.0}


def test_vggsound_gives_its_test_list_with_the_labels_of_its_statistics(shared):
    found = read(shared, "vggsound")
    assert splits(found) == {"test": 15_446}
    assert len({row["recording_id"] for row in found.rows.values()}) == 14_851
    labels = Counter(row["labels"][0]["name"] for row in found.rows.values())
    with (shared / "vggsound/stat.csv").open(newline="") as file:
        assert set(labels) == {fields[0] for fields in csv.reader(file)}
    assert len(labels) == 309
    assert labels["heart sounds, heartbeat"] > 0


def test_vggsounds_test_clips_are_in_other_sets_too(shared):
    tested = set(read(shared, "vggsound").values("recording_id").values())
    audiocaps = Counter(
        row["split"] for row in read(shared, "audiocaps").rows.values() if row["recording_id"] in tested
    )
    audioset = Counter(row["split"] for row in read(shared, "audioset").rows.values() if row["recording_id"] in tested)
    assert audiocaps == {"train": 15, "test": 1}
    assert audioset == {"balanced_train": 18, "eval": 6_958}


def test_clotho_gives_five_captions_of_every_clip_and_what_is_known_of_it(shared):
    found = read(shared, "clotho")
    assert splits(found) == {"development": 3_839, "validation": 1_045, "evaluation": 1_045}
    assert {len(row["captions"]) for row in found.rows.values()} == {5}
    development = [row for row in found.rows.values() if row["split"] == "development"]
    assert sum(row["recording_id"] is None for row in development) == 8
    assert Counter(row["licence"] for row in development) == {"cc0": 1_577, "by": 1_572, "by-nc": 541, "sampling+": 149}
    assert all(row["attribution"] and row["keywords"] for row in development)
    assert sum(row["wanted"].startswith(" ") for row in found.rows.values()) == 3
    assert all(row["wanted"].isascii() for row in found.rows.values())


def test_fsd50k_gives_every_clip_with_the_ratings_of_its_labels(shared):
    found = read(shared, "fsd50k")
    assert splits(found) == {"train": 36_796, "val": 4_170, "eval": 10_231}
    labels = [label for row in found.rows.values() for label in row["labels"]]
    rated = [label["rating"] for label in labels if label["rating"] is not None]
    assert (len(labels), len(rated)) == (114_271 + 38_596, 47_920)
    assert -1 < min(rated) < 0 < max(rated) == 1.0
    with (shared / "fsd50k/FSD50K.ground_truth/vocabulary.csv").open(newline="") as file:
        assert {(label["name"], label["class_id"]) for label in labels} == {
            (row[1], row[2]) for row in csv.reader(file)
        }
    guitar = found.rows["fsd50k-64760"]
    assert (guitar["licence"], guitar["attribution"]) == ("sampling+", "casualsamples")
    assert guitar["source_path"] == "fsd50k/FSD50K.dev_audio/64760.wav"
    assert sum(row["source_path"] is not None for row in found.rows.values()) == 16


def test_esc50_gives_every_clip_under_its_own_licence(shared):
    found = read(shared, "esc50")
    assert splits(found) == {f"fold{fold}": 400 for fold in range(1, 6)}
    assert Counter(row["licence"] for row in found.rows.values()) == {
        "by": 901,
        "cc0": 869,
        "by-nc": 170,
        "sampling+": 60,
    }
    assert found.rows["esc50-5-141683-A-35"]["attribution"] == "DJ Burnham", "which the licences call 5-141683-Ad"
    assert all(row["attribution"] for row in found.rows.values())
    assert sum(row["source_path"] is not None for row in found.rows.values()) == 520
    assert len({row["labels"][0]["name"] for row in found.rows.values()}) == 50


def test_wavcaps_gives_all_of_soundbible(shared):
    found = read(shared, "wavcaps")
    assert len(found.rows) == 1_232
    assert {len(row["captions"]) for row in found.rows.values()} == {1}
    assert found.rows["wavcaps-sb_2219"]["captions"] == ["An airplane is landing."]
    assert set(found.values("licence").values()) == {"academic"}


@pytest.mark.parametrize("nested", ["{}/{}", "json_files/{}/{}", "{}", "json_files/{}"])
def test_wavcaps_reads_a_record_of_each_subset_as_published(shared, tmp_path, nested):
    samples = json.loads((shared / "wavcaps/schema_samples.json").read_text(encoding="utf-8"))
    lists = {
        "AudioSet_SL": ("as_final.json", "Yb0RFKhbpFJA"),
        "BBC_Sound_Effects": ("bbc_final.json", "NHU05051026"),
        "FreeSound": ("fsd_final.json", "180913"),
        "SoundBible": ("sb_final.json", "2219"),
    }
    for subset, (name, stem) in lists.items():
        where = nested.format(subset, name) if nested.count("{}") == 2 else nested.format(name)
        whole = json.dumps({"num_captions_per_audio": 1, "data": [samples[subset]]}, indent=1)
        tree(tmp_path, {where: whole}, f"Zip_files/{subset}/mnt/{subset}_flac/{stem}.flac")
    found = listed(tmp_path, "wavcaps")
    assert found.values("recording_id") == {
        "wavcaps-as_b0RFKhbpFJA": "yt:b0RFKhbpFJA",
        "wavcaps-bbc_NHU05051026": "bbc:NHU05051026",
        "wavcaps-fs_180913": "fs:180913",
        "wavcaps-sb_2219": "sb:2219",
    }
    assert all(row["source_path"] and row["captions"][0].endswith(".") for row in found.rows.values())
    assert [len(row["keywords"]) for row in found.rows.values()] == [0, 1, 4, 0]
