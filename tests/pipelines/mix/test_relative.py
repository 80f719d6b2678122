"""Order and level: said where evidence tells of them, and of all that is compared, and not otherwise."""

from __future__ import annotations

import pytest

from pipelines.mix.relative import APART_DB, APART_S, Lying, apart


def at(begins: float | None, level: float | None = None) -> Lying:
    """Return a source of ten seconds that is laid at 1 s, and begins to sound where it is said."""
    return Lying(1.0, 10.0, None if begins is None else begins - 1.0, level)


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        (at(3), [at(1.5)], ("second", "first", "sound")),
        (at(1.5), [at(3)], ("first", "second", "sound")),
        (at(2), [at(2 + APART_S)], ("first", "second", "sound")),
        (at(2), [at(2 + APART_S - 0.01)], None),
        (at(2), [at(None)], None),
        (at(None), [at(4)], None),
        (at(4), [at(2), at(6)], ("second", None, "sound")),
        (at(4), [at(2), at(None)], None),
        (at(6), [at(2), at(2.5)], None),  # which of the others is the first is not told
        (at(None, 0), [at(None, -APART_DB)], ("louder", "quieter", "one")),
        (at(None, -APART_DB), [at(None, 0)], ("quieter", "louder", "one")),
        (at(None, 0), [at(None, 5.9)], None),
        (at(None, 0), [at(None, None)], None),
        (at(None, None), [at(None, 9)], None),
        (at(None, 9), [at(None, 3), at(None, -8)], ("loudest", None, "one")),
        (at(None, -9), [at(None, 3), at(None, 0)], ("quietest", None, "one")),
        (at(None, 0), [at(None, 9), at(None, -9)], None),
    ],
)
def test_a_source_is_told_by_order_or_level_where_both_are_known_and_far_enough_apart(own, others, said):
    found = apart(0.0, own, others)
    assert (None if found is None else tuple(found)) == said


def test_where_both_tell_a_draw_chooses():
    own, other = at(1, 0.0), at(3, 10.0)
    assert [apart(draw, own, [other]).word for draw in (0.0, 0.49, 0.5, 0.99)] == [
        "first",
        "first",
        "quieter",
        "quieter",
    ]


def test_an_event_outside_of_what_is_heard_tells_of_no_order():
    assert Lying(1.0, 5.0, 5.0, None).begins_s is None
    assert Lying(1.0, 5.0, -0.1, None).begins_s is None
    assert Lying(1.0, 5.0, 4.9, None).begins_s == 5.9
