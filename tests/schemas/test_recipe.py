"""The recipe: every mistake is one line that names key, value and mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import UserError
from schemas.load import load_recipe

GOOD = "name: x\ndata:\n  datasets: [{adapter: esc50}]\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("mix.per_clp=3", r"mix.per_clp: unknown key \(value 3\); did you mean 'per_clip'\?"),
        ("mxi.per_clip=3", r"mxi: unknown key .*did you mean 'mix'"),
        ("data.datasets.0.pth=a", r"data.datasets.0.pth: unknown key .*did you mean 'path'"),
        ("mix.per_clip=many", r"mix.per_clip: 'many' will not do"),
        ("mix.per_clip=-1", r"mix.per_clip: -1 will not do: .*greater than or equal to 0"),
        ("mix.level.range=5", r"write a list such as \[low, high\]"),
        ("mix.level.range=[5]", r"write two numbers, \[low, high\]"),
        ("mix=", "write settings"),
        ("data.datasets.9.path=x", "the list before '9' has 1 entries"),
        ("mix.level.range=[5, -5]", r"lower bound of range is above the upper"),
        ("audio.windows=some", r"audio.windows: 'some' will not do: .*'first', 'centre', 'loudest' or 'all'"),
        ("seed=1.5", r"seed: 1.5 will not do"),
        ("name=a b", r"name: 'a b' will not do"),
        ("mix", r"--set mix: must read a.b=c"),
        ("name.x=1", r"'name' holds a value, not a section"),
        ("data.datasets.7.path=x", r"datasets"),
    ],
)
def test_a_mistake_is_one_line_that_names_key_value_and_mend(recipe, override, words):
    with pytest.raises(UserError, match=words) as caught:
        load_recipe(recipe, (override,))
    assert "\n" not in str(caught.value)


def test_a_secret_is_never_in_the_message(recipe):
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, ("openai_api_key=sk-verysecret",))
    assert "verysecret" not in str(caught.value)
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, ("data.root=s3://user:verysecret@bucket/x",))
    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", r"x.yaml, line \d+: cannot be read as YAML"),
        ("name: a\nname: b\n", "line 2: .*the key 'name' stands twice"),
        ("name: a\ndata:\n  datasets: [{adaptor: esc50}]\n", "adaptor: unknown key .*did you mean 'adapter'"),
        (
            "name: a\ndata:\n  datasets: [{adapter: esc50, splits: {a: ../b}}]\n",
            "splits.a: '../b' will not do: use letters",
        ),
        ("", "holds no settings"),
        ("- 1", "holds no settings"),
        ("name: x", "data: missing; add it"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, words):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        load_recipe(tmp_path / "x.yaml")
    assert "\n" not in str(caught.value)


LISTEN = "listen: {listeners: [{use: facts, settings: %s}]}\n"
HERE = r"listen.listeners.0.settings"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{since: 2026-11-21}", HERE + r".since: datetime.date\(2026, 11, 21\) will not do: .* a date; quote it"),
        ("{at: 2026-11-21 10:00:00}", HERE + r".at: .*a time; quote it"),
        ("{some: [1, !!set {a, b}]}", HERE + r".some.1: .*a set; write a list"),
        ("{some: !!binary aGVhcg==}", HERE + r".some: b'hear' will not do: .*bytes; write text"),
        ("{most: .nan}", HERE + r".most: nan will not do: it is no finite number"),
        ("{most: {at: -.inf}}", HERE + r".most.at: -inf will not do"),
        ("&own {more: *own}", HERE + r".more: holds itself by an anchor; write it out"),
        ("&own [*own]", HERE + r".0: holds itself by an anchor; write it out"),
        ("{1: one}", HERE + r".1: the key 1 is no text; quote it"),
        ('{word: "\\ud83d"}', HERE + r".word: '\\ud83d' will not do: it holds half of a character"),
        ("{api_key: 2026-11-21}", HERE + r".api_key: \*\*\* will not do"),
        ("{[a, b]: 1}", "line 4: .*a key is a list or a mapping; write a name"),
        ("{{a: b}: 1}", "line 4: .*a key is a list or a mapping; write a name"),
        ("{a: 2026-13-45}", "cannot be read as YAML .month must be in 1..12"),
        ("[" * 5000, "cannot be read as YAML .maximum recursion depth exceeded"),
        ('"\x07"', "cannot be read as YAML .special characters are not allowed.$"),
    ],
)
def test_what_json_cannot_hold_is_told_in_one_line_that_names_the_key(tmp_path, settings, words):
    (tmp_path / "x.yaml").write_text(GOOD + LISTEN % settings)
    with pytest.raises(UserError, match=words) as caught:
        load_recipe(tmp_path / "x.yaml")
    assert "\n" not in str(caught.value)


def test_an_override_is_read_as_strictly_as_the_file(recipe):
    for value, words in (
        ("[{use: facts, settings: {a: .inf}}]", "settings.a: inf will not do"),
        ("[{use: facts, use: signal}]", "the value is not YAML"),
    ):
        with pytest.raises(UserError, match=words):
            load_recipe(recipe, (f"listen.listeners={value}",))


def test_an_anchor_that_does_not_hold_itself_is_read_wherever_it_stands(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD + LISTEN % "{a: &two [1, 2], b: *two}")
    assert load_recipe(tmp_path / "x.yaml").listen.listeners[0].settings == {"a": [1, 2], "b": [1, 2]}


def test_zero_shot_tags_without_an_embedder_are_a_mistake(recipe):
    with pytest.raises(
        UserError, match=r"listen: .*zero_shot tags through embedders, and there are none; name one under"
    ):
        load_recipe(recipe, ("listen.zero_shot={}",))
    loaded = load_recipe(recipe, ("listen.zero_shot={}", "listen.embedders=[demo_clap]"))
    assert loaded.listen.zero_shot


def test_a_missing_file_is_named_with_its_nearest_neighbour(recipe):
    with pytest.raises(UserError, match="did you mean 'x.yaml'"):
        load_recipe(recipe.parent / "xx.yaml")


def test_whole_numbers_are_fine_where_seconds_are_wanted(recipe):
    loaded = load_recipe(recipe, ("audio.clip_s=5", "mix.level.range=[-5, 5]", "mix.duration_s=4"))
    assert (loaded.audio.clip_s, loaded.mix.level.range, loaded.mix.duration_s) == (5.0, (-5.0, 5.0), 4.0)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_of_ours_loads(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("base_url=localhost:80", "begins with http:// or https://"),
        ("responses=~nobody/x", "write a whole path, or a URL"),
        ("key_env=my key", "the name of an environment variable"),
    ],
)
def test_a_setting_of_a_form_of_its_own_is_told_that_form(setting, words):
    from schemas.ontology import configs_dir

    with pytest.raises(UserError, match=words):
        load_recipe(configs_dir() / "earloom.yaml", (f"endpoints.writer.{setting}",))
