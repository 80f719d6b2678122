"""WavCaps' published rules on real descriptions and captions of SoundBible."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import wavcaps_rules

from pipelines.describe.known import Known
from pipelines.describe.language import count_words
from pipelines.describe.packing import numbered, read_numbered
from pipelines.describe.prompts import load_prompt
from pipelines.describe.rules import tidy


@pytest.fixture(scope="module")
def records(shared: Path) -> list[dict]:
    return wavcaps_rules.entries(shared / "wavcaps")


def test_the_rules_are_checked_on_every_published_caption(records):
    found = {record["caption"]: wavcaps_rules.reasons(record["caption"]) for record in records}
    kinds = Counter(wavcaps_rules.kind_of(reason) for reasons in found.values() for reason in reasons)
    assert len(records) == 1232
    assert kinds["other"] == 0
    assert 0.9 < sum(not found[record["caption"]] for record in records) / len(records) < 1.0
    for record in records:
        words = len(record["caption"].split())
        if words > 22:
            assert found[record["caption"]]
        heard = re.search(r"\bheard\b", record["caption"]) is not None
        assert ("it holds the word heard" in found[record["caption"]]) is heard


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("A dial tone is heard on a landline phone.", "it holds the word heard"),
        ("A Hermit Thrush is singing.", "it holds the name Hermit"),
        ("A dog is barking.", None),
    ],
)
def test_known_captions_are_judged_as_a_reader_would(caption, reason, records):
    assert any(record["caption"] == caption for record in records)
    assert wavcaps_rules.reasons(caption) == ([reason] if reason else [])


def test_published_captions_are_tidy_and_survive_a_pack(records):
    captions = [record["caption"] for record in records]
    assert [caption for caption in captions if tidy(caption) != caption] == []
    assert all(count_words(caption) >= 3 for caption in captions)
    for start in range(0, len(captions), 10):
        pack = captions[start : start + 10]
        assert read_numbered(numbered(pack), len(pack)) == dict(enumerate(pack, 1))


def test_few_real_descriptions_are_taken_for_words_to_a_model_and_none_is_lost(records):
    prompt = load_prompt(wavcaps_rules.PROMPT, "test")
    known = [Known(title=record["title"], description=record["description"]) for record in records]
    assert all(prompt.says(each) for each in known)
    assert sum(each.speaks_to_models() for each in known) / len(known) < 0.02
    assert all(len(prompt.block(each)) < 1600 for each in known)
