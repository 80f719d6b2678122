"""Lists are rendered by their rules: each against the rule written out here once more, in float32 where the publisher's is."""

from __future__ import annotations

import argparse
import csv
import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

from pipelines.publish.outbox import Written
from pipelines.replay.command import add_replay, run_replay
from pipelines.replay.replay import replay
from pipelines.replay.wav import float_wav
from schemas.errors import RunStopped, UserError

RATE = 16000


def sound(path: Path, seconds: float, rate: int = RATE, level: float = 0.2, key: int = 0) -> np.ndarray:
    """Write a noise of 16 bits and return its samples as a reader gives them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(key).standard_normal(round(seconds * rate)) * level
    soundfile.write(path, np.clip(noise, -1, 0.99), rate, subtype="PCM_16")
    return soundfile.read(path, dtype="float32")[0]


def written(folder: Path, name: str) -> np.ndarray:
    """Return the samples of a rendered file."""
    samples, _ = soundfile.read(folder / name, dtype="float32")
    return samples


def rows(folder: Path, name: str = "list.csv") -> list[dict[str, str]]:
    """Return the rows of a table of a rendered folder."""
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def dcase(tmp_path: Path) -> Path:
    """Return a list in DCASE's form, with its sounds in ``tmp_path / audio``."""
    sounds = {"1_2-hq": 0.1, "3_4-hq": 0.3, "5_6-hq": 0.5}
    for key, (name, level) in enumerate(sounds.items()):
        sound(tmp_path / "audio" / f"{name}.wav", 10, level=level, key=key)
    path = tmp_path / "list.csv"
    lines = ["1_2-hq,3_4-hq,7,a dog", "3_4-hq,5_6-hq,-13,rain", "5_6-hq,1_2-hq,0,wind", "9_9-hq,1_2-hq,0,lost"]
    path.write_text("source, noise, snr, caption\n" + "\n".join(lines) + "\n")
    return path


def test_dcase_mixtures_are_the_published_evaluators_bit_by_bit(dcase, tmp_path):
    manifest = replay(dcase, str(tmp_path / "audio"), str(tmp_path / "out"))
    assert (manifest["rendered"], manifest["rejects"], manifest["sample_rate"]) == (3, {"missing_audio": 1}, RATE)
    clipped = 0
    for number, (source, noise, snr) in enumerate([("1_2", "3_4", 7), ("3_4", "5_6", -13), ("5_6", "1_2", 0)]):
        wanted = soundfile.read(tmp_path / "audio" / f"{source}-hq.wav", dtype="float32")[0]
        other = soundfile.read(tmp_path / "audio" / f"{noise}-hq.wav", dtype="float32")[0]
        # Means of float32 are float32; what NumPy 1 makes of them and of Python's numbers is float64, before it scales float32.
        goal = np.mean(wanted**2).astype(np.float64) / (10 ** (snr / 10))
        both = wanted + other * np.float32(np.sqrt(goal / np.mean(other**2)))
        peak = np.abs(both).max().astype(np.float64)
        if peak > 1:
            clipped += 1
            wanted, both = wanted * np.float32(0.9 / peak), both * np.float32(0.9 / peak)
        assert both.dtype == np.float32
        assert np.array_equal(written(tmp_path / "out", f"segment-{number}.wav"), wanted)
        assert np.array_equal(written(tmp_path / "out", f"mixture-{number}.wav"), both)
    assert clipped >= 1
    for row, snr in zip(rows(tmp_path / "out"), (7, -13, 0), strict=True):
        assert int(row["snr_db"]) == snr
        assert abs(float(row["achieved_snr_db"]) - snr) < 1e-4
        assert float(row["peak"]) <= 1.0
    assert [row["error"] for row in rows(tmp_path / "out", "rejects.csv")] == ["missing_audio"]


def test_the_same_audio_gives_the_same_bytes_and_the_manifest_names_them(dcase, tmp_path):
    replay(dcase, str(tmp_path / "audio"), str(tmp_path / "one"))
    manifest = replay(dcase, str(tmp_path / "audio"), str(tmp_path / "two"))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    named = {name: facts["sha256"] for name, facts in manifest["files"].items()}
    assert named | {"manifest.json": tree(tmp_path / "two")["manifest.json"]} == tree(tmp_path / "two")


def test_every_line_is_rendered_or_refused_with_its_reason(dcase, tmp_path):
    dcase.write_text(
        dcase.read_text() + "1_2-hq,3_4-hq,x,bad\n1_2-hq,silent_1-hq,0,nothing\n1_2-hq,broken_1-hq,0,noise\n"
    )
    soundfile.write(tmp_path / "audio" / "silent_1-hq.wav", np.zeros(RATE), RATE)
    (tmp_path / "audio" / "broken_1-hq.wav").write_bytes(b"no sound at all")
    manifest = replay(dcase, str(tmp_path / "audio"), str(tmp_path / "out"))
    assert manifest["lines"] == 7 == manifest["rendered"] + sum(manifest["rejects"].values())
    refused = {row["number"]: row["error"] for row in rows(tmp_path / "out", "rejects.csv")}
    assert refused == {"3": "missing_audio", "4": "bad_row", "5": "digital_silence", "6": "not_audio"}


def audiocaps(tmp_path: Path, *lines: str) -> Path:
    """Return a list in the form of AudioSep's AudioCaps list."""
    path = tmp_path / "list.csv"
    path.write_text("idx,caption,labels,src_wav,noise_wav\n" + "\n".join(lines) + "\n")
    return path


def test_audiocaps_pairs_are_mixed_at_0_db_and_found_under_other_names(tmp_path):
    sound(tmp_path / "audio" / "aaaaaaaaaa1.flac", 12, 32000, key=1)  # longer, and without the Y
    sound(tmp_path / "audio" / "deep" / "Yaaaaaaaaaa2.wav", 4, 32000, level=0.02, key=2)  # shorter
    path = audiocaps(
        tmp_path, "0,a dog,Dog Bark,Yaaaaaaaaaa1.wav,Yaaaaaaaaaa2.wav", "1,rain,Rain,Yaaaaaaaaaa2.wav,Yaaaaaaaaaa1.wav"
    )
    manifest = replay(path, str(tmp_path / "audio"), str(tmp_path / "out"))
    assert (manifest["rendered"], manifest["sample_rate"]) == (2, 32000)
    for number in (0, 1):
        target, mixture = (
            written(tmp_path / "out", f"{name}-{number}.wav").astype(float) for name in ("segment", "mixture")
        )
        assert len(target) == len(mixture) == 320000
        assert abs(10 * np.log10(np.sum(target**2) / np.sum((mixture - target) ** 2))) < 1e-4
    assert [row["shared"] for row in rows(tmp_path / "out")] == ["none", "none"]


def test_pairs_that_share_a_class_or_are_one_recording_are_rendered_and_said_to(tmp_path):
    for key in (1, 2, 3):
        sound(tmp_path / "audio" / f"Yaaaaaaaaaa{key}.wav", 1, 32000, key=key)
    path = audiocaps(
        tmp_path,
        "0,a dog,Dog,Yaaaaaaaaaa1.wav,Yaaaaaaaaaa2.wav",
        "1,a bark,Bark Rain,Yaaaaaaaaaa2.wav,Yaaaaaaaaaa1.wav",
        "2,rain,Rain,Yaaaaaaaaaa3.wav,Yaaaaaaaaaa2.wav",
        "3,rain,Rain,Yaaaaaaaaaa3.wav,Yaaaaaaaaaa3.wav",
    )
    manifest = replay(path, str(tmp_path / "audio"), str(tmp_path / "out"))
    found = [(row["shared"], row["same_recording"]) for row in rows(tmp_path / "out")]
    assert found == [("ancestor", "0"), ("descendant", "0"), ("equal", "0"), ("equal", "1")]
    counts = manifest["collisions"]
    assert (counts["equal"], counts["equal_or_related"], counts["same_recording"]) == (2, 4, 1)


HEADER = "file_id,mix_wav,s0_wav,s0_text,s1_wav,s1_text\n"
ONE, TWO = "aaaaaaaaaa1_000030", "aaaaaaaaaa2_000000"


def vggsound(tmp_path: Path) -> Path:
    """Return a list in the form of AudioSep's VGGSound list."""
    both, path = f"{ONE}+++{TWO}", tmp_path / "list.csv"
    parts = (f"data/{role}/{both}.wav" for role in ("mix_wav", "s0_wav", "s1_wav"))
    path.write_text(HEADER + "{},{},{},dog barking,{},sea waves\n".format(both, *parts))
    return path


def test_published_stems_are_added_as_they_are(tmp_path):
    both = f"{ONE}+++{TWO}.wav"
    first = sound(tmp_path / "audio" / "s0_wav" / both, 2, 32000, key=1)
    second = sound(tmp_path / "audio" / "s1_wav" / both, 2, 32000, level=0.6, key=2)
    manifest = replay(vggsound(tmp_path), str(tmp_path / "audio"), str(tmp_path / "out"))
    assert manifest["rendered_by"] == {"stems": 1}
    assert np.array_equal(written(tmp_path / "out", "segment-0.wav"), first)
    assert np.array_equal(written(tmp_path / "out", "second-0.wav"), second)
    assert np.array_equal(written(tmp_path / "out", "mixture-0.wav"), first + second)
    assert rows(tmp_path / "out")[0]["other_query"] == "sea waves"


def test_without_the_stems_vggsounds_clips_get_a_loudness_that_is_drawn_and_said_to_be(tmp_path):
    for key, name in enumerate((ONE, TWO)):
        sound(tmp_path / "audio" / f"{name}.wav", 10, 32000, level=0.1 + key / 5, key=key)
    manifest = replay(vggsound(tmp_path), str(tmp_path / "audio"), str(tmp_path / "out"))
    assert manifest["rendered_by"] == {"drawn": 1}
    meter = pyloudnorm.Meter(32000)
    found = [
        meter.integrated_loudness(written(tmp_path / "out", f"{name}-0.wav").astype(float))
        for name in ("segment", "second")
    ]
    assert all(-35.01 <= value <= -24.99 for value in found)
    assert abs(found[0] - found[1]) > 0.01


def test_a_list_of_whole_mixtures_takes_the_published_files(tmp_path):
    folder = "evaluation/data/audioset/class_id=0"
    target = sound(tmp_path / "audio" / "class_id=0,index=000,source.wav", 2, 32000, key=1)
    whole = sound(tmp_path / "audio" / "class_id=0,index=000,mixture.wav", 2, 32000, key=2)
    path = tmp_path / "list.csv"
    names = (f'"{folder}/class_id=0,index=000,{name}.wav"' for name in ("source", "mixture"))
    path.write_text("idx,caption,src_wav,noise_wav\n" + f"0,Speech,{','.join(names)}\n")
    replay(path, str(tmp_path / "audio"), str(tmp_path / "out"))
    assert np.array_equal(written(tmp_path / "out", "segment-0.wav"), target)
    assert np.array_equal(written(tmp_path / "out", "mixture-0.wav"), whole)


def test_stems_of_two_lengths_are_refused(tmp_path):
    both = f"{ONE}+++{TWO}.wav"
    sound(tmp_path / "audio" / "s0_wav" / both, 2, 32000)
    sound(tmp_path / "audio" / "s1_wav" / both, 1, 32000)
    manifest = replay(vggsound(tmp_path), str(tmp_path / "audio"), str(tmp_path / "out"))
    assert manifest["rejects"] == {"cannot_mix": 1}


def test_the_published_esc50_list_is_rendered_as_far_as_the_audio_is_there(shared, tmp_path):
    text = (shared / "lass" / "audiosep_eval" / "esc50_eval.csv").read_text().splitlines(keepends=True)
    listing = tmp_path / "esc50_eval.csv"
    listing.write_text("".join(text[:501]))
    there = {path.stem for path in (shared / "esc50").rglob("*") if path.suffix in (".flac", ".ogg")}
    lines = list(csv.DictReader(text[:501]))
    wanted = [line["idx"] for line in lines if {Path(line["src_wav"]).stem, Path(line["noise_wav"]).stem} <= there]
    manifest = replay(listing, str(shared / "esc50"), str(tmp_path / "out"))
    made = rows(tmp_path / "out")
    assert [row["number"] for row in made] == wanted
    assert len(wanted) > 10
    assert manifest["rejects"] == {"missing_audio": 500 - len(wanted)}
    for row in made:
        assert abs(float(row["achieved_snr_db"])) < 1e-5
        assert int(row["samples"]) == 160000


def command(*arguments: str) -> str:
    """Run the command as the command line does."""
    parser = argparse.ArgumentParser()
    add_replay(parser.add_subparsers(dest="command"))
    return run_replay(parser.parse_args(["replay", *arguments]))


def test_collisions_are_told_without_any_audio(tmp_path):
    path = audiocaps(
        tmp_path, "0,a dog,Dog,Yaaaaaaaaaa1.wav,Yaaaaaaaaaa2.wav", "1,rain,Rain,Yaaaaaaaaaa2.wav,Yaaaaaaaaaa3.wav"
    )
    told = json.loads(command(str(path), "--collisions", "--json"))
    assert (told["pairs"], told["labelled"], told["unknown"], told["equal"]) == (2, 1, 1, 0)
    assert "one of the two is unknown    1" in command(str(path), "--collisions")


def test_what_is_missing_on_the_command_line_is_one_line(dcase, tmp_path):
    with pytest.raises(UserError, match="needs --audio DIR and --out DIR"):
        command(str(dcase))
    with pytest.raises(UserError, match="no such folder"):
        command(str(dcase), "--audio", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    with pytest.raises(UserError, match="is not empty"):
        command(str(dcase), "--audio", str(tmp_path / "audio"), "--out", str(tmp_path / "audio"))


def test_a_folder_without_any_of_the_sounds_is_said_so(dcase, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunStopped, match="not one of 4 lines could be rendered"):
        command(str(dcase), "--audio", str(tmp_path / "empty"), "--out", str(tmp_path / "out"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_is_one_line_and_leaves_nothing(dcase, tmp_path, monkeypatch, code):
    def fail(self: Written, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Written, "write", fail)
    out = tmp_path / "new" / "out"
    with pytest.raises(RunStopped, match=f"--out .*: {os.strerror(code)}; mend it and run the same command again"):
        command(str(dcase), "--audio", str(tmp_path / "audio"), "--out", str(out))
    assert list(out.parent.iterdir()) == []
    monkeypatch.undo()
    assert "3 of 4 mixtures" in command(str(dcase), "--audio", str(tmp_path / "audio"), "--out", str(out))


def test_an_out_of_which_no_folder_can_be_made_is_one_line(dcase, tmp_path):
    with pytest.raises(UserError, match="cannot be looked at .File name too long.; name another folder"):
        command(str(dcase), "--audio", str(tmp_path / "audio"), "--out", str(tmp_path / ("a" * 300)))


def test_a_list_with_a_byte_order_mark_or_in_latin_1_is_read_and_lines_that_are_none_are_counted(dcase):
    whole = dcase.read_bytes().replace(b"a dog", "a chien \N{LATIN SMALL LETTER E WITH ACUTE}".encode())
    told = []
    for data in (whole, b"\xef\xbb\xbf" + whole, whole.decode().encode("latin-1"), whole[:-20]):
        dcase.write_bytes(data)
        told.append(command(str(dcase), "--collisions"))
    assert told[0] == told[1] == told[2]
    assert "4 pairs" in told[0]
    assert "lines that are no pair" not in told[0]
    assert "3 pairs" in told[3]
    assert "lines that are no pair       1" in told[3]
    for data in (b"", whole[:15], whole[: whole.index(b"\n") + 1], bytes(range(256)) * 9):
        dcase.write_bytes(data)
        with pytest.raises(UserError, match="is none of the lists|is no table"):
            command(str(dcase), "--collisions")


@pytest.mark.parametrize("tags", ['[{"Index": "1_2-hq", "Tags": 7}]', '[{"Tags": [null, {"a": 1}]}]', "[1]", "{}"])
def test_tags_of_another_form_are_none(dcase, tags):
    (dcase.parent / "lass_validation.json").write_text(tags)
    assert "4 pairs, classes known by tags" in command(str(dcase), "--collisions")


def test_a_float_wav_is_read_back_bit_by_bit(tmp_path):
    samples = np.array([0.0, 1.5, -2.25, 1e-9, np.float32(0.1)], np.float32)
    (tmp_path / "a.wav").write_bytes(float_wav(samples, 32000))
    back, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 32000
    assert np.array_equal(back, samples)
