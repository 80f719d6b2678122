"""The adapters of music in stems, MUSDB18-HQ and Slakh, on small trees in the publishers' layouts."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapter_trees import read, tree

from schemas.errors import UserError

STEMS = ("mixture", "drums", "bass", "other", "vocals")


def test_musdb18hq_serves_single_sources_and_leaves_out_the_others_of_every_song(tmp_path):
    tree(tmp_path, {}, *(f"musdb/train/A Band - One & Two/{stem}.wav" for stem in STEMS))
    tree(tmp_path, {}, *(f"musdb/test/Solo/{stem}.flac" for stem in ("drums", "mixture")))
    rows, refused, dropped = read(tmp_path, "musdb18hq", test="held")
    assert not refused
    assert list(dropped.values()) == ["not_a_single_source"] * 3
    by_stem = {(row["recording_id"], row["labels"][0]["name"]): row for row in rows.values()}
    assert len(by_stem) == len(rows) == 6
    assert len({row["recording_id"] for row in rows.values()}) == 2, "the stems of a song are one recording"
    band, solo = sorted({recording for recording, _ in by_stem}, key=lambda name: "Solo" in name)
    assert solo == "musdb:Solo"
    assert band.startswith("musdb:A_Band_-_One_Two_")
    vocals = by_stem[band, "vocals"]
    assert vocals["source_path"] == "musdb/train/A Band - One & Two/vocals.wav"
    assert (vocals["split"], vocals["attribution"], vocals["licence"]) == ("train", "A Band", "academic")
    drums, missing = by_stem[solo, "drums"], by_stem[solo, "vocals"]
    assert (drums["source_path"], drums["split"], drums["attribution"]) == ("musdb/test/Solo/drums.flac", "held", None)
    assert (missing["source_path"], missing["wanted"]) == (None, "test/Solo/vocals.wav")


def test_musdb18hq_reads_the_older_folder_words_and_the_folder_that_others_cut_off(tmp_path):
    tree(tmp_path, {}, "Dev/a/bass.wav", "Test/b/bass.wav", "valid/c/bass.wav", "stems/d/bass.wav")
    rows, _, _ = read(tmp_path, "musdb18hq")
    found = {row["recording_id"]: row["split"] for row in rows.values()}
    assert found == {"musdb:a": "train", "musdb:b": "test", "musdb:c": "val"}


def test_musdb18hq_says_that_stem_mp4_is_another_dataset(tmp_path):
    tree(tmp_path, {}, "train/A - B.stem.mp4")
    with pytest.raises(UserError, match=r"\.stem\.mp4 files, which are MUSDB18; .*MUSDB18-HQ \(musdb18hq\.zip\)"):
        read(tmp_path, "musdb18hq")
    (tmp_path / "train/A - B.stem.mp4").unlink()
    with pytest.raises(UserError, match=r"there is no train/<song>/drums.wav .* in .* comes from https://zenodo"):
        read(tmp_path, "musdb18hq")


def song(root: Path, place: str, stems: dict[str, dict[str, str]]) -> None:
    lines = ["UUID: 1a8", "stems:"]
    for name, facts in stems.items():
        lines += [f"  {name}:", *(f"    {key}: {value}" for key, value in facts.items())]
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / "metadata.yaml").write_text("\n".join(lines) + "\n")


def stem(family: str, program: str = "x", rendered: str = "true") -> dict[str, str]:
    return {"audio_rendered": rendered, "inst_class": family, "midi_program_name": program, "is_drum": "false"}


def test_slakh_labels_each_rendered_stem_with_its_family(tmp_path):
    strings = stem("Strings (continued)", "Synth Voice")
    stems = {"S00": stem("Guitar", "Distortion Guitar"), "S01": strings, "S02": stem("Bass", rendered="false")}
    song(tmp_path, "slakh2100_flac_redux/train/Track00001", stems)
    song(tmp_path, "slakh2100_flac_redux/validation/Track01501", {"S00": stem("Drums")})
    tree(
        tmp_path,
        {},
        *(f"slakh2100_flac_redux/train/Track00001/{name}.flac" for name in ("mix", "stems/S00", "stems/S01")),
    )
    tree(tmp_path, {}, "slakh2100_flac_redux/validation/Track01501/stems/S00.wav")
    rows, refused, dropped = read(tmp_path, "slakh")
    assert not refused
    reasons = {"slakh-Track00001_S02": "stem_not_rendered", "slakh-Track00001_mix": "not_a_single_source"}
    assert dropped == reasons
    guitar, strings_row = rows["slakh-Track00001_S00"], rows["slakh-Track00001_S01"]
    assert guitar["source_path"] == "slakh2100_flac_redux/train/Track00001/stems/S00.flac"
    assert (guitar["recording_id"], guitar["licence"], guitar["split"]) == ("slakh:Track00001", "by", "train")
    assert (guitar["labels"][0]["name"], guitar["keywords"]) == ("Guitar", ["Distortion Guitar"])
    assert strings_row["labels"][0]["name"] == "Strings (continued)"
    drums = rows["slakh-Track01501_S00"]
    assert (drums["split"], drums["recording_id"]) == ("val", "slakh:Track01501")
    assert drums["source_path"].endswith("Track01501/stems/S00.wav"), "stems of one name are not mixed up"


def test_slakh_believes_the_files_of_babyslakh_and_the_numbers_of_songs_without_a_split(tmp_path):
    for place in ("Track00001", "Track01501", "Track02100"):
        song(tmp_path, f"babyslakh_16k/{place}", {"S00": stem("Piano", rendered="false"), "S01": stem("Reed")})
        tree(tmp_path, {}, f"babyslakh_16k/{place}/stems/S00.wav")
    rows, _, dropped = read(tmp_path, "slakh")
    assert not dropped
    pianos = {row["recording_id"]: row["split"] for key, row in rows.items() if key.endswith("S00")}
    assert pianos == {"slakh:Track00001": "train", "slakh:Track01501": "val", "slakh:Track02100": "test"}
    assert rows["slakh-Track00001_S01"]["source_path"] is None, "called rendered, and not there"


def test_slakh_leaves_out_songs_that_the_publisher_omitted_unless_the_recipe_names_them(tmp_path):
    song(tmp_path, "omitted/Track00007", {"S00": stem("Organ")})
    tree(tmp_path, {}, "omitted/Track00007/stems/S00.flac")
    rows, _, dropped = read(tmp_path, "slakh")
    assert (rows, dropped) == ({}, {"slakh-Track00007_S00": "omitted_by_publisher"})
    rows, _, _ = read(tmp_path, "slakh", omitted="train")
    assert rows["slakh-Track00007_S00"]["split"] == "train"


def test_slakh_refuses_a_bad_description_alone_and_reads_every_value_as_text(tmp_path):
    song(tmp_path, "train/Track00001", {"S00": {"audio_rendered": "true"}, "S01": stem("No", "1e5")})
    for number, text in ((2, "stems: [a"), (3, "stems: 5"), (4, "- a")):
        song(tmp_path, f"train/Track0000{number}", {})
        (tmp_path / f"train/Track0000{number}/metadata.yaml").write_text(text)
    rows, refused, _ = read(tmp_path, "slakh")
    assert list(rows) == ["slakh-Track00001_S01"]
    assert (rows["slakh-Track00001_S01"]["labels"][0]["name"], rows["slakh-Track00001_S01"]["keywords"]) == (
        "No",
        ["1e5"],
    )
    assert refused.pop("slakh-Track00001-stem1") == "Track00001, stem 1: has no inst_class"
    assert refused == {f"slakh-Track0000{n}": f"train/Track0000{n}/metadata.yaml: names no stems" for n in (2, 3, 4)}


def test_slakh_without_descriptions_names_the_file_and_the_page(tmp_path):
    tree(tmp_path, {}, "train/Track00001/mix.flac")
    with pytest.raises(UserError, match=r"no Track00001/metadata.yaml .*; it comes from https://zenodo"):
        read(tmp_path, "slakh")
