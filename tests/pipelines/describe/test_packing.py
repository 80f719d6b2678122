"""Answers to several clips at once: what can be trusted is kept by its index, the rest is asked again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.describe.packing import numbered, own_words, packs, read_numbered
from pipelines.unify.names import default_index

GOOD = {1: "A dog barks.", 2: "Rain falls.", 3: "A car honks."}


@pytest.mark.parametrize(
    "answer",
    [
        "1. A dog barks.\n2. Rain falls.\n3. A car honks.",
        "1) A dog barks.\n\n2) Rain falls.\n\n3) A car honks.",
        "Here are the captions:\n1: A dog barks.\n2: Rain falls.\n3: A car honks.",
        "**1.** A dog barks.\n**2.** Rain falls.\n**3.** A car honks.",
        "Clip 1: A dog barks.\nClip 2: Rain falls.\nClip 3: A car honks.",
        "<think>1. hm\n7. no</think>1. A dog barks.\n2. Rain falls.\n3. A car honks.",
        "```\n1. A dog barks.\n2. Rain falls.\n3. A car honks.\n```",
    ],
)
def test_whole_answers_are_read_in_whatever_form_their_indices_have(answer):
    assert read_numbered(answer, 3) == GOOD


@pytest.mark.parametrize(
    ("answer", "kept", "why"),
    [
        ("1. A dog barks.\n3. A car honks.", {1, 3}, "one in the midst is missing, and the numbers are kept"),
        ("1. A dog barks.\n2. Rain falls.", set(), "the last is missing: two may have been told as one"),
        ("1. A dog barks.\n2. Rain falls.\n2. Hail falls.\n3. A car honks.", {1, 3}, "an index stands twice"),
        ("0. A dog barks.\n1. Rain falls.\n2. A car honks.", set(), "counted from 0"),
        ("2. A dog barks.\n3. Rain falls.\n4. A car honks.", set(), "an index that there is not"),
        ("1. A dog barks.\n3. A car honks.\n2. Rain falls.", set(), "out of order"),
        ("1-2. A dog barks in the rain.\n3. A car honks.", {3}, "two merged under a range"),
        ("1, 2: A dog barks in the rain.\n3. A car honks.", {3}, "two merged under a list"),
        ("1 and 2: A dog barks in the rain.\n3. A car honks.", {3}, "two merged in words"),
        ("1. A dog barks. 2. Rain falls.\n3. A car honks.", {3}, "two answers on one line"),
        ("1. A dog barks.\nIt is loud.\n2. Rain falls.\n3. A car honks.", {2, 3}, "an answer of two lines"),
        ("1. A dog barks.\n2. Rain falls.\n3. A car honks.\n\nAnything else?", {1, 2}, "an afterthought"),
        ("1.\n2. Rain falls.\n3. A car honks.", {2, 3}, "an index without words"),
        ("A dog barks.\nRain falls.\nA car honks.", set(), "no indices"),
        ("I can't do that.", set(), "no answer"),
        ("", set(), "nothing"),
    ],
)
def test_what_may_be_another_clips_is_left_out(answer, kept, why):
    found = read_numbered(answer, 3)
    assert found == {number: GOOD[number] for number in kept}, why


def test_of_an_answer_that_was_cut_all_but_the_last_line_is_kept():
    assert read_numbered("1. A dog barks.\n2. Rain fa", 3, cut=True) == {1: "A dog barks."}
    assert read_numbered("1. A dog barks.\n2. Rain fa", 3) == {}


WORDS = st.lists(
    st.text("abcdefghij ,'", min_size=1).filter(str.strip).map(lambda text: "x " + text.strip()), min_size=1, max_size=9
)


@given(WORDS)
def test_what_was_numbered_is_read_back(texts):
    assert read_numbered(numbered(texts), len(texts)) == dict(enumerate(texts, 1))


@given(WORDS, st.data())
def test_a_line_that_is_lost_or_put_in_gives_no_clip_anothers_words(texts, data):
    lines = numbered(texts).splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    number = data.draw(st.integers(0, len(lines) + 1))
    for changed in (lines[:at] + lines[at + 1 :], [*lines[:at], f"{number}. y evil", *lines[at:]]):
        found = read_numbered("\n".join(changed), len(texts))
        assert all(words == texts[n - 1] for n, words in found.items())


def test_a_model_that_numbers_what_it_merged_anew_is_not_believed():
    told = numbered(["dog barks in the rain", "car honks", "wind blows"])
    assert read_numbered(told, 4) == {}


def test_packs_hold_each_key_once_in_order():
    assert packs("abcde", 2) == [("a", "b"), ("c", "d"), ("e",)]


TOLD = ["labels: Dog; Rain", "a recording of my cat", "Vehicle horn", "nothing in particular"]
OWN = {1: "A dog barks in the rain.", 2: "A cat meows.", 3: "A car honks.", 4: "Something rustles."}


@pytest.mark.parametrize(
    ("answers", "kept", "why"),
    [
        (OWN, {1, 2, 3, 4}, "all are their own clips'"),
        ({1: OWN[1], 2: "An animal calls.", 3: OWN[3]}, {1, 2, 3}, "a broader word is no other sound"),
        ({1: OWN[1], 2: "A siren wails."}, {1, 2}, "a sound that nobody told of is no other clip's"),
        ({1: OWN[1], 2: OWN[1], 3: OWN[3], 4: OWN[4]}, {1, 3, 4}, "one has another clip's words"),
        ({1: OWN[1], 2: OWN[1], 3: OWN[2], 4: OWN[3]}, set(), "all have moved down"),
        ({1: OWN[2], 2: OWN[1], 3: OWN[3], 4: OWN[4]}, set(), "two are exchanged"),
        ({1: "Ein Hund bellt.", 2: "Ein Hund bellt."}, {1, 2}, "in other languages nothing can be told"),
        ({}, set(), "nothing was answered"),
    ],
)
def test_answers_that_name_another_clips_sounds_are_left_out(answers, kept, why):
    assert own_words(answers, TOLD, default_index()) == {n: answers[n] for n in kept}, why
