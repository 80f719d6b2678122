"""The blacklists of WavCaps, as recordings instead of file names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from adapter_trees import tree

from pipelines.ingest.blacklists import Blacklist, read_blacklists
from schemas.errors import UserError


def listed(root: Path, **sources: Any) -> dict[str, Blacklist]:
    return read_blacklists(tree(root, {"json_files/blacklist/blacklist_test.json": json.dumps(sources)}))


def test_blacklists_are_recordings_whatever_the_files_are_called(tmp_path):
    found = listed(
        tmp_path,
        AudioSet=["YYbcdefghij_.wav", "Y-bcdefghij_.flac"],
        FreeSound=["12", 13, "14.wav", "15.ogg"],
        SoundBible=["9"],
        BBC_Sound_Effects=["NHU05104027", "07066143.flac"],
    )
    youtube = {"yt:Ybcdefghij_", "yt:-bcdefghij_"}
    others = {"fs:12", "fs:13", "fs:14", "fs:15", "sb:9", "bbc:NHU05104027", "bbc:07066143"}
    assert found == {"test": Blacklist(frozenset(youtube | others), 0)}
    assert read_blacklists(tmp_path / "elsewhere") == {}


def test_a_source_that_is_not_of_wavcaps_is_an_error(tmp_path):
    with pytest.raises(UserError, match="does not list names by AudioSet, BBC"):
        listed(tmp_path, YouTube=["x"])


@pytest.mark.parametrize(
    ("source", "name"),
    [("AudioSet", "#NAME?"), ("AudioSet", "Yshort.wav"), ("FreeSound", "a12"), ("SoundBible", ""), ("FreeSound", None)],
)
def test_a_name_that_is_none_of_its_sources_is_an_error_for_it_would_leave_nothing_out(tmp_path, source, name):
    with pytest.raises(UserError, match=r"blacklist_test\.json: .* is no name of .*'s; mend it") as caught:
        listed(tmp_path, **{source: ["12", name] if source == "FreeSound" else [name]})
    assert repr(str(name)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entries_that_name_no_recording_are_counted(tmp_path):
    assert listed(tmp_path, FreeSound=["12", "Not found", "Not found"]) == {"test": Blacklist(frozenset({"fs:12"}), 2)}


@pytest.mark.parametrize(
    ("name", "recordings", "unnamed"),
    [
        ("exclude_all_ac", 50725 + 5904, 19),
        ("exclude_test_ac", 1451 + 2077, 11),
        ("exclude_ub8k_esc50_vggsound", 15510 + 2219, 0),
    ],
)
def test_every_name_on_the_published_lists_is_understood(shared, name, recordings, unnamed):
    found = read_blacklists(shared / "wavcaps")[name]
    assert (len(found.recordings), found.unnamed) == (recordings, unnamed)
