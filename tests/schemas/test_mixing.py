"""Sets of mixtures: what cannot be had is refused before anything runs, in one line, and each set changes what it names alone."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import UserError
from schemas.load import parse_recipe
from schemas.mixing import Mix, MixtureSet
from schemas.recipe import Recipe


def recipe(mix: dict[str, Any], **more: Any) -> Recipe:
    data = {"datasets": [{"adapter": "esc50"}, {"adapter": "folder", "name": "beds", "splits": {"all": "quiet"}}]}
    return parse_recipe({"name": "x", "data": data, "mix": mix, **more}, "x.yaml")


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ({"datasets": ["esc5"]}, r"x.yaml: mix.datasets: 'esc5' is none of data.datasets; they are called esc50, beds"),
        ({"count": 3, "quotas": {"folder": 1.0}}, "mix.quotas: 'folder' is none of data.datasets"),
        ({"background": {"dataset": "bed"}}, "mix.background.dataset: 'bed' is none of data.datasets"),
        ({"sets": [{"name": "a"}, {"name": "b", "datasets": ["c"]}]}, "mix.sets.1.datasets: 'c' is none of"),
        ({"splits": ["tset"]}, r"mix.splits: 'tset' is no split \(train, val, test, dev, development, quiet\)"),
        ({"background": {"dataset": "beds"}, "datasets": ["beds"]}, "'beds' is the background"),
        ({"background": {"dataset": "beds"}, "count": 3, "quotas": {"beds": 1.0}}, "'beds' is the background"),
        ({"count": 3, "quotas": {"esc50": 1.0}, "datasets": ["beds"]}, r"quotas: 'esc50' is none of datasets \(beds\)"),
        ({"background": {"dataset": "beds", "level_db": [3, -3]}}, "level_db.*lower bound is above the upper"),
        ({"splits": ["train", "train"]}, "mix.splits: .*'train' stands twice"),
        ({"apart": ["group", "group"]}, "mix.apart: .*'group' stands twice"),
        ({"level": {"whole": True, "range": [0.2, 0.8]}}, r"whole: range \[0.2, 0.8\] holds no whole number"),
        ({"level": {"whole": True, "rule": "gain", "range": [0.5, 1.5]}}, "a gain is linear; leave whole out"),
        ({"words": {"prompts": [0.5, 0.5]}}, "three shares that sum to 1"),
        ({"rirs": ""}, "mix.rirs: '' will not do"),
        ({"duration_s": 0.00001}, "mix.duration_s: 1e-05 will not do"),
        ({"count": 10**12}, "mix.count: .*less than or equal to 100000000"),
        ({"sets": [{"name": "a"}, {"name": "a"}]}, "two sets are called 'a'"),
        ({"sets": [{"name": "A"}, {"name": "a"}]}, "another set is called 'a' but for its case"),
    ],
)
def test_what_cannot_be_had_is_one_line_that_names_it_and_the_mend(mix, words):
    with pytest.raises(UserError, match=words) as caught:
        recipe(mix)
    assert "\n" not in str(caught.value)
    assert "***" not in str(caught.value) or "mix" in str(caught.value).split("***")[0]


def test_interferers_are_drawn_as_whole_numbers_too_where_they_are_drawn():
    level = {"whole": True, "rule": "over_background", "range": [0, 5], "interferers": [0.2, 0.8]}
    with pytest.raises(UserError, match=r"whole: interferers \[0.2, 0.8\] holds no whole number"):
        recipe({"level": level, "background": {"dataset": "beds"}})
    assert recipe({"level": level | {"rule": "snr"}}).mix.level.whole


def test_a_split_of_a_datasets_own_word_is_one_that_mixtures_may_be_made_of():
    assert recipe({"splits": ["quiet", "test"]}).mix.splits == ["quiet", "test"]


def test_a_set_changes_what_it_names_and_nothing_else():
    common = {"count": 5, "quotas": {"a": 1.0}, "shares": {"plausible": 1.0}, "level": {"range": [-5, 5]}}
    own = [
        {"name": "quota", "quotas": {"b": 1.0}},
        {"name": "level", "level": {"whole": True}},
        {"name": "policy", "policy": "same_class"},
        {"name": "each", "per_clip": 2, "quotas": {}},
    ]
    quota, level, policy, each = Mix.model_validate({**common, "sets": own}).every
    assert quota.quotas == {"b": 1.0}
    assert (level.level.range, level.level.whole, level.count) == ((-5.0, 5.0), True, 5)
    assert (policy.policies, quota.policies) == ({"same_class": 1.0}, {"plausible": 1.0})
    assert (each.count, each.per_clip) == (None, 2)


def test_sets_read_from_what_they_were_written_as_are_the_same():
    mix = Mix.model_validate(
        {"count": 5, "shares": {"plausible": 1.0}, "sets": [{"name": "a", "policy": "same_class"}]}
    )
    assert Mix.model_validate(mix.model_dump(mode="json")).every == mix.every


def test_a_set_without_a_wish_is_one_mixture_per_clip():
    assert (MixtureSet().count, MixtureSet().per_clip) == (None, 1)
