"""Rooms: a source keeps its place and about its level, echoes come where the response has them, a changed file is noticed."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from rendering import RATE, batch, noise, planned, source, stored

from pipelines.ingest.store import from_store
from pipelines.mix.render import Render
from pipelines.mix.rooms import heard_in, impulse, room_names, rooms_hash
from schemas.errors import UserError
from schemas.mixing import MixtureSet
from schemas.recipe import Shards


@pytest.fixture
def rooms(tmp_path):
    folder = tmp_path / "rooms"
    (folder / "far").mkdir(parents=True)
    response = np.zeros(1000)
    response[50], response[450] = 0.25, 0.125
    soundfile.write(folder / "hall.wav", response, RATE, subtype="FLOAT")
    soundfile.write(folder / "far" / "cave.flac", np.stack([response, response * 0], axis=1), RATE, subtype="PCM_24")
    (folder / "readme.txt").write_text("x")
    return folder


def test_rooms_are_the_sound_files_of_a_folder_in_order(rooms):
    assert room_names(rooms) == ["far/cave.flac", "hall.wav"]


def test_the_direct_sound_keeps_level_and_time_and_the_echo_follows(rooms):
    dry = noise(1, 4000, 1000)
    wet = heard_in(dry, impulse(str(rooms / "hall.wav"), RATE)).astype(float)
    expected = dry.astype(float)
    expected[400:] += 0.5 * dry[:-400]
    assert len(wet) == len(dry)
    assert np.abs(wet - expected).max() <= 0.5 + 1e-6


def test_of_several_channels_the_first_is_heard(rooms):
    dry = noise(1, 4000, 1000)
    first, mono = (heard_in(dry, impulse(str(rooms / name), RATE)) for name in ("far/cave.flac", "hall.wav"))
    assert np.abs(first.astype(int) - mono).max() <= 1


def test_a_response_is_brought_to_the_mixtures_rate(rooms):
    response, arrives = impulse(str(rooms / "hall.wav"), 2 * RATE)
    assert arrives == 100
    assert len(response) == 2000
    near = response[arrives - 40 : arrives + 41]
    assert np.sum(near**2) == pytest.approx(1.0)


def test_what_a_room_makes_too_loud_is_turned_down_not_clipped(tmp_path):
    soundfile.write(tmp_path / "ring.wav", np.full(800, 0.5), RATE)
    dry = np.full(4000, 20_000, np.int16)
    wet = heard_in(dry, impulse(str(tmp_path / "ring.wav"), RATE))
    assert np.abs(wet.astype(int)).max() == 32767
    assert (wet == 32767).sum() < 4000
    assert wet[0] < wet[100] < wet[500]


@pytest.mark.parametrize(("name", "words"), [("none", "no such folder"), ("empty", "holds no WAV or FLAC")])
def test_a_folder_without_rooms_is_the_users_mistake(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=words):
        room_names(tmp_path / name)


def test_a_silent_or_broken_response_is_named(tmp_path):
    soundfile.write(tmp_path / "dumb.wav", np.zeros(100), RATE)
    (tmp_path / "text.wav").write_text("x")
    with pytest.raises(UserError, match="dumb.wav: is silent"):
        impulse(str(tmp_path / "dumb.wav"), RATE)
    with pytest.raises(UserError, match="text.wav: is no sound file"):
        impulse(str(tmp_path / "text.wav"), RATE)


def test_a_room_whose_file_changes_is_noticed(rooms):
    before = rooms_hash(rooms)
    assert rooms_hash(rooms) == before
    soundfile.write(rooms / "hall.wav", np.ones(10), RATE)
    assert rooms_hash(rooms) != before


def test_the_stage_hears_each_source_in_its_room_and_tells_what_it_read(rooms, tmp_path):
    clips = {"c0": noise(0, 8000, 900), "c1": noise(1, 8000, 900)}
    context, rows = stored(tmp_path, clips)
    stage = Render((MixtureSet(rirs="rooms"),), Shards(members=["target", "stems"]))
    assert stage.sources(context)
    assert Render((MixtureSet(),), Shards()).sources(context) == ""
    plan = planned(source("c0", "target", 8000, rir="hall.wav"), source("c1", "interferer", 8000), snr_db=0.0)
    result = stage.process(batch([plan], rows), context)
    assert result.rows[0]["gains"][0] == 1.0
    (blob,) = result.blobs
    wet = heard_in(clips["c0"], impulse(str(rooms / "hall.wav"), RATE))
    assert np.array_equal(from_store(blob.members["stem0.flac"])[0], wet)


def test_a_room_that_is_no_sound_or_silent_is_told_before_anything_is_rendered(rooms):
    (rooms / "far" / "empty.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"mix.rirs: far/empty.wav: is no sound file that can be read; remove it"):
        rooms_hash(rooms)
    soundfile.write(rooms / "far" / "empty.wav", np.zeros(0), RATE)
    with pytest.raises(UserError, match=r"mix.rirs: far/empty.wav: is silent; remove it"):
        rooms_hash(rooms)
    soundfile.write(rooms / "far" / "empty.wav", np.array([1.0, np.nan]), RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=r"mix.rirs: far/empty.wav: holds what is no finite number; remove it"):
        rooms_hash(rooms)
