"""Unsupported clauses are dropped, and what stays is a sentence; where that cannot be, nothing is returned."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipelines.describe.grounds import Facts, Ground
from pipelines.refine.agreement import agreement
from pipelines.refine.clauses import without, without_unsupported
from pipelines.sample.phrases import WORDS
from pipelines.unify.names import default_index
from schemas.ontology import default_ontology

INDEX = default_index()
IDS = {node.name: node.class_id for node in sorted(default_ontology().classes, key=lambda node: not node.abstract)}


def cut(text: str, words: str, kind: str = "source") -> str | None:
    start = text.index(words)
    return without(text, [(start, start + len(words), kind)])


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("A dog barks while a violin plays.", "violin plays", "A dog barks."),
        ("A dog barks while a violin plays.", "dog barks", "A violin plays."),
        ("A siren wails, then a dog barks.", "dog barks", "A siren wails."),
        ("A siren wails, and then a dog barks.", "siren", "A dog barks."),
        ("A dog barks before a cat meows.", "dog", "A cat meows."),
        ("As a siren wails, a dog barks.", "siren", "A dog barks."),
        ("As a siren wails, a dog barks.", "dog barks", "A siren wails."),
        ("Before a dog barks, a siren wails.", "dog", "A siren wails."),
        ("Rain falling and a dog barking.", "Rain", "A dog barking."),
        ("Rain falling and a dog barking.", "dog barking", "Rain falling."),
        ("A dog barks and growls.", "growls", "A dog barks."),
        ("Birds chirp, wind blows, and water flows.", "water", "Birds chirp and wind blows."),
        ("Birds chirp, wind blows, and water flows.", "wind", "Birds chirp, and water flows."),
        ("Birds chirp, wind blows, and water flows.", "Birds", "Wind blows, and water flows."),
        ("A man speaks with birds chirping in the background.", "birds", "A man speaks."),
        ("A man speaks with birds chirping and wind blowing.", "birds", "A man speaks with wind blowing."),
        ("A siren wails, followed by a dog barking.", "dog", "A siren wails."),
        ("A dog barks as birds chirp and wind blows.", "birds", "A dog barks as wind blows."),
        ("Thunder rumbles with rain falling in the background.", "rain", "Thunder rumbles."),
        ("A dog barks. A cat meows.", "cat", "A dog barks."),
        ("A dog barks. A cat meows.", "dog", "A cat meows."),
        ("a dog barks while music plays", "music", "A dog barks"),
    ],
)
def test_a_clause_or_a_tail_is_dropped_and_the_rest_is_a_sentence(text: str, words: str, left: str) -> None:
    assert cut(text, words) == left


@pytest.mark.parametrize(
    ("text", "words", "why"),
    [
        ("A cat meows.", "cat", "nothing is left"),
        ("A dog and a cat bark.", "cat", "one verb serves both"),
        ("A dog, a cat and a bird make noise.", "cat", "one verb serves all"),
        ("A dog barks and growls.", "dog barks", "the subject would go"),
        ("Music plays and people talk and laugh.", "people talk", "the subject would go"),
        ("A car passes and it honks.", "car", "a pronoun points back"),
        ("A man speaks with birds chirping.", "man", "a tail cannot stand alone"),
        ("A siren wails, followed by a dog barking.", "siren", "a tail cannot stand alone"),
        ("A siren as well as a bell.", "bell", "no clause of its own"),
        ("A bird sings and, at the same time, music plays.", "music", "an aside stands between"),
        ("A loud dog barks.", "loud", "the article may not fit"),
    ],
)
def test_what_cannot_be_dropped_is_not(text: str, words: str, why: str) -> None:
    assert cut(text, words) is None, why


@pytest.mark.parametrize(
    ("text", "words", "kind", "left"),
    [
        ("A dog barks loudly in a kitchen.", "in a kitchen", "place", "A dog barks loudly."),
        ("A dog barks loudly in a kitchen.", "loudly", "attribute", "A dog barks in a kitchen."),
        ("A dog barks twice while rain falls.", "twice", "count", "A dog barks while rain falls."),
        ("A dog barks in a kitchen while rain falls.", "in a kitchen", "place", "A dog barks while rain falls."),
        ("A siren wails, then a dog barks.", "siren wails, then a dog barks", "order", "A siren wails."),
        ("A siren wails for about nine seconds.", "for about nine seconds", "attribute", "A siren wails."),
    ],
)
def test_adverbials_go_alone_and_of_an_order_the_later_clause(text: str, words: str, kind: str, left: str) -> None:
    assert cut(text, words, kind) == left


def test_a_caption_without_a_wrong_claim_stays_as_it_is() -> None:
    for text in ("A dog barks.", "As a siren wails, a dog barks!", "birds chirp, wind blows, and water flows"):
        assert without(text, []) == text[0].upper() + text[1:]


def test_what_is_left_of_any_two_clauses_is_one_of_them_and_has_no_unsupported_claim() -> None:
    rng = np.random.default_rng(3)
    names = [name for name in WORDS if name in IDS]
    frames = ("{a} while {b}", "{a}, then {b}", "{a} and {b}", "{a} before {b}", "while {a}, {b}", "after {a}, {b}")
    served = 0
    for number in range(400):
        one, other = rng.choice(names, 2, replace=False)
        a, b = (str(rng.choice(WORDS[name].clauses)) for name in (one, other))
        text = frames[number % len(frames)].format(a=a, b=b) + "."
        kept, gone = (a, b) if number % 2 else (b, a)
        found = cut(text, gone)
        if found is not None:
            served += 1
            assert found.rstrip(".").lower() == kept.lower(), text
            assert re.fullmatch(r"[A-Z].*\.", found)
    assert served >= 330  # measured 349


def test_unsupported_claims_are_dropped_as_agreement_finds_them() -> None:
    rain = [Ground("c:publisher:0", "tag", IDS["Rain"], None, None, None)]
    found = agreement("Rain falls while a violin plays.", rain, Facts(), INDEX)
    assert found.unsupported == ["violin"]
    assert without_unsupported("Rain falls while a violin plays.", found.claims) == "Rain falls."
    assert without_unsupported("Rain falls.", agreement("Rain falls.", rain, Facts(), INDEX).claims) == "Rain falls."
    assert without_unsupported("A violin plays.", agreement("A violin plays.", rain, Facts(), INDEX).claims) is None
