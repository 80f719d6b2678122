"""What becomes of an answer: tidied, kept, refused for a reason that can be told to the model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.describe.language import count_words, is_in
from pipelines.describe.rules import Limits, Rules, Style, answered, broken, names_in, tidy

RULES = Rules(
    most_words=10, least_words=3, failure=["Failure"], banned=["heard", "sound of"], numbers=False, units=False, names=False,
    names_allowed=["TV"], labels=False, speech=False,
)  # fmt: skip
SENTENCE = Style(ask="s")
LIMITS = Limits(
    SENTENCE, labels=["Dog", "Male speech, man speaking"], transcript="Please leave a message after the tone."
)


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("A dog barks.", "A dog barks."),
        ("  1. a dog barks ", "A dog barks."),
        ("(2) A dog barks!", "A dog barks!"),
        ("- **Caption 3:** “A dog barks.”", "A dog barks."),
        ('Final caption: "A dog barks"', "A dog barks."),
        ("<think>a dog, so</think>\nA dog barks.", "A dog barks."),
        ("```\nA dog barks,\n```", "A dog barks."),
        ('A dog barks at "the" cat.', 'A dog barks at "the" cat.'),
        ("10.5 dogs bark", "10.5 dogs bark."),
        ("犬が吠える", "犬が吠える。"),
    ],
)
def test_what_models_put_around_a_caption_is_removed(answer, caption):
    assert (
        answered(
            answer, Rules(most_words=10, least_words=1), Limits(SENTENCE, language="xx" if caption.isascii() else "ja")
        ).text
        == caption
    )


def test_what_is_no_sentence_has_neither_capital_nor_full_stop():
    style = Style(ask="k", sentence=False)
    assert tidy("1. Dog bark, Wind, TV, old Ford.", style.sentence) == "dog bark, wind, TV, old Ford"


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("A dog.", "it has 2 words, and 3 are the least"),
        ("A dog barks and a cat meows and a bird sings.", "it has 11 words, and 10 are the most"),
        ("A dog barks. A cat meows.", "it has 2 sentences, and 1 is the most"),
        ("A dog barks </clip>.", "it holds markup"),
        ("A dog barks 2 times.", "it holds the number 2"),
        ("Two dogs bark loudly.", "it holds the number Two"),
        ("A tone in khz sounds.", "it holds the unit khz"),
        ("A dog barks in Berlin.", "it holds the name Berlin"),
        ("A dog is heard barking.", "it holds the word heard"),
        ("The Sound of a dog.", "it holds the word sound of"),
        ("A male speech, man speaking outdoors.", "it repeats the label Male speech, man speaking"),
        ('A man says "come here".', "it repeats what is said"),
        ("Someone says leave a message after that.", None),
        ("Someone says leave a message after the tone.", "it repeats what is said"),
        ("Ein Hund bellt und ein Mann ruft.", "it is not in the language en"),
        ("Собака лает на улице.", "it is not in the language en"),
        ("A dog's bark echoes on TV.", None),
        ("I hear one dog bark.", None),
        ("A dog barks in a bandit's den.", None),
    ],
)
def test_each_rule_that_is_broken_is_told(caption, reason):
    found = broken(caption, RULES, LIMITS)
    assert (reason in found) if reason else (found == [])


def test_all_broken_rules_are_told_at_once():
    came = answered("In Berlin two dogs are heard.", RULES, LIMITS)
    assert came.what == "broken"
    assert came.reason == "it holds the number two; it holds the name Berlin; it holds the word heard"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("Failure.", "failure"),
        ("1. failure", "failure"),
        ("Failure: this text is not about sound.", "failure"),
        ("A failure alarm sounds.", "caption"),
        ("I'm sorry, but I can't assist with that.", "refused"),
        ("N/A", "broken"),
        ("", "broken"),
        ("A dog barks.", "caption"),
    ],
)
def test_failures_refusals_and_captions_are_told_apart(answer, what):
    assert answered(answer, RULES, LIMITS).what == what


def test_a_server_that_declines_or_cuts_is_believed():
    assert answered("A dog barks.", RULES, LIMITS, refused=True).what == "refused"
    assert answered("A dog barks at a", RULES, LIMITS, cut=True).reason == "it was cut off"


def test_rules_on_english_words_hold_for_english_alone():
    german = Limits(SENTENCE, language="de")
    assert broken("Ein Hund bellt im Garten.", RULES, german) == []
    assert broken("A dog barks at the man.", RULES, german) == ["it is not in the language de"]


def test_a_name_at_the_beginning_of_a_sentence_cannot_be_told():
    assert names_in("London is loud. Paris is not. A Ford's horn honks.") == ["Ford"]


@pytest.mark.parametrize(
    ("text", "language", "is_so"),
    [
        ("Un chien aboie et un homme parle dans la rue.", "fr", True),
        ("Un chien aboie et un homme parle dans la rue.", "es", True),  # `un` is Spanish too: what cannot be told is believed
        ("A dog barks and the man speaks.", "fr", False),
        ("犬が吠える。", "ja", True),
        ("A dog barks.", "ja", False),
        ("狗在叫。", "zh", True),
        ("Koira haukkuu.", "fi", True),
        ("dog bark, wind", "en", True),
        ("", "en", True),
    ],
)  # fmt: skip
def test_the_language_is_told_by_letters_and_little_words(text, language, is_so):
    assert is_in(text, language) is is_so


def test_words_are_counted_and_two_letters_of_a_dense_script_are_one():
    assert [count_words(text) for text in ("A dog's bark, loud.", "a T-rex", "狗在叫", "")] == [4, 2, 2, 0]


@given(st.text(max_size=80))
def test_tidying_twice_is_tidying_once_and_judging_never_fails(text):
    once = tidy(text)
    assert tidy(once) == once
    assert answered(text, RULES, LIMITS).what in ("caption", "refused", "failure", "broken")
