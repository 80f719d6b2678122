"""What classes are called: as English does, and no two of them alike."""

from __future__ import annotations

from collections import Counter

from pipelines.describe.phrases import load_phrases
from pipelines.mix.naming import definite, joined, keyword_of, noun_of, phrase, word_of
from schemas.ontology import default_ontology

DOG, BARK, SPEECH, MALE = "/m/0bt9lr", "/m/05tny_", "/m/09x0r", "/m/05zppz"


def test_a_class_is_called_by_its_first_name_unless_another_has_it_too():
    assert word_of("Male speech, man speaking") == "male speech"
    assert word_of("Ambulance (siren)") == "ambulance"
    assert [word_of(name) for name in ("Howl", "Howl (wind)", "Inside, small room")] == [
        "howl",
        "howl (wind)",
        "inside, small room",
    ]
    assert [word_of(name) for name in ("UK garage", "Hammond organ", "Christmas music", "A capella")] == [
        "UK garage", "Hammond organ", "Christmas music", "a capella",
    ]  # fmt: skip
    names = [word_of(node.name) for node in default_ontology().classes if not node.abstract]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_phrases_join_as_english_does():
    assert [joined(list(words)) for words in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert phrase(["Dog", "Male speech, man speaking", "Rain"]) == "dog, male speech and rain"


def test_an_instruction_says_what_the_source_does_where_its_name_does_not_tell():
    ontology, phrases = default_ontology(), load_phrases("prompts/grammar.yaml")
    said = {name: definite(node.class_id, phrases, ontology) for node in ontology.classes if (name := node.name)}
    assert (said["Siren"], said["Bark"], said["Idling"]) == ("the siren", "the dog barking", "the engine idling")
    assert (said["Rattle (instrument)"], said["Tearing"]) == ("the instrument being shaken", "something being torn")


def test_what_two_classes_do_tells_them_apart_where_the_same_thing_does_it():
    ontology, phrases = default_ontology(), load_phrases("prompts/grammar.yaml")
    said = {name: definite(node.class_id, phrases, ontology) for node in ontology.classes if (name := node.name)}
    assert (said["Baby cry, infant cry"], said["Baby laughter"]) == ("the baby crying", "the baby laughing")
    assert (said["Engine starting"], said["Engine knocking"]) == ("the engine starting", "the engine knocking")
    assert (said["Toilet flush"], said["Kettle whistle"]) == ("the toilet flushing", "the kettle whistling")
    assert (said["Engine"], said["Gull, seagull"], said["Walk, footsteps"]) == (
        "the engine", "the seagull", "the footsteps",
    )  # fmt: skip
    assert said["A capella"] == "the a capella music"
    called = Counter(definite(node.class_id, phrases, ontology) for node in ontology.classes if not node.abstract)
    shared = {words for words, count in called.items() if count > 1}
    assert shared <= {"the bass", "the dog", "the person whistling", "the brief tone", "the music playing"}


def test_sources_that_share_classes_are_called_by_the_narrowest():
    bits = default_ontology().bits
    assert noun_of(bits([DOG, BARK])) == "bark"
    assert noun_of(bits([SPEECH, MALE])) == "male speech"
    assert noun_of(0) is None


def test_a_keyword_is_the_narrowest_class():
    assert keyword_of((BARK, DOG)) == keyword_of((DOG, BARK)) == "bark"
