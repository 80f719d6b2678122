"""Instruction patterns: a file's mistakes are told in a line, and what is drawn from is the same in any order of rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.stage import Batch, Context, empty
from pipelines.core.workspace import Workspace
from pipelines.mix.patterns import Patterns, load_patterns, wordings
from schemas import tables
from schemas.errors import UserError

OURS = "prompts/instructions.yaml"
PLAIN: dict[str, Any] = {"version": 1, "extract": ["Keep {what}.", "Only {what}."], "remove": ["Drop {what}."]}


def listed(*files: str) -> list[dict[str, Any]]:
    return Patterns(files).process(Batch(empty("patterns"), {}), Context(Workspace("unused"), ".", 1, 1)).rows


def test_each_pattern_of_each_file_is_a_row(tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(PLAIN))
    rows = listed(OURS, str(own))
    tables.from_rows("patterns", rows)
    file = load_patterns(OURS)
    assert [row["text"] for row in rows] == [
        *file.extract,
        *file.remove,
        "Keep {what}.",
        "Only {what}.",
        "Drop {what}.",
    ]
    assert rows[-2] == {
        "pattern_id": f"{own}:extract:1", "original_id": f"{own}:extract:1", "file": str(own), "task": "extract",
        "text": "Only {what}.", "origin": "file", "prompt_hash": None, "request": None,
    }  # fmt: skip
    assert len({row["pattern_id"] for row in rows}) == len(rows)


def test_a_changed_file_is_another_revision(tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(PLAIN))
    before = Patterns((str(own),)).revisions()
    own.write_text(yaml.safe_dump(PLAIN | {"remove": ["Mute {what}."]}))
    assert Patterns((str(own),)).revisions() != before


def test_a_set_draws_from_its_own_file_and_from_what_a_model_made_of_it_whatever_the_order_of_rows(tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(PLAIN | {"extract": [f"{n}: {{what}}." for n in range(12)]}))
    rows = listed(OURS, str(own))
    model = {"origin": "toy", "prompt_hash": "h", "request": "r"}
    rows += [
        rows[-1] | model | {"pattern_id": f"{own}:remove:0:{n}", "text": text}
        for n, text in enumerate(["Mute {what}.", "Drop {what}.", "Erase {what}."])
    ]
    random.Random(3).shuffle(rows)
    found = wordings(tables.from_rows("patterns", rows), str(own))
    assert found.extract == tuple(f"{n}: {{what}}." for n in range(12))
    assert found.remove == ("Drop {what}.", "Mute {what}.", "Erase {what}.")
    with pytest.raises(KeyError, match="none of 'other.yaml'"):
        wordings(tables.from_rows("patterns", rows), "other.yaml")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "version: Input should be 1"),
        ({"extract": []}, "extract: List should have at least 1 item"),
        ({"extract": ["Keep it."]}, "extract: 'Keep it.' must hold {what} once"),
        ({"remove": ["Drop {what} and {what}."]}, "must hold {what} once"),
        ({"remove": ["Drop {what} of {whom}."]}, "and no other braces"),
        ({"remove": ["Drop {what}.", "Drop {what}."]}, "remove: 'Drop {what}.' stands twice"),
        ({"keep": []}, "keep: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(tmp_path: Path, changed: dict[str, Any], words: str):
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(PLAIN | changed))
    with pytest.raises(UserError) as told:
        Patterns((str(file),)).check()
    assert str(told.value).startswith(f"mix.words.templates: {file}: ")
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(UserError, match="mix.words.templates: prompts/none.yaml cannot be read"):
        Patterns(("prompts/none.yaml",)).check()


def test_a_file_without_settings_is_told_what_it_needs(tmp_path: Path):
    file = tmp_path / "p.yaml"
    file.write_text("Extract it.")
    with pytest.raises(UserError, match="p.yaml: holds no settings; it needs version, extract and remove"):
        Patterns((str(file),)).check()
