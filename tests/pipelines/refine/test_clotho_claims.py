"""Claims of 200 Clotho captions, held against what a person who read them wrote down; the captions themselves are not copied."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.refine.claims import Claim, claims, orders, sources
from pipelines.unify.names import default_index

INDEX = default_index()
ONTOLOGY = INDEX.ontology
IDS = {node.name: node.class_id for node in sorted(ONTOLOGY.classes, key=lambda node: not node.abstract)}
TABLE = Path(__file__).with_name("clotho_claims.csv")
EVERY = 26
"""The rule by which captions were chosen: every 26th of the evaluation file, read row by row, the first 200."""

Order = tuple[str, str, str]
Share = tuple[int, int]


def alike(a: str, b: str) -> bool:
    """Say whether two classes are the same sound, told in more or less detail."""
    below = ONTOLOGY.descendants(a) >> ONTOLOGY.index(b) | ONTOLOGY.descendants(b) >> ONTOLOGY.index(a)
    return bool(below & 1) or ONTOLOGY.conflict(a, b) is not None


def same_order(a: Order, b: Order) -> bool:
    straight = alike(a[0], b[0]) and alike(a[2], b[2])
    crossed = a[1] == "while" and alike(a[0], b[2]) and alike(a[2], b[0])
    return a[1] == b[1] and (straight or crossed)


def order(words: str) -> Order:
    first, second = words.split(" > ") if " > " in words else words.split(" + ")
    return IDS[first], "then" if " > " in words else "while", IDS[second]


def many(cell: str) -> list[str]:
    return [part for part in cell.split("|") if part]


def read(shared: Path) -> list[tuple[str, dict[str, str]]]:
    with (shared / "clotho/clotho_captions_evaluation.csv").open(encoding="utf-8", newline="") as file:
        texts = {(row["file_name"], str(k)): row[f"caption_{k}"] for row in csv.DictReader(file) for k in range(1, 6)}
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file_name"], row["caption"]) for row in rows] == list(texts)[::EVERY][:200]
    return [(texts[row["file_name"], row["caption"]], row) for row in rows]


def heard(found: list[Claim]) -> list[str]:
    """Return the classes of sources and of what they do; a verb whose class the claim leaves open counts as that class."""
    ids = [claim.class_id for claim in found if claim.kind in ("source", "action") and claim.class_id]
    verbs = (INDEX.lookup(claim.value) for claim in found if claim.kind == "action" and claim.class_id is None)
    return ids + [match.class_id for match in verbs if match]


def share(pairs: list[tuple[list, list]], fits: Callable[..., bool]) -> tuple[float, float]:
    """Return precision and recall over pairs of what was found and what was expected."""
    right = sum(any(fits(each, other) for other in wanted) for found, wanted in pairs for each in found)
    held = sum(any(fits(each, other) for each in found) for found, wanted in pairs for other in wanted)
    return right / sum(len(found) for found, _ in pairs), held / sum(len(wanted) for _, wanted in pairs)


@pytest.fixture(scope="module")
def captions(shared: Path) -> list[tuple[str, dict[str, str]]]:
    return read(shared)


def test_sounds_are_found_as_a_reader_finds_them(captions: list[tuple[str, dict[str, str]]]) -> None:
    precise = [([m.class_id for m in sources(t, INDEX)], [IDS[n] for n in many(row["sounds"])]) for t, row in captions]
    precision, _ = share(precise, alike)
    whole = [(heard(claims(t, INDEX)), [IDS[n] for n in many(row["sounds"])]) for t, row in captions]
    _, recall = share(whole, alike)
    assert precision >= 0.92  # measured 314 of 335
    assert recall >= 0.84  # measured 316 of 367


def test_orders_are_found_as_a_reader_finds_them(captions: list[tuple[str, dict[str, str]]]) -> None:
    pairs = []
    for text, row in captions:
        found = [(o.first, o.relation, o.second) for o in orders(text, sources(text, INDEX))]
        pairs.append((found, [order(words) for words in many(row["orders"])]))
    precision, recall = share(pairs, same_order)
    assert precision >= 0.73  # measured 39 of 52
    assert recall >= 0.64  # measured 39 of 59


def test_places_and_numbers_are_found_as_a_reader_finds_them(captions: list[tuple[str, dict[str, str]]]) -> None:
    def said(kind: str, text: str) -> list[str]:
        return [claim.text.lower() for claim in claims(text, INDEX) if claim.kind == kind]

    for kind, column, least in (("place", "places", (0.8, 0.84)), ("count", "counts", (0.9, 0.65))):
        pairs = [(said(kind, text), many(row[column])) for text, row in captions]
        precision, recall = share(pairs, lambda a, b: a in b or b in a)
        assert precision >= least[0]
        assert recall >= least[1]
