"""Tests of names: labels of real datasets find their classes, and captions mention what they say."""

from __future__ import annotations

import csv
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.unify.names import (
    CONFIDENCE,
    NameIndex,
    default_index,
    load_name_index,
    normalise,
    tags_in_text,
)
from schemas.errors import UserError
from schemas.ontology import configs_dir, default_ontology, read_table

LABELS = configs_dir() / "labels"
DATA = Path(__file__).resolve().parents[4] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the publishers' files are not here")


@pytest.fixture(scope="module")
def index() -> NameIndex:
    return default_index()


def mentioned(text: str) -> list[str]:
    return [default_ontology()[mention.class_id].name for mention in tags_in_text(text)]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Chirp_and_tweet", "Chirp, tweet"),
        ("Accelerating_and_revving_and_vroom", "Accelerating, revving, vroom"),
        ("Bathtub_(filling_or_washing)", "bathtub filling or washing"),
        ("Dishes_and_pots_and_pans", "Dishes, pots, and pans"),
        ("hi-hats", "Hi hat"),
        ("Church_bells", "church bell"),
        ("dentist's drill", "Dentist drill"),
    ],
)
def test_spellings_of_one_name_normalise_alike(a: str, b: str) -> None:
    assert normalise(a) == normalise(b)


@pytest.mark.parametrize("name", ["glass", "bus", "bass", "blues", "tennis", "hiss", "humming", "gas"])
def test_a_word_that_is_no_plural_stays(name: str) -> None:
    assert normalise(name) == name


def test_no_two_usable_classes_share_a_normalised_name() -> None:
    names = [normalise(node.name) for node in default_ontology().classes if not node.abstract]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "dataset", "class_name", "origin"),
    [
        ("/m/0bt9lr", None, "Dog", "mid"),
        ("chirping_birds", "esc50", "Chirp, tweet", "curated"),
        ("dog", "nowhere", "Dog", "name"),
        ("Dogs", None, "Dog", "name"),
        ("bleep", None, "Beep, bleep", "part"),
        ("dogs barking", None, "Bark", "alias"),
        ("dog_bark", None, "Bark", "alias"),
        ("Humming", None, "Humming", "name"),
        ("pink noise", "audioset_strong", "Pink noise", "name"),
        ("White noise, pink noise", "audioset_strong", "White noise", "curated"),
    ],
)
def test_a_name_finds_its_class_and_says_how(
    index: NameIndex, name: str, dataset: str | None, class_name: str, origin: str
) -> None:
    match = index.lookup(name, dataset)
    assert match is not None
    assert (default_ontology()[match.class_id].name, match.origin) == (class_name, origin)
    assert match.confidence == CONFIDENCE[match.origin]


@pytest.mark.parametrize("name", ["", "and", "inside", "outside", "running", "qwerty", "/m/nothing", "chirping_birds"])
def test_what_no_rule_knows_matches_nothing(index: NameIndex, name: str) -> None:
    assert index.lookup(name, None) is None


def test_confidence_is_a_probability_that_falls_from_rule_to_rule() -> None:
    values = list(CONFIDENCE.values())
    assert values == sorted(values, reverse=True)
    assert all(0 < value <= 1 for value in values)


def test_every_class_of_every_table_exists_and_every_choice_has_a_reason() -> None:
    tables = [read_table(path) for path in sorted(LABELS.glob("*.csv"))]
    chosen = [row for table in tables for row in table if row.keys() == {"name", "class_ids", "why"}]
    assert len(chosen) == 426
    for row in chosen:
        default_ontology().bits(row["class_ids"].split())
        assert row["class_ids"]
        assert row["why"]
    default_ontology().bits(row["class_id"] for row in read_table(LABELS / "aliases.csv"))


def test_a_label_for_two_devices_gives_both(index: NameIndex) -> None:
    match = index.lookup("Electric_shaver_toothbrush", "desed")
    assert match is not None
    names = [default_ontology()[class_id].name for class_id in (match.class_id, *match.also)]
    assert names == ["Electric shaver, electric razor", "Electric toothbrush"]


@needs_data
@pytest.mark.parametrize(
    ("file", "column", "dataset", "count"),
    [
        ("esc50/meta/esc50.csv", "category", "esc50", 50),
        ("urbansound8k/metadata/UrbanSound8K.csv", "class", "urbansound8k", 10),
        ("audioset/desed/validation.tsv", "event_label", "desed", 10),
        ("lass/audiosep_eval/vggsound_eval.csv", "s0_text", "vggsound", 85),
        ("lass/audiosep_eval/music_eval.csv", "caption", "music", 10),
    ],
)
def test_every_label_of_the_dataset_maps(index: NameIndex, file: str, column: str, dataset: str, count: int) -> None:
    with (DATA / file).open(newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t" if file.endswith("tsv") else ",")
        labels = {row[column] for row in rows if row[column]}
    assert len(labels) == count
    assert [label for label in labels if index.lookup(label, dataset) is None] == []


@needs_data
def test_every_one_of_vggsounds_309_labels_is_in_its_table_and_the_table_has_no_other(index: NameIndex) -> None:
    with (DATA / "vggsound/stat.csv").open(newline="") as lines:
        published = {row[0] for row in csv.reader(lines)}
    assert len(published) == 309
    assert index.curated["vggsound"].keys() == {normalise(name) for name in published}


@pytest.mark.parametrize("dataset", ["vggsound", "music"])
def test_a_curated_class_is_one_that_clips_can_conflict_in(index: NameIndex, dataset: str) -> None:
    for class_ids in index.curated[dataset].values():
        assert not any(default_ontology()[class_id].abstract for class_id in class_ids)


def test_where_a_rule_finds_the_class_of_a_curated_label_too_the_two_are_related(index: NameIndex) -> None:
    apart = []
    for row in read_table(LABELS / "vggsound.csv"):
        found = index.lookup(row["name"])
        classes = row["class_ids"].split()
        if found is not None and not any(default_ontology().conflict(found.class_id, each) for each in classes):
            apart.append(row["name"])
    assert apart == []


@needs_data
def test_fsd50k_names_find_the_mids_that_fsd50k_gives(index: NameIndex) -> None:
    with (DATA / "fsd50k/FSD50K.ground_truth/vocabulary.csv").open(newline="") as lines:
        vocabulary = [(name, mid) for _, name, mid in csv.reader(lines)]
    assert len(vocabulary) == 200
    found = {name: index.lookup(name, "fsd50k") for name, _ in vocabulary}
    assert [name for name, mid in vocabulary if (m := found[name]) is None or m.class_id != mid] == []


@needs_data
def test_names_of_the_strong_labels_find_their_mids(index: NameIndex) -> None:
    for line in (DATA / "audioset/mid_to_display_name.tsv").read_text().splitlines():
        mid, name = line.split("\t")
        match = index.lookup(name, "audioset_strong")
        assert match is not None, name
        assert match.class_id == mid, name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Two dogs are barking while a clock is ticking", ["Bark", "Clock"]),
        ("A man is speaking, then women laugh", ["Male speech, man speaking", "Laughter"]),
        ("A police car siren passes", ["Police car (siren)"]),
        ("a man’s voice over church bells", ["Male speech, man speaking", "Church bell"]),
        ("THE DUCKS QUACK", ["Duck", "Quack"]),
        ("a scarf, a cartoon and raindrops", ["Raindrop"]),
        ("someone lifts a fire extinguisher at the train station", []),
        ("an engine running beside running water", ["Engine", "Water"]),
        ("", []),
    ],
)
def test_a_caption_mentions_what_it_says(text: str, names: list[str]) -> None:
    assert mentioned(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("No speech, music or traffic, only birds chirping", ["Chirp, tweet"]),
        ("Rain without any background music", ["Rain"]),
        ("no speech and a dog barks", ["Bark"]),
        ("without speech and music", []),
        ("There isn't any dog barking but a cat meows", ["Cat", "Meow"]),
        ("neither a dog nor a cat", []),
        ("not only a dog but also a cat", ["Dog", "Cat"]),
        ("Dogs barking. No wind, no rain.", ["Bark"]),
        ("no wind, birds chirping", ["Chirp, tweet"]),
    ],
)
def test_what_a_caption_denies_is_not_mentioned(text: str, names: list[str]) -> None:
    assert mentioned(text) == names


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("siren", "Siren"),
        ("police siren", "Police car (siren)"),
        ("air raid siren", "Civil defense siren"),
        ("dial tone", "Dial tone"),
        ("busy signal", "Busy signal"),
        ("dialing a phone", "Telephone dialing, DTMF"),
        ("a telephone rings", "Telephone bell ringing"),
        ("sine wave", "Sine wave"),
        ("a sine sweep", "Chirp tone"),
        ("white noise", "White noise"),
        ("pink noise", "Pink noise"),
        ("static", "Static"),
        ("mains hum", "Mains hum"),
        ("buzzing", "Buzz"),
        ("humming", "Hum"),
        ("a bell tolls", "Bell"),
        ("church bells ringing", "Church bell"),
        ("chiming", "Chime"),
        ("wind chimes", "Wind chime"),
        ("the doorbell rings", "Doorbell"),
        ("ding-dong", "Ding-dong"),
        ("tick-tock", "Tick-tock"),
        ("ticks", "Tick"),
        ("beeps", "Beep, bleep"),
        ("reversing beeps", "Reversing beeps"),
        ("sonar pings", "Sonar"),
        ("foghorn", "Foghorn"),
        ("an engine idles", "Idling"),
        ("a motor", "Engine"),
        ("a plucked string", "Plucked string instrument"),
        ("tuning fork", "Tuning fork"),
        ("kick drum", "Bass drum"),
        ("snare drums", "Snare drum"),
        ("hi-hats", "Hi-hat"),
        ("pipe organ", "Organ"),
        ("a heart beats", "Heart sounds, heartbeat"),
        ("crickets chirping", "Cricket"),
        ("rain falls", "Rain"),
        ("wind blows", "Wind"),
        ("ocean waves", "Waves, surf"),
        ("the audience applauds", "Applause"),
        ("knocking on a door", "Knock"),
        ("water dripping", "Drip"),
        ("pulsing", "Pulse"),
        ("alarm clock", "Alarm clock"),
        ("smoke alarm", "Smoke detector, smoke alarm"),
        ("silence", "Silence"),
        ("man speaking", "Male speech, man speaking"),
    ],
)
def test_everyday_words_for_common_sounds_are_known(phrase: str, name: str) -> None:
    assert mentioned(phrase) == [name]


def test_a_word_that_no_phrase_holds_is_asked_of_whoever_knows_near_words_and_a_denial_reaches_it() -> None:
    index, asked = default_index(), []

    def near(word: str) -> str | None:
        asked.append(word)
        return {"mutt": "/m/0bt9lr"}.get(word)

    found = index.tags_in_text("No mutt, but a cat and a Mutt growl in 1999.", near)
    assert [(m.phrase, m.nearly) for m in found] == [("cat", False), ("Mutt", True), ("growl", False)]
    assert "cat" not in asked
    assert not any(word[0].isdigit() for word in asked)
    assert [m.phrase for m in index.tags_in_text("a mutt")] == []


def test_a_honk_alone_is_neither_a_goose_nor_a_car() -> None:
    assert mentioned("honk") == mentioned("two honks") == []
    assert mentioned("a goose honks") == ["Honk"]
    assert mentioned("a car honks") == mentioned("honking") == ["Vehicle horn, car horn, honking"]
    assert mentioned("a truck honked") == ["Air horn, truck horn"]


def test_mentions_point_into_the_text_in_order_and_never_overlap() -> None:
    text = "İstanbul: dogs bark, a man’s voice; a church bell rings — and Wind-chimes are CHIMING."
    mentions = tags_in_text(text)
    assert len(mentions) >= 4
    assert all(text[m.start : m.end] == m.phrase for m in mentions)
    assert all(a.end <= b.start for a, b in pairwise(mentions))


def test_one_phrase_with_two_meanings_is_refused(tmp_path: Path) -> None:
    labels = shutil.copytree(LABELS, tmp_path / "labels")
    with (labels / "aliases.csv").open("a") as file:
        file.write("woofed,fixed,/m/01yrx\n")
    with pytest.raises(UserError, match="'woofed' is given two meanings"):
        load_name_index(default_ontology(), labels)


def test_a_table_that_names_an_unknown_class_is_refused(tmp_path: Path) -> None:
    labels = shutil.copytree(LABELS, tmp_path / "labels")
    (labels / "mine.csv").write_text("name,class_ids,why\nzap,/m/nothing,because\n")
    with pytest.raises(KeyError, match="/m/nothing"):
        load_name_index(default_ontology(), labels)


@needs_data
def test_mentions_in_audiocaps_captions_agree_with_audioset_labels() -> None:
    ontology = default_ontology()
    with (DATA / "audioset/class_labels_indices.csv").open(newline="") as lines:
        labels = {row["display_name"]: row["mid"] for row in csv.DictReader(lines)}
    label = re.compile("|".join(re.escape(name) for name in sorted(labels, key=len, reverse=True)))
    with (DATA / "lass/audiosep_eval/audiocaps_eval.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))

    found = [tags_in_text(row["caption"]) for row in rows]

    mentions = right = present = recalled = 0
    for row, tags in zip(rows, found, strict=True):
        truth = [labels[name] for name in label.findall(row["labels"])]
        said = ontology.bits(tag.class_id for tag in tags)
        mentions += len(tags)
        right += sum(bool(ontology.related_mask(tag.class_id) & ontology.bits(truth)) for tag in tags)
        present += len(truth)
        recalled += sum(bool(ontology.related_mask(class_id) & said) for class_id in truth)
    assert right / mentions > 0.51
    assert recalled / present > 0.70
