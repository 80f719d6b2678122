"""Agreement of listeners: the counts are those of a count by hand, and kappa is scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from pipelines.core.stage import Batch, Context, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen import agree
from pipelines.listen.agree import Agree, kappa
from schemas import tables
from schemas.ontology import default_ontology

BARK, DOG, ANIMAL, RAIN = "/m/05tny_", "/m/0bt9lr", "/m/0jbk", "/m/06mb1"
CLASSES = (BARK, DOG, ANIMAL, RAIN)
NAMES = ("a", "b", "publisher", "quiet")

Said = dict[str, dict[str, set[str | None]]]
"""By clip and listener, the classes that it names; None of the publisher: its labels are not all known."""


def table(said: Said) -> pa.Table:
    rows = [
        {"clip_id": clip, "listener": name, "class_id": class_id, "confidence": None, "labelled": None, "fold": None}
        for clip, by in said.items()
        for name, classes in by.items()
        for class_id in classes
    ]
    return tables.from_rows("heard", rows)


def listed() -> pa.Table:
    return tables.from_rows(
        "listeners", [{"listener": name, "stage": name, "settings": "{}", "revisions": "{}"} for name in NAMES]
    )


def agreed(heard: pa.Table) -> tuple[dict[tuple[str, str, str | None], dict[str, Any]], list[tuple[str, str]]]:
    result = Agree().process(Batch(listed(), {"heard": heard}), Context(Workspace("unused"), ".", 0, 1))
    conserve(Agree(), list(NAMES), result)
    tables.from_rows("agreements", result.rows)
    found = {(row["listener"], row["other"], row["class_id"]): row for row in result.rows}
    assert len(found) == len(result.rows)
    return found, result.drops


def by_hand(said: Said, first: str, second: str, class_id: str) -> tuple[list[bool], list[bool]]:
    """Return what two say of a class, clip by clip, of those that count."""
    ontology = default_ontology()

    def names(classes: set[str | None]) -> bool:
        own = ontology.descendants(class_id) | ontology.bits([class_id])
        return any(own >> ontology.index(c) & 1 for c in classes if c)

    yes: tuple[list[bool], list[bool]] = ([], [])
    for by in said.values():
        labels = by.get("publisher", {None})
        if "publisher" in (first, second):
            above = ontology.ancestors(class_id)
            if None in labels or (not names(labels) and any(above >> ontology.index(c) & 1 for c in labels)):
                continue
        for name, out in zip((first, second), yes, strict=True):
            out.append(names(by.get(name, set())))
    return yes


SETS = st.sets(st.sampled_from(CLASSES))
LABELS = st.one_of(st.sets(st.sampled_from(CLASSES), min_size=1), SETS.map(lambda classes: classes | {None}))
CLIPS = st.lists(st.fixed_dictionaries({"publisher": LABELS, "a": SETS, "b": SETS}), max_size=12)


@given(CLIPS, st.integers(1, 5))
def test_counts_are_those_of_a_count_by_hand_however_many_clips_are_counted_at_once(clips, at_once):
    said: Said = {f"c{n}": by for n, by in enumerate(clips)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agree, "CLIPS_AT_ONCE", at_once)
        found, _ = agreed(table(said))
    for (first, second, class_id), row in found.items():
        if class_id is None:
            continue
        a, b = by_hand(said, first, second, class_id)
        both = sum(x and y for x, y in zip(a, b, strict=True))
        assert (row["clips"], row["both"], row["only_listener"], row["only_other"]) == (
            len(a), both, sum(a) - both, sum(b) - both)  # fmt: skip
        assert row["jaccard"] == (both / (sum(a) + sum(b) - both) if sum(a) + sum(b) else None)
        turned = found[second, first, class_id]
        assert (turned["only_listener"], turned["kappa"]) == (row["only_other"], row["kappa"])
    named = {name: set().union(*(by[name] for by in clips)) - {None} for name in ("a", "b", "publisher")}
    for first, second in (("a", "b"), ("b", "publisher")):
        mine = {class_id for a, b, class_id in found if (a, b) == (first, second)} - {None}
        assert mine <= {ANIMAL, DOG, BARK, RAIN}
        assert named[first] & named[second] - {c for c in CLASSES if not by_hand(said, first, second, c)[0]} <= mine


def test_all_classes_together_are_the_sum_of_each():
    said: Said = {
        "1": {"publisher": {DOG}, "a": {BARK, RAIN}, "b": {DOG}},
        "2": {"publisher": {None}, "a": {RAIN}, "b": {RAIN}},
        "3": {"publisher": {RAIN}, "b": {RAIN}},
    }
    found, drops = agreed(table(said))
    for pair in (("a", "b"), ("a", "publisher"), ("b", "publisher")):
        rows = [row for (*names, class_id), row in found.items() if tuple(names) == pair and class_id]
        whole = found[(*pair, None)]
        for key in ("clips", "both", "only_listener", "only_other"):
            assert whole[key] == sum(row[key] for row in rows)
    assert found["a", "b", DOG]["both"] == 1, "who hears a bark hears a dog"
    assert ("a", "b", ANIMAL) not in found, "both know it by narrower classes alone"
    assert found["a", "publisher", DOG]["clips"] == 2, "of the second clip the labels are not known"
    assert drops == [("quiet", "names_no_class")]


def test_a_listener_without_a_class_that_another_knows_says_so():
    _, drops = agreed(table({"1": {"a": {RAIN}, "publisher": {None}}, "2": {"b": {DOG}, "publisher": {None}}}))
    assert drops == [("a", "no_class_in_common"), ("b", "no_class_in_common"),
                     ("publisher", "names_no_class"), ("quiet", "names_no_class")]  # fmt: skip


def test_a_run_without_clips_has_an_outcome_for_every_listener():
    found, drops = agreed(table({}))
    assert not found
    assert drops == [(name, "names_no_class") for name in NAMES]


def test_a_listener_that_no_stage_stands_for_is_told_and_not_lost():
    with pytest.raises(ValueError, match="evidence of 'stranger': no stage that writes evidence is named for it"):
        agreed(table({"1": {"stranger": {DOG}}}))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_kappa_is_that_of_scikit_learn_and_unknown_where_both_always_say_the_same_one_thing(pairs):
    first, second = np.array(pairs).T
    ours = kappa(len(pairs), int(first.sum()), int(second.sum()), int((first & second).sum()))
    if len(set(first.tolist()) | set(second.tolist())) == 1:
        assert ours is None
    else:
        theirs = float(cohen_kappa_score(first, second))
        assert math.isclose(ours or 0.0, theirs, abs_tol=1e-12)
