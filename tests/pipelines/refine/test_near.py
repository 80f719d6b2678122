"""Words that the index of names does not know are known by a name of nearly the same meaning."""

from __future__ import annotations

import importlib.util

import pytest

from pipelines.describe.grounds import Facts, Ground
from pipelines.refine.agreement import agreement
from pipelines.refine.claims import sources
from pipelines.refine.near import names_nearby
from pipelines.unify.names import default_index
from taggers.sentences import PACKAGE

pytestmark = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="the extra `text` is not installed")

INDEX = default_index()


def named(text: str) -> list[tuple[str, str]]:
    return [(m.phrase, INDEX.ontology[m.class_id].name) for m in sources(text, INDEX, names_nearby())]


@pytest.mark.parametrize(
    ("text", "phrase", "name"),
    [
        ("A bike passes by.", "bike", "Bicycle"),
        ("Water drips during a rainstorm.", "rainstorm", "Rain"),
        ("A squeaky wheel turns.", "squeaky", "Squeak"),
        ("Machines work in a hall.", "Machines", "Mechanisms"),
    ],
)
def test_a_near_synonym_is_a_sound(text: str, phrase: str, name: str) -> None:
    assert phrase not in [m.phrase for m in sources(text, INDEX)]
    assert (phrase, name) in named(text)


@pytest.mark.parametrize(
    "text",
    ["A person holds various objects.", "There is no bike.", "Two types of cloth.", "It happens quickly outdoors."],
)
def test_other_words_deeds_and_what_is_denied_are_none(text: str) -> None:
    assert named(text) == []


def test_what_the_index_knows_stays_as_it_is() -> None:
    for text in ("A dog barks while rain falls.", "A printer whirs and a hum."):
        assert sources(text, INDEX, names_nearby()) == sources(text, INDEX)


def test_a_near_synonym_is_supported_by_its_class() -> None:
    (bicycle,) = [node.class_id for node in INDEX.ontology.classes if node.name == "Bicycle"]
    tag = [Ground("c:publisher:0", "tag", bicycle, None, None, None)]
    assert agreement("A bike passes.", tag, Facts(), INDEX).score is None
    assert agreement("A bike passes.", tag, Facts(), INDEX, near=names_nearby()).score == 1.0
