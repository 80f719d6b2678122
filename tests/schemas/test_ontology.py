"""Tests of the ontology: the graph is AudioSet's, and conflicts follow its paths."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

from schemas.errors import UserError
from schemas.ontology import Ontology, configs_dir, default_ontology, load_ontology, read_table

LABELS = configs_dir() / "labels"
AUDIOSET = Path(__file__).resolve().parents[3] / "shared/data/audioset"
needs_audioset = pytest.mark.skipif(not AUDIOSET.is_dir(), reason="AudioSet's published files are not here")


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return default_ontology()


@pytest.fixture(scope="module")
def ids(ontology: Ontology) -> dict[str, str]:
    return {node.name: node.class_id for node in reversed(ontology.classes)}


def test_the_graph_is_a_dag_of_632_nodes_of_which_38_have_several_parents() -> None:
    rows = read_table(LABELS / "audioset_ontology.csv")
    assert len(rows) == 632
    assert sum(len(row["parent_ids"].split()) > 1 for row in rows) == 38
    assert sum(row["abstract"] == "1" for row in rows) == 23
    assert sum(row["blacklist"] == "1" for row in rows) == 67
    assert [row["class_id"] for row in rows] == sorted(row["class_id"] for row in rows)


@needs_audioset
def test_the_table_says_what_the_published_ontology_says(ontology: Ontology) -> None:
    published = json.loads((AUDIOSET / "ontology.json").read_text())
    extra = {row["class_id"] for row in read_table(LABELS / "audioset_strong_extra.csv")}
    assert {node["id"] for node in published} == set(ontology.positions) - extra
    for node in published:
        ours = ontology[node["id"]]
        assert ours.name == node["name"]
        assert set(ours.children) - extra == set(node["child_ids"])
        assert ours.abstract == ("abstract" in node["restrictions"])
        assert ours.blacklist == ("blacklist" in node["restrictions"])


@needs_audioset
def test_every_strong_label_class_is_in_the_ontology(ontology: Ontology) -> None:
    lines = (AUDIOSET / "mid_to_display_name.tsv").read_text().splitlines()
    assert len(lines) == 456
    assert all(line.split("\t")[0] in ontology for line in lines)


def test_hiss_has_four_parents_and_the_ancestors_of_all(ontology: Ontology, ids: dict[str, str]) -> None:
    hiss = ids["Hiss"]
    assert {ontology[p].name for p in ontology[hiss].parents} == {"Cat", "Onomatopoeia", "Snake", "Steam"}
    above = {ontology[a].name for a in ontology.class_ids(ontology.ancestors(hiss))}
    assert {"Animal", "Wild animals", "Water", "Natural sounds", "Source-ambiguous sounds"} <= above


def test_ancestors_and_descendants_mirror_each_other(ontology: Ontology) -> None:
    for node in ontology.classes:
        bit = ontology.bits([node.class_id])
        assert not ontology.ancestors(node.class_id) & bit
        for below in ontology.class_ids(ontology.descendants(node.class_id)):
            assert ontology.ancestors(below) & bit


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("Speech", "Speech", "equal"),
        ("Speech", "Male speech, man speaking", "ancestor"),
        ("Male speech, man speaking", "Speech", "descendant"),
        ("Animal", "Hiss", "ancestor"),
        ("Siren", "Police car (siren)", "ancestor"),
        ("Emergency vehicle", "Police car (siren)", "ancestor"),
        ("Shower", "Water", "descendant"),
        ("Male speech, man speaking", "Female speech, woman speaking", None),
        ("Dog", "Cat", None),
        ("Beep, bleep", "Ping", None),
        ("Human voice", "Speech", None),
        ("Onomatopoeia", "Hiss", None),
        ("Source-ambiguous sounds", "Creak", None),
        ("Sounds of things", "Sonar", None),
    ],
)
def test_conflict_is_equality_or_ancestry_that_passes_no_abstract_node(
    ontology: Ontology, ids: dict[str, str], a: str, b: str, reason: str | None
) -> None:
    assert ontology.conflict(ids[a], ids[b]) == reason


def test_the_two_headings_that_relate_nothing_are_abstract(ontology: Ontology, ids: dict[str, str]) -> None:
    for name in ("Onomatopoeia", "Source-ambiguous sounds"):
        assert ontology[ids[name]].abstract
        assert ontology.class_ids(ontology.related_mask(ids[name])) == (ids[name],)


def test_related_mask_holds_exactly_the_classes_that_conflict(ontology: Ontology) -> None:
    for node in ontology.classes[::7]:
        conflicting = (o.class_id for o in ontology.classes if ontology.conflict(node.class_id, o.class_id))
        assert ontology.related_mask(node.class_id) == ontology.bits(conflicting)


def test_what_a_class_is_and_what_its_kinds_are_is_what_conflicts_with_it(ontology: Ontology) -> None:
    for node in ontology.classes:
        implied, covered = ontology.implied([node.class_id]), ontology.covered(node.class_id)
        assert implied | covered == ontology.related_mask(node.class_id)
        assert implied & covered == ontology.bits([node.class_id])


def test_what_several_classes_are_is_what_each_of_them_is(ontology: Ontology, ids: dict[str, str]) -> None:
    assert ontology.implied([]) == 0
    both = ontology.class_ids(ontology.implied([ids["Bark"], ids["Pop music"]]))
    assert {ontology[c].name for c in both} == {"Bark", "Dog", "Domestic animals, pets", "Animal", "Pop music"}
    assert ontology.class_ids(ontology.covered(ids["Onomatopoeia"])) == (ids["Onomatopoeia"],)


def test_conflict_is_symmetric_with_the_reason_turned_round(ontology: Ontology) -> None:
    turned = {"equal": "equal", "ancestor": "descendant", "descendant": "ancestor", None: None}
    some = [node.class_id for node in ontology.classes[::7]]
    for a in some:
        for b in some:
            assert ontology.conflict(b, a) == turned[ontology.conflict(a, b)]


def test_bits_and_class_ids_are_inverse(ontology: Ontology) -> None:
    some = tuple(node.class_id for node in ontology.classes[::5])
    assert ontology.class_ids(ontology.bits(some)) == some
    assert ontology.bits([]) == 0
    assert len(ontology.class_ids((1 << len(ontology)) - 1)) == len(ontology)


def test_an_unknown_class_is_a_key_error_that_names_it(ontology: Ontology) -> None:
    for ask in (ontology.index, ontology.ancestors, ontology.related_mask, lambda c: ontology.bits([c])):
        with pytest.raises(KeyError, match="/m/nothing"):
            ask("/m/nothing")
    assert "/m/nothing" not in ontology


def test_every_curated_parent_is_of_the_published_ontology() -> None:
    published = {row["class_id"] for row in read_table(LABELS / "audioset_ontology.csv")}
    for row in read_table(LABELS / "audioset_strong_extra.csv"):
        assert row["class_id"] not in published
        assert row["parent_ids"], row
        assert set(row["parent_ids"].split()) <= published
        assert row["why"]


def test_the_ontology_travels_to_other_processes_unchanged(ontology: Ontology) -> None:
    assert pickle.loads(pickle.dumps(ontology)) == ontology


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("/m/09x0r,Speech,/m/09l8g,0,0\n", "twice"),
        ("/m/new,New,/m/nothing,0,0\n", "/m/nothing"),
        ("/m/a,A,/m/b,0,0\n/m/b,B,/m/a,0,0\n", "cycle"),
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, row: str, message: str) -> None:
    for name in ("audioset_ontology.csv", "audioset_strong_extra.csv"):
        shutil.copy(LABELS / name, tmp_path / name)
    with (tmp_path / "audioset_ontology.csv").open("a") as file:
        file.write(row)
    with pytest.raises(UserError, match=message):
        load_ontology(tmp_path)
