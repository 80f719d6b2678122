"""The grammar captioner: it reads well, it is deterministic, and it says nothing that it was not given."""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.describe.grammar import (
    STYLES,
    Sentence,
    captions_for,
    gerund,
    most_specific,
)
from pipelines.describe.grounds import Facts, Ground
from pipelines.describe.order import Event, arrange
from pipelines.describe.phrases import article, load_phrases
from pipelines.refine.agreement import agreement
from pipelines.unify.names import default_index
from schemas.ontology import configs_dir, default_ontology
from taggers.descriptors import FACTS

ONTOLOGY = default_ontology()
PHRASES = load_phrases("prompts/grammar.yaml")
IDS = {node.name: node.class_id for node in sorted(ONTOLOGY.classes, key=lambda node: not node.abstract)}
CONCRETE = sorted(node.class_id for node in ONTOLOGY.classes if not node.abstract)

STEADY = {
    "duration_s": 10.0, "lufs": -30.0, "onset_count": 0.0, "active_s": 10.0, "active_count": 1.0,
    "active_share": 1.0, "silent_s": 0.0, "silent_share": 0.0, "silent_start_s": 0.0, "silent_end_s": 0.0,
    "spectral_flatness": 0.001, "pitch_hz": 440.0, "pitched_share": 1.0,
}  # fmt: skip

PART = STEADY | {"active_s": 5.0, "active_share": 0.5}


def is_punctual(class_id: str) -> bool:
    words = PHRASES.words[class_id]
    return words.noun in PHRASES.file.punctual or PHRASES.file.punctual.issuperset(words.verbs)


def say(
    style: str, *names: str, events: tuple = (), facts: dict[str, float] | None = None, seed: int = 0
) -> Sentence | None:
    times = [Event(IDS[name], onset, offset) for name, onset, offset in events]
    rng = np.random.default_rng(seed)
    return captions_for([IDS[n] for n in names], times, facts or {}, style, rng, PHRASES, ONTOLOGY)


def every(style: str, *names: str, **given: object) -> set[str]:
    found = (say(style, *names, seed=seed, **given) for seed in range(40))  # type: ignore[arg-type]
    return {sentence.text for sentence in found if sentence}


def assert_reads_well(text: str) -> None:
    words = re.findall(r"[\w'-]+", text.lower())
    assert text[0] == text[0].upper()
    assert text.endswith(".")
    assert not re.search(r"[{}]|  |\.\.| [,.]", text)
    assert all(a != b for a, b in pairwise(words)), text
    assert len(set(pairwise(words))) == len(words) - 1, text
    for indefinite, word in re.findall(r"\b([Aa]n?) (\w[\w-]*)", text):
        vowel = word[0].lower() in "aeiou" and not word.lower().startswith(("ukulele", "uk", "uni"))
        assert (indefinite.lower() == "an") == (vowel or word == "MP3"), text


@pytest.mark.parametrize("style", ["short", "detailed"])
def test_every_class_of_the_ontology_gives_a_sentence_that_reads_well(style: str) -> None:
    for node in ONTOLOGY.classes:
        rng = np.random.default_rng(1)
        sentence = captions_for([node.class_id], [], PART, style, rng, PHRASES, ONTOLOGY)
        if sentence is None:
            assert style == "detailed", node.name
            assert is_punctual(node.class_id), node.name
            continue
        assert_reads_well(sentence.text)
        assert sentence.classes == (node.class_id,)


def test_no_sentence_about_one_class_claims_a_sound_of_another_kind() -> None:
    for class_id in CONCRETE:
        for style in ("short", "detailed"):
            for seed in range(3):
                rng = np.random.default_rng(seed)
                sentence = captions_for([class_id], [], PART, style, rng, PHRASES, ONTOLOGY)
                if sentence is None:
                    assert (style, is_punctual(class_id)) == ("detailed", True)
                    continue
                ground = Ground("c:publisher:0", "tag", class_id, None, None, None)
                facts = Facts(PART, dict.fromkeys(PART, ("c:facts:0",)))
                found = agreement(sentence.text, [ground], facts, default_index())
                assert not found.unsupported, (ONTOLOGY[class_id].name, sentence.text, found.unsupported)


facts_strategy = st.fixed_dictionaries(
    {"duration_s": st.floats(0.5, 30)},
    optional={
        "lufs": st.floats(-70, 0),
        "onset_count": st.integers(0, 40).map(float),
        "pitch_hz": st.floats(60, 2000),
        "pitched_share": st.floats(0, 1),
        "spectral_flatness": st.floats(0, 1),
        "active_s": st.floats(0, 30),
        "active_count": st.integers(0, 9).map(float),
        "active_share": st.floats(0, 1),
        "silent_share": st.floats(0, 1),
        "silent_start_s": st.floats(0, 9),
        "silent_end_s": st.floats(0, 9),
    },
)
spans_strategy = st.tuples(st.floats(0, 9), st.floats(0.05, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=300, deadline=None)
@given(
    classes=st.lists(st.sampled_from(CONCRETE), max_size=6),
    spans=st.lists(spans_strategy, max_size=6),
    facts=facts_strategy,
    style=st.sampled_from(STYLES),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_evidence_gives_a_grounded_sentence_or_none(
    classes: list[str], spans: list[tuple[float, float]], facts: dict[str, float], style: str, seed: int
) -> None:
    events = [Event(class_id, *span) for class_id, span in zip(classes, spans, strict=False)]
    draws = [
        captions_for(classes, events, facts, style, np.random.default_rng(seed), PHRASES, ONTOLOGY) for _ in range(2)
    ]
    assert draws[0] == draws[1]
    if (sentence := draws[0]) is None:
        return
    assert_reads_well(sentence.text)
    assert set(sentence.classes) <= set(classes)
    assert set(sentence.facts) <= facts.keys()
    if style == "short":
        assert len(sentence.text.split()) <= 10
    if style == "temporal":
        assert len(sentence.classes) >= 2
        assert set(sentence.classes) <= {event.class_id for event in events}


@settings(max_examples=300, deadline=None)
@given(
    st.permutations(["Siren", "Bark", "Rain", "Church bell", "Cough", "Snare drum", "Cricket"]),
    st.lists(spans_strategy, min_size=2, max_size=4),
    st.integers(0, 99),
)
def test_the_judge_supports_every_order_that_the_grammar_says(
    names: list[str], spans: list[tuple[float, float]], seed: int
) -> None:
    timed = [(name, *span) for name, span in zip(names, spans, strict=False)]
    sentence = say("temporal", events=tuple(timed), seed=seed)
    if sentence is None:
        return
    grounds = [Ground(f"c:p:{i}", "event", IDS[name], a, b, None) for i, (name, a, b) in enumerate(timed)]
    found = agreement(sentence.text, grounds, Facts(), default_index())
    assert not found.unsupported, sentence.text
    assert found.score == 1.0


def test_only_the_most_specific_classes_are_said() -> None:
    assert most_specific([IDS["Animal"], IDS["Bark"], IDS["Dog"], IDS["Bark"]], ONTOLOGY) == [IDS["Bark"]]
    assert every("short", "Animal", "Dog", "Bark") == every("short", "Bark")


def test_known_sentences() -> None:
    assert {"A siren wails.", "A siren wailing.", "The sound of a siren wailing."} <= every("short", "Siren")
    assert "Rain falling and a dog barking." in every("short", "Rain", "Bark")
    assert every("short", "Bark", "Whimper (dog)") >= {"A dog barks and whimpers."}


def test_order_is_said_as_the_intervals_have_it() -> None:
    after = every("temporal", events=(("Siren", 0, 3), ("Bark", 4, 5)))
    assert "A siren wails, then a dog barks." in after
    assert all(re.search(r"then|followed by|before|After", text) for text in after)
    assert not any(text.startswith(("A dog", "After a dog")) for text in after)
    during = every("temporal", events=(("Siren", 0, 3), ("Bark", 0.2, 2.8)))
    assert all(re.search(r"[Ww]hile| as ", text) for text in during)
    behind = every("temporal", events=(("Rain", 0, 10), ("Thunder", 4, 6)))
    assert "Thunder rumbles with rain falling in the background." in behind


def test_without_times_or_with_unclear_ones_nothing_is_said_of_order() -> None:
    assert say("temporal", "Siren", "Bark") is None
    assert say("temporal", events=(("Siren", 0, 3),)) is None
    assert arrange([[(0.0, 4.0)], [(3.0, 9.0)]]) is None  # a short overlap is neither "then" nor "while"
    assert arrange([[(0.0, 1.0), (4.0, 5.0)], [(2.0, 3.0)]]) is None  # in turns


@pytest.mark.parametrize(
    ("spans", "pattern"),
    [
        ([[(0, 1)], [(1, 2)]], ("a>b", (0, 1))),
        ([[(3, 4)], [(0, 1)], [(1.5, 2)]], ("a>b>c", (1, 2, 0))),
        ([[(0, 2)], [(0, 2)]], ("a+b", (0, 1))),
        ([[(0, 2)], [(0, 2)], [(3, 4)]], ("a+b>c", (0, 1, 2))),
        ([[(0, 2)], [(3, 5)], [(3, 5)]], ("a>b+c", (0, 1, 2))),
        ([[(2, 3)], [(0, 9)]], ("a~b", (0, 1))),
        ([[(2, 3)], [(0, 9)], [(4, 5)]], ("a>b~c", (0, 2, 1))),
    ],
)
def test_arrangements_have_known_answers(spans: list, pattern: tuple) -> None:
    assert arrange(spans) == pattern


def test_facts_are_said_only_where_they_are_known_and_clear() -> None:
    assert say("detailed", "Siren") is None
    assert say("detailed", "Siren", facts={"duration_s": 10.0, "lufs": -25.0}) is None
    loud = say("detailed", "Siren", facts={"duration_s": 10.0, "lufs": -10.0})
    assert loud is not None
    assert loud.text in {"A siren wails loudly.", "A siren blares loudly."}
    assert loud.facts == ("lufs",)
    assert "A siren wails for about five seconds." in every("detailed", "Siren", facts=PART)
    assert not any("seconds" in text for text in every("detailed", "Siren", facts=STEADY))  # it is the whole clip
    brief = STEADY | {"active_s": 0.4, "active_share": 0.04, "silent_end_s": 9.6}
    assert "A dog barks briefly, followed by silence." in every("detailed", "Bark", facts=brief)
    again = STEADY | {"active_count": 4.0, "onset_count": 4.0, "active_share": 0.5}
    assert "A dog barks several times." in every("detailed", "Bark", facts=again)


def test_what_happens_in_a_moment_has_no_duration_and_is_not_repeated() -> None:
    for facts in (STEADY, PART, PART | {"active_count": 4.0, "onset_count": 4.0}, PART | {"active_s": 0.4}):
        assert every("detailed", "Gunshot, gunfire", facts=facts) == set()
        assert not any("struck" in text for text in every("detailed", "Gong", facts=facts))
    assert every("detailed", "Wood block", facts=PART | {"pitch_hz": 1500.0}) == {
        "A wood block is struck at a high pitch."
    }


def test_an_adverb_stands_beside_a_full_verb_alone() -> None:
    for facts in (STEADY | {"lufs": -10.0}, STEADY | {"lufs": -50.0}, PART | {"active_s": 0.4}):
        for name in ("White noise", "Gong", "Music", "Bird"):
            texts = every("detailed", name, facts=facts)
            assert not any(re.search(r"\b(is|are) \w+ly\b|\b(heard|struck|playing) \w+ly\b", text) for text in texts)


def test_sounds_without_times_are_never_said_to_coincide_or_to_follow() -> None:
    for names in (("Siren", "Bark"), ("Siren", "Bark", "Rain")):
        for style in ("short", "detailed"):
            texts = every(style, *names, facts=PART)
            assert texts
            assert not any(re.search(r"(?i)\b(along|besides|with|while|as|then|over)\b", text) for text in texts)


def test_only_the_short_style_writes_fragments() -> None:
    facts = STEADY | {"pitch_hz": 110.0, "pitched_share": 0.8}
    assert "A steady, low-pitched tonal sound is heard." in every("detailed", facts=facts)
    assert "A steady, low-pitched tonal sound." in every("short", facts=facts)
    behind = every("temporal", events=(("Rain", 0, 10), ("Thunder", 4, 6)))
    assert "Thunder rumbles over rain falling in the background." in behind
    assert not any(text.startswith("Thunder rumbling") for text in behind)


def test_what_is_true_of_the_clip_is_not_said_of_one_of_several_sounds() -> None:
    facts = STEADY | {"lufs": -50.0, "pitch_hz": 1500.0}
    for text in every("detailed", "Rain", "Wind", facts=facts):
        assert text.endswith("in a quiet recording.")
        assert "pitch" not in text
        assert "seconds" not in text


def test_a_clip_without_a_class_is_described_by_its_facts_alone() -> None:
    low = STEADY | {"pitch_hz": 110.0}
    assert "A steady, low-pitched tone." in every("short", facts=low)
    burst = {"duration_s": 2.0, "spectral_flatness": 0.5, "active_s": 0.5, "active_count": 1.0}
    assert "A short, noisy burst." in every("short", facts=burst)
    assert every("short", facts={"duration_s": 4.0, "silent_share": 1.0}) == {"Silence.", "Complete silence."}
    assert say("short", facts={"duration_s": 4.0}) is None
    assert say("short") is None


def test_the_words_cover_what_is_common() -> None:
    own = {IDS[name] for name in PHRASES.file.classes}
    own |= {IDS[name] for family in PHRASES.file.families for name in family.classes}
    assert len(own) >= 450
    for table in ("esc50", "urbansound8k", "desed"):
        with (configs_dir() / "labels" / f"{table}.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for class_id in row["class_ids"].split():
                    assert not PHRASES.words[class_id].noun.startswith("the sound of"), row["name"]


def test_every_class_of_fsd50k_has_words_of_its_own() -> None:
    vocabulary = Path(__file__).resolve().parents[4] / "shared/data/fsd50k/FSD50K.ground_truth/vocabulary.csv"
    if not vocabulary.is_file():
        pytest.skip("the folder of real data is not here")
    with vocabulary.open(encoding="utf-8") as file:
        classes = [row[2] for row in csv.reader(file)]
    assert len(classes) == 200
    unsaid = [class_id for class_id in classes if PHRASES.words[class_id].noun.startswith("the sound of")]
    assert {ONTOLOGY[class_id].name for class_id in unsaid} <= {"Hands", "Wood", "Glass", "Human voice"}


def test_the_phrase_file_speaks_only_of_facts_that_are_measured() -> None:
    derived = {"active_s", "active_count", "active_share", "silent_share", "silent_start_s", "silent_end_s"}
    rules = [*PHRASES.file.shapes, *(rule for _, rules in PHRASES.file.acoustics for rule in rules)]
    assert {name for rule in rules for name in rule.when} <= FACTS.keys() | derived


@pytest.mark.parametrize(
    ("verb", "participle"),
    [
        ("wails", "wailing"),
        ("hums", "humming"),
        ("crashes", "crashing"),
        ("cries", "crying"),
        ("is struck", "being struck"),
        ("is playing", "playing"),
        ("rings out", "ringing out"),
        ("barks and whimpers", "barking and whimpering"),
        ("idles", "idling"),
        ("falls on a roof", "falling on a roof"),
        ("whirs", "whirring"),
        ("play", "playing"),
    ],
)
def test_participles_are_english(verb: str, participle: str) -> None:
    assert gerund(verb) == participle


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("siren", "a"),
        ("engine", "an"),
        ("hour", "an"),
        ("ukulele", "a"),
        ("MP3 file", "an"),
        ("unicycle", "a"),
        ("umbrella", "an"),
        ("one-man band", "a"),
        ("UK garage track", "a"),
        ("utensil", "a"),
        ("European siren", "a"),
        ("FM radio", "an"),
        ("usual hum", "a"),
        ("French horn", "a"),
        ("unknown sound", "an"),
    ],
)
def test_articles_follow_the_sound(words: str, expected: str) -> None:
    assert article(words) == expected
