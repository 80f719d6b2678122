"""The words of mixtures: they ask for the targets alone, or are refused with the reason."""

from __future__ import annotations

import csv
import re
from collections import Counter

import numpy as np
import pytest

from pipelines.describe.phrases import load_phrases
from pipelines.mix.conflict import relation, specific
from pipelines.mix.naming import definite, phrase
from pipelines.mix.query import check_query, classes_in
from pipelines.mix.relative import Lying
from pipelines.mix.words import Asked, Spoken, Wordings, asked, spoken_of
from schemas import tables
from schemas.mixing import Conflict, Words
from schemas.ontology import default_ontology

DOG, BARK, GROWL, CAT, SPEECH, MALE, RAIN, WIND, MUSIC = (
    "/m/0bt9lr", "/m/05tny_", "/m/0ghcn6", "/m/01yrx", "/m/09x0r", "/m/05zppz", "/m/06mb1", "/m/03m9d0z", "/m/04rlf",
)  # fmt: skip
PATTERNS = Wordings(("Extract the sound of {what}.", "Keep only {what}."), ("Remove {what}.", "Mute {what}."))
MIDDLE = (0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0)


def row(
    class_ids: list[str], caption: str | None = None, said: tuple[str, ...] = (), heard: tuple[str, ...] = ()
) -> dict:
    """Return a row of ``sources``, as the stage of that name makes it."""
    ontology, phrases = default_ontology(), load_phrases("prompts/grammar.yaml")
    told = specific(ontology, class_ids)
    names = [ontology[class_id].name for class_id in told]
    empty = dict.fromkeys(tables.schema("sources").names)
    texts = dict.fromkeys(("clip_id", "recording_id", "group_id", "dataset", "split", "sha256", "licence", "tar"), "x")
    return empty | texts | {
        "state": "labelled",
        "class_ids": sorted(class_ids),
        "class_names": names,
        "said_class_ids": sorted(said),
        "heard_class_ids": sorted(heard),
        "caption": caption,
        "label": phrase(names),
        "spoken": [definite(class_id, phrases, ontology) for class_id in told],
        "duration_s": 10.0,
        "sample_rate": 8000,
        "offset": 0,
        "size": 1,
    }  # fmt: skip


def spoken(class_ids: list[str], caption: str | None = None, **more: tuple[str, ...]) -> Spoken:
    (found,) = spoken_of(tables.from_rows("sources", [row(class_ids, caption, **more)]), relation(Conflict()))
    return found


def ask(targets: list[Spoken], interferers: list[Spoken], draws=MIDDLE, lying=None, must=False, **words) -> Asked | str:
    settings = Words.model_validate(words)
    return asked(draws, settings, PATTERNS, targets, interferers, lying, must)


def test_a_publishers_caption_is_the_query_and_the_classes_are_the_instructions():
    found = ask([spoken([DOG, BARK], "A dog barks twice.")], [spoken([RAIN], "It rains.")])
    assert found == Asked(
        "A dog barks twice.",
        "caption",
        "It rains.",
        "positive",
        "Extract the sound of the dog barking.",
        "Remove the rain.",
    )


def test_without_a_caption_the_label_is_the_query():
    found = ask([spoken([DOG, RAIN])], [spoken([MALE], "A man speaks.")])
    assert (found.query, found.query_origin, found.negative) == ("rain and dog", "label", "A man speaks.")


def test_a_caption_that_tells_of_other_sounds_than_its_labels_is_no_query():
    assert spoken([RAIN], "A dog barks.").caption is None
    assert spoken([RAIN], "A dog barks.").said == 0
    assert spoken([RAIN], "A dog barks in the rain.").caption == "A dog barks in the rain."
    assert spoken([DOG], "An animal is heard.").caption is not None


def test_a_caption_in_which_no_class_is_found_is_kept():
    kept = spoken([RAIN], "It goes on for quite a while.")
    assert (kept.caption, kept.said) == ("It goes on for quite a while.", 0)
    assert ask([kept], [spoken([DOG])]).query_origin == "caption"


def test_a_caption_that_names_a_class_of_an_interferer_is_not_asked_by():
    dog = spoken([DOG], "A dog barks while a man speaks.")
    assert ask([dog], [spoken([RAIN])]).query_origin == "caption"
    found = ask([dog], [spoken([SPEECH])])
    assert (found.query, found.query_origin) == ("dog", "label")
    heard_too = ask([dog], [spoken([RAIN], heard=(MALE,))])
    assert heard_too.query_origin == "label"


def test_nor_are_an_interferers_words_that_name_a_class_of_the_target_what_is_not_wanted():
    assert ask([spoken([DOG])], [spoken([RAIN], "Rain falls on a barking dog.")]).negative == "rain"


def test_two_targets_are_asked_for_by_labels_for_captions_cannot_be_joined():
    found = ask([spoken([DOG], "A dog."), spoken([RAIN], "Rain.")], [spoken([SPEECH], "Speech."), spoken([MUSIC])])
    assert found == Asked(
        "dog and rain", "label", "speech and music", "positive", "Extract the sound of the dog and the rain.",
        "Remove the person speaking and the music.",
    )  # fmt: skip


def test_a_thing_that_several_interferers_are_called_is_said_once():
    found = ask([spoken([DOG])], [spoken([RAIN]), spoken([RAIN, WIND]), spoken([SPEECH])])
    assert found.negative == "rain, wind and speech"
    assert found.instruction_remove == "Remove the rain, the wind and the person speaking."


def test_keywords_are_one_name_per_source_joined_into_one_phrase():
    sources = [spoken([DOG, BARK, WIND], "A dog."), spoken([MUSIC]), spoken([SPEECH, MALE])]
    found = ask(sources[:2], sources[2:], query="keyword")
    assert (found.query, found.query_origin, found.negative) == ("bark and music", "keyword", "male speech")
    three = ask(sources, [spoken([RAIN])], query="keyword")
    assert three.query == "bark, music and male speech"


@pytest.mark.parametrize("query", ["caption", "label", "keyword"])
def test_no_names_tell_apart_what_conflicts(query):
    dog = spoken([DOG], "A dog.")
    assert ask([dog], [spoken([DOG])], query=query) == "query_names_interferer"
    assert ask([dog], [spoken([RAIN], heard=(BARK,))], query=query) == "query_names_interferer"
    assert ask([dog], [spoken([DOG])], must=True, query=query) == "cannot_tell_apart"


def test_what_conflicts_is_told_apart_by_the_class_that_it_shares():
    near, far = Lying(0.0, 10.0, None, 0.0), Lying(0.0, 10.0, None, -8.0)
    found = ask([spoken([DOG, BARK])], [spoken([DOG, GROWL])], lying=[near, far], must=True)
    assert found == Asked(
        "the louder dog",
        "relative",
        "the quieter dog",
        "positive",
        "Extract the sound of the louder dog.",
        "Remove the quieter dog.",
    )


def test_of_three_sources_only_those_that_conflict_are_compared():
    own, twin, rain = (Lying(0.0, 10.0, None, level) for level in (0.0, -8.0, 30.0))
    found = ask([spoken([DOG])], [spoken([DOG]), spoken([RAIN])], lying=[own, twin, rain], must=True)
    assert (found.query, found.negative) == ("the louder dog", "the quieter dog and rain")
    assert found.instruction_remove == "Remove the quieter dog and the rain."


def test_where_several_sources_conflict_with_the_target_no_words_say_what_is_in_its_way():
    levels = [Lying(0.0, 10.0, None, level) for level in (0.0, -8.0, -16.0)]
    assert ask([spoken([DOG])], [spoken([DOG]), spoken([DOG])], lying=levels, must=True) == "cannot_tell_apart"


def test_of_three_sources_without_a_common_name_the_others_are_removed_by_theirs():
    levels = [Lying(0.0, 10.0, None, level) for level in (0.0, -8.0, -16.0)]
    found = ask([spoken([DOG])], [spoken([RAIN]), spoken([SPEECH])], lying=levels, relative=1.0)
    assert (found.query, found.negative) == ("the loudest one", "rain and speech")
    assert found.instruction_extract == "Extract the loudest one."
    assert found.instruction_remove == "Remove the rain and the person speaking."


def test_what_is_a_sound_itself_is_not_the_sound_of_a_sound():
    home = spoken(["/t/dd00071"])
    assert ask([home], [spoken([RAIN])]).instruction_extract == "Extract the domestic sounds."
    assert ask([spoken([RAIN])], [home]).instruction_extract == "Extract the sound of the rain."


def test_words_of_order_are_drawn_as_often_as_the_recipe_says_where_evidence_tells():
    dog, rain = spoken([DOG]), spoken([RAIN])
    lying = [Lying(2.0, 5.0, 0.5, None), Lying(0.0, 5.0, 0.2, None)]
    found = ask([dog], [rain], relative=0.6, lying=lying)
    assert found == Asked(
        "the second sound",
        "relative",
        "the first sound",
        "positive",
        "Extract the second sound.",
        "Remove the first sound.",
    )
    late = (*MIDDLE[:3], 0.61, *MIDDLE[4:])
    assert ask([dog], [rain], late, relative=0.6, lying=lying).query == "dog"
    unknown = [Lying(2.0, 5.0, None, None), Lying(0.0, 5.0, 0.2, None)]
    assert ask([dog], [rain], relative=1.0, lying=unknown).query == "dog"
    assert ask([dog], [rain], relative=1.0, lying=None).query == "dog"
    assert ask([dog, spoken([MUSIC])], [rain], relative=1.0, lying=[*lying, lying[0]]).query == "dog and music"


def test_prompts_are_drawn_by_their_shares():
    rng = np.random.default_rng(1)
    dog, rain = spoken([DOG]), spoken([RAIN])
    counts = Counter(ask([dog], [rain], draws, prompts=[0.25, 0.25, 0.5]).prompt for draws in rng.random((4000, 8)))
    assert counts["positive"] == pytest.approx(1000, abs=100)
    assert counts["negative"] == pytest.approx(1000, abs=100)
    assert counts["both"] == pytest.approx(2000, abs=120)


def test_every_pattern_is_drawn_and_draws_alone_decide():
    rng = np.random.default_rng(2)
    dog, rain = spoken([DOG]), spoken([RAIN])
    draws = rng.random((200, 8))
    found = [ask([dog], [rain], each) for each in draws]
    assert {each.instruction_extract for each in found} == {"Extract the sound of the dog.", "Keep only the dog."}
    assert {each.instruction_remove for each in found} == {"Remove the rain.", "Mute the rain."}
    assert found == [ask([dog], [rain], each.tolist()) for each in draws]


def test_sets_of_classes_are_those_of_the_ontology():
    ontology = default_ontology()
    found = spoken([DOG, BARK], "A dog barks.", said=(WIND,), heard=(RAIN,))
    assert found.own == ontology.bits([DOG, BARK, WIND, RAIN])
    assert found.related == relation(Conflict()).related([DOG, BARK, WIND, RAIN])
    assert found.said == classes_in("A dog barks.") == ontology.bits([BARK])
    assert (found.names, found.keyword, found.spoken) == (("bark",), "bark", ("the dog barking",))


def test_no_caption_of_audiocaps_is_asked_by_that_names_a_class_of_the_interferer(shared):
    """Pairs drawn at random, of which many conflict; captions say more than labels, so that not all of them may be used."""
    with (shared / "lass/audiosep_eval/class_labels_indices.csv").open(newline="") as lines:
        known = {row["display_name"]: row["mid"] for row in csv.DictReader(lines)}
    name = re.compile("|".join(re.escape(each) for each in sorted(known, key=len, reverse=True)))
    with (shared / "lass/audiosep_eval/audiocaps_eval.csv").open(newline="") as lines:
        clips = [
            ({known[each] for each in name.findall(line["labels"])}, line["caption"]) for line in csv.DictReader(lines)
        ]
    rows = [row(sorted(labels), caption) for labels, caption in clips[::4]]
    found = spoken_of(tables.from_rows("sources", rows), relation(Conflict()))
    rng, origins = np.random.default_rng(5), Counter()
    for first, second in rng.integers(len(rows), size=(3000, 2)):
        target, other = rows[first]["class_ids"], rows[second]["class_ids"]
        told = ask([found[first]], [found[second]], rng.random(8))
        if relation(Conflict()).reason(target, other):
            assert told == "query_names_interferer"
            continue
        origins[told.query_origin] += 1
        if told.query_origin == "caption":
            assert check_query(told.query, target, other) in ("matched", "unknown")
    assert origins["caption"] > 1500
    assert origins["label"] > 300
