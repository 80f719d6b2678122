"""Captions made wrong: the grammar is kept, and what is said afterwards is what was meant to be said."""

from __future__ import annotations

import pytest

from pipelines.describe.phrases import load_phrases
from pipelines.refine.claims import orders, sources
from pipelines.refine.corruptions import ADDED, Wording, absent, added, reversed_order, swapped
from pipelines.unify.names import default_index
from schemas.ontology import default_ontology

INDEX, ONTOLOGY = default_index(), default_ontology()
WORDING = Wording.of(INDEX, load_phrases("prompts/grammar.yaml").words)
IDS = {node.name: node.class_id for node in sorted(ONTOLOGY.classes, key=lambda node: not node.abstract)}
VIOLIN, BELLS, RAIN = IDS["Violin, fiddle"], IDS["Jingle bell"], IDS["Rain"]

CAPTIONS = (
    "A siren wails, then a dog barks.",
    "A dog is barking loudly while birds chirp.",
    "Several dogs bark and a siren wails",
    "The crisp snap of a snare drum repeats.",
    "A siren wails, followed by a dog barking.",
    "Wind chimes jingle at random, and then a busy signal beeps on a telephone line.",
    "Rain falling on a roof",
)


@pytest.mark.parametrize(
    ("text", "number", "class_id", "expected"),
    [
        ("A siren wails, then a dog barks.", 0, VIOLIN, "A violin plays, then a dog barks."),
        ("A siren wails, then a dog barks.", 1, BELLS, "A siren wails, then jingle bells ring."),
        ("A siren wails, followed by a dog barking.", 1, VIOLIN, "A siren wails, followed by a violin playing."),
        ("A dog is barking loudly while birds chirp.", 0, VIOLIN, "A violin plays loudly while birds chirp."),
        ("A dog is barking loudly while birds chirp.", 1, VIOLIN, "A dog is barking loudly while a violin plays."),
        ("Several dogs bark and a siren wails", 0, RAIN, "Rain falls and a siren wails"),
        ("A loud dog barks in the distance.", 0, VIOLIN, "A violin plays in the distance."),
        ("A waterfall is cascading down.", 0, BELLS, "Jingle bells are cascading down."),
    ],
)
def test_a_swapped_sound_takes_the_form_of_the_one_that_goes(text, number, class_id, expected):
    assert swapped(text, sources(text, INDEX)[number], class_id, WORDING) == expected


@pytest.mark.parametrize("text", CAPTIONS)
def test_a_swap_names_the_new_class_and_one_sound_of_the_old_ones_less(text):
    for mention in sources(text, INDEX):
        made = swapped(text, mention, VIOLIN, WORDING)
        assert made is not None
        said = [each.class_id for each in sources(made, INDEX)]
        assert VIOLIN in said
        assert said.count(mention.class_id) < [each.class_id for each in sources(text, INDEX)].count(mention.class_id)
        assert made[0].isupper()


@pytest.mark.parametrize("text", ["A man is typing on a keyboard.", "As birds chirp, metal objects rattle loudly."])
def test_what_stands_for_a_verb_is_not_swapped(text):
    assert swapped(text, sources(text, INDEX)[-1], VIOLIN, WORDING) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A siren wails, then a dog barks.", "A dog barks, then a siren wails."),
        ("A siren wails. Then a dog barks.", "A dog barks. Then a siren wails."),
        ("A siren wails before a dog barks.", "A siren wails after a dog barks."),
        ("A siren wails after a dog barks.", "A siren wails before a dog barks."),
        ("After a siren wails, a dog barks.", "Before a siren wails, a dog barks."),
        ("A siren wails, followed by a dog barking.", "A siren wails, preceded by a dog barking."),
        ("A siren wails, then a dog.", None),
        ("A siren wails while a dog barks.", None),
        ("A siren wails and a dog barks.", None),
    ],
)
def test_an_order_is_turned_round_where_one_is_told_and_it_stays_english(text, expected):
    first, second = sources(text, INDEX)
    made = reversed_order(text, first, second, WORDING)
    assert made == expected
    if made:
        (told,), (turned,) = orders(text, [first, second]), orders(made, sources(made, INDEX))
        assert (turned.first, turned.relation, turned.second) == (told.second, "then", told.first)
        again = reversed_order(made, *sources(made, INDEX), WORDING)
        assert again is None or again == text


@pytest.mark.parametrize("text", CAPTIONS)
@pytest.mark.parametrize("pattern", ADDED)
def test_an_added_sound_stands_at_the_end_and_all_else_stays(text, pattern):
    made = added(text, VIOLIN, pattern, WORDING)
    assert made is not None
    assert made.startswith(text.rstrip("."))
    assert made.endswith(".")
    assert [each.class_id for each in sources(made, INDEX)][: len(sources(text, INDEX))] == [
        each.class_id for each in sources(text, INDEX)
    ]
    assert VIOLIN in {each.class_id for each in sources(made, INDEX)}


def test_absent_is_what_is_neither_known_nor_above_nor_below_also_across_headings():
    assert absent(VIOLIN, [IDS["Bark"], RAIN], ONTOLOGY)
    assert absent(VIOLIN, [], ONTOLOGY)
    for known in ("Violin, fiddle", "Musical instrument", "Music", "Pizzicato"):
        assert not absent(VIOLIN, [IDS[known]], ONTOLOGY), known
    assert not absent(IDS["Music"], [IDS["Techno"]], ONTOLOGY)
