"""Words and names that mean nearly the same as a class's: taken from a threshold on, never for a phrase that says more."""

from __future__ import annotations

import importlib.util

import pytest

from pipelines.unify.names import default_index
from pipelines.unify.near import nearest, word_near
from schemas.ontology import default_ontology
from taggers.sentences import PACKAGE

pytestmark = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="the extra `text` is not installed")


def called(class_id: str | None) -> str | None:
    return None if class_id is None else default_ontology()[class_id].name


@pytest.mark.parametrize(
    ("word", "name"),
    [("mosquitoes", "Mosquito"), ("rifle", "Gunshot, gunfire"), ("acceleration", "Accelerating, revving, vroom")],
)
def test_a_near_synonym_is_the_class(word, name):
    assert called(word_near(0.8)(word)) == name


@pytest.mark.parametrize("word", ["metal", "horn", "electronic", "rhythm", "the", "with"])
def test_a_word_is_no_phrase_that_says_more_than_it_and_grammar_is_no_sound(word):
    assert called(word_near(0.87)(word)) is None


def test_a_higher_threshold_takes_fewer():
    words = ["mosquitoes", "rifle", "blade", "flight"]
    taken = [[word for word in words if word_near(least)(word)] for least in (0.7, 0.8, 0.9)]
    assert [len(each) for each in taken] == sorted((len(each) for each in taken), reverse=True)
    assert set(taken[2]) <= set(taken[1]) <= set(taken[0])


def test_a_near_word_in_a_caption_is_a_mention_unless_it_is_denied():
    index, near = default_index(), word_near(0.8)
    assert [m.phrase for m in index.tags_in_text("A rifle is heard in the rain.", near)] == ["rifle", "rain"]
    assert [m.phrase for m in index.tags_in_text("Rain and no rifle.", near)] == ["Rain"]


def test_the_nearest_classes_of_a_label_are_best_first_and_each_once():
    found = nearest("Bell_tower")
    assert called(found[0].class_id) in {"Bell", "Church bell"}
    assert len({close.class_id for close in found}) == len(found) == 5
    assert nearest("bell tower") == found
    assert nearest("church bell")[0].score == pytest.approx(1.0, abs=1e-3)
