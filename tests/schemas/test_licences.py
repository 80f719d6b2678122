"""Licences: what publishers write has one name, a doubt is ``unknown``, and several together forbid what each of them does."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from itertools import combinations_with_replacement

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.licences import _CODES, _UNDERSTOOD, COMMERCIAL, LICENCES, most_restrictive, normalise

LICENCE = st.sampled_from(list(LICENCES))
CC = "creativecommons.org/licenses/"

WRITTEN = {
    "cc0": (
        "http://creativecommons.org/publicdomain/zero/1.0/", "https://creativecommons.org/publicdomain/mark/1.0/deed.en",
        "http://creativecommons.org/licenses/publicdomain/", "CC0", "cc0-1.0", "CC0 1.0 Universal", "Creative Commons 0",
        "Creative Commons Zero", "CC-PDDC", "PDDL-1.0", "pddl", "Public Domain Mark 1.0", "Public domain",
    ),
    "by": (
        f"http://{CC}by/3.0/", f"https://www.{CC}by/4.0/legalcode", "by", "BY 3.0", "Attribution", "Attribution 3.0",
        "Attribution 4.0", "CC-BY", "cc-by-4.0", "CC BY 2.5", "Creative Commons: Attribution",
        "Creative Commons Attribution 4.0 International (CC BY 4.0)",
        f"This work is licensed under a Creative Commons Attribution 3.0 Unported License (http://{CC}by/3.0/).",
    ),
    "by-sa": ("cc-by-sa-3.0", "Attribution-ShareAlike", f"{CC}sa/1.0/", "CC BY‑SA"),
    "sampling+": (f"http://{CC}sampling+/1.0/", "Sampling+", "Sampling +", "CC-Sampling+", "Creative Commons Sampling Plus 1.0"),
    "by-nc": (
        f"http://{CC}by-nc/3.0/us/", "CC BY-NC 3.0", "CC-BY-NC", "by_nc", "Attribution NonCommercial",
        "Attribution Noncommercial", "AttributionNonCommercial", "Creative Commons Attribution Non-Commercial license",
        f"http://{CC}nc-sampling+/1.0/", "noncommercial-sampling+", "NonCommercial Sampling Plus 1.0",
    ),
    "by-nc-sa": ("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-3.0-IGO", "Creative Commons — Attribution, Noncommercial, Share Alike"),
    "by-nd": ("CC BY-ND 4.0", "Attribution-NoDerivs", "CC BY-ND-SA", f"{CC}nd/1.0/"),
    "by-nc-nd": (
        "by-nc-nd", f"{CC}nd-nc/1.0", "Attribution-NonCommercial-NoDerivatives 4.0 International",
        "Attribution NonCommercial No Derivative Works",
    ),
    "academic": (
        "academic", "Research only", "For academic use only", "non-commercial research", "BBC RemArc", "RemArc licence",
        "free for research and educational purposes", "CC BY-NC 4.0, for scientific use",
    ),
}  # fmt: skip
"""What is written by publishers, Freesound's API, Hugging Face and SPDX."""

DOUBTFUL = (
    # The word "by" stands before every author.
    None, "", "  ", "recorded by John", "Recorded by CC Smith", "CC by John Smith", "by 3 Doors Down", "licensed by",
    "http://example.org/by/3.0/", f"http://not{CC}by/3.0/", "step by step", "released under a licence by the author",
    # Half understood is not understood.
    "CC0?", "not public domain", "CC BY 4.0, except the speech", "CC0 for the metadata, ask for the audio", "CC", "0", "1", "3.0",
    "recorded by Research", "All rights reserved", "Creative Commons", "CC licensed", "free", "royalty free", "other",
    "not for academic use",
    # Known, and unknown on purpose.
    "MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0", "odc-by", "odbl", "http://creativecommons.org/licenses/sampling/1.0/",
    "non-commercial", "Non-commercial use only", "nc", "sa", "custom", "unknown",
)  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRITTEN.items() for text in texts])
def test_each_way_of_writing_has_its_name(name, text):
    assert normalise(text) == name
    assert normalise(f" {text.upper()}\n") == name


@pytest.mark.parametrize("text", DOUBTFUL)
def test_a_doubt_is_unknown(text):
    assert normalise(text) == "unknown"


def test_several_in_one_text_are_as_restrictive_as_all_of_them():
    assert normalise("CC0 or CC BY 4.0") == "by"
    assert normalise("CC BY/CC0") == "by"
    assert normalise("CC BY 4.0 and Sampling+") == "sampling+"
    assert normalise("Public domain, non-commercial") == "by-nc"


@given(LICENCE)
def test_a_name_is_its_own_name(name):
    assert normalise(name) == name


@given(st.text(max_size=60))
def test_any_text_has_a_name_which_names_itself(text):
    assert normalise(normalise(text)) == normalise(text) in LICENCES


@pytest.mark.parametrize("words", ["by {}", "CC by {}", "recorded by {}", "Public domain, by {}"])
@given(author=st.text(alphabet=st.characters(categories=["L"]), min_size=4, max_size=20))
def test_no_authors_name_makes_a_licence(words, author):
    own = author.lower()
    assume(not _UNDERSTOOD.fullmatch(own) and not any(spelling.search(own) for spelling, _ in _CODES))
    assert normalise(words.format(author)) == "unknown"


def test_every_licence_that_real_publishers_write_has_its_name(shared):
    with (shared / "clotho" / "clotho_metadata_development.csv").open(encoding="latin-1", newline="") as file:
        clotho = [row["license"] for row in csv.DictReader(file)]
    assert named(clotho) == {"cc0": 1577, "by": 1572, "by-nc": 541, "sampling+": 149}
    per_clip = (shared / "esc50" / "LICENSE_ESC-50_per_clip.txt").read_text()
    assert named(re.findall(r"^- \[.*\[([^\]]+)\]\s*$", per_clip, re.MULTILINE)) == {
        "by": 901,
        "cc0": 869,
        "by-nc": 170,
        "sampling+": 60,
    }
    (example,) = (shared / "fsd50k").rglob("dev_clips_info_example.json")
    assert named([clip["license"] for clip in json.loads(example.read_text()).values()]) == {"sampling+": 2}
    wholes = {
        "esc50/README_ESC-50.md": (r"available under the terms of the \[([^\]]+)\]", "by-nc"),
        "fsd50k/FSD50K.doc/LICENSE-DATASET": (r"^(Attribution .*)\.$", "by"),
        "vggsound/LICENCE.txt": (r"covered under a (.* license)", "by"),
        "audio_odd/audiomentations/p286_011_license": (r"license is (.* International)\.", "by"),
        "audiocaps/LICENCE_README.md": (r"free to use (for .*)\. If", "academic"),
    }
    for file, (words, name) in wholes.items():
        (found,) = re.findall(words, (shared / file).read_text(), re.MULTILINE)
        assert normalise(found) == name, (file, found)


def named(texts: list[str]) -> Counter[str]:
    return Counter(map(normalise, texts))


@given(LICENCE, LICENCE, LICENCE)
def test_together_is_associative_commutative_idempotent_and_never_less(a, b, c):
    both = most_restrictive([a, b])
    assert both == most_restrictive([b, a])
    assert most_restrictive([both, c]) == most_restrictive([a, most_restrictive([b, c])]) == most_restrictive([a, b, c])
    assert most_restrictive([a, a]) == most_restrictive([a]) == a
    assert most_restrictive([both, a]) == both
    assert list(LICENCES).index(both) >= max(list(LICENCES).index(a), list(LICENCES).index(b))


@given(st.lists(LICENCE))
def test_unknown_wins_over_all_and_stands_for_none(several):
    assert most_restrictive([*several, "unknown"]) == "unknown"
    assert most_restrictive([]) == "unknown"


def test_what_may_not_be_combined_has_a_name_that_says_so():
    # The chart of Creative Commons: works under which two licences may be combined in one that is passed on.
    chart = {
        ("cc0", "cc0"), ("cc0", "by"), ("cc0", "by-sa"), ("cc0", "by-nc"), ("cc0", "by-nc-sa"), ("by", "by"), ("by", "by-sa"),
        ("by", "by-nc"), ("by", "by-nc-sa"), ("by-sa", "by-sa"), ("by-nc", "by-nc"), ("by-nc", "by-nc-sa"), ("by-nc-sa", "by-nc-sa"),
    }  # fmt: skip
    names = ("cc0", "by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
    allowed = {pair for pair in combinations_with_replacement(names, 2) if "nd" not in most_restrictive(pair)}
    assert allowed == chart
    assert most_restrictive(["by-sa", "by-nc"]) == "by-nc-nd"


def test_what_may_be_sold_stays_so_when_mixed_and_nothing_else_becomes_so():
    for pair in combinations_with_replacement(LICENCES, 2):
        assert (most_restrictive(pair) in COMMERCIAL) == (set(pair) <= COMMERCIAL)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(KeyError, match="CC BY"):
        most_restrictive(["by", "CC BY"])
