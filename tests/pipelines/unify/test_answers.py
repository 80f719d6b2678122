"""Answers about numbered texts: read where each text is spoken of once, and useless where it cannot be known which is meant."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.unify.answers import Told, read_told, told
from schemas.ontology import default_ontology

DOG, CAT, RAIN, CHIRP = "/m/0bt9lr", "/m/01yrx", "/m/06mb1", "/m/07pggtn"


@pytest.mark.parametrize(
    ("answer", "classes"),
    [
        ('{"text_1": "Dog", "text_2": "Rain; Cat"}', [(DOG,), (RAIN, CAT)]),
        ('{"2": "Cat", "1": "Dog"}', [(DOG,), (CAT,)]),
        ('```json\n{"text_1": "Dog", "text_2": "no sound"}\n```', [(DOG,), ()]),
        ('<think>hm</think>{"text_1": null, "text_2": ["Chirp, tweet", "Rain"]}', [None, (CHIRP, RAIN)]),
        ('["Dog", "unknown"]', [(DOG,), None]),
        ("1. Dog\n2. Cat; zork", [(DOG,), (CAT,)]),
        ("text_1: Dog.\ntext_2: none", [(DOG,), None]),
        ('Here: {"text_1": "dogs", "text_2": "/m/06mb1"}', [(DOG,), (RAIN,)]),
    ],
)
def test_what_is_said_of_each_text_is_read(answer, classes):
    found = read_told(answer, 2)
    assert found is not None
    assert [each.class_ids for each in found] == classes


@pytest.mark.parametrize(
    "answer",
    [
        '{"text_1": "Dog"}',
        '{"text_1": "Dog", "text_2": "Cat", "text_3": "Rain"}',
        '{"text_1": "Dog", "text_1": "Cat", "text_2": "Rain"}',
        '["Dog"]',
        "1. Dog\n1. Cat",
        "Dog and cat",
        '{"text_1": "Dog", "text_2": ',
        "",
    ],
)
def test_an_answer_that_does_not_speak_of_each_text_once_is_none(answer):
    assert read_told(answer, 2) is None


def test_the_same_class_twice_is_once_and_the_words_are_kept():
    assert told(" Dog;  dog; Cat ") == Told((DOG, CAT), "Dog; dog; Cat")


@settings(deadline=None)  # the index of names is compiled in the first example
@given(st.text(max_size=200), st.integers(1, 3))
def test_nothing_that_a_model_may_say_is_more_than_classes_of_the_ontology(answer, count):
    for each in read_told(answer, count) or ():
        assert set(each.class_ids or ()) <= set(default_ontology().positions)
