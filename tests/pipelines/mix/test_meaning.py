"""A wording stands for a pattern only where it asks for the same, for any sound."""

from __future__ import annotations

import pytest

from pipelines.mix.meaning import MOST_LETTERS, asks_to, fault_of, same
from pipelines.mix.patterns import TASKS, load_patterns

EXTRACT = """\
Pull {what} out of this mix.
Let me hear nothing but {what}.
Remove everything except {what}.
Filter everything out but {what}.
Mute everything other than {what}.
Can you isolate {what} for me?
Bring {what} to the front and nothing else.""".splitlines()

REMOVE = """\
Take {what} out, please.
Keep everything except {what}.
Let me hear everything but {what}.
Play this without {what}.
I'd rather not hear {what}.
I don't want {what} in there.
Silence {what}.
Turn off {what}.
Give me the recording minus {what}.
Leave {what} out.""".splitlines()


@pytest.mark.parametrize("text", EXTRACT)
def test_who_wants_nothing_but_the_sounds_wants_them_extracted(text):
    assert fault_of(text, "extract") is None
    assert fault_of(text, "remove") == "asks for the opposite"


@pytest.mark.parametrize("text", REMOVE)
def test_who_wants_all_but_the_sounds_wants_them_removed(text):
    assert fault_of(text, "remove") is None
    assert fault_of(text, "extract") == "asks for the opposite"


def test_our_own_patterns_ask_for_what_they_stand_under():
    file = load_patterns("prompts/instructions.yaml")
    for task in TASKS:
        assert [asks_to(text) for text in file.of(task)] == [task] * len(file.of(task))
        assert [fault_of(text, task) for text in file.of(task)] == [None] * len(file.of(task))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Keep it.", "does not hold {what} once"),
        ("Keep {what}, only {what}.", "does not hold {what} once"),
        ("Keep {what} and {who}.", "does not hold {what} once"),
        ("Keep the {what}.", "puts an article before {what}"),
        ("Keep the loud {what}.", "puts an article before {what}"),
        ("Keep that {what}.", "puts an article before {what}"),
        ("Keep {what} in the rain.", "names a sound"),
        ("Keep {what}" + " now" * MOST_LETTERS, "is too long"),
        ("Keep {what}\nand more.", "is too long"),
    ],
)
def test_what_no_sound_could_be_put_into_is_refused_with_the_reason(text, why):
    assert fault_of(text, "extract") == why


def test_wordings_are_the_same_whatever_their_capitals_and_stops():
    assert same("Keep only {what}!") == same("keep  only, {what}.")
    assert same("Keep {what}") != same("Keep only {what}")
