"""Plans over generated catalogues: what is promised of every mixture, whatever the set's rules, and nothing is forced."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from mix_world import IDS, ONTOLOGY, RATE, TEMPLATES, clashes, context, patterns, plan, planned, source, table_of, world
from scipy.stats import kstest

from pipelines.mix.block import Dealer
from pipelines.mix.catalogue import catalogue, pool_of
from pipelines.mix.conflict import relation
from pipelines.mix.patterns import wordings
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.rows import plan_range
from schemas import tables
from schemas.errors import UserError
from schemas.ids import digest, seed_for
from schemas.mixing import Conflict, MixtureSet


def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["clip_id"]: row for row in rows}


def sound(row: dict[str, Any]) -> list[str]:
    """Return the clips of a mixture without its background."""
    return [each["clip_id"] for each in row["sources"] if each["role"] != "background"]


def test_no_mixture_shares_a_class_a_group_or_a_split():
    rows = world(300)
    clips, made = by_id(rows), plan(rows, per_clip=3, sources=(2, 4), targets=(1, 1))
    assert len(made) == 900
    assert Counter(row["target_clip_id"] for row in made) == Counter(dict.fromkeys(clips, 3))
    assert {len(row["sources"]) for row in made} == {2, 3, 4}
    for row in made:
        assert row["refused"] is None
        assert sound(row) == [row["target_clip_id"], *row["interferer_clip_ids"]]
        assert {clips[each]["split"] for each in sound(row)} == {row["split"]}
        for a, b in itertools.combinations(sound(row), 2):
            assert not clashes(clips[a], clips[b])
            assert clips[a]["group_id"] != clips[b]["group_id"]


def test_what_is_said_or_heard_in_a_clip_counts_as_present():
    rows = [
        source("a", ["Dog"]),
        source("b", ["Rain"], said_class_ids=[IDS["Bark"]]),
        source("c", ["Wind"], heard_class_ids=[IDS["Dog"]]),
    ]
    made = {row["target_clip_id"]: row["refused"] for row in plan(rows)}
    assert made == {"a": "no_disjoint_partner", "b": "no_disjoint_partner", "c": "no_disjoint_partner"}
    assert {row["refused"] for row in plan([*rows, source("d", ["Speech"])])} == {None}


def test_the_plan_is_a_function_of_the_seed_and_of_the_catalogue_alone():
    rows = world(60)
    first = plan(rows)
    assert plan(rows[::-1]) == first
    assert plan(rows, seed=4) != first
    assert len({row["mixture_id"] for row in first}) == 60
    of_train = [row for row in first if row["split"] == "train"]
    seed = seed_for(3, "plan", "mix/train")
    assert [row["number"] for row in of_train] == list(range(20))
    assert of_train[5]["mixture_id"] == f"mix-{digest('mixture', str(seed), '5').hex()[:16]}"


@pytest.mark.parametrize(
    "rules",
    [
        {"per_clip": 130},
        {"count": 20_000, "sources": (2, 4), "balance": ["class"], "most_per_clip": 1000},
        {
            "per_clip": 100,
            "shares": {"plausible": 0.5, "same_class": 0.3, "zero_target": 0.2},
            "words": {"relative": 0.5},
        },
    ],
)
def test_any_cuts_give_the_same_bytes(rules: dict[str, Any]):
    table, chosen = table_of(world(150, split="train")), MixtureSet(**rules)
    said = wordings(patterns(), TEMPLATES)

    def made(cuts: list[int]) -> bytes:
        pieces = []
        for first, last in itertools.pairwise(cuts):
            pool = pool_of(catalogue(table, relation(Conflict())), chosen, "train", 3)
            pieces.append(plan_range(Dealer(pool, 10 * RATE), said, RATE, first, last))
        whole = pa.concat_tables(pieces).combine_chunks()
        assert whole.num_rows == cuts[-1]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, whole.schema) as stream:
            stream.write_table(whole)
        return hashlib.sha256(sink.getvalue()).digest()

    total = chosen.count or 150 * chosen.per_clip
    assert made([0, total]) == made([total * each // 8 for each in range(9)]) == made([0, 1, 2, 8191, 8193, total])


def test_a_child_class_conflicts_with_its_parent_and_such_a_pair_is_refused():
    made = plan([source("a", ["Speech"]), source("b", ["Male speech, man speaking"])])
    assert [row["refused"] for row in made] == ["no_disjoint_partner"] * 2
    assert all(row["sources"] == row["target_clip_ids"] == row["interferer_clip_ids"] == [] for row in made)
    assert {row["query"] for row in made} == {""}
    assert {row["snr_db"] for row in made} == {None}


def test_siblings_conflict_where_a_recipe_says_so():
    rows = [source("a", ["Violin, fiddle"]), source("b", ["Cello"])]
    assert ONTOLOGY.conflict(IDS["Violin, fiddle"], IDS["Cello"]) is None
    assert {row["refused"] for row in plan(rows)} == {None}
    assert {row["refused"] for row in plan(rows, conflict={"siblings": True})} == {"no_disjoint_partner"}


def test_inferred_classes_are_mixed_only_where_a_set_says_so():
    rows = [source("a", ["Dog"]), source("b", ["Rain"], state="inferred")]
    result = planned(rows, MixtureSet())
    assert result.drops == [("b", "not_drawn")]
    assert [row["refused"] for row in result.rows] == ["no_disjoint_partner"]
    assert {row["refused"] for row in plan(rows, inferred=True)} == {None}


def test_sets_are_made_of_their_datasets_splits_and_words():
    rows = world(90)
    for number, row in enumerate(rows):
        row["dataset"] = "ab"[number // 3 % 2]
        row["caption"] = "A sound." if number % 2 else None
    clips = by_id(rows)
    sets = (
        MixtureSet(name="only_a", datasets=["a"], splits=["test"]),
        MixtureSet(name="captions", words_of="caption"),
        MixtureSet(name="labels", words_of="label", splits=["train", "val"]),
    )
    result = planned(rows, *sets)
    for row in result.rows:
        used = [clips[each] for each in sound(row)]
        if row["set"] == "only_a":
            assert {each["dataset"] for each in used} == {"a"}
            assert row["split"] == "test"
        else:
            assert {each["caption"] is None for each in used} == {row["set"] == "labels"}
    targets = {row["target_clip_id"] for row in result.rows}
    assert {key for key, reason in result.drops if reason == "not_drawn"} == clips.keys() - targets
    assert Counter(row["set"] for row in result.rows)["only_a"] == 15
    assert len({row["mixture_id"] for row in result.rows}) == len(result.rows)


def test_a_count_is_spread_over_classes_datasets_and_durations():
    rows = (
        [source(f"s{n}", ["Speech"]) for n in range(60)]
        + [source(f"r{n}", ["Rain"]) for n in range(30)]
        + [source(f"d{n}", ["Dog"]) for n in range(10)]
    )
    made = plan(rows, count=300, balance=["class"])
    assert Counter(row["target_clip_id"][0] for row in made) == {"s": 100, "r": 100, "d": 100}
    rows = world(100, split="train")
    for number, row in enumerate(rows):
        row["dataset"] = "big" if number < 80 else "small"
        row["duration_s"] = 1.0 + number % 80
    made = plan(rows, count=500, balance=["dataset"])
    assert Counter(by_id(rows)[row["target_clip_id"]]["dataset"] for row in made) == {"big": 250, "small": 250}
    made = plan(rows, count=500, quotas={"big": 0.9, "small": 0.1})
    assert Counter(by_id(rows)[row["target_clip_id"]]["dataset"] for row in made) == {"big": 450, "small": 50}
    made = plan(rows, count=500, balance=["duration"], most_per_clip=100)
    uses = Counter(row["target_clip_id"] for row in made)
    assert len(made) == sum(uses.values()) == 500
    short = sum(uses[row["clip_id"]] for row in sorted(rows, key=lambda row: row["duration_s"])[:50])
    assert 200 <= short <= 300


def test_what_the_rules_leave_no_turns_for_is_told_and_not_forced():
    rows = [source("a", ["Dog"]), source("b", ["Rain"])]
    made = plan(rows, count=10, most_per_clip=3)
    assert Counter(row["refused"] for row in made) == {None: 6, "used_up": 4}
    assert Counter(row["target_clip_id"] for row in made if not row["refused"]) == {"a": 3, "b": 3}


def test_policies_have_their_shares_exactly():
    rows = world(400, split="train", most=1)
    made = plan(rows, count=1000, shares={"disjoint": 0.55, "zero_target": 0.25, "plausible": 0.2})
    assert Counter(row["policy"] for row in made) == {"disjoint": 550, "zero_target": 250, "plausible": 200}


def test_with_zero_target_the_words_are_of_a_clip_that_is_not_there():
    rows = world(120, split="train")
    clips = by_id(rows)
    for row in plan(rows, per_clip=4, policy="zero_target", sources=(2, 3)):
        assert row["target_clip_ids"] == []
        assert {each["role"] for each in row["sources"]} == {"interferer"}
        assert row["target_clip_id"] not in sound(row)
        assert row["query"] == clips[row["target_clip_id"]]["label"]
        assert len(row["sources"]) in (2, 3)
        for a, b in itertools.combinations([row["target_clip_id"], *sound(row)], 2):
            assert not clashes(clips[a], clips[b])


def test_plausible_partners_have_classes_that_occur_together():
    rows = [
        source("both", ["Dog", "Rain"]), source("dog1", ["Bark"]), source("dog2", ["Dog"]), source("rain1", ["Rain"]),
        source("rain2", ["Rain"]), source("guitar", ["Guitar"]), source("all", ["Dog", "Speech"]), source("speech", ["Speech"]),
    ]  # fmt: skip
    made = {row["target_clip_id"]: row for row in plan(rows, per_clip=20, policy="plausible")}
    partners: dict[str, set[str]] = {each: set() for each in by_id(rows)}
    for row in plan(rows, per_clip=20, policy="plausible"):
        partners[row["target_clip_id"]] |= set(row["interferer_clip_ids"])
    assert partners["dog2"] == {"rain1", "rain2", "speech"}
    assert partners["rain1"] == {"dog2"}
    # A bark has not been labelled beside rain, though a dog has.
    assert partners["dog1"] == set()
    assert made["dog1"]["refused"] == made["guitar"]["refused"] == "no_plausible_partner"


def test_sources_of_the_same_class_are_told_apart_by_level_or_not_mixed():
    rows = (
        [source(f"dog{n}", ["Dog"]) for n in range(40)]
        + [source(f"bark{n}", ["Bark", "Dog"]) for n in range(20)]
        + [source("rain", ["Rain"])]
    )
    clips, made = by_id(rows), plan(rows, per_clip=20, policy="same_class")
    served = [row for row in made if row["refused"] is None]
    reasons = Counter(row["refused"] for row in made)
    assert reasons.keys() == {None, "cannot_tell_apart", "no_same_class_partner"}
    assert {row["target_clip_id"] for row in made if row["refused"] == "no_same_class_partner"} == {"rain"}
    # Where the ratio is uniform in [-15, 15], six decibels or more lie between the two in 60% of the mixtures.
    assert abs(reasons[None] / (reasons[None] + reasons["cannot_tell_apart"]) - 0.6) < 0.05
    for row in served:
        target, other = (clips[each] for each in sound(row))
        assert set(target["class_ids"]) & set(other["class_ids"])
        assert target["group_id"] != other["group_id"]
        assert abs(row["snr_db"]) >= 6
        assert row["query_origin"] == "relative"
        assert row["query"].startswith("the louder " if row["snr_db"] > 0 else "the quieter ")


def test_the_second_sound_is_asked_for_where_timed_events_tell_which_it_is():
    rows = [source("early", ["Dog"], onset_s=0.5), source("late", ["Rain"], onset_s=6.0), source("untimed", ["Speech"])]
    made = plan(rows, per_clip=60, words={"relative": 1.0}, level={"range": [0, 0]})
    for row in made:
        names = [row["target_clip_id"], *row["interferer_clip_ids"]]
        if "untimed" in names:
            assert row["query_origin"] == "label"
        else:
            assert row["query"] == ("the first sound" if names[0] == "early" else "the second sound")


def test_an_onset_moves_with_the_crop_and_with_the_place():
    rows = [source(f"early{n}", ["Dog"], onset_s=0.5, duration_s=9.0) for n in range(20)]
    rows += [source(f"late{n}", ["Rain"], onset_s=6.0, duration_s=19.0) for n in range(20)]
    rows_of = by_id(rows)
    said = Counter()
    for row in plan(rows, per_clip=20, words={"relative": 1.0}, level={"range": [0, 0]}):
        begins = [
            each["at"] / RATE + rows_of[each["clip_id"]]["onset_s"] - each["start"] / RATE for each in row["sources"]
        ]
        heard = all(each["start"] / RATE <= rows_of[each["clip_id"]]["onset_s"] for each in row["sources"])
        if heard and abs(begins[0] - begins[1]) >= 1:
            assert row["query"] == ("the first sound" if begins[0] < begins[1] else "the second sound")
        else:
            assert row["query_origin"] == "label"
        said[row["query"]] += 1
    assert min(said["the first sound"], said["the second sound"]) > 20


def test_several_targets_are_asked_for_together():
    rows = world(150, split="train", most=1)
    clips = by_id(rows)
    made = plan(rows, per_clip=3, sources=(3, 5), targets=(1, 2))
    assert {len(row["target_clip_ids"]) for row in made} == {1, 2}
    for row in made:
        roles = [each["role"] for each in row["sources"]]
        assert roles == ["target"] * len(row["target_clip_ids"]) + ["interferer"] * len(row["interferer_clip_ids"])
        assert [each["clip_id"] for each in row["sources"]] == row["target_clip_ids"] + row["interferer_clip_ids"]
        assert row["target_clip_ids"][0] == row["target_clip_id"]
        for clip in row["target_clip_ids"]:
            assert clips[clip]["label"] in row["query"]


def test_a_background_lies_under_every_mixture_and_is_nothing_else():
    rows = [source("gale", ["Wind"]), *world(60, split="train", most=1)]
    beds = [source(f"bed{n}", ["Wind"], dataset="beds", duration_s=4.0) for n in range(5)]
    clips = by_id(rows + beds)
    result = planned(rows + beds, MixtureSet(per_clip=4, background={"dataset": "beds"}))
    assert sorted(result.drops) == [(f"bed{n}", "not_drawn") for n in range(5)]
    uses = Counter()
    for row in result.rows:
        if clashes(clips[row["target_clip_id"]], beds[0]):
            assert row["refused"] == "no_background"
            continue
        assert row["refused"] is None
        assert "gale" not in row["interferer_clip_ids"]
        *others, bed = row["sources"]
        assert bed["role"] == "background"
        assert (bed["at"], bed["length"]) == (0, row["length"])
        assert -30 <= bed["level_db"] <= -20
        assert all(
            each["role"] != "background" and each["clip_id"] in clips and "bed" not in each["clip_id"]
            for each in others
        )
        uses[bed["clip_id"]] += 1
    assert max(uses.values()) - min(uses.values()) <= 6


def test_each_source_is_heard_through_a_room(tmp_path: Path):
    (tmp_path / "rooms").mkdir()
    for name in ("hall", "kitchen"):
        soundfile.write(tmp_path / "rooms" / f"{name}.wav", np.eye(1, 100)[0], RATE)
    chosen = MixtureSet(rirs="rooms", per_clip=20)
    made = planned(world(30), chosen, root=str(tmp_path)).rows
    heard = Counter(each["rir"] for row in made for each in row["sources"])
    assert heard.keys() == {"hall.wav", "kitchen.wav"}
    assert abs(heard["hall.wav"] / heard.total() - 0.5) < 0.06
    stage = PlanMixtures((chosen,), RATE)
    with pytest.raises(UserError, match="rirs"):
        stage.sources(context(root=str(tmp_path / "rooms")))
    before = stage.sources(context(root=str(tmp_path)))
    (tmp_path / "rooms" / "hall.wav").unlink()
    assert stage.sources(context(root=str(tmp_path))) != before


def test_an_overlap_that_cannot_be_had_is_told():
    rows = [source("a", ["Dog"]), source("b", ["Rain"]), source("c", ["Speech"], duration_s=2.0)]
    for row in plan(rows, per_clip=30, overlap=(0.0, 0.5)):
        assert (row["refused"] is None) == (row["refused"] != "no_overlap_possible")
        assert row["refused"] == "no_overlap_possible"
    rows = [source("a", ["Dog"], duration_s=7.0), source("c", ["Speech"], duration_s=2.0)]
    for row in plan(rows, per_clip=30, overlap=(0.0, 0.5)):
        one, other = row["sources"]
        begin, end = max(one["at"], other["at"]), min(one["at"] + one["length"], other["at"] + other["length"])
        assert (end - begin) / (2 * RATE) <= 0.5


def test_ratios_are_uniform_between_the_bounds():
    ratios = [row["snr_db"] for row in plan(world(240), per_clip=5)]
    assert kstest(ratios, "uniform", args=(-15, 30)).pvalue > 0.01


def test_the_query_is_the_caption_where_it_names_no_interferer():
    rows = [source("a", ["Dog"], caption="A dog barks in the rain"), source("b", ["Rain"]), source("c", ["Guitar"])]
    said = {(row["target_clip_id"], row["interferer_clip_ids"][0]): row for row in plan(rows, per_clip=20)}
    assert said["a", "c"]["query"] == "A dog barks in the rain"
    assert said["a", "c"]["query_origin"] == "caption"
    assert said["a", "b"]["query"] == "dog"
    assert said["a", "b"]["query_origin"] == "label"
    assert "dog" in said["a", "b"]["instruction_extract"]
    assert "rain" in said["a", "b"]["instruction_remove"]


def test_nothing_to_mix_gives_no_rows():
    result = planned([], MixtureSet())
    assert result.rows == result.drops == []
    alone = planned([source("a", ["Dog"])], MixtureSet())
    assert [row["refused"] for row in alone.rows] == ["no_disjoint_partner"]


def test_rows_are_those_of_the_table():
    made = planned(world(9), MixtureSet()).tables
    assert all(piece.schema.equals(tables.schema("plan"), check_metadata=True) for piece in made)
    for piece in made:
        piece.validate(full=True)


def test_the_stage_says_what_it_depends_on():
    stage = PlanMixtures((MixtureSet(), MixtureSet(name="other", count=5)), RATE)
    assert stage.params()["sets"][1]["count"] == 5
    assert stage.revisions().keys() == {"audioset_ontology.csv", "audioset_strong_extra.csv", "confusable.csv"}
    assert stage.sources(context()) == ""
