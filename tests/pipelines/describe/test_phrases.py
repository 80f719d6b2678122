"""The phrase file: a mistake in it is named by file and key, in one line."""

from __future__ import annotations

import re

import pytest
import yaml

from pipelines.describe.phrases import load_phrases, parse_phrases, phrase_path
from schemas.errors import UserError
from schemas.ontology import default_ontology

GOOD = phrase_path("prompts/grammar.yaml").read_bytes()


def broken(**changes: object) -> str:
    raw = yaml.safe_load(GOOD) | changes
    with pytest.raises(UserError) as caught:
        parse_phrases(yaml.safe_dump(raw).encode(), "mine.yaml", default_ontology())
    message = str(caught.value)
    assert message.startswith("phrase file mine.yaml")
    assert "\n" not in message
    return message


def test_the_file_that_is_shipped_is_right_and_names_no_class_twice() -> None:
    phrases = parse_phrases(GOOD, "grammar.yaml", default_ontology())
    assert len(phrases.words) == len(default_ontology())
    own = GOOD.decode().split("\nclasses:\n")[1]
    keys = re.findall(r'(?m)^  "?(.+?)"?: \[', own)
    assert len(keys) == len(set(keys))


def test_mistakes_are_named_by_file_and_key() -> None:
    assert "classes: no class of the ontology is named 'Sirens'" in broken(classes={"Sirens": ["a siren"]})
    assert "classes.Engine: 'a engine': 'engine' takes 'an'" in broken(classes={"Engine": ["a engine", "runs"]})
    assert "families.0.under" in broken(families=[{"phrase": ["x"], "under": "Musik"}])
    assert "proper_noun: Extra inputs" in broken(proper_noun=[])
    assert "version" in broken(version=2)
    assert "short: '{d}' must name each of a, b, c once" in broken(short=[["{a}"], ["{a} {B}"], ["{d}"]])
    assert "setting" in broken(setting="in {mood}")
    assert "temporal.a+b: the keys must be" in broken(temporal={})
    assert "'loudness_db'" in broken(acoustics={"loudness": [{"when": {"loudness_db": [0, 1]}}]})
    assert "is empty" in broken(acoustics={"loudness": [{"when": {"lufs": [0, -10]}}]})


def test_what_is_not_yaml_is_named_with_its_line() -> None:
    with pytest.raises(UserError, match=r"phrase file mine\.yaml, line 2: is not YAML"):
        parse_phrases(b"version: 1\nshort: ]\n", "mine.yaml", default_ontology())


def test_a_missing_file_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match=r"configs/ has no file 'prompts/none\.yaml'"):
        load_phrases("prompts/none.yaml")
