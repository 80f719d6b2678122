"""The published lists are known by their form, and what their pairs share is counted again here by other means."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pipelines.replay.classes import display_names
from pipelines.replay.collisions import collisions
from pipelines.replay.lists import read_list
from schemas.errors import UserError

LINES = {
    "audiocaps": 4820,
    "audioset": 5270,
    "clotho": 5225,
    "esc50": 2000,
    "music": 5004,
    "vggsound": 1000,
}


def eval_list(shared: Path, name: str) -> Path:
    """Return a list of AudioSep's."""
    return shared / "lass" / "audiosep_eval" / f"{name}_eval.csv"


@pytest.mark.parametrize("name", LINES)
def test_each_list_of_audiosep_is_read_whole_whatever_it_is_called(shared, tmp_path, name):
    renamed = tmp_path / "a list.csv"
    renamed.write_bytes(eval_list(shared, name).read_bytes())
    listing = read_list(renamed)
    assert (listing.form.name, len(listing.pairs), listing.bad) == (name, LINES[name], ())


def test_the_list_of_dcase_has_a_whole_snr_per_line(shared):
    listing = read_list(shared / "lass" / "dcase2024_task9" / "lass_synthetic_validation.csv")
    assert (listing.form.name, len(listing.pairs), listing.bad) == ("dcase2024_task9", 3000, ())
    assert {pair.snr_db for pair in listing.pairs} == set(range(-15, 16))
    first = listing.pairs[0]
    assert (str(first.target), str(first.other), first.snr_db) == ("692211_12333864-hq", "701692_6014995-hq", 10)


def test_numbers_are_the_lists_own_where_it_numbers_its_lines(shared):
    for name in ("audiocaps", "clotho", "esc50", "music"):
        with eval_list(shared, name).open(newline="") as file:
            own = [int(fields[0]) for fields in list(csv.reader(file))[1:]]
        assert [pair.number for pair in read_list(eval_list(shared, name)).pairs] == own


def test_the_labels_of_audiocaps_are_wholly_made_of_display_names(shared):
    for pair in read_list(eval_list(shared, "audiocaps")).pairs:
        assert " ".join(display_names(pair.told)) == pair.told


def test_the_longer_of_two_names_that_begin_alike_is_meant():
    text = "Vehicle horn, car horn, honking Vehicle Male speech, man speaking Speech synthesizer Speech"
    assert display_names(text) == [
        "Vehicle horn, car horn, honking",
        "Vehicle",
        "Male speech, man speaking",
        "Speech synthesizer",
        "Speech",
    ]


def _above(nodes: dict[str, dict]) -> dict[str, set[str]]:
    """Return the classes above each class of ``ontology.json`` along concrete ones alone, counted anew from its children."""
    parents: dict[str, set[str]] = {own: set() for own in nodes}
    for own, node in nodes.items():
        for child in node["child_ids"]:
            if not {"abstract"} & ({*node["restrictions"]} | {*nodes[child]["restrictions"]}):
                parents[child].add(own)
    above = {own: set(found) for own, found in parents.items()}
    for _ in range(12):  # deeper than the ontology is
        for found in above.values():
            found |= {far for near in list(found) for far in parents[near]}
    return above


def test_a_fifth_of_audiocaps_pairs_share_a_label_and_more_share_one_above(shared):
    nodes = {node["id"]: node for node in json.loads((shared / "audioset" / "ontology.json").read_text())}
    above = _above(nodes)
    with (shared / "audioset" / "class_labels_indices.csv").open(newline="") as file:
        mids = {row["display_name"]: row["mid"] for row in csv.DictReader(file)}
    with eval_list(shared, "audiocaps").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels: dict[str, set[str]] = {}
    for row in rows:
        left, found = row["labels"], set()
        while left:  # the longest name with which the rest begins
            name = max((name for name in mids if left == name or left.startswith(f"{name} ")), key=len)
            found.add(mids[name])
            left = left[len(name) :].lstrip()
        labels[row["src_wav"]] = found
    pairs = [(labels[row["src_wav"]], labels[row["noise_wav"]]) for row in rows]
    equal = sum(bool(a & b) for a, b in pairs)
    related = sum(any(p == q or p in above[q] or q in above[p] for p in a for q in b) for a, b in pairs)
    facts = collisions(read_list(eval_list(shared, "audiocaps"))).facts()
    assert (facts["labelled"], facts["equal"], facts["equal_or_related"]) == (4820, equal, related) == (4820, 924, 1122)
    assert (facts["equal_share"], facts["equal_or_related_share"]) == (0.1917, 0.2328)
    assert (facts["classes_by"], facts["same_recording"]) == ("labels", 3)


def test_nine_lines_of_clotho_name_the_target_itself_as_noise_five_of_which_are_mixed(shared):
    facts = collisions(read_list(eval_list(shared, "clotho"))).facts()
    assert (facts["same_recording"], facts["same_recording_as_unmixed"], facts["classes_by"]) == (5, 4, "words")


def test_what_is_unknown_is_not_counted_as_apart(shared):
    facts = collisions(read_list(eval_list(shared, "audioset"))).facts()
    assert (facts["classes_by"], facts["labelled"], facts["unknown"], facts["equal_share"]) == ("none", 0, 5270, None)
    clotho = collisions(read_list(eval_list(shared, "clotho"))).facts()
    assert clotho["labelled"] + clotho["unknown"] == 5225
    assert clotho["unknown"] > 0


def test_no_pair_of_music_shares_an_instrument(shared):
    facts = collisions(read_list(eval_list(shared, "music"))).facts()
    assert (facts["labelled"], facts["equal"]) == (5004, 0)


def test_a_dcase_list_without_its_tags_is_known_by_its_captions(shared, tmp_path):
    folder = shared / "lass" / "dcase2024_task9"
    alone = tmp_path / "list.csv"
    alone.write_bytes((folder / "lass_synthetic_validation.csv").read_bytes())
    assert collisions(read_list(folder / "lass_synthetic_validation.csv")).by == "tags"
    assert collisions(read_list(alone)).by == "words"


def test_a_table_of_another_form_is_refused_in_one_line(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("idx,caption,src_wav,noise_wav\n0,dog,a.wav,b.wav\n")
    with pytest.raises(UserError, match="is none of the lists audiocaps, clotho"):
        read_list(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_list(tmp_path / "nothing.csv")


def test_a_line_that_cannot_be_understood_is_kept_with_its_number(tmp_path):
    path = tmp_path / "dcase.csv"
    lines = [
        "source, noise, snr, caption",
        "1_2-hq,3_4-hq,loud,a",
        "1_2-hq,3_4-hq,5,a",
        "1_2-hq,3_4-hq,5",
        "1_2-hq,,5,a",
    ]
    path.write_text("\n".join(lines) + "\n")
    listing = read_list(path)
    assert [pair.number for pair in listing.pairs] == [1]
    assert dict(listing.bad) == {
        0: "its snr 'loud' is no whole number of decibels",
        2: "has 3 fields, not 4",
        3: "lacks caption, source, noise or one of them",
    }
