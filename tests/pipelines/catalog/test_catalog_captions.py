"""Tests of captions that say the same, and of what they tell: exact joins beside brute force."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from pipelines.catalog.captions import Coded, coded, duplicate_rows, keys, least_common, near_rows, places, said, words
from pipelines.catalog.places import phrases, told


def joined(texts: list[str]) -> dict[tuple[str, str], float]:
    """Run the steps of the join as the graph does; a pair that is told twice fails."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in set(text.split()):
            counts[word] = counts.get(word, 0) + 1
    by_key: dict[tuple[str, ...], list[Coded]] = {}
    for number, text in enumerate(texts):
        one = coded(said(text, [(f"m{number}", "d/train", "train")]), counts)
        for key in keys(one[1]):
            by_key.setdefault(key, []).append(one)
    rows = [row for key, found in by_key.items() for row in near_rows(key, found)]
    pairs = [(row["text_a"], row["text_b"]) for row in rows]
    assert len(pairs) == len(set(pairs))
    assert all(a < b for a, b in pairs)
    return {(row["text_a"], row["text_b"]): row["jaccard"] for row in rows}


def brute(texts: list[str]) -> dict[tuple[str, str], float]:
    found = {}
    for a, b in combinations(sorted(texts), 2):
        one, other = set(a.split()), set(b.split())
        if one and 5 * len(one & other) >= 4 * len(one | other):
            found[a, b] = len(one & other) / len(one | other)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_join_finds_every_near_pair_and_no_other(seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = [f"w{n}" for n in range(draw.choice([6, 12, 30]))]
    drawn = {" ".join(draw.choices(vocabulary, k=draw.randrange(0, 15))) for _ in range(300)}
    # Near to some of them: a word more, a word less, another order.
    for text in sorted(drawn)[::3]:
        drawn |= {
            f"{text} extra{draw.randrange(3)}".strip(),
            " ".join(text.split()[1:]),
            " ".join(reversed(text.split())),
        }
    texts = sorted(drawn)
    draw.shuffle(texts)
    expected = brute(texts)
    assert joined(texts) == expected
    assert len(expected) > 20
    assert {0.8, 1.0} <= set(expected.values())


def test_a_bound_is_met_exactly_and_not_by_a_word_less() -> None:
    four_of_five = ["a b c d", "a b c d e"]
    assert joined(four_of_five) == {("a b c d", "a b c d e"): 0.8}
    assert joined(["a b c", "a b c d"]) == {}
    assert joined(["bark", "bark bark", "dog"]) == {("bark", "bark bark"): 1.0}
    assert [least_common(size) for size in (1, 2, 4, 5, 6, 10)] == [1, 2, 4, 4, 5, 8]


def test_words_are_letters_and_digits_in_lower_case() -> None:
    assert words("A dog’s BARK; 2 sirens, cafe\u0301, snake_case...") == [
        "a",
        "dog's",
        "bark",
        "2",
        "sirens",
        "café",
        "snake",
        "case",
    ]


def test_a_member_that_says_the_same_twice_is_no_duplicate() -> None:
    row = {
        "member_id": "a-1",
        "dataset": "a",
        "published": "dev",
        "split": "train",
        "captions": ["A bell.", "a bell", "B"],
    }
    assert sorted(places(row)) == [("a bell", ("a-1", "a/dev", "train")), ("b", ("a-1", "a/dev", "train"))]
    assert duplicate_rows("a bell", [("a-1", "a/dev", "train")] * 2) == []
    (found,) = duplicate_rows("a bell", [("b-1", "b/eval", "test"), ("a-1", "a/dev", "train")])
    assert found == {
        "text": "a bell",
        "members": ["a-1", "b-1"],
        "sets": ["a/dev", "b/eval"],
        "splits": ["test", "train"],
        "count": 2,
    }


@pytest.mark.parametrize(
    ("caption", "tells"),
    [
        ("A man speaks in a busy restaurant.", {"location", "environment"}),
        ("Footsteps in two kitchens", {"location"}),
        ("Birds sing at night", {"environment"}),
        ("A car passes on a wet road", {"location", "environment"}),
        ("An engine idles in the background", set()),
        ("", set()),
    ],
)
def test_phrases_tell_where_and_what_surrounds(caption: str, tells: set[str]) -> None:
    assert told(words(caption)) == tells


def test_the_phrases_are_words_as_captions_have_them() -> None:
    assert all(words(" ".join(phrase)) == list(phrase) for phrase in phrases())
    assert set(phrases().values()) == {"location", "environment"}
