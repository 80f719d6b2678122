"""Tests that the sample corpora are reproducible, laid out as the official ones, and as truth.jsonl says."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.sample.audioset import write_audioset
from pipelines.sample.clips import write_clip
from pipelines.sample.files import with_serial, write_audio
from pipelines.sample.synth import BY_MID, SOUNDS


@pytest.fixture(scope="module")
def root(sample: Path) -> Path:
    return sample


@pytest.fixture(scope="module")
def truth(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "truth.jsonl").read_text().splitlines()]


def table(path: Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding=encoding))))


def segments(path: Path) -> list[list[str]]:
    lines = path.read_text().splitlines()
    assert [line[0] for line in lines[:3]] == ["#"] * 3
    return list(csv.reader(lines[3:], skipinitialspace=True))


def bytes_under(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes_of_every_format(root: Path, tmp_path: Path) -> None:
    write_audioset(tmp_path, 0)
    again = bytes_under(tmp_path / "audioset")
    assert {Path(name).suffix for name in again} == {".csv", ".tsv", ".wav", ".flac", ".ogg", ".mp3"}
    assert again == bytes_under(root / "audioset")


def test_another_seed_gives_another_recording(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_clip(tmp_path, seed, "audioset", "x", f"{seed}.wav", SOUNDS[:1], 2.0, 16000)
    assert (tmp_path / "0.wav").read_bytes() != (tmp_path / "1.wav").read_bytes()


def test_an_ogg_with_another_serial_number_holds_the_same_samples(tmp_path: Path) -> None:
    tone = SOUNDS[0].synth(np.random.default_rng(0), 2.0, 32000)[:, None]
    write_audio(tmp_path / "a.ogg", tone, 32000)
    written = (tmp_path / "a.ogg").read_bytes()
    changed = with_serial(written, 77)
    assert changed != written
    assert with_serial(changed, 1) == written
    (decoded, _), (expected, _) = soundfile.read(io.BytesIO(changed)), soundfile.read(io.BytesIO(written))
    assert len(decoded) == 64000
    assert np.array_equal(decoded, expected)


def test_the_corpora_are_small_and_every_class_and_defect_is_in_them(root: Path, truth: list[dict[str, Any]]) -> None:
    assert sum(len(data) for data in bytes_under(root).values()) < 120e6
    classes = Counter(mid for row in truth for mid in row["classes"])
    assert set(classes) == set(BY_MID)
    assert min(classes.values()) >= 3
    whole = [row for row in truth if row["defect"] is None]
    assert 0.15 < np.mean([len(row["events"]) == 2 for row in whole]) < 0.35
    broken = Counter(row["defect"] for row in truth if row["defect"])
    assert set(broken) == {"missing", "empty", "not_audio", "truncated", "zero_frames", "silent"}


def test_every_whole_file_holds_its_clip_at_the_length_the_truth_says(root: Path, truth: list[dict[str, Any]]) -> None:
    longer = 0
    for row in truth:
        if row["defect"] is None:
            audio, rate = soundfile.read(root / row["file"], always_2d=True)
            length = len(audio) / rate
            assert np.abs(audio).max() < 1
            if row["clip_start_s"]:
                longer += 1
                assert length > row["clip_start_s"] + row["seconds"]
            else:
                assert length == pytest.approx(row["seconds"], abs=0.001)
    assert longer == 2


def test_sounds_are_louder_than_their_background_from_onset_to_offset_and_nowhere_else(
    root: Path, truth: list[dict[str, Any]]
) -> None:
    checked = 0
    for row in truth:
        if row["defect"] is not None:
            continue
        audio, rate = soundfile.read(root / row["file"], always_2d=True)
        audio = audio[round(row["clip_start_s"] * rate) :][: round(row["seconds"] * rate)]
        frames = len(audio) // (rate // 20)
        power = np.mean(audio[: frames * (rate // 20)].reshape(frames, -1) ** 2, axis=1)
        level = 10 * np.log10(power + 1e-12)
        middle = (np.arange(frames) + 0.5) / 20
        near = np.zeros(frames, dtype=bool)
        for event in row["events"]:
            near |= (middle > event["onset_s"] - 0.1) & (middle < event["offset_s"] + 0.1)
            onset = np.abs(middle - event["onset_s"]) < 0.15
            assert level[onset].max() > row["background_db"] + 6
        quiet = level[~near]
        if len(quiet) > 4:
            checked += 1
            loudest = level[near].max()
            assert np.median(quiet) < max(row["background_db"] + 6, loudest - 30)
            assert quiet.max() < loudest - 10
    assert checked > 60


def test_defects_are_what_they_are_called(root: Path, truth: list[dict[str, Any]]) -> None:
    for row in (row for row in truth if row["defect"]):
        path = root / row["file"]
        if row["defect"] == "missing":
            assert not path.exists()
        elif row["defect"] == "empty":
            assert path.stat().st_size == 0
        elif row["defect"] == "not_audio":
            assert "404" in path.read_text()
        elif row["defect"] == "silent":
            assert not soundfile.read(path)[0].any()
        elif row["defect"] == "zero_frames" and path.suffix == ".wav":
            assert soundfile.info(path).frames == 0
        elif row["defect"] == "truncated" and path.suffix == ".wav":
            assert int.from_bytes(path.read_bytes()[4:8], "little") + 8 > path.stat().st_size
        elif row["defect"] == "truncated":
            with pytest.raises(soundfile.LibsndfileError):
                soundfile.read(path)


def test_audioset_is_laid_out_as_published(root: Path, truth: list[dict[str, Any]]) -> None:
    folder, known = root / "audioset", {row["id"]: row for row in truth if row["corpus"] == "audioset"}
    strong: set[str] = set()
    for weak, timed in (
        ("balanced_train_segments.csv", "audioset_train_strong.tsv"),
        ("eval_segments.csv", "audioset_eval_strong.tsv"),
    ):
        rows = segments(folder / weak)
        starts = {f"{ytid}_{round(float(start) * 1000)}": ytid for ytid, start, _, _ in rows}
        for ytid, start, end, mids in rows:
            assert len(ytid) == 11
            assert "earloom" in ytid.lower()
            assert float(end) - float(start) == pytest.approx(known[ytid]["seconds"])
            if known[ytid]["defect"] is None:
                assert mids.split(",") == sorted(known[ytid]["classes"])
        with (folder / timed).open(newline="") as file:
            events = list(csv.DictReader(file, delimiter="\t"))
        assert len(events) > 10
        for event in events:
            row = known[starts[event["segment_id"]]]
            times = (float(event["start_time_seconds"]), float(event["end_time_seconds"]))
            known_events = [(e["mid"], e["onset_s"], e["offset_s"]) for e in row["events"]]
            assert (event["label"], *times) in known_events
            strong.add(row["id"])
    names = {path.name for path in (folder / "audio").iterdir()}
    assert any(name.startswith("-") for name in names)
    assert any(name.startswith("Y") for name in names)
    assert len(strong) > 30


def test_fsd50k_is_laid_out_as_published(root: Path) -> None:
    folder = root / "fsd50k"
    lines = (folder / "FSD50K.ground_truth/vocabulary.csv").read_text().splitlines()
    vocabulary = dict(line.split(",")[1:] for line in lines)
    for split, more in (("dev", ["split"]), ("eval", [])):
        rows = table(folder / f"FSD50K.ground_truth/{split}.csv")
        assert list(rows[0]) == ["fname", "labels", "mids", *more]
        information = json.loads((folder / f"FSD50K.metadata/{split}_clips_info_FSD50K.json").read_text())
        assert list(information) == [row["fname"] for row in rows]
        assert len({clip["license"] for clip in information.values()}) >= 4
        for row in rows:
            assert [vocabulary[label] for label in row["labels"].split(",")] == row["mids"].split(",")
        present = {path.stem for path in (folder / f"FSD50K.{split}_audio").iterdir()}
        assert present <= set(information)
        assert len(set(information) - present) == (2 if split == "dev" else 0)


def test_wavcaps_is_laid_out_as_published_and_shares_recordings_with_other_corpora(root: Path) -> None:
    data = {
        path.parent.name: json.loads(path.read_text())["data"]
        for path in (root / "wavcaps/json_files").glob("*/*_final.json")
    }
    assert {name: set(rows[0]) for name, rows in data.items()} == {
        "AudioSet_SL": {"id", "caption", "audio", "duration"},
        "BBC_Sound_Effects": {
            "description", "category", "caption", "id", "duration", "audio", "download_link",
        },
        "FreeSound": {
            "id", "file_name", "href", "tags", "description", "author", "duration", "download_link",
            "caption", "audio",
        },
        "SoundBible": {
            "title", "description", "author", "href", "caption", "id", "duration", "audio", "download_link",
        },
    }  # fmt: skip
    for subset, rows in data.items():
        stems = {path.stem for path in (root / f"wavcaps/waveforms/{subset}_flac").iterdir()}
        absent = [row["id"] for row in rows if row["id"].removesuffix(".wav") not in stems]
        assert len(absent) == {"FreeSound": 1, "BBC_Sound_Effects": 1}.get(subset, 0)
    for split in ("train", "eval"):
        name = "balanced_train" if split == "train" else split
        ytids = {f"Y{row[0]}.wav" for row in segments(root / f"audioset/{name}_segments.csv")}
        assert ytids & {row["id"] for row in data["AudioSet_SL"]}
    evaluation = {row["fname"] for row in table(root / "fsd50k/FSD50K.ground_truth/eval.csv")}
    assert len(evaluation & {row["id"] for row in data["FreeSound"]}) == 1


def test_a_recording_that_two_corpora_share_sounds_the_same_in_both(root: Path, truth: list[dict[str, Any]]) -> None:
    by_corpus = {(row["corpus"], row["id"]): row for row in truth}
    shared = [row["id"] for row in truth if row["corpus"] == "wavcaps" and ("fsd50k", row["id"]) in by_corpus]
    assert len(shared) == 3
    for identifier in shared:
        original, copy = by_corpus["fsd50k", identifier], by_corpus["wavcaps", identifier]
        assert copy["events"] == original["events"]
        a, b = (soundfile.read(root / row["file"])[0] for row in (original, copy))
        assert 10 * np.log10(np.mean(b**2) / np.mean(a**2)) == pytest.approx(0, abs=1.5)


def test_clotho_is_laid_out_as_published_with_its_oddities(root: Path) -> None:
    identifiers: dict[str, list[str]] = {}
    for split in ("development", "validation", "evaluation"):
        captions = table(root / f"clotho/clotho_captions_{split}.csv")
        metadata = table(root / f"clotho/clotho_metadata_{split}.csv", "latin-1")
        assert [row["file_name"] for row in captions] == [row["file_name"] for row in metadata]
        assert all(len(set(row.values())) == 6 for row in captions)
        identifiers[split] = [row["sound_id"] for row in metadata]
        names = {path.name for path in (root / f"clotho/{split}").iterdir()}
        assert len({row["file_name"] for row in captions} - names) == (1 if split == "development" else 0)
    odd = (root / "clotho/clotho_metadata_development.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        odd.decode("utf-8")
    assert identifiers["development"].count("Not found") == 1
    assert any(" " in row["file_name"] for row in table(root / "clotho/clotho_captions_development.csv"))
    dev = {row["fname"] for row in table(root / "fsd50k/FSD50K.ground_truth/dev.csv")}
    assert len(dev & set(identifiers["development"])) == 2
    assert len(dev & set(identifiers["evaluation"])) == 1
