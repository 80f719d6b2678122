"""Agreement: claims are found in a caption and held against evidence that is not the caption itself."""

from __future__ import annotations

import pytest

from pipelines.describe.grounds import Facts, Ground
from pipelines.refine.agreement import Agreement, agreement
from pipelines.refine.claims import orders, sources
from pipelines.refine.qualities import judge
from pipelines.unify.names import default_index
from schemas.ontology import default_ontology

INDEX = default_index()
CLASSES = sorted(default_ontology().classes, key=lambda node: not node.abstract)
IDS = {node.name: node.class_id for node in CLASSES}


def tags(*names: str) -> list[Ground]:
    return [Ground(f"c:publisher:{n}", "tag", IDS[name], None, None, None) for n, name in enumerate(names)]


def events(*timed: tuple[str, float, float]) -> list[Ground]:
    return [Ground(f"c:publisher:{n}", "event", IDS[name], a, b, None) for n, (name, a, b) in enumerate(timed)]


def caption(number: int, text: str) -> list[Ground]:
    mentions = INDEX.tags_in_text(text)
    return [Ground(f"c:publisher:{number}", "caption", m.class_id, None, None, text) for m in mentions]


def measured(**values: float) -> Facts:
    return Facts(values, {name: (f"c:facts:{name}",) for name in values})


def judged(text: str, grounds: list[Ground], facts: Facts | None = None, own: tuple[str, ...] = ()) -> Agreement:
    return agreement(text, grounds, facts or Facts(), INDEX, own)


def test_known_classes_are_supported_and_an_invented_source_is_named() -> None:
    found = judged("A dog barks while rain falls and a violin plays.", tags("Bark", "Rain"))
    assert found.unsupported == ["violin"]
    assert [claim.text for claim in found.claims if claim.supported] == ["dog", "rain", "dog barks"]
    assert found.supported == 2  # a dog that barks counts once
    assert found.score == pytest.approx(2 / 3)
    assert found.evidence_ids == ["c:publisher:0", "c:publisher:1"]
    assert [claim.claim.kind for claim in found.claims if claim.supported is None] == ["action", "action", "order"]


def test_a_descendant_and_a_concrete_ancestor_support_a_class_and_a_sibling_does_not() -> None:
    assert judged("An animal is heard.", tags("Bark")).score == 1.0
    assert judged("A dog barks.", tags("Animal")).score == 1.0
    assert judged("A cat meows.", tags("Bark")).score == 0.0
    assert judged("Music plays.", tags("Techno")).score == 1.0  # kind of, across the heading "Music genre"
    assert judged("A hum.", tags("Clang")).score == 0.0  # the heading "Onomatopoeia" joins nothing


def test_what_nothing_can_check_is_unknown_and_not_zero() -> None:
    found = judged("A dog barks.", [])
    assert found.score is None
    assert found.unsupported == []
    assert len(found.counted) == 1
    assert judged("It is a lovely day.", tags("Rain")).score is None


@pytest.mark.parametrize(("kind", "listener"), [("keyword", "publisher"), ("tag", "signal"), ("event", "signal")])
def test_only_the_publishers_labels_make_a_class_unsupported(kind: str, listener: str) -> None:
    found = judged("A dog barks and a violin plays.", [Ground(f"c:{listener}:0", kind, IDS["Bark"], None, None, None)])
    assert {claim.text: claim.supported for claim in found.claims} == {
        "dog": True, "dog barks": True, "violin": None, "violin plays": None,
    }  # fmt: skip
    assert found.score == 1.0
    assert judged("A violin plays.", tags("Bark")).score == 0.0


def test_a_sound_of_its_source_is_one_sound() -> None:
    for text in ("The reversing beeps of a truck sound.", "The car horn of a car blares."):
        assert len(sources(text, INDEX)) == 1
    assert len(sources("A dog barks at a truck.", INDEX)) == 2


def test_a_caption_does_not_support_itself_but_another_one_may() -> None:
    one, other = "A dog barks at a cat.", "The dog barks loudly."
    alone = caption(0, one)
    assert judged(one, alone, own=("c:publisher:0",)).score is None
    assert judged(one, alone + caption(1, "a dog barks at a CAT"), own=("c:publisher:0",)).score is None
    found = judged(one, alone + caption(1, other), own=("c:publisher:0",))
    assert found.score == 1.0
    assert {claim.text: claim.supported for claim in found.counted} == {
        "cat": None,
        "dog barks": True,
    }  # that nobody else tells of a cat proves nothing
    assert found.evidence_ids == ["c:publisher:1"]


@pytest.mark.parametrize(
    "text",
    [
        "A siren wails, then a dog barks.",
        "A siren wails, followed by a dog barking.",
        "A siren wails before a dog barks.",
        "A dog barks after a siren wails.",
        "After a siren wails, a dog barks.",
        "Before a dog barks, a siren wails.",
        "A siren wails. Then a dog barks.",
        "A siren wails and finally a dog barks.",
    ],
)
def test_order_is_read_in_many_words_and_contradicted_when_it_is_reversed(text: str) -> None:
    right, wrong = events(("Siren", 0, 3), ("Bark", 4, 5)), events(("Siren", 4, 6), ("Bark", 0, 1))
    assert judged(text, right).score == 1.0
    found = judged(text, wrong)
    assert found.score == pytest.approx(2 / 3)
    assert len(found.unsupported) == 1
    assert judged(text, tags("Siren", "Bark")).score == 1.0  # without times the order is unknown


@pytest.mark.parametrize(
    "text",
    [
        "A siren wails while a dog barks.",
        "A siren wails as a dog barks.",
        "As a siren wails, a dog barks.",
        "While the dog barks, a siren wails.",
        "A siren and a dog sound simultaneously.",
        "A siren wails and a dog barks at the same time.",
        "A siren wails along with a dog barking.",
        "Along with a siren wailing, a dog barks.",
    ],
)
def test_simultaneity_needs_a_shared_moment(text: str) -> None:
    assert judged(text, events(("Siren", 0, 3), ("Bark", 1, 2))).score == 1.0
    assert judged(text, events(("Siren", 0, 3), ("Bark", 4, 5))).score == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "text",
    [
        "A siren wails and a dog barks.",
        "A siren is as loud as a dog.",
        "A siren as well as a dog.",
        "A siren next to a dog.",
        "A siren wails. While nobody listens a dog barks.",
        "Loud sources such as a siren and a dog.",
    ],
)
def test_other_uses_of_the_same_words_claim_no_order(text: str) -> None:
    assert orders(text, sources(text, INDEX)) == []


def test_how_a_source_sounds_is_part_of_the_source() -> None:
    def phrases(text: str) -> list[str]:
        return [mention.phrase for mention in sources(text, INDEX)]

    assert phrases("A printer whirs.") == ["printer whirs"]
    assert phrases("The rumble of thunder.") == ["rumble of thunder"]
    assert phrases("A humming refrigerator.") == ["humming refrigerator"]
    assert phrases("A cat meows.") == ["cat meows"]
    assert phrases("A printer, a clang, and a hum.") == ["printer", "clang", "hum"]
    assert judged("A printer whirs.", tags("Printer")).score == 1.0
    assert judged("A printer whirs.", tags("Whir")).score == 0.0


def test_a_sound_that_is_denied_is_not_claimed() -> None:
    assert judged("A dog barks without any music.", tags("Bark")).score == 1.0


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        ("A loud siren.", {"lufs": -12.0}, True),
        ("A loud siren.", {"lufs": -50.0}, False),
        ("A loud siren.", {"lufs": -30.0}, None),
        ("A loud siren.", {}, None),
        ("A faint siren.", {"lufs": -45.0}, True),
        ("A siren wails softly.", {"lufs": -10.0}, False),
        ("A high-pitched siren.", {"pitch_hz": 1200.0, "pitched_share": 0.9}, True),
        ("A high-pitched siren.", {"pitch_hz": 100.0, "pitched_share": 0.9}, False),
        ("A high-pitched siren.", {"pitch_hz": 100.0, "pitched_share": 0.1}, None),
        ("A siren sounds briefly.", {"active_s": 1.0, "active_count": 1.0}, True),
        ("A siren sounds briefly.", {"active_s": 9.0, "active_count": 1.0}, False),
        ("A continuous siren.", {"active_share": 1.0}, True),
        ("A continuous siren.", {"active_share": 0.1}, False),
        ("A siren sounds repeatedly.", {"onset_count": 5.0}, True),
        ("A siren sounds repeatedly.", {"onset_count": 0.0}, False),
        ("A siren wails for about nine seconds.", {"active_s": 9.4}, True),
        ("A siren wails for about 3 seconds.", {"active_s": 9.4}, False),
    ],
)
def test_adjectives_are_held_against_facts(text: str, facts: dict[str, float], expected: bool | None) -> None:
    (found,) = judge(text, {"duration_s": 10.0, **facts}, sounds=1)
    assert found.supported is expected


def test_a_fact_of_the_clip_does_not_check_a_word_about_one_of_several_sounds() -> None:
    facts = {"duration_s": 10.0, "lufs": -10.0, "active_s": 9.0, "active_count": 1.0}
    assert [found.supported for found in judge("A faint bird and a short siren.", facts, sounds=2)] == [
        None,
        None,
    ]
    assert [found.supported for found in judge("A bird and a siren in a quiet recording.", facts, 2)] == [False]
    assert [found.supported for found in judge("A bird and a loud siren.", facts, sounds=2)] == [True]
    assert judge("The siren is not loud.", facts, sounds=1) == []


def test_silence_is_what_was_measured_as_silent() -> None:
    text = "A dog barks, followed by silence."
    assert judged(text, tags("Bark"), measured(silent_s=4.0, duration_s=9.0)).score == 1.0
    found = judged(text, tags("Bark"), measured(silent_s=0.0, duration_s=9.0))
    assert found.unsupported == ["silence"]
    assert found.score == 0.5
