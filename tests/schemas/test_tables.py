"""Tables and identifiers: every column says what it holds, nulls are where they are declared, ids never collide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import tables
from schemas.ids import MAX_ID, partition_of, record_id, seed_for, slug


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_column_says_what_it_holds_and_what_null_means(name):
    for field in tables.schema(name):
        doc = field.metadata[b"doc"].decode()
        assert len(doc) > 3
        assert ("null" in doc) == field.nullable, f"{name}.{field.name}: {doc}"


def test_the_page_of_tables_is_the_one_that_the_schemas_give():
    page = Path(__file__).parents[2] / "docs" / "tables.md"
    assert page.read_text(encoding="utf-8") == tables.page(), "run: python -m schemas.tables > docs/tables.md"


def test_a_null_where_none_may_be_is_refused():
    row = {"stage": "s", "clip_id": None, "reason": "r"}
    with pytest.raises(ValueError, match="drops.clip_id: null"):
        tables.from_rows("drops", [row])


def test_an_unknown_column_is_refused():
    with pytest.raises(ValueError, match="no column 'reson'"):
        tables.from_rows("drops", [{"stage": "s", "clip_id": "c", "reson": "r"}])


def test_a_wrong_type_is_refused():
    with pytest.raises(ValueError, match="drops"):
        tables.from_rows("drops", [{"stage": "s", "clip_id": 3.5, "reason": "r"}])


@given(st.text(min_size=1, max_size=300))
def test_a_slug_is_safe_and_short(text):
    assert re.fullmatch(r"[A-Za-z0-9_-]+", slug(text))
    assert len(record_id("dataset", text, 3_600_000)) <= MAX_ID


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_texts_never_share_a_slug(a, b):
    assert (slug(a) == slug(b)) == (a == b)


def test_partitions_and_seeds_are_what_they_were():
    # A change of these numbers would move every row of every run; it must be meant.
    assert [partition_of(f"clip-{n}", 8) for n in range(8)] == [6, 0, 7, 3, 3, 3, 5, 0]
    assert seed_for(1, "plan", "a") == 3698163620749181094
    assert len({seed_for(1, stage, key) for stage in "ab" for key in "cd"}) == 4
    assert 0 <= seed_for(2**62, "x", "y") < 2**63
