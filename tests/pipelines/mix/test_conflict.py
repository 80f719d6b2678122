"""Which classes may not be mixed: graph, options and bit sets tell the same, and a reason is given for each refusal."""

from __future__ import annotations

from itertools import combinations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipelines.mix.conflict import KINDS, Reason, Relation, clash, confusable_sets, relation, specific, words_of
from schemas import tables
from schemas.mixing import Conflict
from schemas.ontology import configs_dir, default_ontology, read_table

ONTOLOGY = default_ontology()
IDS = {node.name: node.class_id for node in reversed(ONTOLOGY.classes)}
ALL = [node.class_id for node in ONTOLOGY.classes]
PLAIN = relation(Conflict())
SIBLINGS = relation(Conflict(siblings=True))
CONFUSABLE = relation(Conflict(confusable=True))
STRICTEST = relation(Conflict(siblings=True, confusable=True))


def ids(*names: str) -> list[str]:
    return [IDS[name] for name in names]


def some_sets(count: int, seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(ALL, rng.integers(0, 6), replace=False)) for _ in range(count)]


def by_pairs(relation: Relation, a: list[str], b: list[str]) -> bool:
    return any(relation.reason([x], [y]) for x in a for y in b)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (["Speech", "Dog"], ["Rain", "Dog"], ("equal", "Dog", "Dog")),
        (["Dog"], ["Bark"], ("ancestor", "Dog", "Bark")),
        (["Bark"], ["Rain", "Animal"], ("descendant", "Bark", "Animal")),
        (["Onomatopoeia"], ["Hiss"], None),
        (["Source-ambiguous sounds"], ["Creak"], None),
        (["Beep, bleep"], ["Ping"], None),
        (["Dog"], ["Cat"], None),
        ([], ["Cat"], None),
    ],
)
def test_a_refused_pair_has_a_reason_that_names_both_classes(
    a: list[str], b: list[str], reason: tuple[str, str, str] | None
) -> None:
    wanted = Reason(reason[0], IDS[reason[1]], IDS[reason[2]]) if reason else None  # type: ignore[arg-type]
    assert PLAIN.reason(ids(*a), ids(*b)) == wanted


def test_the_gravest_reason_is_given_whatever_the_order_of_the_classes() -> None:
    a, b = ids("Male speech, man speaking", "Dog", "Rain"), ids("Female speech, woman speaking", "Bark", "Rain")
    for turned in (1, -1):
        assert STRICTEST.reason(a[::turned], b[::turned]) == ("equal", IDS["Rain"], IDS["Rain"])
        assert STRICTEST.reason(a[:2][::turned], b[:2][::turned]) == ("ancestor", IDS["Dog"], IDS["Bark"])
    assert KINDS == ("equal", "ancestor", "descendant", "sibling", "confusable")


@pytest.mark.parametrize(
    ("a", "b", "siblings"),
    [
        ("Male speech, man speaking", "Female speech, woman speaking", True),
        ("Dog", "Cat", True),
        ("Wild animals", "Domestic animals, pets", True),
        ("Bark", "Meow", False),  # not the children of siblings
        ("Bark", "Cat", False),
        ("Sneeze", "Cough", False),  # their parent is an abstract heading
        ("Rain", "Fire", False),
        ("Vehicle", "Engine", False),  # "Sounds of things" is blacklisted: nobody labels with it
    ],
)
def test_siblings_are_children_of_one_parent_that_is_a_sound_itself(a: str, b: str, siblings: bool) -> None:
    assert PLAIN.reason(ids(a), ids(b)) is None
    assert SIBLINGS.reason(ids(a), ids(b)) == (Reason("sibling", IDS[a], IDS[b]) if siblings else None)


def test_what_sounds_alike_conflicts_with_all_its_kinds_where_it_is_asked_for() -> None:
    for a, b in (("Rain", "Frying (food)"), ("Raindrop", "Frying (food)"), ("Chainsaw", "Lawn mower")):
        assert PLAIN.reason(ids(a), ids(b)) is None
        assert CONFUSABLE.reason(ids(a), ids(b)) == Reason("confusable", IDS[a], IDS[b])
    assert CONFUSABLE.reason(ids("Water"), ids("Frying (food)")) is None


@pytest.mark.parametrize("relation", [PLAIN, SIBLINGS, CONFUSABLE, STRICTEST])
def test_bits_numbers_and_reasons_say_the_same_of_any_two_clips(relation: Relation) -> None:
    sets = some_sets(120)
    own, related = relation.bitsets(sets)
    found = clash(related[:, None], own)
    assert own.shape == related.shape == (120, -(-len(ONTOLOGY) // 64))
    assert np.array_equal(found, found.T)
    for i, j in combinations(range(120), 2):
        assert found[i, j] == by_pairs(relation, sets[i], sets[j]) == (relation.reason(sets[i], sets[j]) is not None)
        assert found[i, j] == bool(relation.related(sets[i]) & ONTOLOGY.bits(sets[j]))


def test_without_options_a_pair_conflicts_where_the_ontology_says_so() -> None:
    for a, b in combinations(ALL[::9], 2):
        reason = PLAIN.reason([a], [b])
        assert (reason and reason.kind) == ONTOLOGY.conflict(a, b)


def test_sql_over_the_tables_finds_the_same_conflicting_and_sibling_pairs() -> None:
    labels = configs_dir() / "labels"
    con = duckdb.connect()
    con.execute(
        f"""
        CREATE TABLE node AS
            SELECT class_id, parent_ids, abstract = '1' AS abstract, blacklist = '1' AS blacklist
            FROM read_csv('{labels}/audioset_ontology.csv', all_varchar = true)
            UNION ALL SELECT class_id, parent_ids, false, false
            FROM read_csv('{labels}/audioset_strong_extra.csv', all_varchar = true);
        CREATE TABLE edge AS
            SELECT child.class_id AS below, parent.class_id AS above, parent.blacklist AS unused
            FROM (SELECT class_id, unnest(string_split(parent_ids, ' ')) AS parent_id FROM node WHERE NOT abstract) AS child
            JOIN node AS parent ON parent.class_id = child.parent_id AND NOT parent.abstract
        """
    )
    above = """
        WITH RECURSIVE up(below, above) AS (
            SELECT below, above FROM edge UNION SELECT up.below, edge.above FROM up JOIN edge ON edge.below = up.above)
        SELECT below, above FROM up"""
    beside = (
        "SELECT a.below, b.below FROM edge a JOIN edge b ON a.above = b.above AND a.below <> b.below AND NOT a.unused"
    )
    ancestors = {(c, o) for c in ALL for o in ALL if ONTOLOGY.conflict(o, c) == "ancestor"}
    assert ancestors == set(con.execute(above).fetchall())
    found = {(ALL[i], other) for i, bits in enumerate(SIBLINGS.siblings) for other in ONTOLOGY.class_ids(bits)}
    assert found == set(con.execute(beside).fetchall())


def test_each_option_only_adds_pairs_to_what_always_conflicts() -> None:
    for plain, more, strictest in zip(PLAIN.masks, CONFUSABLE.masks, STRICTEST.masks, strict=True):
        assert plain | more == more
        assert more | strictest == strictest


def test_the_words_are_the_bits_of_the_ontology_lowest_first() -> None:
    sets = [*some_sets(50, seed=1), [], ALL]
    own, related = PLAIN.bitsets(sets)
    for row, wide, class_ids in zip(own, related, sets, strict=True):
        assert int.from_bytes(row.tobytes(), "little") == ONTOLOGY.bits(class_ids)
        assert int.from_bytes(wide.tobytes(), "little") == PLAIN.related(class_ids)
    assert np.array_equal(words_of([ONTOLOGY.bits(each) for each in sets], len(ONTOLOGY)), own)


def test_sets_may_come_as_lists_as_an_array_as_a_slice_or_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = some_sets(200, seed=2)
    array = pa.array(sets, pa.list_(pa.string()))
    chunks = pa.chunked_array([array[:70], array[70:]])
    own, related = PLAIN.bitsets(sets)
    monkeypatch.setattr("pipelines.mix.conflict.ROWS", 7)
    for given in (array, chunks, sets):
        again = PLAIN.bitsets(given)
        assert np.array_equal(again[0], own)
        assert np.array_equal(again[1], related)
    assert np.array_equal(PLAIN.bitsets(array[30:50])[1], related[30:50])
    assert [len(each) for each in PLAIN.bitsets([])] == [0, 0]
    assert not PLAIN.bitsets(pa.array([None, []], pa.list_(pa.string())))[1].any()


def test_a_class_that_the_ontology_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="/m/nothing"):
        PLAIN.bitsets([["/m/nothing"]])
    with pytest.raises(KeyError, match="/m/nothing"):
        PLAIN.reason(["/m/nothing"], ALL)


def test_what_is_said_and_heard_in_a_source_counts_as_what_it_is_labelled_with() -> None:
    wanted = tables.schema("sources")
    columns = [("class_ids", ["Dog"]), ("said_class_ids", ["Rain"]), ("heard_class_ids", ["Siren", "Engine"])]
    made = pa.table({name: pa.array([ids(*names)], wanted.field(name).type) for name, names in columns})
    own, related = STRICTEST.of(made)
    together = STRICTEST.bitsets([ids("Dog", "Rain", "Siren", "Engine")])
    assert np.array_equal(own, together[0])
    assert np.array_equal(related, together[1])


def test_a_relation_is_compiled_once_for_each_choice() -> None:
    assert relation(Conflict(siblings=True)) is SIBLINGS
    assert relation(Conflict()) is not SIBLINGS


def test_every_row_of_what_sounds_alike_names_known_classes_that_do_not_conflict_anyway() -> None:
    rows = read_table(configs_dir() / "labels" / "confusable.csv")
    assert all(row["why"] for row in rows)
    assert [row["class_ids"].split() for row in rows] == confusable_sets()
    for each in confusable_sets():
        assert len(each) == len(set(each)) > 1
        for a, b in combinations(each, 2):
            assert ONTOLOGY.conflict(a, b) is None, (ONTOLOGY[a].name, ONTOLOGY[b].name)
            assert not ONTOLOGY[a].abstract


def test_the_specific_classes_are_those_that_are_above_no_other() -> None:
    assert specific(ONTOLOGY, ids("Animal", "Dog", "Bark", "Rain")) == sorted(ids("Bark", "Rain"))
    assert specific(ONTOLOGY, []) == []
